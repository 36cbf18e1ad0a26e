//! A simulator and a payment service of one's own, what a buyer and a caller do, and the books at the end.
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use nugul_payment::callers;
use nugul_payment::config::Config;
use nugul_payment::confirm::Timings;
use nugul_payment::db::Db;
use nugul_payment::tls::Files;
use nugul_payment::{Listeners, install_crypto, ledger};
use nugul_proto::ERROR_CODE_KEY;
use nugul_proto::payment::v1::payment_service_client::PaymentServiceClient;
use nugul_proto::payment::v1::{
    CancelRequest, ConfirmRequest, ConfirmResponse, GetPaymentRequest, Payment, PaymentOutcome, PaymentResult,
    PaymentState, PrepareRequest, WatchResultsRequest,
};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use uuid::Uuid;

use crate::logs;
use crate::scratch::{Scratch, random_id};

pub(crate) const SECRET: &str = "test_sk_tests";
const CLIENT: &str = "test_ck_tests";
/// What every buyer reads; never in a log.
pub(crate) const ORDER_NAME: &str = "레미제라블 R석 2매";
/// No condition is waited for longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// An authority that signs whoever asks.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate and its key for a common name, valid for `localhost`.
    pub(crate) fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// The authority of every test that does not change it.
pub(crate) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::new)
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.task).await.expect("stops within 10 s").unwrap();
    }
}

pub(crate) struct World {
    pub(crate) scratch: Scratch,
    toss: Running,
    pub(crate) payment: Option<Running>,
    pub(crate) http: reqwest::Client,
    timings: Timings,
    pub(crate) webhooks: SocketAddr,
}

pub(crate) type Client = PaymentServiceClient<Channel>;

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Timings::default()).await
    }

    pub(crate) async fn with(timings: Timings) -> Self {
        install_crypto();
        logs::record();
        let scratch = Scratch::new().await;
        let webhooks = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = nugul_toss_simulator::Settings {
            listen: address,
            secret_key: SECRET.into(),
            client_key: CLIENT.into(),
            data: scratch.folder.join("toss"),
            confirm_window: Duration::from_mins(10),
            deposit_window: Duration::from_mins(10),
            webhook_url: Some(format!("http://{webhooks}/webhooks/toss")),
            webhook_pause: Duration::from_millis(100),
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
            longest_pause: timings.longest_pause.min(Duration::from_millis(200)),
            tick: Duration::from_millis(20),
            absences_spaced: Duration::from_millis(20),
            reload: Duration::from_millis(50),
            ..timings
        };
        let toss = Running { address, admin: address, stop, task };
        let files = scratch.files();
        std::fs::write(&files.ca, &authority().pem).unwrap();
        let (cert, key) = authority().sign("payment");
        std::fs::write(&files.cert, cert).unwrap();
        std::fs::write(&files.key, key).unwrap();
        let mut world = Self { scratch, toss, payment: None, http, timings, webhooks };
        world.start().await;
        world
    }

    pub(crate) async fn start(&mut self) {
        let mut config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            admin_listen: "127.0.0.1:0".parse().unwrap(),
            webhook_listen: Some(self.webhooks),
            coordinators: "coordinator".into(),
            operators: "operator".into(),
            mysql_url: self.scratch.mysql_url.clone(),
            data: self.scratch.folder.clone(),
            tls: self.scratch.files(),
            toss_answer: self.timings.answer,
            toss_url: format!("http://{}", self.toss.address),
            toss_secret_key: SECRET.into(),
            log: "off".into(),
        };
        let listeners = Listeners::bind(&config).await.unwrap();
        let (address, admin) = (listeners.grpc.local_addr().unwrap(), listeners.admin.local_addr().unwrap());
        config.listen = address;
        let stop = CancellationToken::new();
        let (timings, stopped) = (self.timings.clone(), stop.clone());
        let task = tokio::spawn(async move {
            Box::pin(nugul_payment::serve(config, timings, listeners, stopped)).await.unwrap();
        });
        self.payment = Some(Running { address, admin, stop, task });
    }

    /// The reconciler's pauses after the next start.
    pub(crate) fn set_pauses(&mut self, first: Duration, longest: Duration) {
        (self.timings.first_pause, self.timings.longest_pause) = (first, longest);
    }

    /// Stops the service and starts it again on the same data.
    pub(crate) async fn restart(&mut self) {
        self.payment.take().unwrap().stop().await;
        self.start().await;
    }

    /// Stops the service.
    pub(crate) async fn halt(&mut self) {
        self.payment.take().unwrap().stop().await;
    }

    /// A connection as whoever the certificate names, or why there is none.
    pub(crate) async fn connect(
        &self,
        ca: &str,
        identity: &(String, String),
    ) -> Result<Client, tonic::transport::Error> {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(ca))
            .identity(Identity::from_pem(&identity.0, &identity.1))
            .domain_name("localhost");
        let address = self.payment.as_ref().unwrap().address;
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap();
        Ok(PaymentServiceClient::new(endpoint.connect().await?))
    }

    /// An address nobody listens on.
    pub(crate) async fn reserve() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    /// A connection that is made when it is used, and again when it was lost.
    pub(crate) fn lazy_client(address: SocketAddr, name: &str) -> Client {
        let identity = authority().sign(name);
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&authority().pem))
            .identity(Identity::from_pem(&identity.0, &identity.1))
            .domain_name("localhost");
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap();
        PaymentServiceClient::new(endpoint.connect_timeout(Duration::from_secs(2)).connect_lazy())
    }

    /// A connection as a caller with this name.
    pub(crate) async fn as_caller(&self, name: &str) -> Client {
        self.connect(&authority().pem, &authority().sign(name)).await.unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        self.as_caller("coordinator").await
    }

    pub(crate) async fn operator(&self) -> Client {
        self.as_caller("operator").await
    }

    pub(crate) fn toss(&self, path: &str) -> String {
        format!("http://{}{path}", self.toss.address)
    }

    /// Sends a webhook as anyone could, and gives the status of the answer.
    pub(crate) async fn webhook(&self, body: impl Into<reqwest::Body>) -> u16 {
        let url = format!("http://{}/webhooks/toss", self.webhooks);
        self.http.post(url).body(body).send().await.unwrap().status().as_u16()
    }

    pub(crate) async fn faults(&self, faults: Value) {
        let done = self.http.post(self.toss("/control/faults")).json(&faults).send().await.unwrap();
        assert_eq!(done.status(), 200);
    }

    pub(crate) async fn control(&self, path: &str, body: Value) -> u16 {
        self.http.post(self.toss(path)).json(&body).send().await.unwrap().status().as_u16()
    }

    /// What a buyer does on the checkout page; gives the payment key.
    pub(crate) async fn decide(&self, order: Uuid, amount: i64, decision: &str) -> String {
        self.decide_by(order, amount, decision, "card").await
    }

    pub(crate) async fn decide_by(&self, order: Uuid, amount: i64, decision: &str, method: &str) -> String {
        let form = format!(
            "clientKey={CLIENT}&orderId={order}&amount={amount}&orderName=x&decision={decision}&method={method}\
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

    pub(crate) async fn db(&self) -> Db {
        self.scratch.db().await
    }

    /// The simulator's record of an order.
    pub(crate) async fn charged(&self, order: Uuid) -> Value {
        let report: Value = self.http.get(self.toss("/control/payments")).send().await.unwrap().json().await.unwrap();
        let items = report["items"].as_array().unwrap();
        items.iter().find(|item| item["order_id"] == order.to_string()).cloned().unwrap()
    }

    /// The simulator's record of every order: how often money was taken, how much, and how much was given back.
    pub(crate) async fn charged_all(&self) -> HashMap<String, (i64, i64, i64)> {
        let report: Value = self.http.get(self.toss("/control/payments")).send().await.unwrap().json().await.unwrap();
        let number = |item: &Value, name: &str| item[name].as_i64().unwrap();
        let items = report["items"].as_array().unwrap().iter();
        items
            .map(|item| {
                let sums = (number(item, "effects"), number(item, "charged_krw"), number(item, "refunded_krw"));
                (item["order_id"].as_str().unwrap().to_owned(), sums)
            })
            .collect()
    }

    pub(crate) async fn prepared(&self, amount: i64) -> Uuid {
        let order = random_id();
        let state = self.client().await.prepare(prepare(order, amount)).await.unwrap().into_inner().state();
        assert_eq!(state, PaymentState::Prepared);
        order
    }

    /// An order that was paid.
    pub(crate) async fn approved(&self, amount: i64) -> Uuid {
        let order = self.prepared(amount).await;
        let key = self.decide(order, amount, "pay").await;
        assert_eq!(outcome(self.client().await.confirm(confirm(order, &key, amount)).await), PaymentOutcome::Approved);
        order
    }

    pub(crate) async fn look(&self, order: Uuid) -> Payment {
        let request = GetPaymentRequest { order_id: order.to_string() };
        self.client().await.get_payment(request).await.unwrap().into_inner()
    }

    pub(crate) async fn wait_for(&self, order: Uuid, state: PaymentState) -> Payment {
        self.wait_until(order, &format!("{state:?}"), |payment| payment.state() == state).await
    }

    pub(crate) async fn wait_until(&self, order: Uuid, what: &str, done: impl Fn(&Payment) -> bool) -> Payment {
        let mut client = self.client().await;
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let payment =
                client.get_payment(GetPaymentRequest { order_id: order.to_string() }).await.unwrap().into_inner();
            if done(&payment) {
                return payment;
            }
            assert!(tokio::time::Instant::now() < until, "still {payment:?}, not {what}");
            tokio::time::sleep(POLL).await;
        }
    }

    pub(crate) async fn results(&self, after: i64, count: usize) -> Vec<PaymentResult> {
        let mut client = self.client().await;
        let mut stream = client.watch_results(WatchResultsRequest { after_offset: after }).await.unwrap().into_inner();
        let mut results = Vec::new();
        while results.len() < count {
            let next = tokio::time::timeout(PATIENCE, stream.message()).await.expect("a result in time");
            results.push(next.unwrap().expect("the stream stays open"));
        }
        results
    }

    /// One line of `/metrics`.
    pub(crate) async fn metric(&self, name: &str) -> i64 {
        let url = format!("http://{}/metrics", self.payment.as_ref().unwrap().admin);
        let text = self.http.get(url).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).expect(name);
        line.parse().unwrap()
    }

    /// Ends everything and gives the books: the sum of all accounts, and what the provider owes.
    pub(crate) async fn close(mut self) -> (i64, i64) {
        self.halt().await;
        let db = self.db().await;
        let totals = ledger::totals(&db).await.unwrap();
        db.close().await;
        self.toss.stop().await;
        totals
    }
}

impl Scratch {
    /// Where the certificates are.
    pub(crate) fn files(&self) -> Files {
        let file = |name: &str| -> PathBuf { self.folder.join(name) };
        Files { ca: file("ca.pem"), cert: file("cert.pem"), key: file("key.pem") }
    }
}

/// A script of one rule.
pub(crate) fn script(at: &str, fault: &str, times: u32) -> Value {
    json!({"script": [{"at": at, "fault": fault, "times": times}]})
}

pub(crate) fn far_future() -> i64 {
    nugul_payment::confirm::now_ms() + 600_000
}

pub(crate) fn prepare(order: Uuid, amount: i64) -> PrepareRequest {
    PrepareRequest {
        request_id: random_id().to_string(),
        order_id: order.to_string(),
        user_id: Uuid::nil().to_string(),
        amount_krw: amount,
        order_name: ORDER_NAME.into(),
        expires_at_ms: far_future(),
    }
}

pub(crate) fn confirm(order: Uuid, key: &str, amount: i64) -> ConfirmRequest {
    ConfirmRequest {
        request_id: random_id().to_string(),
        order_id: order.to_string(),
        payment_key: key.into(),
        amount_krw: amount,
    }
}

pub(crate) fn cancel(order: Uuid) -> CancelRequest {
    CancelRequest {
        request_id: random_id().to_string(),
        order_id: order.to_string(),
        reason: "좌석 없음".into(),
        amount_krw: None,
    }
}

pub(crate) fn part(order: Uuid, amount_krw: i64) -> CancelRequest {
    CancelRequest { amount_krw: Some(amount_krw), ..cancel(order) }
}

pub(crate) fn reason(status: &Status) -> &str {
    status.metadata().get(ERROR_CODE_KEY).map_or("", |value| value.to_str().unwrap())
}

pub(crate) fn outcome(answer: Result<tonic::Response<ConfirmResponse>, Status>) -> PaymentOutcome {
    answer.unwrap().into_inner().outcome()
}

/// The name a certificate in PEM is known by.
pub(crate) fn name_of(pem: &str) -> Option<String> {
    use rustls::pki_types::pem::PemObject;
    let der = rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    callers::common_name(&der)
}
