//! Money: taken once or not at all, never for another amount, whatever is sent and whatever dies on the way.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use nugul_api::{
    Code, Page,
    booking::{Order, Ticket},
    payments::{Balances, LedgerEntry, Movement, Payment, PaymentState, Reconciliation},
    seats::SeatSnapshot,
};
use nugul_domain::{PerformanceId, SeatState, order::OrderState};
use nugul_platform::Service;
use nugul_tests::{
    Api, Buyer, Decision, Toss, World, eventually, new_key,
    people::{DEMO_ADMIN, day, new_performance},
};
use serde_json::json;

/// Confirmations of one order at once.
const AT_ONCE: usize = 20;
/// How long seats may take to be free again after their order ended.
const FREE_LIMIT: Duration = Duration::from_secs(15);
/// How long a payment whose answer was lost may take to be found out.
const RECOVERY_LIMIT: Duration = Duration::from_mins(2);

async fn states(api: &Api, id: PerformanceId) -> Vec<SeatState> {
    let snapshot: SeatSnapshot = api.get(&format!("performances/{id}/seats")).await.expect(200);
    snapshot.unpack().expect("whole")
}

#[tokio::test]
async fn another_amount_is_refused_and_nothing_is_charged() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 2, 4).await;
    let (buyer, toss) = (Buyer::sign_up(world, &api).await, Toss::new(world));
    let order = buyer.order(&buyer.hold(id, &[0, 1]).await).await;

    // Paid less at the page, and told so; paid less, and lied about it.
    let cheap = toss.decide(&order.id.to_string(), 100, Decision::Pay).await;
    let path = format!("orders/{}/confirm", order.id);
    for amount in [100, 0, -1, order.total_krw.0 + 1] {
        let body = json!({ "payment_key": cheap, "amount_krw": amount });
        buyer.api.post(&path, &body).await.refused(Code::AmountMismatch);
    }
    assert_eq!(buyer.look(&order).await.state, OrderState::Pending);
    buyer.confirm(&order, &cheap).await.expect_status(200);
    let after = buyer.decided(&order).await;
    assert_eq!((after.state, after.tickets.len()), (OrderState::Declined, 0));
    assert_eq!(toss.charged(&order).await, (0, 0));
}

#[tokio::test]
async fn confirmed_twenty_times_at_once_is_charged_once() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 2, 4).await;
    let (buyer, toss) = (Buyer::sign_up(world, &api).await, Toss::new(world));
    let order = buyer.order(&buyer.hold(id, &[0, 1]).await).await;
    let payment_key = toss.pay(&order).await;

    let (path, same) = (format!("orders/{}/confirm", order.id), new_key());
    let body = json!({ "payment_key": payment_key, "amount_krw": order.total_krw });
    let answers = join_all((0..AT_ONCE).map(|k| {
        let key = if k % 2 == 0 { same.clone() } else { new_key() };
        let (path, body, buyer) = (&path, &body, &buyer);
        async move { buyer.api.post_as(path, &key, body).await }
    }))
    .await;
    for answer in answers {
        let order: Order = answer.expect(200);
        assert!(matches!(order.state, OrderState::Confirming | OrderState::Paid), "{order:?}");
    }
    let paid = buyer.decided(&order).await;
    assert_eq!((paid.state, paid.tickets.len()), (OrderState::Paid, 2));
    assert_eq!(toss.charged(&order).await, (order.total_krw.0, 1));
    let tickets: Page<Ticket> = buyer.api.get("me/tickets").await.expect(200);
    let seats: BTreeSet<_> = tickets.items.iter().map(|t| t.seat.index).collect();
    assert_eq!((tickets.items.len(), seats), (2, BTreeSet::from([0, 1])));
    // And once more, long after.
    let again: Order = buyer.confirm(&order, &payment_key).await.expect(200);
    assert_eq!(again.tickets, paid.tickets);
}

#[tokio::test]
async fn a_hold_becomes_one_order() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 2, 4).await;
    let buyer = Buyer::sign_up(world, &api).await;
    let hold = buyer.hold(id, &[0, 1]).await;
    let (same, body) = (new_key(), json!({ "hold_id": hold.id }));
    let answers = join_all((0..AT_ONCE / 2).map(|k| {
        let key = if k % 2 == 0 { same.clone() } else { new_key() };
        let (body, buyer) = (&body, &buyer);
        async move { buyer.api.post_as("orders", &key, body).await }
    }))
    .await;
    let made: BTreeSet<_> = answers.iter().filter(|a| a.status == 201).map(|a| a.expect::<Order>(201).id).collect();
    assert_eq!(made.len(), 1, "{made:?}");
    // Who came in the same moment may be told to come again, and nothing else.
    for answer in answers.iter().filter(|a| a.status != 201) {
        assert!(matches!(answer.status, 409 | 503), "{}: {}", answer.status, answer.text());
    }
    let later: Order = buyer.api.post_as("orders", &new_key(), &body).await.expect(201);
    assert!(made.contains(&later.id));
    let open: Page<Order> = buyer.api.get("me/orders").await.expect(200);
    assert_eq!(open.items.iter().filter(|o| o.performance.id == id).count(), 1);
}

#[tokio::test]
async fn the_same_key_is_the_same_hold() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 2, 4).await;
    let buyer = Buyer::sign_up(world, &api).await;
    let (path, key, body) = (format!("performances/{id}/holds"), new_key(), json!({ "seats": [0, 1] }));
    let one: nugul_api::booking::Hold = buyer.api.post_as(&path, &key, &body).await.expect(201);
    let two: nugul_api::booking::Hold = buyer.api.post_as(&path, &key, &body).await.expect(201);
    assert_eq!(one, two);
    buyer.api.post_as(&path, &key, &json!({ "seats": [2] })).await.refused(Code::IdempotencyKeyReused);
    assert_eq!(states(&api, id).await.iter().filter(|s| **s == SeatState::Held).count(), 2);
}

#[tokio::test]
async fn a_declined_card_frees_the_seats() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 2, 4).await;
    let (buyer, toss) = (Buyer::sign_up(world, &api).await, Toss::new(world));
    let order = buyer.order(&buyer.hold(id, &[0, 1]).await).await;
    let payment_key = toss.decide(&order.id.to_string(), order.total_krw.0, Decision::Decline).await;
    buyer.confirm(&order, &payment_key).await.expect_status(200);
    let after = buyer.decided(&order).await;
    assert_eq!((after.state, after.tickets.len()), (OrderState::Declined, 0));
    assert!(after.decline_reason.is_some_and(|reason| !reason.is_empty()));
    assert_eq!(toss.charged(&order).await, (0, 0));
    eventually("the seats are free", FREE_LIMIT, async || {
        (states(&api, id).await == vec![SeatState::Available; 8]).then_some(())
    })
    .await;
    // The same buyer tries again with another card.
    let paid = buyer.buy(world, id, &[0, 1]).await;
    assert_eq!(paid.tickets.len(), 2);
    buyer.confirm(&order, &payment_key).await.refused(Code::OrderState);
}

#[tokio::test]
async fn a_payment_service_that_dies_before_it_hears_the_answer_ends_with_tickets() {
    let world = World::own("payment-dies");
    let api = world.api();
    let id = new_performance(&api, 2, 4).await;
    let (buyer, toss) = (Buyer::sign_up(&world, &api).await, Toss::new(&world));
    let order = buyer.order(&buyer.hold(id, &[0, 1]).await).await;
    let payment_key = toss.pay(&order).await;

    toss.faults(&json!({ "script": [{ "at": "confirm", "fault": "hang_after" }] })).await;
    let confirming = {
        let (buyer, order, key) = (buyer.clone(), order.clone(), payment_key.clone());
        tokio::spawn(async move { buyer.confirm(&order, &key).await })
    };
    eventually("Toss has taken the money", FREE_LIMIT, async || (toss.charged(&order).await.1 == 1).then_some(()))
        .await;
    world.kill(Service::Payment);
    toss.no_faults().await;
    let meanwhile: Order = confirming.await.expect("an answer").expect(200);
    assert_eq!(meanwhile.state, OrderState::Confirming, "not known, and not guessed");
    world.restart(Service::Payment);
    let paid = eventually("the order is paid", RECOVERY_LIMIT, async || {
        let now = buyer.look(&order).await;
        (now.state != OrderState::Confirming).then_some(now)
    })
    .await;
    assert_eq!((paid.state, paid.tickets.len()), (OrderState::Paid, 2));
    assert_eq!(toss.charged(&order).await, (order.total_krw.0, 1));
    // The live state is told through the outbox.
    eventually("the seats are sold", FREE_LIMIT, async || {
        (states(&api, id).await.iter().filter(|s| **s == SeatState::Sold).count() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_buyer_who_comes_back_finds_the_order_of_a_hold_and_why_it_ended() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 1, 4).await;
    let (buyer, other) = (Buyer::sign_up(world, &api).await, Buyer::sign_up(world, &api).await);
    let hold = buyer.hold(id, &[0]).await;
    let path = format!("holds/{}", hold.id);
    buyer.api.get(&path).await.expect_status(200);
    let order = buyer.order(&hold).await;
    let unpaid = async || -> Vec<Order> { buyer.api.get("me/orders").await.expect::<Page<Order>>(200).items };
    assert_eq!(unpaid().await.iter().map(|o| (o.id, o.state)).collect::<Vec<_>>(), [(order.id, OrderState::Pending)]);

    let key = Toss::new(world).decide(&order.id.to_string(), order.total_krw.0, Decision::Decline).await;
    buyer.confirm(&order, &key).await.expect_status(200);
    assert_eq!(buyer.decided(&order).await.state, OrderState::Declined);
    let told = unpaid().await;
    assert_eq!(told.iter().map(|o| (o.id, o.state)).collect::<Vec<_>>(), [(order.id, OrderState::Declined)]);
    assert!(told[0].decline_reason.is_some(), "{told:?}");
    let there = buyer.api.get(&path).await;
    assert_eq!((there.status, there.header("location")), (303, Some(&*format!("/api/v1/orders/{}", order.id))));
    // Another's hold is nobody's.
    other.api.get(&path).await.refused(Code::NotFound);
}

#[tokio::test]
async fn what_was_paid_is_in_the_history_and_in_the_books() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 1, 4).await;
    let buyer = Buyer::sign_up(world, &api).await;
    let order = buyer.buy(world, id, &[0, 1]).await;
    let mine: Page<Payment> = buyer.api.get("me/payments").await.expect(200);
    let seen: Vec<_> = mine.items.iter().map(|p| (p.order_id, p.state, p.amount_krw, p.left_krw)).collect();
    assert_eq!(seen, [(order.id, PaymentState::Approved, order.total_krw, order.total_krw)]);

    let admin = Buyer::log_in(&api, DEMO_ADMIN).await.api;
    let entries: Page<LedgerEntry> = admin.get(&format!("admin/ledger?order_id={}", order.id)).await.expect(200);
    let mut amounts: Vec<_> = entries.items.iter().map(|e| (e.movement, e.amount)).collect();
    amounts.sort_by_key(|(_, amount)| *amount);
    let total = order.total_krw.0;
    assert_eq!(amounts, [(Movement::Capture, -total), (Movement::Capture, total)]);
    let balances: Balances = admin.get("admin/ledger/balances").await.expect(200);
    assert_eq!(balances.sum_krw, 0, "{balances:?}");
    // Others pay at this moment: what is on its way may differ, the sum may not.
    let report: Reconciliation = admin.post("admin/reconciliation", &json!({ "day": day(0) })).await.expect(200);
    assert_eq!((report.day, report.ledger_sum_krw), (day(0), 0));
    for path in ["admin/ledger", "admin/ledger/balances", "admin/reconciliation", "admin/reconciliation/cases"] {
        buyer.api.get(path).await.refused(Code::Forbidden);
    }
}
