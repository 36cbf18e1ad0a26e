//! The simulator answers as Toss does, remembers across restarts, and its checkout page works without scripts.
#![allow(clippy::unwrap_used, reason = "what a test needs and does not get ends it")]

use std::path::PathBuf;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use nugul_toss_simulator::{Settings, serve};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

struct World {
    origin: String,
    http: Client,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn start(data: PathBuf) -> World {
    start_with(data, |_| {}).await
}

async fn start_with(data: PathBuf, change: impl FnOnce(&mut Settings)) -> World {
    // An error means that there is nothing to install.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = listener.local_addr().unwrap();
    let mut settings = Settings {
        listen,
        secret_key: "sk".into(),
        client_key: "ck".into(),
        data,
        confirm_window: Duration::from_mins(10),
        deposit_window: Duration::from_mins(10),
        webhook_url: None,
        webhook_pause: Duration::from_millis(10),
        log: "off".into(),
    };
    change(&mut settings);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move { serve(listener, settings, stopped).await.unwrap() });
    let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    World { origin: format!("http://{listen}"), http, stop, task }
}

impl World {
    async fn decide(&self, order: &str, decision: &str) -> String {
        self.decide_by(order, decision, "card").await
    }

    async fn decide_by(&self, order: &str, decision: &str, method: &str) -> String {
        let form = format!(
            "clientKey=ck&orderId={order}&amount=10000&orderName=x&decision={decision}&method={method}\
             &successUrl=http%3A%2F%2Fs%2Fok%3Fa%3D1&failUrl=http%3A%2F%2Fs%2Ffail"
        );
        let request = self.http.post(format!("{}/checkout/pay", self.origin)).body(form);
        let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        assert_eq!(answer.status(), 303);
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    async fn pay(&self, order: &str, decision: &str) -> String {
        self.pay_by(order, decision, "card").await
    }

    async fn pay_by(&self, order: &str, decision: &str, method: &str) -> String {
        let target = self.decide_by(order, decision, method).await;
        let rest = target.strip_prefix("http://s/ok?a=1&paymentType=NORMAL&paymentKey=").unwrap();
        rest.strip_suffix(&format!("&orderId={order}&amount=10000")).unwrap().to_owned()
    }

    async fn post(&self, path: &str, key: Option<&str>, body: Value) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.origin)).basic_auth("sk", Some("")).json(&body);
        let request = if let Some(key) = key { request.header("idempotency-key", key) } else { request };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn get(&self, path: &str, secret: &str) -> (u16, Value) {
        let request = self.http.get(format!("{}{path}", self.origin)).basic_auth(secret, Some(""));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn check(&self, path: &str, key: Option<&str>, body: Value, expected: (u16, &str)) {
        let (status, answer) = self.post(path, key, body.clone()).await;
        let word = if status == 200 { &answer["status"] } else { &answer["code"] };
        assert_eq!((status, word), (expected.0, &json!(expected.1)), "{path} {key:?} {body}");
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.task).await.unwrap().unwrap();
    }
}

fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("nugul-toss-{name}-{}", std::process::id()))
}

#[tokio::test]
async fn answers_as_toss_does_and_remembers() {
    let dir = folder("api");
    let world = start(dir.clone()).await;
    let confirm = |key: &str, order: &str, amount: i64| json!({"paymentKey": key, "orderId": order, "amount": amount});
    let path = "/v1/payments/confirm";
    let key = world.pay("order-0001", "pay").await;
    assert_eq!(world.get("/v1/payments/orders/order-0001", "wrong").await.1["code"], "UNAUTHORIZED_KEY");
    assert_eq!(world.get("/v1/payments/orders/order-0001", "sk").await.1["status"], "IN_PROGRESS");
    assert_eq!(world.get("/v1/payments/none", "sk").await.1["code"], "NOT_FOUND_PAYMENT");
    let no = world.pay("order-0002", "decline").await;
    for (idempotency, body, expected) in [
        (None, json!({"amount": 1}), (400, "INVALID_REQUEST")),
        (None, confirm("none", "order-0001", 10_000), (404, "NOT_FOUND_PAYMENT_SESSION")),
        (None, confirm(&key, "order-0001", 1), (400, "INVALID_REQUEST")),
        (None, confirm(&key, "order-0009", 10_000), (400, "INVALID_REQUEST")),
        (Some("k1"), confirm(&key, "order-0001", 10_000), (200, "DONE")),
        (Some("k1"), confirm(&key, "order-0001", 10_000), (200, "DONE")),
        (Some("k2"), confirm(&key, "order-0001", 10_000), (400, "ALREADY_PROCESSED_PAYMENT")),
        (Some("k3"), confirm(&no, "order-0002", 10_000), (403, "REJECT_CARD_PAYMENT")),
        (Some("k3"), confirm(&no, "order-0002", 10_000), (403, "REJECT_CARD_PAYMENT")),
        (None, confirm(&no, "order-0002", 10_000), (404, "NOT_FOUND_PAYMENT_SESSION")),
    ] {
        world.check(path, idempotency, body, expected).await;
    }
    let again = world.pay("order-0001", "pay").await;
    world.check(path, None, confirm(&again, "order-0001", 10_000), (400, "DUPLICATED_ORDER_ID")).await;
    let cancel = format!("/v1/payments/{key}/cancel");
    for (body, expected) in [
        (json!({"cancelReason": "x", "cancelAmount": 4_000}), (200, "PARTIAL_CANCELED")),
        (json!({"cancelReason": "x", "cancelAmount": 6_001}), (403, "NOT_CANCELABLE_AMOUNT")),
        (json!({"cancelReason": ""}), (400, "INVALID_REQUEST")),
        (json!({"cancelReason": "x"}), (200, "CANCELED")),
        (json!({"cancelReason": "x"}), (400, "ALREADY_CANCELED_PAYMENT")),
    ] {
        world.check(&cancel, None, body, expected).await;
    }
    world.stop().await;
    // Everything is as it was, even behind a line that was torn by a kill.
    let file = dir.join("toss.jsonl");
    let torn = std::fs::read_to_string(&file).unwrap() + "{\"payment\":[{\"pay";
    std::fs::write(&file, torn).unwrap();
    let world = start(dir.clone()).await;
    let (_, body) = world.get(&format!("/v1/payments/{key}"), "sk").await;
    assert_eq!((&body["status"], &body["balanceAmount"]), (&json!("CANCELED"), &json!(0)));
    assert_eq!(body["cancels"].as_array().unwrap().len(), 2);
    world.check(path, Some("k1"), confirm(&key, "order-0001", 10_000), (200, "DONE")).await;
    let (_, report) = world.get("/control/payments", "sk").await;
    let item = report["items"].as_array().unwrap().iter().find(|item| item["payment_key"] == key.as_str()).unwrap();
    assert_eq!((&item["effects"], &item["charged_krw"]), (&json!(1), &json!(10_000)));
    world.stop().await;
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn the_checkout_page_says_what_it_is() {
    let dir = folder("page");
    let world = start(dir.clone()).await;
    let page = async |query: String| {
        let answer = world.http.get(format!("{}/checkout?{query}", world.origin)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let good =
        "clientKey=ck&orderId=order-0001&amount=150000&orderName=%3Cb%3E&successUrl=http://s/ok&failUrl=http://s/no";
    let (status, text) = page(good.to_owned()).await;
    assert_eq!(status, 200);
    for part in ["시뮬레이터 – 실제 돈이 오가지 않아요", "150,000원", "&lt;b&gt;", r#"name="decision" value="pay""#]
    {
        assert!(text.contains(part), "{part}");
    }
    for (from, to) in [("=ck", "=xx"), ("150000", "-1"), ("order-0001", "a"), ("http://s/ok", "javascript:x")] {
        assert_eq!(page(good.replace(from, to)).await.0, 400, "{to}");
    }
    let closed = world.decide("order-0001", "close").await;
    assert!(closed.starts_with("http://s/fail?code=PAY_PROCESS_CANCELED&message=%"), "{closed}");
    let script = world.http.get(format!("{}/v2/standard", world.origin)).send().await.unwrap().text().await.unwrap();
    assert!(script.contains("window.TossPayments"));
    world.stop().await;
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn each_method_has_its_own_states() {
    let dir = folder("methods");
    let world = start_with(dir.clone(), |settings| settings.deposit_window = Duration::from_millis(300)).await;
    let path = "/v1/payments/confirm";
    let confirm = |key: &str, order: &str| json!({"paymentKey": key, "orderId": order, "amount": 10_000});
    let deposit = async |key: &str| world.post("/control/deposits", None, json!({"paymentKey": key})).await;

    let easy = world.pay_by("order-easy", "pay", "easy_pay").await;
    let (_, body) = world.post(path, None, confirm(&easy, "order-easy")).await;
    assert_eq!((&body["status"], &body["method"], &body["card"]), (&json!("DONE"), &json!("간편결제"), &Value::Null));
    assert_eq!(body["easyPay"]["provider"], "토스페이");

    let account = world.pay_by("order-acct", "pay", "virtual_account").await;
    assert_eq!(deposit(&account).await.1["code"], "NOT_WAITING_FOR_DEPOSIT");
    let (_, body) = world.post(path, Some("k"), confirm(&account, "order-acct")).await;
    assert_eq!((&body["status"], &body["approvedAt"]), (&json!("WAITING_FOR_DEPOSIT"), &Value::Null));
    assert_eq!(body["virtualAccount"]["expired"], false);
    assert!(body["secret"].as_str().is_some_and(|secret| secret.starts_with("ps_")));
    world.check(path, Some("k"), confirm(&account, "order-acct"), (200, "WAITING_FOR_DEPOSIT")).await;
    world.check(path, None, confirm(&account, "order-acct"), (400, "ALREADY_PROCESSED_PAYMENT")).await;
    assert_eq!(deposit(&account).await.1["status"], "DONE");
    assert_eq!(deposit(&account).await.0, 400);
    // Its money cannot go back the way it came.
    let cancel = format!("/v1/payments/{account}/cancel");
    world.check(&cancel, None, json!({"cancelReason": "x"}), (400, "INVALID_REFUND_ACCOUNT_INFO")).await;
    let named =
        json!({"cancelReason": "x", "refundReceiveAccount": {"bank": "20", "accountNumber": "1", "holderName": "x"}});
    world.check(&cancel, None, named, (200, "CANCELED")).await;

    // Nobody pays into this one.
    let late = world.pay_by("order-late", "pay", "virtual_account").await;
    world.check(path, None, confirm(&late, "order-late"), (200, "WAITING_FOR_DEPOSIT")).await;
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let (_, body) = world.get(&format!("/v1/payments/{late}"), "sk").await;
        if body["status"] == "EXPIRED" {
            assert_eq!(body["virtualAccount"]["expired"], true);
            break;
        }
        assert!(tokio::time::Instant::now() < until, "{body}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(deposit(&late).await.0, 400);
    world.stop().await;
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn settlements_have_every_movement_once() {
    let dir = folder("settlements");
    let world = start(dir.clone()).await;
    let mut keys = Vec::new();
    for order in ["order-000a", "order-000b", "order-000c"] {
        let key = world.pay(order, "pay").await;
        world
            .check(
                "/v1/payments/confirm",
                None,
                json!({"paymentKey": key, "orderId": order, "amount": 10_000}),
                (200, "DONE"),
            )
            .await;
        keys.push(key);
    }
    world.pay("order-000d", "pay").await;
    let cancel = format!("/v1/payments/{}/cancel", keys[0]);
    world.check(&cancel, None, json!({"cancelReason": "x", "cancelAmount": 4_000}), (200, "PARTIAL_CANCELED")).await;
    let (_, payment) = world.get(&format!("/v1/payments/{}", keys[0]), "sk").await;
    let day = payment["approvedAt"].as_str().unwrap()[..10].to_owned();
    let list = async |query: String| world.get(&format!("/v1/settlements?{query}"), "sk").await;

    let (_, all) = list(format!("startDate={day}&endDate={day}")).await;
    let all = all.as_array().unwrap().clone();
    let amounts: Vec<_> = all.iter().map(|row| row["amount"].as_i64().unwrap()).collect();
    assert_eq!((amounts.len(), amounts.iter().sum::<i64>()), (4, 26_000));
    let refund = all.iter().find(|row| row["amount"] == -4_000).unwrap();
    assert_eq!(refund["cancel"]["transactionKey"], payment["cancels"][0]["transactionKey"]);
    for row in &all {
        let number = |name: &str| row[name].as_i64().unwrap();
        assert_eq!(number("amount"), number("payOutAmount") + number("fee"), "{row}");
        assert_eq!(number("fee"), number("supplyAmount") + number("vat"), "{row}");
    }
    let mut paged = Vec::new();
    for page in 1..=3 {
        let (_, rows) = list(format!("startDate={day}&endDate={day}&size=2&page={page}")).await;
        paged.extend(rows.as_array().unwrap().clone());
    }
    assert_eq!(paged, all);
    let (_, none) = list("startDate=2000-01-01&endDate=2000-01-02".into()).await;
    assert_eq!(none, json!([]));
    let paid_out = all[0]["paidOutDate"].as_str().unwrap();
    let (_, rows) = list(format!("startDate={paid_out}&endDate={paid_out}&dateType=paidOutDate")).await;
    assert_eq!(rows.as_array().unwrap().len(), 4);
    for bad in [
        "",
        "startDate=x&endDate=y",
        "startDate=2026-01-02&endDate=2026-01-01",
        "startDate=2026-01-01&endDate=2026-01-02&size=9999",
    ] {
        assert_eq!(list(bad.into()).await.0, 400, "{bad}");
    }
    world.stop().await;
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn faults_take_effect_where_they_say() {
    let dir = folder("faults");
    let world = start(dir.clone()).await;
    let path = "/v1/payments/confirm";
    // (fault, status or none for a lost connection, did it take effect)
    for (i, (fault, status, effect)) in [
        ("drop_before", None, false),
        ("drop_after", None, true),
        ("error_before", Some(500), false),
        ("error_after", Some(500), true),
        ("too_many", Some(429), false),
        ("no_json", Some(200), true),
        ("wrong_body", Some(200), true),
        ("wrong_amount", Some(200), true),
        ("delay", Some(200), true),
    ]
    .into_iter()
    .enumerate()
    {
        let order = format!("order-{i:04}");
        let key = world.pay(&order, "pay").await;
        world.post("/control/faults", None, json!({"script": [{"at": "confirm", "fault": fault, "ms": 1}]})).await;
        let body = json!({"paymentKey": key, "orderId": order, "amount": 10_000});
        let request = world.http.post(format!("{}{path}", world.origin)).basic_auth("sk", Some("")).json(&body);
        let answer = request.send().await.ok().map(|answer| answer.status().as_u16());
        assert_eq!(answer, status, "{fault}");
        let (_, found) = world.get(&format!("/v1/payments/{key}"), "sk").await;
        assert_eq!(found["status"], if effect { "DONE" } else { "IN_PROGRESS" }, "{fault}");
        // The next one is not spoiled.
        if !effect {
            world.check(path, None, body, (200, "DONE")).await;
        }
    }
    let (status, _) = world
        .post("/control/faults", None, json!({"script": vec![json!({"at": "confirm", "fault": "delay"}); 101]}))
        .await;
    assert_eq!(status, 400);
    world.stop().await;
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn webhooks_come_again_until_they_are_taken() {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel::<Value>();
    let merchant = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", merchant.local_addr().unwrap());
    let refusals = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(2));
    let take = async |State((told, refusals)): State<(
        tokio::sync::mpsc::UnboundedSender<Value>,
        std::sync::Arc<std::sync::atomic::AtomicU32>,
    )>,
                      body: String| {
        let refuse =
            refusals.fetch_update(std::sync::atomic::Ordering::SeqCst, std::sync::atomic::Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        told.send(serde_json::from_str(&body).unwrap()).unwrap();
        if refuse.is_ok() { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
    };
    let router = axum::Router::new().route("/hook", axum::routing::post(take)).with_state((told, refusals));
    let serving = tokio::spawn(async move { axum::serve(merchant, router).await.unwrap() });
    let dir = folder("webhooks");
    let world = start_with(dir.clone(), |settings| settings.webhook_url = Some(url)).await;
    let mut next = async || tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.unwrap().unwrap();

    let key = world.pay_by("order-0001", "pay", "virtual_account").await;
    world
        .check(
            "/v1/payments/confirm",
            None,
            json!({"paymentKey": key, "orderId": "order-0001", "amount": 10_000}),
            (200, "WAITING_FOR_DEPOSIT"),
        )
        .await;
    // Refused twice, taken the third time, and always the same.
    let first = next().await;
    assert_eq!(
        (&first["eventType"], &first["data"]["status"]),
        (&json!("PAYMENT_STATUS_CHANGED"), &json!("WAITING_FOR_DEPOSIT"))
    );
    assert_eq!((next().await, next().await), (first.clone(), first.clone()));
    world.post("/control/faults", None, json!({"webhooks": {"copies": 2}})).await;
    world.post("/control/deposits", None, json!({"paymentKey": key})).await;
    // Both kinds, twice each.
    let mut kinds = Vec::new();
    for _ in 0..4 {
        let hook = next().await;
        if hook["eventType"].is_null() {
            assert_eq!((&hook["status"], &hook["secret"]), (&json!("DONE"), &first["data"]["secret"]));
        }
        kinds.push(hook["eventType"].clone());
    }
    assert_eq!(kinds.iter().filter(|kind| kind.is_null()).count(), 2);
    world.stop().await;
    serving.abort();
    std::fs::remove_dir_all(dir).unwrap();
}
