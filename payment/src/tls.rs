//! Mutual TLS from files that may change while the service runs: new connections get the new certificates, open ones stay.
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// Longest TLS handshake.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// No more handshakes are under way at once; further callers wait.
pub const MAX_HANDSHAKES: usize = 256;
/// Connections that are ready and not yet served.
const READY: usize = 64;
/// The pause after the system refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The PEM files.
#[derive(Clone, Debug)]
pub struct Files {
    /// The authority that signs callers.
    pub ca: PathBuf,
    /// This service's certificate and its chain.
    pub cert: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
}

impl Files {
    /// What the files hold now, as one digest and as settings; the error names the file, never its text.
    pub fn load(&self) -> Result<([u8; 32], Arc<ServerConfig>), String> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let (ca, cert, key) = (read(&self.ca)?, read(&self.cert)?, read(&self.key)?);
        let mut digest = Sha256::new();
        for part in [&ca, &cert, &key] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let certs = |pem: &[u8], path: &PathBuf| {
            CertificateDer::pem_slice_iter(pem)
                .collect::<Result<Vec<_>, _>>()
                .ok()
                .filter(|certs| !certs.is_empty())
                .ok_or_else(|| format!("{}: no certificate in PEM", path.display()))
        };
        let mut roots = RootCertStore::empty();
        for root in certs(&ca, &self.ca)? {
            roots.add(root).map_err(|error| format!("{}: {error}", self.ca.display()))?;
        }
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
            .build()
            .map_err(|error| format!("{}: {error}", self.ca.display()))?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| format!("{}: no key in PEM", self.key.display()))?;
        let mut config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(certs(&cert, &self.cert)?, key)
            .map_err(|error| format!("{}: {error}", self.cert.display()))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok((digest.finalize().into(), Arc::new(config)))
    }
}

/// Connections whose caller has shown a certificate. The files are looked at every `reload`; bad ones change nothing.
pub fn accept(
    listener: TcpListener,
    files: Files,
    reload: Duration,
    stop: CancellationToken,
) -> Result<ReceiverStream<std::io::Result<TlsStream<TcpStream>>>, String> {
    let (digest, config) = files.load()?;
    let (publish, current) = watch::channel(config);
    let (ready, stream) = mpsc::channel(READY);
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = stopped.cancelled() => {}
            () = keep_fresh(files, digest, reload, publish) => {}
        }
    });
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = accept_all(listener, current, ready) => {}
        }
    });
    Ok(ReceiverStream::new(stream))
}

async fn keep_fresh(files: Files, mut digest: [u8; 32], every: Duration, publish: watch::Sender<Arc<ServerConfig>>) {
    let mut last_error = String::new();
    loop {
        tokio::time::sleep(every).await;
        let files = files.clone();
        match tokio::task::spawn_blocking(move || files.load()).await {
            Ok(Ok((new, config))) => {
                last_error.clear();
                if new != digest {
                    digest = new;
                    publish.send_replace(config);
                    tracing::info!("certificates reloaded");
                }
            }
            // Files are replaced one by one: a pair that does not match now may match at the next look.
            Ok(Err(error)) if error != last_error => {
                tracing::warn!(error, "certificates not reloaded; the old ones stay");
                last_error = error;
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

async fn accept_all(
    listener: TcpListener,
    current: watch::Receiver<Arc<ServerConfig>>,
    ready: mpsc::Sender<std::io::Result<TlsStream<TcpStream>>>,
) {
    let room = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let _ = socket.set_nodelay(true);
        let acceptor = TlsAcceptor::from(Arc::clone(&current.borrow()));
        let ready = ready.clone();
        tokio::spawn(async move {
            let _permit = permit;
            // A caller without a good certificate is gone with its handshake.
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(socket)).await {
                let _ = ready.send(Ok(stream)).await;
            }
        });
    }
}
