//! Counts by category, region, place, price and so on. A filter's own choice does not narrow its own counts, so that they
//! say what another choice would find.

use std::collections::BTreeMap;

use crate::index::{Col, Field, Index};
use crate::query::{Band, Count, Facets};
use crate::search::fault;

/// Most values of one count; the most frequent are kept.
pub const MAX_VALUES: usize = 24;
/// Most places.
pub const MAX_PLACES: usize = 12;
/// Where bands of prices begin, in won.
pub const BANDS_KRW: [i64; 5] = [0, 30_000, 60_000, 100_000, 150_000];

/// Counts in the numbers of one index.
pub(crate) struct Tally {
    category: Vec<usize>,
    region: Vec<usize>,
    place: Vec<usize>,
    price: [usize; BANDS_KRW.len()],
    on_sale: usize,
    transferable: usize,
}

fn raise(counts: &mut [usize], n: Option<u32>) {
    if let Some(slot) = n.and_then(|n| counts.get_mut(n as usize)) {
        *slot += 1;
    }
}

impl Tally {
    pub(crate) fn of(index: &Index) -> Self {
        let none = |field: Field| vec![0; (index.field(field).to - index.field(field).from) as usize];
        Self {
            category: none(Field::Category),
            region: none(Field::Region),
            place: none(Field::Place),
            price: [0; BANDS_KRW.len()],
            on_sale: 0,
            transferable: 0,
        }
    }

    /// Counts an event wherever no other filter is against it.
    pub(crate) fn count(&mut self, index: &Index, n: usize, faults: u8, now_s: Option<i64>) {
        let only = |fault: u8| faults & !fault == 0;
        if only(fault::CATEGORY) {
            raise(&mut self.category, index.index_of(Col::Category, n));
        }
        if only(fault::REGION) {
            raise(&mut self.region, index.index_of(Col::Region, n));
        }
        if only(fault::PLACE) {
            raise(&mut self.place, index.index_of(Col::Place, n));
        }
        if only(fault::PRICE) {
            let price = index.number(Col::MinPrice, n);
            let band = BANDS_KRW.iter().rposition(|from| *from <= price);
            raise(&mut self.price, band.and_then(|band| u32::try_from(band).ok()));
        }
        if only(fault::ON_SALE) && index.is_on_sale(n, now_s) {
            self.on_sale += 1;
        }
        if only(fault::TRANSFERABLE) && index.number(Col::Transferable, n) > 0 {
            self.transferable += 1;
        }
    }
}

/// Counts by name, from one index or several.
#[derive(Default)]
pub(crate) struct Names {
    category: BTreeMap<String, usize>,
    region: BTreeMap<String, usize>,
    place: BTreeMap<String, usize>,
    price: [usize; BANDS_KRW.len()],
    on_sale: usize,
    transferable: usize,
}

impl Names {
    pub(crate) fn add(&mut self, index: &Index, tally: &Tally) {
        let add = |names: &mut BTreeMap<String, usize>, field: Field, counts: &[usize]| {
            for (n, count) in (0..).zip(counts).filter(|(_, count)| **count > 0) {
                *names.entry(index.text(field, n).to_owned()).or_default() += count;
            }
        };
        add(&mut self.category, Field::Category, &tally.category);
        add(&mut self.region, Field::Region, &tally.region);
        add(&mut self.place, Field::Place, &tally.place);
        self.price.iter_mut().zip(tally.price).for_each(|(sum, count)| *sum += count);
        self.on_sale += tally.on_sale;
        self.transferable += tally.transferable;
    }

    pub(crate) fn finish(self) -> Facets {
        let ends = BANDS_KRW.iter().skip(1).map(|end| Some(*end)).chain([None]);
        let price = BANDS_KRW.iter().zip(ends).zip(self.price);
        Facets {
            category: most(self.category, MAX_VALUES),
            region: most(self.region, MAX_VALUES),
            place: most(self.place, MAX_PLACES),
            price: price.map(|((min_krw, max_krw), count)| Band { min_krw: *min_krw, max_krw, count }).collect(),
            on_sale: self.on_sale,
            transferable: self.transferable,
        }
    }
}

fn most(names: BTreeMap<String, usize>, limit: usize) -> Vec<Count> {
    let mut all: Vec<Count> = names.into_iter().map(|(value, count)| Count { value, count }).collect();
    // Stable: equal counts stay in the order of their names.
    all.sort_by_key(|count| std::cmp::Reverse(count.count));
    all.truncate(limit);
    all
}
