//! The payment service: money for orders, taken once, given back when it has to be, and never guessed about.
//!
//! [`state`] and [`cancels`] hold the rules, [`confirm`] the saga, [`starting`] and [`settle`] how its
//! beginnings and outcomes are stored, [`reconcile`] what follows an unknown outcome, [`ledger`] the books,
//! [`outbox`] the results for the coordinator, [`rpc`] the contract, [`toss`] the provider. [`audit`] compares the books, each
//! day by [`schedule`], and [`reports`] keeps what came of it;
//! [`cases`] is what a person has to look at, [`webhooks`] what the provider tells of its own accord.
pub mod audit;
pub mod callers;
pub mod cancels;
pub mod cases;
pub mod config;
pub mod confirm;
pub mod db;
pub mod ledger;
pub mod listing;
pub mod outbox;
pub mod public;
pub mod reconcile;
pub mod reports;
pub mod rpc;
pub mod schedule;
pub mod settle;
pub mod starting;
pub mod state;
pub mod store;
pub mod taking;
pub mod telemetry;
pub mod tls;
pub mod toss;
pub mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use nugul_proto::payment::v1::payment_service_server::PaymentServiceServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use callers::Callers;
use config::Config;
use confirm::{Payments, Timings};
use db::Db;
use public::Public;
use rpc::Rpc;
use toss::{PaymentGateway, Toss};

/// Open calls have this long to end when the program stops; what is cut off is reconciled at the next start.
pub const STOP_WITHIN: Duration = Duration::from_secs(8);
/// No request message is longer.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// No more calls than this share one connection.
pub const MAX_STREAMS: u32 = 512;
/// A silent connection is asked whether it lives this often.
pub const KEEPALIVE: Duration = Duration::from_secs(20);

/// Why the service could not run.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Makes ring the process's source of cryptography, unless one is set.
pub fn install_crypto() {
    // An error means that one is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Opens the database the settings name and brings it up to date.
pub async fn open_db(config: &Config) -> Result<Db, Failure> {
    let db = if let Some(url) = &config.mysql_url {
        db::mysql(url).await?
    } else {
        tokio::fs::create_dir_all(&config.data).await?;
        db::sqlite(&config.data.join("payment.db")).await?
    };
    db::migrate(&db).await?;
    Ok(db)
}

/// Where the service listens.
pub struct Listeners {
    /// gRPC.
    pub grpc: TcpListener,
    /// Health and metrics.
    pub admin: TcpListener,
    /// Webhooks, where they are wanted.
    pub webhooks: Option<TcpListener>,
}

impl Listeners {
    /// Binds what the settings name.
    pub async fn bind(config: &Config) -> std::io::Result<Self> {
        let webhooks = match config.webhook_listen {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        Ok(Self {
            grpc: TcpListener::bind(config.listen).await?,
            admin: TcpListener::bind(config.admin_listen).await?,
            webhooks,
        })
    }
}

/// Serves on the listeners until `stop`, and ends within [`STOP_WITHIN`] after it.
pub async fn serve(
    config: Config,
    timings: Timings,
    listeners: Listeners,
    stop: CancellationToken,
) -> Result<(), Failure> {
    install_crypto();
    let db = open_db(&config).await?;
    let gateway: Arc<dyn PaymentGateway> =
        Arc::new(Toss::new(&config.toss_url, &config.toss_secret_key, timings.answer)?);
    let payments = Payments::new(db, gateway, confirm::now_ms, timings);

    let incoming = tls::accept(listeners.grpc, config.tls.clone(), payments.timings.reload, stop.clone())?;
    let (reporter, health) = tonic_health::server::health_reporter();
    let callers = Callers::new(&config.coordinators, &config.operators);
    let service = PaymentServiceServer::new(Rpc::new(Arc::clone(&payments), stop.clone()).for_callers(callers))
        .max_decoding_message_size(MAX_MESSAGE);
    reporter.set_serving::<PaymentServiceServer<Rpc>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(nugul_proto::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let grpc = Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(health)
        .add_service(reflection)
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
    let http = axum::serve(listeners.admin, telemetry::router(Arc::clone(&payments)))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    let hooks = async {
        match listeners.webhooks {
            Some(listener) => {
                let listener = Public::new(listener, payments.timings.public);
                axum::serve(listener, webhooks::router(Arc::clone(&payments)))
                    .with_graceful_shutdown(stop.clone().cancelled_owned())
                    .await
                    .map_err(Failure::from)
            }
            None => Ok(()),
        }
    };
    let reconciler = tokio::spawn(reconcile::run(Arc::clone(&payments), stop.clone()));
    let schedule = tokio::spawn(schedule::run(Arc::clone(&payments), stop.clone()));

    let all = async {
        let result = tokio::try_join!(
            async { grpc.await.map_err(Failure::from) },
            async { http.await.map_err(Failure::from) },
            hooks
        );
        // One that failed takes the others along.
        stop.cancel();
        reconciler.await?;
        schedule.await?;
        payments.tasks.close();
        payments.tasks.wait().await;
        result.map(|_| ())
    };
    let bound = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_WITHIN).await;
    };
    let result = tokio::select! {
        result = all => result,
        () = bound => Ok(()),
    };
    // Closing waits for connections in use; what is cut off here was durable before.
    let _ = tokio::time::timeout(Duration::from_secs(1), payments.db.close()).await;
    result
}
