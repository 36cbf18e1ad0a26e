//! The payment service: money for orders, taken once, given back when it has to be, and never guessed about.
//!
//! [`state`] holds the rules, [`confirm`] the saga, [`reconcile`] what follows an unknown outcome, [`ledger`] the books,
//! [`outbox`] the results for the coordinator, [`rpc`] the contract, [`toss`] the provider.
pub mod config;
pub mod confirm;
pub mod db;
pub mod ledger;
pub mod outbox;
pub mod reconcile;
pub mod rpc;
pub mod state;
pub mod store;
pub mod telemetry;
pub mod toss;

use std::sync::Arc;
use std::time::Duration;

use nugul_proto::payment::v1::payment_service_server::PaymentServiceServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use config::Config;
use confirm::{Payments, Timings};
use db::Db;
use rpc::Rpc;
use toss::{PaymentGateway, Toss};

/// Open calls have this long to end when the program stops; what is cut off is reconciled at the next start.
pub const STOP_WITHIN: Duration = Duration::from_secs(8);
/// Longest TLS handshake.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
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
        Db::mysql(url).await?
    } else {
        tokio::fs::create_dir_all(&config.data).await?;
        Db::sqlite(&config.data.join("payment.db")).await?
    };
    db.migrate().await?;
    Ok(db)
}

/// Serves on the listeners until `stop`, and ends within [`STOP_WITHIN`] after it.
pub async fn serve(
    config: Config,
    timings: Timings,
    listener: TcpListener,
    admin: TcpListener,
    stop: CancellationToken,
) -> Result<(), Failure> {
    install_crypto();
    let db = open_db(&config).await?;
    let gateway: Arc<dyn PaymentGateway> =
        Arc::new(Toss::new(&config.toss_url, &config.toss_secret_key, toss::ANSWER_WITHIN)?);
    let payments = Payments::new(db, gateway, confirm::now_ms, timings);

    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(&config.tls_cert, &config.tls_key))
        .client_ca_root(Certificate::from_pem(&config.tls_ca))
        .timeout(HANDSHAKE_WITHIN);
    let (reporter, health) = tonic_health::server::health_reporter();
    let service =
        PaymentServiceServer::new(Rpc::new(Arc::clone(&payments), stop.clone())).max_decoding_message_size(MAX_MESSAGE);
    reporter.set_serving::<PaymentServiceServer<Rpc>>().await;
    let grpc = Server::builder()
        .tls_config(tls)?
        .max_concurrent_streams(MAX_STREAMS)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(health)
        .add_service(service)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            stop.clone().cancelled_owned(),
        );
    let http = axum::serve(admin, telemetry::router(Arc::clone(&payments)))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    let reconciler = tokio::spawn(reconcile::run(Arc::clone(&payments), stop.clone()));

    let all = async {
        let result =
            tokio::try_join!(async { grpc.await.map_err(Failure::from) }, async { http.await.map_err(Failure::from) },);
        // One that failed takes the others along.
        stop.cancel();
        reconciler.await?;
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
    let _ = tokio::time::timeout(Duration::from_secs(1), payments.db.pool.close()).await;
    result
}
