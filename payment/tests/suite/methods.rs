//! How buyers pay: card, easy pay, and a virtual account whose deposit comes later or never.
use std::time::Duration;

use nugul_payment::confirm::Timings;
use nugul_proto::payment::v1::{PaymentOutcome, PaymentState};
use serde_json::json;

use crate::world::{PATIENCE, POLL, World, confirm, outcome, script};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn easy_pay_is_paid_at_once_and_a_virtual_account_with_its_deposit() {
    let hour = Duration::from_hours(1);
    let mut world = World::with(Timings { case_after: 2, ..Timings::default() }).await;
    world.set_pauses(Duration::from_millis(20), hour);
    world.restart().await;
    let mut client = world.client().await;
    let order = world.prepared(10_000).await;
    let key = world.decide_by(order, 10_000, "pay", "easy_pay").await;
    assert_eq!(outcome(client.confirm(confirm(order, &key, 10_000)).await), PaymentOutcome::Approved);

    let order = world.prepared(20_000).await;
    let key = world.decide_by(order, 20_000, "pay", "virtual_account").await;
    let mut request = tonic::Request::new(confirm(order, &key, 20_000));
    request.set_timeout(Duration::from_millis(500));
    assert_eq!(outcome(client.confirm(request).await), PaymentOutcome::Unknown);
    let waiting = world.look(order).await;
    // Nothing is wrong with a buyer who takes their time.
    assert_eq!((waiting.state(), waiting.open_case), (PaymentState::Confirming, false));
    assert_eq!(world.control("/control/deposits", json!({"paymentKey": key})).await, 200);
    assert_eq!(world.control("/control/deposits", json!({"paymentKey": key})).await, 400);
    // The next question would come after an hour; the deposit's webhook makes it come now.
    world.wait_for(order, PaymentState::Approved).await;
    assert_eq!(world.charged(order).await["effects"], 1);
    assert_eq!(world.close().await, (0, 30_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_who_takes_their_time_is_never_given_up() {
    // More looks than would be made in vain.
    const LOOKS: i64 = 12;
    let timings =
        Timings { case_after: 2, max_attempts: 3, longest_pause: Duration::from_millis(20), ..Timings::default() };
    let world = World::with(timings).await;
    let order = world.prepared(20_000).await;
    let key = world.decide_by(order, 20_000, "pay", "virtual_account").await;
    let mut request = tonic::Request::new(confirm(order, &key, 20_000));
    request.set_timeout(Duration::from_millis(300));
    assert_eq!(outcome(world.client().await.confirm(request).await), PaymentOutcome::Unknown);
    let looked = async |more: i64| {
        let seen = world.metric("nugul_payment_reconciler_looks_total").await;
        let until = tokio::time::Instant::now() + PATIENCE;
        while world.metric("nugul_payment_reconciler_looks_total").await < seen + more {
            assert!(tokio::time::Instant::now() < until, "nobody asks any more");
            tokio::time::sleep(POLL).await;
        }
    };
    looked(LOOKS).await;
    // One answer is lost after all that waiting; the deposit is told by nobody.
    let mut faults = script("lookup", "error_before", 1);
    faults["webhooks"] = json!({"copies": 0});
    world.faults(faults).await;
    looked(LOOKS).await;
    assert!(!world.look(order).await.open_case);
    assert_eq!(world.control("/control/deposits", json!({"paymentKey": key})).await, 200);
    world.wait_for(order, PaymentState::Approved).await;
    assert_eq!(world.close().await, (0, 20_000));
}
