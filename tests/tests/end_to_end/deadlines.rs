//! Time passes: holds and orders end by themselves, and everyone sees it.

use std::time::Duration;

use nugul_api::{Code, booking::Refund, catalogue::Event};
use nugul_domain::{SeatState, order::OrderState, refund::RefundState};
use nugul_platform::Service;
use nugul_tests::{
    Api, Buyer, SeatLog, Toss, World, eventually,
    people::{DEMO_SELLER, OUTCOME_LIMIT, event_body, new_performance, performance_of},
};
use serde_json::json;

const HOLD_TTL_MS: &str = "1500";
const PAY_WINDOW_MS: &str = "2500";
const FRAME_LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn what_nobody_pays_for_is_free_again() {
    let settings = [("NUGUL_HOLD_TTL_MS", HOLD_TTL_MS), ("NUGUL_PAY_WINDOW_MS", PAY_WINDOW_MS)];
    let world = World::own_with("deadlines", &settings);
    let api = world.api();
    let id = new_performance(&api, 2, 6).await;
    let (buyer, other) = (Buyer::sign_up(&world, &api).await, Buyer::sign_up(&world, &api).await);
    let mut log = SeatLog::begin(world.api().seat_stream(id, None).await, FRAME_LIMIT).await;

    // A hold ends with nobody asking for anything.
    let hold = buyer.hold(id, &[0, 1]).await;
    log.until(FRAME_LIMIT, |log| log.all(&[0, 1], SeatState::Held)).await;
    log.until(FRAME_LIMIT, |log| log.all(&[0, 1], SeatState::Available)).await;
    buyer.api.post("orders", &json!({ "hold_id": hold.id })).await.refused(Code::HoldExpired);
    buyer.api.delete(&format!("holds/{}", hold.id)).await.refused(Code::NotFound);

    // Someone else takes the seats and orders them in time; the clock of the hold ends nothing any more.
    let order = other.order(&other.hold(id, &[0, 1]).await).await;
    buyer.try_hold(id, &[1, 2]).await.refused(Code::SeatsTaken);

    // The order ends; what is paid afterwards is not taken.
    let ended = eventually("the order ends", OUTCOME_LIMIT, async || {
        let now = other.look(&order).await;
        (now.state != OrderState::Pending).then_some(now)
    })
    .await;
    assert_eq!(ended.state, OrderState::Expired);
    log.until(FRAME_LIMIT, |log| log.all(&[0, 1], SeatState::Available)).await;
    let toss = Toss::new(&world);
    let key = toss.pay(&order).await;
    other.confirm(&order, &key).await.refused(Code::OrderState);
    assert_eq!(toss.charged(&order).await, (0, 0));
    let again = buyer.hold(id, &[0, 1]).await;
    assert!(again.fence > hold.fence, "fences only rise");
}

#[tokio::test]
async fn what_is_paid_after_all_is_over_goes_back() {
    let settings = [
        ("NUGUL_PAY_WINDOW_MS", PAY_WINDOW_MS),
        ("NUGUL_DECISION_WINDOW_MS", "500"),
        // A process that dies in a call keeps others from its payment for two of these.
        ("NUGUL_TOSS_ANSWER_MS", "5000"),
    ];
    let world = World::own_with("undecided", &settings);
    let api = world.api();
    let id = new_performance(&api, 2, 6).await;
    let (buyer, other) = (Buyer::sign_up(&world, &api).await, Buyer::sign_up(&world, &api).await);
    let mut log = SeatLog::begin(world.api().seat_stream(id, None).await, FRAME_LIMIT).await;
    let order = buyer.order(&buyer.hold(id, &[0, 1]).await).await;
    let toss = Toss::new(&world);
    let key = toss.pay(&order).await;
    toss.faults(&json!({ "script": [{ "at": "confirm", "fault": "hang_after" }] })).await;
    let confirming = {
        let (buyer, order) = (buyer.clone(), order.clone());
        tokio::spawn(async move { buyer.confirm(&order, &key).await })
    };
    eventually("the money is taken", OUTCOME_LIMIT, async || (toss.charged(&order).await.1 == 1).then_some(())).await;
    world.kill(Service::Payment);
    toss.no_faults().await;
    let ended = buyer.decided(&order).await;
    assert_eq!(ended.state, OrderState::Expired, "nobody says what came of the payment");
    confirming.await.expect("an answer").expect_status(200);
    // The seats are free for someone else meanwhile.
    log.until(FRAME_LIMIT, |log| log.all(&[0, 1], SeatState::Held)).await;
    log.until(FRAME_LIMIT, |log| log.all(&[0, 1], SeatState::Available)).await;
    other.hold(id, &[0, 1]).await;

    // The payment service finds out that the money was taken; there is nothing to be had for it any more.
    world.restart(Service::Payment);
    eventually("the money was taken and went back", OUTCOME_LIMIT, async || {
        let mails: Vec<serde_json::Value> =
            Api::new(&world.addresses.mail).get(&format!("/api/messages?to={}", buyer.account.email)).await.expect(200);
        mails.iter().any(|m| m["text"].as_str().is_some_and(|t| t.contains("주문 시간이 지난 뒤"))).then_some(())
    })
    .await;
    assert_eq!(toss.charged(&order).await, (0, 1));
    assert_eq!(buyer.look(&order).await.state, OrderState::Expired);
}

#[tokio::test]
async fn what_costs_nothing_is_ticketed_at_once_and_given_back_without_a_payment() {
    let world = World::shared();
    let api = world.api();
    let seller = Buyer::log_in(&api, DEMO_SELLER).await;
    let mut body = event_body(1, 4);
    body["grades"][0]["price_krw"] = json!(0);
    let event: Event = seller.api.post("events", &body).await.expect(201);
    let id = performance_of(&seller, &event).await;
    let buyer = Buyer::sign_up(world, &api).await;
    let order = buyer.order(&buyer.hold(id, &[0, 1]).await).await;
    assert_eq!((order.state, order.tickets.len()), (OrderState::Paid, 2));
    let path = format!("tickets/{}/refund-requests", order.tickets[0]);
    let refund: Refund = buyer.api.post(&path, &json!({ "reason": "", "amount_krw": 0 })).await.expect(201);
    let now: Refund = buyer.api.get(&format!("refund-requests/{}", refund.id)).await.expect(200);
    assert_eq!(now.state, RefundState::Refunded);
    assert_eq!(Toss::new(world).charged(&order).await, (0, 0));
    buyer.api.get(&format!("tickets/{}", order.tickets[1])).await.expect_status(200);
    buyer.api.get(&format!("tickets/{}", order.tickets[0])).await.refused(Code::NotFound);
}
