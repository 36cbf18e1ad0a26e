//! Control of the simulator by tests: faults to come, deposits, refunds by hand, and what was charged.
use std::sync::PoisonError;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::Simulator;
use crate::faults::{Fault, Faults, MAX_RULES, Point, Webhooks};
use crate::store::{Answer, Cancel};

impl Simulator {
    /// The fault of the next request at a point.
    pub(crate) fn next_fault(&self, at: Point) -> Option<(Fault, u64)> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).next(at)
    }

    /// What happens to webhooks now.
    pub(crate) fn webhook_faults(&self) -> Webhooks {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).webhooks.clone()
    }
}

/// `POST /control/faults`: replaces the faults to come.
pub async fn set(State(sim): State<Simulator>, Json(faults): Json<Faults>) -> Response {
    if faults.script.len() > MAX_RULES {
        return (StatusCode::BAD_REQUEST, Json(json!({"message": "the script is too long"}))).into_response();
    }
    *sim.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults.clone();
    Json(faults).into_response()
}

/// `DELETE /control/faults`: no more faults.
pub async fn clear(State(sim): State<Simulator>) -> StatusCode {
    *sim.faults.lock().unwrap_or_else(PoisonError::into_inner) = Faults::default();
    StatusCode::NO_CONTENT
}

/// `GET /control/payments`: every payment with what was charged and how often.
pub async fn payments(State(sim): State<Simulator>) -> Response {
    match sim.store.run(|store, now| Ok(store.report(now))).await {
        Ok(report) => Json(report).into_response(),
        Err(error) => {
            tracing::error!(%error, "report");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Which payment.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Which {
    payment_key: String,
}

/// `POST /control/deposits`: the buyer pays into the virtual account.
pub async fn deposit(State(sim): State<Simulator>, Json(which): Json<Which>) -> Result<Answer, Answer> {
    let changed = sim.store.run(move |store, now| store.deposit(&which.payment_key, now)).await;
    let (answer, payment) = changed.map_err(|error| crate::api::internal(&error))?;
    if let Some(payment) = payment {
        sim.tell(&payment);
    }
    Ok(answer)
}

/// What a person at the provider gives back.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ByHand {
    payment_key: String,
    cancel_reason: String,
    cancel_amount: Option<i64>,
}

/// `POST /control/refunds`: a person gives money back at the provider, past the merchant's server.
pub async fn refund(State(sim): State<Simulator>, Json(ask): Json<ByHand>) -> Result<Answer, Answer> {
    let cancel = Cancel::by_hand(ask.cancel_reason, ask.cancel_amount);
    let changed = sim.store.run(move |store, now| store.cancel(&ask.payment_key, &cancel, None, now)).await;
    let (answer, payment) = changed.map_err(|error| crate::api::internal(&error))?;
    if let Some(payment) = payment {
        sim.tell(&payment);
    }
    Ok(answer)
}
