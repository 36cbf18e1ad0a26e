//! Certificates that change while the coordinator runs.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use nugul_coordinator::{config::Config, messages::Message, payments::PaymentClient};
use nugul_domain::{OrderId, Region, Timestamp};
use nugul_payment::tls::{Files, accept};
use nugul_proto::payment::v1::payment_service_server::PaymentServiceServer;
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::{
    service::Fake,
    world::{PATIENCE, POLL},
};

/// How often files are looked at here.
const RELOAD: Duration = Duration::from_millis(50);

/// The three files of a party.
fn files(folder: &Path, party: &str) -> [PathBuf; 3] {
    ["ca", "cert", "key"].map(|name| folder.join(format!("{party}-{name}.pem")))
}

/// Signs both parties anew, by an authority nobody has seen.
fn sign(folder: &Path) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    for party in ["payment", "coordinator"] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, party);
        let cert = params.signed_by(&key, &issuer).unwrap().pem();
        for (file, text) in files(folder, party).iter().zip([ca.clone(), cert, key.serialize_pem()]) {
            std::fs::write(file, text).unwrap();
        }
    }
}

async fn serve(folder: &Path, address: SocketAddr) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let [ca, cert, key] = files(folder, "payment");
    let incoming = accept(listener, Files { ca, cert, key }, RELOAD, stop.clone()).unwrap();
    let stopped = stop.clone().cancelled_owned();
    let task = tokio::spawn(async move {
        let service = PaymentServiceServer::new(Fake::new());
        Server::builder().add_service(service).serve_with_incoming_shutdown(incoming, stopped).await.unwrap();
    });
    (address, stop, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_certificates_are_used_without_a_restart() {
    nugul_payment::install_crypto();
    let folder = std::env::temp_dir().join(format!("nugul-coordinator-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    sign(&folder);
    let (address, stop, task) = serve(&folder, "127.0.0.1:0".parse().unwrap()).await;
    let [ca, cert, key] = files(&folder, "coordinator").map(|file| file.display().to_string());
    let config = Config::read(|name| match name {
        "NUGUL_PAYMENT_URL" => Some(format!("https://localhost:{}", address.port())),
        "NUGUL_TLS_CA" => Some(ca.clone()),
        "NUGUL_TLS_CERT" => Some(cert.clone()),
        "NUGUL_TLS_KEY" => Some(key.clone()),
        _ => None,
    });
    let payment = PaymentClient::reloading(&config.unwrap(), RELOAD).unwrap();
    let order = OrderId::new(Region::default(), Timestamp::from_millis(1), [1; 9]);
    let cancel = Message::Cancel { reason: "why".into() };
    payment.deliver("one", "", order, &cancel).await.unwrap();

    // Nonsense changes nothing; a new authority for both sides is taken up.
    std::fs::write(&files(&folder, "coordinator")[2], "nonsense").unwrap();
    tokio::time::sleep(4 * RELOAD).await;
    payment.deliver("two", "", order, &cancel).await.unwrap();
    stop.cancel();
    task.await.unwrap();
    sign(&folder);
    let (_, stop, task) = serve(&folder, address).await;
    let until = Instant::now() + PATIENCE;
    while let Err(reason) = payment.deliver("three", "", order, &cancel).await {
        assert!(Instant::now() < until, "{reason}");
        tokio::time::sleep(POLL).await;
    }
    stop.cancel();
    task.await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}
