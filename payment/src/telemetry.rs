//! Logs on stderr, and the private HTTP side: is it alive, is it ready, how is it doing.
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::confirm::Payments;
use crate::state::State;
use crate::{ledger, outbox, store};

/// Starts structured logs with a filter.
pub fn start(filter: &str) -> Result<(), String> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| format!("NUGUL_LOG: {error}"))?;
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .try_init()
        .map_err(|error| error.to_string())
}

/// `/healthz`, `/readyz`, `/metrics`.
pub fn router(payments: Arc<Payments>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(payments)
}

async fn ready(Shared(payments): Shared<Arc<Payments>>) -> Response {
    if payments.db.is_alive().await {
        "ok".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "database").into_response()
    }
}

async fn metrics(Shared(payments): Shared<Arc<Payments>>) -> Response {
    match text(&payments).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

async fn text(payments: &Payments) -> Result<String, sqlx::Error> {
    let mut out = String::new();
    let counters = &payments.counters;
    for (name, count) in [
        ("confirms", &counters.confirms),
        ("refunds", &counters.refunds),
        ("unknown_answers", &counters.unknown),
        ("reconciler_looks", &counters.reconciled),
    ] {
        let name = format!("nugul_payment_{name}_total");
        let _ = writeln!(out, "# TYPE {name} counter\n{name} {}", count.load(Ordering::Relaxed));
    }
    let _ = writeln!(out, "# TYPE nugul_payment_payments gauge");
    for state in State::ALL {
        let count = store::count(&payments.db, state).await?;
        let _ = writeln!(out, "nugul_payment_payments{{state=\"{}\"}} {count}", state.name());
    }
    let (sum, held) = ledger::totals(&payments.db).await?;
    for (name, value) in [
        ("open_cases", store::count_open_cases(&payments.db).await?),
        ("ledger_sum_krw", sum),
        ("ledger_held_krw", held),
        ("results_newest_offset", outbox::newest(&payments.db).await?),
    ] {
        let _ = writeln!(out, "# TYPE nugul_payment_{name} gauge\nnugul_payment_{name} {value}");
    }
    Ok(out)
}
