//! Where rankings are kept: in this process, or in Redis that all replicas share.
//!
//! The rules are the domain's [`Board`](nugul_domain::ranking::Board). Memory runs it; one function in Redis repeats it. What is
//! kept here may be lost at any moment: rankings then begin anew.

mod redis;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nugul_domain::{
    Timestamp,
    ranking::{Batch, Board, Kind, Standing, Taken, Window},
};

use crate::Error;

/// Where the rankings are kept. Clones share them.
#[derive(Clone)]
pub enum Rankings {
    /// In this process.
    Memory(Arc<Mutex<Board>>),
    /// In Redis.
    Redis(RedisRankings),
}

pub use redis::RedisRankings;

impl Rankings {
    /// Kept in this process.
    pub fn memory() -> Self {
        Self::Memory(Arc::default())
    }

    /// Kept in Redis at `url`, as of [`Seats::redis`](crate::Seats::redis).
    pub async fn redis(url: &str) -> Result<Self, Error> {
        RedisRankings::connect(url).await.map(Self::Redis)
    }

    /// Counts batches received at `now`, each once. A result for each, in their order.
    pub async fn count(&self, batches: &[Batch], now: Timestamp) -> Result<Vec<Taken>, Error> {
        match self {
            Self::Memory(board) => {
                let mut board = lock(board);
                Ok(batches.iter().map(|batch| board.count(batch, now)).collect())
            }
            Self::Redis(r) => r.count(batches, now).await,
        }
    }

    /// A ranking at `now`.
    pub async fn standing(&self, kind: Kind, window: Window, now: Timestamp) -> Result<Standing, Error> {
        match self {
            Self::Memory(board) => Ok(lock(board).standing(kind, window, now)),
            Self::Redis(r) => r.standing(kind, window, now).await,
        }
    }
}

/// A board's steps keep it whole, so one that panicked elsewhere does not spoil it.
fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}
