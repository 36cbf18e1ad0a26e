//! Double-entry book-keeping: each movement of money is two rows that sum to zero, booked once per order and kind.
use sqlx::{Any, Row, Transaction};
use uuid::Uuid;

use crate::db::Db;

/// A movement of money. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// From the buyer, held by the provider for us.
    Capture = 1,
    /// Back to the buyer.
    Refund = 2,
}

/// What the provider owes us.
const PROVIDER: &str = "provider_receivable";
/// What we owe for orders paid.
const ORDERS: &str = "orders_payable";

/// Books one movement. The primary key refuses a second one of its kind for the order.
pub async fn book(
    tx: &mut Transaction<'_, Any>,
    order: Uuid,
    movement: Movement,
    amount_krw: i64,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    let signed = if movement == Movement::Capture { amount_krw } else { -amount_krw };
    for (account, amount) in [(PROVIDER, signed), (ORDERS, -signed)] {
        sqlx::query(
            "INSERT INTO ledger_entries (order_id, kind, account, amount_krw, created_at_ms) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(order.as_bytes().to_vec())
        .bind(movement as i64)
        .bind(account)
        .bind(amount)
        .bind(now_ms)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// The sum over all accounts (zero, or the books are wrong) and what the provider owes us.
pub async fn totals(db: &Db) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query(
        "SELECT CAST(COALESCE(SUM(amount_krw), 0) AS SIGNED) AS everything, \
         CAST(COALESCE(SUM(CASE WHEN account = ? THEN amount_krw ELSE 0 END), 0) AS SIGNED) AS held FROM ledger_entries",
    )
    .bind(PROVIDER)
    .fetch_one(&db.pool)
    .await?;
    Ok((row.try_get("everything")?, row.try_get("held")?))
}
