//! What is asked of a seat book and what it answers: plain data.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{HoldId, OrderId, SeatIndex, Timestamp, UserId};

/// What the public may know of a seat: two bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatState {
    /// Free to take.
    Available = 0,
    /// Held or ordered by someone.
    Held = 1,
    /// Sold.
    Sold = 2,
    /// Not for sale.
    Blocked = 3,
}

impl SeatState {
    /// From its two bits; other bits are ignored.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Available,
            1 => Self::Held,
            2 => Self::Sold,
            _ => Self::Blocked,
        }
    }
}

/// One step of a performance, or several made together: the seats that changed and what they became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The version after it.
    pub version: i64,
    /// The seats, in the order asked for, with their new state. No seat is in it twice.
    pub seats: Vec<(SeatIndex, SeatState)>,
}

/// Seats kept for a buyer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// Who holds.
    pub user: UserId,
    /// What is held, ascending. Never empty.
    pub seats: Vec<SeatIndex>,
    /// Grows with every hold and swap of the performance; SQL refuses a lower one than it has seen.
    pub fence: i64,
    /// When it ends. Means nothing once it is an order.
    pub until: Timestamp,
    /// Whether its end was put off, which is done once.
    pub extended: bool,
    /// The order it became, if it did.
    pub order: Option<Ordered>,
}

/// That a hold became an order, and when the book heard so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// The order.
    pub id: OrderId,
    /// Since when. For an order that was loaded or corrected from SQL, the moment of that.
    pub since: Timestamp,
}

impl Hold {
    /// The id of the order it became, if it did.
    pub fn order_id(&self) -> Option<OrderId> {
        self.order.map(|o| o.id)
    }
}

/// What is asked for when holding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    /// The id the hold will have.
    pub id: HoldId,
    /// Who asks.
    pub user: UserId,
    /// The seats, checked to be distinct, in the hall and ascending.
    pub seats: Vec<SeatIndex>,
    /// The client's idempotency key.
    pub key: String,
    /// A digest of the request the key was first used with.
    pub digest: String,
    /// How long to hold.
    pub ttl_ms: i64,
    /// The most seats this buyer may have here at once: held, ordered and bought together.
    pub limit: usize,
}

/// What is asked for when exchanging seats of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwapRequest {
    /// The hold.
    pub hold: HoldId,
    /// Who asks.
    pub user: UserId,
    /// Seats of the hold to give back, distinct and ascending.
    pub give: Vec<SeatIndex>,
    /// Seats to take, distinct and ascending.
    pub take: Vec<SeatIndex>,
    /// The client's idempotency key.
    pub key: String,
    /// A digest of the request the key was first used with.
    pub digest: String,
    /// The most seats this buyer may have here at once: held, ordered and bought together.
    pub limit: usize,
    /// The most seats one hold may grow to.
    pub hold_limit: usize,
}

/// What is asked for when putting the end of a hold off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendRequest {
    /// The hold.
    pub hold: HoldId,
    /// Who asks.
    pub user: UserId,
    /// The client's idempotency key.
    pub key: String,
    /// A digest of the request the key was first used with.
    pub digest: String,
    /// How long to hold from now on.
    pub ttl_ms: i64,
}

/// What is asked for when giving a hold back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseRequest {
    /// The hold.
    pub hold: HoldId,
    /// Who asks.
    pub user: UserId,
    /// The client's idempotency key.
    pub key: String,
    /// A digest of the request the key was first used with.
    pub digest: String,
}

/// Why seats are not held. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldRefusal {
    /// Someone was faster: the seats in conflict.
    Taken(Vec<SeatIndex>),
    /// The buyer would have more than the limit.
    OverLimit,
    /// The idempotency key was used with another request.
    KeyReused,
    /// A seat is not in the hall, or none was named.
    NoSuchSeat,
}

/// Why a hold cannot be ordered, extended, exchanged or released. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldGone {
    /// Unknown, another's, released or expired.
    NotFound,
    /// Already an order.
    Ordered(OrderId),
}

/// Why a hold's end is not put off. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendRefusal {
    /// There is no such hold any more.
    Gone(HoldGone),
    /// It was put off before.
    Already,
    /// The idempotency key was used with another request.
    KeyReused,
}

/// Why a hold is not given back. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseRefusal {
    /// There is no such hold any more.
    Gone(HoldGone),
    /// The idempotency key was used with another request.
    KeyReused,
}

/// Why seats of a hold are not exchanged. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwapRefusal {
    /// There is no such hold any more.
    Gone(HoldGone),
    /// Seats to give back that the hold does not have.
    NotHeld(Vec<SeatIndex>),
    /// As for a hold. [`HoldRefusal::NoSuchSeat`] also where the hold would be left without seats.
    Seats(HoldRefusal),
}

/// Why seats are not blocked. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockRefusal {
    /// Seats that someone holds, ordered or bought.
    Taken(Vec<SeatIndex>),
    /// A seat is not in the hall.
    NoSuchSeat,
}

/// The state of all seats at a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The version.
    pub version: i64,
    /// Each seat's state, by index.
    pub seats: Vec<SeatState>,
}

/// All that a book says of who has what, read in one step: what a reconciler compares with SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The version.
    pub version: i64,
    /// Each seat's state, by index.
    pub seats: Vec<SeatState>,
    /// Every hold, ordered or not, by id. One that has ended may still be there until it is freed.
    pub holds: Vec<Hold>,
}

/// What an order has bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// The buyer.
    pub user: UserId,
    /// The seats. Never empty.
    pub seats: BTreeSet<SeatIndex>,
}

/// A seat that SQL says is an order's or sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The seat.
    pub seat: SeatIndex,
    /// Sold, or only ordered.
    pub sold: bool,
    /// The order that has it.
    pub order: OrderId,
    /// The hold which became that order.
    pub hold: HoldId,
    /// The buyer.
    pub user: UserId,
    /// The fence it was claimed with.
    pub fence: i64,
}

/// What a book is made from: all that SQL knows of a performance's seats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// How many seats there are.
    pub seat_count: u32,
    /// The seats that orders have.
    pub claims: Vec<Claim>,
    /// The seats that are not for sale. A claim on one of them is stronger.
    pub blocked: Vec<SeatIndex>,
    /// The highest fence SQL has seen, of given-back seats too.
    pub fence_floor: i64,
}

/// What SQL says a seat is, where the book says something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    /// Free to take.
    Free(SeatIndex),
    /// Not for sale.
    Block(SeatIndex),
    /// An order's.
    Claim(Claim),
}

impl Correction {
    /// The seat it is about.
    pub const fn seat(&self) -> SeatIndex {
        match self {
            Self::Free(seat) | Self::Block(seat) => *seat,
            Self::Claim(claim) => claim.seat,
        }
    }
}
