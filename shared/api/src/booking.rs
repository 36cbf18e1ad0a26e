//! Holds, orders and tickets.

use nugul_domain::{
    HoldId, Krw, OrderId, PerformanceId, RefundId, SeatIndex, TicketId, Timestamp, order::OrderState,
    refund::RefundState,
};
use serde::{Deserialize, Serialize};

use crate::catalogue::EventSummary;

/// `POST performances/{id}/holds`: exactly one of the two.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewHold {
    /// These seats, all or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats: Option<Vec<SeatIndex>>,
    /// The best seats side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<BestSeats>,
    /// The seat map the indexes are of, as the performance named it. Not checked where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat_map_version: Option<String>,
}

/// `POST holds/{id}/swap`: all or nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SwapSeats {
    /// Seats of the hold that are given back.
    pub give: Vec<SeatIndex>,
    /// Seats taken instead.
    pub take: Vec<SeatIndex>,
}

/// Which seats are wanted where the buyer leaves the choice to us.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BestSeats {
    /// The grade.
    pub grade: String,
    /// How many, side by side.
    pub count: u32,
}

/// A seat with what it is called and costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeatInfo {
    /// Its dense index.
    pub index: SeatIndex,
    /// `R석 12열 7번`.
    pub label: String,
    /// Its grade.
    pub grade: String,
    /// Its price.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub price_krw: Krw,
}

/// Which performance something is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PerformanceRef {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub id: PerformanceId,
    /// When it begins.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub starts_at: Timestamp,
    /// What is performed.
    pub event: EventSummary,
}

/// Seats kept for a buyer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Hold {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub id: HoldId,
    /// For which performance.
    pub performance: PerformanceRef,
    /// The seats.
    pub seats: Vec<SeatInfo>,
    /// What they cost together.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub total_krw: Krw,
    /// When it ends.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
    /// Whether its end was put off: it is once.
    pub extended: bool,
    /// Its fencing number.
    pub fence: i64,
}

/// `POST orders`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewOrder {
    /// The hold that becomes the order.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub hold_id: HoldId,
}

/// `POST orders/{id}/confirm`: what Toss gave the buyer on the way back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConfirmOrder {
    /// Toss's key of the payment, up to 200 characters.
    pub payment_key: String,
    /// The amount the buyer agreed to.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub amount_krw: Krw,
}

/// A purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Order {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub id: OrderId,
    /// `pending`, `confirming`, `paid`, `declined`, `expired`, `cancelled` or `refunded`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub state: OrderState,
    /// For which performance.
    pub performance: PerformanceRef,
    /// The seats.
    pub seats: Vec<SeatInfo>,
    /// What they cost together.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub total_krw: Krw,
    /// What the payment page calls it.
    pub name: String,
    /// Until when it can be paid.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub pay_before: Timestamp,
    /// Why the payment was declined, in Toss's words.
    pub decline_reason: Option<String>,
    /// The tickets, once paid.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub tickets: Vec<TicketId>,
}

/// A right to one seat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ticket {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub id: TicketId,
    /// The order it came from.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub order_id: OrderId,
    /// For which performance.
    pub performance: PerformanceRef,
    /// The seat; its price is the face value.
    pub seat: SeatInfo,
    /// When it was issued.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub issued_at: Timestamp,
    /// The text in the entry QR code: a token anyone can verify with the published key. Empty while a refund is under
    /// way: the ticket opens no gate.
    pub entry_token: String,
    /// What giving it back would mean now; absent once the performance has begun or a refund is under way.
    pub refund_terms: Option<RefundTerms>,
}

/// What giving a ticket back means at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefundTerms {
    /// Kept.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub fee_krw: Krw,
    /// Given back.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub amount_krw: Krw,
    /// Accepted at once; otherwise the organiser decides.
    pub by_rule: bool,
}

/// `POST tickets/{id}/refund-requests`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewRefund {
    /// Why, in the holder's words, up to 200 characters; may be empty.
    pub reason: String,
    /// The amount the holder was shown, so that a fee that changed meanwhile is not a surprise.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub amount_krw: Krw,
}

/// A ticket's money on its way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Refund {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub id: RefundId,
    /// The ticket.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub ticket_id: TicketId,
    /// For which performance.
    pub performance: PerformanceRef,
    /// The seat; its price is the face value.
    pub seat: SeatInfo,
    /// `requested`, `refunding`, `refunded` or `declined`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub state: RefundState,
    /// Kept.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub fee_krw: Krw,
    /// Given back.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub amount_krw: Krw,
    /// Why, in the asker's words.
    pub reason: String,
    /// When it was asked for.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub requested_at: Timestamp,
}

/// `GET admin/seat-corrections`: a seat of the live state that was not what SQL says, and what was made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeatCorrection {
    /// Its id.
    pub id: String,
    /// Of which performance.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub performance_id: PerformanceId,
    /// The seat.
    pub seat: SeatIndex,
    /// What it was in the live state: available, held, sold or blocked.
    pub found: String,
    /// What it is now.
    pub made: String,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub corrected_at: Timestamp,
}

/// Something that can never be delivered or applied, put aside for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Parked {
    /// Its id.
    pub id: String,
    /// `outbox`: a message that was to go out. `results`: a result of the payment service.
    pub source: String,
    /// What names it there: the message's id, the result's offset.
    pub subject: String,
    /// The order or hold it is about.
    pub about: String,
    /// Why it can never be done.
    pub reason: String,
    /// When it was put aside.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub parked_at: Timestamp,
}
