//! The coordinator's database: its tables, and what every query needs.

use std::path::Path;

use nugul_sql::Step;
pub use nugul_sql::{Db, Tx, is_unique_violation, marks, padded, pieces, rows};

/// Each step of the schema, in order.
fn tables(db: &Db) -> [Step; 10] {
    let outbox_index = db.either(
        include_str!("../migrations/0010_outbox_index.mysql.sql"),
        include_str!("../migrations/0010_outbox_index.sqlite.sql"),
    );
    [
        ("accounts", include_str!("../migrations/0001_accounts.sql")),
        ("catalogue", include_str!("../migrations/0002_catalogue.sql")),
        ("booking", include_str!("../migrations/0003_booking.sql")),
        ("messages", include_str!("../migrations/0004_messages.sql")),
        ("refunds", include_str!("../migrations/0005_refunds.sql")),
        ("search", include_str!("../migrations/0006_search.sql")),
        ("outbox lanes", include_str!("../migrations/0007_outbox_lanes.sql")),
        ("members only", include_str!("../migrations/0008_members_only.sql")),
        ("what searches are told of events", include_str!("../migrations/0009_event_fields.sql")),
        ("one index less for messages", outbox_index),
    ]
}

/// Where a simulation may let others go first.
const BEGINS: &str = "sql.begin";

/// Connects to `MySQL` at `mysql_url`, or to `SQLite` in `data`, and brings the tables up to date.
pub async fn open(mysql_url: Option<&str>, data: &Path) -> Result<Db, String> {
    let opened = match mysql_url {
        Some(url) => Db::mysql(url, BEGINS).await,
        None => Db::sqlite(&data.join("coordinator.db"), BEGINS).await,
    };
    let db = opened.map_err(|e| format!("the database does not answer: {e}"))?;
    if !db.is_sqlite() {
        // New tables take these from the database: Korean needs utf8mb4, and keys are told apart byte by byte.
        sqlx::query("ALTER DATABASE CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin")
            .execute(db.pool())
            .await
            .map_err(|e| format!("the database could not be set to utf8mb4_bin: {e}"))?;
    }
    db.migrate(&tables(&db)).await.map_err(|e| format!("the tables could not be brought up to date: {e}"))?;
    Ok(db)
}
