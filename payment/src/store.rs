//! Payments as stored: reading them, preparing them, and every change of state, each one transaction.
use nugul_proto::payment::v1::ResultKind;
use sha2::{Digest, Sha256};
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};
use uuid::Uuid;

use crate::db::{Db, fit, is_duplicate};
use crate::ledger::{self, Movement};
use crate::outbox::{self, NewResult};
use crate::state::{Event, State};

/// The time of a next check that never comes.
pub const NEVER: i64 = i64::MAX;

/// Why a command is refused. Nothing has changed then.
#[derive(Debug)]
pub enum Refusal {
    /// No such payment was prepared.
    NotFound,
    /// The amount is not the one prepared.
    AmountMismatch,
    /// The order was prepared with another amount or buyer.
    PrepareConflict,
    /// The request id was used for another request.
    RequestIdReused,
    /// The money was given back already; there is nothing to confirm.
    AlreadyRefunded,
    /// Too much is under way; try again.
    Busy,
    /// The database did not do it.
    Storage(sqlx::Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error)
    }
}

/// One payment.
#[derive(Clone, Debug)]
pub struct Payment {
    /// The order it is for.
    pub order: Uuid,
    /// The buyer.
    pub user: Uuid,
    /// What the order costs.
    pub amount_krw: i64,
    /// What the buyer reads.
    pub order_name: String,
    /// Where it stands.
    pub state: State,
    /// The provider's name of it; empty before Confirm.
    pub payment_key: String,
    /// Reason of a decline.
    pub code: String,
    /// The reason as a sentence.
    pub message: String,
    /// A cancel came while the outcome was unknown.
    pub cancel_wanted: bool,
    /// Why it is cancelled.
    pub cancel_reason: String,
    /// How often the reconciler has asked.
    pub attempts: i64,
    /// When the provider was first asked for the money.
    pub asked_at_ms: i64,
    /// When the reconciler looks next.
    pub next_check_ms: i64,
    /// When the order stops waiting.
    pub expires_at_ms: i64,
    /// When it was prepared.
    pub created_at_ms: i64,
    /// When it last changed.
    pub updated_at_ms: i64,
}

const COLUMNS: &str = "order_id, user_id, amount_krw, order_name, state, payment_key, code, message, cancel_wanted, \
    cancel_reason, attempts, asked_at_ms, next_check_ms, expires_at_ms, created_at_ms, updated_at_ms";

fn uuid(row: &AnyRow, name: &str) -> Result<Uuid, sqlx::Error> {
    let bytes: Vec<u8> = row.try_get(name)?;
    Uuid::from_slice(&bytes).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn read(row: &AnyRow) -> Result<Payment, sqlx::Error> {
    let number: i64 = row.try_get("state")?;
    Ok(Payment {
        order: uuid(row, "order_id")?,
        user: uuid(row, "user_id")?,
        amount_krw: row.try_get("amount_krw")?,
        order_name: row.try_get("order_name")?,
        state: State::from_number(number).ok_or_else(|| sqlx::Error::Decode(format!("state {number}").into()))?,
        payment_key: row.try_get("payment_key")?,
        code: row.try_get("code")?,
        message: row.try_get("message")?,
        cancel_wanted: row.try_get::<i64, _>("cancel_wanted")? != 0,
        cancel_reason: row.try_get("cancel_reason")?,
        attempts: row.try_get("attempts")?,
        asked_at_ms: row.try_get("asked_at_ms")?,
        next_check_ms: row.try_get("next_check_ms")?,
        expires_at_ms: row.try_get("expires_at_ms")?,
        created_at_ms: row.try_get("created_at_ms")?,
        updated_at_ms: row.try_get("updated_at_ms")?,
    })
}

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM payments {rest}"))
}

/// The payment of an order.
pub async fn get(db: &Db, order: Uuid) -> Result<Option<Payment>, sqlx::Error> {
    let row =
        sqlx::query(select("WHERE order_id = ?")).bind(order.as_bytes().to_vec()).fetch_optional(&db.pool).await?;
    row.as_ref().map(read).transpose()
}

/// The payment of an order, as this transaction sees it.
pub async fn get_in(tx: &mut Transaction<'_, Any>, order: Uuid) -> Result<Option<Payment>, sqlx::Error> {
    let row =
        sqlx::query(select("WHERE order_id = ?")).bind(order.as_bytes().to_vec()).fetch_optional(&mut **tx).await?;
    row.as_ref().map(read).transpose()
}

/// Payments the reconciler should look at now, the longest waiting first.
pub async fn due(db: &Db, now_ms: i64, limit: i64) -> Result<Vec<Payment>, sqlx::Error> {
    sqlx::query(select("WHERE next_check_ms <= ? ORDER BY next_check_ms LIMIT ?"))
        .bind(now_ms)
        .bind(limit)
        .fetch_all(&db.pool)
        .await?
        .iter()
        .map(read)
        .collect()
}

/// Takes a payment that is due for this process alone until `until_ms`. False when another was faster.
pub async fn claim(db: &Db, payment: &Payment, until_ms: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE payments SET next_check_ms = ?, attempts = attempts + 1 WHERE order_id = ? AND state = ? AND next_check_ms = ?",
    )
    .bind(until_ms)
    .bind(payment.order.as_bytes().to_vec())
    .bind(payment.state as i64)
    .bind(payment.next_check_ms)
    .execute(&db.pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Says when to look again, while the payment is still in that state.
pub async fn look_again(db: &Db, order: Uuid, state: State, at_ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE payments SET next_check_ms = ? WHERE order_id = ? AND state = ?")
        .bind(at_ms)
        .bind(order.as_bytes().to_vec())
        .bind(state as i64)
        .execute(&db.pool)
        .await?;
    Ok(())
}

/// At start: payments that were given up, or left by a process that ended, are looked at again.
pub async fn look_at_all_open(db: &Db, from_ms: i64, now_ms: i64) -> Result<u64, sqlx::Error> {
    let done = sqlx::query("UPDATE payments SET next_check_ms = ? WHERE state IN (?, ?) AND next_check_ms >= ?")
        .bind(now_ms)
        .bind(State::Confirming as i64)
        .bind(State::Refunding as i64)
        .bind(from_ms)
        .execute(&db.pool)
        .await?;
    Ok(done.rows_affected())
}

/// Leaves a payment to a person. The case is closed when the payment is settled. False when it is open already.
pub async fn open_case(db: &Db, order: Uuid, reason: &str, now_ms: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("INSERT INTO open_cases (order_id, reason, opened_at_ms, closed_at_ms) VALUES (?, ?, ?, 0)")
        .bind(order.as_bytes().to_vec())
        .bind(fit(reason, 200))
        .bind(now_ms)
        .execute(&db.pool)
        .await;
    match done {
        Ok(_) => Ok(true),
        Err(error) if is_duplicate(&error) => {
            let text = "UPDATE open_cases SET reason = ?, opened_at_ms = ?, closed_at_ms = 0 WHERE order_id = ? AND closed_at_ms <> 0";
            let done = sqlx::query(text)
                .bind(fit(reason, 200))
                .bind(now_ms)
                .bind(order.as_bytes().to_vec())
                .execute(&db.pool)
                .await?;
            Ok(done.rows_affected() == 1)
        }
        Err(error) => Err(error),
    }
}

/// True when a person has to look at the payment.
pub async fn has_open_case(db: &Db, order: Uuid) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("SELECT opened_at_ms FROM open_cases WHERE order_id = ? AND closed_at_ms = 0")
        .bind(order.as_bytes().to_vec())
        .fetch_optional(&db.pool)
        .await?;
    Ok(row.is_some())
}

/// How many payments a person has to look at.
pub async fn count_open_cases(db: &Db) -> Result<i64, sqlx::Error> {
    sqlx::query("SELECT COUNT(*) FROM open_cases WHERE closed_at_ms = 0").fetch_one(&db.pool).await?.try_get(0)
}

/// Forgets commands received before a time, some at once.
pub async fn forget_requests(db: &Db, before_ms: i64) -> Result<u64, sqlx::Error> {
    let done = sqlx::query("DELETE FROM inbox WHERE received_at_ms < ?").bind(before_ms).execute(&db.pool).await?;
    Ok(done.rows_affected())
}

/// Remembers a command. The same id with the same body passes; with another it is refused.
pub async fn receive(tx: &mut Transaction<'_, Any>, id: &str, body: &[&str], now_ms: i64) -> Result<(), Refusal> {
    let mut digest = Sha256::new();
    for part in body {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let (id, body) = (Sha256::digest(id.as_bytes()).to_vec(), digest.finalize().to_vec());
    let done = sqlx::query("INSERT INTO inbox (request_digest, body_digest, received_at_ms) VALUES (?, ?, ?)")
        .bind(id.clone())
        .bind(body.clone())
        .bind(now_ms)
        .execute(&mut **tx)
        .await;
    match done {
        Ok(_) => Ok(()),
        Err(error) if is_duplicate(&error) => {
            let row = sqlx::query("SELECT body_digest FROM inbox WHERE request_digest = ?")
                .bind(id)
                .fetch_one(&mut **tx)
                .await?;
            if row.try_get::<Vec<u8>, _>(0)? == body { Ok(()) } else { Err(Refusal::RequestIdReused) }
        }
        Err(error) => Err(error.into()),
    }
}

/// Stores a new payment, or finds it stored with the same amount and buyer.
pub async fn prepare(tx: &mut Transaction<'_, Any>, new: &Payment) -> Result<State, Refusal> {
    let done = sqlx::query(
        "INSERT INTO payments (order_id, user_id, amount_krw, order_name, state, payment_key, code, message, \
         cancel_wanted, cancel_reason, attempts, asked_at_ms, next_check_ms, expires_at_ms, created_at_ms, updated_at_ms) \
         VALUES (?, ?, ?, ?, ?, '', '', '', 0, '', 0, 0, ?, ?, ?, ?)",
    )
    .bind(new.order.as_bytes().to_vec())
    .bind(new.user.as_bytes().to_vec())
    .bind(new.amount_krw)
    .bind(new.order_name.clone())
    .bind(State::Prepared as i64)
    .bind(NEVER)
    .bind(new.expires_at_ms)
    .bind(new.created_at_ms)
    .bind(new.created_at_ms)
    .execute(&mut **tx)
    .await;
    match done {
        Ok(_) => Ok(State::Prepared),
        Err(error) if is_duplicate(&error) => {
            let stored = get_in(tx, new.order).await?.ok_or(Refusal::NotFound)?;
            if stored.amount_krw == new.amount_krw && stored.user == new.user {
                Ok(stored.state)
            } else {
                Err(Refusal::PrepareConflict)
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Prepared → Confirming. False when it was not prepared any more.
pub async fn start_confirm(
    tx: &mut Transaction<'_, Any>,
    order: Uuid,
    payment_key: &str,
    lease_until_ms: i64,
    now_ms: i64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE payments SET state = ?, payment_key = ?, asked_at_ms = ?, attempts = 0, next_check_ms = ?, \
         updated_at_ms = ? WHERE order_id = ? AND state = ?",
    )
    .bind(State::Confirming as i64)
    .bind(payment_key)
    .bind(now_ms)
    .bind(lease_until_ms)
    .bind(now_ms)
    .bind(order.as_bytes().to_vec())
    .bind(State::Prepared as i64)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Approved → Refunding. False when it was not approved any more.
pub async fn start_refund(
    tx: &mut Transaction<'_, Any>,
    order: Uuid,
    reason: &str,
    lease_until_ms: i64,
    now_ms: i64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE payments SET state = ?, cancel_wanted = 1, cancel_reason = ?, attempts = 0, next_check_ms = ?, \
         updated_at_ms = ? WHERE order_id = ? AND state = ?",
    )
    .bind(State::Refunding as i64)
    .bind(fit(reason, 200))
    .bind(lease_until_ms)
    .bind(now_ms)
    .bind(order.as_bytes().to_vec())
    .bind(State::Approved as i64)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Remembers that a payment of unknown outcome is to be given back should it turn out to be taken.
pub async fn want_cancel(tx: &mut Transaction<'_, Any>, order: Uuid, reason: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("UPDATE payments SET cancel_wanted = 1, cancel_reason = ? WHERE order_id = ? AND state = ?")
        .bind(fit(reason, 200))
        .bind(order.as_bytes().to_vec())
        .bind(State::Confirming as i64)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// What became of a payment, to be stored for good.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The money was taken.
    Taken,
    /// Nothing was taken and nothing will be.
    NotTaken {
        /// Why, as a code.
        code: String,
        /// Why, as a sentence.
        message: String,
    },
    /// The money was given back.
    GivenBack,
}

/// Stores what became of a payment: state, ledger and result in the caller's transaction. False when the payment has gone
/// on meanwhile and nothing was stored.
pub async fn settle(
    tx: &mut Transaction<'_, Any>,
    payment: &Payment,
    verdict: &Verdict,
    event_id: Uuid,
    now_ms: i64,
) -> Result<bool, sqlx::Error> {
    let (event, kind, amount) = match verdict {
        Verdict::Taken => (Event::Taken, ResultKind::Approved, payment.amount_krw),
        Verdict::NotTaken { .. } => (Event::NotTaken, ResultKind::Declined, 0),
        Verdict::GivenBack => (Event::GivenBack, ResultKind::Refunded, payment.amount_krw),
    };
    let Some(next) = payment.state.after(event) else { return Ok(false) };
    let (code, message) = match verdict {
        Verdict::NotTaken { code, message } => (fit(code, 100), fit(message, 600)),
        _ => (String::new(), String::new()),
    };
    let done = sqlx::query(
        "UPDATE payments SET state = ?, code = ?, message = ?, next_check_ms = ?, updated_at_ms = ? \
         WHERE order_id = ? AND state = ?",
    )
    .bind(next as i64)
    .bind(code.clone())
    .bind(message.clone())
    .bind(NEVER)
    .bind(now_ms)
    .bind(payment.order.as_bytes().to_vec())
    .bind(payment.state as i64)
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    let was_booked = matches!(payment.state, State::Approved | State::Refunding);
    if matches!(verdict, Verdict::Taken) || (matches!(verdict, Verdict::GivenBack) && !was_booked) {
        ledger::book(tx, payment.order, Movement::Capture, payment.amount_krw, now_ms).await?;
    }
    if matches!(verdict, Verdict::GivenBack) {
        ledger::book(tx, payment.order, Movement::Refund, payment.amount_krw, now_ms).await?;
    }
    let new = NewResult {
        event: event_id,
        order: payment.order,
        kind,
        amount_krw: amount,
        payment_key: &payment.payment_key,
        code: &code,
        message: &message,
        now_ms,
    };
    outbox::append(tx, &new).await?;
    sqlx::query("UPDATE open_cases SET closed_at_ms = ? WHERE order_id = ? AND closed_at_ms = 0")
        .bind(now_ms)
        .bind(payment.order.as_bytes().to_vec())
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

/// How many payments are in a state.
pub async fn count(db: &Db, state: State) -> Result<i64, sqlx::Error> {
    sqlx::query("SELECT COUNT(*) FROM payments WHERE state = ?")
        .bind(state as i64)
        .fetch_one(&db.pool)
        .await?
        .try_get(0)
}
