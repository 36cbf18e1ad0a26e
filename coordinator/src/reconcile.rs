//! Compares the live state of seats with SQL and puts the live state right: after a crash between the two, after the
//! live state was lost, after a message that never came.

use std::{collections::HashMap, sync::atomic::Ordering, time::Duration};

use nugul_coordination::Error;
use nugul_domain::{
    OrderId, PerformanceId, SeatIndex, SeatState, Timestamp,
    order::OrderState,
    seat_book::{Audit, Correction, Hold, differences},
};
use sqlx::Row;

use crate::{
    app::{App, Parts},
    corrections,
    error::ApiError,
    orders, seats,
};

/// How often each performance is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Of so many looks one compares seat by seat even where the counts agree.
const WHOLE_EVERY: u64 = 12;
/// How long a hold may be an order without SQL having the order, in milliseconds: longer than any request takes, so that
/// whoever was storing it has given up.
pub const ORPHAN_AFTER_MS: i64 = 60_000;
/// Performances looked at in one pass.
const PERFORMANCES_MAX: usize = 1_000;

/// What earlier passes saw and did.
#[derive(Debug, Default)]
pub struct Reconciler {
    passes: u64,
    /// The last performance a pass looked at, where there were more than one pass takes.
    last: Option<PerformanceId>,
    suspected: HashMap<PerformanceId, Vec<Correction>>,
}

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Seats made what SQL says.
    pub corrected: usize,
    /// Orders undone because SQL does not have them, or has ended them; orders settled because SQL has them paid.
    pub undone: usize,
}

/// Compares until the process stops.
pub async fn keep_right(app: App) {
    let mut stopping = app.stopping.clone();
    let mut reconciler = Reconciler::default();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stopping.changed() => return,
        }
        match reconciler.pass(&app).await {
            Ok(report) if report == Report::default() => {}
            Ok(report) => {
                app.corrected.fetch_add(report.corrected as u64, Ordering::Relaxed);
                app.undone.fetch_add(report.undone as u64, Ordering::Relaxed);
                tracing::warn!(corrected = report.corrected, undone = report.undone, "live seats put right");
            }
            Err(e) => tracing::warn!(context = e.context, "live seats could not be compared"),
        }
    }
}

impl Reconciler {
    /// Looks at every performance this process looks after. A difference is corrected when two passes agree on it: one
    /// alone may be a message on its way.
    pub async fn pass(&mut self, app: &App) -> Result<Report, ApiError> {
        self.passes += 1;
        let mut report = Report::default();
        let mut performances = app.seats.performances();
        self.suspected.retain(|id, _| performances.contains(id));
        performances.sort();
        let behind = performances.partition_point(|id| Some(*id) <= self.last);
        let all = performances.len().max(1);
        performances.rotate_left(behind % all);
        performances.truncate(PERFORMANCES_MAX);
        self.last = performances.last().copied();
        for id in performances {
            // One whose part of the store is away keeps the others from nothing.
            if let Err(e) = self.look(app, id, &mut report).await {
                tracing::warn!(performance = %id, context = e.context, "live seats could not be compared");
            }
        }
        Ok(report)
    }

    async fn look(&mut self, app: &App, id: PerformanceId, report: &mut Report) -> Result<(), ApiError> {
        let audit = match app.seats.audit(id).await {
            Err(Error::NotLoaded) => return Ok(()),
            other => other?,
        };
        report.undone += undo_orphans(app, id, &audit).await?;
        let suspected = self.suspected.remove(&id).unwrap_or_default();
        if suspected.is_empty() && !self.passes.is_multiple_of(WHOLE_EVERY) && counts_agree(app, id, &audit).await? {
            return Ok(());
        }
        let found = differences(&audit, &seats::known(app, id).await?);
        let sure: Vec<Correction> = found.iter().filter(|c| suspected.contains(c)).copied().collect();
        if !sure.is_empty() {
            let corrected = app.seats.correct(id, Some(audit.version), &sure).await?;
            for seat in &corrected {
                corrections::note(app, id, *seat, &audit, &sure).await?;
            }
            report.corrected += corrected.len();
        }
        if !found.is_empty() {
            self.suspected.insert(id, found);
        }
        Ok(())
    }
}

/// Whether as many seats are ordered and sold here as in SQL: cheap, and right nearly always.
async fn counts_agree(app: &Parts, id: PerformanceId, audit: &Audit) -> Result<bool, ApiError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS n, CAST(COALESCE(SUM(sold), 0) AS SIGNED) AS sold FROM seat_claims \
         WHERE performance_id = ? AND order_id IS NOT NULL",
    )
    .bind(id.to_bytes())
    .fetch_one(app.db.pool())
    .await?;
    let (claimed, sold): (i64, i64) = (row.try_get("n")?, row.try_get("sold")?);
    let ordered: usize = audit.holds.iter().filter(|h| h.order.is_some()).map(|h| h.seats.len()).sum();
    let sold_here = audit.seats.iter().filter(|s| **s == SeatState::Sold).count();
    Ok(i64::try_from(sold_here) == Ok(sold) && i64::try_from(ordered + sold_here) == Ok(claimed))
}

/// Gives back the seats of holds that became orders which SQL does not have, or has ended without a word reaching us.
async fn undo_orphans(app: &Parts, id: PerformanceId, audit: &Audit) -> Result<usize, ApiError> {
    let mut undone = 0;
    let old = app.now().plus_ms(-ORPHAN_AFTER_MS);
    for (hold, order) in audit.holds.iter().filter_map(|h| orphan_candidate(h, old).map(|order| (h, order))) {
        match orders::store::find(&app.db, order).await?.map(|o| o.state) {
            Some(OrderState::Paid) => settle_paid(app, id, hold, order).await?,
            Some(state) if state.keeps_seats() => continue,
            _ => {
                tracing::warn!(%order, performance = %id, "seats kept for an order that SQL does not have are free again");
                app.seats.undo_order(id, hold.id, order).await?;
            }
        }
        undone += 1;
    }
    Ok(undone)
}

/// Tells of a paid order what its word did not: it came before the live state was loaded from what SQL had known earlier.
async fn settle_paid(app: &Parts, id: PerformanceId, hold: &Hold, order: OrderId) -> Result<(), ApiError> {
    let claims = seats::known(app, id).await?.claims;
    let is_sold = |seat: &SeatIndex| claims.iter().any(|c| c.seat == *seat && c.order == order && c.sold);
    let (sold, free): (Vec<_>, Vec<_>) = hold.seats.iter().copied().partition(is_sold);
    tracing::warn!(%order, performance = %id, "a paid order's seats were still held");
    app.seats.settle(id, hold.id, order, hold.user, &sold, SeatState::Sold).await?;
    Ok(app.seats.settle(id, hold.id, order, hold.user, &free, SeatState::Available).await?)
}

fn orphan_candidate(hold: &Hold, old: Timestamp) -> Option<OrderId> {
    hold.order.filter(|o| o.since <= old).map(|o| o.id)
}
