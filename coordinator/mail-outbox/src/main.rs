//! `nugul-mail-outbox`: the mail outbox as a program.
use std::process::ExitCode;

use nugul_mail_outbox::{Settings, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> ExitCode {
    nugul_program::main("nugul-mail-outbox", &Settings::help(), |get| Settings::read(get), run).await
}

async fn run(settings: Settings, stop: CancellationToken) -> Result<(), Box<dyn std::error::Error>> {
    nugul_program::logs(&settings.log)?;
    let mail = TcpListener::bind(settings.smtp).await?;
    let http = TcpListener::bind(settings.http).await?;
    tracing::info!(smtp = %mail.local_addr()?, http = %http.local_addr()?, "ready");
    serve(mail, http, settings.dir, stop).await?;
    tracing::info!("stopped");
    Ok(())
}
