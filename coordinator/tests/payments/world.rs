//! A coordinator in this process on a SQLite file of its own, with a clock and a payment service that the test sets.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, header},
};
use nugul_api::headers;
use nugul_coordination::{Seats, rankings::Rankings};
use nugul_coordinator::{
    app::{App, Outer, Parts, World as Outside, fill_random},
    catalogue::CatalogueFile,
    config::Config,
    http,
    keys::Keys,
    payments::PaymentClient,
};
use nugul_domain::{Region, Timestamp, UserId, account::Role};
use nugul_token::AccessClaims;
use serde_json::{Value, json};
use tokio::sync::watch;
use tonic::codegen::Service;

use crate::service::Fake;

/// When every test begins: 2026-03-01, in UTC milliseconds.
pub(crate) const BEGIN_MS: i64 = 1_772_323_200_000;
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// No condition is waited for longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const POLL: Duration = Duration::from_millis(20);
/// What a seat costs.
pub(crate) const PRICE: i64 = 50_000;

pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) fake: Arc<Fake>,
    pub(crate) performance: String,
    clock: Arc<AtomicI64>,
    keys: Keys,
    router: Router,
    _stop: watch::Sender<bool>,
    folder: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A number nobody else has.
fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl World {
    /// A folder of one's own.
    pub(crate) fn new_folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("nugul-coordinator-{}-{}", std::process::id(), unique()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    pub(crate) async fn new() -> Self {
        let fake = Arc::new(Fake::new());
        let mut world = Self::on(PaymentClient::Here(fake.clone())).await;
        world.fake = fake;
        world
    }

    /// Before another payment service than the fake one.
    pub(crate) async fn on(payments: PaymentClient) -> Self {
        let folder = Self::new_folder();
        let config = Config::read(|_| None).unwrap();
        let keys = Keys::load(&folder.join("key.pem")).unwrap();
        let clock = Arc::new(AtomicI64::new(BEGIN_MS));
        let told = clock.clone();
        let now = Arc::new(move || Timestamp::from_millis(told.load(Ordering::SeqCst)));
        let (stop, stopping) = watch::channel(false);
        let outer = Outer {
            world: Outside { clock: now.clone(), random: Box::new(fill_random), outcome_wait: Duration::ZERO },
            db: nugul_coordinator::db::open(None, &folder).await.unwrap(),
            seats: Seats::memory(now),
            rankings: Rankings::memory(),
            payments,
            keys: keys.clone(),
            catalogue: CatalogueFile::default(),
            stopping,
        };
        let app = Arc::new(Parts::new(config, outer).unwrap());
        let fake = Arc::new(Fake::new());
        let router = http::router(app.clone());
        let performance = String::new();
        let mut world = Self { app, fake, performance, clock, keys, router, _stop: stop, folder };
        let seller = world.token(1, Role::Seller);
        let event = json!({
            "title": "시험", "category": "뮤지컬", "place": "서울", "description": "", "starts_on": "2026-06-01",
            "ends_on": "2026-06-30", "runtime_min": 100, "rating": "전체관람가",
            "grades": [{"grade": "R", "price_krw": PRICE, "rows": 10, "seats_per_row": 10}],
        });
        let event = world.made(&seller, "/events", &event).await;
        let performance = json!({"starts_at": "2026-06-10T10:00:00Z", "sales_open_at": null});
        let made = world.made(&seller, &format!("/events/{}/performances", text(&event, "id")), &performance).await;
        world.performance = text(&made, "id");
        world
    }

    /// Moves the clock, forwards or backwards.
    pub(crate) fn pass(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn token(&self, person: u8, role: Role) -> String {
        let sub = UserId::new(Region::default(), Timestamp::from_millis(BEGIN_MS), [person; 9]);
        let iat = BEGIN_MS / 1000 - 3_600;
        let claims = AccessClaims { sub, role, nickname: "너굴".into(), iat, exp: iat + 86_400 };
        self.keys.signing().sign_access(claims).unwrap()
    }

    /// Asks, and gives status and body.
    pub(crate) async fn ask(&self, token: &str, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.ask_as(token, method, path, body, &format!("key-{}", unique())).await
    }

    /// Asks with an idempotency key.
    pub(crate) async fn ask_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: &str,
    ) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", headers::API))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(headers::TRACE_ID, "trace-of-this-test")
            .header(headers::IDEMPOTENCY_KEY, key);
        let request = match body {
            Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        let response = self.router.clone().call(request.unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn made(&self, token: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(token, Method::POST, path, Some(body)).await;
        assert_eq!(status, 201, "{path}: {answer}");
        answer
    }

    /// An order of one seat, by a person of its own.
    pub(crate) async fn order(&self, person: u8, seat: u32) -> String {
        let buyer = self.token(person, Role::User);
        let path = format!("/performances/{}/holds", self.performance);
        let hold = self.made(&buyer, &path, &json!({"seats": [seat]})).await;
        text(&self.made(&buyer, "/orders", &json!({"hold_id": hold["id"]})).await, "id")
    }

    /// What the buyer's browser sends on the way back from the payment page.
    pub(crate) async fn confirm(&self, person: u8, order: &str, payment_key: &str) -> (u16, Value) {
        let body = json!({"payment_key": payment_key, "amount_krw": PRICE});
        let buyer = self.token(person, Role::User);
        self.ask(&buyer, Method::POST, &format!("/orders/{order}/confirm"), Some(&body)).await
    }

    pub(crate) async fn state(&self, person: u8, order: &str) -> String {
        let buyer = self.token(person, Role::User);
        text(&self.ask(&buyer, Method::GET, &format!("/orders/{order}"), None).await.1, "state")
    }

    /// Whether a seat can be held by somebody else.
    pub(crate) async fn is_free(&self, seat: u32) -> bool {
        let buyer = self.token(250, Role::User);
        let path = format!("/performances/{}/holds", self.performance);
        let (status, answer) = self.ask(&buyer, Method::POST, &path, Some(&json!({"seats": [seat]}))).await;
        assert!(status == 201 || answer["code"] == "seats_taken", "{answer}");
        status == 201
    }

    /// What an admin finds put aside: source and what it is about.
    pub(crate) async fn parked(&self) -> Vec<(String, String)> {
        let (status, page) = self.ask(&self.token(9, Role::Admin), Method::GET, "/admin/parked", None).await;
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| (text(item, "source"), text(item, "about"))).collect()
    }

    /// Delivers what is due until nothing is.
    pub(crate) async fn deliver_all(&self) {
        loop {
            let owed = nugul_coordinator::outbox::due(&self.app).await.unwrap();
            if owed.is_empty() {
                return;
            }
            for one in owed {
                nugul_coordinator::outbox::deliver_one(&self.app, one).await.unwrap();
            }
        }
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}
