//! Toss Payments as the outside world: its own state of each payment, idempotency keys honoured, answers that get lost.
//!
//! It takes money when it is asked to confirm a payment that a buyer agreed to, once for an order; what it answered to an
//! idempotency key it answers again.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use nugul_payment::toss::{Cancelled, Confirmed, Found, PaymentGateway, Refund, RefundAsk, SettlementRow, Taken};
use nugul_points::point;
use uuid::Uuid;

use crate::world::{self, with};

/// How long a payment that a buyer agreed to waits to be confirmed, in milliseconds (Toss core API: ten minutes).
pub const CONFIRM_WINDOW_MS: i64 = 10 * 60 * 1000;
/// A call to Toss is lost, or its answer is, so many times in a hundred each.
const LOST_PERCENT: u64 = 8;
/// A card is declined so many times in a hundred.
const DECLINED_PERCENT: u64 = 12;

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The buyer agreed.
    InProgress,
    /// Money taken; a part of it may have been given back.
    Done,
    /// The card was declined.
    Aborted,
}

/// A payment.
#[derive(Clone, Debug)]
pub struct Payment {
    /// For which order.
    pub order: Uuid,
    /// Its name at Toss.
    pub key: String,
    /// How much, in won.
    pub amount_krw: i64,
    /// Where it stands.
    pub status: Status,
    /// How often money was taken.
    pub charges: u32,
    /// What was given back, in Toss's order.
    pub refunds: Vec<Refund>,
    agreed_at_ms: i64,
    declines: bool,
}

impl Payment {
    /// What is not given back, in won.
    pub fn left_krw(&self) -> i64 {
        i64::from(self.charges) * self.amount_krw - self.refunds.iter().map(|r| r.amount_krw).sum::<i64>()
    }

    fn is_over(&self, now_ms: i64) -> bool {
        self.status == Status::InProgress && now_ms - self.agreed_at_ms > CONFIRM_WINDOW_MS
    }
}

/// Everything Toss knows.
#[derive(Debug, Default)]
pub struct Toss {
    /// The payments, in the order the buyers agreed.
    pub payments: Vec<Payment>,
    confirmed: BTreeMap<String, Confirmed>,
    cancelled: BTreeMap<String, Cancelled>,
}

fn refused(code: &str) -> Confirmed {
    Confirmed::Refused { code: code.to_owned(), message: "결제에 실패했어요.".to_owned() }
}

impl Toss {
    /// A buyer agrees to pay in Toss's window. Gives the payment's name.
    pub fn agree(&mut self, order: Uuid, amount_krw: i64, now_ms: i64, declines: bool) -> String {
        let key = format!("tsim_{}", self.payments.len());
        self.payments.push(Payment {
            order,
            key: key.clone(),
            amount_krw,
            status: Status::InProgress,
            charges: 0,
            refunds: Vec::new(),
            agreed_at_ms: now_ms,
            declines,
        });
        key
    }

    fn confirm(&mut self, order: Uuid, key: &str, amount_krw: i64, now_ms: i64) -> Confirmed {
        let idempotency_key = format!("nugul-confirm-{order}");
        if let Some(before) = self.confirmed.get(&idempotency_key) {
            return before.clone();
        }
        let charged = self.payments.iter().any(|p| p.order == order && p.charges > 0);
        let Some(payment) = self.payments.iter_mut().find(|p| p.key == key) else {
            return refused("NOT_FOUND_PAYMENT_SESSION");
        };
        let answer = if payment.status == Status::Done {
            Confirmed::Unknown("400 ALREADY_PROCESSED_PAYMENT".into())
        } else if payment.status == Status::Aborted || payment.is_over(now_ms) {
            refused("NOT_FOUND_PAYMENT_SESSION")
        } else if payment.order != order || payment.amount_krw != amount_krw {
            refused("INVALID_REQUEST")
        } else if charged {
            Confirmed::Unknown("400 DUPLICATED_ORDER_ID".into())
        } else if payment.declines {
            payment.status = Status::Aborted;
            refused("REJECT_CARD_PAYMENT")
        } else {
            payment.status = Status::Done;
            payment.charges += 1;
            Confirmed::Taken
        };
        self.confirmed.insert(idempotency_key, answer.clone());
        answer
    }

    /// The payment of an order that took money, or else the newest.
    fn of_order(&self, order: Uuid) -> Option<&Payment> {
        let all = || self.payments.iter().rev().filter(|p| p.order == order);
        all().find(|p| p.charges > 0).or_else(|| all().next())
    }

    fn find(&self, order: Uuid, key: &str, now_ms: i64) -> Found {
        let mut found = self.of_order(order);
        if found.is_some_and(|p| p.key != key && p.charges == 0) {
            found = self.payments.iter().find(|p| p.key == key);
        }
        let Some(payment) = found else { return Found::Nothing };
        match payment.status {
            Status::Done => Found::Taken(Taken {
                amount_krw: payment.amount_krw,
                payment_key: payment.key.clone(),
                at_ms: None,
                left_krw: payment.left_krw(),
                refunds: payment.refunds.clone(),
            }),
            Status::Aborted => {
                Found::Refused { code: "REJECT_CARD_PAYMENT".into(), message: "결제에 실패했어요.".into() }
            }
            Status::InProgress if payment.is_over(now_ms) => {
                Found::Refused { code: "PAYMENT_EXPIRED".into(), message: "결제가 끝나지 않았어요.".into() }
            }
            Status::InProgress => Found::Waiting,
        }
    }

    fn cancel(&mut self, order: Uuid, ask: &RefundAsk) -> Cancelled {
        let idempotency_key = format!("nugul-cancel-{order}-{}", ask.request_id);
        if let Some(before) = self.cancelled.get(&idempotency_key) {
            return before.clone();
        }
        let transaction_key = format!("txn_{}", self.cancelled.len());
        let answer = match self.payments.iter_mut().find(|p| p.key == ask.payment_key) {
            Some(payment) if payment.charges > 0 && ask.amount_krw <= payment.left_krw() => {
                let (amount_krw, reason) = (ask.amount_krw, ask.reason.clone());
                payment.refunds.push(Refund {
                    transaction_key: transaction_key.clone(),
                    amount_krw,
                    reason,
                    at_ms: None,
                });
                Cancelled::GivenBack(transaction_key)
            }
            Some(_) => Cancelled::Unknown("403 NOT_CANCELABLE_AMOUNT".into()),
            None => Cancelled::Unknown("404 NOT_FOUND_PAYMENT".into()),
        };
        self.cancelled.insert(idempotency_key, answer.clone());
        answer
    }
}

/// Whether a card is declined.
pub fn declines() -> bool {
    with(|w| w.chance.percent(DECLINED_PERCENT))
}

/// The way to Toss and back, on which calls and answers get lost.
async fn call<T>(what: &'static str, lost: impl Fn() -> T, work: impl FnOnce(&mut Toss, i64) -> T) -> T {
    point(what).await;
    if with(|w| w.fault(LOST_PERCENT)) {
        world::note(&format!("  {what}: the call is lost"));
        return lost();
    }
    let answer = with(|w| work(&mut w.toss, w.now_ms));
    point("toss.answers").await;
    if with(|w| w.fault(LOST_PERCENT)) {
        world::note(&format!("  {what}: the answer is lost"));
        return lost();
    }
    answer
}

/// The way to Toss.
pub struct WayToToss;

impl PaymentGateway for WayToToss {
    fn confirm<'a>(&'a self, order: Uuid, payment_key: &'a str, amount_krw: i64) -> BoxFuture<'a, Confirmed> {
        Box::pin(call(
            "toss.confirm",
            || Confirmed::Unknown("no answer".into()),
            move |toss, now_ms| toss.confirm(order, payment_key, amount_krw, now_ms),
        ))
    }

    fn find<'a>(&'a self, order: Uuid, payment_key: &'a str) -> BoxFuture<'a, Found> {
        Box::pin(call(
            "toss.find",
            || Found::Unknown("no answer".into()),
            move |toss, now_ms| toss.find(order, payment_key, now_ms),
        ))
    }

    fn cancel<'a>(&'a self, order: Uuid, ask: &'a RefundAsk) -> BoxFuture<'a, Cancelled> {
        Box::pin(call("toss.cancel", || Cancelled::Unknown("no answer".into()), move |toss, _| toss.cancel(order, ask)))
    }

    /// Nothing is settled on the day of a simulation.
    fn settlements<'a>(
        &'a self,
        _from: &'a str,
        _to: &'a str,
        _page: usize,
        _size: usize,
    ) -> BoxFuture<'a, Result<Vec<SettlementRow>, String>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
