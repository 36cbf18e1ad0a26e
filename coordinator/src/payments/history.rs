//! `me/payments`: what a buyer paid, and what became of it.

use axum::{Json, Router, extract::State, routing::get};
use nugul_api::{
    Page,
    payments::{Payment, PaymentState},
};
use nugul_domain::{Krw, Timestamp};
use nugul_proto::payment::v1 as proto;

use crate::{app::App, error::ApiError, extract::Auth, paging::Paging};

/// Where payments stand that a buyer has asked for: one that was only prepared is an order that waits.
const ASKED_FOR: [proto::PaymentState; 5] = [
    proto::PaymentState::Confirming,
    proto::PaymentState::Approved,
    proto::PaymentState::Declined,
    proto::PaymentState::Refunding,
    proto::PaymentState::Refunded,
];

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new().route("/me/payments", get(list))
}

#[utoipa::path(get, path = "/api/v1/me/payments", tag = "money", responses((status = 200, body = Page<Payment>)),
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)))]
async fn list(
    State(app): State<App>,
    auth: Auth,
    paging: Result<Paging<String>, ApiError>,
) -> Result<Json<Page<Payment>>, ApiError> {
    let paging = paging?;
    let ask = proto::ListPaymentsRequest {
        user_id: auth.user().to_string(),
        states: ASKED_FOR.map(i32::from).to_vec(),
        limit: i64::from(paging.limit()),
        cursor: paging.cursor.unwrap_or_default(),
        ..proto::ListPaymentsRequest::default()
    };
    let (payments, next_cursor) = app.payments.payments(ask).await?;
    let items = payments.into_iter().map(to_api).collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next_cursor: Some(next_cursor).filter(|cursor| !cursor.is_empty()) }))
}

/// A payment as its buyer sees it.
pub(super) fn to_api(payment: proto::Payment) -> Result<Payment, ApiError> {
    let state = match payment.state() {
        proto::PaymentState::Prepared => PaymentState::Prepared,
        proto::PaymentState::Confirming => PaymentState::Confirming,
        proto::PaymentState::Approved => PaymentState::Approved,
        proto::PaymentState::Declined => PaymentState::Declined,
        proto::PaymentState::Refunding => PaymentState::Refunding,
        proto::PaymentState::Refunded => PaymentState::Refunded,
        proto::PaymentState::Unspecified => return Err(ApiError::internal("a payment in no state")),
    };
    Ok(Payment {
        order_id: payment.order_id.parse()?,
        name: payment.order_name,
        state,
        amount_krw: Krw(payment.amount_krw),
        left_krw: Krw(payment.left_krw),
        decline_reason: Some(payment.message).filter(|message| state == PaymentState::Declined && !message.is_empty()),
        created_at: Timestamp::from_millis(payment.created_at_ms),
        changed_at: Timestamp::from_millis(payment.updated_at_ms),
    })
}
