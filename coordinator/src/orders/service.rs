//! The booking saga's coordinator side: order, pay, ticket, or give the seats back.

use std::time::Duration;

use axum::{http::StatusCode, response::Response};
use nugul_api::{
    Code,
    booking::{ConfirmOrder, Order},
};
use nugul_domain::{
    HoldId, OrderId, SeatIndex, SeatState, TicketId, UserId,
    order::{OrderEvent, OrderState},
    seat_book::HoldGone,
};

use super::store::{self, Line, StoredOrder};
use crate::{
    app::{App, Parts},
    catalogue::service::performance,
    error::ApiError,
    extract::{Auth, EmptyWrite, Write},
    holds::service::{describe, reference, total},
    idempotency::{self, Begun},
    outbox::{self, Message},
};

/// How long a confirmation waits for its outcome before it answers "confirming".
const OUTCOME_WAIT: Duration = Duration::from_secs(10);
/// How often it looks, where another replica may have brought the outcome.
const OUTCOME_LOOK: Duration = Duration::from_millis(250);
/// How often overdue orders are looked for.
const EXPIRE_EVERY: Duration = Duration::from_millis(500);
/// Overdue orders ended in one go.
const EXPIRE_BATCH: u32 = 100;
/// The longest payment key Toss gives out, in characters (Toss core API, Payment object).
const PAYMENT_KEY_CHARS_MAX: usize = 200;
/// The longest order name Toss takes, in characters (Toss core API, Payment object).
const ORDER_NAME_CHARS_MAX: usize = 100;

/// Makes a hold an order. The seats are kept in the live state first, so that the hold cannot end under us; then SQL
/// decides; what SQL refuses is given back.
pub async fn create(app: &App, auth: &Auth, hold_id: HoldId, key: &str, digest: &str) -> Result<Response, ApiError> {
    if let Some(response) = idempotency::replay(&app.db, auth.scope(), key, digest).await? {
        return Ok(response);
    }
    let now = app.now();
    let found = app.seats.find_hold(hold_id).await?;
    let (performance_id, _) = found.filter(|(_, h)| h.user == auth.user()).ok_or(Code::HoldExpired)?;
    let mut order_id = OrderId::new(app.config.region, now, app.random_id());
    let mut ordered =
        crate::on_seats!(app, performance_id, app.seats.order(performance_id, hold_id, auth.user(), order_id))?;
    if let Err(HoldGone::Ordered(earlier)) = ordered {
        // A request before this one ordered it: answer with that order, or finish what it could not.
        if let Some(order) = store::find(&app.db, earlier).await? {
            return Ok(axum::response::IntoResponse::into_response((
                StatusCode::CREATED,
                axum::Json(to_api(app, &order).await?),
            )));
        }
        order_id = earlier;
        ordered =
            crate::on_seats!(app, performance_id, app.seats.order(performance_id, hold_id, auth.user(), order_id))?;
    }
    let hold = ordered.map_err(|_| Code::HoldExpired)?;
    let info = performance(app, performance_id).await?;
    let seats = describe(&info, &hold.seats);
    let lines: Vec<Line> = seats.iter().map(|s| Line { seat: s.index, price: s.price_krw }).collect();
    let more = if lines.len() > 1 { format!(" {}매", lines.len()) } else { String::new() };
    let room = ORDER_NAME_CHARS_MAX - more.chars().count();
    let order = StoredOrder {
        id: order_id,
        user: auth.user(),
        performance: performance_id,
        hold: hold_id,
        state: OrderState::Pending,
        total: total(&seats)?,
        name: info.event.title.chars().take(room).collect::<String>() + &more,
        pay_before: now.plus_ms(app.config.pay_window_ms),
        decline_reason: None,
    };
    let stored = store_new(app, auth, &order, &lines, hold.fence, key, digest).await;
    let Err(e) = stored else { return stored };
    match store::find(&app.db, order_id).await? {
        None => app.seats.undo_order(performance_id, hold_id, order_id).await?,
        // A request beside this one stored the same order first: its order is ours.
        Some(order) if e.code == Code::Internal => {
            return Ok(axum::response::IntoResponse::into_response((
                StatusCode::CREATED,
                axum::Json(to_api(app, &order).await?),
            )));
        }
        Some(_) => {}
    }
    Err(e)
}

async fn store_new(
    app: &App,
    auth: &Auth,
    order: &StoredOrder,
    lines: &[Line],
    fence: i64,
    key: &str,
    digest: &str,
) -> Result<Response, ApiError> {
    let answer = to_api_with(app, order, lines, Vec::new()).await?;
    match idempotency::begin(&app.db, auth.scope(), key, digest, app.now()).await? {
        Begun::Replay(response) => Ok(response),
        Begun::Fresh(mut work) => {
            store::insert(&mut work.tx, order, lines, app.now()).await?;
            let seats: Vec<SeatIndex> = lines.iter().map(|l| l.seat).collect();
            store::claim(&mut work.tx, order.performance, order.id, &seats, fence).await?;
            let prepare = Message::Prepare {
                user_id: order.user,
                amount_krw: order.total,
                order_name: order.name.clone(),
                expires_at: order.pay_before,
            };
            outbox::put(app, &mut work.tx, order.id, &prepare).await?;
            let response = work.finish(StatusCode::CREATED, &answer).await?;
            app.outbox_filled.notify_one();
            Ok(response)
        }
    }
}

/// The buyer came back from Toss: asks the payment service to take the money and waits a while for the outcome.
pub async fn confirm(app: &App, auth: &Auth, id: OrderId, write: Write<ConfirmOrder>) -> Result<Response, ApiError> {
    if let Some(response) = idempotency::replay(&app.db, auth.scope(), &write.key, &write.digest).await? {
        drop(response);
        return outcome(app, id).await;
    }
    let body = write.body;
    if body.payment_key.is_empty()
        || body.payment_key.chars().count() > PAYMENT_KEY_CHARS_MAX
        || !body.payment_key.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err(ApiError::field("/payment_key", "결제 키가 올바르지 않아요."));
    }
    let order = owned(app, auth.user(), id).await?;
    if body.amount_krw != order.total {
        return Err(Code::AmountMismatch.into());
    }
    let now = app.now();
    if order.state == OrderState::Pending && order.pay_before <= now {
        return Err(Code::OrderState.into());
    }
    match idempotency::begin(&app.db, auth.scope(), &write.key, &write.digest, now).await? {
        Begun::Replay(_) => {}
        Begun::Fresh(mut work) => {
            // An order that is further on needs nothing; its outcome is the answer.
            let asks = matches!(order.state, OrderState::Pending);
            if asks {
                match store::advance(&mut work.tx, &order, OrderEvent::ConfirmRequested).await {
                    Ok(_) => {
                        let confirm = Message::Confirm { payment_key: body.payment_key, amount_krw: order.total };
                        outbox::put(app, &mut work.tx, id, &confirm).await?;
                    }
                    // A request beside this one was first; its outcome is ours.
                    Err(e) if e.code == Code::OrderState => {}
                    Err(e) => return Err(e),
                }
            } else if !matches!(order.state, OrderState::Confirming | OrderState::Paid) {
                return Err(Code::OrderState.into());
            }
            work.finish(StatusCode::OK, &()).await?;
            app.outbox_filled.notify_one();
        }
    }
    outcome(app, id).await
}

/// The order once its payment is decided, or as it stands when the wait is over.
async fn outcome(app: &App, id: OrderId) -> Result<Response, ApiError> {
    let mut changed = app.orders_changed.subscribe();
    let deadline = tokio::time::Instant::now() + OUTCOME_WAIT;
    loop {
        let order = store::find(&app.db, id).await?.ok_or(Code::NotFound)?;
        if order.state != OrderState::Confirming || tokio::time::Instant::now() >= deadline {
            return Ok(axum::response::IntoResponse::into_response(axum::Json(to_api(app, &order).await?)));
        }
        // Either way it is looked at again; a closed channel means the process stops, and the wait ends with it.
        let _ = tokio::time::timeout(OUTCOME_LOOK, changed.changed()).await;
    }
}

/// The buyer gives up before paying.
pub async fn cancel(app: &App, auth: &Auth, id: OrderId, write: EmptyWrite) -> Result<Response, ApiError> {
    let order = owned(app, auth.user(), id).await?;
    match idempotency::begin(&app.db, auth.scope(), &write.key, &write.digest, app.now()).await? {
        Begun::Replay(response) => Ok(response),
        Begun::Fresh(mut work) => {
            if store::advance(&mut work.tx, &order, OrderEvent::Cancelled).await? {
                give_back(app, &mut work.tx, &order).await?;
            }
            let response = work.finish(StatusCode::NO_CONTENT, &()).await?;
            app.outbox_filled.notify_one();
            Ok(response)
        }
    }
}

/// Frees the seats of an order that will not be paid: in SQL now, in the live state through the outbox.
async fn give_back(app: &Parts, tx: &mut crate::db::Tx, order: &StoredOrder) -> Result<(), ApiError> {
    store::unclaim(tx, order.performance, order.id).await?;
    outbox::put(app, tx, order.id, &Message::Settle { state: SeatState::Available }).await
}

/// What the payment service said of an order; applied in the caller's transaction, once.
pub async fn apply(
    app: &Parts,
    tx: &mut crate::db::Tx,
    id: OrderId,
    event: OrderEvent,
    reason: &str,
) -> Result<(), ApiError> {
    let Some(order) = store::find(&app.db, id).await? else {
        tracing::error!(order = %id, "a payment result names an order that is not here");
        return Ok(());
    };
    match store::advance(tx, &order, event).await {
        Ok(false) => Ok(()),
        Ok(true) => match event {
            OrderEvent::Approved => {
                let now = app.now();
                let lines = store::lines(&app.db, id).await?;
                let issued: Vec<_> = lines
                    .into_iter()
                    .map(|line| (line, TicketId::new(app.config.region, now, app.random_id())))
                    .collect();
                store::issue(tx, &order, &issued, now).await?;
                outbox::put(app, tx, id, &Message::Settle { state: SeatState::Sold }).await
            }
            _ => {
                store::set_decline_reason(tx, id, reason).await?;
                give_back(app, tx, &order).await
            }
        },
        // Money was taken for an order that cannot have its seats any more: it goes back.
        Err(e) if e.code == Code::OrderState && event == OrderEvent::Approved => {
            tracing::warn!(order = %id, "paid too late; the money goes back");
            outbox::put(app, tx, id, &Message::Cancel { reason: "주문 시간이 지나 환불해요".into() }).await
        }
        Err(e) if e.code == Code::OrderState => Ok(()),
        Err(e) => Err(e),
    }
}

/// Ends orders nobody paid in time, until the process stops.
pub async fn expire_orders(app: App) {
    let mut stopping = app.stopping.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EXPIRE_EVERY) => {}
            _ = stopping.changed() => return,
        }
        if let Err(e) = expire_batch(&app).await {
            tracing::warn!(context = e.context, "overdue orders could not be ended");
        }
    }
}

async fn expire_batch(app: &App) -> Result<(), ApiError> {
    for order in store::overdue(&app.db, app.now(), EXPIRE_BATCH).await? {
        let mut tx = app.db.begin_write().await?;
        match store::advance(&mut tx, &order, OrderEvent::TimedOut).await {
            Ok(_) => {}
            // Paid or given up in this moment.
            Err(e) if e.code == Code::OrderState => continue,
            Err(e) => return Err(e),
        }
        give_back(app, &mut tx, &order).await?;
        tx.commit().await?;
        app.outbox_filled.notify_one();
        app.announce_order();
    }
    Ok(())
}

/// The order, if it is this buyer's.
pub async fn owned(app: &Parts, user: UserId, id: OrderId) -> Result<StoredOrder, ApiError> {
    store::find(&app.db, id).await?.filter(|o| o.user == user).ok_or_else(|| Code::NotFound.into())
}

/// An order as sent to its buyer.
pub async fn to_api(app: &Parts, order: &StoredOrder) -> Result<Order, ApiError> {
    let lines = store::lines(&app.db, order.id).await?;
    let tickets = store::tickets(&app.db, order.id).await?;
    to_api_with(app, order, &lines, tickets).await
}

async fn to_api_with(
    app: &Parts,
    order: &StoredOrder,
    lines: &[Line],
    tickets: Vec<TicketId>,
) -> Result<Order, ApiError> {
    let info = performance(app, order.performance).await?;
    let seats: Vec<SeatIndex> = lines.iter().map(|l| l.seat).collect();
    Ok(Order {
        id: order.id,
        state: order.state,
        performance: reference(&info),
        seats: describe(&info, &seats),
        total_krw: order.total,
        name: order.name.clone(),
        pay_before: order.pay_before,
        decline_reason: order.decline_reason.clone(),
        tickets,
    })
}
