//! Where the live state of seats is kept: in this process, or in Redis that all replicas share.
//!
//! The rules are the domain's [`SeatBook`](nugul_domain::seat_book::SeatBook). Memory runs it; Redis runs functions that
//! repeat it step by step. One suite compares all three. What is kept here may be lost at any moment: SQL is the truth,
//! and a book that is not there is loaded from it.

mod held;
pub mod memory;
mod pointers;
pub mod rankings;
pub mod redis;

use std::{fmt, time::Duration};

use nugul_domain::{
    EventId, HoldId, OrderId, PerformanceId, SeatIndex, SeatState, UserId,
    seat_book::{
        Audit, BlockRefusal, Change, Correction, ExtendRefusal, ExtendRequest, Hold, HoldGone, HoldRefusal,
        HoldRequest, Load, ReleaseRefusal, ReleaseRequest, Snapshot, SwapRefusal, SwapRequest,
    },
};
use nugul_points::{Planted, planted};

/// How long a hold's performance is found once it is an order, in milliseconds: longer than any order waits for its payment.
const ORDERED_POINTER_TTL_MS: i64 = 24 * 60 * 60 * 1000;
/// How much longer than a hold its performance is found, for answers under way, in milliseconds.
const POINTER_SPARE_MS: i64 = 60 * 1000;

/// Why the store could not answer. Whether a change was made is unknown, except for [`Error::NotLoaded`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The store's URL cannot be used; says why. Nothing was tried.
    Url(String),
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
            Self::Url(why) => write!(f, "the seat store's URL is not valid: {why}"),
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

    /// Loses everything that is kept in memory, as a Redis that was emptied.
    #[cfg(feature = "simulation")]
    pub fn lose_all(&self) {
        if let Self::Memory(m) = self {
            m.lose_all();
        }
    }

    /// Kept in Redis at `url`, with Redis' time: `redis://host:port`, `redis+sentinel://host:port,…/MASTER_NAME` or
    /// `redis+cluster://host:port,…`. Redis must not evict keys (`maxmemory-policy noeviction`).
    pub async fn redis(url: &str) -> Result<Self, Error> {
        redis::RedisSeats::connect(url).await.map(Self::Redis)
    }

    /// Makes the book of a performance from what SQL knows. No effect where it is already there.
    pub async fn load(&self, performance: PerformanceId, load: Load) -> Result<(), Error> {
        nugul_points::point("seats.load").await;
        match self {
            Self::Memory(m) => {
                m.load(performance, &load);
                Ok(())
            }
            Self::Redis(r) => r.load(performance, &load).await,
        }
    }

    /// The state of all seats, and its version.
    pub async fn snapshot(&self, performance: PerformanceId) -> Result<Snapshot, Error> {
        nugul_points::point("seats.snapshot").await;
        match self {
            Self::Memory(m) => m.snapshot(performance),
            Self::Redis(r) => r.snapshot(performance).await,
        }
    }

    /// The changes after `version`, oldest first; `None` where a snapshot is needed.
    pub async fn changes_after(&self, performance: PerformanceId, version: i64) -> Result<Option<Vec<Change>>, Error> {
        nugul_points::point("seats.changes_after").await;
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
        self.hold_expecting(performance, request, true).await
    }

    /// The same for seats that are probably taken: in Redis a refusal costs less then, and a success more.
    pub async fn hold_doubtful(
        &self,
        performance: PerformanceId,
        request: HoldRequest,
    ) -> Result<Result<Hold, HoldRefusal>, Error> {
        self.hold_expecting(performance, request, false).await
    }

    async fn hold_expecting(
        &self,
        performance: PerformanceId,
        request: HoldRequest,
        success: bool,
    ) -> Result<Result<Hold, HoldRefusal>, Error> {
        nugul_points::point("seats.hold").await;
        match self {
            Self::Memory(m) if planted(Planted::AnnounceApart) => {
                let held = m.hold(performance, request)?;
                nugul_points::point("seats.announce").await;
                m.announce(performance)?;
                Ok(held)
            }
            Self::Memory(m) => m.hold(performance, request),
            Self::Redis(r) => r.hold(performance, request, !success).await,
        }
    }

    /// Gives some seats of a hold back and takes others, in one change, or does nothing.
    pub async fn swap(
        &self,
        performance: PerformanceId,
        request: SwapRequest,
    ) -> Result<Result<Hold, SwapRefusal>, Error> {
        nugul_points::point("seats.swap").await;
        match self {
            Self::Memory(m) => m.swap(performance, request),
            Self::Redis(r) => r.swap(performance, request).await,
        }
    }

    /// Puts the end of a hold off, once.
    pub async fn extend(
        &self,
        performance: PerformanceId,
        request: ExtendRequest,
    ) -> Result<Result<Hold, ExtendRefusal>, Error> {
        nugul_points::point("seats.extend").await;
        match self {
            Self::Memory(m) => m.extend(performance, request),
            Self::Redis(r) => r.extend(performance, request).await,
        }
    }

    /// The hold that a buyer's idempotency key was answered with before, or that the key was used with another request;
    /// `None` where the key is not remembered.
    pub async fn answered(
        &self,
        performance: PerformanceId,
        user: UserId,
        key: &str,
        digest: &str,
    ) -> Result<Option<Result<Hold, HoldRefusal>>, Error> {
        nugul_points::point("seats.answered").await;
        match self {
            Self::Memory(m) => m.answered(performance, user, key, digest),
            Self::Redis(r) => r.answered(performance, user, key, digest).await,
        }
    }

    /// Counts what a hold has, or is about to have, among the seats a buyer holds in an event, for `ttl_ms`; no seats take
    /// it out. Tells how many the buyer's other holds have; `None`, and nothing is counted, where all together were more
    /// than `limit`.
    pub async fn count_held(
        &self,
        event: EventId,
        user: UserId,
        hold: HoldId,
        seats: usize,
        ttl_ms: i64,
        limit: usize,
    ) -> Result<Option<usize>, Error> {
        nugul_points::point("seats.count_held").await;
        match self {
            Self::Memory(m) => Ok(m.count_held((event, user), hold, seats, ttl_ms, limit)),
            Self::Redis(r) => r.count_held(event, user, hold, seats, ttl_ms, limit).await,
        }
    }

    /// The performance of a hold that is, or was a short time ago.
    pub async fn performance_of(&self, id: HoldId) -> Result<Option<PerformanceId>, Error> {
        nugul_points::point("seats.performance_of").await;
        match self {
            Self::Memory(m) => Ok(m.performance_of(id)),
            Self::Redis(r) => r.performance_of(id).await,
        }
    }

    /// A hold that is live or an order, and its performance.
    pub async fn find_hold(&self, id: HoldId) -> Result<Option<(PerformanceId, Hold)>, Error> {
        nugul_points::point("seats.find_hold").await;
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
        nugul_points::point("seats.order").await;
        match self {
            Self::Memory(m) => m.order(performance, hold, user, order),
            Self::Redis(r) => r.order(performance, hold, user, order).await,
        }
    }

    /// SQL refused `order`: the seats of its hold become available. No effect where the hold is not that order.
    pub async fn undo_order(&self, performance: PerformanceId, hold: HoldId, order: OrderId) -> Result<(), Error> {
        nugul_points::point("seats.undo_order").await;
        match self {
            Self::Memory(m) => m.undo_order(performance, hold, order),
            Self::Redis(r) => r.undo_order(performance, hold, order).await,
        }
    }

    /// Gives a hold back before it is ordered.
    pub async fn release(
        &self,
        performance: PerformanceId,
        request: ReleaseRequest,
    ) -> Result<Result<(), ReleaseRefusal>, Error> {
        nugul_points::point("seats.release").await;
        match self {
            Self::Memory(m) => m.release(performance, request),
            Self::Redis(r) => r.release(performance, request).await,
        }
    }

    /// What became of seats of an order of `user` that was the hold `hold`: sold, or available again. Being told twice, or
    /// late when someone else has the seats, does no harm.
    pub async fn settle(
        &self,
        performance: PerformanceId,
        hold: HoldId,
        order: OrderId,
        user: UserId,
        seats: &[SeatIndex],
        state: SeatState,
    ) -> Result<(), Error> {
        nugul_points::point("seats.settle").await;
        match self {
            Self::Memory(m) => m.settle(performance, hold, order, user, seats, state),
            Self::Redis(r) => r.settle(performance, hold, order, user, seats, state).await,
        }
    }

    /// Takes seats off sale: all or none. Those that are off already stay so.
    pub async fn block(
        &self,
        performance: PerformanceId,
        seats: &[SeatIndex],
    ) -> Result<Result<(), BlockRefusal>, Error> {
        nugul_points::point("seats.block").await;
        match self {
            Self::Memory(m) => m.block(performance, seats),
            Self::Redis(r) => r.block(performance, seats).await,
        }
    }

    /// Puts those of the seats back on sale that are off.
    pub async fn unblock(&self, performance: PerformanceId, seats: &[SeatIndex]) -> Result<(), Error> {
        nugul_points::point("seats.unblock").await;
        match self {
            Self::Memory(m) => m.unblock(performance, seats),
            Self::Redis(r) => r.unblock(performance, seats).await,
        }
    }

    /// All seats and holds, read in one step.
    pub async fn audit(&self, performance: PerformanceId) -> Result<Audit, Error> {
        nugul_points::point("seats.audit").await;
        match self {
            Self::Memory(m) => m.audit(performance),
            Self::Redis(r) => r.audit(performance).await,
        }
    }

    /// Makes seats what SQL says they are, in one change, and tells which were not so. Seats that a live hold has are left
    /// alone, and so is each that has changed since version `since`, where one is given; all are, where the changes since
    /// are not known any more.
    pub async fn correct(
        &self,
        performance: PerformanceId,
        since: Option<i64>,
        corrections: &[Correction],
    ) -> Result<Vec<SeatIndex>, Error> {
        nugul_points::point("seats.correct").await;
        match self {
            Self::Memory(m) => m.correct(performance, since, corrections),
            Self::Redis(r) => r.correct(performance, since, corrections).await,
        }
    }

    /// The performances this process looks after: those somebody has asked it about lately.
    pub fn performances(&self) -> Vec<PerformanceId> {
        match self {
            Self::Memory(m) => m.performances(),
            Self::Redis(r) => r.performances(),
        }
    }

    /// Frees expired holds of the performances this process has asked about, and tells how many. For a ticker.
    pub async fn expire_due(&self) -> Result<usize, Error> {
        nugul_points::point("seats.expire_due").await;
        match self {
            Self::Memory(m) => Ok(m.expire_due()),
            Self::Redis(r) => r.expire_due().await,
        }
    }

    /// Lets go of a performance that is over: its book is loaded from SQL again should someone ask.
    pub async fn forget(&self, performance: PerformanceId) -> Result<(), Error> {
        match self {
            Self::Memory(m) => {
                m.forget(performance);
                Ok(())
            }
            Self::Redis(r) => r.forget(performance).await,
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
