//! The payment service against the Toss simulator, both in this process: money is taken once, and nothing is guessed.
//!
//! On SQLite, or with `NUGUL_TEST_MYSQL_URL` (a server, without a database name) on MySQL, a database per test.
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use nugul_payment::config::Config;
use nugul_payment::confirm::Timings;
use nugul_payment::db::Db;
use nugul_payment::{install_crypto, ledger};
use nugul_proto::ERROR_CODE_KEY;
use nugul_proto::payment::v1::payment_service_client::PaymentServiceClient;
use nugul_proto::payment::v1::{
    CancelOutcome, CancelRequest, ConfirmRequest, ConfirmResponse, GetPaymentRequest, Payment, PaymentOutcome,
    PaymentResult, PaymentState, PrepareRequest, ResultKind, WatchResultsRequest,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};
use uuid::Uuid;

const SECRET: &str = "test_sk_tests";
const CLIENT: &str = "test_ck_tests";
/// No condition is waited for longer.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

struct Pki {
    ca: String,
    server: (String, String),
    client: (String, String),
}

fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(params, key);
        let leaf = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        Pki { ca, server: leaf("localhost"), client: leaf("coordinator") }
    })
}

fn random_id() -> Uuid {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("nugul-payment-{}", random_id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.task).await.expect("stops within 10 s").unwrap();
    }
}

struct World {
    folder: Folder,
    toss: Running,
    payment: Option<Running>,
    http: reqwest::Client,
    timings: Timings,
    mysql_url: Option<String>,
}

type Client = PaymentServiceClient<Channel>;

impl World {
    async fn new() -> Self {
        Self::with(Timings::default()).await
    }

    async fn with(timings: Timings) -> Self {
        install_crypto();
        let folder = Folder::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = nugul_toss_simulator::Settings {
            listen: address,
            secret_key: SECRET.into(),
            client_key: CLIENT.into(),
            data: folder.0.join("toss"),
            confirm_window: Duration::from_secs(600),
            log: "off".into(),
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move { nugul_toss_simulator::serve(listener, settings, stopped).await.unwrap() });
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        let timings = Timings {
            first_pause: Duration::from_millis(20),
            longest_pause: Duration::from_millis(200),
            tick: Duration::from_millis(20),
            ..timings
        };
        let mut mysql_url = None;
        if let Ok(server) = std::env::var("NUGUL_TEST_MYSQL_URL") {
            let name = format!("pay_{}", random_id().simple());
            let db = Db::mysql(&server).await.unwrap();
            let text = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
            sqlx::query(text).execute(&db.pool).await.unwrap();
            db.pool.close().await;
            mysql_url = Some(format!("{}/{name}", server.trim_end_matches('/')));
        }
        let toss = Running { address, stop, task };
        let mut world = Self { folder, toss, payment: None, http, timings, mysql_url };
        world.start().await;
        world
    }

    async fn start(&mut self) {
        let (listener, admin) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap();
        let config = Config {
            listen: address,
            admin_listen: admin.local_addr().unwrap(),
            mysql_url: self.mysql_url.clone(),
            data: self.folder.0.clone(),
            tls_ca: pki().ca.clone(),
            tls_cert: pki().server.0.clone(),
            tls_key: pki().server.1.clone(),
            toss_url: format!("http://{}", self.toss.address),
            toss_secret_key: SECRET.into(),
            log: "off".into(),
        };
        let stop = CancellationToken::new();
        let (timings, stopped) = (self.timings.clone(), stop.clone());
        let task = tokio::spawn(async move {
            nugul_payment::serve(config, timings, listener, admin, stopped).await.unwrap();
        });
        self.payment = Some(Running { address, stop, task });
    }

    async fn client(&self) -> Client {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&pki().ca))
            .identity(Identity::from_pem(&pki().client.0, &pki().client.1))
            .domain_name("localhost");
        let address = self.payment.as_ref().unwrap().address;
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap();
        PaymentServiceClient::new(endpoint.connect().await.unwrap())
    }

    fn toss(&self, path: &str) -> String {
        format!("http://{}{path}", self.toss.address)
    }

    async fn faults(&self, faults: Value) {
        let done = self.http.post(self.toss("/control/faults")).json(&faults).send().await.unwrap();
        assert_eq!(done.status(), 200);
    }

    /// What a buyer does on the checkout page; gives the payment key.
    async fn decide(&self, order: Uuid, amount: i64, decision: &str) -> String {
        let form = format!(
            "clientKey={CLIENT}&orderId={order}&amount={amount}&orderName=x&decision={decision}\
             &successUrl=http%3A%2F%2Fshop.test%2Fok&failUrl=http%3A%2F%2Fshop.test%2Ffail"
        );
        let answer = self
            .http
            .post(self.toss("/checkout/pay"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 303);
        let target = answer.headers()["location"].to_str().unwrap();
        let (_, rest) = target.split_once("paymentKey=").unwrap();
        rest.split('&').next().unwrap().to_owned()
    }

    async fn db(&self) -> Db {
        match &self.mysql_url {
            Some(url) => Db::mysql(url).await.unwrap(),
            None => Db::sqlite(&self.folder.0.join("payment.db")).await.unwrap(),
        }
    }

    /// The simulator's record of an order.
    async fn charged(&self, order: Uuid) -> Value {
        let report: Value = self.http.get(self.toss("/control/payments")).send().await.unwrap().json().await.unwrap();
        let items = report["items"].as_array().unwrap();
        items.iter().find(|item| item["order_id"] == order.to_string()).cloned().unwrap()
    }

    async fn prepared(&self, amount: i64) -> Uuid {
        let order = random_id();
        let state = self.client().await.prepare(prepare(order, amount)).await.unwrap().into_inner().state();
        assert_eq!(state, PaymentState::Prepared);
        order
    }

    async fn wait_for(&self, order: Uuid, state: PaymentState) -> Payment {
        let mut client = self.client().await;
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let payment =
                client.get_payment(GetPaymentRequest { order_id: order.to_string() }).await.unwrap().into_inner();
            if payment.state() == state {
                return payment;
            }
            assert!(tokio::time::Instant::now() < until, "still {:?}, not {state:?}", payment.state());
            tokio::time::sleep(POLL).await;
        }
    }

    async fn results(&self, after: i64, count: usize) -> Vec<PaymentResult> {
        let mut client = self.client().await;
        let mut stream = client.watch_results(WatchResultsRequest { after_offset: after }).await.unwrap().into_inner();
        let mut results = Vec::new();
        while results.len() < count {
            let next = tokio::time::timeout(PATIENCE, stream.message()).await.expect("a result in time");
            results.push(next.unwrap().expect("the stream stays open"));
        }
        results
    }

    /// Ends everything and gives the books: the sum of all accounts, and what the provider owes.
    async fn close(mut self) -> (i64, i64) {
        self.payment.take().unwrap().stop().await;
        let db = self.db().await;
        let totals = ledger::totals(&db).await.unwrap();
        db.pool.close().await;
        self.toss.stop().await;
        totals
    }
}

fn far_future() -> i64 {
    nugul_payment::confirm::now_ms() + 600_000
}

fn prepare(order: Uuid, amount: i64) -> PrepareRequest {
    PrepareRequest {
        request_id: random_id().to_string(),
        order_id: order.to_string(),
        user_id: Uuid::nil().to_string(),
        amount_krw: amount,
        order_name: "레미제라블 R석 2매".into(),
        expires_at_ms: far_future(),
    }
}

fn confirm(order: Uuid, key: &str, amount: i64) -> ConfirmRequest {
    ConfirmRequest {
        request_id: random_id().to_string(),
        order_id: order.to_string(),
        payment_key: key.into(),
        amount_krw: amount,
    }
}

fn cancel(order: Uuid) -> CancelRequest {
    CancelRequest { request_id: random_id().to_string(), order_id: order.to_string(), reason: "좌석 없음".into() }
}

fn reason(status: &Status) -> &str {
    status.metadata().get(ERROR_CODE_KEY).map_or("", |value| value.to_str().unwrap())
}

fn outcome(answer: Result<tonic::Response<ConfirmResponse>, Status>) -> PaymentOutcome {
    answer.unwrap().into_inner().outcome()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prepare_is_idempotent() {
    let world = World::new().await;
    let mut client = world.client().await;
    let order = random_id();
    let first = prepare(order, 150_000);
    client.prepare(first.clone()).await.unwrap();
    let other = random_id();
    // (what changes, the expected code and reason)
    let cases = [
        (first.clone(), None),
        (PrepareRequest { request_id: "new".into(), ..first.clone() }, None),
        (PrepareRequest { amount_krw: 1, ..first.clone() }, Some((Code::AlreadyExists, "request_id_reused"))),
        (prepare(order, 1), Some((Code::AlreadyExists, "amount_conflict"))),
        (
            PrepareRequest { user_id: other.to_string(), ..prepare(order, 150_000) },
            Some((Code::AlreadyExists, "amount_conflict")),
        ),
        (prepare(other, 0), Some((Code::InvalidArgument, "invalid_argument"))),
        (prepare(other, -5), Some((Code::InvalidArgument, "invalid_argument"))),
        (
            PrepareRequest { order_id: "1 OR 1=1".into(), ..prepare(other, 1) },
            Some((Code::InvalidArgument, "invalid_argument")),
        ),
    ];
    for (i, (request, expected)) in cases.into_iter().enumerate() {
        match (client.prepare(request).await, expected) {
            (Ok(answer), None) => assert_eq!(answer.into_inner().state(), PaymentState::Prepared, "{i}"),
            (Err(status), Some((code, why))) => assert_eq!((status.code(), reason(&status)), (code, why), "{i}"),
            (got, expected) => panic!("{i}: {got:?}, expected {expected:?}"),
        }
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tampered_amount_charges_nothing() {
    let world = World::new().await;
    let mut client = world.client().await;
    let order = world.prepared(150_000).await;
    let key = world.decide(order, 100, "pay").await;
    for (request, code, why) in [
        (confirm(order, &key, 100), Code::FailedPrecondition, "amount_mismatch"),
        (confirm(order, &key, 150_001), Code::FailedPrecondition, "amount_mismatch"),
        (confirm(random_id(), &key, 100), Code::NotFound, "payment_not_found"),
        (confirm(order, "../cancel", 150_000), Code::InvalidArgument, "invalid_argument"),
    ] {
        let status = client.confirm(request).await.unwrap_err();
        assert_eq!((status.code(), reason(&status)), (code, why));
    }
    assert_eq!(world.charged(order).await["charged_krw"], 0);
    assert_eq!(world.wait_for(order, PaymentState::Prepared).await.payment_key, "");
    // The right amount for a payment made with another: refused by the provider, nothing taken.
    assert_eq!(outcome(client.confirm(confirm(order, &key, 150_000)).await), PaymentOutcome::Declined);
    assert_eq!(world.charged(order).await["effects"], 0);
    assert_eq!(world.close().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_confirms_take_the_money_once() {
    let world = World::new().await;
    let order = world.prepared(99_000).await;
    let key = world.decide(order, 99_000, "pay").await;
    world.faults(json!({"confirm_delay_ms": 300})).await;
    let calls: Vec<_> = (0..20)
        .map(|_| (order, key.clone()))
        .map(async |(order, key)| {
            let mut client = world.client().await;
            outcome(client.confirm(confirm(order, &key, 99_000)).await)
        })
        .collect();
    let outcomes = futures_util::future::join_all(calls).await;
    assert_eq!(outcomes, vec![PaymentOutcome::Approved; 20]);
    assert_eq!(world.charged(order).await["effects"], 1);
    let results = world.results(0, 1).await;
    assert_eq!((results[0].offset, results[0].kind(), results[0].amount_krw), (1, ResultKind::Approved, 99_000));
    assert_eq!(results[0].order_id, order.to_string());
    // Another order's result comes next: there was no second one in between.
    let next = world.prepared(1_000).await;
    let key = world.decide(next, 1_000, "pay").await;
    assert_eq!(outcome(world.client().await.confirm(confirm(next, &key, 1_000)).await), PaymentOutcome::Approved);
    let results = world.results(1, 1).await;
    assert_eq!((results[0].offset, results[0].order_id.clone()), (2, next.to_string()));
    assert_eq!(world.close().await, (0, 100_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_are_asked_for_not_guessed() {
    // (fault, what the buyer chose, how it ends)
    let cases = [
        (json!({"drop_after_effect": 1}), "pay", PaymentState::Approved),
        (json!({"error_500": 3}), "pay", PaymentState::Approved),
        (json!({"drop_after_effect": 1, "lookup_500": 4}), "pay", PaymentState::Approved),
        (json!({"drop_after_effect": 1}), "decline", PaymentState::Declined),
        (json!({"hang_after_effect": 1}), "pay", PaymentState::Confirming),
    ];
    let world = World::new().await;
    let mut held = 0;
    for (i, (fault, decision, end)) in cases.into_iter().enumerate() {
        let order = world.prepared(10_000).await;
        let key = world.decide(order, 10_000, decision).await;
        world.faults(fault).await;
        let mut request = tonic::Request::new(confirm(order, &key, 10_000));
        request.set_timeout(Duration::from_secs(1));
        let answer = world.client().await.confirm(request).await.unwrap().into_inner();
        let settled = match end {
            PaymentState::Declined => PaymentOutcome::Declined,
            PaymentState::Confirming => PaymentOutcome::Unknown,
            _ => PaymentOutcome::Approved,
        };
        // The reconciler may be quicker than the deadline; a wrong answer is never right.
        assert!([PaymentOutcome::Unknown, settled].contains(&answer.outcome()), "{i}: {answer:?}");
        world.wait_for(order, end).await;
        let effects = i32::from(decision == "pay");
        assert_eq!(world.charged(order).await["effects"], effects, "{i}");
        held += if end == PaymentState::Approved { 10_000 } else { 0 };
    }
    assert_eq!(world.close().await, (0, held));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_outcome_says_so_and_is_settled_later() {
    let world = World::new().await;
    let order = world.prepared(10_000).await;
    let key = world.decide(order, 10_000, "pay").await;
    world.faults(json!({"drop_after_effect": 1, "lookup_500": 1_000_000})).await;
    let mut request = tonic::Request::new(confirm(order, &key, 10_000));
    request.set_timeout(Duration::from_secs(1));
    assert_eq!(outcome(world.client().await.confirm(request).await), PaymentOutcome::Unknown);
    // Nobody could say for so long that a person is told; the case is closed when the provider answers.
    let until = tokio::time::Instant::now() + PATIENCE;
    while !world.wait_for(order, PaymentState::Confirming).await.open_case {
        assert!(tokio::time::Instant::now() < until, "no open case");
        tokio::time::sleep(POLL).await;
    }
    world.http.delete(world.toss("/control/faults")).send().await.unwrap();
    assert!(!world.wait_for(order, PaymentState::Approved).await.open_case);
    assert_eq!(world.results(0, 1).await[0].kind(), ResultKind::Approved);
    assert_eq!(world.close().await, (0, 10_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_card_is_a_decline() {
    let world = World::new().await;
    let order = world.prepared(10_000).await;
    let key = world.decide(order, 10_000, "decline").await;
    for _ in 0..2 {
        let answer = world.client().await.confirm(confirm(order, &key, 10_000)).await.unwrap().into_inner();
        assert_eq!((answer.outcome(), answer.code.as_str()), (PaymentOutcome::Declined, "REJECT_CARD_PAYMENT"));
        assert!(!answer.message.is_empty());
    }
    let result = &world.results(0, 1).await[0];
    assert_eq!((result.kind(), result.amount_krw), (ResultKind::Declined, 0));
    assert_eq!(world.close().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_the_middle_finds_out() {
    // (did the provider take it before the crash, how it ends)
    for (took, window, end) in [
        (true, Duration::from_secs(600), PaymentState::Approved),
        (false, Duration::from_secs(600), PaymentState::Approved),
        (false, Duration::ZERO, PaymentState::Declined),
    ] {
        let mut world = World::with(Timings { confirm_window: window, ..Timings::default() }).await;
        let order = world.prepared(7_000).await;
        let mut key = "never_made".to_owned();
        if window > Duration::ZERO {
            key = world.decide(order, 7_000, "pay").await;
        }
        world.payment.take().unwrap().stop().await;
        // What a process killed right after storing its intention leaves behind.
        let db = world.db().await;
        let now = nugul_payment::confirm::now_ms();
        // Another replica's lease is respected on MySQL; with SQLite there is no other replica.
        let lease = now + if world.mysql_url.is_some() { 100 } else { 3_600_000 };
        let mut tx = db.begin().await.unwrap();
        assert!(nugul_payment::store::start_confirm(&mut tx, order, &key, lease, now).await.unwrap());
        tx.commit().await.unwrap();
        db.pool.close().await;
        if took {
            let body = json!({"paymentKey": key, "orderId": order.to_string(), "amount": 7_000});
            let request = world.http.post(world.toss("/v1/payments/confirm")).basic_auth(SECRET, Some("")).json(&body);
            assert_eq!(request.send().await.unwrap().status(), 200);
        }
        world.start().await;
        world.wait_for(order, end).await;
        let held = if end == PaymentState::Approved { 7_000 } else { 0 };
        if held > 0 {
            assert_eq!(world.charged(order).await["effects"], 1);
        }
        assert_eq!(world.close().await, (0, held));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_gives_everything_back_once() {
    let world = World::new().await;
    let mut client = world.client().await;
    let approved = async |amount| {
        let order = world.prepared(amount).await;
        let key = world.decide(order, amount, "pay").await;
        assert_eq!(outcome(world.client().await.confirm(confirm(order, &key, amount)).await), PaymentOutcome::Approved);
        order
    };
    // Never paid: nothing to give back, and nothing can be taken any more.
    let order = world.prepared(5_000).await;
    let answer = client.cancel(cancel(order)).await.unwrap().into_inner();
    assert_eq!(answer.outcome(), CancelOutcome::NotCharged);
    let key = world.decide(order, 5_000, "pay").await;
    assert_eq!(outcome(client.confirm(confirm(order, &key, 5_000)).await), PaymentOutcome::Declined);
    assert_eq!(world.charged(order).await["effects"], 0);
    // Paid, and cancelled by many at once.
    let order = approved(6_000).await;
    let calls: Vec<_> = (0..10)
        .map(async |_| world.client().await.cancel(cancel(order)).await.unwrap().into_inner().outcome())
        .collect();
    assert_eq!(futures_util::future::join_all(calls).await, vec![CancelOutcome::Refunded; 10]);
    let record = world.charged(order).await;
    assert_eq!((&record["refunded_krw"], &record["refunds"]), (&json!(6_000), &json!(1)));
    let status = client.confirm(confirm(order, "tsim_x", 6_000)).await.unwrap_err();
    assert_eq!(reason(&status), "payment_refunded");
    // The answer of the refund is lost.
    let order = approved(7_000).await;
    world.faults(json!({"cancel_drop_after_effect": 1})).await;
    client.cancel(cancel(order)).await.unwrap();
    world.wait_for(order, PaymentState::Refunded).await;
    assert_eq!(world.charged(order).await["refunds"], 1);
    // Cancelled while nobody knows whether it was taken: taken, so given back.
    let order = world.prepared(8_000).await;
    let key = world.decide(order, 8_000, "pay").await;
    world.faults(json!({"drop_after_effect": 1, "lookup_500": 1_000_000})).await;
    let mut request = tonic::Request::new(confirm(order, &key, 8_000));
    request.set_timeout(Duration::from_millis(700));
    assert_eq!(outcome(client.confirm(request).await), PaymentOutcome::Unknown);
    let mut request = tonic::Request::new(cancel(order));
    request.set_timeout(Duration::from_millis(500));
    assert_eq!(client.cancel(request).await.unwrap().into_inner().outcome(), CancelOutcome::Unknown);
    world.faults(json!({})).await;
    world.wait_for(order, PaymentState::Refunded).await;
    assert_eq!(world.charged(order).await["refunds"], 1);
    assert_eq!(world.close().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_order_takes_no_money() {
    let world = World::new().await;
    let mut client = world.client().await;
    let order = random_id();
    client.prepare(PrepareRequest { expires_at_ms: 1, ..prepare(order, 5_000) }).await.unwrap();
    let key = world.decide(order, 5_000, "pay").await;
    let answer = client.confirm(confirm(order, &key, 5_000)).await.unwrap().into_inner();
    assert_eq!((answer.outcome(), answer.code.as_str()), (PaymentOutcome::Declined, "order_expired"));
    assert_eq!(world.charged(order).await["effects"], 0);
    assert_eq!(world.close().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_resume_without_gap_or_duplicate() {
    const ORDERS: usize = 30;
    let mut world = World::new().await;
    let pay = async |world: &World| {
        let order = world.prepared(1_000).await;
        let key = world.decide(order, 1_000, "pay").await;
        let answer = world.client().await.confirm(confirm(order, &key, 1_000)).await;
        assert_eq!(outcome(answer), PaymentOutcome::Approved);
    };
    let paying = async {
        let calls: Vec<_> = (0..ORDERS).map(|_| pay(&world)).collect();
        futures_util::future::join_all(calls).await;
    };
    // A reader that breaks off every few results while they are being written.
    let reading = async {
        let mut seen: Vec<PaymentResult> = Vec::new();
        while seen.len() < ORDERS {
            let after = seen.last().map_or(0, |result| result.offset);
            let count = 7.min(ORDERS - seen.len());
            seen.extend(world.results(after, count).await);
        }
        seen
    };
    let ((), seen) = tokio::join!(paying, reading);
    let offsets: Vec<i64> = seen.iter().map(|result| result.offset).collect();
    assert_eq!(offsets, (1..=30).collect::<Vec<i64>>());
    assert_eq!(seen.iter().map(|result| &result.order_id).collect::<BTreeSet<_>>().len(), ORDERS);
    // The same after a restart, to the byte.
    world.payment.take().unwrap().stop().await;
    world.start().await;
    assert_eq!(world.results(0, ORDERS).await, seen);
    assert_eq!(world.close().await, (0, 30_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_without_a_certificate_is_refused() {
    let world = World::new().await;
    let address = world.payment.as_ref().unwrap().address;
    let stranger = rcgen::generate_simple_self_signed(vec!["coordinator".into()]).unwrap();
    let trusted = || ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&pki().ca)).domain_name("localhost");
    let foreign = Identity::from_pem(stranger.cert.pem(), stranger.signing_key.serialize_pem());
    for tls in [trusted(), trusted().identity(foreign)] {
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap();
        let refused = match endpoint.connect().await {
            Err(_) => true,
            Ok(channel) => PaymentServiceClient::new(channel).prepare(prepare(random_id(), 1)).await.is_err(),
        };
        assert!(refused);
    }
    // Nor is anything said in the clear.
    let plain = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let refused = match plain.connect().await {
        Err(_) => true,
        Ok(channel) => PaymentServiceClient::new(channel).prepare(prepare(random_id(), 1)).await.is_err(),
    };
    assert!(refused);
    world.close().await;
}
