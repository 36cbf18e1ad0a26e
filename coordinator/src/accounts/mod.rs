//! Accounts: sign-up by an e-mailed code, log-in by password, rotating refresh tokens.

pub mod password;
pub mod routes;
pub mod service;
pub mod store;

pub use routes::router;
pub use service::seed_account;

use std::time::Duration;

use crate::app::App;

/// How often codes, failures and log-ins whose time is over are deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Deletes what is over, until the process stops.
pub async fn keep_tidy(app: App) {
    let mut stopping = app.stopping.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP_EVERY) => {}
            _ = stopping.changed() => return,
        }
        if let Err(e) = service::sweep(&app).await {
            tracing::warn!(context = e.context, "old codes and log-ins could not be deleted");
        }
    }
}
