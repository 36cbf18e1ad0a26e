//! New orders as stored: those of a performance that wait for their turn share a transaction.

use nugul_api::Code;
use nugul_batch::all_or_each;
use nugul_domain::{SeatIndex, SeatState, TicketId, order::OrderState};

use super::{
    limits,
    service::{account_of, settle},
    store::{self, Claim, Line, StoredOrder},
};
use crate::{
    app::App,
    batches::{not_done, stored},
    catalogue::{self, store::PerformanceInfo},
    error::ApiError,
    idempotency::{self, Answer},
    messages::Message,
    outbox::{self, New},
};

/// An order to be stored with everything that goes with it.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// The order.
    pub order: StoredOrder,
    /// Its seats, ascending.
    pub lines: Vec<Line>,
    /// Its tickets, by seat, where it costs nothing; none where it has to be paid first.
    pub tickets: Vec<TicketId>,
    /// The fence of its hold.
    pub fence: i64,
    /// What its buyer is answered.
    pub answer: Answer,
}

/// Stores an order, its seats, the message to the payment service and the answer in one transaction. `false` where a request
/// with the same key or for the same hold was first.
pub async fn store_new(app: &App, info: &PerformanceInfo, new: NewOrder) -> Result<bool, ApiError> {
    let gate = app.gates.gate(new.order.performance);
    let store = |some| {
        all_or_each((app, info), some, |(app, info), some: &[_]| {
            Box::pin(async move { stored(some.len(), store_all(app, info, some).await) })
        })
    };
    gate.batches.making.join(new, store).await.map_err(not_done)?
}

async fn store_all(app: &App, info: &PerformanceInfo, all: &[NewOrder]) -> Result<bool, ApiError> {
    let (now, performance) = (app.now(), info.summary.id);
    let mut tx = app.db.begin_write().await?;
    if catalogue::store::is_cancelled(&app.db, &mut tx, performance).await? {
        return Err(Code::PerformanceCancelled.into());
    }
    let rows: Vec<_> = all.iter().map(|new| (&new.order, new.lines.as_slice())).collect();
    if !store::insert(&mut tx, &rows, now).await? {
        return Ok(false);
    }
    let wanted: Vec<_> = all.iter().map(|new| (account_of(info, new.order.user), new.lines.len())).collect();
    limits::take(&app.db, &mut tx, &wanted, &info.limits).await?;
    let claims: Vec<_> = all.iter().flat_map(claims_of).collect();
    store::claim(&app.db, &mut tx, performance, &claims).await?;
    for new in all.iter().filter(|new| !new.tickets.is_empty()) {
        let issued: Vec<_> = new.lines.iter().copied().zip(new.tickets.iter().copied()).collect();
        store::issue(&mut tx, &[(&new.order, issued.as_slice())], now).await?;
    }
    let put = outbox::put_all(app, &mut tx, &all.iter().map(message_of).collect::<Vec<_>>()).await?;
    let answers: Vec<_> = all.iter().map(|new| &new.answer).collect();
    if !idempotency::record(&mut tx, &answers, now).await? {
        return Ok(false);
    }
    tx.commit().await?;
    app.outbox.hand_over(put);
    Ok(true)
}

fn claims_of(new: &NewOrder) -> impl Iterator<Item = Claim> {
    new.lines.iter().map(|line| Claim { seat: line.seat, order: new.order.id, fence: new.fence })
}

/// The first message of an order: to the payment service, or that its seats are sold.
fn message_of(new: &NewOrder) -> New {
    let order = &new.order;
    let (in_order_of, message) = if order.state == OrderState::Paid {
        let seats: Vec<SeatIndex> = new.lines.iter().map(|l| l.seat).collect();
        (order.hold.to_bytes(), settle(order, seats, SeatState::Sold))
    } else {
        let prepare = Message::Prepare {
            user_id: order.user,
            amount_krw: order.total,
            order_name: order.name.clone(),
            expires_at: order.pay_before,
        };
        (order.id.to_bytes(), prepare)
    };
    New { in_order_of, place: 1, is_next: true, message }
}
