//! Waiting for what must come, with a bound.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What `look` finds, asked until it finds something; panics where it does not within `limit`.
pub async fn eventually<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {} s", limit.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
