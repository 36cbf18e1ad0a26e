//! The event's limit while seats are only held: what a buyer holds in all its performances, and has ordered and bought.
//!
//! Performances are in different places of the seat store, so the count is a step of its own, made before the hold. It is
//! made only where the performances' own limits leave room for more than the event's. Orders are counted by SQL, which
//! refuses one that is too many whatever is counted here (`orders::limits`).

use nugul_api::Code;
use nugul_domain::{HoldId, UserId, seat_book::Hold};

use crate::{app::Parts, catalogue::store::PerformanceInfo, error::ApiError, orders::limits};

/// How much longer than its hold a count lasts, in milliseconds: it was made before the hold.
const SPARE_MS: i64 = 2_000;

/// Whether the event's limit has to be counted apart.
pub fn binds(info: &PerformanceInfo) -> bool {
    info.limits.event_may_bind(info.performances)
}

/// Counts what a hold is about to have; refused where the buyer would have more than the event's limit. The live count
/// comes before SQL's: what becomes an order in between is in one of the two.
pub async fn count(
    app: &Parts,
    info: &PerformanceInfo,
    user: UserId,
    hold: HoldId,
    seats: usize,
    ttl_ms: i64,
) -> Result<(), ApiError> {
    if !binds(info) {
        return Ok(());
    }
    let (event, limit) = (info.event.id, info.limits.event_seats_max as usize);
    let others = app.seats.count_held(event, user, hold, seats, ttl_ms + SPARE_MS, limit).await?;
    let others = others.ok_or(Code::SeatLimit)?;
    let bought = limits::of_event(&app.db, event, user).await?;
    if others + seats + bought > limit {
        uncount(app, info, user, hold).await?;
        return Err(Code::SeatLimit.into());
    }
    Ok(())
}

/// Counts a hold as it is now, whatever the limit: it was allowed before.
pub async fn recount(app: &Parts, info: &PerformanceInfo, hold: &Hold) -> Result<(), ApiError> {
    if binds(info) {
        let left_ms = hold.until.as_millis() - app.now().as_millis();
        let ttl_ms = left_ms.max(0) + SPARE_MS;
        app.seats.count_held(info.event.id, hold.user, hold.id, hold.seats.len(), ttl_ms, usize::MAX >> 1).await?;
    }
    Ok(())
}

/// A hold that is none any more, or never became one.
pub async fn uncount(app: &Parts, info: &PerformanceInfo, user: UserId, hold: HoldId) -> Result<(), ApiError> {
    if binds(info) {
        app.seats.count_held(info.event.id, user, hold, 0, 0, usize::MAX >> 1).await?;
    }
    Ok(())
}
