//! What becomes of an order when the payment service says what became of its money.

use nugul_api::Code;
use nugul_domain::{
    OrderId,
    order::{OrderEvent, OrderState},
};

use super::{
    service::{give_back, issue},
    store::{self, StoredOrder},
};
use crate::{app::Parts, db::Tx, error::ApiError, messages::Message, notices::Notice, outbox, refunds};

/// What the payment service says of an order.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// What happened.
    pub event: OrderEvent,
    /// Why, in Toss's words.
    pub message: &'a str,
    /// The command that led to it; empty where none did.
    pub request_id: &'a str,
}

/// Applies what the payment service says, in the caller's transaction, once.
pub async fn apply(app: &Parts, tx: &mut Tx, id: OrderId, outcome: Outcome<'_>) -> Result<(), ApiError> {
    let Some(order) = store::find_in(tx, id).await? else {
        return Err(ApiError::internal("a payment result names an order that is not here"));
    };
    // A refund of one ticket leaves the order as it is until the last is given back. What else gave money back is no
    // refund of ours: its command has another name.
    if let (OrderEvent::Refunded, Ok(id)) = (outcome.event, outcome.request_id.parse())
        && let Some(refund) = refunds::store::find(&app.db, id).await?
    {
        return refunds::service::finish(app, tx, &order, &refund).await;
    }
    match store::advance(tx, &order, outcome.event).await {
        Ok(false) => Ok(()),
        Ok(true) => match outcome.event {
            OrderEvent::Approved => issue(app, tx, &order).await.map(drop),
            OrderEvent::Refunded if order.state == OrderState::Paid => {
                tracing::error!(order = %id, "the provider gave a paid order's money back of its own accord");
                // The order has gone on above; its tickets follow.
                let order = StoredOrder { state: OrderState::Refunded, ..order };
                refunds::service::void_all(app, tx, &order).await
            }
            _ => {
                store::set_decline_reason(tx, id, outcome.message).await?;
                give_back(app, tx, &order).await
            }
        },
        Err(e) if e.code == Code::OrderState => match outcome.event {
            // Money was taken for an order that cannot have its seats any more: it goes back.
            OrderEvent::Approved => {
                tracing::warn!(order = %id, "paid too late; the money goes back");
                outbox::put(app, tx, id, &Message::Cancel { reason: "주문 시간이 지나 환불해요".into() }).await
            }
            OrderEvent::Refunded => {
                let notice = Notice::PaidTooLate { order_name: order.name, amount: order.total };
                outbox::tell(app, tx, order.user, notice).await
            }
            _ => Ok(()),
        },
        Err(e) => Err(e),
    }
}
