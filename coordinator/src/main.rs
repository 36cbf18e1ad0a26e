//! The coordinator as a process: settings, start, stop.

use std::{collections::HashMap, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use nugul_coordination::Seats;
use nugul_coordinator::{
    accounts,
    app::{App, Parts, now},
    catalogue::{CatalogueFile, index},
    config::{Config, SETTINGS},
    db::Db,
    demo, http,
    keys::Keys,
    mail::Mailer,
    metrics, orders, outbox,
    payments::{self, PaymentClient},
    seats,
};
use nugul_token::AccessVerifier;
use tokio::{
    net::TcpListener,
    signal::unix::SignalKind,
    sync::{Notify, RwLock, watch},
};

/// How long requests under way may take after the order to stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);

const USAGE: &str = "\
nugul-coordinator                     runs the coordinator
nugul-coordinator seed-demo [--catalogue FILE] [--events N]
                                      fills an empty database with a catalogue and demo accounts
nugul-coordinator --check-config      says whether the settings are valid
nugul-coordinator --help              says this

Settings, from the environment:
";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--help" | "-h"] => {
            println!("{USAGE}{SETTINGS}");
            return ExitCode::SUCCESS;
        }
        ["--check-config"] => settings().map(|_| println!("the settings are valid")),
        ["seed-demo", rest @ ..] => seed(rest).await,
        [] => run().await,
        other => Err(format!("unknown arguments: {}; see --help", other.join(" "))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("nugul-coordinator: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn settings() -> Result<Config, String> {
    let config = Config::read(|name| std::env::var(name).ok())?;
    std::fs::create_dir_all(&config.data).map_err(|e| format!("{} cannot be made: {e}", config.data.display()))?;
    Ok(config)
}

async fn seed(arguments: &[&str]) -> Result<(), String> {
    use_ring();
    let (mut catalogue, mut events) = (None, None);
    let mut rest = arguments.iter();
    while let Some(flag) = rest.next() {
        let value = rest.next().ok_or(format!("{flag} needs a value"))?;
        match *flag {
            "--catalogue" => catalogue = Some(PathBuf::from(value)),
            "--events" => events = Some(value.parse().map_err(|_| format!("--events is not a number: {value}"))?),
            other => return Err(format!("unknown flag {other}; see --help")),
        }
    }
    let (_stop, stopping) = watch::channel(false);
    let app = assemble(settings()?, stopping).await?;
    println!("{}", demo::seed(&app, catalogue.as_deref(), events).await?);
    Ok(())
}

async fn run() -> Result<(), String> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("NUGUL_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    use_ring();

    let config = settings()?;
    let listener =
        TcpListener::bind(config.listen).await.map_err(|e| format!("{} cannot be listened on: {e}", config.listen))?;
    let (stop, stopping) = watch::channel(false);
    let payment = PaymentClient::new(&config)?;
    let app = assemble(config, stopping).await?;
    let workers = [
        tokio::spawn(outbox::deliver(app.clone(), payment.clone())),
        tokio::spawn(payments::watch_results(app.clone(), payment)),
        tokio::spawn(seats::expire_holds(app.clone())),
        tokio::spawn(orders::service::expire_orders(app.clone())),
        tokio::spawn(index::keep_fresh(app.clone())),
        tokio::spawn(accounts::keep_tidy(app.clone())),
    ];
    if let Some(address) = app.config.metrics_listen {
        let listener = TcpListener::bind(address).await.map_err(|e| format!("{address} cannot be listened on: {e}"))?;
        tokio::spawn(axum::serve(listener, metrics::router(app.clone())).into_future());
    }
    tracing::info!(listen = %app.config.listen, region = app.config.region.0, "ready");
    let serving = axum::serve(listener, http::router(app)).with_graceful_shutdown(stopped(stop));
    serving.await.map_err(|e| format!("serving ended: {e}"))?;
    for worker in workers {
        // A worker that does not end in time is ended with the process; its work is in the database.
        let _ = tokio::time::timeout(STOP_WITHIN, worker).await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Two providers of cryptography could be compiled in by different crates; this names ours. A second call changes nothing.
fn use_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

async fn assemble(config: Config, stopping: watch::Receiver<bool>) -> Result<App, String> {
    let db = Db::open(config.mysql_url.as_deref(), &config.data).await?;
    let seats = match &config.redis_url {
        Some(url) => Seats::redis(url).await.map_err(|e| format!("Redis does not answer: {e}"))?,
        None => Seats::memory(Arc::new(now)),
    };
    let keys = Keys::load(&config.signing_key_file)?;
    let verifier =
        AccessVerifier::from_jwks(&keys.jwks()).map_err(|e| format!("the signing key is not usable: {e}"))?;
    let mailer = Mailer::new(&config.smtp_url, config.mail_from.as_deref())?;
    let catalogue = CatalogueFile::build(&db, now()).await.map_err(|e| e.context.unwrap_or_default())?;
    Ok(Arc::new(Parts {
        db,
        seats,
        keys,
        verifier,
        mailer,
        catalogue: watch::Sender::new(Arc::new(catalogue)),
        performances: RwLock::new(HashMap::new()),
        outbox_filled: Notify::new(),
        orders_changed: watch::Sender::new(0),
        stopping,
        config,
    }))
}

/// Waits for SIGTERM or Ctrl-C, then tells streams and workers to end and bounds the wait for the rest.
async fn stopped(stop: watch::Sender<bool>) {
    let terminate = async {
        match tokio::signal::unix::signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("stopping");
    stop.send_replace(true);
    tokio::spawn(async {
        tokio::time::sleep(STOP_WITHIN).await;
        tracing::warn!("requests were still under way; ending all the same");
        std::process::exit(0);
    });
}
