//! Events and performances: what can be bought.

use nugul_domain::{EventId, Grade, PerformanceId, SeatIndex, Timestamp, event::BuyerLimits};
use serde::{Deserialize, Serialize};

/// `POST events`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewEvent {
    /// 1 to 120 characters.
    pub title: String,
    /// The title in English or in Latin letters, 1 to 120 characters; searches find the event by it. Absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title_en: Option<String>,
    /// 뮤지컬, 연극, 콘서트 …
    pub category: String,
    /// Where.
    pub place: String,
    /// Who performs, the best known first: up to 64 names of 1 to 80 characters, none twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cast: Vec<String>,
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
    /// How many seats one buyer may have; the usual limits where absent.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BuyerLimitsSchema))]
    pub limits: BuyerLimits,
    /// Whether its seats are shown to who is logged in alone; to everyone where absent.
    #[serde(default)]
    pub members_only: bool,
}

/// How many seats one buyer may have, as OpenAPI describes it; the type itself is the domain's.
#[cfg(feature = "openapi")]
#[derive(utoipa::ToSchema)]
#[schema(as = BuyerLimits)]
pub struct BuyerLimitsSchema {
    /// In one hold, 1 to 20.
    pub hold_seats_max: u32,
    /// In one performance, held, ordered and ticketed together, 1 to 20.
    pub performance_seats_max: u32,
    /// In all performances of the event, 1 to 20.
    pub event_seats_max: u32,
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
    /// When sales close; when it begins where absent.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub sales_close_at: Option<Timestamp>,
}

/// `PATCH performances/{id}`: what is absent stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PerformanceChange {
    /// When sales open.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub sales_open_at: Option<Timestamp>,
    /// When sales close.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub sales_close_at: Option<Timestamp>,
}

/// `PUT performances/{id}/blocked-seats`: exactly these seats are not for sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BlockedSeats {
    /// Their indexes.
    #[serde(default)]
    pub seats: Vec<SeatIndex>,
    /// First and last index of whole stretches, for requests alone: a stadium's side in a few bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<u32>>))]
    pub ranges: Vec<(SeatIndex, SeatIndex)>,
}

/// `POST performances/{id}/cancellation`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewCancellation {
    /// What buyers are told, up to 200 characters.
    pub reason: String,
}

/// How far the cancellation of a performance is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cancellation {
    /// What buyers are told.
    pub reason: String,
    /// When it was cancelled.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub cancelled_at: Timestamp,
    /// Tickets whose money is on its way.
    pub refunded: i64,
    /// Tickets and orders still to be dealt with.
    pub remaining: i64,
    /// When the last was dealt with.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub finished_at: Option<Timestamp>,
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
    /// The title in English or in Latin letters, where the organiser gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title_en: Option<String>,
    /// Who performs, the best known first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cast: Vec<String>,
    /// In the organiser's words.
    pub description: String,
    /// The running time in minutes.
    pub runtime_min: u32,
    /// Who may see it.
    pub rating: String,
    /// The hall from the stage back.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<GradeSchema>))]
    pub grades: Vec<Grade>,
    /// How many seats one buyer may have.
    #[cfg_attr(feature = "openapi", schema(value_type = BuyerLimitsSchema))]
    pub limits: BuyerLimits,
    /// Whether its seats are shown to who is logged in alone.
    #[serde(default)]
    pub members_only: bool,
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
    /// When sales close.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub sales_close_at: Timestamp,
    /// Whether the organiser cancelled it.
    pub cancelled: bool,
}

impl PerformanceSummary {
    /// Whether seats can be bought at `now`.
    pub fn is_on_sale(&self, now: Timestamp) -> bool {
        !self.cancelled && self.sales_open_at <= now && now < self.sales_close_at && now < self.starts_at
    }
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
    /// How many seats one buyer may have.
    #[cfg_attr(feature = "openapi", schema(value_type = BuyerLimitsSchema))]
    pub limits: BuyerLimits,
    /// Whether its seats are shown to who is logged in alone: its stream needs a ticket of `performances/{id}/stream-tickets`.
    #[serde(default)]
    pub members_only: bool,
    /// Names the hall's layout: a hold that says another is refused, because its indexes may mean other seats.
    pub seat_map_version: String,
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
