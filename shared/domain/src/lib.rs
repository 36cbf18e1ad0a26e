//! The rules of the product as pure code: no sockets, no clocks, no randomness of its own.
//!
//! Time and random bytes are passed in, so every rule can be replayed.

pub mod account;
pub mod event;
pub mod free_seats;
pub mod id;
pub mod money;
pub mod order;
pub mod payment_key;
pub mod ranking;
pub mod refund;
pub mod seat_book;
pub mod seat_map;
pub mod time;

pub use free_seats::FreeSeats;
pub use id::{EventId, HoldId, OrderId, PerformanceId, RefundId, Region, SearchJobId, TicketId, UserId};
pub use money::Krw;
pub use seat_book::SeatState;
pub use seat_map::{Grade, SeatIndex, SeatMap};
pub use time::Timestamp;
