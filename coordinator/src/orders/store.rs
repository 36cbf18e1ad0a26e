//! Orders and the seats they claim in SQL.
//!
//! Order of locks: the idempotency key where a request takes it before its work; then performance, order or refund, buyer's
//! counts, seat claims ascending, tickets, outbox, and last the key where it is stored with its answer. Should two
//! transactions meet all the same, the database ends one of them, and its client is told to come back (`error.rs`).

use std::collections::BTreeMap;

use nugul_api::Code;
use nugul_domain::{
    HoldId, Krw, OrderId, PerformanceId, SeatIndex, TicketId, Timestamp, UserId,
    order::{OrderEvent, OrderState},
};
use nugul_points::{Planted, planted};
use sqlx::{Any, AssertSqlSafe, Executor, Row, any::AnyRow};

use crate::{
    db::{Db, Tx, is_unique_violation, marks, padded, pieces, rows},
    error::ApiError,
};

/// An order as stored.
#[derive(Clone, Debug)]
pub struct StoredOrder {
    /// Its id.
    pub id: OrderId,
    /// The buyer.
    pub user: UserId,
    /// For which performance.
    pub performance: PerformanceId,
    /// The hold it came from.
    pub hold: HoldId,
    /// Where it stands.
    pub state: OrderState,
    /// What it costs.
    pub total: Krw,
    /// What the payment page calls it.
    pub name: String,
    /// Until when it can be paid.
    pub pay_before: Timestamp,
    /// Why it was declined.
    pub decline_reason: Option<String>,
}

/// A seat of an order.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The seat.
    pub seat: SeatIndex,
    /// What it costs; the face value of its ticket.
    pub price: Krw,
}

const COLUMNS: &str = "id, user_id, performance_id, hold_id, state, total_krw, name, pay_before, decline_reason";

fn order(row: &AnyRow) -> Result<StoredOrder, ApiError> {
    let state: String = row.try_get("state")?;
    Ok(StoredOrder {
        id: OrderId::from_bytes(&row.try_get::<Vec<u8>, _>("id")?)?,
        user: UserId::from_bytes(&row.try_get::<Vec<u8>, _>("user_id")?)?,
        performance: PerformanceId::from_bytes(&row.try_get::<Vec<u8>, _>("performance_id")?)?,
        hold: HoldId::from_bytes(&row.try_get::<Vec<u8>, _>("hold_id")?)?,
        state: OrderState::parse(&state).ok_or_else(|| ApiError::internal("a stored order state is damaged"))?,
        total: Krw(row.try_get("total_krw")?),
        name: row.try_get("name")?,
        pay_before: Timestamp::from_millis(row.try_get("pay_before")?),
        decline_reason: row.try_get("decline_reason")?,
    })
}

/// Stores orders with their lines. `false` where one of their holds has an order already.
pub async fn insert(tx: &mut Tx, new: &[(&StoredOrder, &[Line])], now: Timestamp) -> Result<bool, ApiError> {
    let sql = format!(
        "INSERT INTO orders (id, user_id, performance_id, hold_id, state, total_krw, name, created_at, pay_before) VALUES {}",
        rows(new.len(), 9)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (o, _) in new {
        query = query
            .bind(o.id.to_bytes())
            .bind(o.user.to_bytes())
            .bind(o.performance.to_bytes())
            .bind(o.hold.to_bytes())
            .bind(o.state.as_str())
            .bind(o.total.0)
            .bind(o.name.clone())
            .bind(now.as_millis())
            .bind(o.pay_before.as_millis());
    }
    match query.execute(&mut **tx).await {
        Ok(_) => {}
        Err(e) if is_unique_violation(&e) => return Ok(false),
        Err(e) => return Err(e.into()),
    }
    let lines: Vec<_> = new.iter().flat_map(|(o, lines)| lines.iter().map(|line| (o.id, line))).collect();
    for piece in pieces(&lines) {
        let sql = format!("INSERT INTO order_lines (order_id, seat, price_krw) VALUES {}", rows(piece.len(), 3));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (order, line) in piece {
            query = query.bind(order.to_bytes()).bind(i64::from(line.seat)).bind(line.price.0);
        }
        query.execute(&mut **tx).await?;
    }
    Ok(true)
}

/// A seat that an order wants, with the fence of its hold.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The seat.
    pub seat: SeatIndex,
    /// For which order.
    pub order: OrderId,
    /// What the hold was told when it took the seat.
    pub fence: i64,
}

/// Claims seats of a performance for orders. A seat that is claimed, or that has seen a higher fence, is refused whatever
/// Redis said.
pub async fn claim(db: &Db, tx: &mut Tx, p: PerformanceId, claims: &[Claim]) -> Result<(), ApiError> {
    let wanted = claims.len();
    // In the order of locks.
    let claims: BTreeMap<SeatIndex, &Claim> = claims.iter().map(|claim| (claim.seat, claim)).collect();
    // A seat that was claimed before has a row: it is taken over, where it is free and older.
    let take_over = if planted(Planted::NoFence) {
        db.either(
            "ON DUPLICATE KEY UPDATE sold = IF(order_id IS NULL, 0, sold), \
             order_id = COALESCE(order_id, VALUES(order_id)), fence = IF(order_id = VALUES(order_id), VALUES(fence), fence)",
            "ON CONFLICT (performance_id, seat) DO UPDATE SET order_id = excluded.order_id, fence = excluded.fence, sold = 0 \
             WHERE seat_claims.order_id IS NULL",
        )
    } else {
        // MySQL sets one column after the other, and each sees those before it.
        db.either(
            "ON DUPLICATE KEY UPDATE sold = IF(order_id IS NULL AND fence < VALUES(fence), 0, sold), \
             order_id = IF(order_id IS NULL AND fence < VALUES(fence), VALUES(order_id), order_id), \
             fence = IF(order_id = VALUES(order_id), VALUES(fence), fence)",
            "ON CONFLICT (performance_id, seat) DO UPDATE SET order_id = excluded.order_id, fence = excluded.fence, sold = 0 \
             WHERE seat_claims.order_id IS NULL AND seat_claims.fence < excluded.fence",
        )
    };
    for piece in pieces(&claims.values().collect::<Vec<_>>()) {
        let sql = format!(
            "INSERT INTO seat_claims (performance_id, seat, fence, order_id, sold) VALUES {} {take_over}",
            rows(piece.len(), 5)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for claim in piece {
            query = query
                .bind(p.to_bytes())
                .bind(i64::from(claim.seat))
                .bind(claim.fence)
                .bind(claim.order.to_bytes())
                .bind(0i64);
        }
        query.execute(&mut **tx).await?;
    }
    let seats = padded(&claims.keys().copied().collect::<Vec<_>>());
    let sql =
        format!("SELECT seat, order_id FROM seat_claims WHERE performance_id = ? AND seat IN {}", marks(seats.len()));
    let query = sqlx::query(AssertSqlSafe(sql)).bind(p.to_bytes());
    let query = seats.iter().fold(query, |query, &seat| query.bind(i64::from(seat)));
    let mut ours = 0;
    for row in query.fetch_all(&mut **tx).await? {
        let seat = SeatIndex::try_from(row.try_get::<i64, _>("seat")?).map_err(ApiError::internal)?;
        let order: Option<Vec<u8>> = row.try_get("order_id")?;
        ours += usize::from(claims.get(&seat).is_some_and(|claim| order == Some(claim.order.to_bytes())));
    }
    if ours == wanted { Ok(()) } else { Err(Code::SeatsTaken.into()) }
}

/// Gives an order's seats back, or only some of them; their fences stay.
pub async fn unclaim(tx: &mut Tx, p: PerformanceId, order: OrderId, seats: &[SeatIndex]) -> Result<(), ApiError> {
    let sql = format!(
        "UPDATE seat_claims SET order_id = NULL, sold = 0 WHERE performance_id = ? AND order_id = ? AND seat IN {}",
        marks(seats.len())
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(p.to_bytes()).bind(order.to_bytes());
    for &seat in seats {
        query = query.bind(i64::from(seat));
    }
    query.execute(&mut **tx).await?;
    Ok(())
}

/// Moves an order on. `false` where it is there already; an error where it cannot go there from where it stands.
pub async fn advance(tx: &mut Tx, o: &StoredOrder, event: OrderEvent) -> Result<bool, ApiError> {
    let next = o.state.after(event).ok_or(Code::OrderState)?;
    if next == o.state {
        return Ok(false);
    }
    let moved = sqlx::query("UPDATE orders SET state = ? WHERE id = ? AND state = ?")
        .bind(next.as_str())
        .bind(o.id.to_bytes())
        .bind(o.state.as_str())
        .execute(&mut **tx)
        .await?;
    // Someone moved it between our read and now: the caller looks again.
    if moved.rows_affected() == 1 { Ok(true) } else { Err(Code::OrderState.into()) }
}

/// Keeps why a payment was declined.
pub async fn set_decline_reason(tx: &mut Tx, id: OrderId, reason: &str) -> Result<(), ApiError> {
    let reason: String = reason.chars().take(400).collect();
    sqlx::query("UPDATE orders SET decline_reason = ? WHERE id = ?")
        .bind(reason)
        .bind(id.to_bytes())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Moves pending orders on to where their payment is asked for. `false` where one of them is not pending any more.
pub async fn all_confirming(tx: &mut Tx, ids: &[OrderId]) -> Result<bool, ApiError> {
    move_all(tx, ids, OrderState::Pending, OrderEvent::ConfirmRequested).await
}

/// Moves orders on whose payment was approved. `false` where one of them was not waiting for that.
pub async fn all_paid(tx: &mut Tx, ids: &[OrderId]) -> Result<bool, ApiError> {
    move_all(tx, ids, OrderState::Confirming, OrderEvent::Approved).await
}

async fn move_all(tx: &mut Tx, ids: &[OrderId], from: OrderState, event: OrderEvent) -> Result<bool, ApiError> {
    let to = from.after(event).ok_or(Code::OrderState)?;
    let list = padded(ids);
    let sql = format!("UPDATE orders SET state = ? WHERE state = ? AND id IN {}", marks(list.len()));
    let query = sqlx::query(AssertSqlSafe(sql)).bind(to.as_str()).bind(from.as_str());
    let moved = list.iter().fold(query, |query, id| query.bind(id.to_bytes())).execute(&mut **tx).await?;
    Ok(moved.rows_affected() == ids.len() as u64)
}

/// Marks the seats of orders as sold and issues their tickets.
pub async fn issue(
    tx: &mut Tx,
    orders: &[(&StoredOrder, &[(Line, TicketId)])],
    now: Timestamp,
) -> Result<(), ApiError> {
    let count: usize = orders.iter().map(|(_, lines)| lines.len()).sum();
    // In the order of locks; a statement for each performance, for a range of its seats is what the key is good for.
    let mut by_performance: BTreeMap<PerformanceId, (Vec<OrderId>, Vec<SeatIndex>)> = BTreeMap::new();
    for (o, lines) in orders {
        let (ids, seats) = by_performance.entry(o.performance).or_default();
        ids.push(o.id);
        seats.extend(lines.iter().map(|(line, _)| line.seat));
    }
    let mut sold = 0;
    for (performance, (ids, seats)) in by_performance {
        let (ids, seats) = (padded(&ids), padded(&seats));
        let sql = format!(
            "UPDATE seat_claims SET sold = 1 WHERE performance_id = ? AND seat IN {} AND order_id IN {}",
            marks(seats.len()),
            marks(ids.len())
        );
        let query = sqlx::query(AssertSqlSafe(sql));
        let query = seats.iter().fold(query.bind(performance.to_bytes()), |query, &seat| query.bind(i64::from(seat)));
        let query = ids.iter().fold(query, |query, id| query.bind(id.to_bytes()));
        sold += query.execute(&mut **tx).await?.rows_affected();
    }
    if sold != count as u64 {
        let ids: Vec<_> = orders.iter().map(|(o, _)| o.id.to_string()).collect();
        return Err(ApiError::internal(format_args!("one of the orders {ids:?} has lost seats it claimed")));
    }
    let tickets: Vec<_> = orders.iter().flat_map(|(o, lines)| lines.iter().map(move |line| (o, line))).collect();
    for piece in pieces(&tickets) {
        let sql = format!(
            "INSERT INTO tickets (id, order_id, user_id, performance_id, seat, price_krw, live, qr_version, issued_at) \
             VALUES {}",
            rows(piece.len(), 9)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (o, (line, ticket)) in piece {
            query = query
                .bind(ticket.to_bytes())
                .bind(o.id.to_bytes())
                .bind(o.user.to_bytes())
                .bind(o.performance.to_bytes())
                .bind(i64::from(line.seat))
                .bind(line.price.0)
                .bind(1i64)
                .bind(1i64)
                .bind(now.as_millis());
        }
        query.execute(&mut **tx).await?;
    }
    Ok(())
}

/// Orders by id, as this connection or transaction sees them; those there are.
pub async fn find_all<'e>(
    executor: impl Executor<'e, Database = Any>,
    ids: &[OrderId],
) -> Result<Vec<StoredOrder>, ApiError> {
    let ids = padded(ids);
    let sql = format!("SELECT {COLUMNS} FROM orders WHERE id IN {} ORDER BY id", marks(ids.len()));
    let query = sqlx::query(AssertSqlSafe(sql));
    let rows = ids.iter().fold(query, |query, id| query.bind(id.to_bytes())).fetch_all(executor).await?;
    rows.iter().map(order).collect()
}

/// The seats of orders, each with its order, ascending.
pub async fn lines_of_all(tx: &mut Tx, ids: &[OrderId]) -> Result<Vec<(OrderId, Line)>, ApiError> {
    let ids = padded(ids);
    let sql = format!(
        "SELECT order_id, seat, price_krw FROM order_lines WHERE order_id IN {} ORDER BY order_id, seat",
        marks(ids.len())
    );
    let query = sqlx::query(AssertSqlSafe(sql));
    let rows = ids.iter().fold(query, |query, id| query.bind(id.to_bytes())).fetch_all(&mut **tx).await?;
    rows.iter().map(|row| Ok((OrderId::from_bytes(&row.try_get::<Vec<u8>, _>("order_id")?)?, line(row)?))).collect()
}

/// An order by id.
pub async fn find(db: &Db, id: OrderId) -> Result<Option<StoredOrder>, ApiError> {
    let sql = format!("SELECT {COLUMNS} FROM orders WHERE id = ?");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.to_bytes()).fetch_optional(db.pool()).await?;
    row.as_ref().map(order).transpose()
}

/// An order by id, as this transaction sees it.
pub async fn find_in(tx: &mut Tx, id: OrderId) -> Result<Option<StoredOrder>, ApiError> {
    let sql = format!("SELECT {COLUMNS} FROM orders WHERE id = ?");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.to_bytes()).fetch_optional(&mut **tx).await?;
    row.as_ref().map(order).transpose()
}

/// A buyer's orders that are not paid, newest first: those that may be yet, and those made after `since` that ended because
/// they were declined or not paid in time.
pub async fn unpaid_of(db: &Db, user: UserId, since: Timestamp, limit: u32) -> Result<Vec<StoredOrder>, ApiError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM orders WHERE user_id = ? AND (state IN ('pending', 'confirming') \
         OR (state IN ('declined', 'expired') AND created_at > ?)) ORDER BY created_at DESC LIMIT ?"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(user.to_bytes())
        .bind(since.as_millis())
        .bind(i64::from(limit))
        .fetch_all(db.pool())
        .await?;
    rows.iter().map(order).collect()
}

/// The order a hold became.
pub async fn of_hold(db: &Db, hold: HoldId) -> Result<Option<StoredOrder>, ApiError> {
    let sql = format!("SELECT {COLUMNS} FROM orders WHERE hold_id = ?");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(hold.to_bytes()).fetch_optional(db.pool()).await?;
    row.as_ref().map(order).transpose()
}

/// Orders in `state` that were to be paid before `time`, the oldest first.
pub async fn overdue(db: &Db, state: OrderState, time: Timestamp, limit: u32) -> Result<Vec<StoredOrder>, ApiError> {
    let sql = format!("SELECT {COLUMNS} FROM orders WHERE state = ? AND pay_before <= ? ORDER BY pay_before LIMIT ?");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(state.as_str())
        .bind(time.as_millis())
        .bind(i64::from(limit))
        .fetch_all(db.pool())
        .await?;
    rows.iter().map(order).collect()
}

/// Orders of a performance in `state`.
pub async fn of_performance(
    db: &Db,
    p: PerformanceId,
    state: OrderState,
    limit: u32,
) -> Result<Vec<StoredOrder>, ApiError> {
    let sql = format!("SELECT {COLUMNS} FROM orders WHERE performance_id = ? AND state = ? LIMIT ?");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(p.to_bytes())
        .bind(state.as_str())
        .bind(i64::from(limit))
        .fetch_all(db.pool())
        .await?;
    rows.iter().map(order).collect()
}

const LINES: &str = "SELECT seat, price_krw FROM order_lines WHERE order_id = ? ORDER BY seat";

/// The seats of an order, ascending.
pub async fn lines(db: &Db, id: OrderId) -> Result<Vec<Line>, ApiError> {
    lines_of(&sqlx::query(LINES).bind(id.to_bytes()).fetch_all(db.pool()).await?)
}

/// The seats of an order, ascending, as this transaction sees them.
pub async fn lines_in(tx: &mut Tx, id: OrderId) -> Result<Vec<Line>, ApiError> {
    lines_of(&sqlx::query(LINES).bind(id.to_bytes()).fetch_all(&mut **tx).await?)
}

fn lines_of(rows: &[AnyRow]) -> Result<Vec<Line>, ApiError> {
    rows.iter().map(line).collect()
}

fn line(row: &AnyRow) -> Result<Line, ApiError> {
    let seat = SeatIndex::try_from(row.try_get::<i64, _>("seat")?).map_err(ApiError::internal)?;
    Ok(Line { seat, price: Krw(row.try_get("price_krw")?) })
}

/// The tickets of an order.
pub async fn tickets(db: &Db, id: OrderId) -> Result<Vec<TicketId>, ApiError> {
    let rows = sqlx::query("SELECT id FROM tickets WHERE order_id = ? ORDER BY seat")
        .bind(id.to_bytes())
        .fetch_all(db.pool())
        .await?;
    rows.iter().map(|r| Ok(TicketId::from_bytes(&r.try_get::<Vec<u8>, _>("id")?)?)).collect()
}
