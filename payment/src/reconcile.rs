//! The reconciler: asks the provider about every payment whose outcome is open, with growing pauses, until it knows.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cancels::{self, Cancel, Step};
use crate::cases::{self, NewCase};
use crate::confirm::{Payments, millis};
use crate::state::State;
use crate::store::{self, Payment, Verdict};
use crate::toss::{Confirmed, Found, Refund, Taken};

/// No more payments are looked at in one round.
pub const BATCH: i64 = 64;
/// No more are asked about at once.
pub const AT_ONCE: usize = 8;
/// Request ids are remembered for this long (30 days, in milliseconds).
pub const REMEMBER_REQUESTS_MS: i64 = 30 * 24 * 3600 * 1000;
/// A payment was never made when the provider has said so many times in a row that it does not know it.
pub const ABSENCES: i64 = 3;
/// Old request ids are forgotten once in so many rounds.
const FORGET_EVERY: u64 = 7200;

/// Looks for open payments until `stop`. What an earlier process left open or gave up is looked at first.
pub async fn run(payments: Arc<Payments>, stop: CancellationToken) {
    // With SQLite no other process can be in the middle of a call: nothing has to wait for its lease.
    let from = if payments.db.is_sqlite() { 0 } else { store::NEVER };
    match store::look_at_all_open(&payments.db, from, (payments.now)()).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "open payments found at start"),
        Err(error) => tracing::error!(%error, "open payments could not be read"),
    }
    for round in 0_u64.. {
        if let Err(error) = once(&payments, &stop).await {
            tracing::error!(%error, "reconciler");
        }
        if round % FORGET_EVERY == 0
            && let Err(error) = store::forget_requests(&payments.db, (payments.now)() - REMEMBER_REQUESTS_MS).await
        {
            tracing::error!(%error, "old request ids");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(payments.timings.tick) => {}
            () = payments.work.notified() => {}
        }
    }
}

/// One round over what is due now.
pub async fn once(payments: &Arc<Payments>, stop: &CancellationToken) -> Result<(), sqlx::Error> {
    let due = store::due(&payments.db, (payments.now)(), BATCH).await?;
    let mut running = JoinSet::new();
    for payment in due {
        if stop.is_cancelled() {
            break;
        }
        if running.len() >= AT_ONCE {
            running.join_next().await;
        }
        let payments = Arc::clone(payments);
        running.spawn(async move { look(&payments, payment).await });
    }
    // Stopped in between, a payment stays claimed until its lease ends.
    tokio::select! {
        () = stop.cancelled() => {}
        () = async { while running.join_next().await.is_some() {} } => {}
    }
    Ok(())
}

/// Asks the provider about one open payment and stores what it says, or when to ask again.
pub async fn look(payments: &Payments, payment: Payment) {
    let lease = (payments.now)().saturating_add(millis(payments.timings.lease_of_look()));
    match store::claim(&payments.db, &payment, lease).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => {
            tracing::error!(order = %payment.order, %error, "claim");
            return;
        }
    }
    payments.counters.reconciled.fetch_add(1, Ordering::Relaxed);
    let outcome = match payment.state {
        State::Confirming => confirming(payments, &payment).await,
        State::Refunding => refunding(payments, &payment).await,
        _ => return,
    };
    match outcome {
        Ok(verdict) => payments.settle(payment.order, payment.state, &verdict).await,
        Err(Open::Unknown(why)) => again(payments, &payment, &why, lease).await,
        Err(open) => {
            let timings = &payments.timings;
            let pause = if matches!(open, Open::Buyer) { timings.longest_pause } else { timings.absences_spaced };
            let at = (payments.now)().saturating_add(millis(pause));
            // The provider has answered: nothing was in vain.
            if let Err(error) = store::look_again(&payments.db, payment.order, lease, at, 0).await {
                tracing::error!(order = %payment.order, %error, "next look not stored; it comes when the lease ends");
            }
        }
    }
}

/// Why an outcome is not known yet.
enum Open {
    /// The provider gave no usable answer. The text says why.
    Unknown(String),
    /// The provider waits for the buyer: nothing is wrong, however long it takes.
    Buyer,
    /// The provider says that it does not know the payment, and has not said so often enough to be believed.
    Absent,
}

impl From<String> for Open {
    fn from(why: String) -> Self {
        Self::Unknown(why)
    }
}

impl From<&str> for Open {
    fn from(why: &str) -> Self {
        Self::Unknown(why.to_owned())
    }
}

/// What became of a payment that may have been taken, or why that is not known yet.
async fn confirming(payments: &Payments, payment: &Payment) -> Result<Verdict, Open> {
    let now = (payments.now)();
    let found = payments.gateway.find(payment.order, &payment.payment_key).await;
    if found != Found::Nothing && !matches!(found, Found::Unknown(_)) {
        store::clear_absences(&payments.db, payment.order).await.map_err(|error| error.to_string())?;
    }
    match found {
        Found::Taken(taken) if taken.amount_krw != payment.amount_krw || taken.payment_key != payment.payment_key => {
            Err("provider has another amount or key".into())
        }
        Found::Taken(taken) if taken.left_krw == taken.amount_krw => Ok(Verdict::Taken { at_ms: taken.at_ms }),
        Found::Taken(taken) if taken.left_krw == 0 => {
            let last = taken.refunds.into_iter().next_back();
            let (transaction_key, back_at_ms) =
                last.map(|refund| (refund.transaction_key, refund.at_ms)).unwrap_or_default();
            Ok(Verdict::TakenAndGivenBack { transaction_key, at_ms: taken.at_ms, back_at_ms })
        }
        Found::Taken(_) => Err("provider gave a part back that nobody here asked for".into()),
        Found::Refused { code, message } => Ok(Verdict::NotTaken { code, message }),
        Found::Nothing if now - payment.asked_at_ms > millis(payments.timings.confirm_window) => {
            let spaced = millis(payments.timings.absences_spaced);
            let absences = store::note_absence(&payments.db, payment.order, spaced, now).await;
            if absences.map_err(|error| error.to_string())? < ABSENCES {
                return Err(Open::Absent);
            }
            Ok(Verdict::NotTaken {
                code: "NOT_FOUND_PAYMENT".into(), message: "결제가 끝나지 않았어요.".into()
            })
        }
        Found::Nothing => Err("provider does not know it yet".into()),
        // Nobody wants it any more: it runs out at the provider by itself.
        Found::Waiting if is_cancelled(payments, payment).await? => Err("runs out".into()),
        // The order's time may be over meanwhile. Its buyer paid in time, or the confirm would not have begun, and the seats wait.
        Found::Waiting => {
            match payments.gateway.confirm(payment.order, &payment.payment_key, payment.amount_krw).await {
                Confirmed::Taken => Ok(Verdict::Taken { at_ms: None }),
                Confirmed::Refused { code, message } => Ok(Verdict::NotTaken { code, message }),
                Confirmed::Unknown(why) => Err(why.into()),
            }
        }
        Found::Deposit => Err(Open::Buyer),
        Found::Unknown(why) => Err(why.into()),
    }
}

/// True when a cancel waits for the outcome.
async fn is_cancelled(payments: &Payments, payment: &Payment) -> Result<bool, String> {
    let all = cancels::of_order(&payments.db, payment.order).await.map_err(|error| error.to_string())?;
    Ok(all.iter().any(|cancel| cancel.step.is_open()))
}

/// What became of the refund under way, or why that is not known yet.
async fn refunding(payments: &Payments, payment: &Payment) -> Result<Verdict, Open> {
    let all = cancels::of_order(&payments.db, payment.order).await.map_err(|error| error.to_string())?;
    let Some(asking) = all.iter().find(|cancel| cancel.step == Step::Asking) else {
        return Err("no refund is under way".into());
    };
    match payments.gateway.find(payment.order, &payment.payment_key).await {
        Found::Taken(taken) if taken.payment_key != payment.payment_key => Err("provider has another key".into()),
        Found::Taken(taken) => match recognise(&all, asking, &taken) {
            Recognised::Done(transaction_key) => {
                let refund = taken.refunds.iter().find(|refund| refund.transaction_key == transaction_key);
                let at_ms = refund.and_then(|refund| refund.at_ms);
                Ok(Verdict::GivenBack { number: asking.number, transaction_key, at_ms })
            }
            Recognised::NotYet => Ok(payments.ask_refund(&payment.payment_key, asking).await?),
            Recognised::Foreign => Err("provider gave money back that nobody here asked for".into()),
        },
        Found::Unknown(why) => Err(why.into()),
        Found::Refused { .. } => Err("provider says it was never taken: refused".into()),
        Found::Waiting | Found::Deposit | Found::Nothing => Err("provider says it was never taken".into()),
    }
}

/// Whether the provider did a refund.
#[derive(Debug, PartialEq, Eq)]
enum Recognised {
    /// Under this name.
    Done(String),
    /// Not when it was asked.
    NotYet,
    /// It gave money back that is no refund of ours: a person has to look.
    Foreign,
}

/// Finds the refund under way among those the provider tells of. The others are known by their names, for refunds of one
/// payment are done one after the other; so the one that is new and has our amount and reason is ours.
fn recognise(all: &[Cancel], asking: &Cancel, taken: &Taken) -> Recognised {
    let is_new =
        |refund: &&Refund| !all.iter().any(|c| c.step == Step::Done && c.transaction_key == refund.transaction_key);
    let new: Vec<_> = taken.refunds.iter().filter(is_new).collect();
    let ours = |refund: &Refund| refund.amount_krw == asking.amount_krw && refund.reason == asking.reason;
    match new[..] {
        [] => Recognised::NotYet,
        [one] if ours(one) => Recognised::Done(one.transaction_key.clone()),
        // Nothing is left at the provider, and no more was given back than was asked for: whoever asked, it is done.
        [.., last]
            if taken.left_krw == 0 && new.iter().map(|refund| refund.amount_krw).sum::<i64>() == asking.amount_krw =>
        {
            Recognised::Done(last.transaction_key.clone())
        }
        _ => Recognised::Foreign,
    }
}

async fn again(payments: &Payments, payment: &Payment, why: &str, lease: i64) {
    let (timings, order, attempt) = (&payments.timings, payment.order, payment.attempts + 1);
    let doublings = u32::try_from(attempt.clamp(0, 20)).unwrap_or(20);
    let pause = timings.first_pause.saturating_mul(1 << doublings).min(timings.longest_pause);
    let now = (payments.now)();
    tracing::warn!(%order, why, attempt, pause_ms = millis(pause), "outcome still open");
    if attempt >= timings.case_after {
        match cases::open(&payments.db, &NewCase::outcome(order, why), now).await {
            Ok(true) => tracing::error!(%order, why, "a person has to look at this payment"),
            Ok(false) => {}
            Err(error) => tracing::error!(%order, %error, "open case not stored"),
        }
    }
    let at = if attempt >= timings.max_attempts { store::NEVER } else { now.saturating_add(millis(pause)) };
    if let Err(error) = store::look_again(&payments.db, order, lease, at, attempt).await {
        tracing::error!(%order, %error, "next look not stored; it comes when the lease ends");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn cancel(number: i64, amount_krw: i64, step: Step) -> Cancel {
        let transaction_key = if step == Step::Done { format!("t{number}") } else { String::new() };
        let (request_id, reason) = (format!("r{number}"), "why".to_owned());
        Cancel { order: Uuid::nil(), number, request_id, amount_krw, reason, step, transaction_key }
    }

    #[test]
    fn a_refund_is_recognised_and_never_guessed() {
        let all = [cancel(1, 3_000, Step::Done), cancel(2, 2_000, Step::Asking), cancel(3, 2_000, Step::Waiting)];
        let refund = |transaction_key: &str, amount_krw: i64, reason: &str| Refund {
            transaction_key: transaction_key.into(),
            amount_krw,
            reason: reason.into(),
            at_ms: None,
        };
        let known = refund("t1", 3_000, "why");
        // (what the provider gave back besides the first, what is left there, what that means)
        for (more, left_krw, expected) in [
            (vec![], 7_000, Recognised::NotYet),
            (vec![refund("t2", 2_000, "why")], 5_000, Recognised::Done("t2".into())),
            (vec![refund("x", 2_000, "by hand")], 5_000, Recognised::Foreign),
            (vec![refund("x", 1_000, "why")], 6_000, Recognised::Foreign),
            (vec![refund("t2", 2_000, "why"), refund("x", 2_000, "why")], 3_000, Recognised::Foreign),
            (vec![refund("x", 2_000, "by hand")], 0, Recognised::Done("x".into())),
            (vec![refund("x", 7_000, "by hand")], 0, Recognised::Foreign),
        ] {
            let refunds: Vec<_> = std::iter::once(known.clone()).chain(more).collect();
            let taken = Taken { amount_krw: 10_000, payment_key: "k".into(), at_ms: None, left_krw, refunds };
            assert_eq!(recognise(&all, &all[1], &taken), expected, "{taken:?}");
        }
    }
}
