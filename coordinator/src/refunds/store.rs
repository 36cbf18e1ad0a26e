//! Refunds in SQL. The order of locks is that of `orders::store`.

use nugul_domain::{
    Krw, OrderId, PerformanceId, RefundId, SeatIndex, TicketId, Timestamp, UserId, refund::RefundState,
};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

use crate::{
    db::{Db, Tx, is_unique_violation},
    error::ApiError,
    tickets::store::StoredTicket,
};

/// A refund as stored.
#[derive(Clone, Debug)]
pub struct StoredRefund {
    /// Its id, and the name of its command to the payment service.
    pub id: RefundId,
    /// The ticket.
    pub ticket: TicketId,
    /// The order it came from.
    pub order: OrderId,
    /// The holder.
    pub user: UserId,
    /// For which performance.
    pub performance: PerformanceId,
    /// The seat.
    pub seat: SeatIndex,
    /// The face value.
    pub price: Krw,
    /// Kept.
    pub fee: Krw,
    /// Given back.
    pub amount: Krw,
    /// Why.
    pub reason: String,
    /// Where it stands.
    pub state: RefundState,
    /// When it was asked for.
    pub requested_at: Timestamp,
}

const COLUMNS: &str = "id, ticket_id, order_id, user_id, performance_id, seat, price_krw, fee_krw, amount_krw, reason, \
                       state, requested_at";

fn refund(row: &AnyRow) -> Result<StoredRefund, ApiError> {
    let state: String = row.try_get("state")?;
    Ok(StoredRefund {
        id: RefundId::from_bytes(&row.try_get::<Vec<u8>, _>("id")?)?,
        ticket: TicketId::from_bytes(&row.try_get::<Vec<u8>, _>("ticket_id")?)?,
        order: OrderId::from_bytes(&row.try_get::<Vec<u8>, _>("order_id")?)?,
        user: UserId::from_bytes(&row.try_get::<Vec<u8>, _>("user_id")?)?,
        performance: PerformanceId::from_bytes(&row.try_get::<Vec<u8>, _>("performance_id")?)?,
        seat: SeatIndex::try_from(row.try_get::<i64, _>("seat")?).map_err(ApiError::internal)?,
        price: Krw(row.try_get("price_krw")?),
        fee: Krw(row.try_get("fee_krw")?),
        amount: Krw(row.try_get("amount_krw")?),
        reason: row.try_get("reason")?,
        state: RefundState::parse(&state).ok_or_else(|| ApiError::internal("a stored refund state is damaged"))?,
        requested_at: Timestamp::from_millis(row.try_get("requested_at")?),
    })
}

/// Stores a refund that is asked for. `false` where the ticket has one under way or done.
pub async fn insert(tx: &mut Tx, r: &StoredRefund) -> Result<bool, ApiError> {
    let sql = format!("INSERT INTO refunds ({COLUMNS}, open) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)");
    let inserted = sqlx::query(AssertSqlSafe(sql))
        .bind(r.id.to_bytes())
        .bind(r.ticket.to_bytes())
        .bind(r.order.to_bytes())
        .bind(r.user.to_bytes())
        .bind(r.performance.to_bytes())
        .bind(i64::from(r.seat))
        .bind(r.price.0)
        .bind(r.fee.0)
        .bind(r.amount.0)
        .bind(r.reason.clone())
        .bind(r.state.as_str())
        .bind(r.requested_at.as_millis())
        .execute(&mut **tx)
        .await;
    match inserted {
        Ok(_) => Ok(true),
        Err(e) if is_unique_violation(&e) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// A refund by id.
pub async fn find(db: &Db, id: RefundId) -> Result<Option<StoredRefund>, ApiError> {
    let sql = format!("SELECT {COLUMNS} FROM refunds WHERE id = ?");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.to_bytes()).fetch_optional(db.pool()).await?;
    row.as_ref().map(refund).transpose()
}

/// The refund of a ticket that waits for its organiser.
pub async fn requested(db: &Db, ticket: TicketId) -> Result<Option<StoredRefund>, ApiError> {
    let sql = format!("SELECT {COLUMNS} FROM refunds WHERE ticket_id = ? AND state = 'requested'");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(ticket.to_bytes()).fetch_optional(db.pool()).await?;
    row.as_ref().map(refund).transpose()
}

/// A holder's refunds with ids below `before`, newest first.
pub async fn of_user(
    db: &Db,
    user: UserId,
    before: Option<RefundId>,
    limit: u32,
) -> Result<Vec<StoredRefund>, ApiError> {
    let sql = format!("SELECT {COLUMNS} FROM refunds WHERE user_id = ? AND id < ? ORDER BY id DESC LIMIT ?");
    let before = before.map_or_else(|| vec![0xff; 16], RefundId::to_bytes);
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(user.to_bytes())
        .bind(before)
        .bind(i64::from(limit))
        .fetch_all(db.pool())
        .await?;
    rows.iter().map(refund).collect()
}

/// Refunds that wait for this organiser, or for any, with ids above `after`, oldest first.
pub async fn waiting_for(
    db: &Db,
    seller: Option<UserId>,
    after: Option<RefundId>,
    limit: u32,
) -> Result<Vec<StoredRefund>, ApiError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM refunds WHERE state = 'requested' AND id > ? AND (? = 1 OR performance_id IN \
         (SELECT p.id FROM performances p JOIN events e ON e.id = p.event_id WHERE e.seller_id = ?)) ORDER BY id LIMIT ?"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(after.map(RefundId::to_bytes).unwrap_or_default())
        .bind(i64::from(seller.is_none()))
        .bind(seller.map(UserId::to_bytes).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(db.pool())
        .await?;
    rows.iter().map(refund).collect()
}

/// The organiser's word on a refund that waits for it. `false` where it waits no more.
pub async fn decide(tx: &mut Tx, id: RefundId, to: RefundState, by: UserId, now: Timestamp) -> Result<bool, ApiError> {
    let open = (to != RefundState::Declined).then_some(1i64);
    let moved = sqlx::query(
        "UPDATE refunds SET state = ?, open = ?, decided_at = ?, decided_by = ? WHERE id = ? AND state = 'requested'",
    )
    .bind(to.as_str())
    .bind(open)
    .bind(now.as_millis())
    .bind(by.to_bytes())
    .bind(id.to_bytes())
    .execute(&mut **tx)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// A refund that waited becomes one of the whole price, because the performance is cancelled. `false` where it waits no
/// more.
pub async fn waive_fee(tx: &mut Tx, id: RefundId) -> Result<bool, ApiError> {
    let moved = sqlx::query(
        "UPDATE refunds SET state = 'refunding', fee_krw = 0, amount_krw = price_krw WHERE id = ? AND state = 'requested'",
    )
    .bind(id.to_bytes())
    .execute(&mut **tx)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// From now on the ticket opens no gate. `false` where it is no live ticket, or already on its way back.
pub async fn take_ticket(tx: &mut Tx, ticket: TicketId, refund: RefundId) -> Result<bool, ApiError> {
    let moved = sqlx::query(
        "UPDATE tickets SET refund_id = ?, qr_version = qr_version + 1 WHERE id = ? AND live = 1 AND refund_id IS NULL",
    )
    .bind(refund.to_bytes())
    .bind(ticket.to_bytes())
    .execute(&mut **tx)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// The money is on its way. `false` where that was known.
pub async fn finish(tx: &mut Tx, id: RefundId) -> Result<bool, ApiError> {
    let moved = sqlx::query("UPDATE refunds SET state = 'refunded' WHERE id = ? AND state = 'refunding'")
        .bind(id.to_bytes())
        .execute(&mut **tx)
        .await?;
    Ok(moved.rows_affected() == 1)
}

/// Ends a ticket's life. Tells how many live tickets its order has left.
pub async fn void(tx: &mut Tx, ticket: TicketId, order: OrderId) -> Result<i64, ApiError> {
    sqlx::query("UPDATE tickets SET live = NULL WHERE id = ?").bind(ticket.to_bytes()).execute(&mut **tx).await?;
    let row = sqlx::query("SELECT COUNT(*) AS n FROM tickets WHERE order_id = ? AND live = 1")
        .bind(order.to_bytes())
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.try_get("n")?)
}

/// Live tickets of an order with their holders.
pub async fn live_of_order(db: &Db, order: OrderId) -> Result<Vec<(UserId, StoredTicket)>, ApiError> {
    crate::tickets::store::live_where(db, "order_id = ?", &order.to_bytes(), i64::MAX).await
}

/// Live tickets of a performance that are not on their way back, with their holders.
pub async fn kept_of_performance(
    db: &Db,
    performance: PerformanceId,
    limit: i64,
) -> Result<Vec<(UserId, StoredTicket)>, ApiError> {
    let of = "performance_id = ? AND refund_id IS NULL";
    crate::tickets::store::live_where(db, of, &performance.to_bytes(), limit).await
}
