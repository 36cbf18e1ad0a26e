//! Double-entry book-keeping: each movement of money is two rows that sum to zero, booked once per cause.
use nugul_proto::payment::v1::{AccountBalance, LedgerEntry};
use sqlx::{Any, AssertSqlSafe, Row, Transaction};
use uuid::Uuid;

use crate::db::{Db, rows};
use crate::store;

/// A movement of money. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// From the buyer, held by the provider for us.
    Capture = 1,
    /// Back to the buyer.
    Refund = 2,
}

/// How much moved at the provider, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// In won; positive.
    pub amount_krw: i64,
    /// By the provider's clock (UTC milliseconds): the day it settles the movement on.
    pub at_ms: i64,
}

/// The only currency money is taken in.
pub const CURRENCY: &str = "KRW";
/// What the provider owes us.
pub const PROVIDER: &str = "provider_receivable";
/// What we owe for orders paid.
pub const ORDERS: &str = "orders_payable";

/// A movement and its cause.
#[derive(Clone, Copy, Debug)]
pub struct Booking {
    /// The order it is of.
    pub order: Uuid,
    /// Which way.
    pub movement: Movement,
    /// 0 for the capture, the cancel's number for a refund.
    pub number: i64,
    /// How much, and when.
    pub moved: Moved,
}

/// Books movements. A unique key refuses a second booking of one cause.
pub async fn book(tx: &mut Transaction<'_, Any>, all: &[Booking], now_ms: i64) -> Result<(), sqlx::Error> {
    let entries: Vec<_> = all
        .iter()
        .flat_map(|b| {
            let signed = if b.movement == Movement::Capture { b.moved.amount_krw } else { -b.moved.amount_krw };
            [(b, PROVIDER, signed), (b, ORDERS, -signed)]
        })
        .collect();
    let count = i64::try_from(entries.len()).unwrap_or_default();
    // The counter's lock is held until commit: entries are dense and become visible in order.
    sqlx::query("UPDATE ledger_counter SET last_entry = last_entry + ? WHERE id = 1")
        .bind(count)
        .execute(&mut **tx)
        .await?;
    let row = sqlx::query("SELECT last_entry FROM ledger_counter WHERE id = 1").fetch_one(&mut **tx).await?;
    let last: i64 = row.try_get(0)?;
    let text = format!(
        "INSERT INTO ledger (entry_no, order_id, movement, number, account, currency, amount, created_at_ms, moved_at_ms) \
         VALUES {}",
        rows(entries.len(), 9)
    );
    let mut query = sqlx::query(AssertSqlSafe(text));
    for (entry, (booking, account, amount)) in (last - count + 1..).zip(entries) {
        query = query
            .bind(entry)
            .bind(booking.order.as_bytes().to_vec())
            .bind(booking.movement as i64)
            .bind(booking.number)
            .bind(account)
            .bind(CURRENCY)
            .bind(amount)
            .bind(now_ms)
            .bind(booking.moved.at_ms);
    }
    query.execute(&mut **tx).await?;
    Ok(())
}

/// The sum over all accounts (zero, or the books are wrong) and what the provider owes us.
pub async fn totals(db: &Db) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query(
        "SELECT CAST(COALESCE(SUM(amount), 0) AS SIGNED) AS everything, \
         CAST(COALESCE(SUM(CASE WHEN account = ? THEN amount ELSE 0 END), 0) AS SIGNED) AS held FROM ledger",
    )
    .bind(PROVIDER)
    .fetch_one(db.pool())
    .await?;
    Ok((row.try_get("everything")?, row.try_get("held")?))
}

/// Every account's currency and balance, of entries booked up to and at a time.
pub async fn balances(db: &Db, at_ms: i64) -> Result<Vec<AccountBalance>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT account, currency, CAST(SUM(amount) AS SIGNED) AS balance FROM ledger WHERE created_at_ms <= ? \
         GROUP BY account, currency ORDER BY account, currency",
    )
    .bind(at_ms)
    .fetch_all(db.pool())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(AccountBalance {
                account: row.try_get("account")?,
                currency: row.try_get("currency")?,
                balance: row.try_get("balance")?,
            })
        })
        .collect()
}

/// The entries after one, at most `limit`, of one order where one is named.
pub async fn after(db: &Db, entry: i64, order: Option<Uuid>, limit: i64) -> Result<Vec<LedgerEntry>, sqlx::Error> {
    let text = if order.is_some() {
        "SELECT entry_no, order_id, movement, number, account, currency, amount, created_at_ms FROM ledger \
         WHERE entry_no > ? AND order_id = ? ORDER BY entry_no LIMIT ?"
    } else {
        "SELECT entry_no, order_id, movement, number, account, currency, amount, created_at_ms FROM ledger \
         WHERE entry_no > ? ORDER BY entry_no LIMIT ?"
    };
    let mut query = sqlx::query(text).bind(entry);
    if let Some(order) = order {
        query = query.bind(order.as_bytes().to_vec());
    }
    let rows = query.bind(limit).fetch_all(db.pool()).await?;
    rows.iter()
        .map(|row| {
            Ok(LedgerEntry {
                entry: row.try_get("entry_no")?,
                order_id: store::uuid(row, "order_id")?.to_string(),
                movement: i32::try_from(row.try_get::<i64, _>("movement")?).unwrap_or_default(),
                number: row.try_get("number")?,
                account: row.try_get("account")?,
                currency: row.try_get("currency")?,
                amount: row.try_get("amount")?,
                created_at_ms: row.try_get("created_at_ms")?,
            })
        })
        .collect()
}
