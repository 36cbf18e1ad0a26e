//! Payments that were taken, many at once: state, ledger and results together, with a few statements for all.
use sqlx::{Any, AssertSqlSafe, Transaction};
use uuid::Uuid;

use crate::cases;
use crate::confirm::new_id;
use crate::db::{Db, marks};
use crate::ledger::{self, Booking, Moved, Movement};
use crate::outbox::{self, NewResult};
use crate::state::{Event, State};
use crate::store::{self, NEVER, Payment, Refusal};
use nugul_proto::payment::v1::ResultKind;

/// Stores that money was taken for different orders, each with when, if the provider said so. Gives the payments as they are
/// then; nothing where one of them does not wait for that, or has a cancel that waits for it: roll back.
pub async fn take_all(
    db: &Db,
    tx: &mut Transaction<'_, Any>,
    taken: &[(Uuid, Option<i64>)],
    now_ms: i64,
) -> Result<Option<Vec<Payment>>, Refusal> {
    let mut orders: Vec<_> = taken.iter().map(|(order, _)| *order).collect();
    // The order of locks: payments ascending, then the counters, as in every other transaction.
    orders.sort_unstable();
    let mut payments = store::lock_all(db, tx, &orders).await?;
    let next = State::Confirming.after(Event::Taken).ok_or(Refusal::Busy)?;
    let all_wait = payments.len() == orders.len() && payments.iter().all(|p| p.state == State::Confirming);
    if !all_wait || any_cancel(tx, &orders).await? {
        return Ok(None);
    }
    let text = format!(
        "UPDATE payments SET state = ?, left_krw = amount_krw, code = '', message = '', next_check_ms = ?, \
         updated_at_ms = ? WHERE order_id IN {}",
        marks(orders.len())
    );
    let query = sqlx::query(AssertSqlSafe(text));
    let query = query.bind(next as i64).bind(NEVER).bind(now_ms);
    orders.iter().fold(query, |query, order| query.bind(order.as_bytes().to_vec())).execute(&mut **tx).await?;
    let (mut bookings, mut results) = (Vec::with_capacity(orders.len()), Vec::with_capacity(orders.len()));
    for payment in &payments {
        let at_ms = taken.iter().find(|(order, _)| *order == payment.order).and_then(|(_, at_ms)| *at_ms);
        let moved = Moved { amount_krw: payment.amount_krw, at_ms: at_ms.unwrap_or(now_ms) };
        bookings.push(Booking { order: payment.order, movement: Movement::Capture, number: 0, moved });
        results.push(NewResult {
            event: new_id(now_ms)?,
            order: payment.order,
            kind: ResultKind::Approved,
            number: 0,
            request_id: "",
            amount_krw: payment.amount_krw,
            left_krw: payment.amount_krw,
            payment_key: &payment.payment_key,
            code: "",
            message: "",
            now_ms,
        });
    }
    ledger::book(tx, &bookings, now_ms).await?;
    outbox::append(tx, &results).await?;
    cases::close_outcomes(tx, &orders, now_ms).await?;
    for payment in &mut payments {
        (payment.state, payment.left_krw) = (next, payment.amount_krw);
        (payment.code, payment.message) = (String::new(), String::new());
        (payment.next_check_ms, payment.updated_at_ms) = (NEVER, now_ms);
    }
    Ok(Some(payments))
}

async fn any_cancel(tx: &mut Transaction<'_, Any>, orders: &[Uuid]) -> Result<bool, sqlx::Error> {
    let text = format!("SELECT number FROM cancels WHERE order_id IN {} LIMIT 1", marks(orders.len()));
    let query = sqlx::query(AssertSqlSafe(text));
    let query = orders.iter().fold(query, |query, order| query.bind(order.as_bytes().to_vec()));
    Ok(query.fetch_optional(&mut **tx).await?.is_some())
}
