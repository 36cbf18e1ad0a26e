//! The refund saga: the ticket closes, the money is asked back, and only when it is on its way is the seat free.

use nugul_api::{Code, booking::Refund, limits::REASON_CHARS_MAX};
use nugul_domain::{
    Krw, RefundId, SeatIndex, SeatState, TicketId, UserId,
    order::{OrderEvent, OrderState},
    refund::{RefundState, terms},
};
use nugul_points::{Planted, planted};

use super::store::{self, StoredRefund};
use crate::{
    app::Parts,
    catalogue::service::performance,
    db::Tx,
    error::ApiError,
    holds::service::{describe, reference, ticketed_seat},
    messages::Message,
    notices::Notice,
    orders::{
        limits,
        service::{account_of, settle},
        store::{self as orders, StoredOrder},
    },
    outbox,
    tickets::store::StoredTicket,
};

/// Checks a reason.
pub fn reason(text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    if text.chars().count() > REASON_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(ApiError::field(
            "/reason",
            (format!("{REASON_CHARS_MAX}자까지 적을 수 있어요."), format!("At most {REASON_CHARS_MAX} characters.")),
        ));
    }
    Ok(text.to_owned())
}

/// The refund of a ticket as it would be now: by the table, or of the whole price where the performance is cancelled.
pub async fn quote(app: &Parts, ticket: &StoredTicket) -> Result<Option<nugul_domain::refund::Terms>, ApiError> {
    let info = performance(app, ticket.performance).await?;
    if ticket.refunding || info.summary.cancelled {
        return Ok(None);
    }
    Ok(terms(ticket.price, ticket.issued_at, info.summary.starts_at, app.now()))
}

/// A refund of this ticket, not stored yet.
pub fn new(app: &Parts, user: UserId, t: &StoredTicket, fee: Krw, state: RefundState, reason: String) -> StoredRefund {
    let now = app.now();
    StoredRefund {
        id: RefundId::new(app.config.region, now, app.random_id()),
        ticket: t.id,
        order: t.order,
        user,
        performance: t.performance,
        seat: t.seat,
        price: t.price,
        fee,
        amount: Krw(t.price.0 - fee.0),
        reason,
        state,
        requested_at: now,
    }
}

/// Begins an accepted refund: the ticket opens no gate any more, and the money is asked back.
pub async fn start(app: &Parts, tx: &mut Tx, r: &StoredRefund) -> Result<(), ApiError> {
    if !store::take_ticket(tx, r.ticket, r.id).await? {
        return Err(Code::RefundState.into());
    }
    if planted(Planted::RefundBeforeSeatBack)
        && let Some(order) = orders::find(&app.db, r.order).await?
    {
        orders::unclaim(tx, r.performance, order.id, &[r.seat]).await?;
        outbox::put(app, tx, order.id, &settle(&order, vec![r.seat], SeatState::Available)).await?;
    }
    if r.amount == Krw(0) {
        let order =
            orders::find(&app.db, r.order).await?.ok_or_else(|| ApiError::internal("a ticket without order"))?;
        return finish(app, tx, &order, r).await;
    }
    let reason = if r.reason.is_empty() { "구매자 요청" } else { &r.reason };
    let message = Message::Refund { refund: r.id, amount_krw: r.amount, reason: reason.to_owned() };
    outbox::put(app, tx, r.order, &message).await
}

/// The money is on its way: the ticket is void and the seat free again. Being told twice does no harm.
pub async fn finish(app: &Parts, tx: &mut Tx, order: &StoredOrder, r: &StoredRefund) -> Result<(), ApiError> {
    if r.order != order.id || !store::finish(tx, r.id).await? {
        return Ok(());
    }
    let info = performance(app, r.performance).await?;
    let notice = Notice::Refunded {
        title: info.event.title.clone(),
        seat: describe(&info, &[r.seat]).pop().map(|s| s.label).unwrap_or_default(),
        amount: r.amount,
        fee: r.fee,
    };
    void(app, tx, order, r.user, r.ticket, r.seat).await?;
    outbox::tell(app, tx, r.user, notice).await
}

/// All of a paid order's money went back: its tickets are void and its seats free again.
pub async fn void_all(app: &Parts, tx: &mut Tx, order: &StoredOrder) -> Result<(), ApiError> {
    for (holder, ticket) in store::live_of_order(&app.db, order.id).await? {
        void(app, tx, order, holder, ticket.id, ticket.seat).await?;
    }
    Ok(())
}

/// Ends a ticket: its seat is free again, and the order ends with its last.
async fn void(
    app: &Parts,
    tx: &mut Tx,
    order: &StoredOrder,
    holder: UserId,
    ticket: TicketId,
    seat: SeatIndex,
) -> Result<(), ApiError> {
    let info = performance(app, order.performance).await?;
    limits::give_back(tx, &account_of(&info, holder), 1).await?;
    orders::unclaim(tx, order.performance, order.id, &[seat]).await?;
    if store::void(tx, ticket, order.id).await? == 0 && order.state == OrderState::Paid {
        orders::advance(tx, order, OrderEvent::Refunded).await?;
    }
    outbox::put(app, tx, order.id, &settle(order, vec![seat], SeatState::Available)).await
}

/// A refund as sent to its holder and organiser.
pub async fn to_api(app: &Parts, r: &StoredRefund) -> Result<Refund, ApiError> {
    let info = performance(app, r.performance).await?;
    let seat = ticketed_seat(&info, r.seat, r.price)?;
    Ok(Refund {
        id: r.id,
        ticket_id: r.ticket,
        performance: reference(&info),
        seat,
        state: r.state,
        fee_krw: r.fee,
        amount_krw: r.amount,
        reason: r.reason.clone(),
        requested_at: r.requested_at,
    })
}
