//! Any bytes as an index file, with a good check put in: refused, or searched without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nugul_catalog::{Index, Query, calendar, index::with_check};

fuzz_target!(|bytes: &[u8]| {
    let _ = Index::open(bytes.to_vec());
    if let Ok(index) = Index::open(with_check(bytes.to_vec())) {
        for q in ["", "ㄹㅁ 래미제라블을", "abwlzjf 2026"] {
            index.search(&Query { facets: true, limit: 100, ..Query::text(q) });
            index.suggest(q, 20);
        }
        calendar(&[&index], "2026-12");
        index.events().for_each(drop);
    }
});
