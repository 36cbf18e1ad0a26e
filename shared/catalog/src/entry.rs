//! One event as the catalogue knows it: what lists, search results and rankings show without asking anyone.

use serde::{Deserialize, Serialize};

use crate::import::{ImportEvent, iso_date};

/// How many characters of a description a list carries.
pub const MAX_SHORT_DESCRIPTION_CHARS: usize = 120;

/// An event, flattened to what a list or a search result needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogEvent {
    /// The event's id, a UUID as text.
    pub id: String,
    /// The title as printed on the poster.
    pub title: String,
    /// 뮤지컬, 연극, 콘서트 and so on.
    pub category: String,
    /// The hall.
    pub place: String,
    /// The first sentence or so of the description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description_short: Option<String>,
    /// First day of the run, `YYYY-MM-DD`, in Asia/Seoul.
    pub starts_on: String,
    /// Last day of the run, `YYYY-MM-DD`, in Asia/Seoul.
    pub ends_on: String,
    /// The cheapest seat.
    pub min_price_krw: i64,
    /// The dearest seat.
    pub max_price_krw: i64,
    /// Who may watch: 전체관람가, 만 7세 이상 and so on.
    pub rating: String,
    /// How long a performance takes.
    pub runtime_min: u32,
    /// A measure of demand; only its order matters.
    pub popularity: u32,
    /// The next performance that can be booked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_performance_id: Option<String>,
    /// How many performances the run has.
    pub performances: u32,
}

impl CatalogEvent {
    /// The catalogue's view of an imported event.
    pub fn from_import(id: String, event: &ImportEvent, popularity: u32) -> Self {
        let prices = || event.grades.iter().map(|grade| grade.price_krw);
        Self {
            id,
            title: event.title.clone(),
            category: event.category.clone(),
            place: event.place.clone(),
            description_short: short_description(&event.description),
            starts_on: iso_date(event.starts_on),
            ends_on: iso_date(event.ends_on),
            min_price_krw: prices().min().unwrap_or(0),
            max_price_krw: prices().max().unwrap_or(0),
            rating: event.rating.clone(),
            runtime_min: event.runtime_min,
            popularity,
            next_performance_id: None,
            performances: u32::try_from(event.performances.len()).unwrap_or(u32::MAX),
        }
    }
}

/// The beginning of a description, cut at a character boundary with an ellipsis; none when there is no text.
pub fn short_description(description: &str) -> Option<String> {
    let text = description.trim();
    if text.is_empty() {
        return None;
    }
    if text.chars().count() <= MAX_SHORT_DESCRIPTION_CHARS {
        return Some(text.to_owned());
    }
    let mut short: String = text.chars().take(MAX_SHORT_DESCRIPTION_CHARS - 1).collect();
    short.push('…');
    Some(short)
}
