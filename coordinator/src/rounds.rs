//! Work that is done in rounds while the process runs. Any replica does it, so each round must be harmless where another did it.

use std::{future::Future, time::Duration};

use crate::{app::App, error::ApiError};

/// Does `work` after each pause, until the process stops. A round that fails is told, with `failed`, and the next does its work.
pub async fn every<W, F>(app: App, pause: Duration, failed: &'static str, work: W)
where
    W: Fn(App) -> F,
    F: Future<Output = Result<(), ApiError>>,
{
    let mut stopping = app.stopping.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopping.changed() => return,
        }
        if let Err(e) = work(app.clone()).await {
            tracing::warn!(context = e.context, "{failed}");
        }
    }
}
