//! Bounded waits where a rush would otherwise pile up: refused soon, with a time to come back, rather than answered late.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use nugul_api::Code;
use nugul_domain::PerformanceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{batches::Batches, error::ApiError};

/// Requests on the seats of one performance at once. Enough to keep the seat store busy; what a hot performance has above
/// it waits for itself alone, and the others go on.
const PERFORMANCE_AT_ONCE: usize = 64;
/// Requests of one performance that wait for their turn.
const PERFORMANCE_WAITING_MAX: usize = 2_000;
/// How long one waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(1);
/// When to come back, in seconds.
const RETRY_AFTER_S: u64 = 1;
/// Performances whose gates are remembered; those that nobody uses are forgotten when there are more.
const GATES_MAX: usize = 4_096;

/// A gate for each performance.
#[derive(Debug, Default)]
pub struct Gates {
    gates: Mutex<HashMap<PerformanceId, Arc<Gate>>>,
}

/// What one performance's requests wait for. It is forgotten only when nobody has it.
#[derive(Debug)]
pub struct Gate {
    seats: Room,
    /// Who looks for the best seats, one at a time.
    best: Room,
    /// Who waits for a durable write: one transaction at a time, so that what a hot performance writes waits for itself alone.
    pub batches: Batches,
}

#[derive(Debug)]
struct Room {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Room {
    fn of(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), waiting: AtomicUsize::new(0) }
    }

    /// Waits for a place; refused where too many wait, or for too long.
    async fn enter(&self, within: Duration) -> Result<OwnedSemaphorePermit, ApiError> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(permit);
        }
        let waiting = Waiting::of(&self.waiting, PERFORMANCE_WAITING_MAX)?;
        let permit = tokio::time::timeout(within, Arc::clone(&self.places).acquire_owned()).await;
        drop(waiting);
        match permit {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed; a wait that took too long is the one refusal.
            Ok(Err(_)) | Err(_) => Err(refused()),
        }
    }
}

/// A place behind a gate, given back when dropped.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
    // A gate is forgotten only when nobody is behind it.
    _gate: Arc<Gate>,
}

impl Gates {
    /// Waits for a turn on a performance's seats; refused where too many wait, or for too long.
    pub async fn turn(&self, performance: PerformanceId) -> Result<Turn, ApiError> {
        let gate = self.gate(performance);
        Ok(Turn { _permit: gate.seats.enter(TURN_WITHIN).await?, _gate: gate })
    }

    /// The same for the one who looks for a performance's best seats.
    pub async fn alone(&self, performance: PerformanceId) -> Result<Turn, ApiError> {
        let gate = self.gate(performance);
        Ok(Turn { _permit: gate.best.enter(TURN_WITHIN).await?, _gate: gate })
    }

    /// The gate of a performance.
    pub fn gate(&self, performance: PerformanceId) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.len() >= GATES_MAX {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        let new =
            || Arc::new(Gate { seats: Room::of(PERFORMANCE_AT_ONCE), best: Room::of(1), batches: Batches::default() });
        Arc::clone(gates.entry(performance).or_insert_with(new))
    }
}

/// One of those who wait, counted until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    /// One more, unless there are `max` already.
    fn of(count: &'a AtomicUsize, max: usize) -> Result<Self, ApiError> {
        let me = Self(count);
        if count.fetch_add(1, Ordering::Relaxed) >= max { Err(refused()) } else { Ok(me) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Too many are here: come back soon.
pub fn refused() -> ApiError {
    ApiError::from(Code::Overloaded).retry_after_s(RETRY_AFTER_S)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nugul_domain::{Region, Timestamp};

    fn performance(n: u8) -> PerformanceId {
        PerformanceId::new(Region(0), Timestamp::from_millis(0), [n; 9])
    }

    #[tokio::test(start_paused = true)]
    async fn a_hot_performance_waits_for_itself_alone() {
        let gates = Gates::default();
        let mut inside = Vec::new();
        for _ in 0..PERFORMANCE_AT_ONCE {
            inside.push(gates.turn(performance(1)).await.unwrap());
        }
        let late = gates.turn(performance(1)).await.unwrap_err();
        assert_eq!((late.code, late.retry_after_s), (Code::Overloaded, Some(RETRY_AFTER_S)));
        gates.turn(performance(2)).await.unwrap();
        inside.pop();
        gates.turn(performance(1)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_in_use_is_not_forgotten() {
        let gates = Gates::default();
        let mut inside = Vec::new();
        for _ in 0..PERFORMANCE_AT_ONCE {
            inside.push(gates.turn(performance(1)).await.unwrap());
        }
        for n in 0..=u16::try_from(GATES_MAX).unwrap() {
            let [a, b] = n.to_be_bytes();
            let id = PerformanceId::new(Region(0), Timestamp::from_millis(1), [a, b, 0, 0, 0, 0, 0, 0, 0]);
            gates.turn(id).await.unwrap();
        }
        assert_eq!(gates.turn(performance(1)).await.unwrap_err().code, Code::Overloaded);
        assert!(gates.gates.lock().unwrap().len() <= GATES_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_wait_than_there_is_room_for() {
        let gates = Arc::new(Gates::default());
        let mut inside = Vec::new();
        for _ in 0..PERFORMANCE_AT_ONCE {
            inside.push(gates.turn(performance(1)).await.unwrap());
        }
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..=PERFORMANCE_WAITING_MAX {
            let gates = Arc::clone(&gates);
            waiting.spawn(async move { gates.turn(performance(1)).await.map(drop) });
        }
        tokio::task::yield_now().await;
        // The one too many is told at once; a turn that is given back serves all the others, one after another.
        assert!(waiting.join_next().await.unwrap().unwrap().is_err());
        inside.pop();
        while let Some(answer) = waiting.join_next().await {
            answer.unwrap().unwrap();
        }
    }
}
