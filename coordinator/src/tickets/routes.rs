//! `me/tickets`, `tickets/{id}` and its QR code.

use axum::{
    Json, Router,
    extract::{Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use nugul_api::{Code, Page, booking::Ticket, limits};
use nugul_domain::TicketId;
use nugul_token::EntryClaims;
use qrcode::{EcLevel, QrCode, render::svg};
use serde::Deserialize;

use super::store::{self, StoredTicket};
use crate::{
    app::{App, Parts},
    catalogue::service::performance,
    error::ApiError,
    extract::{Auth, Id},
    holds::service::{describe, reference},
};

/// The smallest side of a QR picture, in pixels: large enough for a gate.
const QR_SIDE_PX: u32 = 320;

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new()
        .route("/me/tickets", get(list))
        .route("/tickets/{id}", get(read))
        .route("/tickets/{id}/qr.svg", get(qr))
}

#[derive(Deserialize)]
struct ListQuery {
    cursor: Option<String>,
    limit: Option<u32>,
}

#[utoipa::path(get, path = "/api/v1/me/tickets", tag = "tickets", responses((status = 200, body = Page<Ticket>)),
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)))]
async fn list(
    State(app): State<App>,
    auth: Auth,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Page<Ticket>>, ApiError> {
    let Query(query) = query.map_err(|_| Code::InvalidParameter)?;
    let limit = query.limit.unwrap_or(limits::PAGE_ITEMS_DEFAULT);
    if !(1..=limits::PAGE_ITEMS_MAX).contains(&limit) {
        return Err(Code::InvalidParameter.into());
    }
    let cursor = query.cursor.map(|c| c.parse::<TicketId>()).transpose().map_err(|_| Code::InvalidParameter)?;
    let mut stored = store::of_user(&app.db, auth.user(), cursor, limit + 1).await?;
    let more = stored.len() > limit as usize;
    stored.truncate(limit as usize);
    let next_cursor = stored.last().filter(|_| more).map(|t| t.id.to_string());
    let mut items = Vec::with_capacity(stored.len());
    for ticket in &stored {
        items.push(to_api(&app, ticket).await?);
    }
    Ok(Json(Page { items, next_cursor }))
}

#[utoipa::path(get, path = "/api/v1/tickets/{id}", tag = "tickets", responses((status = 200, body = Ticket)), params(("id" = String, Path)))]
async fn read(State(app): State<App>, auth: Auth, Id(id): Id<TicketId>) -> Result<Json<Ticket>, ApiError> {
    let ticket = store::find(&app.db, auth.user(), id).await?.ok_or(Code::NotFound)?;
    Ok(Json(to_api(&app, &ticket).await?))
}

#[utoipa::path(get, path = "/api/v1/tickets/{id}/qr.svg", tag = "tickets", responses((status = 200, content_type = "image/svg+xml")), params(("id" = String, Path)))]
async fn qr(State(app): State<App>, auth: Auth, Id(id): Id<TicketId>) -> Result<Response, ApiError> {
    let ticket = store::find(&app.db, auth.user(), id).await?.ok_or(Code::NotFound)?;
    let text = entry_token(&app, &ticket)?;
    // Level L: a phone's screen is clean, and larger modules read faster at a gate.
    let code = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::L).map_err(ApiError::internal)?;
    let picture = code.render::<svg::Color<'_>>().min_dimensions(QR_SIDE_PX, QR_SIDE_PX).build();
    let headers = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "private, no-store")];
    Ok((headers, picture).into_response())
}

fn entry_token(app: &Parts, t: &StoredTicket) -> Result<String, ApiError> {
    let claims = EntryClaims { ticket: t.id, performance: t.performance, seat: t.seat, version: t.qr_version };
    app.keys.signing().sign_entry(claims).map_err(|e| ApiError::internal(format_args!("signing: {e}")))
}

async fn to_api(app: &Parts, t: &StoredTicket) -> Result<Ticket, ApiError> {
    let info = performance(app, t.performance).await?;
    let seat = describe(&info, &[t.seat])
        .into_iter()
        .next()
        .ok_or_else(|| ApiError::internal("a ticket's seat is not in the hall"))?;
    Ok(Ticket {
        id: t.id,
        order_id: t.order,
        performance: reference(&info),
        // The price at issue is the face value, whatever the event says now.
        seat: nugul_api::booking::SeatInfo { price_krw: t.price, ..seat },
        issued_at: t.issued_at,
        entry_token: entry_token(app, t)?,
    })
}
