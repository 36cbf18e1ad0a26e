//! `nugul-payment`: the payment service as a program.
use std::process::ExitCode;

use nugul_payment::config::Config;
use nugul_payment::confirm::Timings;
use nugul_payment::{Failure, Listeners, install_crypto, serve};
use tokio_util::sync::CancellationToken;

/// As in the coordinator: less time for memory than the system's own takes.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    install_crypto();
    nugul_program::main("nugul-payment", &Config::help(), |get| Config::read(get), run).await
}

async fn run(config: Config, stop: CancellationToken) -> Result<(), Failure> {
    nugul_program::logs(&config.log)?;
    let listeners = Listeners::bind(&config).await?;
    tracing::info!(listen = %listeners.grpc.local_addr()?, admin = %listeners.admin.local_addr()?, "listening");
    let timings = Timings { answer: config.toss_answer, ..Timings::default() };
    Box::pin(serve(config, timings, listeners, stop)).await?;
    tracing::info!("stopped");
    Ok(())
}
