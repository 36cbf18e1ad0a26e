//! Seats kept for a buyer: extended, exchanged, refused with what is nearest, limited; and taken off sale by the organiser.

use std::time::Duration;

use futures_util::future::join_all;
use nugul_api::{
    Code,
    booking::Hold,
    catalogue::{Event, Performance},
    seats::SeatSnapshot,
};
use nugul_domain::{PerformanceId, SeatIndex, SeatState};
use nugul_tests::{
    Api, Buyer, SeatLog, World, eventually,
    http::Method,
    new_key,
    people::{DEMO_SELLER, OUTCOME_LIMIT, event_body, in_days, new_performance, performance_of},
};
use serde_json::{Value, json};

const FRAME_LIMIT: Duration = Duration::from_secs(30);

fn indexes(hold: &Hold) -> Vec<SeatIndex> {
    hold.seats.iter().map(|s| s.index).collect()
}

async fn states(api: &Api, id: PerformanceId) -> Vec<SeatState> {
    let snapshot: SeatSnapshot = api.get(&format!("performances/{id}/seats")).await.expect(200);
    snapshot.unpack().expect("whole")
}

/// An event whose organiser allows so many seats.
async fn limited(seller: &Buyer, limits: Value) -> Event {
    let mut body = event_body(4, 10);
    body["limits"] = limits;
    seller.api.post("events", &body).await.expect(201)
}

#[tokio::test]
async fn a_hold_is_extended_once_and_exchanged_in_place() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 2, 6).await;
    let (buyer, other) = (Buyer::sign_up(world, &api).await, Buyer::sign_up(world, &api).await);
    let hold = buyer.hold(id, &[0, 1]).await;
    let path = format!("holds/{}", hold.id);
    let extended: Hold = buyer.api.post(&format!("{path}/extend"), &json!({})).await.expect(200);
    assert!(extended.expires_at > hold.expires_at);
    assert_eq!((indexes(&extended), extended.fence), (vec![0, 1], hold.fence));
    buyer.api.post(&format!("{path}/extend"), &json!({})).await.refused(Code::HoldExtended);
    other.api.post(&format!("{path}/extend"), &json!({})).await.refused(Code::NotFound);

    // One step for everyone who watches: one seat free, another taken.
    let mut log = SeatLog::begin(world.api().seat_stream(id, None).await, FRAME_LIMIT).await;
    let key = new_key();
    let body = json!({ "give": [1], "take": [3] });
    let swapped: Hold = buyer.api.post_as(&format!("{path}/swap"), &key, &body).await.expect(200);
    assert_eq!(indexes(&swapped), [0, 3]);
    assert!(swapped.fence > hold.fence && swapped.expires_at == extended.expires_at);
    log.until(FRAME_LIMIT, |log| !log.changes.is_empty()).await;
    let mut told = log.changes[0].1.clone();
    told.sort_unstable_by_key(|(i, _)| *i);
    assert_eq!(told, [(1, SeatState::Available), (3, SeatState::Held)]);
    let again: Hold = buyer.api.post_as(&format!("{path}/swap"), &key, &body).await.expect(200);
    assert_eq!(again, swapped);

    // What cannot be had changes nothing.
    other.hold(id, &[4]).await;
    let swap = async |give: &[u32], take: &[u32]| {
        buyer.api.post(&format!("{path}/swap"), &json!({ "give": give, "take": take })).await
    };
    let taken = swap(&[0], &[4, 5]).await.refused(Code::SeatsTaken);
    assert_eq!(taken.seats.iter().map(|s| s.index).collect::<Vec<_>>(), [4]);
    assert_eq!(swap(&[2], &[5]).await.refused(Code::InvalidField).errors[0].pointer, "/give");
    assert_eq!(swap(&[0, 3], &[]).await.refused(Code::InvalidField).errors[0].pointer, "/take");
    swap(&[], &[1, 2, 5]).await.refused(Code::SeatLimit);
    let now: Hold = buyer.api.get(&path).await.expect(200);
    assert_eq!(now, swapped);

    // An order keeps what it has.
    buyer.order(&now).await;
    swap(&[0], &[1]).await.refused(Code::OrderState);
    buyer.api.post(&format!("{path}/extend"), &json!({})).await.refused(Code::OrderState);
}

#[tokio::test]
async fn who_is_refused_is_told_what_is_nearest() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 2, 8).await;
    let (first, second) = (Buyer::sign_up(world, &api).await, Buyer::sign_up(world, &api).await);
    first.hold(id, &[2, 3]).await;
    let refused = second.try_hold(id, &[3, 4]).await.refused(Code::SeatsTaken);
    assert_eq!(refused.seats.iter().map(|s| s.index).collect::<Vec<_>>(), [3]);
    let nearest: Vec<_> = refused.alternative.iter().map(|s| s.index).collect();
    assert_eq!(nearest, [4, 5], "side by side, and nearest");
    second.hold(id, &nearest).await;
}

#[tokio::test]
async fn limits_hold_over_holds_orders_and_tickets_however_many_ask_at_once() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 4, 10).await;
    let buyer = Buyer::sign_up(world, &api).await;
    buyer.buy(world, id, &[0, 1]).await;
    buyer.order(&buyer.hold(id, &[2]).await).await;
    let tries = join_all((10..30).map(|seat| {
        let buyer = buyer.clone();
        async move { buyer.try_hold(id, &[seat]).await }
    }))
    .await;
    assert_eq!(tries.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in tries.iter().filter(|answer| answer.status != 201) {
        answer.refused(Code::SeatLimit);
    }
}

#[tokio::test]
async fn first_orders_at_once_are_all_made_within_the_limit() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 4, 10).await;
    for _ in 0..4 {
        let buyer = Buyer::sign_up(world, &api).await;
        let holds = join_all((0..4).map(|_| {
            let (buyer, best) = (buyer.clone(), json!({ "best": { "grade": "R", "count": 1 } }));
            async move { buyer.api.post(&format!("performances/{id}/holds"), &best).await.expect::<Hold>(201) }
        }))
        .await;
        let orders = join_all(holds.iter().map(|hold| {
            let (buyer, body) = (buyer.clone(), json!({ "hold_id": hold.id }));
            async move { buyer.api.post("orders", &body).await }
        }))
        .await;
        for order in &orders {
            order.expect_status(201);
        }
        buyer.try_hold(id, &[39]).await.refused(Code::SeatLimit);
    }
}

#[tokio::test]
async fn an_event_has_a_limit_over_all_its_performances() {
    let world = World::shared();
    let api = world.api();
    let seller = Buyer::log_in(&api, DEMO_SELLER).await;
    let event =
        limited(&seller, json!({ "hold_seats_max": 2, "performance_seats_max": 3, "event_seats_max": 3 })).await;
    let buyer = Buyer::sign_up(world, &api).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(performance_of(&seller, &event).await);
    }
    for id in &ids {
        let performance: Performance = api.get(&format!("performances/{id}")).await.expect(200);
        assert_eq!(performance.limits, event.limits);
        buyer.try_hold(*id, &[0, 1, 2]).await.refused(Code::InvalidField);
    }
    let holds = join_all(ids.iter().map(|id| {
        let buyer = buyer.clone();
        async move { buyer.try_hold(*id, &[0, 1]).await }
    }))
    .await;
    let (made, refused): (Vec<_>, Vec<_>) = holds.iter().zip(&ids).partition(|(answer, _)| answer.status == 201);
    assert_eq!(made.len(), 1, "two seats and two more are above three");
    for (answer, id) in &refused {
        answer.refused(Code::SeatLimit);
        assert_eq!(states(&api, **id).await[..2], [SeatState::Available; 2], "what was refused is free");
    }
    let (first, second, third) = (made[0].0.expect::<Hold>(201), *refused[0].1, *refused[1].1);
    // One more is allowed, also by an exchange; then nothing, neither held nor ordered nor bought.
    let single = buyer.hold(second, &[3]).await;
    let grow = json!({ "give": [], "take": [4] });
    buyer.api.post(&format!("holds/{}/swap", single.id), &grow).await.refused(Code::SeatLimit);
    buyer.try_hold(third, &[0]).await.refused(Code::SeatLimit);
    buyer.api.delete(&format!("holds/{}", single.id)).await.expect_status(204);
    let single = buyer.hold(third, &[3]).await;
    let order = buyer.order(&first).await;
    buyer.try_hold(second, &[0]).await.refused(Code::SeatLimit);
    buyer.order(&single).await;
    buyer.try_hold(second, &[0]).await.refused(Code::SeatLimit);
    // What is given back can be had again.
    buyer.api.delete(&format!("orders/{}", order.id)).await.expect_status(204);
    buyer.order(&buyer.hold(second, &[4, 5]).await).await;
}

#[tokio::test]
async fn a_hold_may_not_grow_by_exchanges_above_what_one_hold_may_have() {
    let world = World::shared();
    let api = world.api();
    let seller = Buyer::log_in(&api, DEMO_SELLER).await;
    let limits = json!({ "hold_seats_max": 2, "performance_seats_max": 6, "event_seats_max": 6 });
    let id = performance_of(&seller, &limited(&seller, limits).await).await;
    let buyer = Buyer::sign_up(world, &api).await;
    let hold = buyer.hold(id, &[0, 1]).await;
    let path = format!("holds/{}/swap", hold.id);
    buyer.api.post(&path, &json!({ "give": [], "take": [2] })).await.refused(Code::SeatLimit);
    let swapped: Hold = buyer.api.post(&path, &json!({ "give": [0], "take": [2] })).await.expect(200);
    assert_eq!(indexes(&swapped), [1, 2]);
    buyer.hold(id, &[4, 5]).await;
}

#[tokio::test]
async fn a_repeated_extension_or_release_is_one() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 2, 6).await;
    let buyer = Buyer::sign_up(world, &api).await;
    let (hold, key) = (buyer.hold(id, &[0]).await, new_key());
    let path = format!("holds/{}", hold.id);
    let extended: Hold = buyer.api.post_as(&format!("{path}/extend"), &key, &json!({})).await.expect(200);
    let again: Hold = buyer.api.post_as(&format!("{path}/extend"), &key, &json!({})).await.expect(200);
    assert_eq!(again, extended);
    let give_back = async |key: &str| {
        let headers = [(nugul_api::headers::IDEMPOTENCY_KEY, key)];
        buyer.api.send(Method::DELETE, &path, &headers, None).await
    };
    give_back(&key).await.refused(Code::IdempotencyKeyReused);
    let key = new_key();
    give_back(&key).await.expect_status(204);
    // Someone else has the seat when the same request comes once more.
    let next = Buyer::sign_up(world, &api).await.hold(id, &[0]).await;
    give_back(&key).await.expect_status(204);
    give_back(&new_key()).await.refused(Code::NotFound);
    assert_eq!(states(&api, id).await[0], SeatState::Held);
    assert_eq!(indexes(&next), [0]);
}

#[tokio::test]
async fn everyone_who_wants_the_best_seats_at_once_gets_some() {
    const CROWD: usize = 40;
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, 8, 10).await;
    let buyers = nugul_tests::people::crowd(world, &api, CROWD);
    let answers = join_all(buyers.iter().map(|(_, api)| async move {
        let best = json!({ "best": { "grade": "R", "count": 2 } });
        api.post(&format!("performances/{id}/holds"), &best).await
    }))
    .await;
    let mut taken: Vec<SeatIndex> = Vec::new();
    for answer in &answers {
        let seats = indexes(&answer.expect(201));
        assert_eq!(seats[0] + 1, seats[1], "side by side");
        taken.extend(seats);
    }
    taken.sort_unstable();
    assert_eq!(taken, (0..80).collect::<Vec<_>>(), "the hall holds just as many, in pairs");
    let best = json!({ "best": { "grade": "R", "count": 1 } });
    let late = Buyer::sign_up(world, &api).await;
    late.api.post(&format!("performances/{id}/holds"), &best).await.refused(Code::NoAdjacentSeats);
}

#[tokio::test]
async fn the_organiser_moves_the_window_and_takes_seats_off_sale() {
    let world = World::shared();
    let api = world.api();
    let seller = Buyer::log_in(&api, DEMO_SELLER).await;
    let event: Event = seller.api.post("events", &event_body(2, 6)).await.expect(201);
    let id = performance_of(&seller, &event).await;
    let (buyer, path) = (Buyer::sign_up(world, &api).await, format!("performances/{id}"));
    let hold = buyer.hold(id, &[0]).await;

    let blocked = format!("{path}/blocked-seats");
    let put =
        async |who: &Buyer, seats: &[u32]| who.api.change(Method::PUT, &blocked, &json!({ "seats": seats })).await;
    put(&buyer, &[5]).await.refused(Code::Forbidden);
    let taken = put(&seller, &[0, 5]).await.refused(Code::SeatsTaken);
    assert_eq!(taken.seats.iter().map(|s| s.index).collect::<Vec<_>>(), [0]);
    assert_eq!(put(&seller, &[5, 12]).await.refused(Code::InvalidField).errors[0].pointer, "/seats/1");
    assert_eq!(states(&api, id).await[5], SeatState::Available, "all or none");
    put(&seller, &[4, 5]).await.expect_status(200);
    assert_eq!(states(&api, id).await[4..6], [SeatState::Blocked; 2]);
    buyer.try_hold(id, &[5]).await.refused(Code::SeatsTaken);
    let stretch = json!({ "ranges": [[4, 5]] });
    seller.api.change(Method::PUT, &blocked, &stretch).await.expect_status(200);
    let outside = seller.api.change(Method::PUT, &blocked, &json!({ "ranges": [[4, 12]] })).await;
    assert_eq!(outside.refused(Code::InvalidField).errors[0].pointer, "/ranges/0");
    put(&seller, &[5]).await.expect_status(200);
    assert_eq!(states(&api, id).await[4..6], [SeatState::Available, SeatState::Blocked]);
    buyer.hold(id, &[4]).await;

    // The hall a page was made of.
    let performance: Performance = api.get(&path).await.expect(200);
    let body = |version: &str| json!({ "seats": [1], "seat_map_version": version });
    buyer.api.post(&format!("{path}/holds"), &body("another")).await.refused(Code::SeatMapChanged);
    buyer.api.post(&format!("{path}/holds"), &body(&performance.seat_map_version)).await.expect_status(201);

    let change = async |body: Value| seller.api.change(Method::PATCH, &path, &body).await;
    let beyond = change(json!({ "sales_close_at": in_days(31) })).await.refused(Code::InvalidField);
    assert_eq!(beyond.errors[0].pointer, "/sales_close_at");
    let reversed = change(json!({ "sales_open_at": in_days(5), "sales_close_at": in_days(4) })).await;
    assert_eq!(reversed.refused(Code::InvalidField).errors[0].pointer, "/sales_open_at");
    change(json!({ "sales_close_at": in_days(0) })).await.expect_status(200);
    buyer.try_hold(id, &[2]).await.refused(Code::SalesClosed);
    buyer.api.post(&format!("holds/{}/extend", hold.id), &json!({})).await.refused(Code::SalesClosed);
    // Who held in time may still order.
    buyer.order(&hold).await;
    change(json!({ "sales_close_at": in_days(20) })).await.expect_status(200);
    eventually("sales are open again", OUTCOME_LIMIT, async || {
        (buyer.try_hold(id, &[2]).await.status == 201).then_some(())
    })
    .await;
}
