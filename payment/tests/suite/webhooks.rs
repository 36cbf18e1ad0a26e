//! Webhooks: they make us ask sooner, and whatever they say is not believed.
use std::time::Duration;

use futures_util::StreamExt;
use nugul_payment::cancels;
use nugul_payment::confirm::Timings;
use nugul_proto::payment::v1::{PaymentOutcome, PaymentState};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::scratch::random_id;
use crate::world::{PATIENCE, SECRET, World, confirm, outcome, part, script};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_and_repeated_webhooks_change_nothing() {
    let world = World::new().await;
    let prepared = world.prepared(10_000).await;
    let approved = world.approved(10_000).await;
    let key = world.look(approved).await.payment_key;
    for (body, status) in [
        (String::new(), 200),
        ("not json".into(), 200),
        (json!({"data": {"orderId": "x"}}).to_string(), 200),
        (json!({"data": {"orderId": random_id()}}).to_string(), 200),
        (json!({"orderId": prepared, "status": "DONE", "secret": "x"}).to_string(), 200),
        (
            json!({"eventType": "PAYMENT_STATUS_CHANGED", "data": {"orderId": prepared, "status": "DONE"}}).to_string(),
            200,
        ),
        (
            json!({"data": {"orderId": approved, "paymentKey": key, "status": "CANCELED", "balanceAmount": 0}})
                .to_string(),
            200,
        ),
        ("x".repeat(300 * 1024), 413),
    ] {
        for _ in 0..2 {
            assert_eq!(world.webhook(body.clone()).await, status);
        }
    }
    // A flood of them is told to come back, and does not become a flood of questions.
    let body = json!({"data": {"orderId": approved}}).to_string();
    let calls: Vec<_> = (0..200).map(|_| world.webhook(body.clone())).collect();
    let answers = futures_util::future::join_all(calls).await;
    let refused = answers.iter().filter(|status| **status == 503).count();
    assert!(refused >= 100, "{refused} refused");
    assert!(world.metric("nugul_payment_webhooks_total").await >= 214);
    assert_eq!(world.look(prepared).await.state(), PaymentState::Prepared);
    let seen = world.look(approved).await;
    assert_eq!((seen.state(), seen.left_krw, seen.open_case), (PaymentState::Approved, 10_000, false));
    assert_eq!(world.close().await, (0, 10_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_repeated_webhook_makes_us_ask_at_once() {
    // Without it, the next question would come after an hour.
    let hour = Duration::from_hours(1);
    let world = World::with(Timings { answer: Duration::from_millis(300), ..Timings::default() }).await;
    let mut world = world;
    world.set_pauses(hour, hour);
    world.restart().await;
    let order = world.prepared(10_000).await;
    let key = world.decide(order, 10_000, "pay").await;
    let mut faults = script("confirm", "hang_after", 1);
    faults["webhooks"] = json!({"copies": 3, "delay_ms": 500});
    world.faults(faults).await;
    let mut request = tonic::Request::new(confirm(order, &key, 10_000));
    request.set_timeout(Duration::from_millis(500));
    assert_eq!(outcome(world.client().await.confirm(request).await), PaymentOutcome::Unknown);
    world.wait_for(order, PaymentState::Approved).await;
    assert_eq!(world.charged(order).await["effects"], 1);
    assert_eq!(world.close().await, (0, 10_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_overtakes_the_answer_settles_no_other_refund() {
    let world = World::new().await;
    let order = world.approved(10_000).await;
    // The first refund's webhook comes long before its answer; the second reaches the provider long after that.
    world
        .faults(json!({"script": [
            {"at": "cancel", "fault": "late_after", "ms": 2_500}, {"at": "cancel", "fault": "delay", "ms": 2_500},
        ]}))
        .await;
    for left in [9_000, 7_000] {
        let mut client = world.client().await;
        let mut request = tonic::Request::new(part(order, if left == 9_000 { 1_000 } else { 2_000 }));
        request.set_timeout(Duration::from_millis(300));
        client.cancel(request).await.unwrap();
        world.wait_until(order, "one refund more", |payment| payment.left_krw == left).await;
    }
    let db = world.db().await;
    let ours = cancels::of_order(&db, order).await.unwrap();
    db.close().await;
    let key = world.look(order).await.payment_key;
    let url = world.toss(&format!("/v1/payments/{key}"));
    let answer = world.http.get(url).basic_auth(SECRET, Some("")).send().await.unwrap();
    let payment: Value = answer.json().await.unwrap();
    let theirs = payment["cancels"].as_array().unwrap().iter();
    let theirs: Vec<_> = theirs.map(|c| (c["cancelAmount"].as_i64(), c["transactionKey"].as_str())).collect();
    let ours: Vec<_> = ours.iter().map(|c| (Some(c.amount_krw), Some(c.transaction_key.as_str()))).collect();
    assert_eq!(ours, theirs);
    assert_eq!(world.close().await, (0, 7_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_about_nothing_is_told_to_come_back() {
    // More than a second has room for, all at once.
    const FLOOD: usize = 1_000;
    let world = World::new().await;
    let forged = |_| world.webhook(json!({"orderId": random_id()}).to_string());
    let answers = futures_util::stream::iter(0..FLOOD).map(forged).buffer_unordered(64).collect::<Vec<_>>().await;
    let refused = answers.iter().filter(|status| **status == 503).count();
    assert!(refused > 0 && answers.contains(&200), "{refused} refused");
    assert_eq!(world.close().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_say_nothing_are_cut_off() {
    // More than the listener has places.
    const SILENT: usize = nugul_payment::public::MAX_CONNECTIONS + 32;
    let world = World::with(Timings { public: Duration::from_millis(300), ..Timings::default() }).await;
    // One after the other: those the system's own queue has no room for would never reach the listener.
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(tokio::net::TcpStream::connect(world.webhooks).await.unwrap());
    }
    assert_eq!(world.webhook("{}").await, 200);
    for (at, mut socket) in silent.into_iter().enumerate() {
        let end = tokio::time::timeout(PATIENCE, socket.read_u8()).await;
        assert!(end.unwrap_or_else(|_| panic!("{at} is not cut off")).is_err());
    }
    assert_eq!(world.close().await, (0, 0));
}
