//! `performances/{id}/holds` and `holds/{id}`.

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use nugul_api::{
    Code,
    booking::{Hold, NewHold, SwapSeats},
    headers::API,
};
use nugul_domain::{
    HoldId, PerformanceId,
    seat_book::{ExtendRequest, HoldRequest, ReleaseRequest, SwapRequest},
};

use super::service;
use crate::{
    app::App,
    catalogue,
    error::ApiError,
    extract::{Auth, EmptyWrite, Id, Write},
    orders,
};

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new()
        .route("/performances/{id}/holds", post(create))
        .route("/holds/{id}", get(read).delete(release))
        .route("/holds/{id}/extend", post(extend))
        .route("/holds/{id}/swap", post(swap))
}

#[utoipa::path(post, path = "/api/v1/performances/{id}/holds", tag = "booking", request_body = NewHold, responses((status = 201, body = Hold)), params(("id" = String, Path)))]
async fn create(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<PerformanceId>,
    write: Write<NewHold>,
) -> Result<Response, ApiError> {
    let info = catalogue::service::performance(&app, id).await?;
    let now = app.now();
    let wanted = service::wanted(&info, write.body)?;
    let request = HoldRequest {
        id: HoldId::new(app.config.region, now, app.random_id()),
        user: auth.user(),
        seats: Vec::new(),
        key: write.key,
        digest: write.digest,
        ttl_ms: app.config.hold_ttl_ms,
        limit: info.limits.performance_seats_max as usize,
    };
    let _turn = app.gates.turn(id).await?;
    let hold = service::hold(&app, &info, wanted, request).await?;
    Ok((StatusCode::CREATED, Json(service::to_api(&info, &hold)?)).into_response())
}

#[utoipa::path(get, path = "/api/v1/holds/{id}", tag = "booking", responses((status = 200, body = Hold), (status = 303, description = "It became an order, which is at `Location`")), params(("id" = String, Path)))]
async fn read(State(app): State<App>, auth: Auth, Id(id): Id<HoldId>) -> Result<Response, ApiError> {
    let found = app.seats.find_hold(id).await?;
    if let Some((performance, hold)) = found.filter(|(_, h)| h.user == auth.user() && h.order.is_none()) {
        let info = catalogue::service::performance(&app, performance).await?;
        return Ok(Json(service::to_api(&info, &hold)?).into_response());
    }
    // The live state forgets what became of a hold; SQL does not.
    let order = orders::store::of_hold(&app.db, id).await?.filter(|order| order.user == auth.user());
    let order = order.ok_or(Code::NotFound)?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, format!("{API}/orders/{}", order.id))]).into_response())
}

#[utoipa::path(delete, path = "/api/v1/holds/{id}", tag = "booking", responses((status = 204)), params(("id" = String, Path)))]
async fn release(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<HoldId>,
    write: EmptyWrite,
) -> Result<StatusCode, ApiError> {
    let info = service::performance_of(&app, id).await?;
    let request = ReleaseRequest { hold: id, user: auth.user(), key: write.key, digest: write.digest };
    service::release(&app, &info, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/api/v1/holds/{id}/extend", tag = "booking", responses((status = 200, body = Hold)), params(("id" = String, Path)))]
async fn extend(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<HoldId>,
    write: EmptyWrite,
) -> Result<Json<Hold>, ApiError> {
    let info = service::performance_of(&app, id).await?;
    let ttl_ms = app.config.hold_ttl_ms;
    let request = ExtendRequest { hold: id, user: auth.user(), key: write.key, digest: write.digest, ttl_ms };
    let hold = service::extend(&app, &info, request).await?;
    Ok(Json(service::to_api(&info, &hold)?))
}

#[utoipa::path(post, path = "/api/v1/holds/{id}/swap", tag = "booking", request_body = SwapSeats, responses((status = 200, body = Hold)), params(("id" = String, Path)))]
async fn swap(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<HoldId>,
    write: Write<SwapSeats>,
) -> Result<Json<Hold>, ApiError> {
    let info = service::performance_of(&app, id).await?;
    let request = SwapRequest {
        hold: id,
        user: auth.user(),
        give: service::seats_of(&info, "/give", write.body.give)?,
        take: service::seats_of(&info, "/take", write.body.take)?,
        key: write.key,
        digest: write.digest,
        limit: info.limits.performance_seats_max as usize,
        hold_limit: info.limits.hold_seats_max as usize,
    };
    let _turn = app.gates.turn(info.summary.id).await?;
    let hold = service::swap(&app, &info, request).await?;
    Ok(Json(service::to_api(&info, &hold)?))
}
