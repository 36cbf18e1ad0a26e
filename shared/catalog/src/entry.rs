//! One event as the catalogue knows it: what lists, search results and rankings show without asking anyone.

use nugul_domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::import::{ImportEvent, iso_date};

/// An event, flattened to what a list or a search result needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CatalogEvent {
    /// The event's id, a UUID as text.
    #[cfg_attr(feature = "openapi", schema(format = Uuid))]
    pub id: String,
    /// The title as printed on the poster.
    pub title: String,
    /// The title in English or in Latin letters, where the organiser gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title_en: Option<String>,
    /// 뮤지컬, 연극, 콘서트 and so on.
    pub category: String,
    /// The hall.
    pub place: String,
    /// The city or province of the hall. Where absent, the builder looks the hall up in the file of places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Who performs, the best known first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cast: Vec<String>,
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
    #[serde(default)]
    pub popularity: u32,
    /// How many performances the run has.
    #[serde(default)]
    pub performances: u32,
    /// When the first sale opens, to the second; none where nothing is to be sold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub sales_open_at: Option<Timestamp>,
    /// When the last sale closes, to the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub sales_close_at: Option<Timestamp>,
    /// How many tickets their holders offer for transfer.
    #[serde(default)]
    pub transferable: u32,
}

impl CatalogEvent {
    /// The catalogue's view of an imported event, on sale from the epoch until its last performance begins.
    pub fn from_import(id: String, event: &ImportEvent, popularity: u32) -> Self {
        let prices = || event.grades.iter().map(|grade| grade.price_krw);
        let last = event.performances.iter().max().map(|at| at.unix_timestamp());
        Self {
            id,
            title: event.title.clone(),
            title_en: event.title_en.clone(),
            category: event.category.clone(),
            place: event.place.clone(),
            cast: event.cast.clone(),
            starts_on: iso_date(event.starts_on),
            ends_on: iso_date(event.ends_on),
            min_price_krw: prices().min().unwrap_or(0),
            max_price_krw: prices().max().unwrap_or(0),
            rating: event.rating.clone(),
            runtime_min: event.runtime_min,
            popularity,
            performances: u32::try_from(event.performances.len()).unwrap_or(u32::MAX),
            sales_open_at: last.map(|_| Timestamp::from_millis(0)),
            sales_close_at: last.map(|at| Timestamp::from_millis(at.saturating_mul(1_000))),
            ..Self::default()
        }
    }

    /// Whether seats can be bought at `now`.
    pub fn is_on_sale(&self, now: Timestamp) -> bool {
        self.sales_open_at.is_some_and(|at| at <= now) && self.sales_close_at.is_some_and(|at| now < at)
    }
}
