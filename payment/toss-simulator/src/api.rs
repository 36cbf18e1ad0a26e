//! The merchant's side: `/v1/payments…` with Basic authentication and `Idempotency-Key`, as in Toss's core API.
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::Simulator;
use crate::faults::{Fault, Point};
use crate::store::{Answer, Cancel, Confirm, MAX_IDEMPOTENCY_KEY, Payment, Store, not_found};

/// A request that hangs does so for this long.
pub const HANG: Duration = Duration::from_mins(1);
/// No request is delayed by more.
pub const MAX_DELAY: Duration = Duration::from_mins(1);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A text stands for a body that is no JSON.
        if let serde_json::Value::String(text) = self.body {
            return (status, text).into_response();
        }
        (status, Json(self.body)).into_response()
    }
}

pub(crate) fn internal(error: &std::io::Error) -> Answer {
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

pub(crate) fn invalid() -> Answer {
    Answer::error(400, "INVALID_REQUEST", "잘못된 요청입니다.")
}

/// Ends the connection without an answer: the server's task for it unwinds, and with it goes the socket.
fn lose_connection() -> ! {
    std::panic::resume_unwind(Box::new("connection lost on request"))
}

pub(crate) fn authorize(sim: &Simulator, headers: &HeaderMap) -> Result<(), Answer> {
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
        if let Some(key) = &self.1 {
            self.0.keys().end(key);
        }
    }
}

fn begin(sim: &Simulator, key: Option<&String>) -> Result<Busy, Answer> {
    match key.and_then(|key| sim.keys().begin(key)) {
        None => Ok(Busy(sim.clone(), key.cloned())),
        Some(answer) => Err(answer),
    }
}

/// Does the work of a request at a point, with the fault that is due there.
pub(crate) async fn spoil(
    sim: &Simulator,
    at: Point,
    work: impl AsyncFnOnce(Option<Fault>) -> Result<Answer, Answer>,
) -> Result<Answer, Answer> {
    let Some((fault, ms)) = sim.next_fault(at) else { return work(None).await };
    if fault == Fault::Delay {
        tokio::time::sleep(Duration::from_millis(ms).min(MAX_DELAY)).await;
    }
    let answer = if fault.is_before() { Ok(failed()) } else { work(Some(fault)).await };
    match fault {
        Fault::LateAfter => {
            tokio::time::sleep(Duration::from_millis(ms).min(MAX_DELAY)).await;
            answer
        }
        Fault::DropBefore | Fault::DropAfter => lose_connection(),
        Fault::HangBefore | Fault::HangAfter => {
            tokio::time::sleep(HANG).await;
            Err(failed())
        }
        Fault::ErrorBefore | Fault::ErrorAfter => Err(failed()),
        Fault::TooMany => {
            Err(Answer::error(429, "TOO_MANY_REQUESTS", "요청이 너무 많습니다. 잠시 후 다시 시도해주세요."))
        }
        Fault::NotFound => Err(not_found()),
        Fault::NoJson => Ok(Answer { status: 200, body: json!("<html>502 Bad Gateway</html>") }),
        Fault::WrongBody => Ok(Answer { status: 200, body: json!({"result": "ok"}) }),
        Fault::WrongAmount if at != Point::Settlements => answer.map(|mut answer| {
            if let Some(amount) = answer.body["totalAmount"].as_i64() {
                answer.body["totalAmount"] = json!(amount + 1);
            }
            answer
        }),
        Fault::Delay | Fault::WrongAmount | Fault::MissingRow | Fault::ExtraRow => answer,
    }
}

/// `POST /v1/payments/confirm`.
pub async fn confirm(State(sim): State<Simulator>, headers: HeaderMap, body: Bytes) -> Result<Answer, Answer> {
    authorize(&sim, &headers)?;
    let key = idempotency_key(&headers, "confirm")?;
    let ask: Confirm = serde_json::from_slice(&body).map_err(|_| invalid())?;
    let _busy = begin(&sim, key.as_ref())?;
    spoil(&sim, Point::Confirm, async |_| {
        let work = move |store: &mut Store, now| store.confirm(&ask, key.as_deref(), now);
        changed(&sim, sim.store.run(work).await)
    })
    .await
}

/// Tells the merchant of a payment that has changed, and gives the answer.
fn changed(sim: &Simulator, result: std::io::Result<(Answer, Option<Payment>)>) -> Result<Answer, Answer> {
    let (answer, payment) = result.map_err(|error| internal(&error))?;
    if let Some(payment) = payment {
        sim.tell(&payment);
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
    let key = idempotency_key(&headers, &format!("cancel {payment_key}"))?;
    let ask: Cancel = serde_json::from_slice(&body).map_err(|_| invalid())?;
    let _busy = begin(&sim, key.as_ref())?;
    spoil(&sim, Point::Cancel, async |_| {
        let work = move |store: &mut Store, now| store.cancel(&payment_key, &ask, key.as_deref(), now);
        changed(&sim, sim.store.run(work).await)
    })
    .await
}

/// `GET /v1/payments/{paymentKey}`.
pub async fn by_key(
    State(sim): State<Simulator>,
    Path(payment_key): Path<String>,
    headers: HeaderMap,
) -> Result<Answer, Answer> {
    authorize(&sim, &headers)?;
    spoil(&sim, Point::Lookup, async |_| {
        sim.store.run(move |store, now| Ok(store.by_key(&payment_key, now))).await.map_err(|error| internal(&error))
    })
    .await
}

/// `GET /v1/payments/orders/{orderId}`.
pub async fn by_order(
    State(sim): State<Simulator>,
    Path(order_id): Path<String>,
    headers: HeaderMap,
) -> Result<Answer, Answer> {
    authorize(&sim, &headers)?;
    spoil(&sim, Point::Lookup, async |_| {
        sim.store.run(move |store, now| Ok(store.by_order(&order_id, now))).await.map_err(|error| internal(&error))
    })
    .await
}
