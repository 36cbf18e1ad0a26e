//! Who may see the seats of a members-only event: whoever has a stream ticket of the performance, and our edges, which look at
//! the tickets of those they tell.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use nugul_api::{Code, seats::StreamTicket};
use nugul_domain::{PerformanceId, Timestamp, event::STREAM_TICKET_TTL_MS};
use nugul_token::{StreamClaims, TokenError};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    accounts::routes::{NO_STORE, NotStored},
    app::{App, Parts},
    catalogue::{service::performance, store::PerformanceInfo},
    error::ApiError,
    extract::{Auth, EmptyBody, Id, OurEdge},
};

const MS_PER_S: i64 = 1000;

/// What an address shows.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Shown {
    /// A stream ticket; needed where the event is for members only.
    pub(super) ticket: Option<String>,
}

/// Makes a stream ticket for who is logged in.
#[utoipa::path(post, path = "/api/v1/performances/{id}/stream-tickets", tag = "seats", responses((status = 201, body = StreamTicket)), params(("id" = String, Path)))]
pub(crate) async fn create(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<PerformanceId>,
    EmptyBody: EmptyBody,
) -> Result<(StatusCode, NotStored<StreamTicket>), ApiError> {
    performance(&app, id).await?;
    let exp = app.now().plus_ms(STREAM_TICKET_TTL_MS).as_millis().div_euclid(MS_PER_S);
    let claims = StreamClaims { sub: auth.user(), performance: id, exp };
    let ticket = app.keys.signing().sign_stream(claims).map_err(ApiError::internal)?;
    let ticket = StreamTicket { ticket, expires_at: Timestamp::from_millis(exp * MS_PER_S) };
    Ok((StatusCode::CREATED, (NO_STORE, Json(ticket))))
}

/// Lets those pass who may see the seats of a performance.
pub(super) fn check(app: &Parts, info: &PerformanceInfo, shown: &Shown, headers: &HeaderMap) -> Result<(), ApiError> {
    if !info.members_only || OurEdge::sent(headers, app) {
        return Ok(());
    }
    let ticket = shown.ticket.as_deref().ok_or(Code::StreamTicketMissing)?;
    match app.stream_tickets.verify(ticket, info.summary.id, app.now()) {
        Ok(_) => Ok(()),
        Err(TokenError::Expired) => Err(Code::StreamTicketExpired.into()),
        Err(_) => Err(Code::StreamTicketInvalid.into()),
    }
}
