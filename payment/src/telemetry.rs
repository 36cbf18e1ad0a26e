//! The private HTTP side: is it alive, is it ready, how is it doing.
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use nugul_proto::payment::v1::CaseKind;

use crate::confirm::Payments;
use crate::state::State;
use crate::{cases, ledger, outbox, store};

/// `/healthz`, `/readyz`, `/metrics`.
pub fn router(payments: Arc<Payments>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(payments)
}

async fn ready(Shared(payments): Shared<Arc<Payments>>) -> Response {
    if payments.db.ping().await.is_ok() {
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
        ("webhooks", &counters.webhooks),
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
        ("open_cases_outcome", cases::count_open(&payments.db, CaseKind::Outcome).await?),
        ("open_cases_difference", cases::count_open(&payments.db, CaseKind::Difference).await?),
        ("open_cases_command", cases::count_open(&payments.db, CaseKind::Command).await?),
        ("results_acknowledged_offset", counters.acknowledged.load(Ordering::Relaxed)),
        ("ledger_sum_krw", sum),
        ("ledger_held_krw", held),
        ("results_newest_offset", outbox::newest(&payments.db).await?),
    ] {
        let _ = writeln!(out, "# TYPE nugul_payment_{name} gauge\nnugul_payment_{name} {value}");
    }
    Ok(out)
}
