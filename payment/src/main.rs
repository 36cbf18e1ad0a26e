//! `nugul-payment`: the payment service as a program.
use std::process::ExitCode;

use nugul_payment::config::Config;
use nugul_payment::confirm::Timings;
use nugul_payment::{Failure, serve, telemetry};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let check = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--check-config"] => true,
        ["--help" | "-h"] => {
            print!("{}", Config::help());
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("unknown argument; see --help");
            return ExitCode::from(2);
        }
    };
    match Config::read(|name| std::env::var(name).ok()) {
        Ok(_) if check => {
            println!("ok");
            ExitCode::SUCCESS
        }
        Ok(config) => match run(config).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("nugul-payment: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("nugul-payment: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(config: Config) -> Result<(), Failure> {
    telemetry::start(&config.log)?;
    let (listener, admin) = (TcpListener::bind(config.listen).await?, TcpListener::bind(config.admin_listen).await?);
    tracing::info!(listen = %listener.local_addr()?, admin = %admin.local_addr()?, "listening");
    let stop = CancellationToken::new();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let signalled = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        signalled.cancel();
    });
    serve(config, Timings::default(), listener, admin, stop).await?;
    tracing::info!("stopped");
    Ok(())
}
