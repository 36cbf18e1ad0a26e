//! Control of the simulator by tests: faults to come, and what was charged.
use std::sync::PoisonError;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::Simulator;

/// Faults of the confirms to come; each count falls by one with every confirm it spoils.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// How long every confirm waits before anything happens.
    pub confirm_delay_ms: u64,
    /// So many confirms take effect and then lose their connection.
    pub drop_after_effect: u32,
    /// So many confirms answer 500 and take no effect.
    pub error_500: u32,
    /// So many confirms take effect and then never answer.
    pub hang_after_effect: u32,
    /// So many look-ups of an order answer 500.
    pub lookup_500: u32,
    /// So many cancels take effect and then lose their connection.
    pub cancel_drop_after_effect: u32,
}

impl Simulator {
    /// Takes one from a count; false when there is none left.
    pub(crate) fn spoil(&self, count: impl FnOnce(&mut Faults) -> &mut u32) -> bool {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let left = count(&mut faults);
        let spoil = *left > 0;
        *left = left.saturating_sub(1);
        spoil
    }

    pub(crate) fn delay_ms(&self) -> u64 {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).confirm_delay_ms
    }
}

/// `POST /control/faults`: replaces the faults to come.
pub async fn set(State(sim): State<Simulator>, Json(faults): Json<Faults>) -> Json<Faults> {
    *sim.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    Json(faults)
}

/// `DELETE /control/faults`: no more faults.
pub async fn clear(State(sim): State<Simulator>) -> StatusCode {
    *sim.faults.lock().unwrap_or_else(PoisonError::into_inner) = Faults::default();
    StatusCode::NO_CONTENT
}

/// `GET /control/payments`: every payment with what was charged and how often.
pub async fn payments(State(sim): State<Simulator>) -> Response {
    match sim.with_store(|store, now| Ok(store.report(now))).await {
        Ok(report) => Json(report).into_response(),
        Err(error) => {
            tracing::error!(%error, "report");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
