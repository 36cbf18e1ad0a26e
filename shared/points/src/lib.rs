//! Points between two steps of a saga, where a simulation may let others go first, crash a process or lose an answer.
//!
//! Without the feature `simulation` everything here compiles to nothing. With it, nothing happens either unless the
//! thread is under a simulation (see [`simulated`]).

#[cfg(feature = "simulation")]
pub mod simulated;

/// A well-known bug that a simulation can plant, to prove that it would be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Planted {
    /// SQL takes a claim whatever fence the seat has seen.
    NoFence,
    /// Seats change in one step and their change is told in another.
    AnnounceApart,
    /// The answer of an idempotency key is not stored.
    LostIdempotency,
    /// A refund frees its seat before its money is on the way.
    RefundBeforeSeatBack,
    /// A hold becomes an order after its end.
    ExpiredHoldSold,
}

/// Between two steps: here a simulation may run others first, for as long as it likes, or never go on.
#[cfg(not(feature = "simulation"))]
#[inline]
#[allow(clippy::unused_async)]
pub async fn point(_name: &'static str) {}

#[cfg(feature = "simulation")]
pub use simulated::{adopt, is_simulated, planted, point};

/// Whether a bug is planted: never, outside a simulation.
#[cfg(not(feature = "simulation"))]
#[inline]
pub const fn planted(_bug: Planted) -> bool {
    false
}

/// Whether this is an actor of a simulation, which runs what it would otherwise spawn itself.
#[cfg(not(feature = "simulation"))]
#[inline]
pub const fn is_simulated() -> bool {
    false
}

/// Work that goes on when its caller has left is given to the simulation; outside one it is given back, to be spawned.
#[cfg(not(feature = "simulation"))]
#[inline]
pub fn adopt<F>(work: F) -> Option<F> {
    Some(work)
}
