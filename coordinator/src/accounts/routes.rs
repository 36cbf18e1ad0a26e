//! `auth/…` and `me`.
//!
//! Log-in, refresh and log-out take no idempotency key: an answer kept for a key would keep the tokens in it, and none
//! needs one. A repeated log-in is another log-in, a repeated log-out changes nothing, and a repeated refresh is answered
//! within its leeway.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::Response,
    routing::{get, post},
};
use nugul_api::accounts::{Account, EmailCodeRequest, EmailCodeSent, LogIn, RefreshToken, SignUp, Tokens};

use super::service;
use crate::{
    app::App,
    error::ApiError,
    extract::{Auth, JsonBody, Write},
};

/// Tokens are kept by nobody on the way (RFC 6749, 5.1).
pub(crate) const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

pub(crate) type NotStored<T> = ([(HeaderName, &'static str); 1], Json<T>);

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new()
        .route("/auth/email-codes", post(email_codes))
        .route("/auth/sign-up", post(sign_up))
        .route("/auth/log-in", post(log_in))
        .route("/auth/refresh", post(refresh))
        .route("/auth/log-out", post(log_out))
        .route("/me", get(me))
}

#[utoipa::path(post, path = "/api/v1/auth/email-codes", tag = "accounts", request_body = EmailCodeRequest,
    responses((status = 202, body = EmailCodeSent)))]
async fn email_codes(State(app): State<App>, write: Write<EmailCodeRequest>) -> Result<Response, ApiError> {
    service::send_code(app, &write.body.email, write.key, write.digest).await
}

#[utoipa::path(post, path = "/api/v1/auth/sign-up", tag = "accounts", request_body = SignUp,
    responses((status = 201, body = Account)))]
async fn sign_up(State(app): State<App>, write: Write<SignUp>) -> Result<Response, ApiError> {
    service::sign_up(app, write.body, write.key, write.digest).await
}

#[utoipa::path(post, path = "/api/v1/auth/log-in", tag = "accounts", request_body = LogIn,
    responses((status = 200, body = Tokens)))]
async fn log_in(State(app): State<App>, JsonBody(body): JsonBody<LogIn>) -> Result<NotStored<Tokens>, ApiError> {
    Ok((NO_STORE, Json(service::log_in(&app, body).await?)))
}

#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "accounts", request_body = RefreshToken,
    responses((status = 200, body = Tokens)))]
async fn refresh(
    State(app): State<App>,
    JsonBody(body): JsonBody<RefreshToken>,
) -> Result<NotStored<Tokens>, ApiError> {
    Ok((NO_STORE, Json(service::refresh(&app, &body.refresh_token).await?)))
}

#[utoipa::path(post, path = "/api/v1/auth/log-out", tag = "accounts", request_body = RefreshToken,
    responses((status = 204)))]
async fn log_out(State(app): State<App>, JsonBody(body): JsonBody<RefreshToken>) -> Result<StatusCode, ApiError> {
    service::log_out(&app, &body.refresh_token).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(get, path = "/api/v1/me", tag = "accounts", responses((status = 200, body = Account)))]
async fn me(State(app): State<App>, auth: Auth) -> Result<NotStored<Account>, ApiError> {
    Ok((NO_STORE, Json(service::me(&app, auth.user()).await?)))
}
