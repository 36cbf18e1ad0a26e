//! Events and performances: what can be bought.

use nugul_domain::{EventId, Grade, PerformanceId, Timestamp};
use serde::{Deserialize, Serialize};

/// `POST events`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewEvent {
    /// 1 to 120 characters.
    pub title: String,
    /// 뮤지컬, 연극, 콘서트 …
    pub category: String,
    /// Where.
    pub place: String,
    /// Up to 5,000 characters.
    pub description: String,
    /// The first day, `YYYY-MM-DD`.
    pub starts_on: String,
    /// The last day, `YYYY-MM-DD`.
    pub ends_on: String,
    /// The running time in minutes.
    pub runtime_min: u32,
    /// Who may see it: 전체관람가, 만 7세 이상 …
    pub rating: String,
    /// The hall from the stage back.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<GradeSchema>))]
    pub grades: Vec<Grade>,
}

/// A grade as OpenAPI describes it; the type itself is the domain's.
#[cfg(feature = "openapi")]
#[derive(utoipa::ToSchema)]
#[schema(as = Grade)]
pub struct GradeSchema {
    /// VIP, R, S, A or any other text.
    pub grade: String,
    /// The price of a seat in won.
    pub price_krw: i64,
    /// How many rows.
    pub rows: u32,
    /// How many seats in each row.
    pub seats_per_row: u32,
}

/// `POST events/{id}/performances`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewPerformance {
    /// When it begins.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub starts_at: Timestamp,
    /// When sales open; at once where absent.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub sales_open_at: Option<Timestamp>,
}

/// An event in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventSummary {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub id: EventId,
    /// Its title.
    pub title: String,
    /// 뮤지컬, 연극, 콘서트 …
    pub category: String,
    /// Where.
    pub place: String,
    /// The first day, `YYYY-MM-DD`.
    pub starts_on: String,
    /// The last day, `YYYY-MM-DD`.
    pub ends_on: String,
}

/// An event with all that is said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// What a list shows.
    #[serde(flatten)]
    pub summary: EventSummary,
    /// In the organiser's words.
    pub description: String,
    /// The running time in minutes.
    pub runtime_min: u32,
    /// Who may see it.
    pub rating: String,
    /// The hall from the stage back.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<GradeSchema>))]
    pub grades: Vec<Grade>,
    /// Its performances by time.
    pub performances: Vec<PerformanceSummary>,
}

/// A performance in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PerformanceSummary {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub id: PerformanceId,
    /// When it begins.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub starts_at: Timestamp,
    /// When sales open.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub sales_open_at: Timestamp,
}

/// A performance with what a seat page needs; the seats' states come from `performances/{id}/seats`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Performance {
    /// What a list shows.
    #[serde(flatten)]
    pub summary: PerformanceSummary,
    /// What is performed.
    pub event: EventSummary,
    /// The hall from the stage back.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<GradeSchema>))]
    pub grades: Vec<Grade>,
    /// The most seats one buyer may hold at once.
    pub hold_seats_max: u32,
}

/// `GET catalogue`: which index an edge should have in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CatalogueVersion {
    /// The content hash; the bytes are at `catalogue/{version}`.
    pub version: String,
}

/// `GET calendar?month=YYYY-MM`: a day with what runs on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CalendarDay {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// How many events run.
    pub count: u32,
    /// The first of them.
    pub events: Vec<EventSummary>,
}
