//! Answers to queries: filters, order, pages and counts over what a text finds, in one index or in those of several
//! regions together.

use std::collections::HashSet;

use nugul_domain::Timestamp;

use crate::cursor::{Cursor, Place, by_day, by_demand, by_score};
use crate::facets::{Names, Tally};
use crate::find::Found;
use crate::highlight::highlights;
use crate::index::{Col, Field, Index};
use crate::query::{Item, MAX_LIMIT, MAX_SUGGESTIONS, Page, Query, Sort, Suggestion};
use crate::ranking::{Weights, demand};
use crate::text::normalise;
use crate::text::pattern::Pattern;

/// How many of the best events are looked through for distinct suggestions.
const SUGGESTION_POOL: usize = 500;

/// One filter each; an event's faults are the filters it does not pass.
pub(crate) mod fault {
    pub(crate) const DATE: u8 = 1;
    pub(crate) const CATEGORY: u8 = 1 << 1;
    pub(crate) const REGION: u8 = 1 << 2;
    pub(crate) const PLACE: u8 = 1 << 3;
    pub(crate) const PRICE: u8 = 1 << 4;
    pub(crate) const ON_SALE: u8 = 1 << 5;
    pub(crate) const TRANSFERABLE: u8 = 1 << 6;
}

/// The filters of a query, in the numbers of one index.
struct Filters {
    from: Option<i64>,
    to: Option<i64>,
    categories: Option<Vec<bool>>,
    regions: Option<Vec<bool>>,
    places: Option<Vec<bool>>,
    price_min: Option<i64>,
    price_max: Option<i64>,
    on_sale: bool,
    transferable: bool,
    now_s: Option<i64>,
}

impl Filters {
    fn of(index: &Index, query: &Query) -> Self {
        let day = |day: Option<time::Date>| day.map(|day| i64::from(day.to_julian_day()));
        let chosen = |field: Field, wanted: &[String]| {
            let wanted: Vec<String> =
                wanted.iter().map(|name| normalise(name)).filter(|name| !name.is_empty()).collect();
            (!wanted.is_empty()).then(|| {
                let names = 0..index.field(field).to - index.field(field).from;
                names.map(|n| wanted.contains(&normalise(index.text(field, n)))).collect()
            })
        };
        let place = query.place.as_deref().map(normalise).filter(|place| !place.is_empty());
        let places = place.map(|place| {
            let meta = index.field(Field::Place);
            let mut passes = vec![false; (meta.to - meta.from) as usize];
            for hit in index.hits(&Pattern::new(&place, false), &Weights::default()) {
                if let Some(slot) = hit.text.checked_sub(meta.from).and_then(|n| passes.get_mut(n as usize)) {
                    *slot = true;
                }
            }
            passes
        });
        Self {
            from: day(query.date_from),
            to: day(query.date_to),
            categories: chosen(Field::Category, &query.category),
            regions: chosen(Field::Region, &query.region),
            places,
            price_min: query.price_min,
            price_max: query.price_max,
            on_sale: query.on_sale,
            transferable: query.transferable,
            now_s: query.now.map(seconds),
        }
    }

    /// The filters that an event does not pass.
    fn faults(&self, index: &Index, n: usize) -> u8 {
        let mut faults = 0;
        let mut require = |passes: bool, fault: u8| {
            if !passes {
                faults |= fault;
            }
        };
        if self.from.is_some() || self.to.is_some() {
            let begins = self.to.is_none_or(|to| index.number(Col::Starts, n) <= to);
            let goes_on = self.from.is_none_or(|from| index.number(Col::Ends, n) >= from);
            require(begins && goes_on, fault::DATE);
        }
        let passes = |filter: &Option<Vec<bool>>, col| {
            let passes = |filter: &Vec<bool>| {
                index.index_of(col, n).and_then(|value| filter.get(value as usize)).copied().unwrap_or(false)
            };
            filter.as_ref().is_none_or(passes)
        };
        require(passes(&self.categories, Col::Category), fault::CATEGORY);
        require(passes(&self.regions, Col::Region), fault::REGION);
        require(passes(&self.places, Col::Place), fault::PLACE);
        if self.price_min.is_some() || self.price_max.is_some() {
            let cheap = self.price_max.is_none_or(|max| index.number(Col::MinPrice, n) <= max);
            let dear = self.price_min.is_none_or(|min| index.number(Col::MaxPrice, n) >= min);
            require(cheap && dear, fault::PRICE);
        }
        if self.on_sale {
            require(index.is_on_sale(n, self.now_s), fault::ON_SALE);
        }
        if self.transferable {
            require(index.number(Col::Transferable, n) > 0, fault::TRANSFERABLE);
        }
        faults
    }
}

pub(crate) fn seconds(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1_000)
}

/// A key that sorts: two numbers and the event's number in its index.
type Key = u128;

fn key(first: u32, second: u32, n: usize) -> Key {
    u128::from(first) << 64 | u128::from(second) << 32 | n as u128
}

fn number_of(key: Key) -> usize {
    usize::try_from(key & u128::from(u32::MAX)).unwrap_or(0)
}

fn place_of(index: &Index, key: Key) -> Place {
    let part = |shift: u32| u32::try_from(key >> shift & u128::from(u32::MAX)).unwrap_or(0);
    Place { first: part(64), second: part(32), id: index.id(number_of(key)) }
}

impl Index {
    pub(crate) fn is_on_sale(&self, n: usize, now_s: Option<i64>) -> bool {
        now_s.is_some_and(|now| {
            let opens = self.number(Col::SalesOpen, n);
            opens >= 0 && opens <= now && now < self.number(Col::SalesClose, n)
        })
    }

    /// The events that pass the filters, as sort keys.
    fn ordered(&self, found: &Found, query: &Query, weights: &Weights, mut tally: Option<&mut Tally>) -> Vec<Key> {
        let filters = Filters::of(self, query);
        let now_s = filters.now_s;
        let order = Order::of(self, query, weights);
        let mut keys = Vec::new();
        let mut look = |n: usize, score: f32| {
            let faults = filters.faults(self, n);
            if let Some(tally) = tally.as_deref_mut() {
                tally.count(self, n, faults, now_s);
            }
            if faults == 0 {
                keys.push(order.key(self, n, score));
            }
        };
        match &found.events {
            None => (0..self.len()).for_each(|n| look(n, 1.0)),
            Some(events) => events.iter().for_each(|(event, score)| look(*event as usize, *score)),
        }
        keys
    }

    /// One page of the events that a query finds, with the shipped weights.
    pub fn search(&self, query: &Query) -> Page {
        search(&[self], query, &Weights::default())
    }

    /// Titles that continue what has been typed so far, best first, each once, with the shipped weights.
    pub fn suggest(&self, q: &str, limit: usize) -> Vec<Suggestion> {
        suggest(&[self], q, limit, None, &Weights::default())
    }
}

/// How events are ordered.
struct Order<'w> {
    sort: Sort,
    weights: &'w Weights,
    today: Option<i64>,
    most_wanted: i64,
}

impl<'w> Order<'w> {
    fn of(index: &Index, query: &Query, weights: &'w Weights) -> Self {
        let today = query.now.map(|now| i64::from(now.seoul().date().to_julian_day()));
        Self { sort: query.sort, weights, today, most_wanted: index.most_wanted() }
    }

    fn key(&self, index: &Index, n: usize, score: f32) -> Key {
        let popularity = index.number(Col::Popularity, n);
        let wanted = by_demand(u32::try_from(popularity).unwrap_or(0));
        let starts = index.number(Col::Starts, n);
        let is_over = self.today.is_some_and(|today| index.number(Col::Ends, n) < today);
        match self.sort {
            Sort::Relevance => {
                let soon = self.today.map_or(0.0, |today| self.weights.soon(starts - today));
                let score = score * self.weights.boost(demand(popularity, self.most_wanted), soon, is_over);
                key(by_score(score), wanted, n)
            }
            Sort::Popularity => key(wanted, by_day(starts, false), n),
            Sort::Date => key(by_day(starts, is_over), wanted, n),
            Sort::Price => key(u32::try_from(index.number(Col::MinPrice, n)).unwrap_or(u32::MAX), wanted, n),
        }
    }
}

/// What the text finds in each index, with those that match best: an index that has all words silences one that has
/// only most of them.
fn find_in<'i>(indexes: &[&'i Index], q: &str, now: Option<Timestamp>, weights: &Weights) -> Vec<(&'i Index, Found)> {
    let mut found: Vec<(&Index, Found)> = indexes.iter().map(|index| (*index, index.find(q, now, weights))).collect();
    let best = found.iter().filter(|(_, found)| !found.is_empty()).map(|(_, found)| found.matched).min();
    found.retain(|(_, found)| best.is_none_or(|best| found.matched == best));
    found
}

/// One page of the events that a query finds in several indexes together.
pub fn search(indexes: &[&Index], query: &Query, weights: &Weights) -> Page {
    let found = find_in(indexes, &query.q, query.now, weights);
    let limit = query.limit.clamp(1, MAX_LIMIT);
    let mut names = query.facets.then(Names::default);
    let (mut total, mut left) = (0, 0);
    let mut best: Vec<(Place, usize, usize)> = Vec::new();
    for (which, (index, found)) in found.iter().enumerate() {
        let mut tally = query.facets.then(|| Tally::of(index));
        let mut keys = index.ordered(found, query, weights, tally.as_mut());
        if let (Some(names), Some(tally)) = (names.as_mut(), &tally) {
            names.add(index, tally);
        }
        total += keys.len();
        if let Some(Cursor { place, .. }) = query.cursor {
            let after = index.lower_bound(place.id.saturating_add(1));
            let first = key(place.first, place.second, after);
            keys.retain(|key| *key >= first);
        }
        left += keys.len();
        if limit < keys.len() {
            keys.select_nth_unstable(limit);
            keys.truncate(limit);
        }
        best.extend(keys.into_iter().map(|key| (place_of(index, key), which, number_of(key))));
    }
    best.sort_unstable();
    best.truncate(limit);
    let items = best.iter().filter_map(|(_, which, n)| {
        let (index, found) = found.get(*which)?;
        let event = index.event(*n);
        let highlights = highlights(&found.terms, &event.title, Some(&event.place));
        Some(Item { event, highlights })
    });
    let next = best.last().filter(|_| left > best.len());
    Page {
        items: items.collect(),
        next_cursor: next.map(|(place, ..)| Cursor { sort: query.sort, place: *place }),
        total,
        matched: found.first().map(|(_, found)| found.matched).unwrap_or_default(),
        did_you_mean: found.iter().find_map(|(_, found)| found.did_you_mean.clone()),
        facets: names.map(Names::finish),
    }
}

/// Titles that continue what has been typed so far, best first, each once, from several indexes together. Nothing for
/// a blank text.
pub fn suggest(
    indexes: &[&Index],
    q: &str,
    limit: usize,
    now: Option<Timestamp>,
    weights: &Weights,
) -> Vec<Suggestion> {
    let limit = limit.min(MAX_SUGGESTIONS);
    if q.trim().is_empty() || limit == 0 {
        return Vec::new();
    }
    let query = Query { now, ..Query::default() };
    let found = find_in(indexes, q, now, weights);
    let mut best: Vec<(Place, usize, usize)> = Vec::new();
    for (which, (index, found)) in found.iter().enumerate() {
        let mut keys = index.ordered(found, &query, weights, None);
        if SUGGESTION_POOL < keys.len() {
            keys.select_nth_unstable(SUGGESTION_POOL);
            keys.truncate(SUGGESTION_POOL);
        }
        best.extend(keys.into_iter().map(|key| (place_of(index, key), which, number_of(key))));
    }
    best.sort_unstable();
    let mut known: HashSet<&str> = HashSet::new();
    let mut suggestions = Vec::with_capacity(limit);
    for (place, which, n) in best {
        let Some((index, found)) = found.get(which).filter(|_| suggestions.len() < limit) else { break };
        let title = index.text_of(Field::Title, Col::Title, n).unwrap_or_default();
        if known.insert(title) {
            suggestions.push(Suggestion {
                title: title.to_owned(),
                event_id: uuid::Uuid::from_u128(place.id).to_string(),
                place: index.text_of(Field::Place, Col::Place, n).unwrap_or_default().to_owned(),
                highlights: highlights(&found.terms, title, None),
            });
        }
    }
    suggestions
}
