//! Deletes what nobody asks for any more, so that no table grows without end. Any replica may do it, any number of times.

use std::time::Duration;

use nugul_domain::PerformanceId;
use sqlx::{AssertSqlSafe, Row};

use crate::{accounts, app::App, error::ApiError, messages::Lane, rounds};

/// How often.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How long the answer to an idempotency key is kept: as long as Toss keeps those it was given (Toss core API,
/// Idempotency-Key), in milliseconds.
const ANSWERS_FOR_MS: i64 = 15 * 24 * 60 * 60 * 1000;
/// How long a message that was put aside, and a search job that is over, are kept for whoever looks into a case, in milliseconds.
const MESSAGES_FOR_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How long what the comparison of live seats found is kept, in milliseconds.
const CORRECTIONS_FOR_MS: i64 = 90 * 24 * 60 * 60 * 1000;
/// When the live state of a performance is let go: this long after it began, in milliseconds.
const SEATS_FOR_MS: i64 = 24 * 60 * 60 * 1000;
/// For this long after that it is let go again and again, because someone may have asked once more, in milliseconds.
const SEATS_AGAIN_MS: i64 = 24 * 60 * 60 * 1000;
/// Performances let go in one go.
const SEATS_MAX: i64 = 1_000;

/// Deletes what is over, until the process stops.
pub async fn keep_tidy(app: App) {
    rounds::every(app, SWEEP_EVERY, "what is over could not be deleted", |app| async move { sweep(&app).await }).await;
}

async fn sweep(app: &App) -> Result<(), ApiError> {
    accounts::service::sweep(app).await?;
    let messages = format!("DELETE FROM outbox WHERE lane IN ({}) AND done_at < ?", Lane::all_in_sql());
    for (sql, age_ms) in [
        ("DELETE FROM idempotency WHERE created_at < ?", ANSWERS_FOR_MS),
        (messages.as_str(), MESSAGES_FOR_MS),
        ("DELETE FROM seat_corrections WHERE corrected_at < ?", CORRECTIONS_FOR_MS),
        ("DELETE FROM search_jobs WHERE finished_at < ?", MESSAGES_FOR_MS),
    ] {
        sqlx::query(AssertSqlSafe(sql)).bind(app.now().plus_ms(-age_ms).as_millis()).execute(app.db.writes()).await?;
    }
    forget_seats(app).await
}

/// Lets go of the live state of performances that are over. Redis would keep it for ever.
async fn forget_seats(app: &App) -> Result<(), ApiError> {
    let over = app.now().plus_ms(-SEATS_FOR_MS);
    let rows =
        sqlx::query("SELECT id FROM performances WHERE starts_at > ? AND starts_at <= ? ORDER BY starts_at LIMIT ?")
            .bind(over.plus_ms(-SEATS_AGAIN_MS).as_millis())
            .bind(over.as_millis())
            .bind(SEATS_MAX)
            .fetch_all(app.db.pool())
            .await?;
    for row in &rows {
        app.seats.forget(PerformanceId::from_bytes(&row.try_get::<Vec<u8>, _>("id")?)?).await?;
    }
    Ok(())
}
