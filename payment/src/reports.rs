//! What came of comparing each day's books, as it was last compared.
use nugul_proto::payment::v1::ReconcileResponse;
use sqlx::Row;

use crate::db::Db;

/// No more reports are listed at once.
pub const PAGE: i64 = 100;

/// Keeps a report in the place of the day's earlier one.
pub async fn keep(db: &Db, report: &ReconcileResponse) -> Result<(), sqlx::Error> {
    let mut tx = db.begin_write().await?;
    sqlx::query("DELETE FROM reconciliations WHERE day = ?").bind(report.day.as_str()).execute(&mut *tx).await?;
    sqlx::query(
        "INSERT INTO reconciliations (day, movements, settlement_rows, differences, closed, ledger_sum_krw, \
         new_entries, compared_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(report.day.as_str())
    .bind(report.movements)
    .bind(report.settlement_rows)
    .bind(report.differences)
    .bind(report.closed)
    .bind(report.ledger_sum_krw)
    .bind(report.new_entries)
    .bind(report.compared_at_ms)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// When a day was last compared; nothing where it never was.
pub async fn compared_at(db: &Db, day: &str) -> Result<Option<i64>, sqlx::Error> {
    let row = sqlx::query("SELECT compared_at_ms FROM reconciliations WHERE day = ?")
        .bind(day)
        .fetch_optional(db.pool())
        .await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// The reports of the days before one, or of all where it is empty: newest day first, at most [`PAGE`].
pub async fn before(db: &Db, day: &str) -> Result<Vec<ReconcileResponse>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT day, movements, settlement_rows, differences, closed, ledger_sum_krw, new_entries, compared_at_ms \
         FROM reconciliations WHERE day < ? OR ? = '' ORDER BY day DESC LIMIT ?",
    )
    .bind(day)
    .bind(day)
    .bind(PAGE)
    .fetch_all(db.pool())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(ReconcileResponse {
                day: row.try_get("day")?,
                movements: row.try_get("movements")?,
                settlement_rows: row.try_get("settlement_rows")?,
                differences: row.try_get("differences")?,
                closed: row.try_get("closed")?,
                ledger_sum_krw: row.try_get("ledger_sum_krw")?,
                new_entries: row.try_get("new_entries")?,
                compared_at_ms: row.try_get("compared_at_ms")?,
            })
        })
        .collect()
}
