//! The merchant's side: `/v1/payments…` with Basic authentication and `Idempotency-Key`, as in Toss's core API.
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::store::{Answer, Cancel, Confirm, MAX_IDEMPOTENCY_KEY};
use crate::{Simulator, now_ms};

/// A confirm that hangs does so for this long.
pub const HANG: Duration = Duration::from_secs(60);
/// No confirm is delayed by more.
pub const MAX_DELAY: Duration = Duration::from_secs(60);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(self.body))
            .into_response()
    }
}

fn internal(error: &std::io::Error) -> Answer {
    tracing::error!(%error, "state file");
    failed()
}

fn failed() -> Answer {
    Answer::error(
        500,
        "FAILED_INTERNAL_SYSTEM_PROCESSING",
        "내부 시스템 처리 작업이 실패했습니다. 잠시 후 다시 시도해주세요.",
    )
}

fn invalid() -> Answer {
    Answer::error(400, "INVALID_REQUEST", "잘못된 요청입니다.")
}

/// Ends the connection without an answer: the server's task for it unwinds, and with it goes the socket.
fn lose_connection() -> ! {
    std::panic::resume_unwind(Box::new("connection lost on request"))
}

fn authorize(sim: &Simulator, headers: &HeaderMap) -> Result<(), Answer> {
    let wanted = format!("Basic {}", STANDARD.encode(format!("{}:", sim.settings.secret_key)));
    match headers.get(header::AUTHORIZATION) {
        Some(given) if given.as_bytes() == wanted.as_bytes() => Ok(()),
        _ => Err(Answer::error(401, "UNAUTHORIZED_KEY", "인증되지 않은 시크릿 키 혹은 클라이언트 키 입니다.")),
    }
}

/// The idempotency key, told apart by path as at Toss.
fn idempotency_key(headers: &HeaderMap, path: &str) -> Result<Option<String>, Answer> {
    match headers.get("idempotency-key").map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(key)) if !key.is_empty() && key.len() <= MAX_IDEMPOTENCY_KEY => Ok(Some(format!("{path} {key}"))),
        Some(_) => Err(Answer::error(400, "INVALID_IDEMPOTENCY_KEY", "멱등키는 300자 이하여야 합니다.")),
    }
}

/// Holds an idempotency key while its first request is under way, and frees it however that ends.
struct Busy(Simulator, Option<String>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store.lock().unwrap_or_else(std::sync::PoisonError::into_inner).end(self.1.as_deref());
    }
}

async fn begin(sim: &Simulator, key: Option<&String>) -> Result<Busy, Answer> {
    let asked = key.cloned();
    match sim.with_store(move |store, _| Ok(store.begin(asked.as_deref()))).await {
        Ok(None) => Ok(Busy(sim.clone(), key.cloned())),
        Ok(Some(answer)) => Err(answer),
        Err(error) => Err(internal(&error)),
    }
}

/// `POST /v1/payments/confirm`.
pub async fn confirm(State(sim): State<Simulator>, headers: HeaderMap, body: Bytes) -> Result<Answer, Answer> {
    authorize(&sim, &headers)?;
    let key = idempotency_key(&headers, "confirm")?;
    let ask: Confirm = serde_json::from_slice(&body).map_err(|_| invalid())?;
    let busy = begin(&sim, key.as_ref()).await?;
    let delay = Duration::from_millis(sim.delay_ms()).min(MAX_DELAY);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if sim.spoil(|faults| &mut faults.error_500) {
        return Err(failed());
    }
    let work = move |store: &mut crate::store::Store, now| store.confirm(&ask, key.as_deref(), now);
    let (answer, _) = sim.with_store(work).await.map_err(|error| internal(&error))?;
    drop(busy);
    if sim.spoil(|faults| &mut faults.drop_after_effect) {
        lose_connection();
    }
    if sim.spoil(|faults| &mut faults.hang_after_effect) {
        tokio::time::sleep(HANG).await;
        return Err(failed());
    }
    Ok(answer)
}

/// `POST /v1/payments/{paymentKey}/cancel`.
pub async fn cancel(
    State(sim): State<Simulator>,
    Path(payment_key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answer, Answer> {
    authorize(&sim, &headers)?;
    let key = idempotency_key(&headers, "cancel")?;
    let ask: Cancel = serde_json::from_slice(&body).map_err(|_| invalid())?;
    let busy = begin(&sim, key.as_ref()).await?;
    let work = move |store: &mut crate::store::Store, now| store.cancel(&payment_key, &ask, key.as_deref(), now);
    let answer = sim.with_store(work).await.map_err(|error| internal(&error))?;
    drop(busy);
    if sim.spoil(|faults| &mut faults.cancel_drop_after_effect) {
        lose_connection();
    }
    Ok(answer)
}

/// `GET /v1/payments/{paymentKey}`.
pub async fn by_key(
    State(sim): State<Simulator>,
    Path(payment_key): Path<String>,
    headers: HeaderMap,
) -> Result<Answer, Answer> {
    authorize(&sim, &headers)?;
    sim.with_store(move |store, _| Ok(store.by_key(&payment_key, now_ms()))).await.map_err(|error| internal(&error))
}

/// `GET /v1/payments/orders/{orderId}`.
pub async fn by_order(
    State(sim): State<Simulator>,
    Path(order_id): Path<String>,
    headers: HeaderMap,
) -> Result<Answer, Answer> {
    authorize(&sim, &headers)?;
    if sim.spoil(|faults| &mut faults.lookup_500) {
        return Err(failed());
    }
    sim.with_store(move |store, now| Ok(store.by_order(&order_id, now))).await.map_err(|error| internal(&error))
}
