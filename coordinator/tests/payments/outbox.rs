//! Messages that are refused, cannot be read, come out of order or find nobody at home.

use axum::http::Method;
use nugul_coordinator::{
    messages::Message,
    outbox::{self, New, deliver},
};
use nugul_domain::{Krw, OrderId, Region, Timestamp, UserId, account::Role};
use serde_json::Value;
use tokio::time::Instant;
use tonic::Code;

use crate::{
    service::Mood,
    world::{PATIENCE, POLL, World},
};

#[tokio::test]
async fn a_confirmation_that_is_refused_for_good_ends_the_order_at_once() {
    let world = World::new().await;
    for (seat, (code, state)) in (0..).zip([
        (Code::InvalidArgument, "declined"),
        (Code::NotFound, "declined"),
        (Code::FailedPrecondition, "declined"),
        // Something may have been done under this id; somebody has to look.
        (Code::AlreadyExists, "confirming"),
        // It may work later.
        (Code::Unavailable, "confirming"),
        (Code::ResourceExhausted, "confirming"),
    ]) {
        let person = u8::try_from(seat).unwrap() + 10;
        let order = world.order(person, seat).await;
        world.fake.set(Mood::Refuses("confirm", code));
        let before = world.parked().await.len();
        assert_eq!(world.confirm(person, &order, "tsim_1").await.0, 200);
        world.deliver_all().await;
        assert_eq!(world.state(person, &order).await, state, "{code:?}");
        assert_eq!(world.is_free(seat).await, state == "declined", "{code:?}");
        let is_final = !matches!(code, Code::Unavailable | Code::ResourceExhausted);
        assert_eq!(world.parked().await.len() - before, usize::from(is_final), "{code:?}");
    }
}

#[tokio::test]
async fn a_payment_key_that_cannot_be_one_changes_nothing() {
    let world = World::new().await;
    let order = world.order(2, 0).await;
    for key in ["", "a/b", "a?b", "..", "키", &"x".repeat(201)] {
        let (status, answer) = world.confirm(2, &order, key).await;
        assert_eq!((status, &answer["errors"][0]["pointer"]), (422, &Value::from("/payment_key")), "{key}: {answer}");
    }
    assert_eq!(world.state(2, &order).await, "pending");
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_put_aside_and_the_others_go_out() {
    let world = World::new().await;
    let order = world.order(2, 0).await;
    let damaged = OrderId::new(Region::default(), Timestamp::from_millis(1), [7; 9]);
    for (id, body) in [(1_u8, "{\"kind\":\"of tomorrow\"}"), (2, "no json")] {
        sqlx::query("INSERT INTO outbox (id, order_id, body, created_at, attempts, next_at) VALUES (?, ?, ?, 0, 0, 0)")
            .bind(vec![id; 16])
            .bind(damaged.to_bytes())
            .bind(body)
            .execute(world.app.db.writes())
            .await
            .unwrap();
    }
    world.deliver_all().await;
    let commands = world.fake.commands();
    // The command names the request it came from.
    assert_eq!(commands, [("prepare".to_owned(), Some("trace-of-this-test".to_owned()))]);
    assert_eq!(world.state(2, &order).await, "pending");
    let parked = ("outbox".to_owned(), damaged.to_string());
    assert_eq!(world.parked().await, [parked.clone(), parked]);
}

#[tokio::test]
async fn a_clock_that_goes_back_changes_no_order() {
    let world = World::new().await;
    let order = world.order(2, 0).await;
    // Another replica's clock, ten seconds behind.
    world.pass(-10_000);
    assert_eq!(world.confirm(2, &order, "tsim_1").await.0, 200);
    world.pass(10_000);
    // Whoever looked leaves it, and later another looks.
    assert_eq!(outbox::due(&world.app).await.unwrap().len(), 1);
    assert_eq!(outbox::due(&world.app).await.unwrap().len(), 0, "it is on its way");
    world.pass(outbox::LEASE_MS);
    world.deliver_all().await;
    assert_eq!(names(&world), ["prepare", "confirm"]);
}

#[tokio::test]
async fn a_confirmation_behind_its_preparation_is_delivered_without_a_look_at_the_table() {
    let world = World::new().await;
    let order = world.order(2, 0).await;
    assert_eq!(world.confirm(2, &order, "tsim_1").await.0, 200);
    // The clock stands: what is leased now stays so.
    let due = sqlx::query_scalar("SELECT COUNT(*) FROM outbox WHERE next_at <= ?").bind(world.app.now().as_millis());
    let due: i64 = due.fetch_one(world.app.db.pool()).await.unwrap();
    assert_eq!(due, 0, "another replica would take it");
    world.deliver_all().await;
    assert_eq!(names(&world), ["prepare", "confirm"]);
}

#[tokio::test]
async fn a_confirmation_never_overtakes_its_preparation() {
    /// Longer than the pause after a failure, shorter than a lease.
    const PAUSE_MS: i64 = 1_000;
    let world = World::new().await;
    world.fake.set(Mood::Refuses("prepare", Code::Unavailable));
    let order = world.order(2, 0).await;
    assert_eq!(world.confirm(2, &order, "tsim_1").await.0, 200);
    world.deliver_all().await;
    assert_eq!(names(&world), ["prepare"]);
    world.pass(PAUSE_MS);
    world.fake.set(Mood::Takes);
    world.deliver_all().await;
    assert_eq!(names(&world), ["prepare", "prepare", "confirm"]);
}

/// With SQLite one may write at a time: what is forgotten and what is tried again later do not wait for each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_that_fail_and_those_that_do_not_are_noted_side_by_side() {
    const ROUNDS: i64 = 200;
    const EACH: i64 = 5;
    let world = World::new().await;
    world.fake.set(Mood::Refuses("cancel", Code::Unavailable));
    let worker = tokio::spawn(deliver(world.app.clone()));
    for _ in 0..ROUNDS {
        let new = (0..2 * EACH).map(|n| {
            let message = if n % 2 == 0 { Message::Cancel { reason: "x".into() } } else { prepare(&world) };
            let order = OrderId::new(Region::default(), world.app.now(), world.app.random_id());
            New { in_order_of: order.to_bytes(), place: 1, is_next: true, message }
        });
        let mut tx = world.app.db.begin_write().await.unwrap();
        let put = outbox::put_all(&world.app, &mut tx, &new.collect::<Vec<_>>()).await.unwrap();
        tx.commit().await.unwrap();
        world.app.outbox.hand_over(put);
    }
    let until = Instant::now() + PATIENCE;
    // The clock stands: what could not be noted is never due again.
    let noted = async || {
        let sql = "SELECT COUNT(*), COALESCE(SUM(attempts), 0) FROM outbox";
        sqlx::query_as::<_, (i64, i64)>(sql).fetch_one(world.app.db.pool()).await.unwrap()
    };
    while noted().await != (ROUNDS * EACH, ROUNDS * EACH) {
        assert!(Instant::now() < until, "{:?}", noted().await);
        tokio::time::sleep(POLL).await;
    }
    worker.abort();
}

/// What tells the payment service of an order.
fn prepare(world: &World) -> Message {
    let user_id = UserId::new(Region::default(), world.app.now(), [1; 9]);
    Message::Prepare { user_id, amount_krw: Krw(1), order_name: "x".into(), expires_at: world.app.now() }
}

/// The commands that the payment service was sent.
fn names(world: &World) -> Vec<String> {
    world.fake.commands().into_iter().map(|(name, _)| name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_service_that_hangs_keeps_neither_seats_nor_mail_waiting() {
    /// More than are ever on their way or read at once.
    const HANGING: usize = 600;
    let world = World::new().await;
    world.fake.set(Mood::Hangs);
    let mut tx = world.app.db.begin_write().await.unwrap();
    for _ in 0..HANGING {
        let order = OrderId::new(Region::default(), world.app.now(), world.app.random_id());
        outbox::put(&world.app, &mut tx, order, &prepare(&world)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let worker = tokio::spawn(deliver(world.app.clone()));
    let until = Instant::now() + PATIENCE;
    while world.fake.commands().len() < 128 {
        assert!(Instant::now() < until, "the payment lane is not full");
        tokio::time::sleep(POLL).await;
    }
    // A buyer gives an order up: its seat is free although nobody hears of payments.
    world.pass(1);
    let order = world.order(2, 0).await;
    assert!(!world.is_free(0).await);
    let buyer = world.token(2, Role::User);
    assert_eq!(world.ask(&buyer, Method::DELETE, &format!("/orders/{order}"), None).await.0, 204);
    while !world.is_free(0).await {
        assert!(Instant::now() < until, "the seat waits for the payment service");
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(world.fake.commands().len(), 128, "no more than the lane has room for");
    worker.abort();
}
