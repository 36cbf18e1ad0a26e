//! People: buyers who sign up by e-mail, the demo seller with halls of any size, and whoever sits at the payment page.

use std::time::Duration;

use nugul_api::{
    accounts::{Account, Tokens},
    booking::{Hold, Order},
    catalogue::{Event, PerformanceSummary},
};
use nugul_domain::{
    PerformanceId, Region, SeatIndex, Timestamp, UserId, account::Role, id::RANDOM_BYTES, order::OrderState,
};
use nugul_token::{AccessClaims, SigningKey};
use reqwest::Url;
use serde_json::{Value, json};

use crate::{
    http::{Answer, Api, Method, new_key},
    wait::eventually,
    world::World,
};

/// The password of the demo accounts, and of everyone who signs up here.
pub const PASSWORD: &str = "nugul-demo-2026";
/// The demo buyer.
pub const DEMO_BUYER: &str = "buyer@nugul.test";
/// The demo seller.
pub const DEMO_SELLER: &str = "seller@nugul.test";
/// The demo admin's address.
pub const DEMO_ADMIN: &str = "admin@nugul.test";
/// How long a mail may take to arrive.
pub const MAIL_LIMIT: Duration = Duration::from_secs(10);
/// How long a confirmed order may take to be paid, declined or refunded.
pub const OUTCOME_LIMIT: Duration = Duration::from_mins(1);
/// The digits of an e-mailed code.
const CODE_DIGITS: usize = 6;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// An address nobody had before.
pub fn new_email() -> String {
    format!("{}@people.test", new_key())
}

/// Logs in.
pub async fn log_in(api: &Api, email: &str, password: &str) -> Answer {
    api.post("auth/log-in", &json!({ "email": email, "password": password })).await
}

/// Asks for a code and reads it from the mail.
pub async fn email_code(world: &World, api: &Api, email: &str) -> String {
    api.post("auth/email-codes", &json!({ "email": email })).await.expect_status(202);
    let path = format!("/api/messages?to={email}");
    let outbox = api.at(&world.addresses.mail);
    eventually("the mail with the code", MAIL_LIMIT, async || {
        let mails: Vec<Value> = outbox.get(&path).await.expect(200);
        let text = mails.first()?["text"].as_str()?.to_owned();
        text.split(|c: char| !c.is_ascii_digit()).find(|digits| digits.len() == CODE_DIGITS).map(str::to_owned)
    })
    .await
}

/// The key the coordinator signs with, as an operator has it.
pub fn signing_key(world: &World) -> SigningKey {
    let pem = std::fs::read_to_string(world.data_dir.join("coordinator/signing-key.pem")).expect("the signing key");
    SigningKey::from_pem(&pem).expect("a usable signing key")
}

/// People with a valid access token and nothing else, for a crowd: signing up takes longer than what they come for.
/// They can hold seats; what asks for their account finds none.
pub fn crowd(world: &World, api: &Api, number: usize) -> Vec<(UserId, Api)> {
    let (key, now) = (signing_key(world), in_days(0));
    let member = |n: usize| {
        let mut random = [0; RANDOM_BYTES];
        random[1..9].copy_from_slice(&(n as u64).to_be_bytes());
        let id = UserId::new(Region(0), now, random);
        let claims = AccessClaims {
            sub: id,
            role: Role::User,
            nickname: "너굴 친구".into(),
            iat: now.as_millis() / 1000,
            exp: in_days(1).as_millis() / 1000,
        };
        (id, api.with_token(&key.sign_access(claims).expect("a token")))
    };
    (0..number).map(member).collect()
}

/// Someone who is logged in.
#[derive(Clone, Debug)]
pub struct Buyer {
    /// Their client.
    pub api: Api,
    /// Who they are.
    pub account: Account,
    /// Their tokens.
    pub tokens: Tokens,
}

impl Buyer {
    /// Signs up by e-mail and logs in.
    pub async fn sign_up(world: &World, api: &Api) -> Self {
        let email = new_email();
        let code = email_code(world, api, &email).await;
        let body = json!({ "email": email, "code": code, "password": PASSWORD, "nickname": "너굴 친구" });
        let account: Account = api.post("auth/sign-up", &body).await.expect(201);
        assert_eq!(account.email, email);
        Self::log_in(api, &email).await
    }

    /// Logs in with the password everyone has here.
    pub async fn log_in(api: &Api, email: &str) -> Self {
        let tokens: Tokens = log_in(api, email, PASSWORD).await.expect(200);
        Self { api: api.with_token(&tokens.access_token), account: tokens.account.clone(), tokens }
    }

    /// Asks for these seats.
    pub async fn try_hold(&self, performance: PerformanceId, seats: &[SeatIndex]) -> Answer {
        self.api.post(&format!("performances/{performance}/holds"), &json!({ "seats": seats })).await
    }

    /// Holds these seats.
    pub async fn hold(&self, performance: PerformanceId, seats: &[SeatIndex]) -> Hold {
        self.try_hold(performance, seats).await.expect(201)
    }

    /// Holds the best seats side by side.
    pub async fn hold_best(&self, performance: PerformanceId, grade: &str, count: u32) -> Hold {
        let body = json!({ "best": { "grade": grade, "count": count } });
        self.api.post(&format!("performances/{performance}/holds"), &body).await.expect(201)
    }

    /// Orders what is held.
    pub async fn order(&self, hold: &Hold) -> Order {
        self.api.post("orders", &json!({ "hold_id": hold.id })).await.expect(201)
    }

    /// The order as it stands.
    pub async fn look(&self, order: &Order) -> Order {
        self.api.get(&format!("orders/{}", order.id)).await.expect(200)
    }

    /// Asks for the order to be confirmed with what the payment page gave.
    pub async fn confirm(&self, order: &Order, payment_key: &str) -> Answer {
        let body = json!({ "payment_key": payment_key, "amount_krw": order.total_krw });
        self.api.post(&format!("orders/{}/confirm", order.id), &body).await
    }

    /// The order once it is no more pending or confirming.
    pub async fn decided(&self, order: &Order) -> Order {
        eventually("the payment's outcome", OUTCOME_LIMIT, async || {
            let now = self.look(order).await;
            (!matches!(now.state, OrderState::Pending | OrderState::Confirming)).then_some(now)
        })
        .await
    }

    /// Holds, orders and pays.
    pub async fn buy(&self, world: &World, performance: PerformanceId, seats: &[SeatIndex]) -> Order {
        let hold = self.hold(performance, seats).await;
        let order = self.order(&hold).await;
        let key = Toss::new(world).pay(&order).await;
        self.confirm(&order, &key).await.expect_status(200);
        let order = self.decided(&order).await;
        assert_eq!(order.state, OrderState::Paid, "{:?}", order.decline_reason);
        order
    }
}

/// A seller's new event with one grade `R` of this many rows and seats, and a performance that is on sale.
pub async fn new_performance(api: &Api, rows: u32, seats_per_row: u32) -> PerformanceId {
    let seller = Buyer::log_in(api, DEMO_SELLER).await;
    let event = new_event(&seller, rows, seats_per_row).await;
    performance_of(&seller, &event).await
}

/// What a seller sends for an event with one grade `R`.
pub fn event_body(rows: u32, seats_per_row: u32) -> Value {
    json!({
        "title": "너굴의 밤", "category": "콘서트", "place": "너굴홀", "description": "너굴이 노래해요.",
        "starts_on": day(1), "ends_on": day(60), "runtime_min": 100, "rating": "전체관람가",
        "grades": [{ "grade": "R", "price_krw": 55_000, "rows": rows, "seats_per_row": seats_per_row }],
    })
}

/// The seller's new event.
pub async fn new_event(seller: &Buyer, rows: u32, seats_per_row: u32) -> Event {
    seller.api.post("events", &event_body(rows, seats_per_row)).await.expect(201)
}

/// The event's new performance, on sale at once.
pub async fn performance_of(seller: &Buyer, event: &Event) -> PerformanceId {
    let body = json!({ "starts_at": in_days(30) });
    let made: PerformanceSummary =
        seller.api.post(&format!("events/{}/performances", event.summary.id), &body).await.expect(201);
    made.id
}

/// The time in so many days.
pub fn in_days(days: i64) -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or_default()).plus_ms(days * DAY_MS)
}

/// Seoul's date in so many days.
pub fn day(days: i64) -> String {
    in_days(days).seoul_date()
}

/// What the person at the payment page presses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// 결제하기: the money will be there when asked for.
    Pay,
    /// 거절: the card will be declined when asked for.
    Decline,
}

/// The payment provider's page and its books.
#[derive(Clone, Debug)]
pub struct Toss {
    api: Api,
    shop: String,
}

impl Toss {
    /// The simulator of this world.
    pub fn new(world: &World) -> Self {
        Self { api: Api::new(&world.addresses.toss), shop: world.addresses.edge.clone() }
    }

    /// Pays for the order; what comes back is what the shop is told.
    pub async fn pay(&self, order: &Order) -> String {
        self.decide(&order.id.to_string(), order.total_krw.0, Decision::Pay).await
    }

    /// Opens the payment page, presses a button, and reads the payment's key where the browser is sent.
    pub async fn decide(&self, order_id: &str, amount: i64, decision: Decision) -> String {
        let (success, fail) =
            (format!("{}/orders/{order_id}/paid", self.shop), format!("{}/orders/{order_id}/failed", self.shop));
        let amount = amount.to_string();
        let mut fields = vec![
            ("clientKey", nugul_platform::TOSS_CLIENT_KEY),
            ("orderId", order_id),
            ("amount", &amount),
            ("orderName", "너굴의 밤"),
            ("successUrl", &success),
            ("failUrl", &fail),
        ];
        let encoded = |fields: &[(&str, &str)]| {
            Url::parse_with_params("http://form", fields).expect("a form").query().unwrap_or_default().to_owned()
        };
        let page = self.api.get(&format!("/checkout?{}", encoded(&fields))).await;
        page.expect_status(200);
        assert!(page.text().contains("decision"), "{}", page.text());
        fields.push(("decision", if decision == Decision::Pay { "pay" } else { "decline" }));
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.api.send(Method::POST, "/checkout/pay", &headers, Some(encoded(&fields).into_bytes())).await;
        answer.expect_status(303);
        let back = Url::parse(answer.header("location").unwrap_or_default()).expect("an address to go back to");
        assert!(back.as_str().starts_with(&success), "{back}");
        let key = back.query_pairs().find(|(name, _)| name == "paymentKey").expect("a payment key");
        key.1.into_owned()
    }

    /// What was charged for the order and not given back, and how often money was taken.
    pub async fn charged(&self, order: &Order) -> (i64, u64) {
        let report: Value = self.api.get("/control/payments").await.expect(200);
        let items = report["items"].as_array().expect("items");
        let of_order = items.iter().filter(|item| item["order_id"] == json!(order.id));
        of_order.fold((0, 0), |(won, times), item| {
            let number = |name: &str| item[name].as_i64().expect("a number");
            (won + number("charged_krw") - number("refunded_krw"), times + item["effects"].as_u64().expect("a number"))
        })
    }

    /// Faults of the confirmations to come.
    pub async fn faults(&self, faults: &Value) {
        self.api.post("/control/faults", faults).await.expect_status(200);
    }

    /// No more faults.
    pub async fn no_faults(&self) {
        self.api.delete("/control/faults").await.expect_status(204);
    }
}
