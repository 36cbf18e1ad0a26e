//! Where the live state of seats is kept: in this process, or in Redis that all replicas share.
//!
//! The rules are the domain's [`SeatBook`](nugul_domain::seat_book::SeatBook). Memory runs it; Redis runs scripts that
//! repeat it step by step. One suite compares all three. What is kept here may be lost at any moment: SQL is the truth,
//! and a book that is not there is loaded from it.

pub mod memory;
pub mod redis;

use std::{fmt, time::Duration};

use nugul_domain::{
    HoldId, OrderId, PerformanceId, SeatIndex, SeatState, UserId,
    seat_book::{Change, Claim, Hold, HoldGone, HoldRefusal, HoldRequest, Snapshot},
};

/// Why the store could not answer. Whether a change was made is unknown, except for [`Error::NotLoaded`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The performance's book is not there: read SQL, [`Seats::load`], try again. Nothing was changed.
    NotLoaded,
    /// The store did not answer in time, or not at all.
    Unavailable(String),
    /// The store's answer makes no sense.
    Answer(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoaded => f.write_str("the performance's seats are not loaded"),
            Self::Unavailable(why) => write!(f, "the seat store is unavailable: {why}"),
            Self::Answer(what) => write!(f, "the seat store's answer makes no sense: {what}"),
        }
    }
}

impl std::error::Error for Error {}

/// Where the live state of seats is kept. Clones share it.
#[derive(Clone)]
pub enum Seats {
    /// In this process.
    Memory(memory::MemorySeats),
    /// In Redis.
    Redis(redis::RedisSeats),
}

impl Seats {
    /// Kept in this process, with time from `clock`.
    pub fn memory(clock: memory::Clock) -> Self {
        Self::Memory(memory::MemorySeats::new(clock))
    }

    /// Kept in Redis at `url`, with Redis' time. Redis must not evict keys (`maxmemory-policy noeviction`).
    pub async fn redis(url: &str) -> Result<Self, Error> {
        redis::RedisSeats::connect(url).await.map(Self::Redis)
    }

    /// Makes the book of a performance from what SQL knows. No effect where it is already there.
    pub async fn load(
        &self,
        performance: PerformanceId,
        seat_count: u32,
        claims: &[Claim],
        fence_floor: i64,
    ) -> Result<(), Error> {
        match self {
            Self::Memory(m) => {
                m.load(performance, seat_count, claims, fence_floor);
                Ok(())
            }
            Self::Redis(r) => r.load(performance, seat_count, claims, fence_floor).await,
        }
    }

    /// The state of all seats, and its version.
    pub async fn snapshot(&self, performance: PerformanceId) -> Result<Snapshot, Error> {
        match self {
            Self::Memory(m) => m.snapshot(performance),
            Self::Redis(r) => r.snapshot(performance).await,
        }
    }

    /// The changes after `version`, oldest first; `None` where a snapshot is needed.
    pub async fn changes_after(&self, performance: PerformanceId, version: i64) -> Result<Option<Vec<Change>>, Error> {
        match self {
            Self::Memory(m) => m.changes_after(performance, version),
            Self::Redis(r) => r.changes_after(performance, version).await,
        }
    }

    /// Takes all the seats or none.
    pub async fn hold(
        &self,
        performance: PerformanceId,
        request: HoldRequest,
    ) -> Result<Result<Hold, HoldRefusal>, Error> {
        match self {
            Self::Memory(m) => m.hold(performance, request),
            Self::Redis(r) => r.hold(performance, request).await,
        }
    }

    /// A hold that is live or an order, and its performance.
    pub async fn find_hold(&self, id: HoldId) -> Result<Option<(PerformanceId, Hold)>, Error> {
        match self {
            Self::Memory(m) => Ok(m.find_hold(id)),
            Self::Redis(r) => r.find_hold(id).await,
        }
    }

    /// Turns a live hold of `user` into `order`: the clock no longer frees its seats.
    pub async fn order(
        &self,
        performance: PerformanceId,
        hold: HoldId,
        user: UserId,
        order: OrderId,
    ) -> Result<Result<Hold, HoldGone>, Error> {
        match self {
            Self::Memory(m) => m.order(performance, hold, user, order),
            Self::Redis(r) => r.order(performance, hold, user, order).await,
        }
    }

    /// SQL refused `order`: the seats of its hold become available. No effect where the hold is not that order.
    pub async fn undo_order(&self, performance: PerformanceId, hold: HoldId, order: OrderId) -> Result<(), Error> {
        match self {
            Self::Memory(m) => m.undo_order(performance, hold, order),
            Self::Redis(r) => r.undo_order(performance, hold, order).await,
        }
    }

    /// Gives a hold of `user` back before it is ordered.
    pub async fn release(
        &self,
        performance: PerformanceId,
        hold: HoldId,
        user: UserId,
    ) -> Result<Result<(), HoldGone>, Error> {
        match self {
            Self::Memory(m) => m.release(performance, hold, user),
            Self::Redis(r) => r.release(performance, hold, user).await,
        }
    }

    /// What became of an order's seats. Seats already so are not announced again.
    pub async fn settle(
        &self,
        performance: PerformanceId,
        hold: HoldId,
        seats: &[SeatIndex],
        state: SeatState,
    ) -> Result<(), Error> {
        match self {
            Self::Memory(m) => m.settle(performance, hold, seats, state),
            Self::Redis(r) => r.settle(performance, hold, seats, state).await,
        }
    }

    /// Frees expired holds of the performances this process has asked about, and tells how many. For a ticker.
    pub async fn expire_due(&self) -> Result<usize, Error> {
        match self {
            Self::Memory(m) => Ok(m.expire_due()),
            Self::Redis(r) => r.expire_due().await,
        }
    }

    /// Whether the store answers.
    pub async fn ping(&self) -> Result<(), Error> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Redis(r) => r.ping().await,
        }
    }

    /// Waits until the performance's version is no longer `after`, at most for `timeout`.
    pub async fn wait_change(&self, performance: PerformanceId, after: i64, timeout: Duration) -> Result<(), Error> {
        match self {
            Self::Memory(m) => m.wait_change(performance, after, timeout).await,
            Self::Redis(r) => r.wait_change(performance, after, timeout).await,
        }
    }
}
