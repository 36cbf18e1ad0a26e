//! Tells the full-text indexes of every changed event: at least once, in order per event, from where it was interrupted.
//!
//! The row that says "this event changed" is written in the transaction of the change. Whoever delivers it reads the event
//! as it stands then, and writes it under the event's version: a late delivery of an older state is ignored. So a row may
//! be delivered twice, by two replicas, in any order, and the newest state stays.
//!
//! This is not `outbox.rs`: while the full-text engine is away nothing else may wait, and its rows share one request.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use nugul_api::search::SearchIndex;
use nugul_domain::{EventId, OrderId};
use sqlx::{AssertSqlSafe, Row};

use super::{
    client::{Client, Write},
    document::{self, Document},
    versions,
};
use crate::{
    app::{App, Parts},
    db::{Db, Tx, marks},
    error::ApiError,
};

/// Rows delivered in one go.
const BATCH: i64 = 256;
/// The most bytes of documents in one bulk.
const BULK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How often rows are looked for when nobody rings.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest pause while the server is away.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// The pause of a row that the server refused, doubled with each further refusal, in milliseconds.
const REFUSED_PAUSE_FIRST_MS: i64 = 1_000;
/// The longest such pause, in milliseconds.
const REFUSED_PAUSE_MAX_MS: i64 = 10 * 60 * 1_000;

/// Notes in `tx` that an event changed.
pub async fn put(app: &Parts, tx: &mut Tx, event: EventId) -> Result<(), ApiError> {
    sqlx::query("UPDATE events SET search_version = search_version + 1 WHERE id = ?")
        .bind(event.to_bytes())
        .execute(&mut **tx)
        .await?;
    if app.search.client.is_some() {
        insert(app, tx, event).await?;
    }
    Ok(())
}

/// Has an event told of again, as a version above `seen`, the one the index has of it.
pub async fn put_again(app: &Parts, event: EventId, seen: i64) -> Result<(), ApiError> {
    let mut tx = app.db.begin_write().await?;
    for sql in [
        "UPDATE events SET search_version = search_version + 1 WHERE id = ? AND search_version >= ?",
        "UPDATE events SET search_version = ? + 1 WHERE id = ? AND search_version < ?",
    ] {
        let query = sqlx::query(sql);
        let query = if sql.contains("= ? + 1") {
            query.bind(seen).bind(event.to_bytes()).bind(seen)
        } else {
            query.bind(event.to_bytes()).bind(seen)
        };
        if query.execute(&mut *tx).await?.rows_affected() > 0 {
            break;
        }
    }
    insert(app, &mut tx, event).await?;
    tx.commit().await?;
    Ok(())
}

async fn insert(app: &Parts, tx: &mut Tx, event: EventId) -> Result<(), ApiError> {
    let now = app.now();
    sqlx::query("INSERT INTO search_outbox (id, event_id, attempts, next_at) VALUES (?, ?, 0, ?)")
        .bind(OrderId::new(app.config.region, now, app.random_id()).to_bytes())
        .bind(event.to_bytes())
        .bind(now.as_millis())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Wakes the delivery once the transaction is committed.
pub fn ring(app: &Parts) {
    app.search.filled.notify_one();
}

/// How many rows are to be delivered.
pub async fn pending(db: &Db) -> Result<i64, ApiError> {
    Ok(sqlx::query("SELECT COUNT(*) AS n FROM search_outbox").fetch_one(db.pool()).await?.try_get("n")?)
}

/// Delivers until the process stops.
pub async fn deliver(app: App) {
    let Some(client) = &app.search.client else { return };
    let mut stopping = app.stopping.clone();
    let mut pause = LOOK_EVERY;
    loop {
        match pass(&app, client).await {
            // More may be due.
            Ok(rows) if rows == usize::try_from(BATCH).unwrap_or_default() => continue,
            Ok(_) => pause = LOOK_EVERY,
            Err(e) => {
                tracing::warn!(context = e.context, "changed events could not be told of; they are told of again");
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
        let ring = async {
            // While the server is away a ring is no reason to hurry.
            if pause > LOOK_EVERY { std::future::pending().await } else { app.search.filled.notified().await }
        };
        tokio::select! {
            () = ring => {}
            () = tokio::time::sleep(pause) => {}
            _ = stopping.changed() => return,
        }
    }
}

/// A row that is due.
struct Owed {
    id: Vec<u8>,
    event: EventId,
    attempts: i64,
}

/// Delivers the rows that are due, at most a batch; returns how many there were.
pub async fn pass(app: &Parts, client: &Client) -> Result<usize, ApiError> {
    let owed = due(app).await?;
    // After the rows: a version that is not among these began to be built after these changes, and finds them in SQL.
    let indexes: Vec<String> = versions::of(&app.db, SearchIndex::Events)
        .await?
        .iter()
        .map(|v| client.index(SearchIndex::Events, v.version))
        .collect();
    let events: BTreeSet<EventId> = owed.iter().map(|o| o.event).collect();
    let events: Vec<EventId> = events.into_iter().collect();
    let refused = if indexes.is_empty() {
        BTreeMap::new()
    } else {
        write(client, &indexes, &document::of(app, &events).await?).await?
    };
    let (told, again): (Vec<&Owed>, Vec<&Owed>) = owed.iter().partition(|o| !refused.contains_key(&o.event));
    forget(&app.db, &told).await?;
    for row in again {
        tracing::warn!(event = %row.event, "the full-text engine refuses an event: {}", refused[&row.event]);
        put_off(app, row).await?;
    }
    Ok(owed.len())
}

/// Writes documents to these indexes; the refusal of each event that one of them refused.
pub(super) async fn write(
    client: &Client,
    indexes: &[String],
    documents: &[Document],
) -> Result<BTreeMap<EventId, String>, ApiError> {
    let mut refused = BTreeMap::new();
    let mut bulk: Vec<Write> = Vec::new();
    let mut bytes = 0;
    for d in documents {
        for index in indexes {
            bytes += d.json.len();
            bulk.push(Write { index: index.clone(), id: d.id, version: d.version, document: d.json.clone() });
        }
        if bytes >= BULK_BYTES_MAX {
            send(client, std::mem::take(&mut bulk), &mut refused).await?;
            bytes = 0;
        }
    }
    send(client, bulk, &mut refused).await?;
    Ok(refused)
}

async fn send(client: &Client, bulk: Vec<Write>, refused: &mut BTreeMap<EventId, String>) -> Result<(), ApiError> {
    let outcomes = client.bulk(&bulk).await?;
    refused.extend(bulk.iter().zip(outcomes).filter_map(|(write, outcome)| Some((write.id, outcome?))));
    Ok(())
}

async fn due(app: &Parts) -> Result<Vec<Owed>, ApiError> {
    let rows =
        sqlx::query("SELECT id, event_id, attempts FROM search_outbox WHERE next_at <= ? ORDER BY next_at, id LIMIT ?")
            .bind(app.now().as_millis())
            .bind(BATCH)
            .fetch_all(app.db.pool())
            .await?;
    rows.iter()
        .map(|row| {
            Ok(Owed {
                id: row.try_get("id")?,
                event: EventId::from_bytes(&row.try_get::<Vec<u8>, _>("event_id")?)?,
                attempts: row.try_get("attempts")?,
            })
        })
        .collect()
}

async fn forget(db: &Db, rows: &[&Owed]) -> Result<(), ApiError> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = format!("DELETE FROM search_outbox WHERE id IN {}", marks(rows.len()));
    let query = rows.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, row| query.bind(row.id.clone()));
    query.execute(db.writes()).await?;
    Ok(())
}

/// Tries a refused row again later: the next version of the index may take it.
async fn put_off(app: &Parts, row: &Owed) -> Result<(), ApiError> {
    let doubled = REFUSED_PAUSE_FIRST_MS.saturating_mul(1 << row.attempts.clamp(0, 16));
    sqlx::query("UPDATE search_outbox SET attempts = attempts + 1, next_at = ? WHERE id = ?")
        .bind(app.now().plus_ms(doubled.min(REFUSED_PAUSE_MAX_MS)).as_millis())
        .bind(row.id.clone())
        .execute(app.db.writes())
        .await?;
    Ok(())
}
