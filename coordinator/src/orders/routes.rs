//! `orders`, `orders/{id}` and `me/orders`.

use axum::{
    Json, Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use nugul_api::{
    Page,
    booking::{ConfirmOrder, NewOrder, Order},
    limits,
};
use nugul_domain::OrderId;

use super::{service, store};
use crate::{
    app::App,
    error::ApiError,
    extract::{Auth, EmptyWrite, Id, Write},
};

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new()
        .route("/orders", post(create))
        .route("/orders/{id}", get(read).delete(cancel))
        .route("/orders/{id}/confirm", post(confirm))
        .route("/me/orders", get(open))
}

#[utoipa::path(post, path = "/api/v1/orders", tag = "booking", request_body = NewOrder, responses((status = 201, body = Order)))]
async fn create(State(app): State<App>, auth: Auth, write: Write<NewOrder>) -> Result<Response, ApiError> {
    service::create(&app, &auth, write.body.hold_id, &write.key, &write.digest).await
}

#[utoipa::path(get, path = "/api/v1/orders/{id}", tag = "booking", responses((status = 200, body = Order)), params(("id" = String, Path)))]
async fn read(State(app): State<App>, auth: Auth, Id(id): Id<OrderId>) -> Result<Json<Order>, ApiError> {
    let order = service::owned(&app, auth.user(), id).await?;
    Ok(Json(service::to_api(&app, &order).await?))
}

#[utoipa::path(post, path = "/api/v1/orders/{id}/confirm", tag = "booking", request_body = ConfirmOrder, responses((status = 200, body = Order)), params(("id" = String, Path)))]
async fn confirm(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<OrderId>,
    write: Write<ConfirmOrder>,
) -> Result<Response, ApiError> {
    service::confirm(&app, &auth, id, write).await
}

#[utoipa::path(delete, path = "/api/v1/orders/{id}", tag = "booking", responses((status = 204)), params(("id" = String, Path)))]
async fn cancel(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<OrderId>,
    write: EmptyWrite,
) -> Result<Response, ApiError> {
    service::cancel(&app, &auth, id, write).await
}

#[utoipa::path(get, path = "/api/v1/me/orders", tag = "booking", responses((status = 200, body = Page<Order>)))]
async fn open(State(app): State<App>, auth: Auth) -> Result<Json<Page<Order>>, ApiError> {
    let mut items = Vec::new();
    for order in store::open_of(&app.db, auth.user(), limits::PAGE_ITEMS_MAX).await? {
        items.push(service::to_api(&app, &order).await?);
    }
    Ok(Json(Page { items, next_cursor: None }))
}
