//! The saga: prepare, confirm, cancel, results, and what a crash or a lost answer leaves behind.
use std::collections::BTreeSet;
use std::time::Duration;

use nugul_payment::confirm::Timings;
use nugul_payment::store;
use nugul_proto::payment::v1::{
    AckResultsRequest, CancelOutcome, CloseCaseRequest, ListCasesRequest, PaymentOutcome, PaymentResult, PaymentState,
    PrepareRequest, ResultKind, WatchResultsRequest,
};
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt;

use crate::scratch::random_id;
use crate::world::{PATIENCE, POLL, SECRET, World, cancel, confirm, far_future, outcome, prepare, reason, script};

/// A confirm takes effect, its answer is lost, and no question about it is answered.
fn lost_for_good() -> Value {
    json!({"script": [
        {"at": "confirm", "fault": "drop_after"}, {"at": "lookup", "fault": "error_before", "times": 1_000_000},
    ]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prepare_is_idempotent() {
    let world = World::new().await;
    let mut client = world.client().await;
    let order = random_id();
    let first = prepare(order, 150_000);
    client.prepare(first.clone()).await.unwrap();
    let other = random_id();
    // (what changes, the expected code and reason)
    let cases = [
        (first.clone(), None),
        (PrepareRequest { request_id: "new".into(), ..first.clone() }, None),
        (PrepareRequest { amount_krw: 1, ..first.clone() }, Some((Code::AlreadyExists, "request_id_reused"))),
        (prepare(order, 1), Some((Code::AlreadyExists, "amount_conflict"))),
        (
            PrepareRequest { user_id: other.to_string(), ..prepare(order, 150_000) },
            Some((Code::AlreadyExists, "amount_conflict")),
        ),
        (prepare(other, 0), Some((Code::InvalidArgument, "invalid_argument"))),
        (prepare(other, -5), Some((Code::InvalidArgument, "invalid_argument"))),
        (
            PrepareRequest { order_id: "1 OR 1=1".into(), ..prepare(other, 1) },
            Some((Code::InvalidArgument, "invalid_argument")),
        ),
    ];
    for (i, (request, expected)) in cases.into_iter().enumerate() {
        match (client.prepare(request).await, expected) {
            (Ok(answer), None) => assert_eq!(answer.into_inner().state(), PaymentState::Prepared, "{i}"),
            (Err(status), Some((code, why))) => {
                assert_eq!((status.code(), reason(&status)), (code, why), "{i}");
                let details = status.get_error_details();
                let info = details.error_info().unwrap();
                assert_eq!((info.reason.as_str(), info.domain.as_str()), (why, nugul_proto::ERROR_DOMAIN), "{i}");
                let fields = details.bad_request().map_or(0, |bad| bad.field_violations.len());
                assert_eq!(fields, usize::from(code == Code::InvalidArgument), "{i}");
            }
            (got, expected) => panic!("{i}: {got:?}, expected {expected:?}"),
        }
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tampered_amount_charges_nothing() {
    let world = World::new().await;
    let mut client = world.client().await;
    let order = world.prepared(150_000).await;
    let key = world.decide(order, 100, "pay").await;
    for (request, code, why) in [
        (confirm(order, &key, 100), Code::FailedPrecondition, "amount_mismatch"),
        (confirm(order, &key, 150_001), Code::FailedPrecondition, "amount_mismatch"),
        (confirm(random_id(), &key, 100), Code::NotFound, "payment_not_found"),
        (confirm(order, "../cancel", 150_000), Code::InvalidArgument, "invalid_argument"),
    ] {
        let status = client.confirm(request).await.unwrap_err();
        assert_eq!((status.code(), reason(&status)), (code, why));
    }
    assert_eq!(world.charged(order).await["charged_krw"], 0);
    assert_eq!(world.wait_for(order, PaymentState::Prepared).await.payment_key, "");
    // The right amount for a payment made with another: refused by the provider, nothing taken.
    assert_eq!(outcome(client.confirm(confirm(order, &key, 150_000)).await), PaymentOutcome::Declined);
    assert_eq!(world.charged(order).await["effects"], 0);
    assert_eq!(world.close().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_confirms_take_the_money_once() {
    let world = World::new().await;
    let order = world.prepared(99_000).await;
    let key = world.decide(order, 99_000, "pay").await;
    world.faults(json!({"script": [{"at": "confirm", "fault": "delay", "ms": 300}]})).await;
    let calls: Vec<_> = (0..20)
        .map(|_| (order, key.clone()))
        .map(async |(order, key)| {
            let mut client = world.client().await;
            outcome(client.confirm(confirm(order, &key, 99_000)).await)
        })
        .collect();
    let outcomes = futures_util::future::join_all(calls).await;
    assert_eq!(outcomes, vec![PaymentOutcome::Approved; 20]);
    assert_eq!(world.charged(order).await["effects"], 1);
    let results = world.results(0, 1).await;
    assert_eq!((results[0].offset, results[0].kind(), results[0].amount_krw), (1, ResultKind::Approved, 99_000));
    assert_eq!(results[0].order_id, order.to_string());
    // Another order's result comes next: there was no second one in between.
    let next = world.prepared(1_000).await;
    let key = world.decide(next, 1_000, "pay").await;
    assert_eq!(outcome(world.client().await.confirm(confirm(next, &key, 1_000)).await), PaymentOutcome::Approved);
    let results = world.results(1, 1).await;
    assert_eq!((results[0].offset, results[0].order_id.clone()), (2, next.to_string()));
    assert_eq!(world.close().await, (0, 100_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_outcome_says_so_and_is_settled_later() {
    let world = World::new().await;
    let order = world.prepared(10_000).await;
    let key = world.decide(order, 10_000, "pay").await;
    world.faults(lost_for_good()).await;
    let mut request = tonic::Request::new(confirm(order, &key, 10_000));
    request.set_timeout(Duration::from_secs(1));
    assert_eq!(outcome(world.client().await.confirm(request).await), PaymentOutcome::Unknown);
    // Nobody could say for so long that a person is told; the case is closed when the provider answers.
    let until = tokio::time::Instant::now() + PATIENCE;
    while !world.wait_for(order, PaymentState::Confirming).await.open_case {
        assert!(tokio::time::Instant::now() < until, "no open case");
        tokio::time::sleep(POLL).await;
    }
    world.http.delete(world.toss("/control/faults")).send().await.unwrap();
    assert!(!world.wait_for(order, PaymentState::Approved).await.open_case);
    assert_eq!(world.results(0, 1).await[0].kind(), ResultKind::Approved);
    assert_eq!(world.close().await, (0, 10_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_card_is_a_decline() {
    let world = World::new().await;
    let order = world.prepared(10_000).await;
    let key = world.decide(order, 10_000, "decline").await;
    for _ in 0..2 {
        let answer = world.client().await.confirm(confirm(order, &key, 10_000)).await.unwrap().into_inner();
        assert_eq!((answer.outcome(), answer.code.as_str()), (PaymentOutcome::Declined, "REJECT_CARD_PAYMENT"));
        assert!(!answer.message.is_empty());
    }
    let result = &world.results(0, 1).await[0];
    assert_eq!((result.kind(), result.amount_krw), (ResultKind::Declined, 0));
    assert_eq!(world.close().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_the_middle_finds_out() {
    // (did the provider take it before the crash, for how long it may not know it, until when it could be paid, how it ends)
    for (took, window, expires_at_ms, end) in [
        (true, Duration::from_mins(10), far_future(), PaymentState::Approved),
        (false, Duration::from_mins(10), far_future(), PaymentState::Approved),
        // The time was over before the restart.
        (false, Duration::from_mins(10), 1, PaymentState::Approved),
        (false, Duration::ZERO, far_future(), PaymentState::Declined),
    ] {
        let mut world = World::with(Timings { confirm_window: window, ..Timings::default() }).await;
        let order = random_id();
        let mut client = world.client().await;
        client.prepare(PrepareRequest { expires_at_ms, ..prepare(order, 7_000) }).await.unwrap();
        let mut key = "never_made".to_owned();
        if window > Duration::ZERO {
            key = world.decide(order, 7_000, "pay").await;
        }
        world.halt().await;
        // What a process killed right after storing its intention leaves behind.
        let db = world.db().await;
        let now = nugul_payment::confirm::now_ms();
        // Another replica's lease is respected on MySQL; with SQLite there is no other replica.
        let lease = now + if world.scratch.mysql_url.is_some() { 100 } else { 3_600_000 };
        let mut tx = db.begin_write().await.unwrap();
        assert!(nugul_payment::store::start_confirms(&mut tx, &[(order, &key)], lease, now).await.unwrap());
        tx.commit().await.unwrap();
        db.close().await;
        if took {
            let body = json!({"paymentKey": key, "orderId": order.to_string(), "amount": 7_000});
            let request = world.http.post(world.toss("/v1/payments/confirm")).basic_auth(SECRET, Some("")).json(&body);
            assert_eq!(request.send().await.unwrap().status(), 200);
        }
        world.start().await;
        world.wait_for(order, end).await;
        let held = if end == PaymentState::Approved { 7_000 } else { 0 };
        if held > 0 {
            assert_eq!(world.charged(order).await["effects"], 1);
        }
        assert_eq!(world.close().await, (0, held));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_gives_everything_back_once() {
    let world = World::new().await;
    let mut client = world.client().await;
    let approved = async |amount| {
        let order = world.prepared(amount).await;
        let key = world.decide(order, amount, "pay").await;
        assert_eq!(outcome(world.client().await.confirm(confirm(order, &key, amount)).await), PaymentOutcome::Approved);
        order
    };
    // Never paid: nothing to give back, and nothing can be taken any more.
    let order = world.prepared(5_000).await;
    let answer = client.cancel(cancel(order)).await.unwrap().into_inner();
    assert_eq!(answer.outcome(), CancelOutcome::NotCharged);
    let key = world.decide(order, 5_000, "pay").await;
    assert_eq!(outcome(client.confirm(confirm(order, &key, 5_000)).await), PaymentOutcome::Declined);
    assert_eq!(world.charged(order).await["effects"], 0);
    // Paid, and cancelled by many at once.
    let order = approved(6_000).await;
    let calls: Vec<_> = (0..10)
        .map(async |_| world.client().await.cancel(cancel(order)).await.unwrap().into_inner().outcome())
        .collect();
    assert_eq!(futures_util::future::join_all(calls).await, vec![CancelOutcome::Refunded; 10]);
    let record = world.charged(order).await;
    assert_eq!((&record["refunded_krw"], &record["refunds"]), (&json!(6_000), &json!(1)));
    let status = client.confirm(confirm(order, "tsim_x", 6_000)).await.unwrap_err();
    assert_eq!(reason(&status), "payment_refunded");
    // The answer of the refund is lost.
    let order = approved(7_000).await;
    world.faults(script("cancel", "drop_after", 1)).await;
    client.cancel(cancel(order)).await.unwrap();
    world.wait_for(order, PaymentState::Refunded).await;
    assert_eq!(world.charged(order).await["refunds"], 1);
    // Cancelled while nobody knows whether it was taken: taken, so given back.
    let order = world.prepared(8_000).await;
    let key = world.decide(order, 8_000, "pay").await;
    world.faults(lost_for_good()).await;
    let mut request = tonic::Request::new(confirm(order, &key, 8_000));
    request.set_timeout(Duration::from_millis(700));
    assert_eq!(outcome(client.confirm(request).await), PaymentOutcome::Unknown);
    let mut request = tonic::Request::new(cancel(order));
    request.set_timeout(Duration::from_millis(500));
    assert_eq!(client.cancel(request).await.unwrap().into_inner().outcome(), CancelOutcome::Unknown);
    world.faults(json!({})).await;
    world.wait_for(order, PaymentState::Refunded).await;
    assert_eq!(world.charged(order).await["refunds"], 1);
    assert_eq!(world.close().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_case_of_an_open_outcome_stays_until_it_is_known() {
    let timings = Timings { case_after: 2, max_attempts: 3, ..Timings::default() };
    let world = World::with(timings).await;
    let order = world.prepared(10_000).await;
    let key = world.decide(order, 10_000, "pay").await;
    world.faults(lost_for_good()).await;
    let mut request = tonic::Request::new(confirm(order, &key, 10_000));
    request.set_timeout(Duration::from_millis(500));
    assert_eq!(outcome(world.client().await.confirm(request).await), PaymentOutcome::Unknown);
    // Given up: nobody asks any more.
    let db = world.db().await;
    let until = tokio::time::Instant::now() + PATIENCE;
    while store::get(&db, order).await.unwrap().unwrap().next_check_ms != store::NEVER {
        assert!(tokio::time::Instant::now() < until, "still asked about");
        tokio::time::sleep(POLL).await;
    }
    db.close().await;
    let mut operator = world.operator().await;
    let cases = operator.list_cases(ListCasesRequest::default()).await.unwrap().into_inner().cases;
    let ask = CloseCaseRequest { case: cases[0].case, note: "looks fine to me".into() };
    let status = operator.close_case(ask.clone()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::FailedPrecondition, "outcome_open"));
    assert!(world.look(order).await.open_case);
    // The provider is back, and the operator tries again: it is asked, without a restart or a command.
    world.faults(json!({})).await;
    operator.close_case(ask.clone()).await.ok();
    assert!(!world.wait_for(order, PaymentState::Approved).await.open_case);
    operator.close_case(ask).await.unwrap();
    assert_eq!(world.close().await, (0, 10_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_forgets_for_a_moment_is_not_believed() {
    let world = World::with(Timings { confirm_window: Duration::ZERO, ..Timings::default() }).await;
    let order = world.prepared(10_000).await;
    let key = world.decide(order, 10_000, "pay").await;
    // The money is taken and the answer lost; the payment is found neither by its order nor by its key, twice.
    world
        .faults(json!({"script": [
            {"at": "confirm", "fault": "drop_after"}, {"at": "lookup", "fault": "not_found", "times": 4},
        ]}))
        .await;
    assert_eq!(outcome(world.client().await.confirm(confirm(order, &key, 10_000)).await), PaymentOutcome::Approved);
    assert_eq!(world.charged(order).await["effects"], 1);
    assert_eq!(world.close().await, (0, 10_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_command_is_answered_whatever_came_after_it() {
    let world = World::new().await;
    let mut client = world.client().await;
    let order = world.prepared(6_000).await;
    let key = world.decide(order, 6_000, "pay").await;
    let first = confirm(order, &key, 6_000);
    assert_eq!(outcome(client.confirm(first.clone()).await), PaymentOutcome::Approved);
    client.cancel(cancel(order)).await.unwrap();
    assert_eq!(world.wait_for(order, PaymentState::Refunded).await.left_krw, 0);
    // It says what it said, and is nobody's case; a new one is refused.
    assert_eq!(outcome(client.confirm(first).await), PaymentOutcome::Approved);
    assert_eq!(world.metric("nugul_payment_open_cases_command").await, 0);
    let status = client.confirm(confirm(order, &key, 6_000)).await.unwrap_err();
    assert_eq!(reason(&status), "payment_refunded");
    assert_eq!(world.metric("nugul_payment_open_cases_command").await, 1);
    assert_eq!(world.close().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_order_takes_no_money() {
    let world = World::new().await;
    let mut client = world.client().await;
    let order = random_id();
    client.prepare(PrepareRequest { expires_at_ms: 1, ..prepare(order, 5_000) }).await.unwrap();
    let key = world.decide(order, 5_000, "pay").await;
    let answer = client.confirm(confirm(order, &key, 5_000)).await.unwrap().into_inner();
    assert_eq!((answer.outcome(), answer.code.as_str()), (PaymentOutcome::Declined, "order_expired"));
    assert_eq!(world.charged(order).await["effects"], 0);
    assert_eq!(world.close().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_resume_without_gap_or_duplicate() {
    const ORDERS: usize = 30;
    let mut world = World::new().await;
    let pay = async |world: &World| {
        let order = world.prepared(1_000).await;
        let key = world.decide(order, 1_000, "pay").await;
        let answer = world.client().await.confirm(confirm(order, &key, 1_000)).await;
        assert_eq!(outcome(answer), PaymentOutcome::Approved);
    };
    let paying = async {
        let calls: Vec<_> = (0..ORDERS).map(|_| pay(&world)).collect();
        futures_util::future::join_all(calls).await;
    };
    // A reader that breaks off every few results while they are being written.
    let reading = async {
        let mut seen: Vec<PaymentResult> = Vec::new();
        while seen.len() < ORDERS {
            let after = seen.last().map_or(0, |result| result.offset);
            let count = 7.min(ORDERS - seen.len());
            seen.extend(world.results(after, count).await);
        }
        seen
    };
    let ((), seen) = tokio::join!(paying, reading);
    // What is stored is said on the way, not only by the next reader; nobody can have stored what never was.
    let newest = i64::try_from(ORDERS).unwrap();
    let mut client = world.client().await;
    client.ack_results(AckResultsRequest { offset: newest }).await.unwrap();
    assert_eq!(world.metric("nugul_payment_results_acknowledged_offset").await, newest);
    client.ack_results(AckResultsRequest { offset: 1 }).await.unwrap();
    assert_eq!(world.metric("nugul_payment_results_acknowledged_offset").await, newest);
    let ahead = newest + 1;
    let status = client.ack_results(AckResultsRequest { offset: ahead }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::FailedPrecondition, "offset_unknown"));
    let status = client.watch_results(WatchResultsRequest { after_offset: ahead }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::FailedPrecondition, "offset_unknown"));
    let offsets: Vec<i64> = seen.iter().map(|result| result.offset).collect();
    assert_eq!(offsets, (1..=30).collect::<Vec<i64>>());
    assert_eq!(seen.iter().map(|result| &result.order_id).collect::<BTreeSet<_>>().len(), ORDERS);
    // The same after a restart, to the byte.
    world.halt().await;
    world.start().await;
    assert_eq!(world.results(0, ORDERS).await, seen);
    assert_eq!(world.close().await, (0, 30_000));
}
