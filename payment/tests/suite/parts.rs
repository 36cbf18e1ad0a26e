//! Money given back in parts.
use std::collections::BTreeSet;

use nugul_proto::payment::v1::{CancelOutcome, CancelRequest, PaymentOutcome, PaymentState, ResultKind};
use serde_json::json;
use tonic::Code;

use crate::world::{World, cancel, confirm, outcome, part, reason, script};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_go_back_each_once_and_never_more_than_was_taken() {
    let world = World::new().await;
    let mut client = world.client().await;
    let order = world.prepared(10_000).await;
    // Nothing was taken yet: a part of nothing cannot go back, and all of it would end the payment.
    let status = client.cancel(part(order, 1_000)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::FailedPrecondition, "payment_not_taken"));
    let key = world.decide(order, 10_000, "pay").await;
    assert_eq!(outcome(client.confirm(confirm(order, &key, 10_000)).await), PaymentOutcome::Approved);

    let first = part(order, 3_000);
    for _ in 0..3 {
        let answer = client.cancel(first.clone()).await.unwrap().into_inner();
        assert_eq!((answer.outcome(), answer.amount_krw, answer.left_krw), (CancelOutcome::Refunded, 3_000, 7_000));
    }
    // (request, code and reason it is refused with)
    for (request, code, why) in [
        (CancelRequest { amount_krw: Some(2_999), ..first.clone() }, Code::AlreadyExists, "request_id_reused"),
        (CancelRequest { amount_krw: None, ..first.clone() }, Code::AlreadyExists, "request_id_reused"),
        (part(order, 0), Code::InvalidArgument, "invalid_argument"),
        (part(order, -1), Code::InvalidArgument, "invalid_argument"),
        (part(order, 7_001), Code::FailedPrecondition, "amount_exceeds_left"),
        (part(order, i64::MAX), Code::InvalidArgument, "invalid_argument"),
    ] {
        let status = client.cancel(request).await.unwrap_err();
        assert_eq!((status.code(), reason(&status)), (code, why));
    }
    let payment = world.wait_for(order, PaymentState::Approved).await;
    assert_eq!(payment.left_krw, 7_000);
    // Confirmed once more, it is still a payment that took money.
    assert_eq!(outcome(client.confirm(confirm(order, &key, 10_000)).await), PaymentOutcome::Approved);

    // The answer of the next is lost: asked about, found, and not done twice, though another has the same amount and reason.
    world.faults(script("cancel", "drop_after", 1)).await;
    let lost = part(order, 1_000);
    let again = part(order, 1_000);
    let (one, two) = tokio::join!(async { world.client().await.cancel(lost.clone()).await }, async {
        world.client().await.cancel(again.clone()).await
    },);
    for answer in [one, two] {
        assert_eq!(answer.unwrap().into_inner().outcome(), CancelOutcome::Refunded);
    }
    assert_eq!(world.charged(order).await["refunds"], 3);

    // Many at once ask for more than is left: some are refused, none is lost.
    let calls: Vec<_> = (0..8).map(async |_| world.client().await.cancel(part(order, 1_500)).await).collect();
    let answers = futures_util::future::join_all(calls).await;
    let refused = answers.iter().filter(|answer| answer.is_err()).count();
    assert_eq!(refused, 5, "{answers:?}");
    for answer in answers.into_iter().flatten() {
        assert_eq!(answer.into_inner().outcome(), CancelOutcome::Refunded);
    }
    let rest = client.cancel(cancel(order)).await.unwrap().into_inner();
    assert_eq!((rest.outcome(), rest.amount_krw, rest.left_krw), (CancelOutcome::Refunded, 500, 0));
    let nothing = client.cancel(cancel(order)).await.unwrap().into_inner();
    assert_eq!((nothing.outcome(), nothing.amount_krw), (CancelOutcome::Refunded, 0));
    let status = client.cancel(part(order, 1)).await.unwrap_err();
    assert_eq!(reason(&status), "amount_exceeds_left");
    assert_eq!(world.wait_for(order, PaymentState::Refunded).await.left_krw, 0);

    // Each refund names its command, and what is left goes down to nothing.
    let results = world.results(0, 8).await;
    let seen: Vec<_> = results.iter().map(|result| (result.kind(), result.amount_krw, result.left_krw)).collect();
    let refunded = ResultKind::Refunded;
    assert_eq!(
        seen,
        [
            (ResultKind::Approved, 10_000, 10_000),
            (refunded, 3_000, 7_000),
            (refunded, 1_000, 6_000),
            (refunded, 1_000, 5_000),
            (refunded, 1_500, 3_500),
            (refunded, 1_500, 2_000),
            (refunded, 1_500, 500),
            (refunded, 500, 0),
        ]
    );
    assert_eq!((&results[0].request_id, &results[1].request_id), (&String::new(), &first.request_id));
    let ids: BTreeSet<_> = results[2..4].iter().map(|result| result.request_id.clone()).collect();
    assert_eq!(ids, BTreeSet::from([lost.request_id, again.request_id]));
    let record = world.charged(order).await;
    assert_eq!((&record["refunded_krw"], &record["refunds"]), (&json!(10_000), &json!(7)));
    assert_eq!(world.close().await, (0, 0));
}
