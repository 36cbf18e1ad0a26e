//! What our server programs have in common: their command line, their settings, their logs, and how they stop.
//!
//! - `settings`: from the environment and from a file.
//! - `news`: telling those who wait.

mod news;
mod settings;

pub use news::{News, Waiting};
pub use settings::{SETTINGS_FILE, SETTINGS_HELP, Settings};

use std::{fmt::Display, process::ExitCode, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// How long a program may take to end once it is told to.
pub const STOP_WITHIN: Duration = Duration::from_secs(10);
/// The exit status of a wrong argument or setting.
const USAGE_STATUS: u8 = 2;

/// Runs a program that takes no arguments but `--help` and `--check-config`. `read` reads and checks its settings, and changes
/// nothing; `run` serves until its token is cancelled, which SIGTERM and Ctrl-C do.
pub async fn main<S, E: Display>(
    name: &str,
    help: &str,
    read: impl FnOnce(&dyn Fn(&str) -> Option<String>) -> Result<S, String>,
    run: impl AsyncFnOnce(S, CancellationToken) -> Result<(), E>,
) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let check = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--check-config"] => true,
        ["--help" | "-h"] => {
            println!("{help}\n{SETTINGS_HELP}\n{}", stop_help());
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{name}: unknown argument; see --help");
            return ExitCode::from(USAGE_STATUS);
        }
    };
    let settings = Settings::load().and_then(|settings| read(&|name| settings.get(name)));
    match settings {
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::from(USAGE_STATUS)
        }
        Ok(_) if check => {
            println!("the settings are valid");
            ExitCode::SUCCESS
        }
        Ok(settings) => match stop_on_signals() {
            Err(error) => failed(name, &error),
            Ok(stop) => match run(settings, stop).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(name, &error),
            },
        },
    }
}

fn failed(name: &str, error: &impl Display) -> ExitCode {
    eprintln!("{name}: {error}");
    ExitCode::FAILURE
}

/// What `--help` says about stopping.
pub fn stop_help() -> String {
    format!("On SIGTERM or Ctrl-C it finishes what is under way and ends within {} s.", STOP_WITHIN.as_secs())
}

/// Libraries that would log requests with tokens and payment keys, and statements with personal data, if they were let.
const QUIET: [&str; 11] =
    ["h2", "hyper", "hyper_util", "lettre", "opensearch", "redis", "reqwest", "rustls", "sqlx", "tonic", "tower"];

/// A filter as wanted, with the libraries that know secrets kept to warnings whatever it says.
pub fn filter(text: &str) -> Result<EnvFilter, String> {
    let mut all = text.to_owned();
    for name in QUIET {
        all += &format!(",{name}=warn");
    }
    EnvFilter::try_new(all).map_err(|error| format!("NUGUL_LOG: {error}"))
}

/// Structured logs to standard error, through this filter.
pub fn logs(text: &str) -> Result<(), String> {
    let filter = filter(text)?;
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_env_filter(filter).init();
    Ok(())
}

/// A token that SIGTERM and Ctrl-C cancel. What has not ended [`STOP_WITHIN`] after that ends with the process: everything that
/// counts is durable by then, or was never promised.
fn stop_on_signals() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let signalled = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        tracing::info!("stopping");
        signalled.cancel();
        tokio::time::sleep(STOP_WITHIN).await;
        tracing::warn!("work was still under way; ending all the same");
        std::process::exit(0);
    });
    Ok(stop)
}
