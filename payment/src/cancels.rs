//! Giving money back, all of it or in parts: what a cancel command comes to, and each cancel as stored.
//!
//! Cancels of one payment are done one after the other, so that it can always be told which of them the provider did.
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};
use uuid::Uuid;

use crate::db::{Db, fit};
use crate::state::State;
use crate::store::{Payment, Refusal};

/// No payment is cancelled in more parts.
pub const MAX_CANCELS: usize = 100;

/// Where a cancel stands. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Accepted; the provider was not asked yet.
    Waiting = 1,
    /// The provider was, or is about to be, asked.
    Asking = 2,
    /// The money was given back.
    Done = 3,
    /// There was nothing to give back: the money was never taken.
    Dropped = 4,
}

impl Step {
    fn from_number(number: i64) -> Option<Self> {
        [Self::Waiting, Self::Asking, Self::Done, Self::Dropped].into_iter().find(|step| *step as i64 == number)
    }

    /// True while the money is still to go back.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Asking)
    }
}

/// One cancel of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// The payment.
    pub order: Uuid,
    /// 1, 2, 3 and so on within the payment.
    pub number: i64,
    /// The command that asked for it; empty where the provider gave money back of its own accord.
    pub request_id: String,
    /// How much goes back.
    pub amount_krw: i64,
    /// Why, for the provider's record.
    pub reason: String,
    /// Where it stands.
    pub step: Step,
    /// The provider's name of it; empty before it is done.
    pub transaction_key: String,
}

/// What a cancel command comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The command was accepted before, as this cancel.
    Known(i64),
    /// The money was not asked for: it never will be.
    NeverTake,
    /// So much goes back, or is to go back should it turn out to be taken.
    GiveBack(i64),
    /// Nothing is left that is not on its way back already, or nothing was taken.
    Nothing,
}

/// What a command comes to that asks for a part of the money, or for all that is left.
pub fn plan(payment: &Payment, cancels: &[Cancel], request_id: &str, part: Option<i64>) -> Result<Plan, Refusal> {
    if let Some(known) = cancels.iter().find(|cancel| cancel.request_id == request_id) {
        return Ok(Plan::Known(known.number));
    }
    let here = match payment.state {
        State::Prepared | State::Confirming | State::Declined if part.is_some() => return Err(Refusal::NotTaken),
        State::Prepared => return Ok(Plan::NeverTake),
        State::Declined => return Ok(Plan::Nothing),
        State::Confirming => payment.amount_krw,
        State::Approved | State::Refunding | State::Refunded => payment.left_krw,
    };
    let free = here - on_its_way(cancels);
    match part {
        Some(part) if part > free => Err(Refusal::ExceedsLeft),
        None if free <= 0 => Ok(Plan::Nothing),
        _ if cancels.len() >= MAX_CANCELS => Err(Refusal::TooManyCancels),
        part => Ok(Plan::GiveBack(part.unwrap_or(free))),
    }
}

/// How much is accepted to go back and has not gone yet.
pub fn on_its_way(cancels: &[Cancel]) -> i64 {
    cancels.iter().filter(|cancel| cancel.step.is_open()).map(|cancel| cancel.amount_krw).sum()
}

fn read(row: &AnyRow) -> Result<Cancel, sqlx::Error> {
    let (order, step): (Vec<u8>, i64) = (row.try_get("order_id")?, row.try_get("step")?);
    Ok(Cancel {
        order: Uuid::from_slice(&order).map_err(|error| sqlx::Error::Decode(error.into()))?,
        number: row.try_get("number")?,
        request_id: row.try_get("request_id")?,
        amount_krw: row.try_get("amount_krw")?,
        reason: row.try_get("reason")?,
        step: Step::from_number(step).ok_or_else(|| sqlx::Error::Decode(format!("step {step}").into()))?,
        transaction_key: row.try_get("transaction_key")?,
    })
}

const OF_ORDER: &str = "SELECT order_id, number, request_id, amount_krw, reason, step, transaction_key FROM cancels \
    WHERE order_id = ? ORDER BY number";

/// The cancels of a payment, oldest first. There are at most [`MAX_CANCELS`], and one the provider made.
pub async fn of_order(db: &Db, order: Uuid) -> Result<Vec<Cancel>, sqlx::Error> {
    let rows = sqlx::query(OF_ORDER).bind(order.as_bytes().to_vec()).fetch_all(db.pool()).await?;
    rows.iter().map(read).collect()
}

/// The same, as this transaction sees it.
pub async fn of_order_in(tx: &mut Transaction<'_, Any>, order: Uuid) -> Result<Vec<Cancel>, sqlx::Error> {
    let rows = sqlx::query(OF_ORDER).bind(order.as_bytes().to_vec()).fetch_all(&mut **tx).await?;
    rows.iter().map(read).collect()
}

/// Stores a new cancel of a payment whose row the transaction has locked.
pub async fn insert(tx: &mut Transaction<'_, Any>, new: &Cancel, now_ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO cancels (order_id, number, request_id, amount_krw, reason, step, transaction_key, refund_name, \
         created_at_ms, updated_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.order.as_bytes().to_vec())
    .bind(new.number)
    .bind(new.request_id.as_str())
    .bind(new.amount_krw)
    .bind(fit(&new.reason, 200))
    .bind(new.step as i64)
    .bind(new.transaction_key.as_str())
    .bind(refund_name(&new.transaction_key))
    .bind(now_ms)
    .bind(now_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The name as the unique key takes it: a refund the provider did not name is like no other.
fn refund_name(transaction_key: &str) -> Option<&str> {
    Some(transaction_key).filter(|name| !name.is_empty())
}

/// Moves one cancel on, with the provider's name of it. False when it has moved already; an error where another cancel of
/// the payment has that name.
pub async fn advance(
    tx: &mut Transaction<'_, Any>,
    cancel: &Cancel,
    to: Step,
    transaction_key: &str,
    now_ms: i64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE cancels SET step = ?, transaction_key = ?, refund_name = ?, updated_at_ms = ? \
         WHERE order_id = ? AND number = ? AND step = ?",
    )
    .bind(to as i64)
    .bind(transaction_key)
    .bind(refund_name(transaction_key))
    .bind(now_ms)
    .bind(cancel.order.as_bytes().to_vec())
    .bind(cancel.number)
    .bind(cancel.step as i64)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Nothing was taken: every waiting cancel of the payment ends with nothing given back.
pub async fn drop_waiting(tx: &mut Transaction<'_, Any>, order: Uuid, now_ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE cancels SET step = ?, updated_at_ms = ? WHERE order_id = ? AND step = ?")
        .bind(Step::Dropped as i64)
        .bind(now_ms)
        .bind(order.as_bytes().to_vec())
        .bind(Step::Waiting as i64)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(state: State, left_krw: i64) -> Payment {
        Payment {
            order: Uuid::nil(),
            user: Uuid::nil(),
            amount_krw: 10_000,
            order_name: String::new(),
            state,
            payment_key: String::new(),
            code: String::new(),
            message: String::new(),
            left_krw,
            attempts: 0,
            asked_at_ms: 0,
            next_check_ms: 0,
            expires_at_ms: 0,
            created_at_ms: 0,
            updated_at_ms: 0,
        }
    }

    fn cancel(number: i64, amount_krw: i64, step: Step) -> Cancel {
        Cancel {
            order: Uuid::nil(),
            number,
            request_id: format!("r{number}"),
            amount_krw,
            reason: String::new(),
            step,
            transaction_key: String::new(),
        }
    }

    #[test]
    fn never_more_than_is_left() {
        let open = [cancel(1, 3_000, Step::Done), cancel(2, 2_000, Step::Asking), cancel(3, 1_000, Step::Waiting)];
        // (state, left, cancels so far, request, part, the plan or none where it is refused)
        for (state, left, cancels, request, part, expected) in [
            (State::Approved, 10_000, &[][..], "new", None, Some(Plan::GiveBack(10_000))),
            (State::Approved, 10_000, &[], "new", Some(10_000), Some(Plan::GiveBack(10_000))),
            (State::Approved, 10_000, &[], "new", Some(10_001), None),
            (State::Approved, 7_000, &open[..1], "new", Some(7_001), None),
            (State::Refunding, 7_000, &open, "new", Some(4_000), Some(Plan::GiveBack(4_000))),
            (State::Refunding, 7_000, &open, "new", Some(4_001), None),
            (State::Refunding, 7_000, &open, "new", None, Some(Plan::GiveBack(4_000))),
            (State::Refunding, 7_000, &open, "r2", Some(2_000), Some(Plan::Known(2))),
            (State::Refunding, 3_000, &open, "new", None, Some(Plan::Nothing)),
            (State::Refunded, 0, &open[..1], "new", None, Some(Plan::Nothing)),
            (State::Refunded, 0, &open[..1], "new", Some(1), None),
            (State::Refunded, 0, &open[..1], "r1", Some(3_000), Some(Plan::Known(1))),
            (State::Confirming, 0, &[], "new", None, Some(Plan::GiveBack(10_000))),
            (State::Confirming, 0, &[], "new", Some(1), None),
            (State::Prepared, 0, &[], "new", None, Some(Plan::NeverTake)),
            (State::Prepared, 0, &[], "new", Some(1), None),
            (State::Declined, 0, &[], "new", None, Some(Plan::Nothing)),
            (State::Declined, 0, &[], "new", Some(1), None),
        ] {
            let plan = plan(&payment(state, left), cancels, request, part).ok();
            assert_eq!(plan, expected, "{state:?} {left} {request} {part:?}");
        }
    }

    #[test]
    fn no_more_parts_than_the_bound() {
        let many: Vec<_> = (1..).take(MAX_CANCELS).map(|number| cancel(number, 1, Step::Done)).collect();
        assert!(matches!(plan(&payment(State::Approved, 9_900), &many, "new", Some(1)), Err(Refusal::TooManyCancels)));
    }
}
