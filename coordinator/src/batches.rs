//! Writes of one performance that share a transaction: all of them together, or where that is refused each by itself.

use nugul_api::Code;
use nugul_batch::{Batch, NotDone, Together};

use crate::{
    error::ApiError,
    orders::{confirming::Confirm, making::NewOrder},
    overload,
};

/// No more share a transaction: a power of two.
const AT_ONCE: usize = 32;
/// No more wait for theirs; one more is refused at once.
const WAITING_MAX: usize = 500;

/// What waits for a transaction of one performance.
#[derive(Debug)]
pub struct Batches {
    /// New orders. A result says whether it was stored; false where another request was first.
    pub making: Batch<NewOrder, Result<bool, ApiError>>,
    /// Confirmations. False where the order had gone on, or the key was used before.
    pub confirming: Batch<Confirm, Result<bool, ApiError>>,
}

impl Default for Batches {
    fn default() -> Self {
        Self {
            making: Batch::of_transactions(AT_ONCE, WAITING_MAX),
            confirming: Batch::of_transactions(AT_ONCE, WAITING_MAX),
        }
    }
}

/// What a client is told whose write was not done.
pub fn not_done(why: NotDone) -> ApiError {
    match why {
        NotDone::TooMany => overload::refused(),
        NotDone::Abandoned => ApiError::unavailable("whoever did the work of all has left"),
    }
}

/// What came of storing so many in one transaction: where it was stored, or an error. False where another was first.
pub fn stored(count: usize, result: Result<bool, ApiError>) -> Together<Result<bool, ApiError>> {
    match result {
        Ok(true) => Together::Done(vec![Ok(true); count]),
        Err(e) if is_away(&e) => Together::Away(Err(e)),
        refused => {
            tracing::debug!(count, ?refused, "not stored in one transaction");
            Together::Refused(refused)
        }
    }
}

/// Whether the database itself is what is missing.
fn is_away(e: &ApiError) -> bool {
    e.code == Code::Unavailable
}
