//! Every step of the saga with every fault there: each ends in a state that is allowed, and the books agree.
use std::time::Duration;

use nugul_payment::confirm::{Timings, now_ms};
use nugul_payment::{cancels, store};
use nugul_proto::payment::v1::{PaymentOutcome, PaymentState, ResultKind};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{SECRET, World, cancel, confirm, outcome, part};

/// What each order of the tables costs.
const AMOUNT: i64 = 10_000;
/// What a part of it is.
const PART: i64 = 3_000;
/// Longest wait for an answer of the provider here, so that "never" is soon.
const ANSWER: Duration = Duration::from_millis(400);
/// How often a fault comes, where it comes more than once.
const OFTEN: u32 = 3;

/// Every fault a request can meet, and how long it is delayed.
const FAULTS: [(&str, u64); 15] = [
    ("delay", 100),
    ("delay", 700),
    ("late_after", 100),
    ("late_after", 700),
    ("drop_before", 0),
    ("drop_after", 0),
    ("hang_before", 0),
    ("hang_after", 0),
    ("error_before", 0),
    ("error_after", 0),
    ("too_many", 0),
    ("not_found", 0),
    ("no_json", 0),
    ("wrong_body", 0),
    ("wrong_amount", 0),
];

fn quick() -> Timings {
    Timings { answer: ANSWER, ..Timings::default() }
}

fn rule(at: &str, (fault, ms): (&str, u64), times: u32) -> Value {
    json!({"at": at, "fault": fault, "ms": ms, "times": times})
}

/// How a row of a table is to end.
#[derive(Clone, Copy, Debug)]
struct End {
    state: PaymentState,
    left: i64,
}

const PAID: End = End { state: PaymentState::Approved, left: AMOUNT };
const NOT_PAID: End = End { state: PaymentState::Declined, left: 0 };
const PART_BACK: End = End { state: PaymentState::Approved, left: AMOUNT - PART };
const ALL_BACK: End = End { state: PaymentState::Refunded, left: 0 };

/// Waits for the end, and compares payment, provider and results.
async fn ends(world: &World, order: Uuid, end: End, row: &str) {
    let payment = world
        .wait_until(order, &format!("{end:?} of {row}"), |p| p.state() == end.state && p.left_krw == end.left)
        .await;
    assert!(!payment.open_case, "{row}");
    let record = world.charged(order).await;
    let number = |name: &str| record[name].as_i64().unwrap();
    let taken = if end.state == PaymentState::Declined { 0 } else { AMOUNT };
    assert_eq!(
        (number("effects"), number("charged_krw"), number("refunded_krw")),
        (taken / AMOUNT, taken, taken - end.left),
        "{row}"
    );
    assert_eq!(number("refunds"), i64::from(taken != end.left), "{row}");
}

/// The results of one order: what happened, in order, each once.
async fn told(world: &World, orders: &[(Uuid, End)]) {
    let count = orders.iter().map(|(_, end)| 1 + usize::from(end.state != PaymentState::Declined && end.left < AMOUNT));
    let all = world.results(0, count.sum()).await;
    for (order, end) in orders {
        let of_order = all.iter().filter(|result| result.order_id == order.to_string());
        let seen: Vec<_> = of_order.map(|result| (result.kind(), result.amount_krw, result.left_krw)).collect();
        let mut expected = vec![(ResultKind::Approved, AMOUNT, AMOUNT)];
        if end.state == PaymentState::Declined {
            expected = vec![(ResultKind::Declined, 0, 0)];
        } else if end.left < AMOUNT {
            expected.push((ResultKind::Refunded, AMOUNT - end.left, end.left));
        }
        assert_eq!(seen, expected);
    }
}

async fn close(world: World, orders: &[(Uuid, End)]) {
    told(&world, orders).await;
    let held = orders.iter().map(|(_, end)| end.left).sum::<i64>();
    assert_eq!(world.close().await, (0, held));
}

/// Confirms and does not wait for long.
async fn ask_confirm(world: &World, order: Uuid, key: &str, taken: bool, row: &str) {
    let mut request = tonic::Request::new(confirm(order, key, AMOUNT));
    request.set_timeout(Duration::from_millis(600));
    let answer = outcome(world.client().await.confirm(request).await);
    let settled = if taken { PaymentOutcome::Approved } else { PaymentOutcome::Declined };
    assert!([PaymentOutcome::Unknown, settled].contains(&answer), "{row}: {answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirm_with_every_fault() {
    let world = World::with(quick()).await;
    let mut orders = Vec::new();
    for fault in FAULTS {
        for (decision, times, end) in [("pay", 1, PAID), ("pay", OFTEN, PAID), ("decline", 1, NOT_PAID)] {
            let row = format!("confirm: {fault:?}, {times} times, {decision}");
            let order = world.prepared(AMOUNT).await;
            let key = world.decide(order, AMOUNT, decision).await;
            world.faults(json!({"script": [rule("confirm", fault, times)]})).await;
            ask_confirm(&world, order, &key, decision == "pay", &row).await;
            ends(&world, order, end, &row).await;
            orders.push((order, end));
        }
    }
    close(world, &orders).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_with_every_fault() {
    let world = World::with(quick()).await;
    let mut orders = Vec::new();
    for fault in FAULTS {
        for (lost, decision, end) in
            [("drop_after", "pay", PAID), ("drop_before", "pay", PAID), ("drop_after", "decline", NOT_PAID)]
        {
            let row = format!("look-up: {fault:?}, after confirm {lost}, {decision}");
            let order = world.prepared(AMOUNT).await;
            let key = world.decide(order, AMOUNT, decision).await;
            let script = [rule("confirm", (lost, 0), 1), rule("lookup", fault, OFTEN)];
            world.faults(json!({"script": script})).await;
            ask_confirm(&world, order, &key, decision == "pay", &row).await;
            ends(&world, order, end, &row).await;
            orders.push((order, end));
        }
    }
    close(world, &orders).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn giving_back_with_every_fault() {
    let world = World::with(quick()).await;
    let mut orders = Vec::new();
    for fault in FAULTS {
        for (what, times, end) in [(None, 1, ALL_BACK), (Some(PART), 1, PART_BACK), (Some(PART), OFTEN, PART_BACK)] {
            let row = format!("cancel: {fault:?}, {times} times, {what:?}");
            world.faults(json!({})).await;
            let order = world.approved(AMOUNT).await;
            world.faults(json!({"script": [rule("cancel", fault, times)]})).await;
            let ask = what.map_or_else(|| cancel(order), |amount| part(order, amount));
            world.client().await.cancel(ask).await.unwrap();
            ends(&world, order, end, &row).await;
            orders.push((order, end));
        }
    }
    close(world, &orders).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_about_a_refund_with_every_fault() {
    let world = World::with(quick()).await;
    let mut orders = Vec::new();
    for fault in FAULTS {
        for lost in ["drop_before", "drop_after"] {
            let row = format!("look-up: {fault:?}, after cancel {lost}");
            world.faults(json!({})).await;
            let order = world.approved(AMOUNT).await;
            let script = [rule("cancel", (lost, 0), 1), rule("lookup", fault, OFTEN)];
            world.faults(json!({"script": script})).await;
            world.client().await.cancel(part(order, PART)).await.unwrap();
            ends(&world, order, PART_BACK, &row).await;
            orders.push((order, PART_BACK));
        }
    }
    close(world, &orders).await;
}

/// What a process killed at a step leaves behind.
#[derive(Clone, Copy, Debug)]
enum Crash {
    /// Nothing was asked yet.
    Prepared,
    /// The intention to take money is stored; the provider was not asked.
    BeforeConfirm,
    /// The provider has taken it; that is not stored.
    AfterConfirm,
    /// The intention to give back is stored; the provider was not asked.
    BeforeCancel,
    /// The provider has given back; that is not stored.
    AfterCancel,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_step() {
    let mut world = World::with(quick()).await;
    let mut orders = Vec::new();
    for (crash, end) in [
        (Crash::Prepared, PAID),
        (Crash::BeforeConfirm, PAID),
        (Crash::AfterConfirm, PAID),
        (Crash::BeforeCancel, PART_BACK),
        (Crash::AfterCancel, PART_BACK),
    ] {
        let row = format!("killed at {crash:?}");
        let is_refund = matches!(crash, Crash::BeforeCancel | Crash::AfterCancel);
        let order = if is_refund { world.approved(AMOUNT).await } else { world.prepared(AMOUNT).await };
        let key =
            if is_refund { world.look(order).await.payment_key } else { world.decide(order, AMOUNT, "pay").await };
        world.halt().await;
        let (db, now) = (world.db().await, now_ms());
        // Another replica's lease is respected on MySQL; with SQLite there is no other replica.
        let lease = now + if world.scratch.mysql_url.is_some() { 100 } else { 3_600_000 };
        let mut tx = db.begin_write().await.unwrap();
        match crash {
            Crash::Prepared => {}
            Crash::BeforeConfirm | Crash::AfterConfirm => {
                assert!(store::start_confirms(&mut tx, &[(order, &key)], lease, now).await.unwrap());
            }
            Crash::BeforeCancel | Crash::AfterCancel => {
                let payment = store::lock(&db, &mut tx, order).await.unwrap().unwrap();
                let new = cancels::Cancel {
                    order,
                    number: 1,
                    request_id: "killed".into(),
                    amount_krw: PART,
                    reason: "why".into(),
                    step: cancels::Step::Waiting,
                    transaction_key: String::new(),
                };
                cancels::insert(&mut tx, &new, now).await.unwrap();
                let started = store::start_refund(&mut tx, &payment, &[new], lease, now).await.unwrap();
                assert!(started.is_some());
            }
        }
        tx.commit().await.unwrap();
        db.close().await;
        let asked = match crash {
            Crash::AfterConfirm => {
                Some(("confirm".to_owned(), json!({"paymentKey": key, "orderId": order, "amount": AMOUNT})))
            }
            Crash::AfterCancel => Some((format!("{key}/cancel"), json!({"cancelReason": "why", "cancelAmount": PART}))),
            _ => None,
        };
        if let Some((path, body)) = asked {
            let url = world.toss(&format!("/v1/payments/{path}"));
            let answer = world.http.post(url).basic_auth(SECRET, Some("")).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{row}");
        }
        world.start().await;
        if matches!(crash, Crash::Prepared) {
            ask_confirm(&world, order, &key, true, &row).await;
        }
        ends(&world, order, end, &row).await;
        orders.push((order, end));
    }
    close(world, &orders).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_stays_is_an_open_case_and_never_a_guess() {
    let mut timings = quick();
    (timings.case_after, timings.longest_pause) = (3, Duration::from_millis(100));
    let mut world = World::with(timings).await;
    let mut orders = Vec::new();
    for (at, fault) in [("confirm", "drop_after"), ("confirm", "error_before"), ("cancel", "drop_after")] {
        let row = format!("{at}: {fault}, and nobody says what happened");
        world.faults(json!({})).await;
        let is_refund = at == "cancel";
        let order = if is_refund { world.approved(AMOUNT).await } else { world.prepared(AMOUNT).await };
        let script = [rule(at, (fault, 0), 1), rule("lookup", ("error_before", 0), 1_000_000)];
        let (state, end) = if is_refund {
            world.faults(json!({"script": script})).await;
            let mut request = tonic::Request::new(part(order, PART));
            request.set_timeout(Duration::from_millis(500));
            world.client().await.cancel(request).await.unwrap();
            (PaymentState::Refunding, PART_BACK)
        } else {
            let key = world.decide(order, AMOUNT, "pay").await;
            world.faults(json!({"script": script})).await;
            ask_confirm(&world, order, &key, true, &row).await;
            (PaymentState::Confirming, PAID)
        };
        let open = world.wait_until(order, &row, |payment| payment.open_case).await;
        assert_eq!(open.state(), state, "{row}");
        // It stays so over a restart, and what an operator sees has all there is to know.
        world.restart().await;
        let seen = world.look(order).await;
        assert!(seen.open_case && seen.state() == state, "{row}: {seen:?}");
        world.faults(json!({})).await;
        ends(&world, order, end, &row).await;
        orders.push((order, end));
    }
    close(world, &orders).await;
}
