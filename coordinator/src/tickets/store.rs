//! Tickets in SQL.

use nugul_domain::{Krw, OrderId, PerformanceId, SeatIndex, TicketId, Timestamp, UserId};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

use crate::{db::Db, error::ApiError};

/// A live ticket as stored.
#[derive(Clone, Debug)]
pub struct StoredTicket {
    /// Its id.
    pub id: TicketId,
    /// The order it came from.
    pub order: OrderId,
    /// For which performance.
    pub performance: PerformanceId,
    /// The seat.
    pub seat: SeatIndex,
    /// The face value.
    pub price: Krw,
    /// Raised when the holder changes, so that an older QR code is void.
    pub qr_version: i64,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Whether it is on its way back: it opens no gate.
    pub refunding: bool,
}

const COLUMNS: &str = "id, order_id, performance_id, seat, price_krw, qr_version, issued_at, refund_id";

fn ticket(row: &AnyRow) -> Result<StoredTicket, ApiError> {
    Ok(StoredTicket {
        id: TicketId::from_bytes(&row.try_get::<Vec<u8>, _>("id")?)?,
        order: OrderId::from_bytes(&row.try_get::<Vec<u8>, _>("order_id")?)?,
        performance: PerformanceId::from_bytes(&row.try_get::<Vec<u8>, _>("performance_id")?)?,
        seat: SeatIndex::try_from(row.try_get::<i64, _>("seat")?).map_err(ApiError::internal)?,
        price: Krw(row.try_get("price_krw")?),
        qr_version: row.try_get("qr_version")?,
        issued_at: Timestamp::from_millis(row.try_get("issued_at")?),
        refunding: row.try_get::<Option<Vec<u8>>, _>("refund_id")?.is_some(),
    })
}

/// A holder's live tickets with ids below `before`, newest first.
pub async fn of_user(
    db: &Db,
    user: UserId,
    before: Option<TicketId>,
    limit: u32,
) -> Result<Vec<StoredTicket>, ApiError> {
    let sql =
        format!("SELECT {COLUMNS} FROM tickets WHERE user_id = ? AND live = 1 AND id < ? ORDER BY id DESC LIMIT ?");
    let before = before.map_or_else(|| vec![0xff; 16], TicketId::to_bytes);
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(user.to_bytes())
        .bind(before)
        .bind(i64::from(limit))
        .fetch_all(db.pool())
        .await?;
    rows.iter().map(ticket).collect()
}

/// A live ticket of this holder.
pub async fn find(db: &Db, user: UserId, id: TicketId) -> Result<Option<StoredTicket>, ApiError> {
    let sql = format!("SELECT {COLUMNS} FROM tickets WHERE id = ? AND user_id = ? AND live = 1");
    let row =
        sqlx::query(AssertSqlSafe(sql)).bind(id.to_bytes()).bind(user.to_bytes()).fetch_optional(db.pool()).await?;
    row.as_ref().map(ticket).transpose()
}

/// Live tickets of which `condition`, on one value, is true, with their holders.
pub(crate) async fn live_where(
    db: &Db,
    condition: &'static str,
    value: &[u8],
    limit: i64,
) -> Result<Vec<(UserId, StoredTicket)>, ApiError> {
    let sql = format!("SELECT user_id, {COLUMNS} FROM tickets WHERE {condition} AND live = 1 ORDER BY seat LIMIT ?");
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(value.to_vec()).bind(limit).fetch_all(db.pool()).await?;
    rows.iter().map(|row| Ok((UserId::from_bytes(&row.try_get::<Vec<u8>, _>("user_id")?)?, ticket(row)?))).collect()
}
