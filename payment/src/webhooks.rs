//! Webhooks, on a listener of their own and never trusted: all they do is make us ask the provider.
//!
//! Anyone may send one. A forged or repeated one costs a question to the provider at most, and those are counted.
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::StatusCode;
use axum::routing::post;
use nugul_proto::payment::v1::CaseKind;
use serde_json::Value;
use uuid::Uuid;

use crate::audit;
use crate::cases::{self, NewCase};
use crate::confirm::{Payments, millis};
use crate::store::{self, Payment};

/// No webhook is longer.
pub const MAX_BODY: usize = 256 * 1024;
/// No more webhooks are looked up in one second; the others are told to come back, as Toss does by itself.
pub const LOOK_UPS_PER_SECOND: u32 = 200;
/// No more webhooks lead to a question in one second; the others are told to come back as well.
pub const QUESTIONS_PER_SECOND: u32 = 20;
/// The answer to our own request is usually on its way when the webhook comes: it is given this long.
pub const GRACE: Duration = Duration::from_secs(1);

/// The order a webhook is about; nothing where it is about none of ours. Toss has two shapes, and that is all that is read.
pub fn order_of(body: &[u8]) -> Option<Uuid> {
    let webhook: Value = serde_json::from_slice(body).ok()?;
    let named = webhook["data"]["orderId"].as_str().or_else(|| webhook["orderId"].as_str())?;
    Uuid::try_parse(named).ok()
}

/// So many a second.
#[derive(Debug)]
struct Budget {
    per_second: u32,
    since: Instant,
    spent: u32,
}

impl Budget {
    fn new(per_second: u32, now: Instant) -> Mutex<Self> {
        Mutex::new(Self { per_second, since: now, spent: 0 })
    }

    fn spend(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            (self.since, self.spent) = (now, 0);
        }
        self.spent = self.spent.saturating_add(1);
        self.spent <= self.per_second
    }
}

#[derive(Clone)]
struct Room {
    payments: Arc<Payments>,
    look_ups: Arc<Mutex<Budget>>,
    questions: Arc<Mutex<Budget>>,
}

fn may(budget: &Mutex<Budget>) -> bool {
    budget.lock().unwrap_or_else(PoisonError::into_inner).spend(Instant::now())
}

/// `POST /webhooks/toss`.
pub fn router(payments: Arc<Payments>) -> Router {
    let now = Instant::now();
    let look_ups = Arc::new(Budget::new(LOOK_UPS_PER_SECOND, now));
    let questions = Arc::new(Budget::new(QUESTIONS_PER_SECOND, now));
    Router::new().route("/webhooks/toss", post(take)).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(Room {
        payments,
        look_ups,
        questions,
    })
}

async fn take(Shared(room): Shared<Room>, body: Bytes) -> StatusCode {
    let payments = &room.payments;
    payments.counters.webhooks.fetch_add(1, Ordering::Relaxed);
    let Some(order) = order_of(&body) else { return StatusCode::OK };
    if !may(&room.look_ups) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let payment = match store::get(&payments.db, order).await {
        Ok(Some(payment)) => payment,
        Ok(None) => return StatusCode::OK,
        Err(_) => return StatusCode::SERVICE_UNAVAILABLE,
    };
    if !may(&room.questions) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    if payment.state.is_open() {
        let now = (payments.now)();
        return match store::look_sooner(&payments.db, order, now.saturating_add(millis(GRACE)), now).await {
            Ok(()) => StatusCode::OK,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
    }
    if !payment.payment_key.is_empty() {
        let payments = Arc::clone(payments);
        payments.clone().tasks.spawn(async move { verify(&payments, &payment).await });
    }
    StatusCode::OK
}

/// Asks about a payment that is settled here: where the provider has it otherwise, a person has to look.
async fn verify(payments: &Payments, payment: &Payment) {
    let found = payments.gateway.find(payment.order, &payment.payment_key).await;
    if audit::difference(payment, &found).is_none() {
        return;
    }
    // It may have moved while the provider was asked: what is stored now counts.
    let fresh = match store::get(&payments.db, payment.order).await {
        Ok(Some(fresh)) if fresh.updated_at_ms == payment.updated_at_ms && fresh.state == payment.state => fresh,
        _ => return,
    };
    let Some((ours, theirs, reason)) = audit::difference(&fresh, &found) else { return };
    let new = NewCase {
        kind: CaseKind::Difference,
        order: fresh.order,
        subject: "provider",
        reason,
        ours_krw: ours,
        theirs_krw: theirs,
        day: "",
    };
    match cases::open(&payments.db, &new, (payments.now)()).await {
        Ok(true) => tracing::error!(order = %fresh.order, reason, "the provider differs"),
        Ok(false) => {}
        Err(error) => tracing::error!(order = %fresh.order, %error, "case not stored"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_shapes_name_their_order() {
        let order = Uuid::from_u128(7);
        for (body, expected) in [
            (format!(r#"{{"eventType":"PAYMENT_STATUS_CHANGED","data":{{"orderId":"{order}"}}}}"#), Some(order)),
            (format!(r#"{{"createdAt":"x","secret":"s","status":"DONE","orderId":"{order}"}}"#), Some(order)),
            (r#"{"data":{"orderId":"1 OR 1=1"}}"#.into(), None),
            (r#"{"data":{"orderId":["x"]}}"#.into(), None),
            ("[]".into(), None),
            (format!(r#"["{order}", null]"#), None),
            (String::new(), None),
        ] {
            assert_eq!(order_of(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn a_budget_is_of_one_second() {
        let start = Instant::now();
        let mut budget = Budget { per_second: 3, since: start, spent: 0 };
        let mut spend = |ms| budget.spend(start + Duration::from_millis(ms));
        assert_eq!([0, 1, 500, 999].map(&mut spend), [true, true, true, false]);
        assert_eq!([1_000, 1_001, 1_999, 1_999].map(&mut spend), [true, true, true, false]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(body in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(order_of(&body), None);
        }

        #[test]
        fn whatever_else_a_webhook_says_it_names_one_order_or_none(
            inner in prop::option::of(any::<u128>()), outer in prop::option::of(any::<u128>()),
            status in ".{0,20}", deep in 0_usize..200,
        ) {
            let id = |n: Option<u128>| n.map(|n| Uuid::from_u128(n).to_string());
            let mut more = serde_json::json!({});
            for _ in 0..deep.min(100) {
                more = serde_json::json!([more]);
            }
            let body = serde_json::json!({
                "eventType": status, "orderId": id(outer), "secret": status, "more": more,
                "data": {"orderId": id(inner), "status": status, "cancels": [{"orderId": "x"}]},
            });
            prop_assert_eq!(order_of(body.to_string().as_bytes()), inner.or(outer).map(Uuid::from_u128));
        }

        #[test]
        fn any_text_for_an_order_is_an_order_or_nothing(id in ".{0,60}") {
            let body = serde_json::json!({"data": {"orderId": id}}).to_string();
            prop_assert_eq!(order_of(body.as_bytes()), Uuid::try_parse(&id).ok());
        }
    }
}
