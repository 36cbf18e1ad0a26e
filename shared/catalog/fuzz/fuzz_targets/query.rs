//! Any text as a query, and as a title.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nugul_catalog::{CatalogEvent, Index, Query, build, params};
use nugul_domain::Timestamp;

fn event(n: u32, title: &str) -> CatalogEvent {
    CatalogEvent {
        id: format!("00000000-0000-4000-8000-{n:012x}"),
        title: title.into(),
        category: "뮤지컬".into(),
        place: "예술의전당 오페라극장".into(),
        starts_on: "2026-12-01".into(),
        ends_on: "2026-12-31".into(),
        ..CatalogEvent::default()
    }
}

static INDEX: LazyLock<Option<Index>> = LazyLock::new(|| {
    let titles = ["레미제라블", "오페라의 유령", "BTS 콘서트 〈ARIRANG〉", "브로드웨이 42번가"];
    let events: Vec<CatalogEvent> = (0..).zip(titles).map(|(n, title)| event(n, title)).collect();
    Index::open(build(&events)).ok()
});

fuzz_target!(|text: &str| {
    if let Some(index) = &*INDEX {
        index.search(&Query::text(text));
        index.suggest(text, 20);
    }
    if let Ok(index) = Index::open(build(&[event(0, text)])) {
        index.search(&Query { place: Some(text.into()), ..Query::text(text) });
    }
    let pairs: Vec<(String, String)> = text
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let _ = params::search_query(&pairs, Timestamp::from_millis(0));
});
