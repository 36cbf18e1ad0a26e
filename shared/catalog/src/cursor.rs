//! Where a page of results ended: the sort key and the id of its last event, so that the next page goes on there even if
//! the catalogue changed meanwhile.

use std::fmt;

use time::Date;
use uuid::Uuid;

use crate::query::Sort;

/// How long a cursor is as text.
const CURSOR_CHARS: usize = 1 + 8 + 8 + 32;

/// A place in an order of events. Opaque to clients: a text of 49 letters and digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) sort: Sort,
    pub(crate) place: Place,
}

/// A place in the order: first by one number, then by another, then by id. All ascend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) first: u32,
    pub(crate) second: u32,
    pub(crate) id: u128,
}

/// The event at which a page ended, by all that an order may go by.
#[derive(Debug, Clone, PartialEq)]
pub struct Last {
    /// What the text is worth.
    pub score: f32,
    /// How wanted it is.
    pub popularity: u32,
    /// Its first day.
    pub starts_on: Date,
    /// Its cheapest seat, in won.
    pub min_price_krw: u32,
    /// Its id, a UUID as text.
    pub id: String,
}

/// Julian days begin long before any event; this makes them positive.
const DAY_OFFSET: i64 = 2_000_000;

/// The higher the score, the sooner it comes: the bits of positive numbers sort as the numbers do.
pub(crate) fn by_score(score: f32) -> u32 {
    !score.max(0.0).to_bits()
}

/// The more wanted, the sooner.
pub(crate) fn by_demand(popularity: u32) -> u32 {
    !popularity
}

/// The earlier its Julian day, the sooner; what is over comes after all else.
pub(crate) fn by_day(julian_day: i64, is_over: bool) -> u32 {
    u32::from(is_over) << 31 | u32::try_from(julian_day + DAY_OFFSET).unwrap_or(0)
}

fn day_of(number: u32) -> Option<Date> {
    i32::try_from(i64::from(number & !(1 << 31)) - DAY_OFFSET).ok().and_then(|day| Date::from_julian_day(day).ok())
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { first, second, id } = self.place;
        write!(f, "{}{first:08x}{second:08x}{id:032x}", self.sort as u8)
    }
}

impl Cursor {
    /// The cursor of a page that ended with this event, where order is not by the clock; none for an id that is none.
    pub fn after(sort: Sort, last: &Last) -> Option<Self> {
        let (wanted, day) = (by_demand(last.popularity), by_day(last.starts_on.to_julian_day().into(), false));
        let (first, second) = match sort {
            Sort::Relevance => (by_score(last.score), wanted),
            Sort::Popularity => (wanted, day),
            Sort::Date => (day, wanted),
            Sort::Price => (last.min_price_krw, wanted),
        };
        let id = Uuid::parse_str(&last.id).ok()?.as_u128();
        Some(Self { sort, place: Place { first, second, id } })
    }

    /// The event it is after, as far as its order goes by it; what it does not go by is zero, or the last day there is.
    pub fn last(&self) -> Last {
        let Place { first, second, id } = self.place;
        let id = Uuid::from_u128(id).to_string();
        let none = Last { score: 0.0, popularity: !second, starts_on: Date::MAX, min_price_krw: 0, id };
        let day = |number| day_of(number).unwrap_or(Date::MAX);
        match self.sort {
            // A cursor that nobody was given may say anything.
            Sort::Relevance => {
                let score = f32::from_bits(!first);
                Last { score: if score.is_finite() { score } else { 0.0 }, ..none }
            }
            Sort::Popularity => Last { popularity: !first, starts_on: day(second), ..none },
            Sort::Date => Last { starts_on: day(first), ..none },
            Sort::Price => Last { min_price_krw: first, ..none },
        }
    }

    /// Reads what [`Cursor::to_string`] wrote, for a query in the same order; none for anything else.
    pub fn parse(text: &str, sort: Sort) -> Option<Self> {
        let plain = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() != CURSOR_CHARS || !plain || text.get(..1)? != (sort as u8).to_string() {
            return None;
        }
        let number = |from: usize, to: usize| u32::from_str_radix(text.get(from..to)?, 16).ok();
        let place =
            Place { first: number(1, 9)?, second: number(9, 17)?, id: u128::from_str_radix(text.get(17..)?, 16).ok()? };
        Some(Self { sort, place })
    }
}
