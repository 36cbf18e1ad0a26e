//! A cancelled performance: nothing of it is sold any more, orders end, every ticket is refunded in full.
//!
//! The job asks SQL what is left to do, does a batch, and asks again, so it can be interrupted anywhere and go on on any
//! replica; what two replicas do at once is done once.

use std::time::Duration;

use nugul_api::catalogue::Cancellation;
use nugul_domain::{
    Krw, PerformanceId, SeatIndex, SeatState, Timestamp, UserId,
    order::{OrderEvent, OrderState},
    refund::RefundState,
    seat_book::ReleaseRequest,
};
use sqlx::Row;

use crate::{
    app::{App, Parts},
    catalogue::service::{forget_performance, performance},
    db::{Db, Tx},
    error::ApiError,
    notices::Notice,
    orders, outbox,
    refunds::{self, store::StoredRefund},
    seats,
    tickets::store::StoredTicket,
};

/// How often unfinished cancellations are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Orders and tickets dealt with before the job looks again.
const BATCH: u32 = 100;
/// Cancellations dealt with in one go.
const CANCELLATIONS_MAX: i64 = 100;

/// Marks a performance as cancelled. `false` where it is already.
pub async fn begin(tx: &mut Tx, id: PerformanceId, reason: &str, by: UserId, now: Timestamp) -> Result<bool, ApiError> {
    let marked = sqlx::query("UPDATE performances SET cancelled_at = ? WHERE id = ? AND cancelled_at IS NULL")
        .bind(now.as_millis())
        .bind(id.to_bytes())
        .execute(&mut **tx)
        .await?;
    if marked.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("INSERT INTO cancellations (performance_id, reason, cancelled_by, cancelled_at) VALUES (?, ?, ?, ?)")
        .bind(id.to_bytes())
        .bind(reason.to_owned())
        .bind(by.to_bytes())
        .bind(now.as_millis())
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

/// How far it is; nothing where the performance is not cancelled.
pub async fn progress(db: &Db, id: PerformanceId) -> Result<Option<Cancellation>, ApiError> {
    let row = sqlx::query("SELECT reason, cancelled_at, finished_at FROM cancellations WHERE performance_id = ?")
        .bind(id.to_bytes())
        .fetch_optional(db.pool())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let refunded = "SELECT COUNT(*) AS n FROM refunds WHERE performance_id = ? AND state = 'refunded'";
    let refunded = sqlx::query(refunded).bind(id.to_bytes()).fetch_one(db.pool()).await?.try_get("n")?;
    Ok(Some(Cancellation {
        reason: row.try_get("reason")?,
        cancelled_at: Timestamp::from_millis(row.try_get("cancelled_at")?),
        refunded,
        remaining: remaining(db, id).await?,
        finished_at: row.try_get::<Option<i64>, _>("finished_at")?.map(Timestamp::from_millis),
    }))
}

/// Live tickets and undecided orders.
pub async fn remaining(db: &Db, id: PerformanceId) -> Result<i64, ApiError> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM tickets WHERE performance_id = ? AND live = 1) \
         + (SELECT COUNT(*) FROM orders WHERE performance_id = ? AND state IN ('pending', 'confirming')) AS n",
    )
    .bind(id.to_bytes())
    .bind(id.to_bytes())
    .fetch_one(db.pool())
    .await?;
    Ok(row.try_get("n")?)
}

/// Carries cancellations out, until the process stops.
pub async fn carry_out(app: App) {
    let mut stopping = app.stopping.clone();
    loop {
        if let Err(e) = pass(&app).await {
            tracing::warn!(context = e.context, "cancelled performances could not be dealt with");
        }
        tokio::select! {
            () = app.cancellations_begun.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stopping.changed() => return,
        }
    }
}

/// One batch of every cancellation that is not finished.
pub async fn pass(app: &App) -> Result<(), ApiError> {
    let rows = sqlx::query("SELECT performance_id, reason FROM cancellations WHERE finished_at IS NULL LIMIT ?")
        .bind(CANCELLATIONS_MAX)
        .fetch_all(app.db.pool())
        .await?;
    for row in &rows {
        let id = PerformanceId::from_bytes(&row.try_get::<Vec<u8>, _>("performance_id")?)?;
        // One that fails keeps the others from nothing; the next pass tries it again.
        if let Err(e) = batch(app, id, &row.try_get::<String, _>("reason")?).await {
            tracing::warn!(performance = %id, context = e.context, "a cancelled performance could not be dealt with");
        }
    }
    Ok(())
}

async fn batch(app: &App, id: PerformanceId, reason: &str) -> Result<(), ApiError> {
    if !performance(app, id).await?.summary.cancelled {
        forget_performance(app, id);
    }
    let is_closed = close(app, id).await?;
    for order in orders::store::of_performance(&app.db, id, OrderState::Pending, BATCH).await? {
        orders::service::end(app, &order, OrderEvent::Cancelled).await?;
    }
    // An order whose payment is being decided is either declined, or becomes tickets that the next look finds.
    for (holder, ticket) in refunds::store::kept_of_performance(&app.db, id, i64::from(BATCH)).await? {
        refund(app, holder, &ticket, reason).await?;
    }
    if is_closed && remaining(&app.db, id).await? == 0 {
        sqlx::query("UPDATE cancellations SET finished_at = ? WHERE performance_id = ? AND finished_at IS NULL")
            .bind(app.now().as_millis())
            .bind(id.to_bytes())
            .execute(app.db.writes())
            .await?;
    }
    Ok(())
}

/// Ends what is only held and takes every free seat off sale. Whether all are off.
async fn close(app: &Parts, id: PerformanceId) -> Result<bool, ApiError> {
    let info = performance(app, id).await?;
    let audit = crate::on_seats!(app, id, app.seats.audit(id))?;
    for hold in audit.holds.iter().filter(|h| h.order.is_none()) {
        // One that became an order in this moment is found among the orders.
        // The space keeps the key apart from any a client can send.
        let (hold, user, key) = (hold.id, hold.user, format!("cancelled {}", hold.id));
        let request = ReleaseRequest { hold, user, digest: key.clone(), key };
        let _ = crate::on_seats!(app, id, app.seats.release(id, request.clone()))?;
    }
    let states = seats::current(app, &info).await?.seats;
    let with = |(_, s): &(SeatIndex, &SeatState)| **s == SeatState::Available;
    let free: Vec<SeatIndex> = (0..).zip(&states).filter(with).map(|(i, _)| i).collect();
    // A seat that someone took in this moment is refused here and found by the next look.
    let all_blocked = free.is_empty() || crate::on_seats!(app, id, app.seats.block(id, &free))?.is_ok();
    Ok(all_blocked && states.iter().all(|s| matches!(s, SeatState::Available | SeatState::Blocked)))
}

async fn refund(app: &App, holder: UserId, ticket: &StoredTicket, reason: &str) -> Result<(), ApiError> {
    let info = performance(app, ticket.performance).await?;
    let mut tx = app.db.begin_write().await?;
    let refund = match refunds::store::requested(&app.db, ticket.id).await? {
        Some(r) if refunds::store::waive_fee(&mut tx, r.id).await? => {
            StoredRefund { fee: Krw(0), amount: r.price, state: RefundState::Refunding, ..r }
        }
        _ => {
            let new = refunds::service::new(app, holder, ticket, Krw(0), RefundState::Refunding, reason.to_owned());
            if !refunds::store::insert(&mut tx, &new).await? {
                // Its holder, or another replica, was first.
                return Ok(());
            }
            new
        }
    };
    refunds::service::start(app, &mut tx, &refund).await?;
    let notice = Notice::Cancelled {
        title: info.event.title.clone(),
        starts_at: info.summary.starts_at.to_string(),
        reason: reason.to_owned(),
    };
    outbox::tell(app, &mut tx, holder, notice).await?;
    tx.commit().await?;
    app.outbox.filled.notify_one();
    Ok(())
}
