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
use nugul_points::{Planted, planted};
use serde::Serialize;
use sqlx::{AssertSqlSafe, Row};

use crate::{
    db::{Db, Tx, is_unique_violation, rows},
    error::ApiError,
};

/// Whose keys these are: an account's id, or a digest of what stands for one.
pub type Scope = [u8; 16];

/// A key with the request it came with.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// Whose it is.
    pub scope: Scope,
    /// The client's text.
    pub key: &'a str,
    /// Tells whether a later request with the key is the same.
    pub digest: &'a str,
}

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
    let mut tx = db.begin_write().await?;
    if insert(&mut tx, &Key { scope, key, digest }, now).await? {
        return Ok(Begun::Fresh(Work { tx, scope, key: key.to_owned() }));
    }
    tx.rollback().await?;
    let response = replay(db, scope, key, digest).await?;
    response.map(Begun::Replay).ok_or_else(|| ApiError::unavailable("the key's first request was rolled back"))
}

/// An answer that is about to be stored with its key.
#[derive(Clone, Debug)]
pub struct Answer {
    scope: Scope,
    key: String,
    digest: String,
    status: StatusCode,
    body: String,
}

impl Answer {
    /// What `key` is answered.
    pub fn to(key: &Key<'_>, status: StatusCode, body: &impl Serialize) -> Result<Self, ApiError> {
        let (key, scope, digest) = (key.key.to_owned(), key.scope, key.digest.to_owned());
        Ok(Self { scope, key, digest, status, body: serde_json::to_string(body)? })
    }

    /// As it is sent.
    pub fn into_response(self) -> Response {
        answer(i64::from(self.status.as_u16()), self.body)
    }
}

/// Stores answers as the last step of `tx`. `false` where one of the keys is there already: roll back.
pub async fn record(tx: &mut Tx, answers: &[&Answer], now: Timestamp) -> Result<bool, ApiError> {
    let sql = format!(
        "INSERT INTO idempotency (scope, idem_key, digest, status, body, created_at) VALUES {}",
        rows(answers.len(), 6)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for a in answers {
        let kept = if planted(Planted::LostIdempotency) { String::new() } else { a.body.clone() };
        query = query
            .bind(a.scope.to_vec())
            .bind(a.key.clone())
            .bind(a.digest.clone())
            .bind(i64::from(a.status.as_u16()))
            .bind(kept)
            .bind(now.as_millis());
    }
    match query.execute(&mut **tx).await {
        Ok(_) => Ok(true),
        Err(e) if is_unique_violation(&e) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Stores a key that has no answer yet. `false` where it is there already.
async fn insert(tx: &mut Tx, key: &Key<'_>, now: Timestamp) -> Result<bool, ApiError> {
    let inserted = sqlx::query(
        "INSERT INTO idempotency (scope, idem_key, digest, status, body, created_at) VALUES (?, ?, ?, 0, '', ?)",
    )
    .bind(key.scope.to_vec())
    .bind(key.key.to_owned())
    .bind(key.digest.to_owned())
    .bind(now.as_millis())
    .execute(&mut **tx)
    .await;
    match inserted {
        Ok(_) => Ok(true),
        Err(e) if is_unique_violation(&e) => Ok(false),
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
