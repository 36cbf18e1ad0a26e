//! Payments as stored: reading them, preparing them, and every change of state, each one transaction.
use std::sync::Arc;

use nugul_batch::Together;
use nugul_proto::payment::v1::ResultKind;
use sha2::{Digest, Sha256};
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};
use uuid::Uuid;

use crate::cancels::{self, Cancel, Step};
use crate::cases;
use crate::db::{Db, fit, is_unique_violation, marks, rows};
use crate::ledger::{self, Booking, Moved, Movement};
use crate::outbox::{self, NewResult};
use crate::state::{Event, State};

/// The time of a next check that never comes.
pub const NEVER: i64 = i64::MAX;

/// Why a command is refused. Nothing has changed then.
#[derive(Clone, Debug)]
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
    /// A part of money that was not taken cannot be given back.
    NotTaken,
    /// More than is left cannot be given back.
    ExceedsLeft,
    /// The payment was given back in too many parts already.
    TooManyCancels,
    /// Too much is under way; try again.
    Busy,
    /// The database did not do it.
    Storage(Arc<sqlx::Error>),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(Arc::new(error))
    }
}

/// What came of doing commands in one transaction: their results in order, nothing where each needs a look of its own, or an
/// error. The last two have them done one by one.
pub fn together<R>(done: Result<Option<Vec<R>>, Refusal>) -> Together<Result<R, Refusal>> {
    match done {
        Ok(Some(results)) => Together::Done(results.into_iter().map(Ok).collect()),
        Ok(None) => Together::Refused(Err(Refusal::Busy)),
        Err(error) => {
            tracing::warn!(?error, "not stored in one transaction");
            Together::Refused(Err(error))
        }
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
    /// What is left of the money taken; 0 before it is taken.
    pub left_krw: i64,
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

const COLUMNS: &str = "order_id, user_id, amount_krw, order_name, state, payment_key, code, message, left_krw, \
    attempts, asked_at_ms, next_check_ms, expires_at_ms, created_at_ms, updated_at_ms";

pub(crate) fn uuid(row: &AnyRow, name: &str) -> Result<Uuid, sqlx::Error> {
    let bytes: Vec<u8> = row.try_get(name)?;
    Uuid::from_slice(&bytes).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(crate) fn read(row: &AnyRow) -> Result<Payment, sqlx::Error> {
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
        left_krw: row.try_get("left_krw")?,
        attempts: row.try_get("attempts")?,
        asked_at_ms: row.try_get("asked_at_ms")?,
        next_check_ms: row.try_get("next_check_ms")?,
        expires_at_ms: row.try_get("expires_at_ms")?,
        created_at_ms: row.try_get("created_at_ms")?,
        updated_at_ms: row.try_get("updated_at_ms")?,
    })
}

pub(crate) fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM payments {rest}"))
}

/// The payment of an order.
pub async fn get(db: &Db, order: Uuid) -> Result<Option<Payment>, sqlx::Error> {
    let row =
        sqlx::query(select("WHERE order_id = ?")).bind(order.as_bytes().to_vec()).fetch_optional(db.pool()).await?;
    row.as_ref().map(read).transpose()
}

/// The payment of an order, which nobody else changes until this transaction ends.
pub async fn lock(db: &Db, tx: &mut Transaction<'_, Any>, order: Uuid) -> Result<Option<Payment>, sqlx::Error> {
    let text = select(&format!("WHERE order_id = ?{}", db.for_update()));
    let row = sqlx::query(text).bind(order.as_bytes().to_vec()).fetch_optional(&mut **tx).await?;
    row.as_ref().map(read).transpose()
}

/// The payments of orders, ascending, which nobody else changes until this transaction ends.
pub async fn lock_all(db: &Db, tx: &mut Transaction<'_, Any>, orders: &[Uuid]) -> Result<Vec<Payment>, sqlx::Error> {
    let rest = format!("WHERE order_id IN {} ORDER BY order_id{}", marks(orders.len()), db.for_update());
    let query = sqlx::query(select(&rest));
    let rows = orders.iter().fold(query, |query, order| query.bind(order.as_bytes().to_vec()));
    rows.fetch_all(&mut **tx).await?.iter().map(read).collect()
}

/// Payments the reconciler should look at now, the longest waiting first.
pub async fn due(db: &Db, now_ms: i64, limit: i64) -> Result<Vec<Payment>, sqlx::Error> {
    sqlx::query(select("WHERE next_check_ms <= ? ORDER BY next_check_ms LIMIT ?"))
        .bind(now_ms)
        .bind(limit)
        .fetch_all(db.pool())
        .await?
        .iter()
        .map(read)
        .collect()
}

/// Takes a payment that is due for this process alone until `until_ms`. False when another was faster.
pub async fn claim(db: &Db, payment: &Payment, until_ms: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE payments SET next_check_ms = ?, lease_until_ms = ?, look_wanted_ms = 0, attempts = attempts + 1 \
         WHERE order_id = ? AND state = ? AND next_check_ms = ?",
    )
    .bind(until_ms)
    .bind(until_ms)
    .bind(payment.order.as_bytes().to_vec())
    .bind(payment.state as i64)
    .bind(payment.next_check_ms)
    .execute(db.writes())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a lease, and says when to look again, sooner where that was asked for meanwhile, and how many looks were in vain.
/// Whoever's lease is over and was taken by another changes nothing.
pub async fn look_again(
    db: &Db,
    order: Uuid,
    lease_until_ms: i64,
    at_ms: i64,
    attempts: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE payments SET next_check_ms = CASE WHEN look_wanted_ms > 0 AND look_wanted_ms < ? THEN look_wanted_ms \
         ELSE ? END, look_wanted_ms = 0, lease_until_ms = 0, attempts = ? \
         WHERE order_id = ? AND lease_until_ms = ? AND state IN (?, ?)",
    )
    .bind(at_ms)
    .bind(at_ms)
    .bind(attempts)
    .bind(order.as_bytes().to_vec())
    .bind(lease_until_ms)
    .bind(State::Confirming as i64)
    .bind(State::Refunding as i64)
    .execute(db.writes())
    .await?;
    Ok(())
}

/// At start: payments that were given up, or left by a process that ended, are looked at again.
pub async fn look_at_all_open(db: &Db, from_ms: i64, now_ms: i64) -> Result<u64, sqlx::Error> {
    let text = "UPDATE payments SET next_check_ms = ?, lease_until_ms = 0 WHERE state IN (?, ?) AND next_check_ms >= ?";
    let done = sqlx::query(text)
        .bind(now_ms)
        .bind(State::Confirming as i64)
        .bind(State::Refunding as i64)
        .bind(from_ms)
        .execute(db.writes())
        .await?;
    Ok(done.rows_affected())
}

/// Looks at an open payment at a time, unless it is looked at before. While a call to the provider is under way nobody else
/// asks: it is looked at when that has ended.
pub async fn look_sooner(db: &Db, order: Uuid, at_ms: i64, now_ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE payments SET next_check_ms = CASE WHEN lease_until_ms > ? THEN next_check_ms ELSE ? END, \
         look_wanted_ms = CASE WHEN lease_until_ms > ? THEN ? ELSE 0 END \
         WHERE order_id = ? AND state IN (?, ?) AND next_check_ms > ?",
    )
    .bind(now_ms)
    .bind(at_ms)
    .bind(now_ms)
    .bind(at_ms)
    .bind(order.as_bytes().to_vec())
    .bind(State::Confirming as i64)
    .bind(State::Refunding as i64)
    .bind(at_ms)
    .execute(db.writes())
    .await?;
    Ok(())
}

/// The provider does not know the payment. Gives how often in a row it has said so; answers that come sooner than `spaced`
/// after one another count once.
pub async fn note_absence(db: &Db, order: Uuid, spaced_ms: i64, now_ms: i64) -> Result<i64, sqlx::Error> {
    sqlx::query(
        "UPDATE payments SET absences = absences + 1, absent_at_ms = ? WHERE order_id = ? AND absent_at_ms <= ?",
    )
    .bind(now_ms)
    .bind(order.as_bytes().to_vec())
    .bind(now_ms.saturating_sub(spaced_ms))
    .execute(db.writes())
    .await?;
    sqlx::query("SELECT absences FROM payments WHERE order_id = ?")
        .bind(order.as_bytes().to_vec())
        .fetch_one(db.pool())
        .await?
        .try_get(0)
}

/// The provider knows the payment after all.
pub async fn clear_absences(db: &Db, order: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE payments SET absences = 0 WHERE order_id = ? AND absences > 0")
        .bind(order.as_bytes().to_vec())
        .execute(db.writes())
        .await?;
    Ok(())
}

/// Asks about an open payment as if it had not been asked about yet: at once, and as often. False when it is not open.
pub async fn start_over(db: &Db, order: Uuid, now_ms: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("UPDATE payments SET attempts = 0 WHERE order_id = ? AND state IN (?, ?)")
        .bind(order.as_bytes().to_vec())
        .bind(State::Confirming as i64)
        .bind(State::Refunding as i64)
        .execute(db.writes())
        .await?;
    look_sooner(db, order, now_ms, now_ms).await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets commands received before a time, some at once.
pub async fn forget_requests(db: &Db, before_ms: i64) -> Result<u64, sqlx::Error> {
    let done = sqlx::query("DELETE FROM inbox WHERE received_at_ms < ?").bind(before_ms).execute(db.writes()).await?;
    Ok(done.rows_affected())
}

/// A command as it is remembered: digests of its id and of its body.
#[derive(Clone, Debug)]
pub struct Command {
    id: Vec<u8>,
    body: Vec<u8>,
}

impl Command {
    /// The command with this id and these parts.
    pub fn new(id: &str, body: &[&str]) -> Self {
        let mut digest = Sha256::new();
        for part in body {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        Self { id: Sha256::digest(id.as_bytes()).to_vec(), body: digest.finalize().to_vec() }
    }
}

/// Remembers new commands. False where one of them came before: roll back.
pub async fn receive_all(tx: &mut Transaction<'_, Any>, all: &[Command], now_ms: i64) -> Result<bool, sqlx::Error> {
    let text = format!("INSERT INTO inbox (request_digest, body_digest, received_at_ms) VALUES {}", rows(all.len(), 3));
    let query = sqlx::query(sqlx::AssertSqlSafe(text));
    let query = all.iter().fold(query, |query, one| query.bind(one.id.clone()).bind(one.body.clone()).bind(now_ms));
    match query.execute(&mut **tx).await {
        Err(error) if is_unique_violation(&error) => Ok(false),
        done => done.map(|_| true),
    }
}

/// Stores new payments, each with the command that it came with. False where a payment or a command was there before: roll
/// back.
pub async fn prepare_all(tx: &mut Transaction<'_, Any>, all: &[Prepare], now_ms: i64) -> Result<bool, sqlx::Error> {
    let commands: Vec<_> = all.iter().map(Prepare::command).collect();
    Ok(receive_all(tx, &commands, now_ms).await?
        && insert(tx, &all.iter().map(|one| &one.new).collect::<Vec<_>>()).await?)
}

/// Stores new payments. False where one was there before.
async fn insert(tx: &mut Transaction<'_, Any>, all: &[&Payment]) -> Result<bool, sqlx::Error> {
    let text = format!(
        "INSERT INTO payments (order_id, user_id, amount_krw, order_name, state, payment_key, code, message, left_krw, \
         attempts, asked_at_ms, next_check_ms, expires_at_ms, created_at_ms, updated_at_ms) VALUES {}",
        rows(all.len(), 15)
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
    for new in all {
        query = query
            .bind(new.order.as_bytes().to_vec())
            .bind(new.user.as_bytes().to_vec())
            .bind(new.amount_krw)
            .bind(new.order_name.clone())
            .bind(State::Prepared as i64)
            .bind(String::new())
            .bind(String::new())
            .bind(String::new())
            .bind(0_i64)
            .bind(0_i64)
            .bind(0_i64)
            .bind(NEVER)
            .bind(new.expires_at_ms)
            .bind(new.created_at_ms)
            .bind(new.created_at_ms);
    }
    match query.execute(&mut **tx).await {
        Err(error) if is_unique_violation(&error) => Ok(false),
        done => done.map(|_| true),
    }
}

/// A payment to be prepared, and the id of the command that asks for it.
#[derive(Clone, Debug)]
pub struct Prepare {
    /// The command's id.
    pub request_id: String,
    /// The payment.
    pub new: Payment,
}

impl Prepare {
    fn command(&self) -> Command {
        let Payment { order, user, amount_krw, order_name, expires_at_ms, .. } = &self.new;
        let (order, user) = (order.to_string(), user.to_string());
        let (amount, expires) = (amount_krw.to_string(), expires_at_ms.to_string());
        Command::new(&self.request_id, &["prepare", &order, &user, &amount, order_name, &expires])
    }
}

/// Remembers a command. The same id with the same body passes, and false says that it came before; with another it is refused.
pub async fn receive(tx: &mut Transaction<'_, Any>, command: &Command, now_ms: i64) -> Result<bool, Refusal> {
    if receive_all(tx, std::slice::from_ref(command), now_ms).await? {
        return Ok(true);
    }
    let known = sqlx::query("SELECT body_digest FROM inbox WHERE request_digest = ?").bind(command.id.clone());
    let body: Vec<u8> = known.fetch_one(&mut **tx).await?.try_get(0)?;
    if body == command.body { Ok(false) } else { Err(Refusal::RequestIdReused) }
}

/// Stores a new payment, or finds it stored with the same amount and buyer.
pub async fn prepare(db: &Db, tx: &mut Transaction<'_, Any>, one: &Prepare, now_ms: i64) -> Result<State, Refusal> {
    receive(tx, &one.command(), now_ms).await?;
    if insert(tx, &[&one.new]).await? {
        return Ok(State::Prepared);
    }
    let stored = lock(db, tx, one.new.order).await?.ok_or(Refusal::NotFound)?;
    if stored.amount_krw == one.new.amount_krw && stored.user == one.new.user {
        Ok(stored.state)
    } else {
        Err(Refusal::PrepareConflict)
    }
}

/// Prepared → Confirming, of different orders, each with the provider's name of its payment. False when one of them was not
/// prepared any more: roll back.
pub async fn start_confirms(
    tx: &mut Transaction<'_, Any>,
    keys: &[(Uuid, &str)],
    lease_until_ms: i64,
    now_ms: i64,
) -> Result<bool, sqlx::Error> {
    let text = format!(
        "UPDATE payments SET state = ?, payment_key = CASE order_id{} END, asked_at_ms = ?, attempts = 0, \
         next_check_ms = ?, lease_until_ms = ?, look_wanted_ms = 0, updated_at_ms = ? WHERE state = ? AND order_id IN {}",
        " WHEN ? THEN ?".repeat(keys.len()),
        marks(keys.len())
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(State::Confirming as i64);
    let query =
        keys.iter().fold(query, |query, (order, key)| query.bind(order.as_bytes().to_vec()).bind((*key).to_owned()));
    let query = query.bind(now_ms).bind(lease_until_ms).bind(lease_until_ms).bind(now_ms).bind(State::Prepared as i64);
    let query = keys.iter().fold(query, |query, (order, _)| query.bind(order.as_bytes().to_vec()));
    Ok(query.execute(&mut **tx).await?.rows_affected() == keys.len() as u64)
}

/// Approved → Refunding, by the payment's first waiting cancel, which is given back. Nothing when none waits.
pub async fn start_refund(
    tx: &mut Transaction<'_, Any>,
    payment: &Payment,
    cancels: &[Cancel],
    lease_until_ms: i64,
    now_ms: i64,
) -> Result<Option<Cancel>, sqlx::Error> {
    let Some(next) = cancels.iter().find(|cancel| cancel.step == Step::Waiting) else { return Ok(None) };
    let done = sqlx::query(
        "UPDATE payments SET state = ?, attempts = 0, next_check_ms = ?, lease_until_ms = ?, look_wanted_ms = 0, \
         updated_at_ms = ? WHERE order_id = ? AND state = ?",
    )
    .bind(State::Refunding as i64)
    .bind(lease_until_ms)
    .bind(lease_until_ms)
    .bind(now_ms)
    .bind(payment.order.as_bytes().to_vec())
    .bind(State::Approved as i64)
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() != 1 || !cancels::advance(tx, next, Step::Asking, "", now_ms).await? {
        return Ok(None);
    }
    Ok(Some(Cancel { step: Step::Asking, ..next.clone() }))
}

/// What became of a payment, to be stored for good.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The money was taken.
    Taken {
        /// When, if the provider says so; else now.
        at_ms: Option<i64>,
    },
    /// Nothing was taken and nothing will be.
    NotTaken {
        /// Why, as a code.
        code: String,
        /// Why, as a sentence.
        message: String,
    },
    /// The provider gave all of it back of its own accord, before the taking was known here.
    TakenAndGivenBack {
        /// The provider's name of the refund.
        transaction_key: String,
        /// When it was taken, if the provider says so.
        at_ms: Option<i64>,
        /// When it was given back, if the provider says so.
        back_at_ms: Option<i64>,
    },
    /// What one cancel asked for was given back.
    GivenBack {
        /// Which cancel. An answer about another than the one under way is late: what it says is known.
        number: i64,
        /// The provider's name of the refund.
        transaction_key: String,
        /// When, if the provider says so; else now.
        at_ms: Option<i64>,
    },
}

/// Stores what became of a payment the transaction has locked: state, ledger and result, together. False when the payment
/// has gone on meanwhile and nothing was stored.
pub async fn settle(
    tx: &mut Transaction<'_, Any>,
    payment: &Payment,
    verdict: &Verdict,
    event_id: Uuid,
    now_ms: i64,
) -> Result<bool, sqlx::Error> {
    let (order, amount) = (payment.order, payment.amount_krw);
    let mut new = NewResult {
        event: event_id,
        order,
        kind: ResultKind::Declined,
        number: 0,
        request_id: "",
        amount_krw: 0,
        left_krw: 0,
        payment_key: &payment.payment_key,
        code: "",
        message: "",
        now_ms,
    };
    let (mut taken_at, mut back_at) = (None, None);
    let back;
    let event = match verdict {
        Verdict::NotTaken { code, message } => {
            new = NewResult { code, message, ..new };
            cancels::drop_waiting(tx, order, now_ms).await?;
            Event::NotTaken
        }
        Verdict::Taken { at_ms } => {
            taken_at = *at_ms;
            new = NewResult { kind: ResultKind::Approved, amount_krw: amount, left_krw: amount, ..new };
            Event::Taken
        }
        Verdict::TakenAndGivenBack { transaction_key, at_ms, back_at_ms } => {
            (taken_at, back_at) = (*at_ms, *back_at_ms);
            let all = cancels::of_order_in(tx, order).await?;
            if let Some(waiting) = all.into_iter().find(|cancel| cancel.step == Step::Waiting) {
                back = waiting;
                cancels::advance(tx, &back, Step::Done, transaction_key, now_ms).await?;
            } else {
                back = Cancel {
                    order,
                    number: 1,
                    request_id: String::new(),
                    amount_krw: amount,
                    reason: String::new(),
                    step: Step::Done,
                    transaction_key: transaction_key.clone(),
                };
                cancels::insert(tx, &back, now_ms).await?;
            }
            new = refund_of(&back, 0, new);
            Event::GivenBack
        }
        Verdict::GivenBack { number, transaction_key, at_ms } => {
            back_at = *at_ms;
            let all = cancels::of_order_in(tx, order).await?;
            let asked = all.into_iter().find(|cancel| cancel.number == *number && cancel.step == Step::Asking);
            let Some(asked) = asked else { return Ok(false) };
            back = asked;
            cancels::advance(tx, &back, Step::Done, transaction_key, now_ms).await?;
            new = refund_of(&back, payment.left_krw - back.amount_krw, new);
            if new.left_krw == 0 { Event::GivenBack } else { Event::PartGivenBack }
        }
    };
    let Some(next) = payment.state.after(event) else { return Ok(false) };
    let done = sqlx::query(
        "UPDATE payments SET state = ?, left_krw = ?, code = ?, message = ?, next_check_ms = ?, updated_at_ms = ? \
         WHERE order_id = ? AND state = ?",
    )
    .bind(next as i64)
    .bind(new.left_krw)
    .bind(fit(new.code, 100))
    .bind(fit(new.message, 600))
    .bind(NEVER)
    .bind(now_ms)
    .bind(order.as_bytes().to_vec())
    .bind(payment.state as i64)
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    if matches!(verdict, Verdict::Taken { .. } | Verdict::TakenAndGivenBack { .. }) {
        let moved = Moved { amount_krw: amount, at_ms: taken_at.unwrap_or(now_ms) };
        ledger::book(tx, &[Booking { order, movement: Movement::Capture, number: 0, moved }], now_ms).await?;
    }
    if new.kind == ResultKind::Refunded {
        let moved = Moved { amount_krw: new.amount_krw, at_ms: back_at.unwrap_or(now_ms) };
        ledger::book(tx, &[Booking { order, movement: Movement::Refund, number: new.number, moved }], now_ms).await?;
    }
    outbox::append(tx, &[new]).await?;
    cases::close_outcomes(tx, &[order], now_ms).await?;
    Ok(true)
}

fn refund_of<'a>(cancel: &'a Cancel, left_krw: i64, new: NewResult<'a>) -> NewResult<'a> {
    NewResult {
        kind: ResultKind::Refunded,
        number: cancel.number,
        request_id: &cancel.request_id,
        amount_krw: cancel.amount_krw,
        left_krw,
        ..new
    }
}

/// How many payments are in a state.
pub async fn count(db: &Db, state: State) -> Result<i64, sqlx::Error> {
    sqlx::query("SELECT COUNT(*) FROM payments WHERE state = ?")
        .bind(state as i64)
        .fetch_one(db.pool())
        .await?
        .try_get(0)
}
