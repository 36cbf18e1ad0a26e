//! Messages owed to others, written in the transaction they tell about and delivered at least once, in order per order.
//!
//! Every receiver takes a repeated message as one: the payment service by request id and order, the seats by state.

use std::{collections::HashSet, time::Duration};

use nugul_domain::{Krw, OrderId, SeatState, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use sqlx::Row;

use crate::{
    app::{App, Parts, hex},
    db::Tx,
    error::ApiError,
    orders,
    payments::PaymentClient,
};

/// Messages taken in one go.
const BATCH: i64 = 64;
/// How often the outbox is looked at when nobody rings.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The pause after the first failure, doubled with each further one.
const PAUSE_FIRST_MS: i64 = 200;
/// The longest pause.
const PAUSE_MAX_MS: i64 = 10_000;

/// What is owed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Message {
    /// The payment service is to know the order and its amount.
    Prepare {
        /// The buyer.
        user_id: UserId,
        /// What it costs.
        amount_krw: Krw,
        /// What the payment page calls it.
        order_name: String,
        /// Until when it can be paid.
        expires_at: Timestamp,
    },
    /// The payment service is to take the money.
    Confirm {
        /// Toss's key.
        payment_key: String,
        /// What it costs.
        amount_krw: Krw,
    },
    /// The payment service is to give the money back.
    Cancel {
        /// Why.
        reason: String,
    },
    /// The live state is to show what became of the seats.
    Settle {
        /// Sold, or available again.
        state: SeatState,
    },
}

/// Puts a message into the outbox.
pub async fn put(app: &Parts, tx: &mut Tx, order: OrderId, message: &Message) -> Result<(), ApiError> {
    let now = app.now();
    // An id of the same kind as everything else: sorted by time, so the outbox is read in order.
    let id = OrderId::new(app.config.region, now, app.random_id());
    sqlx::query("INSERT INTO outbox (id, order_id, body, created_at, attempts, next_at) VALUES (?, ?, ?, ?, 0, ?)")
        .bind(id.to_bytes())
        .bind(order.to_bytes())
        .bind(serde_json::to_string(message)?)
        .bind(now.as_millis())
        .bind(now.as_millis())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Delivers what is due, until the process stops.
pub async fn deliver(app: App, payment: PaymentClient) {
    let mut stopping = app.stopping.clone();
    loop {
        match deliver_batch(&app, &payment).await {
            Ok(more) if more => continue,
            Ok(_) => {}
            Err(e) => tracing::warn!(context = e.context, "the outbox could not be read"),
        }
        tokio::select! {
            () = app.outbox_filled.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stopping.changed() => return,
        }
    }
}

struct Owed {
    id: Vec<u8>,
    order: OrderId,
    message: Message,
    attempts: i64,
    due: bool,
}

async fn deliver_batch(app: &App, payment: &PaymentClient) -> Result<bool, ApiError> {
    let now = app.now().as_millis();
    let rows = sqlx::query("SELECT id, order_id, body, attempts, next_at FROM outbox WHERE done_at IS NULL ORDER BY created_at, id LIMIT ?")
        .bind(BATCH)
        .fetch_all(app.db.pool())
        .await?;
    let mut owed = Vec::with_capacity(rows.len());
    for row in &rows {
        owed.push(Owed {
            id: row.try_get("id")?,
            order: OrderId::from_bytes(&row.try_get::<Vec<u8>, _>("order_id")?)?,
            message: serde_json::from_str(&row.try_get::<String, _>("body")?)?,
            attempts: row.try_get("attempts")?,
            due: row.try_get::<i64, _>("next_at")? <= now,
        });
    }
    // The first message of each order; later ones wait for it.
    let mut seen = HashSet::new();
    owed.retain(|o| seen.insert(o.order) && o.due);
    let delivered =
        futures_util::future::join_all(owed.iter().map(|o| async move { (o, send(app, payment, o).await) })).await;
    let mut any = false;
    for (o, result) in delivered {
        let now = app.now().as_millis();
        match result {
            Ok(()) => {
                any = true;
                sqlx::query("UPDATE outbox SET done_at = ? WHERE id = ?")
                    .bind(now)
                    .bind(o.id.clone())
                    .execute(app.db.pool())
                    .await?;
            }
            Err(reason) => {
                let doubled = PAUSE_FIRST_MS.saturating_mul(1 << o.attempts.clamp(0, 16));
                tracing::warn!(order = %o.order, attempts = o.attempts + 1, "a message is not delivered yet: {reason}");
                sqlx::query("UPDATE outbox SET attempts = attempts + 1, next_at = ? WHERE id = ?")
                    .bind(now + doubled.min(PAUSE_MAX_MS))
                    .bind(o.id.clone())
                    .execute(app.db.pool())
                    .await?;
            }
        }
    }
    Ok(any)
}

async fn send(app: &App, payment: &PaymentClient, owed: &Owed) -> Result<(), String> {
    let request_id = hex(&owed.id);
    match &owed.message {
        Message::Settle { state } => settle(app, owed.order, *state).await.map_err(|e| e.context.unwrap_or_default()),
        other => payment.deliver(&request_id, owed.order, other).await,
    }
}

async fn settle(app: &App, id: OrderId, state: SeatState) -> Result<(), ApiError> {
    let Some(order) = orders::store::find(&app.db, id).await? else { return Ok(()) };
    let seats: Vec<_> = orders::store::lines(&app.db, id).await?.iter().map(|l| l.seat).collect();
    crate::on_seats!(app, order.performance, app.seats.settle(order.performance, order.hold, &seats, state))?;
    Ok(())
}
