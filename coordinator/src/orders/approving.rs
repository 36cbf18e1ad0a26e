//! Approved payments, many at once: their orders are paid, their tickets issued.

use nugul_domain::{OrderId, SeatIndex, SeatState, TicketId, order::OrderState};

use super::{
    service::settle,
    store::{self, Line, StoredOrder},
};
use crate::{
    app::Parts,
    db::Tx,
    error::ApiError,
    outbox::{self, New, Put},
};

/// An order as it was committed, so that who is told of it need not look.
#[derive(Debug)]
pub struct Committed {
    /// The order.
    pub order: StoredOrder,
    /// Its seats, ascending.
    pub lines: Vec<Line>,
    /// Its tickets, by seat.
    pub tickets: Vec<TicketId>,
}

/// What is to be told when the transaction has committed.
#[derive(Debug)]
pub struct Approved {
    /// Messages to be handed over.
    pub put: Put,
    /// The orders as they are then.
    pub orders: Vec<Committed>,
}

/// Applies approvals of different orders in the caller's transaction. Nothing where one of the orders is not waiting for that:
/// roll back, and apply them one by one.
pub async fn approve_all(app: &Parts, tx: &mut Tx, ids: &[OrderId]) -> Result<Option<Approved>, ApiError> {
    let mut ids = ids.to_vec();
    // The order of locks.
    ids.sort_unstable();
    let orders = store::find_all(&mut **tx, &ids).await?;
    let all_wait = orders.len() == ids.len() && orders.iter().all(|o| o.state == OrderState::Confirming);
    if !all_wait || !store::all_paid(tx, &ids).await? {
        return Ok(None);
    }
    let now = app.now();
    let mut tickets = Vec::with_capacity(ids.len());
    for (order, line) in store::lines_of_all(tx, &ids).await? {
        tickets.push((order, (line, TicketId::new(app.config.region, now, app.random_id()))));
    }
    let of_each: Vec<Vec<_>> =
        ids.iter().map(|id| tickets.iter().filter(|(order, _)| order == id).map(|(_, t)| *t).collect()).collect();
    let issued: Vec<_> = orders.iter().zip(&of_each).map(|(order, lines)| (order, lines.as_slice())).collect();
    store::issue(tx, &issued, now).await?;
    let sold = issued.iter().map(|(order, lines)| {
        let seats: Vec<SeatIndex> = lines.iter().map(|(line, _)| line.seat).collect();
        let message = settle(order, seats, SeatState::Sold);
        New { in_order_of: order.hold.to_bytes(), place: 1, is_next: true, message }
    });
    let put = outbox::put_all(app, tx, &sold.collect::<Vec<_>>()).await?;
    let orders = orders.into_iter().zip(of_each).map(|(order, lines)| {
        let (lines, tickets) = lines.into_iter().unzip();
        Committed { order: StoredOrder { state: OrderState::Paid, ..order }, lines, tickets }
    });
    Ok(Some(Approved { put, orders: orders.collect() }))
}
