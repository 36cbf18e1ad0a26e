//! `toss-simulator`: the simulated payment provider as a program.
use std::process::ExitCode;

use nugul_toss_simulator::{Settings, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// As in the payment service: less time for memory than the system's own takes.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    nugul_program::main("toss-simulator", &Settings::help(), |get| Settings::read(get), run).await
}

async fn run(settings: Settings, stop: CancellationToken) -> Result<(), Box<dyn std::error::Error>> {
    nugul_program::logs(&settings.log)?;
    let listener = TcpListener::bind(settings.listen).await?;
    tracing::info!(listen = %listener.local_addr()?, "ready");
    serve(listener, settings, stop).await?;
    tracing::info!("stopped");
    Ok(())
}
