//! The database: one set of queries and migrations for MySQL and SQLite, and the few differences between them.

use std::{path::Path, time::Duration};

use sqlx::{
    Any, AnyPool, Connection, Transaction,
    any::AnyPoolOptions,
    migrate::{Migration, MigrationType, Migrator},
};

/// A transaction of either database.
pub type Tx = Transaction<'static, Any>;

const CONNECTIONS_MAX: u32 = 16;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

const MIGRATIONS: [(i64, &str, &str); 4] = [
    (1, "accounts", include_str!("../migrations/0001_accounts.sql")),
    (2, "catalogue", include_str!("../migrations/0002_catalogue.sql")),
    (3, "booking", include_str!("../migrations/0003_booking.sql")),
    (4, "messages", include_str!("../migrations/0004_messages.sql")),
];

/// Connections to the database.
#[derive(Clone, Debug)]
pub struct Db {
    pool: AnyPool,
    sqlite: bool,
}

impl Db {
    /// Connects to MySQL at `mysql_url`, or to SQLite in `data`, and brings the tables up to date.
    pub async fn open(mysql_url: Option<&str>, data: &Path) -> Result<Self, String> {
        sqlx::any::install_default_drivers();
        let sqlite = mysql_url.is_none();
        let url = mysql_url
            .map_or_else(|| format!("sqlite://{}?mode=rwc", data.join("coordinator.db").display()), str::to_owned);
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    // Durable means fsynced: synchronous FULL. Readers of MySQL take no gap locks: READ COMMITTED.
                    let settings = if sqlite {
                        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON"
                    } else {
                        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
                    };
                    for statement in settings.split("; ") {
                        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            })
            .connect(&url)
            .await
            .map_err(|e| format!("the database does not answer: {e}"))?;
        if !sqlite {
            // New tables take these from the database: Korean needs utf8mb4, and keys are told apart byte by byte.
            sqlx::query("ALTER DATABASE CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin")
                .execute(&pool)
                .await
                .map_err(|e| format!("the database could not be set to utf8mb4_bin: {e}"))?;
        }
        let migrations = MIGRATIONS.map(|(version, name, sql)| {
            Migration::new(version, name.into(), MigrationType::Simple, sqlx::SqlStr::from_static(sql), false)
        });
        Migrator::with_migrations(migrations.into())
            .run(&pool)
            .await
            .map_err(|e| format!("the tables could not be brought up to date: {e}"))?;
        Ok(Self { pool, sqlite })
    }

    /// For reads and single statements.
    pub const fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Begins a transaction that will write. SQLite takes its write lock at once, so that it never has to give up half-way.
    pub async fn begin_write(&self) -> Result<Tx, sqlx::Error> {
        if self.sqlite { self.pool.begin_with("BEGIN IMMEDIATE").await } else { self.pool.begin().await }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        self.pool.acquire().await?.ping().await
    }
}

/// Whether an insert failed because the row is there already.
pub fn is_unique_violation(e: &sqlx::Error) -> bool {
    e.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
