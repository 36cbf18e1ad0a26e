//! Orders and the seats they claim in SQL.
//!
//! Order of locks, the same everywhere: idempotency key, order, seat claims ascending, tickets, outbox.

use nugul_api::Code;
use nugul_domain::{
    HoldId, Krw, OrderId, PerformanceId, SeatIndex, TicketId, Timestamp, UserId,
    order::{OrderEvent, OrderState},
};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

use crate::{
    db::{Db, Tx, is_unique_violation},
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

/// Stores an order with its lines.
pub async fn insert(tx: &mut Tx, o: &StoredOrder, lines: &[Line], now: Timestamp) -> Result<(), ApiError> {
    sqlx::query(
        "INSERT INTO orders (id, user_id, performance_id, hold_id, state, total_krw, name, created_at, pay_before) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(o.id.to_bytes())
    .bind(o.user.to_bytes())
    .bind(o.performance.to_bytes())
    .bind(o.hold.to_bytes())
    .bind(o.state.as_str())
    .bind(o.total.0)
    .bind(o.name.clone())
    .bind(now.as_millis())
    .bind(o.pay_before.as_millis())
    .execute(&mut **tx)
    .await?;
    for line in lines {
        sqlx::query("INSERT INTO order_lines (order_id, seat, price_krw) VALUES (?, ?, ?)")
            .bind(o.id.to_bytes())
            .bind(i64::from(line.seat))
            .bind(line.price.0)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Claims seats for an order. A seat that is claimed, or that has seen a higher fence, is refused whatever Redis said.
pub async fn claim(
    tx: &mut Tx,
    p: PerformanceId,
    order: OrderId,
    seats: &[SeatIndex],
    fence: i64,
) -> Result<(), ApiError> {
    for &seat in seats {
        let taken_over = sqlx::query(
            "UPDATE seat_claims SET order_id = ?, fence = ?, sold = 0 \
             WHERE performance_id = ? AND seat = ? AND order_id IS NULL AND fence < ?",
        )
        .bind(order.to_bytes())
        .bind(fence)
        .bind(p.to_bytes())
        .bind(i64::from(seat))
        .bind(fence)
        .execute(&mut **tx)
        .await?;
        if taken_over.rows_affected() == 1 {
            continue;
        }
        let inserted =
            sqlx::query("INSERT INTO seat_claims (performance_id, seat, fence, order_id, sold) VALUES (?, ?, ?, ?, 0)")
                .bind(p.to_bytes())
                .bind(i64::from(seat))
                .bind(fence)
                .bind(order.to_bytes())
                .execute(&mut **tx)
                .await;
        match inserted {
            Ok(_) => {}
            Err(e) if is_unique_violation(&e) => return Err(Code::SeatsTaken.into()),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Gives an order's seats back; their fences stay.
pub async fn unclaim(tx: &mut Tx, p: PerformanceId, order: OrderId) -> Result<(), ApiError> {
    sqlx::query("UPDATE seat_claims SET order_id = NULL, sold = 0 WHERE performance_id = ? AND order_id = ?")
        .bind(p.to_bytes())
        .bind(order.to_bytes())
        .execute(&mut **tx)
        .await?;
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

/// Marks the seats as sold and issues the tickets.
pub async fn issue(tx: &mut Tx, o: &StoredOrder, lines: &[(Line, TicketId)], now: Timestamp) -> Result<(), ApiError> {
    sqlx::query("UPDATE seat_claims SET sold = 1 WHERE performance_id = ? AND order_id = ?")
        .bind(o.performance.to_bytes())
        .bind(o.id.to_bytes())
        .execute(&mut **tx)
        .await?;
    for (line, ticket) in lines {
        sqlx::query(
            "INSERT INTO tickets (id, order_id, user_id, performance_id, seat, price_krw, live, qr_version, issued_at) \
             VALUES (?, ?, ?, ?, ?, ?, 1, 1, ?)",
        )
        .bind(ticket.to_bytes())
        .bind(o.id.to_bytes())
        .bind(o.user.to_bytes())
        .bind(o.performance.to_bytes())
        .bind(i64::from(line.seat))
        .bind(line.price.0)
        .bind(now.as_millis())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// An order by id.
pub async fn find(db: &Db, id: OrderId) -> Result<Option<StoredOrder>, ApiError> {
    let sql = format!("SELECT {COLUMNS} FROM orders WHERE id = ?");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.to_bytes()).fetch_optional(db.pool()).await?;
    row.as_ref().map(order).transpose()
}

/// A buyer's orders that are not paid yet, newest first.
pub async fn open_of(db: &Db, user: UserId, limit: u32) -> Result<Vec<StoredOrder>, ApiError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM orders WHERE user_id = ? AND state IN ('pending', 'confirming') ORDER BY created_at DESC LIMIT ?"
    );
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(user.to_bytes()).bind(i64::from(limit)).fetch_all(db.pool()).await?;
    rows.iter().map(order).collect()
}

/// Orders nobody paid in time.
pub async fn overdue(db: &Db, now: Timestamp, limit: u32) -> Result<Vec<StoredOrder>, ApiError> {
    let sql =
        format!("SELECT {COLUMNS} FROM orders WHERE state = 'pending' AND pay_before <= ? ORDER BY pay_before LIMIT ?");
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(now.as_millis()).bind(i64::from(limit)).fetch_all(db.pool()).await?;
    rows.iter().map(order).collect()
}

/// The seats of an order, ascending.
pub async fn lines(db: &Db, id: OrderId) -> Result<Vec<Line>, ApiError> {
    let rows = sqlx::query("SELECT seat, price_krw FROM order_lines WHERE order_id = ? ORDER BY seat")
        .bind(id.to_bytes())
        .fetch_all(db.pool())
        .await?;
    rows.iter()
        .map(|row| {
            let seat = SeatIndex::try_from(row.try_get::<i64, _>("seat")?).map_err(ApiError::internal)?;
            Ok(Line { seat, price: Krw(row.try_get("price_krw")?) })
        })
        .collect()
}

/// The tickets of an order.
pub async fn tickets(db: &Db, id: OrderId) -> Result<Vec<TicketId>, ApiError> {
    let rows = sqlx::query("SELECT id FROM tickets WHERE order_id = ? ORDER BY seat")
        .bind(id.to_bytes())
        .fetch_all(db.pool())
        .await?;
    rows.iter().map(|r| Ok(TicketId::from_bytes(&r.try_get::<Vec<u8>, _>("id")?)?)).collect()
}
