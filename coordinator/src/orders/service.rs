//! The booking saga's coordinator side: order, pay, ticket, or give the seats back.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use nugul_api::{
    Code,
    booking::{ConfirmOrder, Order},
};
use nugul_domain::{
    HoldId, Krw, OrderId, SeatIndex, SeatState, TicketId, UserId,
    order::{OrderEvent, OrderState},
    payment_key::is_payment_key,
    seat_book::HoldGone,
};
use nugul_program::Waiting;
use tokio::time::Instant;

use super::{
    approving::Committed,
    confirming::{self, Confirm},
    limits, looking,
    making::{self, NewOrder},
    store::{self, Line, StoredOrder},
};
use crate::{
    app::{App, Parts},
    catalogue::{service::performance, store::PerformanceInfo},
    db::Tx,
    error::ApiError,
    extract::{Auth, EmptyWrite, Write},
    holds::{
        event_limit,
        service::{describe, reference, total},
    },
    idempotency::{self, Answer, Begun, Key},
    messages::Message,
    outbox, overload, rounds,
};

/// How often it looks, where another replica may have brought the outcome.
const OUTCOME_LOOK: Duration = Duration::from_millis(250);
/// How often overdue orders are looked for.
const EXPIRE_EVERY: Duration = Duration::from_millis(500);
/// Overdue orders ended in one go.
const EXPIRE_BATCH: u32 = 100;
/// The longest order name Toss takes, in characters (Toss core API, Payment object).
const ORDER_NAME_CHARS_MAX: usize = 100;

/// Makes a hold an order. The seats are kept in the live state first, so that the hold cannot end under us; then SQL
/// decides; what SQL refuses is given back. Where it is not known what SQL did, the seats stay kept: the same request
/// finishes the work, or the comparison of live seats with SQL gives them back.
pub async fn create(app: &App, auth: &Auth, hold_id: HoldId, key: &str, digest: &str) -> Result<Response, ApiError> {
    let key = Key { scope: auth.scope(), key, digest };
    let Some(performance_id) = app.seats.performance_of(hold_id).await? else {
        return made_before(app, auth, hold_id, &key).await;
    };
    // Before the hold becomes an order in the live state: who is refused here still has a hold, which ends by itself.
    if !app.gates.gate(performance_id).batches.making.has_room() {
        let before = idempotency::replay(&app.db, key.scope, key.key, key.digest).await?;
        return before.ok_or_else(overload::refused);
    }
    let mut id = OrderId::new(app.config.region, app.now(), app.random_id());
    let mut ordered = crate::on_seats!(app, performance_id, app.seats.order(performance_id, hold_id, auth.user(), id))?;
    if let Err(HoldGone::Ordered(first)) = ordered {
        if let Some(response) = idempotency::replay(&app.db, key.scope, key.key, key.digest).await? {
            return Ok(response);
        }
        // A request beside this one was first: its order is ours.
        id = first;
        ordered = crate::on_seats!(app, performance_id, app.seats.order(performance_id, hold_id, auth.user(), id))?;
    }
    let Ok(hold) = ordered else { return made_before(app, auth, hold_id, &key).await };
    let info = performance(app, performance_id).await?;
    let seats = describe(&info, &hold.seats);
    let lines: Vec<Line> = seats.iter().map(|s| Line { seat: s.index, price: s.price_krw }).collect();
    let price = total(&seats)?;
    let more = if lines.len() > 1 { format!(" {}매", lines.len()) } else { String::new() };
    let room = ORDER_NAME_CHARS_MAX - more.chars().count();
    let order = StoredOrder {
        id,
        user: auth.user(),
        performance: performance_id,
        hold: hold_id,
        // What costs nothing needs no payment.
        state: if price == Krw(0) { OrderState::Paid } else { OrderState::Pending },
        total: price,
        name: info.event.title.chars().take(room).collect::<String>() + &more,
        pay_before: app.now().plus_ms(app.config.pay_window_ms),
        decline_reason: None,
    };
    let tickets: Vec<_> = match order.state {
        OrderState::Paid => {
            lines.iter().map(|_| TicketId::new(app.config.region, app.now(), app.random_id())).collect()
        }
        _ => Vec::new(),
    };
    let body = to_api_with(app, &order, &lines, tickets.clone()).await?;
    let answer = Answer::to(&key, StatusCode::CREATED, &body)?;
    let new = NewOrder { order, lines, tickets, fence: hold.fence, answer: answer.clone() };
    match making::store_new(app, &info, new).await {
        Ok(true) => {
            // SQL counts them now. Should this fail, the count ends with the hold's time.
            if let Err(e) = event_limit::uncount(app, &info, auth.user(), hold_id).await {
                tracing::debug!(context = e.context, "an ordered hold is counted a while longer");
            }
            Ok(answer.into_response())
        }
        Ok(false) => match idempotency::replay(&app.db, key.scope, key.key, key.digest).await {
            Ok(Some(response)) => Ok(response),
            Ok(None) => existing(app, auth, hold_id, &key).await,
            Err(e) => {
                // The key is another request's, so this hold is no order unless a request for it was first too.
                if store::of_hold(&app.db, hold_id).await?.is_none() {
                    app.seats.undo_order(performance_id, hold_id, id).await?;
                }
                Err(e)
            }
        },
        Err(e) => {
            if matches!(e.code, Code::SeatsTaken | Code::SeatLimit | Code::PerformanceCancelled) {
                app.seats.undo_order(performance_id, hold_id, id).await?;
            }
            Err(e)
        }
    }
}

/// What the key was answered before: its order was made of a hold that is gone. Else the order of another request.
async fn made_before(app: &App, auth: &Auth, hold: HoldId, key: &Key<'_>) -> Result<Response, ApiError> {
    match idempotency::replay(&app.db, key.scope, key.key, key.digest).await? {
        Some(response) => Ok(response),
        None => existing(app, auth, hold, key).await,
    }
}

/// The order that a request before this one made of the hold. That is this key's answer from now on: with another body
/// it is refused.
async fn existing(app: &App, auth: &Auth, hold: HoldId, key: &Key<'_>) -> Result<Response, ApiError> {
    let order = store::of_hold(&app.db, hold).await?.filter(|o| o.user == auth.user()).ok_or(Code::HoldExpired)?;
    let answer = to_api(app, &order).await?;
    match idempotency::begin(&app.db, key.scope, key.key, key.digest, app.now()).await? {
        Begun::Replay(response) => Ok(response),
        Begun::Fresh(work) => work.finish(StatusCode::CREATED, &answer).await,
    }
}

/// Whose seats are counted where.
pub fn account_of(info: &PerformanceInfo, user: UserId) -> limits::Account {
    limits::Account { user, event: info.event.id, performance: info.summary.id }
}

/// The buyer came back from Toss: asks the payment service to take the money and waits a while for the outcome.
pub async fn confirm(app: &App, auth: &Auth, id: OrderId, write: Write<ConfirmOrder>) -> Result<Response, ApiError> {
    let body = write.body;
    if !is_payment_key(&body.payment_key) {
        return Err(ApiError::field("/payment_key", ("결제 키가 올바르지 않아요.", "This is not a payment key.")));
    }
    let order = owned(app, auth.user(), id).await?;
    if body.amount_krw != order.total {
        return Err(Code::AmountMismatch.into());
    }
    let now = app.now();
    if order.state == OrderState::Pending && order.pay_before <= now {
        return Err(Code::OrderState.into());
    }
    let key = Key { scope: auth.scope(), key: &write.key, digest: &write.digest };
    if order.state == OrderState::Pending {
        let message = Message::Confirm { payment_key: body.payment_key, amount_krw: order.total };
        let confirm = Confirm { id, message, answer: Answer::to(&key, StatusCode::OK, &())? };
        let news = app.news.wait_for(id);
        if confirming::store_confirm(app, &order, confirm).await? {
            return decided(app, id, news).await;
        }
    }
    // The order is further on, or a request beside this one was first: then its outcome is the answer.
    let order = owned(app, auth.user(), id).await?;
    match idempotency::begin(&app.db, auth.scope(), &write.key, &write.digest, now).await? {
        Begun::Replay(_) => {}
        Begun::Fresh(work) => {
            if !matches!(order.state, OrderState::Confirming | OrderState::Paid) {
                return Err(Code::OrderState.into());
            }
            drop(work.finish(StatusCode::OK, &()).await?);
        }
    }
    outcome(app, id).await
}

/// The order, at once if its payment is decided.
async fn outcome(app: &App, id: OrderId) -> Result<Response, ApiError> {
    let news = app.news.wait_for(id);
    let order = looking::find(app, id).await?.ok_or(Code::NotFound)?;
    if order.state == OrderState::Confirming {
        return decided(app, id, news).await;
    }
    Ok(Json(to_api(app, &order).await?).into_response())
}

/// The order as soon as there is news that its payment is decided, or as it stands when the wait is over.
async fn decided(app: &App, id: OrderId, mut news: Waiting<'_, OrderId, Arc<Committed>>) -> Result<Response, ApiError> {
    let deadline = Instant::now() + app.world.outcome_wait;
    loop {
        let look = deadline.min(Instant::now() + OUTCOME_LOOK);
        if let Ok(Some(told)) = tokio::time::timeout_at(look, news.changed()).await {
            let answer = to_api_with(app, &told.order, &told.lines, told.tickets.clone()).await?;
            return Ok(Json(answer).into_response());
        }
        let order = looking::find(app, id).await?.ok_or(Code::NotFound)?;
        if order.state != OrderState::Confirming || Instant::now() >= deadline {
            return Ok(Json(to_api(app, &order).await?).into_response());
        }
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
            app.outbox.filled.notify_one();
            Ok(response)
        }
    }
}

/// Frees the seats of an order that will not be paid: in SQL now, in the live state through the outbox.
pub async fn give_back(app: &Parts, tx: &mut Tx, order: &StoredOrder) -> Result<(), ApiError> {
    let info = performance(app, order.performance).await?;
    let seats: Vec<SeatIndex> = store::lines_in(tx, order.id).await?.iter().map(|l| l.seat).collect();
    limits::give_back(tx, &account_of(&info, order.user), seats.len()).await?;
    store::unclaim(tx, order.performance, order.id, &seats).await?;
    outbox::put(app, tx, order.id, &settle(order, seats, SeatState::Available)).await
}

/// The message that tells the live state what became of seats of an order.
pub fn settle(order: &StoredOrder, seats: Vec<SeatIndex>, state: SeatState) -> Message {
    Message::Settle {
        performance: order.performance,
        order: order.id,
        hold: order.hold,
        user: order.user,
        seats,
        state,
    }
}

/// The money is there: tickets, by seat, and seats that are sold.
pub async fn issue(app: &Parts, tx: &mut Tx, order: &StoredOrder) -> Result<Vec<TicketId>, ApiError> {
    let now = app.now();
    let lines = store::lines_in(tx, order.id).await?;
    let seats = lines.iter().map(|l| l.seat).collect();
    let issued: Vec<_> =
        lines.into_iter().map(|line| (line, TicketId::new(app.config.region, now, app.random_id()))).collect();
    store::issue(tx, &[(order, issued.as_slice())], now).await?;
    outbox::put(app, tx, order.id, &settle(order, seats, SeatState::Sold)).await?;
    Ok(issued.into_iter().map(|(_, ticket)| ticket).collect())
}

/// Ends orders nobody paid in time, until the process stops.
pub async fn expire_orders(app: App) {
    let failed = "overdue orders could not be ended";
    rounds::every(app, EXPIRE_EVERY, failed, |app| async move { expire_batch(&app).await }).await;
}

/// Ends what is overdue now: orders nobody paid, and orders whose payment nobody decided.
pub async fn expire_batch(app: &App) -> Result<(), ApiError> {
    let now = app.now();
    for order in store::overdue(&app.db, OrderState::Pending, now, EXPIRE_BATCH).await? {
        end_or_warn(app, &order, OrderEvent::TimedOut).await;
    }
    let bound = now.plus_ms(-app.config.decision_window_ms);
    for order in store::overdue(&app.db, OrderState::Confirming, bound, EXPIRE_BATCH).await? {
        tracing::error!(order = %order.id, "no outcome of a payment within its bound; the seats are free again");
        end_or_warn(app, &order, OrderEvent::Undecided).await;
    }
    Ok(())
}

/// One that fails keeps the others from nothing; it is found again.
async fn end_or_warn(app: &App, order: &StoredOrder, event: OrderEvent) {
    if let Err(e) = end(app, order, event).await {
        tracing::warn!(order = %order.id, context = e.context, "an overdue order could not be ended");
    }
}

/// Ends an order without its buyer: the seats are free again, and what was or will be taken goes back.
pub async fn end(app: &App, order: &StoredOrder, event: OrderEvent) -> Result<(), ApiError> {
    let mut tx = app.db.begin_write().await?;
    match store::advance(&mut tx, order, event).await {
        Ok(_) => {}
        // Paid or given up in this moment.
        Err(e) if e.code == Code::OrderState => return Ok(()),
        Err(e) => return Err(e),
    }
    give_back(app, &mut tx, order).await?;
    if order.state == OrderState::Confirming {
        let reason = "결제 결과를 확인하지 못해 취소해요".into();
        outbox::put(app, &mut tx, order.id, &Message::Cancel { reason }).await?;
    }
    tx.commit().await?;
    app.outbox.filled.notify_one();
    app.news.announce(order.id);
    Ok(())
}

/// The order, if it is this buyer's.
pub async fn owned(app: &Parts, user: UserId, id: OrderId) -> Result<StoredOrder, ApiError> {
    looking::find(app, id).await?.filter(|o| o.user == user).ok_or_else(|| Code::NotFound.into())
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
