//! Results for the coordinator: written in the transaction they tell about, read in the order of commit.
//!
//! An offset is taken from one counter row inside the transaction. Its lock is held until commit, so offsets are dense and
//! become visible in order: a reader that has seen n can never miss a smaller one.
use nugul_proto::payment::v1::{PaymentResult, ResultKind};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};
use uuid::Uuid;

use crate::db::{Db, fit, rows};

/// No more rows are read at once.
pub const PAGE: i64 = 256;

/// A result that has no offset yet.
#[derive(Clone, Copy, Debug)]
pub struct NewResult<'a> {
    /// Its own id.
    pub event: Uuid,
    /// The order it is about.
    pub order: Uuid,
    /// What happened.
    pub kind: ResultKind,
    /// The cancel it is about; 0 for a capture or a decline.
    pub number: i64,
    /// The command that asked for the refund, if one did.
    pub request_id: &'a str,
    /// How much moved.
    pub amount_krw: i64,
    /// How much is left here.
    pub left_krw: i64,
    /// The provider's name of the payment.
    pub payment_key: &'a str,
    /// Reason of a decline.
    pub code: &'a str,
    /// The reason as a sentence.
    pub message: &'a str,
    /// When.
    pub now_ms: i64,
}

/// Appends results.
pub async fn append(tx: &mut Transaction<'_, Any>, all: &[NewResult<'_>]) -> Result<(), sqlx::Error> {
    let count = i64::try_from(all.len()).unwrap_or_default();
    sqlx::query("UPDATE result_counter SET last_offset = last_offset + ? WHERE id = 1")
        .bind(count)
        .execute(&mut **tx)
        .await?;
    let row = sqlx::query("SELECT last_offset FROM result_counter WHERE id = 1").fetch_one(&mut **tx).await?;
    let last: i64 = row.try_get(0)?;
    let text = format!(
        "INSERT INTO results (result_offset, event_id, order_id, kind, number, request_id, amount_krw, left_krw, \
         payment_key, code, message, occurred_at_ms) VALUES {}",
        rows(all.len(), 12)
    );
    let mut query = sqlx::query(AssertSqlSafe(text));
    for (offset, new) in (last - count + 1..).zip(all) {
        query = query
            .bind(offset)
            .bind(new.event.as_bytes().to_vec())
            .bind(new.order.as_bytes().to_vec())
            .bind(i64::from(new.kind as i32))
            .bind(new.number)
            .bind(new.request_id.to_owned())
            .bind(new.amount_krw)
            .bind(new.left_krw)
            .bind(new.payment_key.to_owned())
            .bind(fit(new.code, 100))
            .bind(fit(new.message, 600))
            .bind(new.now_ms);
    }
    query.execute(&mut **tx).await?;
    Ok(())
}

/// The results after an offset, at most [`PAGE`].
pub async fn after(db: &Db, offset: i64) -> Result<Vec<PaymentResult>, sqlx::Error> {
    sqlx::query(
        "SELECT result_offset, event_id, order_id, kind, request_id, amount_krw, left_krw, payment_key, code, message, \
         occurred_at_ms FROM results WHERE result_offset > ? ORDER BY result_offset LIMIT ?",
    )
    .bind(offset)
    .bind(PAGE)
    .fetch_all(db.pool())
    .await?
    .iter()
    .map(read)
    .collect()
}

/// The newest offset; 0 before the first result.
pub async fn newest(db: &Db) -> Result<i64, sqlx::Error> {
    sqlx::query("SELECT last_offset FROM result_counter WHERE id = 1").fetch_one(db.pool()).await?.try_get(0)
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
        request_id: row.try_get("request_id")?,
        left_krw: row.try_get("left_krw")?,
    })
}
