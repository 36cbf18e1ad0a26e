//! The routes put together, and what every request goes through: a trace id, bounds, problems in the reader's language.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use nugul_api::{
    Code, Problem,
    headers::{API, PROBLEM_JSON, TRACE_ID},
    problem::Language,
};
use serde_json::Value;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    accounts,
    app::{App, fill_random, hex},
    catalogue, corrections,
    error::ApiError,
    extract::bytes_of,
    holds, openapi, orders, parked, payments, performances, rankings, refunds, search, streams, tickets, trace,
};

/// How long a request may take; streams answer their first byte at once and are not bounded by it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest trace id taken from outside.
const TRACE_ID_CHARS_MAX: usize = 64;

/// The whole interface.
pub fn router(app: App) -> Router {
    let api = Router::new()
        .merge(accounts::routes::router())
        .merge(catalogue::routes::router())
        .merge(streams::router())
        .merge(holds::routes::router())
        .merge(orders::routes::router())
        .merge(tickets::routes::router())
        .merge(refunds::routes::router())
        .merge(performances::routes::router())
        .merge(corrections::router())
        .merge(parked::routes::router())
        .merge(payments::history::router())
        .merge(payments::ledger::router())
        .merge(payments::reconciliation::router())
        .merge(rankings::routes::router())
        .merge(search::routes::router())
        .merge(search::admin::router());
    Router::new()
        .nest(API, api)
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/openapi.json", get(|| async { Json(openapi::document()) }))
        .route("/.well-known/jwks.json", get(jwks))
        .fallback(|| async { ApiError::from(Code::NotFound) })
        .method_not_allowed_fallback(|| async { ApiError::from(Code::MethodNotAllowed) })
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            ApiError::internal("a handler panicked").into_response()
        }))
        .layer(middleware::from_fn(problems))
        .with_state(app)
}

async fn ready(State(app): State<App>) -> Result<&'static str, ApiError> {
    app.db.ping().await?;
    app.seats.ping().await?;
    Ok("ready")
}

async fn jwks(State(app): State<App>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "public, max-age=60")], Json::<Value>(app.keys.jwks()))
}

/// Gives every request a trace id and a time-out, and turns an [`ApiError`] into its problem.
async fn problems(request: Request, next: Next) -> Response {
    let (language, trace_id) = {
        let text = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
        let plain = |t: &&str| t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let trace_id = text(TRACE_ID).filter(|t| (1..=TRACE_ID_CHARS_MAX).contains(&t.len())).filter(plain);
        (Language::from_header(text("accept-language")), trace_id.map_or_else(new_trace_id, str::to_owned))
    };
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answered = tokio::time::timeout(REQUEST_TIMEOUT, async {
        match whole(request).await {
            Ok(request) => trace::with(trace_id.as_str().into(), next.run(request)).await,
            Err(e) => e.into_response(),
        }
    });
    let mut response =
        answered.await.unwrap_or_else(|_| ApiError::unavailable("the request took too long").into_response());
    if let Some(e) = response.extensions_mut().remove::<ApiError>() {
        if let Some(context) = &e.context {
            tracing::error!(%trace_id, %method, %path, code = e.code.as_str(), "{context}");
        }
        response = render(&e, language, &trace_id);
    }
    if let Ok(value) = HeaderValue::from_str(&trace_id) {
        response.headers_mut().insert(TRACE_ID, value);
    }
    response
}

/// The request with its body read to the end: an answer sent before that closes the connection under a client that is
/// still writing, which then may never see it.
async fn whole(request: Request) -> Result<Request, ApiError> {
    let (parts, body) = request.into_parts();
    Ok(Request::from_parts(parts, bytes_of(body).await?.into()))
}

fn render(e: &ApiError, language: Language, trace_id: &str) -> Response {
    let mut problem = Problem::new(e.code, language, trace_id);
    problem.errors = e.errors.iter().map(|fault| fault.to_api(language)).collect();
    problem.seats.clone_from(&e.seats);
    problem.alternative.clone_from(&e.alternative);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(problem)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if let Some(seconds) = e.retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn new_trace_id() -> String {
    let mut bytes = [0; 8];
    fill_random(&mut bytes);
    hex(&bytes)
}
