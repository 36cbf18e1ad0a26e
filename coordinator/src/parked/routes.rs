//! `admin/parked`.

use axum::{Json, Router, extract::State, routing::get};
use nugul_api::{Page, booking::Parked};
use nugul_domain::OrderId;

use super::store;
use crate::{app::App, error::ApiError, extract::Auth, paging::Paging};

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new().route("/admin/parked", get(list))
}

#[utoipa::path(get, path = "/api/v1/admin/parked", tag = "money", responses((status = 200, body = Page<Parked>)),
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)))]
async fn list(
    State(app): State<App>,
    auth: Auth,
    paging: Result<Paging<OrderId>, ApiError>,
) -> Result<Json<Page<Parked>>, ApiError> {
    auth.operates()?;
    let paging = paging?;
    let read = store::list(&app.db, paging.cursor, paging.to_read()).await?;
    let (items, next_cursor) = paging.cut(read, |p| p.id.clone());
    Ok(Json(Page { items, next_cursor }))
}
