//! The index file: deterministic, and refused when damaged.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::{catalog, open, titles};
use crate::calendar::calendar;
use crate::entry::CatalogEvent;
use crate::index::{Error, HEADER_BYTES, Index, check_of, frame, version};
use crate::query::Query;
use crate::{build, build_with, words::Words};

#[test]
fn the_same_events_make_the_same_file() {
    let mut events = catalog(None);
    let file = build(&events);
    events.reverse();
    assert_eq!(build(&events), file);
    let index = Index::open(file.clone()).unwrap();
    assert_eq!(index.version(), version(&file));
    assert_eq!(index.version().len(), 32);
    assert_eq!(index.get(&events[0].id).as_ref(), Some(&events[0]));
    assert_eq!(index.get("00000000-0000-7000-8000-ffffffffffff"), None);
    assert_eq!(index.get("nobody"), None);
    assert!(index.events().eq(events.iter().rev().cloned()));
    events[0].title.push('!');
    assert_ne!(version(&build(&events)), version(&file));
    assert_ne!(version(&build_with(&events, &Words::default())), version(&build(&events)));
}

#[test]
fn every_field_comes_back() {
    let event = CatalogEvent {
        id: "fedcba98-7654-4321-8fed-cba987654321".into(),
        title: "제목".into(),
        title_en: Some("Title".into()),
        category: "연극".into(),
        place: "곳".into(),
        region: Some("어딘가".into()),
        cast: vec!["가".into(), "나".into()],
        starts_on: "0000-01-01".into(),
        ends_on: "9999-12-31".into(),
        min_price_krw: 0,
        max_price_krw: 10_000_000,
        rating: String::new(),
        runtime_min: 1,
        popularity: u32::MAX,
        performances: 400,
        sales_open_at: Some(nugul_domain::Timestamp::from_millis(1_000)),
        sales_close_at: Some(nugul_domain::Timestamp::from_millis(2_000_000_000_000)),
        transferable: 3,
    };
    let bare = CatalogEvent {
        id: "00000000-0000-7000-8000-000000000000".into(),
        title: "맨 제목".into(),
        starts_on: "2026-01-01".into(),
        ends_on: "2026-01-01".into(),
        ..CatalogEvent::default()
    };
    let index = open(&[event.clone(), bare.clone()]);
    assert!(index.events().eq([bare, event]));
}

#[test]
fn an_empty_index_answers() {
    let index = open(&[]);
    assert!(index.is_empty());
    assert_eq!(index.search(&Query::text("뮤지컬")).total, 0);
    assert_eq!(index.search(&Query { facets: true, ..Query::default() }).total, 0);
    assert!(index.suggest("뮤", 5).is_empty());
}

#[test]
fn a_bad_event_does_not_take_the_catalogue_away() {
    let mut events = catalog(Some(10));
    events[0].starts_on = "내일".into();
    events[1].title = "가".repeat(1_000);
    events[2].id = String::new();
    events[3].min_price_krw = -1;
    events[4].id = events[4].id.to_uppercase() + "F";
    events[5].ends_on = "2000-01-01".into();
    events[7] = events[6].clone();
    let index = open(&events);
    assert_eq!(index.len(), 3);
    // Composed, however it came.
    events[8].title = "\u{1112}\u{1161}\u{11AB}\u{1100}\u{1173}\u{11AF}".into();
    assert_eq!(titles(&open(&events), "한글"), ["한글"]);
}

#[test]
fn other_files_are_refused() {
    assert_eq!(Index::open(Vec::new()).unwrap_err(), Error::NotAnIndex);
    assert_eq!(Index::open(b"NGLC\x01".to_vec()).unwrap_err(), Error::Format(1));
    assert_eq!(Index::open(b"NGLC".to_vec()).unwrap_err(), Error::Damaged("no format"));
    assert!(matches!(Index::open(frame(0, b"")), Err(Error::Damaged(_))));
    assert!(matches!(Index::open(frame(1_000_000, b"")), Err(Error::TooLarge)));
    let empty = build(&[]);
    assert!(matches!(Index::open(frame(1, &empty[HEADER_BYTES..])), Err(Error::Damaged(_))));
}

#[test]
fn twenty_thousand_events_fit() {
    let events = catalog(Some(20_000));
    assert_eq!(events.len(), 20_000);
    let file = build(&events);
    assert!(file.len() <= 4_000_000, "{} bytes", file.len());
    let index = Index::open(file).unwrap();
    assert_eq!(index.len(), 20_000);
    assert!(titles(&index, "ㄹㅁㅈㄹㅂ").iter().all(|title| title.starts_with("레미제라블")));
}

/// Asks everything there is to ask.
pub(super) fn exercise(index: &Index, q: &str) {
    let all = Query { place: Some(q.into()), category: vec![q.into()], region: vec![q.into()], ..Query::text(q) };
    index.search(&all);
    index.search(&Query { facets: true, limit: 100, ..Query::text(q) });
    index.search(&Query { facets: true, ..Query::default() });
    index.suggest(q, 5);
    calendar(&[index], "2027-01");
    index.events().for_each(drop);
}

static SMALL_FILE: LazyLock<Vec<u8>> = LazyLock::new(|| build(&catalog(Some(6))));
static CATALOG: LazyLock<Vec<CatalogEvent>> = LazyLock::new(|| catalog(None));

proptest! {
    #[test]
    fn damaged_files_are_refused(at in any::<prop::sample::Index>(), bit in 0_u8..8, cut in any::<prop::sample::Index>()) {
        let mut file = SMALL_FILE.clone();
        let at = at.index(file.len());
        file[at] ^= 1 << bit;
        prop_assert!(Index::open(file.clone()).is_err());
        file[at] ^= 1 << bit;
        prop_assert!(Index::open(file.clone()).is_ok());
        file.truncate(cut.index(file.len()));
        prop_assert!(Index::open(file).is_err());
    }

    /// Whoever can make a valid check may write anything: it is refused, or it answers.
    #[test]
    fn hostile_bodies_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), count in 5_usize..8) {
        let mut body = SMALL_FILE[HEADER_BYTES..].to_vec();
        for (at, byte) in flips {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if let Ok(index) = Index::open(frame(count, &body)) {
            exercise(&index, "레미 ㅇ");
            exercise(&index, "래미제라블을 abwlzjf");
        }
    }

    #[test]
    fn hostile_titles_and_queries_never_panic(title in any::<String>(), place in "[가-힣ㄱ-ㅎㅏ-ㅣ a-z]{0,20}", q in any::<String>(), part in "[가-힣ㄱ-ㅎㅏ-ㅣ a-zA-Z0-9]{0,20}") {
        let mut events = CATALOG[..3].to_vec();
        events[0].title = title.clone();
        events[0].cast = vec![q.clone(), part.clone()];
        events[1].title = place;
        events[1].title_en = Some(part.clone());
        events[2].starts_on = "0000-01-01".into();
        events[2].ends_on = "9999-12-31".into();
        let index = open(&events);
        for q in [&q, &part, &title] {
            exercise(&index, q);
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Index::open(bytes.clone()).is_err());
        prop_assert!(Index::open([b"NGLC\x03".as_slice(), &bytes].concat()).is_err());
        prop_assert!(Index::open(frame(1, &bytes)).is_err());
    }

    /// What is put in is found and comes back.
    #[test]
    fn build_open_search(titles in prop::collection::btree_set("[가-힣]{2,8}( [가-힣a-z0-9]{2,6})?", 1..40)) {
        let template = &CATALOG[0];
        let events: Vec<CatalogEvent> = (0_u32..).zip(&titles).map(|(n, title)| CatalogEvent {
            id: format!("00000000-0000-4000-8000-{n:012x}"),
            title: title.clone(),
            ..template.clone()
        }).collect();
        let index = open(&events);
        prop_assert!(index.events().eq(events.iter().cloned()));
        for event in &events {
            let page = index.search(&Query { limit: 100, ..Query::text(&event.title) });
            prop_assert!(page.items.iter().any(|item| item.event == *event), "{}", event.title);
        }
    }

    #[test]
    fn the_check_sees_any_change_of_a_byte(bytes in prop::collection::vec(any::<u8>(), HEADER_BYTES..200), at in any::<prop::sample::Index>(), change in 1_u8..) {
        let before = check_of(&bytes);
        let mut changed = bytes.clone();
        let at = at.index(bytes.len());
        changed[at] ^= change;
        // The check itself, at 21 to 28, is no part of what it checks.
        prop_assert_eq!(check_of(&changed) == before, (21..29).contains(&at));
    }
}
