//! Tickets given back: by rule, by the organiser, and all of them when a performance is cancelled.

use std::time::Duration;

use nugul_api::{
    Code, Page,
    booking::{Order, Refund, Ticket},
    catalogue::{Cancellation, Event, PerformanceSummary},
    seats::SeatSnapshot,
};
use nugul_domain::{Krw, PerformanceId, SeatState, Timestamp, order::OrderState, refund::RefundState};
use nugul_platform::Service;
use nugul_tests::{
    Api, Buyer, Toss, World, eventually,
    people::{DEMO_SELLER, OUTCOME_LIMIT, day, event_body, in_days, new_performance, performance_of},
};
use serde_json::{Value, json};

/// The time a purchase and a request take at most.
const ROOM_MS: i64 = 3 * 60 * 1000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

async fn tickets(buyer: &Buyer) -> Vec<Ticket> {
    let page: Page<Ticket> = buyer.api.get("me/tickets?limit=100").await.expect(200);
    page.items
}

async fn seat(api: &Api, id: PerformanceId, seat: usize) -> SeatState {
    let snapshot: SeatSnapshot = api.get(&format!("performances/{id}/seats")).await.expect(200);
    snapshot.unpack().expect("whole")[seat]
}

async fn ask(buyer: &Buyer, ticket: &Ticket) -> Refund {
    let amount = ticket.refund_terms.as_ref().expect("terms").amount_krw;
    let body = json!({ "reason": "일정이 바뀌었어요", "amount_krw": amount });
    buyer.api.post(&format!("tickets/{}/refund-requests", ticket.id), &body).await.expect(201)
}

async fn until(buyer: &Buyer, refund: &Refund, state: RefundState) -> Refund {
    eventually("the refund is decided", OUTCOME_LIMIT, async || {
        let now: Refund = buyer.api.get(&format!("refund-requests/{}", refund.id)).await.expect(200);
        (now.state == state).then_some(now)
    })
    .await
}

async fn mail_to(world: &World, buyer: &Buyer, word: &str) -> String {
    let path = format!("/api/messages?to={}", buyer.account.email);
    let outbox = Api::new(&world.addresses.mail);
    eventually(&format!("a mail about {word}"), OUTCOME_LIMIT, async || {
        let mails: Vec<Value> = outbox.get(&path).await.expect(200);
        mails.iter().filter_map(|m| m["text"].as_str()).find(|t| t.contains(word)).map(str::to_owned)
    })
    .await
}

#[tokio::test]
async fn one_of_two_tickets_is_given_back_by_rule() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 2, 6).await;
    let (buyer, other) = (Buyer::sign_up(world, &api).await, Buyer::sign_up(world, &api).await);
    let order = buyer.buy(world, id, &[0, 1]).await;
    let toss = Toss::new(world);
    let mine = tickets(&buyer).await;
    let ticket = mine.iter().find(|t| t.seat.index == 0).expect("seat 0");
    let terms = ticket.refund_terms.as_ref().expect("terms");
    assert_eq!((terms.fee_krw, terms.amount_krw, terms.by_rule), (Krw(0), Krw(55_000), true));

    let path = format!("tickets/{}/refund-requests", ticket.id);
    let body = |amount: i64| json!({ "reason": "", "amount_krw": amount });
    buyer.api.post(&path, &body(54_999)).await.refused(Code::AmountMismatch);
    other.api.post(&path, &body(55_000)).await.refused(Code::NotFound);
    let long = json!({ "reason": "가".repeat(201), "amount_krw": 55_000 });
    assert_eq!(buyer.api.post(&path, &long).await.refused(Code::InvalidField).errors[0].pointer, "/reason");
    assert_eq!(toss.charged(&order).await, (110_000, 1));

    let refund = ask(&buyer, ticket).await;
    assert_eq!((refund.state, refund.amount_krw), (RefundState::Refunding, Krw(55_000)));
    other.api.get(&format!("refund-requests/{}", refund.id)).await.refused(Code::NotFound);
    until(&buyer, &refund, RefundState::Refunded).await;
    assert_eq!(toss.charged(&order).await.0, 55_000);
    buyer.api.post(&path, &body(55_000)).await.refused(Code::NotFound);
    buyer.api.get(&format!("tickets/{}/qr.svg", ticket.id)).await.refused(Code::NotFound);
    let left = tickets(&buyer).await;
    assert_eq!(left.iter().map(|t| t.seat.index).collect::<Vec<_>>(), [1]);
    assert_eq!(buyer.look(&order).await.state, OrderState::Paid);
    eventually("the seat is free", OUTCOME_LIMIT, async || {
        (seat(&api, id, 0).await == SeatState::Available).then_some(())
    })
    .await;
    assert_eq!(seat(&api, id, 1).await, SeatState::Sold);
    assert!(mail_to(world, &buyer, "환불했어요").await.contains("55,000원"));

    // Someone else buys the seat; the last ticket of the order ends the order.
    other.buy(world, id, &[0]).await;
    let refund = ask(&buyer, &left[0]).await;
    until(&buyer, &refund, RefundState::Refunded).await;
    assert_eq!(buyer.look(&order).await.state, OrderState::Refunded);
    assert_eq!(toss.charged(&order).await.0, 0);
    assert_eq!(tickets(&other).await.len(), 1);
    let all: Page<Refund> = buyer.api.get("me/refund-requests").await.expect(200);
    assert!(all.items.len() == 2 && all.items.iter().all(|r| r.state == RefundState::Refunded));
    // The limit counts what one has.
    buyer.hold(id, &[2, 3, 4, 5]).await;
}

#[tokio::test]
async fn the_same_ticket_is_given_back_once_however_often_it_is_asked() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 2, 6).await;
    let buyer = Buyer::sign_up(world, &api).await;
    let order = buyer.buy(world, id, &[0, 1]).await;
    let ticket = tickets(&buyer).await.remove(0);
    let tries = futures_util::future::join_all((0..10).map(|_| {
        let (buyer, path) = (buyer.clone(), format!("tickets/{}/refund-requests", ticket.id));
        async move { buyer.api.post(&path, &json!({ "reason": "", "amount_krw": 55_000 })).await }
    }))
    .await;
    let made: Vec<_> = tries.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(made.len(), 1, "{:?}", tries.iter().map(|t| t.status).collect::<Vec<_>>());
    until(&buyer, &made[0].expect(201), RefundState::Refunded).await;
    assert_eq!(Toss::new(world).charged(&order).await.0, 55_000);
}

/// A performance that begins on this day in Seoul, with time enough for the test.
async fn tonight(seller: &Buyer) -> PerformanceId {
    let now = in_days(0);
    let midnight = {
        let tomorrow = format!("{}T00:00:00+09:00", day(1));
        Timestamp::parse(&tomorrow).expect("a time")
    };
    let left = midnight.as_millis() - now.as_millis();
    // Close to midnight the day that comes is taken.
    let starts_at = if left > ROOM_MS {
        midnight.plus_ms(-1)
    } else {
        tokio::time::sleep(Duration::from_millis(u64::try_from(left).unwrap_or(0))).await;
        midnight.plus_ms(DAY_MS - 1)
    };
    let mut body = event_body(1, 4);
    body["starts_on"] = json!(starts_at.seoul_date());
    let event: Event = seller.api.post("events", &body).await.expect(201);
    let path = format!("events/{}/performances", event.summary.id);
    let made: PerformanceSummary = seller.api.post(&path, &json!({ "starts_at": starts_at })).await.expect(201);
    made.id
}

#[tokio::test]
async fn on_the_day_the_organiser_decides() {
    let world = World::shared();
    let api = world.api();
    let seller = Buyer::log_in(&api, DEMO_SELLER).await;
    let id = tonight(&seller).await;
    let buyer = Buyer::sign_up(world, &api).await;
    let order = buyer.buy(world, id, &[0, 1]).await;
    let mine = tickets(&buyer).await;
    let terms = mine[0].refund_terms.as_ref().expect("terms");
    assert_eq!((terms.fee_krw, terms.amount_krw, terms.by_rule), (Krw(49_500), Krw(5_500), false));

    let (one, two) = (ask(&buyer, &mine[0]).await, ask(&buyer, &mine[1]).await);
    assert_eq!(one.state, RefundState::Requested);
    // Until then the ticket is a ticket.
    buyer.api.get(&format!("tickets/{}/qr.svg", mine[0].id)).await.expect_status(200);
    let waiting: Page<Refund> = seller.api.get("seller/refund-requests?limit=100").await.expect(200);
    assert!([&one, &two].iter().all(|r| waiting.items.iter().any(|w| w.id == r.id)));
    buyer.api.get("seller/refund-requests").await.refused(Code::Forbidden);
    let path = |r: &Refund, word: &str| format!("refund-requests/{}/{word}", r.id);
    buyer.api.post(&path(&one, "accept"), &json!({})).await.refused(Code::Forbidden);

    seller.api.post(&path(&one, "decline"), &json!({})).await.expect_status(200);
    seller.api.post(&path(&one, "accept"), &json!({})).await.refused(Code::RefundState);
    assert!(mail_to(world, &buyer, "받아들이지 않았어요").await.contains("너굴의 밤"));
    seller.api.post(&path(&two, "accept"), &json!({})).await.expect_status(200);
    until(&buyer, &two, RefundState::Refunded).await;
    assert_eq!(Toss::new(world).charged(&order).await.0, 110_000 - 5_500);
    let left = tickets(&buyer).await;
    assert_eq!(left.len(), 1);
    // Declined once, it may be asked for again.
    ask(&buyer, &left[0]).await;
}

#[tokio::test]
async fn nobody_keeps_a_fee_of_a_cancelled_performance() {
    let world = World::shared();
    let api = world.api();
    let seller = Buyer::log_in(&api, DEMO_SELLER).await;
    let id = tonight(&seller).await;
    let buyer = Buyer::sign_up(world, &api).await;
    let order = buyer.buy(world, id, &[0, 1]).await;
    let asked = ask(&buyer, &tickets(&buyer).await[0]).await;
    assert_eq!((asked.state, asked.fee_krw), (RefundState::Requested, Krw(49_500)));
    let reason = json!({ "reason": "비" });
    seller.api.post(&format!("performances/{id}/cancellation"), &reason).await.expect_status(202);
    // The organiser's word comes late, whether the job was there already or not.
    for word in ["accept", "decline"] {
        seller.api.post(&format!("refund-requests/{}/{word}", asked.id), &json!({})).await.refused(Code::RefundState);
    }
    let refunded = until(&buyer, &asked, RefundState::Refunded).await;
    assert_eq!((refunded.fee_krw, refunded.amount_krw), (Krw(0), Krw(55_000)));
    eventually("all of it is given back", OUTCOME_LIMIT, async || {
        (Toss::new(world).charged(&order).await.0 == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_performance_gives_everything_back_even_if_processes_die() {
    let world = World::own("cancelled");
    let api = world.api();
    let seller = Buyer::log_in(&api, DEMO_SELLER).await;
    let event: Event = seller.api.post("events", &event_body(2, 10)).await.expect(201);
    let id = performance_of(&seller, &event).await;
    let mut orders: Vec<(Buyer, Order)> = Vec::new();
    for seats in [[0, 1], [2, 3], [4, 5]] {
        let buyer = Buyer::sign_up(&world, &api).await;
        let order = buyer.buy(&world, id, &seats).await;
        orders.push((buyer, order));
    }
    let waiting = Buyer::sign_up(&world, &api).await;
    let unpaid = waiting.order(&waiting.hold(id, &[6, 7]).await).await;
    let held = waiting.hold(id, &[8]).await;

    let path = format!("performances/{id}/cancellation");
    let reason = json!({ "reason": "출연자 사정으로 공연을 열 수 없게 됐어요" });
    waiting.api.post(&path, &reason).await.refused(Code::Forbidden);
    assert_eq!(
        seller.api.post(&path, &json!({ "reason": " " })).await.refused(Code::InvalidField).errors[0].pointer,
        "/reason"
    );
    seller.api.get(&path).await.refused(Code::NotFound);
    let begun: Cancellation = seller.api.post(&path, &reason).await.expect(202);
    assert_eq!((begun.refunded, begun.remaining), (0, 7));
    seller.api.post(&path, &reason).await.refused(Code::PerformanceCancelled);
    world.kill(Service::Payment);
    world.kill(Service::Coordinator);
    world.restart(Service::Payment);
    world.restart(Service::Coordinator);

    let fresh = seller.api.fresh();
    let done = eventually("everything is given back", OUTCOME_LIMIT, async || {
        let now: Cancellation = fresh.get(&path).await.expect(200);
        now.finished_at.is_some().then_some(now)
    })
    .await;
    assert_eq!((done.refunded, done.remaining), (6, 0));
    let toss = Toss::new(&world);
    for (buyer, order) in &orders {
        let buyer = Buyer { api: buyer.api.fresh(), ..buyer.clone() };
        assert_eq!(toss.charged(order).await, (0, 1));
        assert_eq!(buyer.look(order).await.state, OrderState::Refunded);
        assert_eq!(tickets(&buyer).await, []);
        assert!(mail_to(&world, &buyer, "취소했어요").await.contains("출연자 사정"));
    }
    let waiting = Buyer { api: waiting.api.fresh(), ..waiting };
    assert_eq!(waiting.look(&unpaid).await.state, OrderState::Cancelled);
    waiting.try_hold(id, &[9]).await.refused(Code::PerformanceCancelled);
    waiting.api.post("orders", &json!({ "hold_id": held.id })).await.refused(Code::HoldExpired);
    let snapshot: SeatSnapshot = fresh.get(&format!("performances/{id}/seats")).await.expect(200);
    assert_eq!(snapshot.unpack(), Some(vec![SeatState::Blocked; 20]), "nothing of it is for sale");
}
