//! Queries from the parameters of a request.

use nugul_domain::Timestamp;
use proptest::prelude::*;
use time::macros::date;

use crate::params::{BadParameter, search_query, suggest_query};
use crate::query::{Query, Sort};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn params(query: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    query.split('&').filter_map(pair).collect()
}

#[test]
fn every_parameter_is_read() {
    let query = "q=레미&date_from=2026-12-01&date_to=2026-12-31&category=뮤지컬&category=연극&region=서울&place=블루&\
                 price_min=1&price_max=2&on_sale=true&transferable=1&sort=price&limit=100&facets=true";
    let expected = Query {
        q: "레미".into(),
        date_from: Some(date!(2026 - 12 - 01)),
        date_to: Some(date!(2026 - 12 - 31)),
        category: vec!["뮤지컬".into(), "연극".into()],
        region: vec!["서울".into()],
        place: Some("블루".into()),
        price_min: Some(1),
        price_max: Some(2),
        on_sale: true,
        transferable: true,
        sort: Sort::Price,
        cursor: None,
        limit: 100,
        facets: true,
        now: Some(NOW),
    };
    assert_eq!(search_query(&params(query), NOW), Ok(expected));
    let day = search_query(&params("date=2026-12-24"), NOW).unwrap();
    assert_eq!((day.date_from, day.date_to), (Some(date!(2026 - 12 - 24)), Some(date!(2026 - 12 - 24))));
    assert_eq!(search_query(&[], NOW), Ok(Query { now: Some(NOW), ..Query::default() }));
    // A form sends its empty fields.
    assert_eq!(search_query(&params("q=&date=&category=&limit=&cursor="), NOW), search_query(&[], NOW));
}

#[test]
fn what_cannot_be_understood_is_named() {
    let long = format!("q={}", "가".repeat(101));
    let many = "category=a&".repeat(17);
    for (query, name) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("cursor=nonsense", "cursor"),
        ("date=yesterday", "date"),
        ("date_to=2026-13-01", "date_to"),
        ("sort=best", "sort"),
        ("price_min=-1", "price_min"),
        ("price_max=1.5", "price_max"),
        ("on_sale=maybe", "on_sale"),
        ("facets=2", "facets"),
        (long.as_str(), "q"),
        (many.as_str(), "category"),
    ] {
        assert_eq!(search_query(&params(query), NOW), Err(BadParameter(name)), "{query}");
    }
    assert_eq!(suggest_query(&params(&long)), Err(BadParameter("q")));
    assert_eq!(suggest_query(&params("limit=x")), Err(BadParameter("limit")));
    assert_eq!(suggest_query(&params("limit=1000")).unwrap().limit, 20);
}

proptest! {
    #[test]
    fn any_parameters_are_read_or_refused(pairs in prop::collection::vec((prop::sample::select(vec!["q", "cursor", "sort", "limit", "date", "price_min", "category"]), any::<String>()), 0..6)) {
        let pairs: Vec<(String, String)> = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let _ = search_query(&pairs, NOW);
        let _ = suggest_query(&pairs);
    }
}
