//! Filters, order, pages, counts, highlights, suggestions, the calendar.

use std::collections::BTreeSet;

use nugul_domain::Timestamp;
use proptest::prelude::*;
use time::macros::date;

use super::{catalog, demo_index, open};
use crate::calendar::{MAX_EVENTS_PER_DAY, calendar};
use crate::cursor::Cursor;
use crate::entry::CatalogEvent;
use crate::query::{Facets, Highlighted, MAX_SUGGESTIONS, Query, Sort};
use crate::ranking::Weights;
use crate::search::{search, suggest};

fn now() -> Timestamp {
    Timestamp::parse("2026-12-20T12:00:00+09:00").unwrap()
}

/// Some events that differ where filters look.
fn varied() -> Vec<CatalogEvent> {
    let mut events = catalog(Some(600));
    for (n, event) in events.iter_mut().enumerate() {
        event.transferable = u32::from(n % 5 == 0);
        if n % 3 == 0 {
            event.sales_open_at = Some(now().plus_ms(86_400_000));
        }
        if n % 7 == 0 {
            event.cast = vec!["김너굴".into(), format!("배우{n}")];
        }
    }
    events
}

#[test]
fn all_words_must_match_and_filters_hold() {
    let index = demo_index();
    let page = index.search(&Query { limit: 100, ..Query::text("국립발레단 예술의전당") });
    assert!(page.total > 3);
    assert!(page.items.iter().all(|i| i.event.title.contains("국립발레단") && i.event.place.contains("예술의전당")));

    let query = Query {
        category: vec!["연극".into()],
        place: Some("대학로".into()),
        date_from: Some(date!(2027 - 01 - 01)),
        date_to: Some(date!(2027 - 01 - 31)),
        limit: 100,
        ..Query::default()
    };
    let page = index.search(&query);
    assert!(page.total > 0);
    for item in page.items {
        assert_eq!(item.event.category, "연극");
        assert!(item.event.place.contains("대학로"));
        assert!(item.event.starts_on.as_str() <= "2027-01-31" && item.event.ends_on.as_str() >= "2027-01-01");
    }
}

#[test]
fn performers_regions_and_english_titles_are_searched() {
    let mut events = varied();
    events[1].title_en = Some("The Raccoon".into());
    let index = open(&events);
    let page = index.search(&Query { limit: 100, ..Query::text("김너굴") });
    assert_eq!(page.total, events.iter().filter(|event| !event.cast.is_empty()).count());
    assert_eq!(index.search(&Query::text("raccoon")).items[0].event, events[1]);
    let page = index.search(&Query { limit: 100, ..Query::text("부산 뮤지컬") });
    assert!(page.items.iter().take(5).all(|item| item.event.region.as_deref() == Some("부산")), "{page:?}");
    let by_file = CatalogEvent { region: None, ..events[2].clone() };
    assert_eq!(open(&[by_file]).events().next().unwrap().region, events[2].region);
}

#[test]
fn each_filter_is_what_it_says() {
    let events = varied();
    let index = open(&events);
    let expect = |query: Query, passes: &dyn Fn(&CatalogEvent) -> bool| {
        let page = index.search(&Query { limit: 100, now: Some(now()), ..query.clone() });
        let expected: BTreeSet<&str> = events.iter().filter(|event| passes(event)).map(|e| e.id.as_str()).collect();
        assert_eq!(page.total, expected.len(), "{query:?}");
        assert!(!expected.is_empty() && expected.len() < events.len(), "{query:?} says nothing");
        assert!(page.items.iter().all(|item| expected.contains(item.event.id.as_str())), "{query:?}");
    };
    expect(Query { transferable: true, ..Query::default() }, &|event| event.transferable > 0);
    expect(Query { on_sale: true, ..Query::default() }, &|event| event.is_on_sale(now()));
    expect(Query { price_max: Some(50_000), ..Query::default() }, &|event| event.min_price_krw <= 50_000);
    expect(Query { price_min: Some(150_000), ..Query::default() }, &|event| event.max_price_krw >= 150_000);
    expect(Query { region: vec!["부산".into(), "대구".into()], ..Query::default() }, &|event| {
        ["부산", "대구"].contains(&event.region.as_deref().unwrap_or_default())
    });
    expect(Query { category: vec!["연극".into(), "무용".into()], ..Query::default() }, &|event| {
        ["연극", "무용"].contains(&event.category.as_str())
    });
}

#[test]
fn pages_join_without_gap_or_overlap() {
    let index = demo_index();
    for sort in Sort::ALL {
        let mut query = Query { sort, limit: 37, ..Query::default() };
        let mut seen = Vec::new();
        loop {
            let page = index.search(&query);
            assert_eq!(page.total, index.len());
            seen.extend(page.items.into_iter().map(|item| item.event));
            match page.next_cursor {
                Some(next) => {
                    assert_eq!(Cursor::parse(&next.to_string(), sort), Some(next));
                    query.cursor = Some(next);
                }
                None => break,
            }
        }
        assert_eq!(seen.len(), index.len());
        assert_eq!(seen.iter().map(|event| &event.id).collect::<BTreeSet<_>>().len(), index.len());
        assert!(match sort {
            Sort::Date => seen.is_sorted_by_key(|event| event.starts_on.clone()),
            Sort::Price => seen.is_sorted_by_key(|event| event.min_price_krw),
            Sort::Relevance | Sort::Popularity => seen.is_sorted_by_key(|event| std::cmp::Reverse(event.popularity)),
        });
    }
}

#[test]
fn a_page_goes_on_where_it_ended_though_events_come_and_go() {
    let mut events = catalog(Some(300));
    let query = Query { sort: Sort::Price, limit: 50, ..Query::default() };
    let first = open(&events).search(&query);
    let gone = first.items[20].event.id.clone();
    events.retain(|event| event.id != gone);
    events.push(CatalogEvent { id: "ffffffff-0000-7000-8000-000000000000".into(), ..first.items[0].event.clone() });
    let second = open(&events).search(&Query { cursor: first.next_cursor, ..query });
    let seen: BTreeSet<&str> = first.items.iter().map(|item| item.event.id.as_str()).collect();
    assert!(second.items.iter().all(|item| !seen.contains(item.event.id.as_str())));
    assert!(second.items[0].event.min_price_krw >= first.items[49].event.min_price_krw);
}

#[test]
fn cursors_of_others_are_refused() {
    let page = demo_index().search(&Query { limit: 1, ..Query::default() });
    let cursor = page.next_cursor.unwrap().to_string();
    assert!(Cursor::parse(&cursor, Sort::Relevance).is_some());
    assert!(Cursor::parse(&cursor, Sort::Date).is_none());
    for bad in ["", "nonsense", &cursor[1..], &format!("{cursor}0"), &cursor.replace('0', "+"), "９"] {
        assert!(Cursor::parse(bad, Sort::Relevance).is_none(), "{bad}");
    }
}

#[test]
fn what_is_over_comes_last_and_what_is_near_first() {
    let mut events = catalog(Some(3));
    for (event, (from, to)) in events.iter_mut().zip([
        ("2026-11-01", "2026-11-30"),
        ("2027-03-01", "2027-03-31"),
        ("2026-12-24", "2026-12-31"),
    ]) {
        (event.title, event.category, event.place) = ("같은 제목".into(), "연극".into(), "같은 곳".into());
        (event.starts_on, event.ends_on, event.popularity) = (from.into(), to.into(), 5);
    }
    let index = open(&events);
    for (q, sort) in [("같은 제목", Sort::Relevance), ("", Sort::Relevance), ("", Sort::Date)] {
        let page = index.search(&Query { sort, now: Some(now()), ..Query::text(q) });
        let order: Vec<&str> = page.items.iter().map(|item| item.event.starts_on.as_str()).collect();
        assert_eq!(order, ["2026-12-24", "2027-03-01", "2026-11-01"], "{q} {sort:?}");
    }
}

#[test]
fn counts_say_what_another_choice_would_find() {
    let events = varied();
    let index = open(&events);
    let base = Query { facets: true, now: Some(now()), category: vec!["뮤지컬".into()], ..Query::text("ㅇ") };
    let facets = |query: &Query| index.search(query).facets.unwrap();
    let total = |query: &Query| index.search(query).total;
    let found: Facets = facets(&base);
    assert!(found.category.len() > 2 && found.region.len() > 2 && found.place.len() > 2);
    for count in &found.category {
        assert_eq!(total(&Query { category: vec![count.value.clone()], ..base.clone() }), count.count, "{count:?}");
    }
    for count in &found.region {
        assert_eq!(total(&Query { region: vec![count.value.clone()], ..base.clone() }), count.count, "{count:?}");
    }
    assert_eq!(total(&Query { on_sale: true, ..base.clone() }), found.on_sale);
    assert_eq!(total(&Query { transferable: true, ..base.clone() }), found.transferable);
    assert_eq!(found.price.iter().map(|band| band.count).sum::<usize>(), total(&base));
    assert!(index.search(&Query { facets: false, ..base }).facets.is_none());
}

#[test]
fn matches_are_marked() {
    let index = demo_index();
    let marked = |q: &str| {
        let page = index.search(&Query::text(q));
        let item = page.items[0].clone();
        let parts: Vec<(Highlighted, String)> = item
            .highlights
            .iter()
            .map(|part| {
                let text = if part.field == Highlighted::Title { &item.event.title } else { &item.event.place };
                let (from, to) = (part.from as usize, part.to as usize);
                (part.field, text.chars().skip(from).take(to - from).collect())
            })
            .collect();
        parts
    };
    let title = |text: &str| (Highlighted::Title, text.to_owned());
    assert_eq!(marked("오페라의유령"), [title("오페라의 유령")]);
    assert_eq!(marked("ㅁㅅㅎ"), [title("명성황")]);
    assert_eq!(marked("래미제라블"), [title("레미제라블")]);
    assert_eq!(marked("bts"), [title("BTS")]);
    assert_eq!(marked("블루스퀘어 레미"), [title("레미"), (Highlighted::Place, "블루스퀘어".to_owned())]);
}

#[test]
fn suggestions_are_distinct_titles() {
    let index = open(&catalog(Some(2_000)));
    let suggestions = index.suggest("레미", 10);
    assert!(suggestions[0].title.starts_with("레미제라블"));
    assert_eq!((suggestions[0].highlights[0].from, suggestions[0].highlights[0].to), (0, 2));
    assert!(index.get(&suggestions[0].event_id).is_some());
    let distinct: BTreeSet<_> = suggestions.iter().map(|s| &s.title).collect();
    assert_eq!(distinct.len(), suggestions.len());
    assert!(index.suggest("", 10).is_empty());
    assert!(index.suggest("레미", 0).is_empty());
    assert_eq!(index.suggest("ㅇ", usize::MAX).len(), MAX_SUGGESTIONS);
    assert_eq!(index.suggest("래미제라블", 3)[0].title, "레미제라블");
}

#[test]
fn several_indexes_answer_as_one() {
    let events = varied();
    let whole = open(&events);
    let (left, right): (Vec<_>, Vec<_>) = events.iter().cloned().enumerate().partition(|(n, _)| n % 2 == 0);
    let part = |part: Vec<(usize, CatalogEvent)>| open(&part.into_iter().map(|(_, e)| e).collect::<Vec<_>>());
    let (left, right) = (part(left), part(right));
    for sort in [Sort::Date, Sort::Popularity, Sort::Price] {
        let mut query = Query { sort, facets: true, limit: 40, now: Some(now()), ..Query::text("콘서트") };
        let expected = whole.search(&query);
        let got = search(&[&left, &right], &query, &Weights::default());
        assert_eq!(got, expected);
        query.cursor = expected.next_cursor;
        assert_eq!(search(&[&left, &right], &query, &Weights::default()), whole.search(&query));
    }
    // One region has it, the other only nearly: nearly is silent.
    let titles = suggest(&[&left, &right], "레미제라블", 20, None, &Weights::default());
    assert!(titles.iter().all(|s| s.title.contains("레미제라블")), "{titles:?}");
    assert_eq!(search(&[], &Query::text("ㅇ"), &Weights::default()).total, 0);
}

#[test]
fn the_calendar_has_every_day_and_a_bound() {
    let index = demo_index();
    let days = calendar(&[&index], "2027-02").unwrap();
    assert_eq!(days.len(), 28);
    assert_eq!(days[0].date, "2027-02-01");
    for day in &days {
        let runs = |event: &CatalogEvent| event.starts_on <= day.date && day.date <= event.ends_on;
        assert_eq!(day.count, index.events().filter(runs).count());
        assert_eq!(day.events.len(), day.count.min(MAX_EVENTS_PER_DAY));
        assert!(day.events.iter().all(runs));
        assert!(day.events.is_sorted_by_key(|event| std::cmp::Reverse(event.popularity)));
    }
    for nonsense in ["", "2027", "2027-13", "2027-02-01", "한글", "-999-01"] {
        assert!(calendar(&[&index], nonsense).is_none(), "{nonsense}");
    }
}

proptest! {
    /// Whatever the query, the events found pass its filters, and its pages have each once.
    #[test]
    fn any_query_is_consistent(q in prop::sample::select(vec!["", "ㅇ", "콘서트", "뮤ㅈ", "abwlzjf", "레미제라불", "서울 연극"]), limit in 1_usize..40, on_sale: bool, price in 0_i64..200_000, which in 0_usize..4) {
        static INDEX: std::sync::LazyLock<crate::Index> = std::sync::LazyLock::new(|| open(&varied()));
        let mut query = Query { sort: Sort::ALL[which], limit, on_sale, price_max: Some(price), now: Some(now()), ..Query::text(q) };
        let mut seen = BTreeSet::new();
        let total = INDEX.search(&query).total;
        loop {
            let page = INDEX.search(&query);
            prop_assert_eq!(page.total, total);
            for item in &page.items {
                prop_assert!(item.event.min_price_krw <= price && (!on_sale || item.event.is_on_sale(now())));
                prop_assert!(seen.insert(item.event.id.clone()));
            }
            match page.next_cursor {
                Some(_) => query.cursor = page.next_cursor,
                None => break,
            }
        }
        prop_assert_eq!(seen.len(), total);
    }
}
