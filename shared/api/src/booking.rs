//! Holds, orders and tickets.

use nugul_domain::{HoldId, Krw, OrderId, PerformanceId, SeatIndex, TicketId, Timestamp, order::OrderState};
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
    /// The text in the entry QR code: a token anyone can verify with the published key.
    pub entry_token: String,
}
