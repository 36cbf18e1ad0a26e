//! The connection to the payment service: made when first used and again when lost, with new certificates when their files change.

use std::time::Duration;

use nugul_proto::payment::v1::payment_service_client::PaymentServiceClient;
use tokio::sync::watch;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::config::Config;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A silent connection is asked whether it lives this often.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long it may take to answer that.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client on a connection.
pub(super) type Client = PaymentServiceClient<Channel>;

/// What the files of mutual TLS hold.
#[derive(PartialEq, Eq)]
struct Pem {
    ca: Vec<u8>,
    cert: Vec<u8>,
    key: Vec<u8>,
}

fn read(config: &Config) -> Result<Option<Pem>, String> {
    let Some((ca, cert, key)) = &config.tls else { return Ok(None) };
    let read =
        |path: &std::path::Path| std::fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()));
    Ok(Some(Pem { ca: read(ca)?, cert: read(cert)?, key: read(key)? }))
}

fn connect(config: &Config, pem: Option<&Pem>) -> Result<Client, String> {
    let mut endpoint = Endpoint::from_shared(config.payment_url.clone())
        .map_err(|e| format!("NUGUL_PAYMENT_URL is not valid: {e}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    if let Some(Pem { ca, cert, key }) = pem {
        let tls =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)).identity(Identity::from_pem(cert, key));
        endpoint = endpoint.tls_config(tls).map_err(|e| format!("the certificates are not valid: {e}"))?;
    }
    Ok(PaymentServiceClient::new(endpoint.connect_lazy()))
}

/// The newest connection. The files of its certificates are looked at every so often; bad ones change nothing, and who is
/// using the old connection stays on it.
pub(super) fn open(config: &Config, reload_every: Duration) -> Result<watch::Receiver<Client>, String> {
    let pem = read(config)?;
    let (publish, current) = watch::channel(connect(config, pem.as_ref())?);
    if let Some(pem) = pem {
        tokio::spawn(keep_fresh(config.clone(), pem, reload_every, publish));
    }
    Ok(current)
}

async fn keep_fresh(config: Config, mut used: Pem, every: Duration, publish: watch::Sender<Client>) {
    let mut last_error = String::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = publish.closed() => return,
        }
        let files = config.clone();
        let now = tokio::task::spawn_blocking(move || read(&files)).await;
        let error = match now.map_err(|e| e.to_string()).and_then(|read| read) {
            Ok(Some(pem)) if pem != used => match connect(&config, Some(&pem)) {
                Ok(client) => {
                    publish.send_replace(client);
                    used = pem;
                    tracing::info!("the payment service is reached with new certificates");
                    String::new()
                }
                // Files are replaced one by one: a pair that does not match now may match at the next look.
                Err(e) => e,
            },
            Ok(_) => String::new(),
            Err(e) => e,
        };
        if !error.is_empty() && error != last_error {
            tracing::warn!("the certificates stay as they were: {error}");
        }
        last_error = error;
    }
}
