//! One key, one effect: the answer is stored with its key in the transaction of the work.
//!
//! A refusal changes nothing and is not stored: the same key may be tried again.

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use nugul_api::Code;
use nugul_domain::Timestamp;
use serde::Serialize;
use sqlx::Row;

use crate::{
    db::{Db, Tx, is_unique_violation},
    error::ApiError,
};

/// Whose keys these are: an account's id, or a digest of what stands for one.
pub type Scope = [u8; 16];

/// What a key turned out to be.
pub enum Begun {
    /// New: do the work in this transaction.
    Fresh(Work),
    /// Answered before: send the same answer.
    Replay(Response),
}

/// A transaction that holds a key.
pub struct Work {
    /// The transaction; work that is not finished is rolled back with its key.
    pub tx: Tx,
    scope: Scope,
    key: String,
}

/// Takes `key`, or finds what it was answered. While another request is at work with the same key, this waits.
pub async fn begin(db: &Db, scope: Scope, key: &str, digest: &str, now: Timestamp) -> Result<Begun, ApiError> {
    if let Some(response) = replay(db, scope, key, digest).await? {
        return Ok(Begun::Replay(response));
    }
    let mut tx = db.begin_write().await?;
    let inserted = sqlx::query(
        "INSERT INTO idempotency (scope, idem_key, digest, status, body, created_at) VALUES (?, ?, ?, 0, '', ?)",
    )
    .bind(scope.to_vec())
    .bind(key.to_owned())
    .bind(digest.to_owned())
    .bind(now.as_millis())
    .execute(&mut *tx)
    .await;
    match inserted {
        Ok(_) => Ok(Begun::Fresh(Work { tx, scope, key: key.to_owned() })),
        Err(e) if is_unique_violation(&e) => {
            tx.rollback().await?;
            let response = replay(db, scope, key, digest).await?;
            response.map(Begun::Replay).ok_or_else(|| ApiError::unavailable("the key's first request was rolled back"))
        }
        Err(e) => Err(e.into()),
    }
}

/// The answer already given to `key`, if any.
pub async fn replay(db: &Db, scope: Scope, key: &str, digest: &str) -> Result<Option<Response>, ApiError> {
    let row = sqlx::query("SELECT digest, status, body FROM idempotency WHERE scope = ? AND idem_key = ?")
        .bind(scope.to_vec())
        .bind(key.to_owned())
        .fetch_optional(db.pool())
        .await?;
    let Some(row) = row else { return Ok(None) };
    if row.try_get::<String, _>("digest")? != digest {
        return Err(Code::IdempotencyKeyReused.into());
    }
    let status: i64 = row.try_get("status")?;
    Ok(Some(answer(status, row.try_get("body")?)))
}

impl Work {
    /// Stores the answer and commits both.
    pub async fn finish(mut self, status: StatusCode, body: &impl Serialize) -> Result<Response, ApiError> {
        let body = serde_json::to_string(body)?;
        let status = i64::from(status.as_u16());
        sqlx::query("UPDATE idempotency SET status = ?, body = ? WHERE scope = ? AND idem_key = ?")
            .bind(status)
            .bind(body.clone())
            .bind(self.scope.to_vec())
            .bind(self.key)
            .execute(&mut *self.tx)
            .await?;
        self.tx.commit().await?;
        Ok(answer(status, body))
    }
}

fn answer(status: i64, body: String) -> Response {
    let status = u16::try_from(status).ok().and_then(|s| StatusCode::from_u16(s).ok()).unwrap_or(StatusCode::OK);
    if status == StatusCode::NO_CONTENT {
        return status.into_response();
    }
    (status, [(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response()
}
