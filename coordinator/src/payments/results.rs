//! The payment service's results: a stream resumed by offset, each result applied once in the transaction of its effect.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::StreamExt;
use nugul_api::Code;
use nugul_domain::{OrderId, order::OrderEvent};
use nugul_proto::payment::v1::{PaymentResult, ResultKind, WatchResultsRequest};
use sqlx::Row;

use crate::{
    app::App,
    db::Tx,
    error::ApiError,
    orders::{
        approving::approve_all,
        outcome::{self, Outcome},
    },
    parked::store::{self as parked, Source},
};

/// Results applied in one transaction at most.
const RESULTS_AT_ONCE: usize = 64;
/// How often a result is tried before it is put aside.
const TRIES: u32 = 3;
/// The pause between two tries.
const TRY_PAUSE: Duration = Duration::from_millis(100);
/// The pause before the stream is asked for again.
const WATCH_PAUSE: Duration = Duration::from_millis(500);

/// Applies the payment service's results in their order, each once, until the process stops.
pub async fn watch_results(app: App) {
    let mut stopping = app.stopping.clone();
    loop {
        tokio::select! {
            ended = watch_once(&app) => {
                if let Err(reason) = ended {
                    tracing::warn!("the payment results are interrupted: {reason}");
                }
            }
            _ = stopping.changed() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH_PAUSE) => {}
            _ = stopping.changed() => return,
        }
    }
}

/// Applies results from the last one applied on, until the stream ends or breaks.
pub async fn watch_once(app: &App) -> Result<(), String> {
    let context = |e: ApiError| e.context.unwrap_or_else(|| e.code.as_str().to_owned());
    let after_offset = offset(app).await.map_err(context)?;
    let results = app.payments.watch(WatchResultsRequest { after_offset }).await.map_err(|s| s.to_string())?;
    let mut arrived = results.ready_chunks(RESULTS_AT_ONCE);
    while let Some(some) = arrived.next().await {
        let (mut good, mut failed) = (Vec::with_capacity(some.len()), None);
        for result in some {
            match result {
                Ok(result) => good.push(result),
                Err(status) => failed = Some(status.to_string()),
            }
        }
        for batch in batches(&good) {
            if let Err(e) = apply(app, batch).await {
                // One that cannot be applied does not keep those before it from their orders.
                tracing::warn!(context = e.context, "results are applied one by one");
                for one in batch {
                    apply_or_park(app, one).await.map_err(context)?;
                }
            }
        }
        if let Some(last) = good.last()
            && let Err(status) = app.payments.acknowledge(last.offset).await
        {
            tracing::info!(offset = last.offset, "not acknowledged: {}", status.message());
        }
        if let Some(reason) = failed {
            return Err(reason);
        }
    }
    Ok(())
}

/// Runs of results, each about other orders: what is decided about an order may rest on what is committed of it. Approvals
/// are kept apart, for they can be applied together.
fn batches(results: &[PaymentResult]) -> Vec<&[PaymentResult]> {
    let (mut out, mut begins, mut seen) = (Vec::new(), 0, HashSet::new());
    for (at, result) in results.iter().enumerate() {
        let is_other = results.get(begins).is_some_and(|first| first.kind() != result.kind());
        if is_other || !seen.insert(result.order_id.as_str()) {
            out.push(&results[begins..at]);
            begins = at;
            seen = HashSet::from([result.order_id.as_str()]);
        }
    }
    if begins < results.len() {
        out.push(&results[begins..]);
    }
    out
}

async fn offset(app: &App) -> Result<i64, ApiError> {
    let row = sqlx::query("SELECT last_offset FROM inbox WHERE source = 'payment'").fetch_one(app.db.pool()).await?;
    Ok(row.try_get("last_offset")?)
}

/// The offset moves in the transaction of the effect: a result is applied once, whoever reads it and however often.
/// Results that are there together share a transaction, for each commit waits for the disk.
async fn apply(app: &App, results: &[PaymentResult]) -> Result<(), ApiError> {
    if approve(app, results).await? {
        return Ok(());
    }
    let mut tx = app.db.begin_write().await?;
    for result in results {
        apply_one(app, &mut tx, result).await?;
    }
    tx.commit().await?;
    app.outbox.filled.notify_one();
    announce(app, results);
    Ok(())
}

/// Applies results that are approvals of orders which wait for them, with a few statements for all. False where they are
/// something else, or one was applied before; nothing is done then.
async fn approve(app: &App, results: &[PaymentResult]) -> Result<bool, ApiError> {
    let orders: Vec<OrderId> =
        results.iter().filter(|r| r.kind() == ResultKind::Approved).filter_map(|r| r.order_id.parse().ok()).collect();
    let (Some(first), Some(last)) = (results.first(), results.last()) else { return Ok(false) };
    if orders.len() != results.len() {
        return Ok(false);
    }
    let mut tx = app.db.begin_write().await?;
    if !move_on(&mut tx, (first.offset, last.offset)).await? {
        return Ok(false);
    }
    let Some(approved) = approve_all(app, &mut tx, &orders).await? else { return Ok(false) };
    tx.commit().await?;
    app.outbox.hand_over(approved.put);
    for committed in approved.orders {
        app.news.tell(committed.order.id, Arc::new(committed));
    }
    Ok(true)
}

/// Tells those who wait for these orders.
fn announce(app: &App, results: &[PaymentResult]) {
    for order in results.iter().filter_map(|r| r.order_id.parse().ok()) {
        app.news.announce(order);
    }
}

/// Applies one result. One that cannot be applied however often it is tried is put aside, and those after it go on. An error
/// means that it is too early to tell.
async fn apply_or_park(app: &App, result: &PaymentResult) -> Result<(), ApiError> {
    let mut reason = String::new();
    for _ in 0..TRIES {
        match apply(app, std::slice::from_ref(result)).await {
            Ok(()) => return Ok(()),
            Err(e) if matches!(e.code, Code::Unavailable | Code::Overloaded) => return Err(e),
            Err(e) => reason = e.context.unwrap_or_else(|| e.code.as_str().to_owned()),
        }
        // What two transactions did to each other has passed by then.
        tokio::time::sleep(TRY_PAUSE).await;
    }
    let mut tx = app.db.begin_write().await?;
    if move_on(&mut tx, (result.offset, result.offset)).await? {
        let about = result.order_id.parse::<OrderId>().map(OrderId::to_bytes).unwrap_or_default();
        parked::park(app, &mut tx, Source::Results, &result.offset.to_string(), &about, &reason).await?;
    }
    tx.commit().await?;
    announce(app, std::slice::from_ref(result));
    Ok(())
}

/// Moves the offset over results, from the first to the last. False where it was past the first already: that was applied.
async fn move_on(tx: &mut Tx, (first, last): (i64, i64)) -> Result<bool, ApiError> {
    let moved = sqlx::query("UPDATE inbox SET last_offset = ? WHERE source = 'payment' AND last_offset < ?")
        .bind(last)
        .bind(first)
        .execute(&mut **tx)
        .await?;
    Ok(moved.rows_affected() == 1)
}

async fn apply_one(app: &App, tx: &mut Tx, result: &PaymentResult) -> Result<(), ApiError> {
    let event = match result.kind() {
        ResultKind::Approved => OrderEvent::Approved,
        ResultKind::Declined => OrderEvent::Declined,
        ResultKind::Refunded => OrderEvent::Refunded,
        ResultKind::Unspecified => return Err(ApiError::internal("a payment result of no kind")),
    };
    if !move_on(tx, (result.offset, result.offset)).await? {
        return Ok(());
    }
    let order = result.order_id.parse::<OrderId>();
    let order = order.map_err(|_| ApiError::internal("a payment result names no order of ours"))?;
    let outcome = Outcome { event, message: &result.message, request_id: &result.request_id };
    outcome::apply(app, tx, order, outcome).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_batch_has_two_results_of_an_order() {
        // In capitals: approvals.
        let of = |orders: &str| -> Vec<usize> {
            let result = |order: char| PaymentResult {
                order_id: order.to_lowercase().to_string(),
                kind: if order.is_uppercase() { ResultKind::Approved.into() } else { ResultKind::Declined.into() },
                ..PaymentResult::default()
            };
            batches(&orders.chars().map(result).collect::<Vec<_>>()).iter().map(|batch| batch.len()).collect()
        };
        assert_eq!(of(""), [0; 0]);
        assert_eq!(of("abc"), [3]);
        assert_eq!(of("abacbb"), [2, 3, 1]);
        assert_eq!(of("ABcDEEf"), [2, 1, 2, 1, 1]);
    }
}
