//! `nugul-mail-outbox`: the mail outbox as a program.
use std::process::ExitCode;

use nugul_mail_outbox::{Settings, serve};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let check = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--check-config"] => true,
        ["--help" | "-h"] => {
            print!("{}", Settings::help());
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("unknown argument; see --help");
            return ExitCode::from(2);
        }
    };
    match Settings::read(|name| std::env::var(name).ok()) {
        Ok(_) if check => {
            println!("ok");
            ExitCode::SUCCESS
        }
        Ok(settings) => match run(settings).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("nugul-mail-outbox: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("nugul-mail-outbox: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(settings: Settings) -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::try_new(&settings.log)?)
        .init();
    let mail = tokio::net::TcpListener::bind(settings.smtp).await?;
    let http = tokio::net::TcpListener::bind(settings.http).await?;
    tracing::info!(smtp = %mail.local_addr()?, http = %http.local_addr()?, "ready");
    let stop = CancellationToken::new();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let signalled = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        signalled.cancel();
    });
    serve(mail, http, settings.dir, stop).await?;
    tracing::info!("stopped");
    Ok(())
}
