//! `performances/{id}/holds` and `holds/{id}`.

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use nugul_api::{
    Code,
    booking::{Hold, NewHold},
};
use nugul_domain::{
    HoldId, PerformanceId,
    event::HOLD_SEATS_MAX,
    seat_book::{HoldGone, HoldRequest},
};

use super::service;
use crate::{
    app::App,
    catalogue::service::performance,
    error::ApiError,
    extract::{Auth, EmptyWrite, Id, Write},
};

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new().route("/performances/{id}/holds", post(create)).route("/holds/{id}", get(read).delete(release))
}

#[utoipa::path(post, path = "/api/v1/performances/{id}/holds", tag = "booking", request_body = NewHold, responses((status = 201, body = Hold)), params(("id" = String, Path)))]
async fn create(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<PerformanceId>,
    write: Write<NewHold>,
) -> Result<Response, ApiError> {
    let info = performance(&app, id).await?;
    let now = app.now();
    let wanted = service::wanted(&info, write.body)?;
    if now < info.summary.sales_open_at || now >= info.summary.starts_at {
        return Err(Code::SalesClosed.into());
    }
    let request = HoldRequest {
        id: HoldId::new(app.config.region, now, app.random_id()),
        user: auth.user(),
        seats: Vec::new(),
        key: write.key,
        digest: write.digest,
        ttl_ms: app.config.hold_ttl_ms,
        limit: HOLD_SEATS_MAX,
    };
    let hold = service::take(&app, &info, wanted, request).await?;
    Ok((StatusCode::CREATED, Json(service::to_api(&app, id, &hold).await?)).into_response())
}

#[utoipa::path(get, path = "/api/v1/holds/{id}", tag = "booking", responses((status = 200, body = Hold)), params(("id" = String, Path)))]
async fn read(State(app): State<App>, auth: Auth, Id(id): Id<HoldId>) -> Result<Json<Hold>, ApiError> {
    let found = app.seats.find_hold(id).await?;
    let (performance, hold) = found.filter(|(_, h)| h.user == auth.user()).ok_or(Code::NotFound)?;
    Ok(Json(service::to_api(&app, performance, &hold).await?))
}

#[utoipa::path(delete, path = "/api/v1/holds/{id}", tag = "booking", responses((status = 204)), params(("id" = String, Path)))]
async fn release(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<HoldId>,
    _write: EmptyWrite,
) -> Result<StatusCode, ApiError> {
    let found = app.seats.find_hold(id).await?;
    let (performance, _) = found.filter(|(_, h)| h.user == auth.user()).ok_or(Code::NotFound)?;
    match crate::on_seats!(&app, performance, app.seats.release(performance, id, auth.user()))? {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(HoldGone::NotFound) => Err(Code::NotFound.into()),
        Err(HoldGone::Ordered(_)) => Err(Code::OrderState.into()),
    }
}
