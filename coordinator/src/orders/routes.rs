//! `orders`, `orders/{id}` and `me/orders`.

use std::time::Duration;

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
    trace,
};

/// How long making an order may go on when nobody waits for it any more.
const MAKING_MAX: Duration = Duration::from_secs(30);

/// How long an order that ended unpaid is still told of.
const ENDED_TOLD_MS: i64 = 24 * 60 * 60 * 1000;

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new()
        .route("/orders", post(create))
        .route("/orders/{id}", get(read).delete(cancel))
        .route("/orders/{id}/confirm", post(confirm))
        .route("/me/orders", get(unpaid))
}

#[utoipa::path(post, path = "/api/v1/orders", tag = "booking", request_body = NewOrder, responses((status = 201, body = Order)))]
async fn create(State(app): State<App>, auth: Auth, write: Write<NewOrder>) -> Result<Response, ApiError> {
    // On a task of its own: a client that hangs up would otherwise leave the seats kept for an order that nobody stores,
    // until the comparison with SQL frees them.
    let making = async move { service::create(&app, &auth, write.body.hold_id, &write.key, &write.digest).await };
    let making = trace::with(trace::current(), tokio::time::timeout(MAKING_MAX, making));
    let made = if nugul_points::is_simulated() { Ok(making.await) } else { tokio::spawn(making).await };
    match made {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(ApiError::unavailable("making the order took too long")),
        Err(panic) => Err(ApiError::internal(panic)),
    }
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
async fn unpaid(State(app): State<App>, auth: Auth) -> Result<Json<Page<Order>>, ApiError> {
    let since = app.now().plus_ms(-ENDED_TOLD_MS);
    let mut items = Vec::new();
    for order in store::unpaid_of(&app.db, auth.user(), since, limits::PAGE_ITEMS_MAX).await? {
        items.push(service::to_api(&app, &order).await?);
    }
    Ok(Json(Page { items, next_cursor: None }))
}
