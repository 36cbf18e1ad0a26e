//! What clients must not send: each write with each mistake, the exact refusal, and nothing changed by any of it.

use nugul_api::{
    Code, Page,
    booking::{Hold, Order, Ticket},
    headers::IDEMPOTENCY_KEY,
    limits::{BODY_BYTES_MAX, IDEMPOTENCY_KEY_CHARS_MAX},
    seats::SeatSnapshot,
};
use nugul_domain::PerformanceId;
use nugul_tests::{
    Api, Buyer, Toss, World,
    http::Method,
    new_key,
    people::{DEMO_SELLER, event_body, in_days, new_event, new_performance, performance_of},
};
use nugul_token::{AccessClaims, SEED_BYTES, SigningKey};
use serde_json::{Value, json};

/// A well-formed id of region 0 that names nothing.
const NO_ONES_ID: &str = "0198aaaa-0000-7000-8000-000000000000";

/// A write that would succeed, and what the mistakes are made of.
struct Write {
    path: String,
    body: Value,
    /// Log-in and its kin take no key.
    keyed: bool,
    /// Whether it asks who is there.
    guarded: bool,
    /// Field by field: what is wrong, the field's new value, the pointer named.
    wrong: Vec<(&'static str, Value, &'static str)>,
}

struct Cast {
    api: Api,
    buyer: Buyer,
    other: Buyer,
    seller: Buyer,
    performance: PerformanceId,
    order: Order,
    hold: Hold,
    events: usize,
}

async fn cast(world: &World) -> Cast {
    let api = world.api();
    let (buyer, other) = (Buyer::sign_up(world, &api).await, Buyer::sign_up(world, &api).await);
    let performance = new_performance(&api, 3, 6).await;
    let order = buyer.order(&buyer.hold(performance, &[0, 1]).await).await;
    let hold = buyer.hold(performance, &[2]).await;
    let seller = Buyer::log_in(&api, DEMO_SELLER).await;
    Cast { api, buyer, other, seller, performance, order, hold, events: 0 }
}

fn writes(c: &Cast, event: &str) -> Vec<Write> {
    let long = |n: usize| Value::from("가".repeat(n));
    vec![
        Write {
            path: format!("performances/{}/holds", c.performance),
            body: json!({ "seats": [8] }),
            keyed: true,
            guarded: true,
            wrong: vec![
                ("a seat that is a text", json!({ "seats": ["8"] }), "/seats/0"),
                ("a seat below zero", json!({ "seats": [-1] }), "/seats/0"),
                ("a seat that is not there", json!({ "seats": [8, 18] }), "/seats/1"),
                ("a seat twice", json!({ "seats": [8, 8] }), "/seats"),
                ("no seat", json!({ "seats": [] }), "/seats"),
                ("too many seats", json!({ "seats": [8, 9, 10, 11, 12] }), "/seats"),
                ("a list that is a text", json!({ "seats": "8" }), "/seats"),
                ("neither", json!({}), "/seats"),
                ("both", json!({ "seats": [8], "best": { "grade": "R", "count": 1 } }), "/seats"),
                ("a price", json!({ "seats": [8], "price_krw": 1 }), "/price_krw"),
                ("a user", json!({ "seats": [8], "user_id": NO_ONES_ID }), "/user_id"),
                ("no count", json!({ "best": { "grade": "R" } }), "/best/count"),
                ("a count of none", json!({ "best": { "grade": "R", "count": 0 } }), "/best/count"),
                ("a count too high", json!({ "best": { "grade": "R", "count": 5 } }), "/best/count"),
                ("an unknown grade", json!({ "best": { "grade": "VIP", "count": 1 } }), "/best/grade"),
                ("an unknown field inside", json!({ "best": { "grade": "R", "count": 1, "row": 1 } }), "/best/row"),
            ],
        },
        Write {
            path: "orders".into(),
            body: json!({ "hold_id": c.hold.id }),
            keyed: true,
            guarded: true,
            wrong: vec![
                ("no hold", json!({}), "/hold_id"),
                ("a hold that is a number", json!({ "hold_id": 7 }), "/hold_id"),
                ("a hold that is no id", json!({ "hold_id": "hold" }), "/hold_id"),
                ("a total", json!({ "hold_id": c.hold.id, "total_krw": 1 }), "/total_krw"),
            ],
        },
        Write {
            path: format!("orders/{}/confirm", c.order.id),
            body: json!({ "payment_key": "k", "amount_krw": c.order.total_krw }),
            keyed: true,
            guarded: true,
            wrong: vec![
                ("no key", json!({ "amount_krw": 1 }), "/payment_key"),
                ("no amount", json!({ "payment_key": "k" }), "/amount_krw"),
                ("an empty key", json!({ "payment_key": "", "amount_krw": 1 }), "/payment_key"),
                ("a long key", json!({ "payment_key": "k".repeat(201), "amount_krw": 1 }), "/payment_key"),
                ("a key with spaces", json!({ "payment_key": "k k", "amount_krw": 1 }), "/payment_key"),
                ("an amount that is a text", json!({ "payment_key": "k", "amount_krw": "1" }), "/amount_krw"),
                ("an amount with a fraction", json!({ "payment_key": "k", "amount_krw": 1.5 }), "/amount_krw"),
                ("a state", json!({ "payment_key": "k", "amount_krw": 1, "state": "paid" }), "/state"),
            ],
        },
        Write {
            path: "events".into(),
            body: event_body(2, 2),
            keyed: true,
            guarded: true,
            wrong: [
                ("no title", "title", Value::Null, "/title"),
                ("an empty title", "title", json!(" "), "/title"),
                ("a long title", "title", long(121), "/title"),
                ("a long description", "description", long(5_001), "/description"),
                ("a date that is none", "starts_on", json!("2026-02-30"), "/starts_on"),
                ("an end before the start", "ends_on", json!("2001-01-01"), "/ends_on"),
                ("no running time", "runtime_min", json!(0), "/runtime_min"),
                ("no grades", "grades", json!([]), "/grades"),
                ("a role", "role", json!("admin"), "/role"),
            ]
            .into_iter()
            .map(|(what, field, value, pointer)| {
                let mut body = event_body(2, 2);
                body[field] = value;
                (what, body, pointer)
            })
            .chain([
                ("a price below zero", price_of(-1), "/grades/0/price_krw"),
                ("a price too high", price_of(10_000_001), "/grades/0/price_krw"),
            ])
            .collect(),
        },
        Write {
            path: format!("events/{event}/performances"),
            body: json!({ "starts_at": in_days(20) }),
            keyed: true,
            guarded: true,
            wrong: vec![
                ("no time", json!({}), "/starts_at"),
                ("a time that is none", json!({ "starts_at": "tomorrow" }), "/starts_at"),
                ("a time outside the run", json!({ "starts_at": in_days(100) }), "/starts_at"),
                ("a seat count", json!({ "starts_at": in_days(20), "seats": 3 }), "/seats"),
            ],
        },
        Write {
            path: "auth/email-codes".into(),
            body: json!({ "email": "someone@people.test" }),
            keyed: true,
            guarded: false,
            wrong: vec![
                ("no address", json!({}), "/email"),
                ("no address in it", json!({ "email": "someone" }), "/email"),
                ("a second line", json!({ "email": "a@people.test\r\nBcc: b@people.test" }), "/email"),
                ("an unknown field", json!({ "email": "a@people.test", "admin": true }), "/admin"),
            ],
        },
        Write {
            path: "auth/sign-up".into(),
            body: json!({ "email": "a@people.test", "code": "000000", "password": "12345678", "nickname": "n" }),
            keyed: true,
            guarded: false,
            wrong: vec![
                ("no code", json!({ "email": "a@people.test", "password": "12345678", "nickname": "n" }), "/code"),
                (
                    "a short password",
                    json!({ "email": "a@people.test", "code": "0", "password": "1234567", "nickname": "n" }),
                    "/password",
                ),
                (
                    "a long nickname",
                    json!({ "email": "a@people.test", "code": "0", "password": "12345678", "nickname": long(21) }),
                    "/nickname",
                ),
                (
                    "a role",
                    json!({ "email": "a@people.test", "code": "0", "password": "12345678", "nickname": "n", "role": "admin" }),
                    "/role",
                ),
            ],
        },
        Write {
            path: "auth/log-in".into(),
            body: json!({ "email": "a@people.test", "password": "12345678" }),
            keyed: false,
            guarded: false,
            wrong: vec![
                ("no password", json!({ "email": "a@people.test" }), "/password"),
                ("a password that is a number", json!({ "email": "a@people.test", "password": 1 }), "/password"),
            ],
        },
        Write {
            path: "auth/refresh".into(),
            body: json!({ "refresh_token": "t" }),
            keyed: false,
            guarded: false,
            wrong: vec![
                ("no token", json!({}), "/refresh_token"),
                ("a list", json!({ "refresh_token": [] }), "/refresh_token"),
            ],
        },
    ]
}

fn price_of(won: i64) -> Value {
    let mut body = event_body(2, 2);
    body["grades"][0]["price_krw"] = json!(won);
    body
}

async fn post(api: &Api, path: &str, key: &str, kind: &str, body: &[u8]) -> nugul_tests::Answer {
    let headers = [(IDEMPOTENCY_KEY, key), ("content-type", kind)];
    api.send(Method::POST, path, &headers, Some(body.to_vec())).await
}

/// The key of the region, as only its operator has it.
fn region_key(world: &World) -> SigningKey {
    let pem = std::fs::read_to_string(world.data_dir.join("coordinator/signing-key.pem")).expect("the region's key");
    SigningKey::from_pem(&pem).expect("a key")
}

async fn seen(c: &Cast) -> (SeatSnapshot, Vec<Order>, usize, Order) {
    let snapshot = c.api.get(&format!("performances/{}/seats", c.performance)).await.expect(200);
    let orders: Page<Order> = c.buyer.api.get("me/orders").await.expect(200);
    let tickets: Page<Ticket> = c.buyer.api.get("me/tickets").await.expect(200);
    (snapshot, orders.items, tickets.items.len(), c.buyer.look(&c.order).await)
}

#[tokio::test]
async fn each_mistake_has_its_refusal_and_changes_nothing() {
    let world = World::shared();
    let mut c = cast(world).await;
    let event = new_event(&c.seller, 2, 2).await;
    let event_id = event.summary.id.to_string();
    c.events = event.performances.len();
    let before = seen(&c).await;

    let now_s = in_days(0).as_millis() / 1000;
    let claims = |iat: i64, exp: i64| AccessClaims {
        sub: c.seller.account.id,
        role: c.seller.account.role,
        nickname: "너굴".into(),
        iat,
        exp,
    };
    let forged =
        SigningKey::from_seed([7; SEED_BYTES]).expect("a key").sign_access(claims(now_s, now_s + 900)).expect("signed");
    let expired = region_key(world).sign_access(claims(now_s - 1000, now_s - 100)).expect("signed");
    let mut damaged = c.seller.tokens.access_token.clone();
    let middle = damaged.len() / 2;
    damaged.replace_range(middle..=middle, if damaged.as_bytes()[middle] == b'A' { "B" } else { "A" });

    for write in writes(&c, &event_id) {
        let path = &write.path;
        let writer = if path.starts_with("events") { &c.seller } else { &c.buyer };
        let api = if write.guarded { &writer.api } else { &c.api };
        let good = serde_json::to_vec(&write.body).expect("JSON");
        let json = "application/json";

        post(api, path, &new_key(), json, b"{\"").await.refused(Code::MalformedJson);
        post(api, path, &new_key(), json, b"").await.refused(Code::MalformedJson);
        post(api, path, &new_key(), json, &[good.as_slice(), b" x"].concat()).await.refused(Code::MalformedJson);
        post(api, path, &new_key(), "text/plain", &good).await.refused(Code::UnsupportedMediaType);
        let large = vec![b' '; BODY_BYTES_MAX + 1];
        post(api, path, &new_key(), json, &large).await.refused(Code::BodyTooLarge);
        for (what, body, pointer) in &write.wrong {
            let answer = post(api, path, &new_key(), json, &serde_json::to_vec(body).expect("JSON")).await;
            let problem = answer.refused(Code::InvalidField);
            assert_eq!(
                problem.errors.first().map(|e| e.pointer.as_str()),
                Some(*pointer),
                "{path}, {what}: {}",
                answer.text()
            );
        }
        if write.keyed {
            let bare = api.send(Method::POST, path, &[("content-type", json)], Some(good.clone())).await;
            bare.refused(Code::IdempotencyKeyMissing);
            let long = "k".repeat(IDEMPOTENCY_KEY_CHARS_MAX + 1);
            post(api, path, &long, json, &good).await.refused(Code::IdempotencyKeyInvalid);
            post(api, path, "two words", json, &good).await.refused(Code::IdempotencyKeyInvalid);
        }
        if write.guarded {
            post(&c.api, path, &new_key(), json, &good).await.refused(Code::NotLoggedIn);
            post(&c.api.with_token("nonsense"), path, &new_key(), json, &good).await.refused(Code::TokenInvalid);
            post(&c.api.with_token(&forged), path, &new_key(), json, &good).await.refused(Code::TokenInvalid);
            post(&c.api.with_token(&damaged), path, &new_key(), json, &good).await.refused(Code::TokenInvalid);
            post(&c.api.with_token(&expired), path, &new_key(), json, &good).await.refused(Code::TokenExpired);
        }
    }

    // What is unknown, another's, or not for this role.
    let confirm = json!({ "payment_key": "k", "amount_krw": c.order.total_krw });
    let (order, hold) = (c.order.id, c.hold.id);
    let hold_body = json!({ "seats": [8] });
    for (who, path, body, code) in [
        (&c.buyer, format!("performances/{NO_ONES_ID}/holds"), &hold_body, Code::NotFound),
        (&c.buyer, "performances/nonsense/holds".into(), &hold_body, Code::NotFound),
        (&c.buyer, "orders".into(), &json!({ "hold_id": NO_ONES_ID }), Code::HoldExpired),
        (&c.other, "orders".into(), &json!({ "hold_id": hold }), Code::HoldExpired),
        (&c.buyer, format!("orders/{NO_ONES_ID}/confirm"), &confirm, Code::NotFound),
        (&c.other, format!("orders/{order}/confirm"), &confirm, Code::NotFound),
        (&c.buyer, "events".into(), &event_body(2, 2), Code::Forbidden),
        (&c.buyer, format!("events/{event_id}/performances"), &json!({ "starts_at": in_days(20) }), Code::Forbidden),
        (&c.seller, format!("events/{NO_ONES_ID}/performances"), &json!({ "starts_at": in_days(20) }), Code::NotFound),
    ] {
        who.api.post(&path, body).await.refused(code);
    }
    for (who, path) in [
        (&c.other, format!("holds/{hold}")),
        (&c.buyer, format!("holds/{NO_ONES_ID}")),
        (&c.other, format!("orders/{order}")),
        (&c.buyer, format!("orders/{NO_ONES_ID}")),
    ] {
        who.api.delete(&path).await.refused(Code::NotFound);
        who.api.get(&path).await.refused(Code::NotFound);
    }
    let keyless = c.buyer.api.send(Method::DELETE, &format!("orders/{order}"), &[], None).await;
    keyless.refused(Code::IdempotencyKeyMissing);

    assert_eq!(seen(&c).await, before);
    assert_eq!(Toss::new(world).charged(&c.order).await, (0, 0));
}

#[tokio::test]
async fn a_key_belongs_to_one_request() {
    let world = World::shared();
    let c = cast(world).await;
    let key = new_key();
    let made: Order = c.buyer.api.post_as("orders", &key, &json!({ "hold_id": c.hold.id })).await.expect(201);
    let again: Order = c.buyer.api.post_as("orders", &key, &json!({ "hold_id": c.hold.id })).await.expect(201);
    assert_eq!(made, again);
    c.buyer.api.post_as("orders", &key, &json!({ "hold_id": NO_ONES_ID })).await.refused(Code::IdempotencyKeyReused);
    let confirm = json!({ "payment_key": "k", "amount_krw": made.total_krw });
    let path = format!("orders/{}/confirm", made.id);
    c.buyer.api.post_as(&path, &key, &confirm).await.refused(Code::IdempotencyKeyReused);
    // Another's key of the same name is another key.
    c.other.api.post_as("orders", &key, &json!({ "hold_id": NO_ONES_ID })).await.refused(Code::HoldExpired);

    let body = event_body(2, 2);
    let key = new_key();
    let one: Value = c.seller.api.post_as("events", &key, &body).await.expect(201);
    let two: Value = c.seller.api.post_as("events", &key, &body).await.expect(201);
    assert_eq!(one["id"], two["id"]);
    c.seller.api.post_as("events", &key, &event_body(2, 3)).await.refused(Code::IdempotencyKeyReused);
}

#[tokio::test]
async fn what_is_over_cannot_be_bought() {
    let world = World::shared();
    let c = cast(world).await;
    c.buyer.api.delete(&format!("holds/{}", c.hold.id)).await.expect_status(204);
    c.buyer.api.post("orders", &json!({ "hold_id": c.hold.id })).await.refused(Code::HoldExpired);
    c.buyer.api.delete(&format!("holds/{}", c.hold.id)).await.refused(Code::NotFound);

    c.buyer.api.delete(&format!("orders/{}", c.order.id)).await.expect_status(204);
    c.buyer.confirm(&c.order, "k").await.refused(Code::OrderState);
    assert_eq!(Toss::new(world).charged(&c.order).await, (0, 0));

    // Sales that have not opened.
    let event = new_event(&c.seller, 2, 2).await;
    let id = performance_of(&c.seller, &event).await;
    c.buyer.hold(id, &[0]).await;
    let closed = json!({ "starts_at": in_days(20), "sales_open_at": in_days(1) });
    let path = format!("events/{}/performances", event.summary.id);
    let made: nugul_api::catalogue::PerformanceSummary = c.seller.api.post(&path, &closed).await.expect(201);
    c.buyer.try_hold(made.id, &[0]).await.refused(Code::SalesClosed);
}
