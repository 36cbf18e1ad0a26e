//! The processes, as they are built from their stores at every start, and requests to them.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, header},
};
use nugul_api::{headers, limits};
use nugul_coordination::{Seats, rankings::Rankings};
use nugul_coordinator::{
    app::{App, Outer, Parts, World},
    catalogue::CatalogueFile,
    config::Config,
    db::Db,
    http,
    keys::Keys,
    payments::PaymentClient,
    reconcile::Reconciler,
};
use nugul_domain::{Region, UserId, account::Role, id::RANDOM_BYTES};
use nugul_payment::{
    confirm::{Payments, Timings},
    rpc::Rpc,
};
use nugul_token::AccessClaims;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::codegen::Service;

use crate::{network::Network, toss::WayToToss, world};

/// How long a log-in of a simulated person lasts, in seconds: longer than any simulation.
const LOG_IN_S: i64 = 30 * 24 * 3600;
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 4 * limits::BODY_BYTES_MAX;

/// What outlives every process.
pub struct Stores {
    /// The coordinators' SQL.
    pub coordinator: Db,
    /// The payment service's SQL.
    pub payment: nugul_payment::db::Db,
    /// The live seats, shared by the coordinators.
    pub seats: Seats,
}

impl Stores {
    /// Closes every connection.
    pub async fn close(self) {
        self.coordinator.close().await;
        self.payment.close().await;
    }
}

/// A coordinator that runs.
pub struct Coordinator {
    /// Its parts.
    pub app: App,
    /// What its comparison of live seats with SQL remembers.
    pub reconciler: Arc<tokio::sync::Mutex<Reconciler>>,
    router: Router,
    _stop: watch::Sender<bool>,
}

impl Coordinator {
    /// Starts one.
    pub fn start(stores: &Stores, keys: &Keys, network: &Network) -> Result<Self, String> {
        let config = Config::read(|_| None)?;
        let (stop, stopping) = watch::channel(false);
        let outer = Outer {
            world: World { clock: Arc::new(world::now), random: Box::new(world::fill), outcome_wait: Duration::ZERO },
            db: stores.coordinator.clone(),
            seats: stores.seats.clone(),
            rankings: Rankings::memory(),
            payments: PaymentClient::Here(Arc::new(network.clone())),
            keys: keys.clone(),
            catalogue: CatalogueFile::default(),
            stopping,
        };
        let app = Arc::new(Parts::new(config, outer)?);
        let reconciler = Arc::default();
        Ok(Self { router: http::router(app.clone()), app, reconciler, _stop: stop })
    }

    /// Answers a request: status and body.
    pub fn answer(&self, request: Request<Body>) -> impl Future<Output = (u16, String)> + Send + 'static {
        let mut router = self.router.clone();
        async move {
            let Ok(response) = router.call(request).await;
            let status = response.status().as_u16();
            let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.unwrap_or_default();
            (status, String::from_utf8_lossy(&bytes).into_owned())
        }
    }
}

/// The payment service that runs.
pub struct Payment {
    /// Its parts.
    pub payments: Arc<Payments>,
}

impl Payment {
    /// Starts it.
    pub fn start(stores: &Stores, network: &Network) -> Self {
        let timings = Timings { wait: Duration::ZERO, ..Timings::default() };
        let payments = Payments::new(stores.payment.clone(), Arc::new(WayToToss), world::now_ms, timings);
        network.connect(Rpc::new(payments.clone(), CancellationToken::new()), stores.payment.clone());
        Self { payments }
    }
}

/// A simulated person.
#[derive(Clone, Copy)]
pub struct Person {
    id: UserId,
    role: Role,
}

/// The person of a number.
pub fn person(number: u8, role: Role) -> Person {
    let id =
        UserId::new(Region::default(), nugul_domain::Timestamp::from_millis(world::BEGIN_MS), [number; RANDOM_BYTES]);
    Person { id, role }
}

impl Person {
    /// Their access token.
    pub fn token(self, keys: &Keys) -> Result<String, String> {
        let iat = world::BEGIN_MS / 1000;
        let claims =
            AccessClaims { sub: self.id, role: self.role, nickname: "너굴".into(), iat, exp: iat + LOG_IN_S };
        keys.signing().sign_access(claims).map_err(|e| e.to_string())
    }
}

/// A write, below `/api/v1`.
pub fn request(
    method: &Method,
    path: &str,
    token: &str,
    key: &str,
    body: Option<&str>,
) -> Result<Request<Body>, String> {
    let request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", headers::API))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(headers::IDEMPOTENCY_KEY, key);
    match body {
        Some(text) => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(text.to_owned())),
        None => request.body(Body::empty()),
    }
    .map_err(|e| e.to_string())
}
