//! `me/tickets`, `tickets/{id}` and its QR code.

use axum::{
    Json, Router,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use nugul_api::{
    Code, Page,
    booking::{RefundTerms, Ticket},
};
use nugul_domain::TicketId;
use nugul_token::EntryClaims;
use qrcode::{EcLevel, QrCode, render::svg};

use super::store::{self, StoredTicket};
use crate::{
    app::{App, Parts},
    catalogue::service::performance,
    error::ApiError,
    extract::{Auth, Id},
    holds::service::{reference, ticketed_seat},
    paging::Paging,
    refunds,
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

#[utoipa::path(get, path = "/api/v1/me/tickets", tag = "tickets", responses((status = 200, body = Page<Ticket>)),
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)))]
async fn list(State(app): State<App>, auth: Auth, paging: Paging<TicketId>) -> Result<Json<Page<Ticket>>, ApiError> {
    let read = store::of_user(&app.db, auth.user(), paging.cursor, paging.to_read()).await?;
    let (stored, next_cursor) = paging.cut(read, |t| t.id.to_string());
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
    if ticket.refunding {
        return Err(Code::RefundState.into());
    }
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
    let seat = ticketed_seat(&info, t.seat, t.price)?;
    Ok(Ticket {
        id: t.id,
        order_id: t.order,
        performance: reference(&info),
        seat,
        issued_at: t.issued_at,
        entry_token: if t.refunding { String::new() } else { entry_token(app, t)? },
        refund_terms: refunds::service::quote(app, t).await?.map(|terms| RefundTerms {
            fee_krw: terms.fee,
            amount_krw: terms.amount,
            by_rule: terms.by_rule,
        }),
    })
}
