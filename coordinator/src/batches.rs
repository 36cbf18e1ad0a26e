//! Writes of one performance that share a transaction: all of them together, or where that is refused each by itself.

use futures_util::future::BoxFuture;
use nugul_api::Code;
use nugul_batch::{Batch, NotDone};

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
        Self { making: Batch::new(AT_ONCE, WAITING_MAX), confirming: Batch::new(AT_ONCE, WAITING_MAX) }
    }
}

/// Does all of them or none.
pub type Work<C, T> = for<'a> fn(&'a C, &'a [T]) -> BoxFuture<'a, Result<bool, ApiError>>;

/// What a client is told whose write was not done.
pub fn not_done(why: NotDone) -> ApiError {
    match why {
        NotDone::TooMany => overload::refused(),
        NotDone::Abandoned => ApiError::unavailable("whoever did the work of all has left"),
    }
}

/// Does all in one transaction; where that is refused, or what another did first is among them, each in one of its own. `work`
/// is given some of them, does all or nothing, and says whether nobody was first.
pub async fn all_or_each<C, T>(context: C, some: Vec<T>, work: Work<C, T>) -> Vec<Result<bool, ApiError>> {
    let first = work(&context, &some).await;
    if some.len() == 1 || matches!(first, Ok(true)) || first.as_ref().is_err_and(is_away) {
        return vec![first; some.len()];
    }
    tracing::debug!(count = some.len(), ?first, "done one by one");
    let mut results = Vec::with_capacity(some.len());
    for one in &some {
        let result = match results.last() {
            // The others would only wait for the same.
            Some(Err(e)) if is_away(e) => Err(e.clone()),
            _ => work(&context, std::slice::from_ref(one)).await,
        };
        results.push(result);
    }
    results
}

/// Whether the database itself is what is missing.
fn is_away(e: &ApiError) -> bool {
    e.code == Code::Unavailable
}
