//! The simulator answers as Toss does, remembers across restarts, and its checkout page works without scripts.
use std::path::PathBuf;
use std::time::Duration;

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
    // An error means that there is nothing to install.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = listener.local_addr().unwrap();
    let settings = Settings {
        listen,
        secret_key: "sk".into(),
        client_key: "ck".into(),
        data,
        confirm_window: Duration::from_secs(600),
        log: "off".into(),
    };
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move { serve(listener, settings, stopped).await.unwrap() });
    let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    World { origin: format!("http://{listen}"), http, stop, task }
}

impl World {
    async fn decide(&self, order: &str, decision: &str) -> String {
        let form = format!(
            "clientKey=ck&orderId={order}&amount=10000&orderName=x&decision={decision}\
             &successUrl=http%3A%2F%2Fs%2Fok%3Fa%3D1&failUrl=http%3A%2F%2Fs%2Ffail"
        );
        let request = self.http.post(format!("{}/checkout/pay", self.origin)).body(form);
        let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        assert_eq!(answer.status(), 303);
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    async fn pay(&self, order: &str, decision: &str) -> String {
        let target = self.decide(order, decision).await;
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
