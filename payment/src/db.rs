//! The database: connecting, migrating, transactions, and the few places where SQLite and MySQL differ.
use std::path::Path;
use std::time::Duration;

use sqlx::any::{Any, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyPool, Executor, SqlSafeStr, Transaction};

/// No more connections than this are open.
pub const MAX_CONNECTIONS: u32 = 16;
/// Longest wait for a free connection.
pub const ACQUIRE_WITHIN: Duration = Duration::from_secs(5);

/// A pool that knows which database it talks to.
#[derive(Clone, Debug)]
pub struct Db {
    /// The connections.
    pub pool: AnyPool,
    sqlite: bool,
}

impl Db {
    /// Opens a SQLite file, made when absent.
    pub async fn sqlite(file: &Path) -> Result<Self, sqlx::Error> {
        let mut path = String::new();
        for c in file.to_string_lossy().chars() {
            match c {
                '%' | '?' | '#' | ' ' => path += &format!("%{:02X}", u32::from(c)),
                c => path.push(c),
            }
        }
        Self::open(&format!("sqlite://{path}?mode=rwc"), true).await
    }

    /// Connects to MySQL or MariaDB.
    pub async fn mysql(url: &str) -> Result<Self, sqlx::Error> {
        Self::open(url, false).await
    }

    async fn open(url: &str, sqlite: bool) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ACQUIRE_WITHIN)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    let setup: &[&'static str] = if sqlite {
                        &[
                            "PRAGMA busy_timeout = 5000",
                            "PRAGMA journal_mode = WAL",
                            "PRAGMA synchronous = FULL",
                            "PRAGMA foreign_keys = ON",
                        ]
                    } else {
                        &["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"]
                    };
                    for text in setup {
                        connection.execute(*text).await?;
                    }
                    Ok(())
                })
            })
            .connect(url)
            .await?;
        Ok(Self { pool, sqlite })
    }

    /// Brings the schema up to date.
    pub async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        let first = Migration::new(
            1,
            "payments".into(),
            MigrationType::Simple,
            include_str!("../migrations/0001_payments.sql").into_sql_str(),
            false,
        );
        Migrator::with_migrations(vec![first]).run(&self.pool).await
    }

    /// Starts a transaction that writes.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        if self.sqlite { self.pool.begin_with("BEGIN IMMEDIATE").await } else { self.pool.begin().await }
    }

    /// True for SQLite: this process is the only one.
    pub fn is_sqlite(&self) -> bool {
        self.sqlite
    }

    /// True when the database answers.
    pub async fn is_alive(&self) -> bool {
        self.pool.execute("SELECT 1").await.is_ok()
    }
}

/// True when an insert met a row that is there already.
pub fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// At most `max` characters of a text, for a column of that width.
pub fn fit(text: &str, max: usize) -> String {
    text.chars().take(max).collect()
}
