//! What the catalogue promises, tried on the shipped titles and on damaged and hostile input.

mod demo;
mod file;
mod import;
mod params;
mod search;
mod text;
mod typing;
mod words;

use crate::entry::CatalogEvent;
use crate::index::Index;
use crate::query::Query;

const FIRST_DAY: time::Date = time::macros::date!(2026 - 12 - 01);

fn catalog(count: Option<u32>) -> Vec<CatalogEvent> {
    let venues = crate::demo::venues();
    (0_u32..)
        .zip(crate::demo::events(FIRST_DAY, count))
        .map(|(n, event)| {
            let id = format!("00000000-0000-7000-8000-{n:012x}");
            let popularity = n.wrapping_mul(2_654_435_761) % 1_000;
            let region = venues.iter().find(|venue| venue.name == event.place);
            CatalogEvent {
                region: region.map(|venue| venue.city.to_owned()),
                ..CatalogEvent::from_import(id, &event, popularity)
            }
        })
        .collect()
}

fn open(events: &[CatalogEvent]) -> Index {
    Index::open(crate::build(events)).unwrap()
}

fn demo_index() -> Index {
    open(&catalog(None))
}

fn titles(index: &Index, q: &str) -> Vec<String> {
    index.search(&Query::text(q)).items.into_iter().map(|item| item.event.title).collect()
}
