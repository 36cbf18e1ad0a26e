//! The payment service's database: its tables, and what every query needs.
use std::path::Path;

use nugul_sql::Step;
pub use nugul_sql::{Db, is_unique_violation, marks, rows};
use sqlx::migrate::MigrateError;

/// Each step of the schema, in order.
fn tables(db: &Db) -> [Step; 9] {
    let listed = db.either(
        include_str!("../migrations/0009_listed.mysql.sql"),
        include_str!("../migrations/0009_listed.sqlite.sql"),
    );
    [
        ("payments", include_str!("../migrations/0001_payments.sql")),
        ("partial cancel", include_str!("../migrations/0002_partial_cancel.sql")),
        ("cases", include_str!("../migrations/0003_cases.sql")),
        ("leases", include_str!("../migrations/0004_leases.sql")),
        ("absence", include_str!("../migrations/0005_absence.sql")),
        ("movement times", include_str!("../migrations/0006_movement_times.sql")),
        ("reconciliations", include_str!("../migrations/0007_reconciliations.sql")),
        ("ledger indexes", include_str!("../migrations/0008_ledger_indexes.sql")),
        ("listed payments", listed),
    ]
}

/// Where a simulation may let others go first.
const BEGINS: &str = "payment.begin";

/// Opens an SQLite file, made when absent. Its tables are as they were.
pub async fn sqlite(file: &Path) -> Result<Db, sqlx::Error> {
    Db::sqlite(file, BEGINS).await
}

/// Connects to MySQL or MariaDB. Its tables are as they were.
pub async fn mysql(url: &str) -> Result<Db, sqlx::Error> {
    Db::mysql(url, BEGINS).await
}

/// Brings the tables up to date.
pub async fn migrate(db: &Db) -> Result<(), MigrateError> {
    db.migrate(&tables(db)).await
}

/// Brings the tables up to one of their earlier versions: what a test of a migration starts from.
pub async fn migrate_to(db: &Db, version: usize) -> Result<(), MigrateError> {
    let tables = tables(db);
    db.migrate(tables.get(..version).unwrap_or(&tables)).await
}

/// At most `max` characters of a text, for a column of that width.
pub fn fit(text: &str, max: usize) -> String {
    text.chars().take(max).collect()
}
