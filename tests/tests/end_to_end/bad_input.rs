//! What clients must not send: each write with each mistake, the exact refusal, and nothing changed by any of it.

use std::collections::{BTreeMap, BTreeSet};

use nugul_api::{
    Code, Page,
    booking::{Hold, Order, Refund, Ticket},
    catalogue::Event,
    headers::IDEMPOTENCY_KEY,
    limits::{BODY_BYTES_MAX, IDEMPOTENCY_KEY_CHARS_MAX},
};
use nugul_domain::{PerformanceId, RefundId, TicketId, account::Role, refund::RefundState};
use nugul_tests::{
    Api, Buyer, Toss, World, eventually,
    http::Method,
    new_key,
    people::{
        DEMO_ADMIN, DEMO_SELLER, OUTCOME_LIMIT, event_body, in_days, new_event, new_performance, performance_of,
        signing_key,
    },
};
use nugul_token::{AccessClaims, SEED_BYTES, SigningKey};
use serde_json::{Value, json};

/// A well-formed id of region 0 that names nothing.
const NO_ONES_ID: &str = "0198aaaa-0000-7000-8000-000000000000";

/// A case that nobody opened.
const NO_ONES_CASE: i64 = 999_999_999;

/// Who a write is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Anyone,
    Buyer,
    Seller,
    Admin,
}

/// A write as the contract names it, a request that would be taken, and mistakes that the contract does not tell.
struct Write {
    method: Method,
    /// Below `/api/v1`, as the contract has it.
    template: &'static str,
    /// What `{id}` is.
    id: String,
    who: Who,
    /// Absent where the write takes no body.
    body: Option<Value>,
    /// What is wrong, the whole body, the pointer named.
    wrong: Vec<(&'static str, Value, &'static str)>,
}

impl Write {
    fn new(method: Method, template: &'static str, id: &dyn std::fmt::Display, who: Who, body: Option<Value>) -> Self {
        Self { method, template, id: id.to_string(), who, body, wrong: Vec::new() }
    }

    fn wrong(self, wrong: Vec<(&'static str, Value, &'static str)>) -> Self {
        Self { wrong, ..self }
    }

    fn path_of(&self, id: &str) -> String {
        self.template.replace("{id}", id).replace("{case}", id)
    }
}

struct Cast {
    api: Api,
    /// The coordinator's, past what the edge remembers.
    direct: String,
    buyer: Buyer,
    other: Buyer,
    seller: Buyer,
    /// Another seller's client.
    rival: Api,
    admin: Api,
    performance: PerformanceId,
    event: Event,
    order: Order,
    hold: Hold,
    ticket: TicketId,
    refund: RefundId,
}

async fn cast(world: &World) -> Cast {
    let api = world.api();
    let (buyer, other) = (Buyer::sign_up(world, &api).await, Buyer::sign_up(world, &api).await);
    let seller = Buyer::log_in(&api, DEMO_SELLER).await;
    let event = new_event(&seller, 3, 6).await;
    let performance = performance_of(&seller, &event).await;
    let elsewhere = new_performance(&api, 1, 4).await;
    let tickets = buyer.buy(world, elsewhere, &[0, 1]).await.tickets;
    let terms: Ticket = buyer.api.get(&format!("tickets/{}", tickets[1])).await.expect(200);
    let amount = terms.refund_terms.expect("terms").amount_krw;
    let asked = json!({ "reason": "", "amount_krw": amount });
    let refund: Refund = buyer.api.post(&format!("tickets/{}/refund-requests", tickets[1]), &asked).await.expect(201);
    eventually("the refund", OUTCOME_LIMIT, async || {
        let now: Refund = buyer.api.get(&format!("refund-requests/{}", refund.id)).await.expect(200);
        (now.state == RefundState::Refunded).then_some(())
    })
    .await;
    let order = buyer.order(&buyer.hold(performance, &[0, 1]).await).await;
    let hold = buyer.hold(performance, &[2]).await;
    let now_s = in_days(0).as_millis() / 1000;
    let claims = AccessClaims {
        sub: other.account.id,
        role: Role::Seller,
        nickname: "다른 주최자".into(),
        iat: now_s,
        exp: now_s + 900,
    };
    let rival = api.with_token(&signing_key(world).sign_access(claims).expect("a token"));
    let admin = Buyer::log_in(&api, DEMO_ADMIN).await.api;
    let direct = world.addresses.coordinator.clone();
    let (ticket, refund) = (tickets[0], refund.id);
    Cast { api, direct, buyer, other, seller, rival, admin, performance, event, order, hold, ticket, refund }
}

fn writes(c: &Cast) -> Vec<Write> {
    let long = |n: usize| Value::from("가".repeat(n));
    let (post, delete) = (Method::POST, Method::DELETE);
    let (buyer, seller, anyone) = (Who::Buyer, Who::Seller, Who::Anyone);
    vec![
        Write::new(post.clone(), "performances/{id}/holds", &c.performance, buyer, Some(json!({ "seats": [8] })))
            .wrong(vec![
                ("a seat that is a text", json!({ "seats": ["8"] }), "/seats/0"),
                ("a seat below zero", json!({ "seats": [-1] }), "/seats/0"),
                ("a seat that is not there", json!({ "seats": [8, 18] }), "/seats/1"),
                ("a seat twice", json!({ "seats": [8, 8] }), "/seats"),
                ("no seat", json!({ "seats": [] }), "/seats"),
                ("too many seats", json!({ "seats": [8, 9, 10, 11, 12] }), "/seats"),
                ("neither", json!({}), "/seats"),
                ("both", json!({ "seats": [8], "best": { "grade": "R", "count": 1 } }), "/seats"),
                ("a price", json!({ "seats": [8], "price_krw": 1 }), "/price_krw"),
                ("a user", json!({ "seats": [8], "user_id": NO_ONES_ID }), "/user_id"),
                ("no count", json!({ "best": { "grade": "R" } }), "/best/count"),
                ("a count of none", json!({ "best": { "grade": "R", "count": 0 } }), "/best/count"),
                ("a count too high", json!({ "best": { "grade": "R", "count": 5 } }), "/best/count"),
                ("an unknown grade", json!({ "best": { "grade": "VIP", "count": 1 } }), "/best/grade"),
                ("an unknown field inside", json!({ "best": { "grade": "R", "count": 1, "row": 1 } }), "/best/row"),
            ]),
        Write::new(post.clone(), "performances/{id}/stream-tickets", &c.performance, buyer, None),
        Write::new(delete.clone(), "holds/{id}", &c.hold.id, buyer, None),
        Write::new(post.clone(), "holds/{id}/extend", &c.hold.id, buyer, None),
        Write::new(post.clone(), "holds/{id}/swap", &c.hold.id, buyer, Some(json!({ "give": [2], "take": [8] })))
            .wrong(vec![
                ("a seat that is not held", json!({ "give": [3], "take": [8] }), "/give"),
                ("a seat that is not there", json!({ "give": [2], "take": [18] }), "/take/0"),
                ("nothing left", json!({ "give": [2], "take": [] }), "/take"),
            ]),
        Write::new(post.clone(), "orders", &"", buyer, Some(json!({ "hold_id": c.hold.id }))).wrong(vec![
            ("a hold that is no id", json!({ "hold_id": "hold" }), "/hold_id"),
            ("a total", json!({ "hold_id": c.hold.id, "total_krw": 1 }), "/total_krw"),
        ]),
        Write::new(delete, "orders/{id}", &c.order.id, buyer, None),
        Write::new(
            post.clone(),
            "orders/{id}/confirm",
            &c.order.id,
            buyer,
            Some(json!({ "payment_key": "k", "amount_krw": c.order.total_krw })),
        )
        .wrong(vec![
            ("an empty key", json!({ "payment_key": "", "amount_krw": 1 }), "/payment_key"),
            ("a long key", json!({ "payment_key": "k".repeat(201), "amount_krw": 1 }), "/payment_key"),
            ("a key with spaces", json!({ "payment_key": "k k", "amount_krw": 1 }), "/payment_key"),
            ("an amount with a fraction", json!({ "payment_key": "k", "amount_krw": 1.5 }), "/amount_krw"),
            ("a state", json!({ "payment_key": "k", "amount_krw": 1, "state": "paid" }), "/state"),
        ]),
        Write::new(
            post.clone(),
            "tickets/{id}/refund-requests",
            &c.ticket,
            buyer,
            Some(json!({ "reason": "", "amount_krw": 1 })),
        )
        .wrong(vec![("a long reason", json!({ "reason": long(201), "amount_krw": 1 }), "/reason")]),
        Write::new(post.clone(), "refund-requests/{id}/accept", &c.refund, seller, None),
        Write::new(post.clone(), "refund-requests/{id}/decline", &c.refund, seller, None),
        Write::new(post.clone(), "events", &"", seller, Some(event_body(2, 2))).wrong(
            [
                ("an empty title", "title", json!(" "), "/title"),
                ("a long title", "title", long(121), "/title"),
                ("an empty English title", "title_en", json!(" "), "/title_en"),
                ("a long English title", "title_en", long(121), "/title_en"),
                ("a performer without a name", "cast", json!(["너굴이", " "]), "/cast/1"),
                ("a performer with a long name", "cast", json!([long(81)]), "/cast/0"),
                ("a performer twice", "cast", json!(["너굴이", " 너굴이"]), "/cast/1"),
                ("a crowd of performers", "cast", (0..65).map(|n| n.to_string()).collect(), "/cast"),
                ("a long description", "description", long(5_001), "/description"),
                ("a date that is none", "starts_on", json!("2026-02-30"), "/starts_on"),
                ("an end before the start", "ends_on", json!("2001-01-01"), "/ends_on"),
                ("no running time", "runtime_min", json!(0), "/runtime_min"),
                ("no grades", "grades", json!([]), "/grades"),
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
        ),
        Write::new(
            post.clone(),
            "events/{id}/performances",
            &c.event.summary.id,
            seller,
            Some(json!({ "starts_at": in_days(20) })),
        )
        .wrong(vec![
            ("a time that is none", json!({ "starts_at": "tomorrow" }), "/starts_at"),
            ("a time outside the run", json!({ "starts_at": in_days(100) }), "/starts_at"),
            ("a seat count", json!({ "starts_at": in_days(20), "seats": 3 }), "/seats"),
        ]),
        Write::new(
            Method::PATCH,
            "performances/{id}",
            &c.performance,
            seller,
            Some(json!({ "sales_close_at": in_days(20) })),
        )
        .wrong(vec![
            (
                "an opening after the close",
                json!({ "sales_open_at": in_days(21), "sales_close_at": in_days(20) }),
                "/sales_open_at",
            ),
            ("another time", json!({ "starts_at": in_days(20) }), "/starts_at"),
        ]),
        Write::new(
            Method::PUT,
            "performances/{id}/blocked-seats",
            &c.performance,
            seller,
            Some(json!({ "seats": [17] })),
        )
        .wrong(vec![
            ("a seat that is not there", json!({ "seats": [17, 18] }), "/seats/1"),
            ("a stretch that ends outside", json!({ "ranges": [[3, 18]] }), "/ranges/0"),
            ("a stretch backwards", json!({ "ranges": [[5, 3]] }), "/ranges/0"),
        ]),
        Write::new(
            post.clone(),
            "performances/{id}/cancellation",
            &c.performance,
            seller,
            Some(json!({ "reason": "비가 와요" })),
        )
        .wrong(vec![
            ("no reason given", json!({ "reason": " " }), "/reason"),
            ("a long reason", json!({ "reason": long(201) }), "/reason"),
        ]),
        Write::new(
            post.clone(),
            "admin/search/jobs",
            &"",
            Who::Admin,
            Some(json!({ "work": "reindex", "index": "events" })),
        )
        .wrong(vec![
            ("unknown work", json!({ "work": "guess", "index": "events" }), "/work"),
            ("an unknown index", json!({ "work": "reindex", "index": "people" }), "/index"),
        ]),
        Write::new(post.clone(), "admin/reconciliation", &"", Who::Admin, Some(json!({ "day": "2026-01-02" }))).wrong(
            vec![
                ("a day that is none", json!({ "day": "2026-02-30" }), "/day"),
                ("a day to come", json!({ "day": "9999-01-01" }), "/day"),
            ],
        ),
        Write::new(
            post.clone(),
            "admin/reconciliation/cases/{case}/close",
            &NO_ONES_CASE,
            Who::Admin,
            Some(json!({ "note": "확인했어요" })),
        )
        .wrong(vec![
            ("no reason given", json!({ "note": " " }), "/note"),
            ("a long reason", json!({ "note": long(201) }), "/note"),
        ]),
        Write::new(post.clone(), "auth/email-codes", &"", anyone, Some(json!({ "email": "someone@people.test" })))
            .wrong(vec![
                ("no address in it", json!({ "email": "someone" }), "/email"),
                ("a second line", json!({ "email": "a@people.test\r\nBcc: b@people.test" }), "/email"),
                ("a long address", json!({ "email": format!("{}@people.test", "a".repeat(300)) }), "/email"),
            ]),
        Write::new(
            post.clone(),
            "auth/sign-up",
            &"",
            anyone,
            Some(json!({ "email": "a@people.test", "code": "000000", "password": "12345678", "nickname": "n" })),
        )
        .wrong(vec![
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
        ]),
        Write::new(
            post.clone(),
            "auth/log-in",
            &"",
            anyone,
            Some(json!({ "email": "a@people.test", "password": "12345678" })),
        ),
        Write::new(post.clone(), "auth/refresh", &"", anyone, Some(json!({ "refresh_token": "t" }))),
        Write::new(post, "auth/log-out", &"", anyone, Some(json!({ "refresh_token": "t" }))),
    ]
}

/// What the contract says of a write.
struct Contract {
    guarded: bool,
    keyed: bool,
    /// The fields of its body with whether they say yes or no, and those it needs.
    fields: Vec<(String, bool)>,
    needed: Vec<String>,
}

/// Every write of the contract, by method and path.
async fn contract(api: &Api) -> BTreeMap<(String, String), Contract> {
    let document: Value = api.get("/openapi.json").await.expect(200);
    let mut all = BTreeMap::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            // What our own machines send has its tests where it is sent.
            if method == "get" || operation["tags"][0] == "machines" {
                continue;
            }
            let path = path.strip_prefix("/api/v1/").expect("a write of the interface").to_owned();
            let schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
            let name = schema.and_then(|at| at.rsplit('/').next()).unwrap_or_default();
            let schema = &document["components"]["schemas"][name];
            let is_flag = |field: &Value| field["type"] == "boolean";
            let fields = schema["properties"].as_object();
            let fields = fields.map(|all| all.iter().map(|(name, field)| (name.clone(), is_flag(field))).collect());
            let needed = schema["required"]
                .as_array()
                .map(|all| all.iter().filter_map(Value::as_str).map(str::to_owned).collect());
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let said = Contract {
                guarded: !operation["security"].is_null(),
                keyed: parameters.iter().any(|p| p["name"] == IDEMPOTENCY_KEY && p["required"] == true),
                fields: fields.unwrap_or_default(),
                needed: needed.unwrap_or_default(),
            };
            all.insert((method.to_uppercase(), path), said);
        }
    }
    all
}

/// Mistakes that follow from the contract: each needed field left out, each field of another kind, a field too many.
fn by_contract(body: Option<&Value>, contract: &Contract) -> Vec<(String, Value, String)> {
    let good = body.cloned().unwrap_or_else(|| json!({}));
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        body
    };
    let mut all = Vec::new();
    for field in &contract.needed {
        let without = changed(&|body| drop(body.as_object_mut().and_then(|fields| fields.remove(field))));
        all.push((format!("no {field}"), without, format!("/{field}")));
    }
    for (field, is_flag) in &contract.fields {
        let other = changed(&|body| body[field] = if *is_flag { json!("yes") } else { json!(true) });
        all.push((format!("another kind of {field}"), other, format!("/{field}")));
    }
    all.push(("a field too many".into(), changed(&|body| body["role"] = json!("admin")), "/role".into()));
    all
}

fn price_of(won: i64) -> Value {
    let mut body = event_body(2, 2);
    body["grades"][0]["price_krw"] = json!(won);
    body
}

async fn send(api: &Api, write: &Write, path: &str, key: &str, kind: &str, body: &[u8]) -> nugul_tests::Answer {
    let headers = [(IDEMPOTENCY_KEY, key), ("content-type", kind)];
    api.send(write.method.clone(), path, &headers, Some(body.to_vec())).await
}

/// All that the writes could have changed, as the coordinator has it.
async fn seen(c: &Cast) -> Vec<(String, Value)> {
    let (buyer, seller) = (c.buyer.api.at(&c.direct), c.seller.api.at(&c.direct));
    let (performance, event) = (c.performance, c.event.summary.id);
    let mut all = Vec::new();
    for (api, path) in [
        (&buyer, "me/orders".to_owned()),
        (&buyer, "me/refund-requests".into()),
        (&buyer, format!("orders/{}", c.order.id)),
        (&buyer, format!("holds/{}", c.hold.id)),
        (&seller, format!("events/{event}")),
        (&seller, format!("performances/{performance}")),
        (&seller, format!("performances/{performance}/seats")),
        (&seller, format!("performances/{performance}/blocked-seats")),
        (&seller, format!("refund-requests/{}", c.refund)),
    ] {
        all.push((path.clone(), api.get(&path).await.expect(200)));
    }
    let tickets: Page<Ticket> = buyer.get("me/tickets").await.expect(200);
    all.push(("me/tickets".into(), json!(tickets.items.iter().map(|t| t.id).collect::<Vec<_>>())));
    seller.get(&format!("performances/{performance}/cancellation")).await.refused(Code::NotFound);
    all
}

#[tokio::test]
async fn each_mistake_has_its_refusal_and_changes_nothing() {
    let world = World::shared();
    let c = cast(world).await;
    let writes = writes(&c);
    let contract = contract(&c.api).await;
    let rows: BTreeSet<_> = writes.iter().map(|w| (w.method.to_string(), w.template.to_owned())).collect();
    assert_eq!(rows, contract.keys().cloned().collect(), "every write of the contract has its row here");
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
    let expired = signing_key(world).sign_access(claims(now_s - 1000, now_s - 100)).expect("signed");
    let mut damaged = c.seller.tokens.access_token.clone();
    let middle = damaged.len() / 2;
    damaged.replace_range(middle..=middle, if damaged.as_bytes()[middle] == b'A' { "B" } else { "A" });

    for write in &writes {
        let said = &contract[&(write.method.to_string(), write.template.to_owned())];
        let path = &write.path_of(&write.id);
        let api = match write.who {
            Who::Anyone => &c.api,
            Who::Buyer => &c.buyer.api,
            Who::Seller => &c.seller.api,
            Who::Admin => &c.admin,
        };
        let json = "application/json";
        let good = write.body.as_ref().map_or_else(Vec::new, |body| serde_json::to_vec(body).expect("JSON"));

        send(api, write, path, &new_key(), json, b"{\"").await.refused(Code::MalformedJson);
        send(api, write, path, &new_key(), json, b"{} x").await.refused(if said.needed.is_empty() {
            Code::MalformedJson
        } else {
            Code::InvalidField
        });
        send(api, write, path, &new_key(), "text/plain", b"{}").await.refused(Code::UnsupportedMediaType);
        let large = vec![b' '; BODY_BYTES_MAX + 1];
        send(api, write, path, &new_key(), json, &large).await.refused(Code::BodyTooLarge);
        if write.body.is_some() {
            send(api, write, path, &new_key(), json, b"").await.refused(Code::MalformedJson);
            let trailing = [good.as_slice(), b" x"].concat();
            send(api, write, path, &new_key(), json, &trailing).await.refused(Code::MalformedJson);
        }
        let wrong = write.wrong.iter().map(|(what, body, at)| ((*what).to_owned(), body.clone(), (*at).to_owned()));
        for (what, body, pointer) in by_contract(write.body.as_ref(), said).into_iter().chain(wrong) {
            let body = serde_json::to_vec(&body).expect("JSON");
            let answer = send(api, write, path, &new_key(), json, &body).await;
            let problem = answer.refused(Code::InvalidField);
            let named = problem.errors.first().map(|e| e.pointer.clone());
            assert_eq!(named, Some(pointer), "{} {path}, {what}: {}", write.method, answer.text());
        }
        if said.keyed {
            let bare = api.send(write.method.clone(), path, &[("content-type", json)], Some(good.clone())).await;
            bare.refused(Code::IdempotencyKeyMissing);
            let long = "k".repeat(IDEMPOTENCY_KEY_CHARS_MAX + 1);
            send(api, write, path, &long, json, &good).await.refused(Code::IdempotencyKeyInvalid);
            send(api, write, path, "two words", json, &good).await.refused(Code::IdempotencyKeyInvalid);
        }
        assert_eq!(said.guarded, write.who != Who::Anyone, "{path}");
        if said.guarded {
            let with = |token: &str| c.api.with_token(token);
            send(&c.api, write, path, &new_key(), json, &good).await.refused(Code::NotLoggedIn);
            send(&with("nonsense"), write, path, &new_key(), json, &good).await.refused(Code::TokenInvalid);
            send(&with(&forged), write, path, &new_key(), json, &good).await.refused(Code::TokenInvalid);
            send(&with(&damaged), write, path, &new_key(), json, &good).await.refused(Code::TokenInvalid);
            send(&with(&expired), write, path, &new_key(), json, &good).await.refused(Code::TokenExpired);
        }
        if write.template.contains('{') {
            for id in [NO_ONES_ID, "nonsense"] {
                send(api, write, &write.path_of(id), &new_key(), json, &good).await.refused(Code::NotFound);
            }
        }
        // Another's, or not for this role.
        match write.who {
            Who::Seller => {
                send(&c.buyer.api, write, path, &new_key(), json, &good).await.refused(Code::Forbidden);
                if write.template.contains("{id}") {
                    let refused = send(&c.rival, write, path, &new_key(), json, &good).await;
                    assert!(matches!(refused.status, 403 | 404), "{path}: {}", refused.text());
                }
            }
            Who::Admin => {
                send(&c.buyer.api, write, path, &new_key(), json, &good).await.refused(Code::Forbidden);
                send(&c.seller.api, write, path, &new_key(), json, &good).await.refused(Code::Forbidden);
            }
            Who::Buyer if write.template == "orders" => {
                let no_ones = serde_json::to_vec(&json!({ "hold_id": NO_ONES_ID })).expect("JSON");
                send(api, write, path, &new_key(), json, &no_ones).await.refused(Code::HoldExpired);
                send(&c.other.api, write, path, &new_key(), json, &good).await.refused(Code::HoldExpired);
            }
            // Anyone's seats are anyone's to hold.
            Who::Buyer if write.template.starts_with("performances/") => {}
            Who::Buyer => {
                send(&c.other.api, write, path, &new_key(), json, &good).await.refused(Code::NotFound);
            }
            Who::Anyone => {}
        }
        assert_eq!(seen(&c).await, before, "{} {path}", write.method);
    }
    assert_eq!(Toss::new(world).charged(&c.order).await, (0, 0));
}

#[tokio::test]
async fn the_contract_says_which_reads_ask_who_is_there() {
    let world = World::shared();
    let api = world.coordinator();
    let document: Value = api.get("/openapi.json").await.expect(200);
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() > 20, "{}", paths.len());
    for (path, item) in paths.iter().filter(|(_, item)| !item["get"].is_null()) {
        let asked = path.replace("{id}", NO_ONES_ID).replace("{version}", "none");
        let refused = api.get(&asked).await.status == 401;
        assert_eq!(refused, !item["get"]["security"].is_null(), "{path}");
        assert!(!item["get"]["responses"].as_object().expect("answers").is_empty(), "{path}");
    }
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
    // A write without a body takes none, so that a key cannot stand for two.
    let (key_of_delete, path) = (new_key(), format!("orders/{}", made.id));
    c.buyer.api.change(Method::DELETE, &path, &json!({ "order": 1 })).await.refused(Code::InvalidField);
    for body in [None, Some(b"{}".to_vec())] {
        let headers = [(IDEMPOTENCY_KEY, &*key_of_delete), ("content-type", "application/json")];
        c.buyer.api.send(Method::DELETE, &path, &headers, body).await.expect_status(204);
    }
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

#[tokio::test]
async fn parameters_of_reads_are_checked() {
    let world = World::shared();
    let api = world.api();
    let buyer = Buyer::sign_up(world, &api).await;
    for path in [
        "me/tickets?limit=0",
        "me/tickets?limit=101",
        "me/tickets?limit=ten",
        "me/tickets?limit=-1",
        "me/tickets?cursor=nonsense",
        "events?limit=0",
        "events?limit=101",
        "events?cursor=nonsense",
        "search/events?limit=0",
        "search/events?limit=101",
        "search/events?cursor=nonsense",
        "search/events?date=yesterday",
        "search/events?date=2026-13-01",
        "calendar?month=2026-13",
        "calendar?month=nonsense",
        "calendar",
    ] {
        buyer.api.get(path).await.refused(Code::InvalidParameter);
    }
    for path in
        ["events/nonsense", "performances/nonsense", "performances/nonsense/seats", "performances/nonsense/stream"]
    {
        api.get(path).await.refused(Code::NotFound);
        api.get(&path.replace("nonsense", NO_ONES_ID)).await.refused(Code::NotFound);
    }
}
