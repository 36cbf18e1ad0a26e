//! The coordinator as a process: settings, start, stop.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use nugul_coordination::{Seats, rankings::Rankings};
use nugul_coordinator::{
    app::{App, Outer, Parts, World},
    catalogue::{CatalogueFile, index, words::Known},
    config::{self, Config, SETTINGS},
    db, demo, http,
    keys::Keys,
    metrics, orders, outbox,
    payments::{self, PaymentClient},
    performances,
    rankings::{blocked, demand},
    reconcile, region_keys, search, seats,
    serve::serve,
    tidy,
};
use nugul_program::{STOP_WITHIN, Settings};
use tokio::{net::TcpListener, signal::unix::SignalKind, sync::watch};

/// A change under a rush asks for memory in pieces of all sizes, for which the system's own takes a quarter of the time.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "\
nugul-coordinator                     runs the coordinator
nugul-coordinator seed-demo [--catalogue FILE] [--events N]
                                      fills an empty database with a catalogue and demo accounts
nugul-coordinator --check-config      says whether the settings are valid
nugul-coordinator --help              says this

Settings, from the environment or a file:
";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--help" | "-h"] => {
            println!("{USAGE}{SETTINGS}\n{}\n\n{}", nugul_program::SETTINGS_HELP, nugul_program::stop_help());
            return ExitCode::SUCCESS;
        }
        ["--check-config"] => {
            use_ring();
            settings().and_then(|config| config::check(&config)).map(|()| println!("the settings are valid"))
        }
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
    let settings = Settings::load()?;
    Config::read(|name| settings.get(name))
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
    let settings = Settings::load()?;
    nugul_program::logs(settings.get("NUGUL_LOG").as_deref().unwrap_or("info"))?;
    use_ring();

    let config = Config::read(|name| settings.get(name))?;
    let listener =
        TcpListener::bind(config.listen).await.map_err(|e| format!("{} cannot be listened on: {e}", config.listen))?;
    let (stop, stopping) = watch::channel(false);
    let app = assemble(config, stopping).await?;
    let workers = [
        tokio::spawn(outbox::deliver(app.clone())),
        tokio::spawn(payments::watch_results(app.clone())),
        tokio::spawn(seats::expire_holds(app.clone())),
        tokio::spawn(orders::service::expire_orders(app.clone())),
        tokio::spawn(performances::cancellation::carry_out(app.clone())),
        tokio::spawn(reconcile::keep_right(app.clone())),
        tokio::spawn(index::keep_fresh(app.clone())),
        tokio::spawn(region_keys::keep_fresh(app.clone())),
        tokio::spawn(search::feed::deliver(app.clone())),
        tokio::spawn(search::keeper::carry_out(app.clone())),
        tokio::spawn(tidy::keep_tidy(app.clone())),
        tokio::spawn(blocked::follow(app.clone())),
        tokio::spawn(demand::follow(app.clone())),
    ];
    if let Some(address) = app.config.metrics_listen {
        let listener = TcpListener::bind(address).await.map_err(|e| format!("{address} cannot be listened on: {e}"))?;
        tokio::spawn(axum::serve(listener, metrics::router(app.clone())).into_future());
    }
    tracing::info!(listen = %app.config.listen, region = app.config.region.0, "ready");
    serve(listener, http::router(app), stopped(stop)).await;
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
    let world = World::system();
    std::fs::create_dir_all(&config.data).map_err(|e| format!("{} cannot be made: {e}", config.data.display()))?;
    let db = db::open(config.mysql_url.as_deref(), &config.data).await?;
    let seats = match &config.redis_url {
        Some(url) => Seats::redis(url).await.map_err(|e| format!("Redis does not answer: {e}"))?,
        None => Seats::memory(world.clock.clone()),
    };
    let rankings = match &config.redis_url {
        Some(url) => Rankings::redis(url).await.map_err(|e| format!("Redis does not answer: {e}"))?,
        None => Rankings::memory(),
    };
    let keys = Keys::load(&config.signing_key_file)?;
    let words = Arc::new(Known::read(config.search_words.as_deref())?);
    let catalogue =
        CatalogueFile::build(&db, (world.clock)(), words).await.map_err(|e| e.context.unwrap_or_default())?;
    let payments = PaymentClient::new(&config)?;
    let outer = Outer { world, db, seats, rankings, payments, keys, catalogue, stopping };
    Parts::new(config, outer).map(Arc::new)
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
