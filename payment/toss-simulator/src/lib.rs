//! A simulator of Toss Payments: the same paths, fields and codes, no money, and faults on request.
//!
//! [`api`] is what a merchant's server calls, [`checkout`] what a buyer's browser sees, [`control`] what a test turns.
//! [`webhooks`] and [`settlements`] are what the provider tells of its own accord and once a day.
pub mod api;
pub mod checkout;
pub mod control;
pub mod faults;
pub mod keys;
pub mod settings;
pub mod settlements;
pub mod store;
pub mod webhooks;
mod writer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use faults::Faults;
use keys::Keys;
pub use settings::Settings;
use store::Store;
use webhooks::Sender;
use writer::Writer;

/// No request body is longer.
pub const MAX_BODY: usize = 64 * 1024;
/// Open requests have this long to end when the program stops.
pub const STOP_WITHIN: Duration = Duration::from_secs(5);

/// What every handler shares.
#[derive(Clone, Debug)]
pub struct Simulator {
    settings: Arc<Settings>,
    store: Writer,
    keys: Arc<Mutex<Keys>>,
    faults: Arc<Mutex<Faults>>,
    webhooks: Option<Sender>,
}

impl Simulator {
    /// Opens the state file. Webhooks end with `stop`.
    pub fn open(settings: Settings, stop: CancellationToken) -> std::io::Result<Self> {
        std::fs::create_dir_all(&settings.data)?;
        let keys = Arc::default();
        let path = settings.data.join("toss.jsonl");
        let store = Store::open(&path, Arc::clone(&keys), settings.confirm_window, settings.deposit_window)?;
        let store = Writer::start(store)?;
        let sender = |url: &String| Sender::new(url.clone(), settings.webhook_pause, stop);
        let webhooks = settings.webhook_url.as_ref().map(sender).transpose().map_err(std::io::Error::other)?;
        Ok(Self { settings: Arc::new(settings), store, keys, faults: Arc::default(), webhooks })
    }

    /// All routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/v1/payments/confirm", post(api::confirm))
            .route("/v1/payments/{payment_key}", get(api::by_key))
            .route("/v1/payments/orders/{order_id}", get(api::by_order))
            .route("/v1/payments/{payment_key}/cancel", post(api::cancel))
            .route("/v1/settlements", get(settlements::list))
            .route("/v2/standard", get(checkout::script))
            .route("/checkout", get(checkout::page))
            .route("/checkout/pay", post(checkout::pay))
            .route("/control/faults", post(control::set).delete(control::clear))
            .route("/control/payments", get(control::payments))
            .route("/control/deposits", post(control::deposit))
            .route("/control/refunds", post(control::refund))
            .route("/readyz", get(|| async { "ok" }))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(self)
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now_ms() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// Serves until `stop`, then waits at most [`STOP_WITHIN`] for open requests.
pub async fn serve(listener: TcpListener, settings: Settings, stop: CancellationToken) -> std::io::Result<()> {
    // An error means that one is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let router = Simulator::open(settings, stop.clone())?.router();
    let server = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let bound = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_WITHIN).await;
    };
    tokio::select! {
        result = server => result,
        () = bound => Ok(()),
    }
}
