//! Seats of a performance: the bridge from their live state to SQL.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nugul_domain::{
    FreeSeats, HoldId, OrderId, PerformanceId, SeatIndex, SeatState, Timestamp, UserId,
    seat_book::{Claim, Load, Snapshot},
};
use sqlx::Row;

use crate::{
    app::{App, Parts},
    catalogue::{
        service::performance,
        store::{self, PerformanceInfo},
    },
    error::ApiError,
    rounds,
};

/// How old seats may be that suggestions are made from, in milliseconds.
const RECENT_MS: i64 = 100;
/// Performances whose recent seats are kept before old ones are let go.
const RECENT_MAX: usize = 64;
/// How often due holds are looked for.
const EXPIRE_EVERY: Duration = Duration::from_millis(250);

/// Runs an operation on live seats; where they are not loaded (first use, or the store was emptied), loads them from SQL
/// and runs it once more.
#[macro_export]
macro_rules! on_seats {
    ($app:expr, $performance:expr, $operation:expr) => {
        match $operation.await {
            Err(nugul_coordination::Error::NotLoaded) => {
                $crate::seats::load($app, $performance).await?;
                $operation.await
            }
            other => other,
        }
    };
}

/// Loads the live state of a performance from what SQL knows.
pub async fn load(app: &Parts, id: PerformanceId) -> Result<(), ApiError> {
    Ok(app.seats.load(id, known(app, id).await?).await?)
}

/// What SQL knows of a performance's seats.
pub async fn known(app: &Parts, id: PerformanceId) -> Result<Load, ApiError> {
    let info = performance(app, id).await?;
    let rows = sqlx::query(
        "SELECT c.seat, c.fence, c.sold, c.order_id, o.hold_id, o.user_id \
         FROM seat_claims c LEFT JOIN orders o ON o.id = c.order_id WHERE c.performance_id = ?",
    )
    .bind(id.to_bytes())
    .fetch_all(app.db.pool())
    .await?;
    let mut load = Load { seat_count: info.map.seat_count(), ..Load::default() };
    for row in &rows {
        let fence = row.try_get("fence")?;
        load.fence_floor = load.fence_floor.max(fence);
        let Some(order) = row.try_get::<Option<Vec<u8>>, _>("order_id")? else { continue };
        load.claims.push(Claim {
            seat: SeatIndex::try_from(row.try_get::<i64, _>("seat")?).map_err(ApiError::internal)?,
            sold: row.try_get::<i64, _>("sold")? == 1,
            order: OrderId::from_bytes(&order)?,
            hold: HoldId::from_bytes(&row.try_get::<Vec<u8>, _>("hold_id")?)?,
            user: UserId::from_bytes(&row.try_get::<Vec<u8>, _>("user_id")?)?,
            fence,
        });
    }
    // Nothing of a cancelled performance is for sale.
    load.blocked =
        if info.summary.cancelled { (0..load.seat_count).collect() } else { store::blocked_seats(&app.db, id).await? };
    Ok(load)
}

/// The seats' state now.
pub async fn current(app: &Parts, info: &PerformanceInfo) -> Result<Snapshot, ApiError> {
    let id = info.summary.id;
    Ok(on_seats!(app, id, app.seats.snapshot(id))?)
}

/// When seats were read, and those that were free, where any was.
type Recent = (Timestamp, Option<Arc<FreeSeats>>);

/// Free seats as they were up to [`RECENT_MS`] ago: good enough to suggest by, and read once for a whole crowd.
#[derive(Debug, Default)]
pub struct RecentSeats {
    seats: Mutex<HashMap<PerformanceId, Recent>>,
}

/// Whether one of these seats was taken a moment ago, as far as that is known here.
pub fn was_taken(app: &Parts, performance: PerformanceId, seats: &[SeatIndex]) -> bool {
    remembered(app, performance)
        .is_some_and(|(_, free)| seats.iter().any(|&seat| !free.as_ref().is_some_and(|free| free.contains(seat))))
}

/// What was read a moment ago.
fn remembered(app: &Parts, performance: PerformanceId) -> Option<Recent> {
    let all = app.recent.seats.lock().unwrap_or_else(PoisonError::into_inner);
    all.get(&performance).filter(|(read_at, _)| app.now() < read_at.plus_ms(RECENT_MS)).cloned()
}

/// The seats that are free or were a moment ago; nothing where none was.
pub async fn recently_free(app: &Parts, info: &PerformanceInfo) -> Result<Option<Arc<FreeSeats>>, ApiError> {
    let (id, now) = (info.summary.id, app.now());
    if let Some((_, free)) = remembered(app, id) {
        return Ok(free);
    }
    let states = current(app, info).await?.seats;
    let is_free = |seat: SeatIndex| states.get(seat as usize) == Some(&SeatState::Available);
    let free = FreeSeats::new(info.map.seat_count(), is_free);
    let free = free.any_in(0..info.map.seat_count()).then(|| Arc::new(free));
    let mut all = app.recent.seats.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() >= RECENT_MAX {
        all.retain(|_, (read_at, _)| now < read_at.plus_ms(RECENT_MS));
    }
    all.insert(id, (now, free.clone()));
    Ok(free)
}

/// Frees holds when they end, until the process stops.
pub async fn expire_holds(app: App) {
    rounds::every(app, EXPIRE_EVERY, "holds could not be freed", |app| async move {
        Ok(app.seats.expire_due().await.map(drop)?)
    })
    .await;
}
