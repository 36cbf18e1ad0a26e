//! Results for the coordinator: written in the transaction they tell about, read in the order of commit.
//!
//! An offset is taken from one counter row inside the transaction. Its lock is held until commit, so offsets are dense and
//! become visible in order: a reader that has seen n can never miss a smaller one.
use nugul_proto::payment::v1::{PaymentResult, ResultKind};
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};
use uuid::Uuid;

use crate::db::{Db, fit};

/// No more rows are read at once.
pub const PAGE: i64 = 256;

/// A result that has no offset yet.
#[derive(Clone, Debug)]
pub struct NewResult<'a> {
    /// Its own id.
    pub event: Uuid,
    /// The order it is about.
    pub order: Uuid,
    /// What happened.
    pub kind: ResultKind,
    /// How much moved.
    pub amount_krw: i64,
    /// The provider's name of the payment.
    pub payment_key: &'a str,
    /// Reason of a decline.
    pub code: &'a str,
    /// The reason as a sentence.
    pub message: &'a str,
    /// When.
    pub now_ms: i64,
}

/// Appends a result and gives its offset.
pub async fn append(tx: &mut Transaction<'_, Any>, new: &NewResult<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query("UPDATE result_counter SET last_offset = last_offset + 1 WHERE id = 1").execute(&mut **tx).await?;
    let row = sqlx::query("SELECT last_offset FROM result_counter WHERE id = 1").fetch_one(&mut **tx).await?;
    let offset: i64 = row.try_get(0)?;
    sqlx::query(
        "INSERT INTO results (result_offset, event_id, order_id, kind, amount_krw, payment_key, code, message, \
         occurred_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(offset)
    .bind(new.event.as_bytes().to_vec())
    .bind(new.order.as_bytes().to_vec())
    .bind(i64::from(new.kind as i32))
    .bind(new.amount_krw)
    .bind(new.payment_key)
    .bind(fit(new.code, 100))
    .bind(fit(new.message, 600))
    .bind(new.now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(offset)
}

/// The results after an offset, at most [`PAGE`].
pub async fn after(db: &Db, offset: i64) -> Result<Vec<PaymentResult>, sqlx::Error> {
    sqlx::query(
        "SELECT result_offset, event_id, order_id, kind, amount_krw, payment_key, code, message, occurred_at_ms \
         FROM results WHERE result_offset > ? ORDER BY result_offset LIMIT ?",
    )
    .bind(offset)
    .bind(PAGE)
    .fetch_all(&db.pool)
    .await?
    .iter()
    .map(read)
    .collect()
}

/// The newest offset; 0 before the first result.
pub async fn newest(db: &Db) -> Result<i64, sqlx::Error> {
    sqlx::query("SELECT last_offset FROM result_counter WHERE id = 1").fetch_one(&db.pool).await?.try_get(0)
}

fn read(row: &AnyRow) -> Result<PaymentResult, sqlx::Error> {
    let id = |name: &str| -> Result<String, sqlx::Error> {
        let bytes: Vec<u8> = row.try_get(name)?;
        Ok(Uuid::from_slice(&bytes).map_err(|error| sqlx::Error::Decode(error.into()))?.to_string())
    };
    Ok(PaymentResult {
        offset: row.try_get("result_offset")?,
        event_id: id("event_id")?,
        order_id: id("order_id")?,
        kind: i32::try_from(row.try_get::<i64, _>("kind")?).unwrap_or_default(),
        amount_krw: row.try_get("amount_krw")?,
        payment_key: row.try_get("payment_key")?,
        code: row.try_get("code")?,
        message: row.try_get("message")?,
        occurred_at_ms: row.try_get("occurred_at_ms")?,
    })
}
