//! `tickets/{id}/refund-requests`, `refund-requests/{id}`, `me/refund-requests` and the organiser's list.

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use nugul_api::{
    Code, Page,
    booking::{NewRefund, Refund},
};
use nugul_domain::{RefundId, TicketId, account::Role, refund::RefundState};

use super::{
    service,
    store::{self, StoredRefund},
};
use crate::{
    app::{App, Parts},
    catalogue::{service::run_by, store::is_cancelled},
    error::ApiError,
    extract::{Auth, EmptyWrite, Id, Write},
    holds::service::describe,
    idempotency::{self, Begun},
    notices::Notice,
    outbox,
    paging::Paging,
    tickets::store as tickets,
};

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new()
        .route("/tickets/{id}/refund-requests", post(request))
        .route("/refund-requests/{id}", get(read))
        .route("/refund-requests/{id}/accept", post(accept))
        .route("/refund-requests/{id}/decline", post(decline))
        .route("/me/refund-requests", get(of_holder))
        .route("/seller/refund-requests", get(of_organiser))
}

#[utoipa::path(post, path = "/api/v1/tickets/{id}/refund-requests", tag = "tickets", request_body = NewRefund, responses((status = 201, body = Refund)), params(("id" = String, Path)))]
async fn request(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<TicketId>,
    write: Write<NewRefund>,
) -> Result<Response, ApiError> {
    if let Some(response) = idempotency::replay(&app.db, auth.scope(), &write.key, &write.digest).await? {
        return Ok(response);
    }
    let reason = service::reason(&write.body.reason)?;
    let ticket = tickets::find(&app.db, auth.user(), id).await?.ok_or(Code::NotFound)?;
    let terms = service::quote(&app, &ticket).await?.ok_or(Code::RefundState)?;
    if write.body.amount_krw != terms.amount {
        return Err(Code::AmountMismatch.into());
    }
    let state = if terms.by_rule { RefundState::Refunding } else { RefundState::Requested };
    let refund = service::new(&app, auth.user(), &ticket, terms.fee, state, reason);
    let answer = service::to_api(&app, &refund).await?;
    match idempotency::begin(&app.db, auth.scope(), &write.key, &write.digest, app.now()).await? {
        Begun::Replay(response) => Ok(response),
        Begun::Fresh(mut work) => {
            // A cancelled performance gives everything back, without a fee.
            if is_cancelled(&app.db, &mut work.tx, refund.performance).await? {
                return Err(Code::RefundState.into());
            }
            if !store::insert(&mut work.tx, &refund).await? {
                return Err(Code::RefundState.into());
            }
            if terms.by_rule {
                service::start(&app, &mut work.tx, &refund).await?;
            }
            let response = work.finish(StatusCode::CREATED, &answer).await?;
            app.outbox.filled.notify_one();
            Ok(response)
        }
    }
}

#[utoipa::path(get, path = "/api/v1/refund-requests/{id}", tag = "tickets", responses((status = 200, body = Refund)), params(("id" = String, Path)))]
async fn read(State(app): State<App>, auth: Auth, Id(id): Id<RefundId>) -> Result<Json<Refund>, ApiError> {
    let refund = store::find(&app.db, id).await?.ok_or(Code::NotFound)?;
    if refund.user != auth.user() {
        run_by(&app, &auth, refund.performance).await.map_err(|_| Code::NotFound)?;
    }
    Ok(Json(service::to_api(&app, &refund).await?))
}

#[utoipa::path(post, path = "/api/v1/refund-requests/{id}/accept", tag = "tickets", responses((status = 200, body = Refund)), params(("id" = String, Path)))]
async fn accept(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<RefundId>,
    write: EmptyWrite,
) -> Result<Response, ApiError> {
    decide(&app, &auth, id, write, RefundState::Refunding).await
}

#[utoipa::path(post, path = "/api/v1/refund-requests/{id}/decline", tag = "tickets", responses((status = 200, body = Refund)), params(("id" = String, Path)))]
async fn decline(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<RefundId>,
    write: EmptyWrite,
) -> Result<Response, ApiError> {
    decide(&app, &auth, id, write, RefundState::Declined).await
}

async fn decide(
    app: &App,
    auth: &Auth,
    id: RefundId,
    write: EmptyWrite,
    to: RefundState,
) -> Result<Response, ApiError> {
    if let Some(response) = idempotency::replay(&app.db, auth.scope(), &write.key, &write.digest).await? {
        return Ok(response);
    }
    let refund = store::find(&app.db, id).await?.ok_or(Code::NotFound)?;
    let info = run_by(app, auth, refund.performance).await?;
    let refund = StoredRefund { state: to, ..refund };
    let answer = service::to_api(app, &refund).await?;
    match idempotency::begin(&app.db, auth.scope(), &write.key, &write.digest, app.now()).await? {
        Begun::Replay(response) => Ok(response),
        Begun::Fresh(mut work) => {
            if is_cancelled(&app.db, &mut work.tx, refund.performance).await? {
                return Err(Code::RefundState.into());
            }
            if !store::decide(&mut work.tx, id, to, auth.user(), app.now()).await? {
                return Err(Code::RefundState.into());
            }
            if to == RefundState::Refunding {
                service::start(app, &mut work.tx, &refund).await?;
            } else {
                let seat = describe(&info, &[refund.seat]).pop().map(|s| s.label).unwrap_or_default();
                let notice = Notice::RefundDeclined { title: info.event.title.clone(), seat };
                outbox::tell(app, &mut work.tx, refund.user, notice).await?;
            }
            let response = work.finish(StatusCode::OK, &answer).await?;
            app.outbox.filled.notify_one();
            Ok(response)
        }
    }
}

async fn page(app: &Parts, paging: &Paging<RefundId>, read: Vec<StoredRefund>) -> Result<Json<Page<Refund>>, ApiError> {
    let (stored, next_cursor) = paging.cut(read, |r| r.id.to_string());
    let mut items = Vec::with_capacity(stored.len());
    for refund in &stored {
        items.push(service::to_api(app, refund).await?);
    }
    Ok(Json(Page { items, next_cursor }))
}

#[utoipa::path(get, path = "/api/v1/me/refund-requests", tag = "tickets", responses((status = 200, body = Page<Refund>)),
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)))]
async fn of_holder(
    State(app): State<App>,
    auth: Auth,
    paging: Paging<RefundId>,
) -> Result<Json<Page<Refund>>, ApiError> {
    let read = store::of_user(&app.db, auth.user(), paging.cursor, paging.to_read()).await?;
    page(&app, &paging, read).await
}

#[utoipa::path(get, path = "/api/v1/seller/refund-requests", tag = "organisers", responses((status = 200, body = Page<Refund>)),
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)))]
async fn of_organiser(
    State(app): State<App>,
    auth: Auth,
    paging: Result<Paging<RefundId>, ApiError>,
) -> Result<Json<Page<Refund>>, ApiError> {
    if !auth.0.role.may_sell() {
        return Err(Code::Forbidden.into());
    }
    let paging = paging?;
    let seller = (auth.0.role != Role::Admin).then(|| auth.user());
    let read = store::waiting_for(&app.db, seller, paging.cursor, paging.to_read()).await?;
    page(&app, &paging, read).await
}
