//! Search, suggestions and the calendar over an open index.
//!
//! All words of a query must be found (AND), each in the title, the category or the place; spaces do not matter. What is
//! found in the title counts most; demand and date break ties. A query that finds nothing is tried again as if typed
//! with the other keyboard layout.

use serde::{Deserialize, Serialize};
use time::{Date, Month};

use crate::entry::CatalogEvent;
use crate::import::{iso_date, parse_date};
use crate::index::{Index, Row};
use crate::text::{Pattern, from_qwerty, normalise, to_qwerty};

/// Longest query that is looked at, in characters; the rest is ignored.
pub const MAX_QUERY_CHARS: usize = 100;
/// Most words of a query; the rest is ignored.
pub const MAX_WORDS: usize = 8;
/// Largest page.
pub const MAX_LIMIT: usize = 100;
/// Most suggestions.
pub const MAX_SUGGESTIONS: usize = 20;
/// Most events that one day of the calendar lists.
pub const MAX_CALENDAR_EVENTS_PER_DAY: usize = 20;

/// How many of the best events are looked through for distinct suggestions.
const SUGGESTION_POOL: usize = 500;

/// The order of results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// The best match first; without a text the same as [`Sort::Popularity`].
    #[default]
    Relevance,
    /// The most wanted first.
    Popularity,
    /// The earliest first day first.
    Date,
    /// The cheapest first.
    Price,
}

impl Sort {
    /// From its name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "relevance" => Some(Self::Relevance),
            "popularity" => Some(Self::Popularity),
            "date" => Some(Self::Date),
            "price" => Some(Self::Price),
            _ => None,
        }
    }
}

/// What to search for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The text; blank for all events.
    pub q: String,
    /// Only events whose run has a day on or after this one.
    pub date_from: Option<Date>,
    /// Only events whose run has a day on or before this one.
    pub date_to: Option<Date>,
    /// Only events of this category.
    pub category: Option<String>,
    /// Only events whose place contains this.
    pub place: Option<String>,
    /// The order.
    pub sort: Sort,
    /// How many results to skip: the `next_offset` of the page before.
    pub offset: usize,
    /// The size of the page, 1 to [`MAX_LIMIT`]; what is outside is moved inside.
    pub limit: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            q: String::new(),
            date_from: None,
            date_to: None,
            category: None,
            place: None,
            sort: Sort::default(),
            offset: 0,
            limit: 20,
        }
    }
}

impl Query {
    /// A query for a text, with everything else as by default.
    pub fn text(q: impl Into<String>) -> Self {
        Self { q: q.into(), ..Self::default() }
    }
}

/// One page of results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<'a> {
    /// The events of this page.
    pub items: Vec<&'a CatalogEvent>,
    /// How many events there are on all pages.
    pub total: usize,
    /// Where the next page begins; none on the last.
    pub next_offset: Option<usize>,
}

/// One line below the search field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// The title.
    pub title: String,
    /// The most wanted event of that title.
    pub event_id: String,
    /// Where that event is.
    pub place: String,
}

/// What events a text finds.
enum Found {
    /// No text: all of them.
    All,
    /// The score of each event; 0 for not found.
    Scores(Vec<u32>),
}

impl Index {
    /// One page of the events that a query finds.
    pub fn search(&self, query: &Query) -> Page<'_> {
        let found = self.find(&query.q);
        let mut keys = self.ordered(&found, query);
        let total = keys.len();
        let limit = query.limit.clamp(1, MAX_LIMIT);
        let end = query.offset.saturating_add(limit).min(total);
        let start = query.offset.min(end);
        if end < total {
            keys.select_nth_unstable(end);
        }
        let mut best: Vec<u128> = keys.into_iter().take(end).collect();
        best.sort_unstable();
        let items: Vec<&CatalogEvent> = best.iter().skip(start).filter_map(|key| self.event_of_key(*key)).collect();
        Page { items, total, next_offset: (end < total && end > start).then_some(end) }
    }

    /// Titles that continue what has been typed so far, best first, each once.
    pub fn suggest(&self, q: &str, limit: usize) -> Vec<Suggestion> {
        let limit = limit.min(MAX_SUGGESTIONS);
        let found = match self.find(q) {
            Found::All => return Vec::new(),
            found @ Found::Scores(_) => found,
        };
        let mut keys = self.ordered(&found, &Query::default());
        if SUGGESTION_POOL < keys.len() {
            keys.select_nth_unstable(SUGGESTION_POOL);
            keys.truncate(SUGGESTION_POOL);
        }
        keys.sort_unstable();
        let mut suggestions: Vec<Suggestion> = Vec::with_capacity(limit);
        for event in keys.into_iter().filter_map(|key| self.event_of_key(key)) {
            if suggestions.len() == limit {
                break;
            }
            if suggestions.iter().all(|known| known.title != event.title) {
                suggestions.push(Suggestion {
                    title: event.title.clone(),
                    event_id: event.id.clone(),
                    place: event.place.clone(),
                });
            }
        }
        suggestions
    }

    /// Every day of a month (`YYYY-MM`) with the events whose run includes it, most wanted first, at most
    /// [`MAX_CALENDAR_EVENTS_PER_DAY`] each. Nothing for what is no month.
    pub fn calendar(&self, month: &str) -> Vec<(String, Vec<&CatalogEvent>)> {
        let Some(first) = parse_date(&format!("{month}-01")) else { return Vec::new() };
        let length = days_in(first.month(), first.year());
        let mut days: Vec<(String, Vec<&CatalogEvent>)> = (0..length)
            .filter_map(|n| first.checked_add(time::Duration::days(n)))
            .map(|day| (iso_date(day), Vec::new()))
            .collect();
        let first = first.to_julian_day();
        for &number in &self.by_popularity {
            let Some((event, row)) = self.numbered(number) else { continue };
            for (day, (_, events)) in (first..).zip(&mut days) {
                if events.len() < MAX_CALENDAR_EVENTS_PER_DAY && row.dates.overlaps(Some(day), Some(day)) {
                    events.push(event);
                }
            }
        }
        days
    }

    fn numbered(&self, number: u32) -> Option<(&CatalogEvent, &Row)> {
        self.events.get(number as usize).zip(self.rows.get(number as usize))
    }

    /// The events that pass the query's filters, as sort keys: score (inverted), rank, event number.
    fn ordered(&self, found: &Found, query: &Query) -> Vec<u128> {
        let (from, to) = (query.date_from.map(Date::to_julian_day), query.date_to.map(Date::to_julian_day));
        let wanted = |filter: &Option<String>| filter.as_deref().map(bounded).filter(|text| !text.trim().is_empty());
        let categories: Option<Vec<bool>> = wanted(&query.category).map(|category| {
            let category = normalise(&category);
            self.categories.texts().map(|text| text == category).collect()
        });
        let places: Option<Vec<bool>> = wanted(&query.place).map(|place| {
            let pattern = Pattern::new(&normalise(&place), false);
            self.places.scores(&pattern).into_iter().map(|score| score > 0).collect()
        });
        let passes = |filter: &Option<Vec<bool>>, value: u32| {
            filter.as_ref().is_none_or(|filter| filter.get(value as usize).copied().unwrap_or(false))
        };
        let mut keys = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            let score = match found {
                Found::All => 0,
                Found::Scores(scores) => match scores.get(number).copied() {
                    None | Some(0) => continue,
                    Some(score) => score,
                },
            };
            if !row.dates.overlaps(from, to) || !passes(&categories, row.category) || !passes(&places, row.place) {
                continue;
            }
            let (score, rank) = match query.sort {
                Sort::Relevance => (score, row.rank_popular),
                Sort::Popularity => (0, row.rank_popular),
                Sort::Date => (0, row.rank_date),
                Sort::Price => (0, row.rank_price),
            };
            keys.push(u128::from(u32::MAX - score) << 64 | u128::from(rank) << 32 | number as u128);
        }
        keys
    }

    fn event_of_key(&self, key: u128) -> Option<&CatalogEvent> {
        self.events.get(usize::try_from(key & u128::from(u32::MAX)).ok()?)
    }

    /// Finds a text as typed; failing that with a category split off; failing that in the other keyboard layout.
    fn find(&self, q: &str) -> Found {
        if q.trim().is_empty() {
            return Found::All;
        }
        let q = bounded(q);
        let mut attempts = vec![q.clone()];
        if q.chars().any(|c| c.is_ascii_alphabetic()) {
            attempts.push(from_qwerty(&q));
            // Caps Lock doubles the consonants of a layout that has no capitals.
            attempts.push(from_qwerty(&q.to_ascii_lowercase()));
        }
        if !q.is_ascii() {
            attempts.push(to_qwerty(&q));
        }
        for attempt in attempts {
            let words: Vec<String> =
                attempt.split_whitespace().map(normalise).filter(|word| !word.is_empty()).take(MAX_WORDS).collect();
            if let Some(scores) = self.find_words(&words) {
                return Found::Scores(scores);
            }
            let split = self.split_categories(&words);
            if let Some(scores) = split.and_then(|words| self.find_words(&words)) {
                return Found::Scores(scores);
            }
        }
        Found::Scores(Vec::new())
    }

    /// 뮤지컬레미제라블 as 뮤지컬 레미제라블; none when no word begins with a category.
    fn split_categories(&self, words: &[String]) -> Option<Vec<String>> {
        let categories: Vec<String> = self.categories.texts().filter(|text| !text.is_empty()).take(64).collect();
        let mut out = Vec::with_capacity(words.len() + 1);
        for word in words {
            let split = categories.iter().find_map(|category| {
                word.strip_prefix(category.as_str()).filter(|rest| !rest.is_empty()).map(|rest| (category, rest))
            });
            match split {
                Some((category, rest)) => out.extend([category.clone(), rest.to_owned()]),
                None => out.push(word.clone()),
            }
        }
        (out.len() > words.len()).then_some(out)
    }

    /// The score of each event for all words together; none when no event has all of them.
    fn find_words(&self, words: &[String]) -> Option<Vec<u32>> {
        if words.is_empty() {
            return None;
        }
        let mut scores = vec![0_u32; self.rows.len()];
        for (n, word) in words.iter().enumerate() {
            let pattern = Pattern::new(word, n + 1 == words.len());
            let titles = self.titles.scores(&pattern);
            let categories = self.categories.scores(&pattern);
            let places = self.places.scores(&pattern);
            let value = |scores: &[u32], value: u32| scores.get(value as usize).copied().unwrap_or(0);
            for (slot, row) in scores.iter_mut().zip(&self.rows) {
                if n > 0 && *slot == 0 {
                    continue;
                }
                let best = value(&titles, row.title)
                    .max(value(&categories, row.category) / OTHER_FIELD_SHARE)
                    .max(value(&places, row.place) / OTHER_FIELD_SHARE);
                *slot = if best == 0 { 0 } else { *slot + best };
            }
        }
        if words.len() > 1 {
            // The words next to each other in the title, however they are spaced there.
            let titles = self.titles.scores(&Pattern::new(&words.concat(), true));
            let weight = u32::try_from(words.len()).unwrap_or(u32::MAX);
            for (slot, row) in scores.iter_mut().zip(&self.rows) {
                let joined = titles.get(row.title as usize).copied().unwrap_or(0);
                *slot = (*slot).max(joined.saturating_mul(weight));
            }
        }
        scores.iter().any(|score| *score > 0).then_some(scores)
    }
}

/// A match in the category or the place is worth this part of one in the title.
const OTHER_FIELD_SHARE: u32 = 4;

fn bounded(text: &str) -> String {
    text.chars().take(MAX_QUERY_CHARS).collect()
}

fn days_in(month: Month, year: i32) -> i64 {
    i64::from(month.length(year))
}
