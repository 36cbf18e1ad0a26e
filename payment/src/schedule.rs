//! Each day's books are compared once it is over, without anyone asking, and so is every day that has a difference left.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use time::{Date, OffsetDateTime};
use tokio_util::sync::CancellationToken;

use crate::audit::{self, AuditError};
use crate::cases;
use crate::confirm::Payments;
use crate::reports;

/// A day is compared so long after its end, when the provider has settled it (5 hours, in milliseconds).
pub const SETTLED_AFTER_MS: i64 = 5 * 3600 * 1000;
/// How often it is looked whether a day is to be compared.
pub const LOOK_EVERY: Duration = Duration::from_mins(1);
/// No more days with differences are compared again.
pub const MAX_DAYS: i64 = 31;

/// The newest day in Seoul that is to be compared, and since when (UTC milliseconds).
fn newest(now_ms: i64) -> Option<(Date, i64)> {
    let settled = OffsetDateTime::from_unix_timestamp(now_ms.saturating_sub(SETTLED_AFTER_MS).div_euclid(1000)).ok()?;
    let today = settled.to_offset(time::macros::offset!(+9)).date();
    Some((today.previous_day()?, audit::start_ms(today).saturating_add(SETTLED_AFTER_MS)))
}

/// Compares what is to be compared, until `stop`.
pub async fn run(payments: Arc<Payments>, stop: CancellationToken) {
    loop {
        let looked = async {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Err(error) = once(&payments).await {
                tracing::error!(?error, "a day could not be compared; it is tried again");
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = looked => {}
        }
    }
}

/// Compares the newest day that is over and those with differences, each unless it was compared since. Gives their number.
pub async fn once(payments: &Payments) -> Result<usize, AuditError> {
    let Some((day, since)) = newest((payments.now)()) else { return Ok(0) };
    let mut days = BTreeSet::from([day]);
    days.extend(cases::days_with_differences(&payments.db, MAX_DAYS).await?.iter().filter_map(|text| audit::day(text)));
    let mut compared = 0;
    for day in days {
        let before = reports::compared_at(&payments.db, &day.to_string()).await?;
        if before.is_some_and(|at| at >= since) {
            continue;
        }
        let report = audit::reconcile(payments, day).await?;
        tracing::info!(day = report.day, differences = report.differences, closed = report.closed, "day compared");
        compared += 1;
    }
    Ok(compared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_compared_when_the_next_is_five_hours_old() {
        // Midnight of 2026-03-02 in Seoul.
        let midnight = 1_772_377_200_000;
        let hour = 3_600_000;
        for (now_ms, day, since) in [
            (midnight + 5 * hour - 1, "2026-02-28", midnight - 19 * hour),
            (midnight + 5 * hour, "2026-03-01", midnight + 5 * hour),
            (midnight + 29 * hour - 1, "2026-03-01", midnight + 5 * hour),
            (midnight + 29 * hour, "2026-03-02", midnight + 29 * hour),
        ] {
            assert_eq!(newest(now_ms).map(|(day, since)| (day.to_string(), since)), Some((day.to_owned(), since)));
        }
    }
}
