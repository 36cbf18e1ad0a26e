//! What a person has to look at: outcomes nobody tells, differences in the books, commands that can never be done.
use nugul_proto::payment::v1::{Case as CaseMessage, CaseKind};
use sha2::{Digest, Sha256};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};
use uuid::Uuid;

use crate::db::{Db, fit, marks};
use crate::store;

/// No more cases are listed at once.
pub const PAGE: i64 = 100;
/// No more refused commands are kept open; a caller that sends nonsense fills the list, not the disk.
pub const MAX_COMMANDS: i64 = 1_000;

/// Something a person has to look at.
#[derive(Clone, Debug)]
pub struct NewCase<'a> {
    /// Why.
    pub kind: CaseKind,
    /// The order; nil where none is known.
    pub order: Uuid,
    /// What it is about within the order.
    pub subject: &'a str,
    /// What is wrong.
    pub reason: &'a str,
    /// What we have.
    pub ours_krw: i64,
    /// What the provider has.
    pub theirs_krw: i64,
    /// The day it was found on, for differences; empty otherwise.
    pub day: &'a str,
}

impl<'a> NewCase<'a> {
    /// A payment whose outcome nobody tells.
    pub fn outcome(order: Uuid, reason: &'a str) -> Self {
        Self { kind: CaseKind::Outcome, order, subject: "", reason, ours_krw: 0, theirs_krw: 0, day: "" }
    }
}

/// Opens a case, once for a kind, order and subject; a closed one is opened again. False when it is open already.
pub async fn open(db: &Db, new: &NewCase<'_>, now_ms: i64) -> Result<bool, sqlx::Error> {
    let subject = Sha256::digest(new.subject.as_bytes()).to_vec();
    let mut tx = db.begin_write().await?;
    // The counter's lock makes openers take turns, so that looking first is enough.
    sqlx::query("UPDATE case_counter SET last_case = last_case + 1 WHERE id = 1").execute(&mut *tx).await?;
    let known = sqlx::query("SELECT closed_at_ms FROM cases WHERE kind = ? AND order_id = ? AND subject_digest = ?")
        .bind(i64::from(new.kind as i32))
        .bind(new.order.as_bytes().to_vec())
        .bind(subject.clone())
        .fetch_optional(&mut *tx)
        .await?;
    let known: Option<i64> = known.map(|row| row.try_get(0)).transpose()?;
    if known == Some(0) {
        return Ok(false);
    }
    if known.is_some() {
        sqlx::query(
            "UPDATE cases SET reason = ?, ours_krw = ?, theirs_krw = ?, day = ?, opened_at_ms = ?, closed_at_ms = 0, \
             note = '' WHERE kind = ? AND order_id = ? AND subject_digest = ?",
        )
        .bind(fit(new.reason, 200))
        .bind(new.ours_krw)
        .bind(new.theirs_krw)
        .bind(new.day)
        .bind(now_ms)
        .bind(i64::from(new.kind as i32))
        .bind(new.order.as_bytes().to_vec())
        .bind(subject)
        .execute(&mut *tx)
        .await?;
    } else {
        sqlx::query(
            "INSERT INTO cases (case_no, kind, order_id, subject_digest, subject, reason, ours_krw, theirs_krw, day, \
             opened_at_ms, closed_at_ms, note) SELECT last_case, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '' FROM case_counter",
        )
        .bind(i64::from(new.kind as i32))
        .bind(new.order.as_bytes().to_vec())
        .bind(subject)
        .bind(fit(new.subject, 200))
        .bind(fit(new.reason, 200))
        .bind(new.ours_krw)
        .bind(new.theirs_krw)
        .bind(new.day)
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// Puts a command aside that can never be done; at most [`MAX_COMMANDS`] are open.
pub async fn park(db: &Db, order: Uuid, request_id: &str, reason: &str, now_ms: i64) -> Result<(), sqlx::Error> {
    let kind = CaseKind::Command;
    let open_now: i64 = sqlx::query("SELECT COUNT(*) FROM cases WHERE kind = ? AND closed_at_ms = 0")
        .bind(i64::from(kind as i32))
        .fetch_one(db.pool())
        .await?
        .try_get(0)?;
    if open_now < MAX_COMMANDS {
        let new = NewCase { kind, order, subject: request_id, reason, ours_krw: 0, theirs_krw: 0, day: "" };
        open(db, &new, now_ms).await?;
    }
    Ok(())
}

/// The outcome of a payment is known: its case is closed with it.
pub async fn close_outcomes(tx: &mut Transaction<'_, Any>, orders: &[Uuid], now_ms: i64) -> Result<(), sqlx::Error> {
    let text = format!(
        "UPDATE cases SET closed_at_ms = ? WHERE kind = ? AND closed_at_ms = 0 AND order_id IN {}",
        marks(orders.len())
    );
    let query = sqlx::query(AssertSqlSafe(text));
    let query = query.bind(now_ms).bind(i64::from(CaseKind::Outcome as i32));
    orders.iter().fold(query, |query, order| query.bind(order.as_bytes().to_vec())).execute(&mut **tx).await?;
    Ok(())
}

/// Closes the differences of a day that were not found again when it was compared.
pub async fn close_gone(db: &Db, day: &str, found: &[(Uuid, String)], now_ms: i64) -> Result<i64, sqlx::Error> {
    let rows =
        sqlx::query("SELECT case_no, order_id, subject FROM cases WHERE kind = ? AND day = ? AND closed_at_ms = 0")
            .bind(i64::from(CaseKind::Difference as i32))
            .bind(day)
            .fetch_all(db.pool())
            .await?;
    let mut closed = 0;
    for row in rows {
        let (number, order, subject): (i64, Vec<u8>, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let still = found.iter().any(|(id, name)| id.as_bytes()[..] == order[..] && fit(name, 200) == subject);
        if !still && close(db, number, "agrees now", now_ms).await? {
            closed += 1;
        }
    }
    Ok(closed)
}

/// The days, newest first, on which differences were found that are still there.
pub async fn days_with_differences(db: &Db, limit: i64) -> Result<Vec<String>, sqlx::Error> {
    let text =
        "SELECT DISTINCT day FROM cases WHERE kind = ? AND closed_at_ms = 0 AND day <> '' ORDER BY day DESC LIMIT ?";
    let rows = sqlx::query(text).bind(i64::from(CaseKind::Difference as i32)).bind(limit).fetch_all(db.pool()).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Closes a case. False when there is none of that number, or it is closed.
pub async fn close(db: &Db, number: i64, note: &str, now_ms: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("UPDATE cases SET closed_at_ms = ?, note = ? WHERE case_no = ? AND closed_at_ms = 0")
        .bind(now_ms)
        .bind(fit(note, 200))
        .bind(number)
        .execute(db.writes())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The kind and the order of a case, where there is one of this number.
pub async fn find(db: &Db, number: i64) -> Result<Option<(CaseKind, Uuid)>, sqlx::Error> {
    let row = sqlx::query("SELECT kind, order_id FROM cases WHERE case_no = ?")
        .bind(number)
        .fetch_optional(db.pool())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let kind = i32::try_from(row.try_get::<i64, _>("kind")?).unwrap_or_default();
    Ok(Some((CaseKind::try_from(kind).unwrap_or_default(), store::uuid(&row, "order_id")?)))
}

/// Which cases say that a person has to look at the payment, as a condition.
pub fn waiting() -> String {
    format!("closed_at_ms = 0 AND kind <> {}", CaseKind::Command as i32)
}

/// True when a person has to look at the payment.
pub async fn has_open(db: &Db, order: Uuid) -> Result<bool, sqlx::Error> {
    let text = format!("SELECT case_no FROM cases WHERE {} AND order_id = ? LIMIT 1", waiting());
    let row = sqlx::query(AssertSqlSafe(text)).bind(order.as_bytes().to_vec()).fetch_optional(db.pool()).await?;
    Ok(row.is_some())
}

/// How many cases of a kind are open.
pub async fn count_open(db: &Db, kind: CaseKind) -> Result<i64, sqlx::Error> {
    sqlx::query("SELECT COUNT(*) FROM cases WHERE kind = ? AND closed_at_ms = 0")
        .bind(i64::from(kind as i32))
        .fetch_one(db.pool())
        .await?
        .try_get(0)
}

/// The cases after one, at most [`PAGE`], without their payments.
pub async fn after(db: &Db, number: i64, closed: bool) -> Result<Vec<(Uuid, CaseMessage)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT case_no, kind, order_id, subject, reason, ours_krw, theirs_krw, opened_at_ms, closed_at_ms, note \
         FROM cases WHERE case_no > ? AND (closed_at_ms = 0 OR ? = 1) ORDER BY case_no LIMIT ?",
    )
    .bind(number)
    .bind(i64::from(closed))
    .bind(PAGE)
    .fetch_all(db.pool())
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<(Uuid, CaseMessage), sqlx::Error> {
    let order: Vec<u8> = row.try_get("order_id")?;
    let order = Uuid::from_slice(&order).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let case = CaseMessage {
        case: row.try_get("case_no")?,
        kind: i32::try_from(row.try_get::<i64, _>("kind")?).unwrap_or_default(),
        order_id: if order.is_nil() { String::new() } else { order.to_string() },
        subject: row.try_get("subject")?,
        reason: row.try_get("reason")?,
        ours_krw: row.try_get("ours_krw")?,
        theirs_krw: row.try_get("theirs_krw")?,
        opened_at_ms: row.try_get("opened_at_ms")?,
        closed_at_ms: row.try_get("closed_at_ms")?,
        note: row.try_get("note")?,
        payment: None,
    };
    Ok((order, case))
}
