//! `rankings/…`.

use axum::{
    Json, Router,
    extract::{FromRequestParts, Query, State},
    http::request::Parts,
    routing::{get, post},
};
use nugul_api::{
    Code,
    rankings::{EventRanking, KeywordRanking, PLACES_DEFAULT, VoteBatch, VotesTaken},
};
use nugul_domain::ranking::{PLACES_MAX, Window};
use serde::Deserialize;

use super::service;
use crate::{
    app::App,
    error::ApiError,
    extract::{JsonBody, OurEdge},
};

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new()
        .route("/rankings/keywords", get(keywords))
        .route("/rankings/events", get(events))
        .route("/rankings/votes", post(votes))
}

/// Which places are asked for.
struct Asked {
    window: Window,
    limit: usize,
}

#[derive(Deserialize)]
struct Parameters {
    window: Option<String>,
    limit: Option<usize>,
}

impl FromRequestParts<App> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Query(asked) =
            Query::<Parameters>::from_request_parts(parts, app).await.map_err(|_| Code::InvalidParameter)?;
        let window =
            asked.window.map_or(Some(Window::default()), |w| Window::parse(&w)).ok_or(Code::InvalidParameter)?;
        let limit = asked.limit.unwrap_or(PLACES_DEFAULT);
        if !(1..=PLACES_MAX).contains(&limit) {
            return Err(Code::InvalidParameter.into());
        }
        Ok(Self { window, limit })
    }
}

#[utoipa::path(get, path = "/api/v1/rankings/keywords", tag = "catalogue", responses((status = 200, body = KeywordRanking)),
    params(("window" = Option<String>, Query, description = "hour, day (the default) or week"),
        ("limit" = Option<u32>, Query, description = "1 to 50 places")))]
async fn keywords(State(app): State<App>, asked: Asked) -> Result<Json<KeywordRanking>, ApiError> {
    Ok(Json(service::keywords(&app, asked.window, asked.limit).await?))
}

#[utoipa::path(get, path = "/api/v1/rankings/events", tag = "catalogue", responses((status = 200, body = EventRanking)),
    params(("window" = Option<String>, Query, description = "hour, day (the default) or week"),
        ("limit" = Option<u32>, Query, description = "1 to 50 places")))]
async fn events(State(app): State<App>, asked: Asked) -> Result<Json<EventRanking>, ApiError> {
    Ok(Json(service::events(&app, asked.window, asked.limit).await?))
}

#[utoipa::path(post, path = "/api/v1/rankings/votes", tag = "machines", request_body = VoteBatch,
    params(("x-nugul-edge-key" = String, Header, description = "what the edge was set up with")),
    responses((status = 200, body = VotesTaken)))]
async fn votes(
    State(app): State<App>,
    _: OurEdge,
    JsonBody(batch): JsonBody<VoteBatch>,
) -> Result<Json<VotesTaken>, ApiError> {
    let batch = service::checked(&batch)?;
    Ok(Json(service::count(&app, batch).await?))
}
