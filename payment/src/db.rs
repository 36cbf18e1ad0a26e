//! The database: connecting, migrating, transactions, and the few places where SQLite and MySQL differ.
use std::path::Path;
use std::time::Duration;

use sqlx::any::{Any, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyPool, Connection, Executor, SqlSafeStr, Transaction};

/// No more connections than this are open.
pub const MAX_CONNECTIONS: u32 = 16;
/// Statements a connection keeps prepared: more than there are different texts. (One that is given up costs more than its own
/// time: MySQL does not answer to that, and what is sent next waits for the packet's acknowledgement.)
pub const STATEMENTS_KEPT: usize = 256;
/// A connection that was idle for so long is asked whether the database is still there.
const ASKED_AFTER: Duration = Duration::from_secs(1);
/// Longest wait for a free connection.
pub const ACQUIRE_WITHIN: Duration = Duration::from_secs(5);

/// Each step of the schema, in order: its name and its text.
const MIGRATIONS: &[(&str, &str)] = &[
    ("payments", include_str!("../migrations/0001_payments.sql")),
    ("partial cancel", include_str!("../migrations/0002_partial_cancel.sql")),
    ("cases", include_str!("../migrations/0003_cases.sql")),
    ("leases", include_str!("../migrations/0004_leases.sql")),
    ("absence", include_str!("../migrations/0005_absence.sql")),
    ("movement times", include_str!("../migrations/0006_movement_times.sql")),
    ("reconciliations", include_str!("../migrations/0007_reconciliations.sql")),
    ("ledger indexes", include_str!("../migrations/0008_ledger_indexes.sql")),
];

/// A pool that knows which database it talks to.
#[derive(Clone, Debug)]
pub struct Db {
    /// The connections.
    pub pool: AnyPool,
    /// SQLite takes one writer at a time: those who would write queue here, each in turn, rather than trying again and again
    /// for the file's lock, which some would never get.
    writer: Option<AnyPool>,
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
        let joint = if url.contains('?') { '&' } else { '?' };
        let is_said = url.contains("statement-cache-capacity");
        let kept = if is_said { String::new() } else { format!("{joint}statement-cache-capacity={STATEMENTS_KEPT}") };
        Self::open(&format!("{url}{kept}"), false).await
    }

    async fn open(url: &str, sqlite: bool) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let pool = connect(url, sqlite, MAX_CONNECTIONS).await?;
        let writer = if sqlite { Some(connect(url, sqlite, 1).await?) } else { None };
        Ok(Self { pool, writer })
    }

    /// Brings the schema up to date.
    pub async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        self.migrate_to(MIGRATIONS.len()).await
    }

    /// Brings the schema up to one of its earlier versions: what a test of a migration starts from.
    pub async fn migrate_to(&self, version: usize) -> Result<(), sqlx::migrate::MigrateError> {
        let migrations = (1..).zip(MIGRATIONS).take(version).map(|(number, (name, text))| {
            Migration::new(number, (*name).into(), MigrationType::Simple, text.into_sql_str(), false)
        });
        Migrator::with_migrations(migrations.collect()).run(&self.pool).await
    }

    /// Starts a transaction that writes.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        nugul_points::point("payment.begin").await;
        match &self.writer {
            Some(writer) => writer.begin_with("BEGIN IMMEDIATE").await,
            None => self.pool.begin().await,
        }
    }

    /// For single statements that write.
    pub fn writes(&self) -> &AnyPool {
        self.writer.as_ref().unwrap_or(&self.pool)
    }

    /// Closes every connection; waits for those in use.
    pub async fn close(&self) {
        if let Some(writer) = &self.writer {
            writer.close().await;
        }
        self.pool.close().await;
    }

    /// The end of a select whose rows nobody else may change until the transaction ends. On SQLite a transaction that
    /// writes is alone anyway.
    pub fn for_update(&self) -> &'static str {
        if self.writer.is_some() { "" } else { "FOR UPDATE" }
    }

    /// True for SQLite: this process is the only one.
    pub fn is_sqlite(&self) -> bool {
        self.writer.is_some()
    }

    /// True when the database answers.
    pub async fn is_alive(&self) -> bool {
        self.pool.execute("SELECT 1").await.is_ok()
    }
}

/// `(?, ?), (?, ?)`: so many rows of so many values.
pub fn rows(rows: usize, values: usize) -> String {
    vec![marks(values); rows].join(", ")
}

/// `(?, ?)`.
pub fn marks(values: usize) -> String {
    format!("({})", vec!["?"; values].join(", "))
}

async fn connect(url: &str, sqlite: bool, connections: u32) -> Result<AnyPool, sqlx::Error> {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_WITHIN)
        // A connection that was in use a moment ago is not asked whether it still is one: that costs a round trip each time.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for >= ASKED_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
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
        .await
}

/// True when an insert met a row that is there already.
pub fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// At most `max` characters of a text, for a column of that width.
pub fn fit(text: &str, max: usize) -> String {
    text.chars().take(max).collect()
}
