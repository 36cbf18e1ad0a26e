//! The reconciler: asks the provider about every payment whose outcome is open, with growing pauses, until it knows.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::confirm::{Payments, millis};
use crate::state::State;
use crate::store::{self, Payment, Verdict};
use crate::toss::{Confirmed, Found};

/// No more payments are looked at in one round.
pub const BATCH: i64 = 64;
/// No more are asked about at once.
pub const AT_ONCE: usize = 8;
/// Request ids are remembered for this long (30 days, in milliseconds).
pub const REMEMBER_REQUESTS_MS: i64 = 30 * 24 * 3600 * 1000;
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

async fn look(payments: &Payments, payment: Payment) {
    let lease = (payments.now)().saturating_add(millis(payments.timings.lease));
    match store::claim(&payments.db, &payment, lease).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => {
            tracing::error!(order = %payment.order, %error, "claim");
            return;
        }
    }
    payments.counters.reconciled.fetch_add(1, Ordering::Relaxed);
    let open = match payment.state {
        State::Confirming => confirming(payments, &payment).await,
        State::Refunding => refunding(payments, &payment).await,
        _ => None,
    };
    if let Some(why) = open {
        again(payments, &payment, &why).await;
    }
}

/// Settles a payment that may have been taken, or says why it cannot yet.
async fn confirming(payments: &Payments, payment: &Payment) -> Option<String> {
    let now = (payments.now)();
    let verdict = match payments.gateway.find(payment.order, &payment.payment_key).await {
        Found::Taken { amount_krw, payment_key }
            if amount_krw == payment.amount_krw && payment_key == payment.payment_key =>
        {
            Verdict::Taken
        }
        Found::GivenBack { amount_krw } if amount_krw == payment.amount_krw => Verdict::GivenBack,
        Found::Taken { .. } | Found::GivenBack { .. } => return Some("provider has another amount or key".into()),
        Found::Refused { code, message } => Verdict::NotTaken { code, message },
        Found::Nothing if now - payment.asked_at_ms > millis(payments.timings.confirm_window) => {
            Verdict::NotTaken { code: "NOT_FOUND_PAYMENT".into(), message: "결제가 끝나지 않았어요.".into() }
        }
        Found::Nothing => return Some("provider does not know it yet".into()),
        // Nobody wants it any more: it runs out at the provider by itself.
        Found::Waiting if payment.cancel_wanted || now > payment.expires_at_ms => return Some("runs out".into()),
        Found::Waiting => {
            match payments.gateway.confirm(payment.order, &payment.payment_key, payment.amount_krw).await {
                Confirmed::Taken => Verdict::Taken,
                Confirmed::Refused { code, message } => Verdict::NotTaken { code, message },
                Confirmed::Unknown(why) => return Some(why),
            }
        }
        Found::Unknown(why) => return Some(why),
    };
    payments.settle(payment.order, State::Confirming, &verdict).await;
    None
}

/// Settles a refund, or says why it cannot yet.
async fn refunding(payments: &Payments, payment: &Payment) -> Option<String> {
    match payments.gateway.find(payment.order, &payment.payment_key).await {
        Found::GivenBack { .. } => {
            payments.settle(payment.order, State::Refunding, &Verdict::GivenBack).await;
            None
        }
        Found::Taken { .. } => {
            match payments.gateway.cancel(payment.order, &payment.payment_key, &payment.cancel_reason).await {
                crate::toss::Cancelled::GivenBack => {
                    payments.settle(payment.order, State::Refunding, &Verdict::GivenBack).await;
                    None
                }
                crate::toss::Cancelled::Unknown(why) => Some(why),
            }
        }
        Found::Unknown(why) => Some(why),
        other => Some(format!("provider says {}", variant(&other))),
    }
}

fn variant(found: &Found) -> &'static str {
    match found {
        Found::Taken { .. } => "taken",
        Found::GivenBack { .. } => "given back",
        Found::Refused { .. } => "refused",
        Found::Waiting => "waiting",
        Found::Nothing => "nothing",
        Found::Unknown(_) => "unknown",
    }
}

async fn again(payments: &Payments, payment: &Payment, why: &str) {
    let (timings, order, attempt) = (&payments.timings, payment.order, payment.attempts + 1);
    let doublings = u32::try_from(attempt.clamp(0, 20)).unwrap_or(20);
    let pause = timings.first_pause.saturating_mul(1 << doublings).min(timings.longest_pause);
    let now = (payments.now)();
    tracing::warn!(%order, why, attempt, pause_ms = millis(pause), "outcome still open");
    if attempt >= timings.case_after {
        match store::open_case(&payments.db, order, why, now).await {
            Ok(true) => tracing::error!(%order, why, "a person has to look at this payment"),
            Ok(false) => {}
            Err(error) => tracing::error!(%order, %error, "open case not stored"),
        }
    }
    let at = if attempt >= timings.max_attempts { store::NEVER } else { now.saturating_add(millis(pause)) };
    if let Err(error) = store::look_again(&payments.db, order, payment.state, at).await {
        tracing::error!(%order, %error, "next look not stored; it comes when the lease ends");
    }
}
