//! What runs on each day of a month.

use time::Duration;

use crate::entry::CatalogEvent;
use crate::import::{iso_date, parse_date};
use crate::index::{Col, Index};

/// Most events that one day of the calendar lists.
pub const MAX_EVENTS_PER_DAY: usize = 20;

/// A day with what runs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// How many events run.
    pub count: usize,
    /// The most wanted of them, at most [`MAX_EVENTS_PER_DAY`].
    pub events: Vec<CatalogEvent>,
}

/// Every day of a month (`YYYY-MM`) with the events whose run includes it; none for what is no month.
pub fn calendar(indexes: &[&Index], month: &str) -> Option<Vec<Day>> {
    let first = parse_date(&format!("{month}-01"))?;
    let length = i64::from(first.month().length(first.year()));
    let dates: Vec<_> = (0..length).filter_map(|n| first.checked_add(Duration::days(n))).collect();
    let first = i64::from(first.to_julian_day());
    let mut running: Vec<(i64, i64, &Index, usize)> = Vec::new();
    for index in indexes {
        for n in 0..index.len() {
            let (starts, ends) = (index.number(Col::Starts, n), index.number(Col::Ends, n));
            if starts < first + length && ends >= first {
                running.push((-index.number(Col::Popularity, n), starts, index, n));
            }
        }
    }
    // Stable: what is equal stays in the order of ids.
    running.sort_by_key(|(wanted, starts, ..)| (*wanted, *starts));
    let days = (first..).zip(dates).map(|(day, date)| {
        let on =
            |(_, starts, index, n): &&(i64, i64, &Index, usize)| *starts <= day && index.number(Col::Ends, *n) >= day;
        let events = running.iter().filter(on).take(MAX_EVENTS_PER_DAY).map(|(_, _, index, n)| index.event(*n));
        Day { date: iso_date(date), count: running.iter().filter(on).count(), events: events.collect() }
    });
    Some(days.collect())
}
