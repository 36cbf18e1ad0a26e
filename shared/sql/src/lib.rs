//! One set of queries for `MySQL` and `SQLite`: connections, transactions that write, migrations, and where the two differ.

mod texts;

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{
    Any, AnyPool, Connection, SqlSafeStr, Transaction,
    any::AnyPoolOptions,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};
use tokio::sync::Semaphore;

pub use texts::{marks, padded, pieces, rows};

/// A transaction of either database.
pub type Tx = Transaction<'static, Any>;

/// A step of a schema: its name and its text. Once released it stays as it is.
pub type Step = (&'static str, &'static str);

/// No more connections of a process are open.
const CONNECTIONS_MAX: u32 = 16;
/// How long anyone waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// Statements a connection keeps prepared: more than there are different texts. Those of all connections of all services stay
/// below MySQL's `max_prepared_stmt_count`, which is 16,382.
const STATEMENTS_KEPT: usize = 256;
/// A connection that was idle for so long is asked whether the database is still there.
const ASKED_AFTER: Duration = Duration::from_secs(1);
/// Transactions that wait for a connection; one more is refused at once.
const WAITING_MAX: usize = 1_000;

/// Connections to a database.
#[derive(Clone, Debug)]
pub struct Db {
    pool: AnyPool,
    /// `SQLite` takes one writer at a time: those who would write queue here, each in turn, rather than trying again and again
    /// for the file's lock, which some would never get.
    writer: Option<AnyPool>,
    waiting: Arc<Semaphore>,
    begins: &'static str,
}

impl Db {
    /// Opens an `SQLite` file, made where it is absent. A simulation knows the beginnings of its transactions by the name
    /// `begins`.
    pub async fn sqlite(file: &Path, begins: &'static str) -> Result<Self, sqlx::Error> {
        let mut path = String::new();
        for c in file.to_string_lossy().chars() {
            match c {
                '%' | '?' | '#' | ' ' => path += &format!("%{:02X}", u32::from(c)),
                c => path.push(c),
            }
        }
        Self::open(&format!("sqlite://{path}?mode=rwc"), true, begins).await
    }

    /// Connects to `MySQL` or `MariaDB`.
    pub async fn mysql(url: &str, begins: &'static str) -> Result<Self, sqlx::Error> {
        Self::open(&with_statements(url), false, begins).await
    }

    async fn open(url: &str, sqlite: bool, begins: &'static str) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let pool = connect(url, sqlite, CONNECTIONS_MAX).await?;
        let writer = if sqlite { Some(connect(url, sqlite, 1).await?) } else { None };
        Ok(Self { pool, writer, waiting: Arc::new(Semaphore::new(WAITING_MAX)), begins })
    }

    /// Brings the tables up to date: the steps, in their order, that have not been done.
    pub async fn migrate(&self, steps: &[Step]) -> Result<(), MigrateError> {
        let migrations = (1..).zip(steps).map(|(number, (name, text))| {
            Migration::new(number, (*name).into(), MigrationType::Simple, text.into_sql_str(), false)
        });
        Migrator::with_migrations(migrations.collect()).run(&self.pool).await
    }

    /// For reads.
    pub const fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// For single statements that write.
    pub fn writes(&self) -> &AnyPool {
        self.writer.as_ref().unwrap_or(&self.pool)
    }

    /// Begins a transaction that will write. `SQLite` takes its write lock at once, so that it never has to give up half-way.
    pub async fn begin_write(&self) -> Result<Tx, sqlx::Error> {
        nugul_points::point(self.begins).await;
        let _waiting = self.waiting.try_acquire().map_err(|_| sqlx::Error::PoolTimedOut)?;
        match &self.writer {
            Some(writer) => writer.begin_with("BEGIN IMMEDIATE").await,
            None => self.pool.begin().await,
        }
    }

    /// What a `SELECT` of a transaction ends with so that nobody else changes the rows read until it ends. SQLite's writers
    /// are alone anyway.
    pub const fn shared_lock(&self) -> &'static str {
        self.either(" LOCK IN SHARE MODE", "")
    }

    /// The same where this transaction will change them.
    pub const fn for_update(&self) -> &'static str {
        self.either(" FOR UPDATE", "")
    }

    /// What an `INSERT` ends with so that a row with the same `keys` stays as it is, locked for this transaction alone. `column`
    /// is any other column. (A plain insert that fails leaves MySQL's shared lock, and two of those are a deadlock.)
    pub fn or_keep(&self, keys: &str, column: &str) -> String {
        if self.is_sqlite() {
            format!("ON CONFLICT ({keys}) DO NOTHING")
        } else {
            format!("ON DUPLICATE KEY UPDATE {column} = {column}")
        }
    }

    /// True for `SQLite`: this process is the only one.
    pub const fn is_sqlite(&self) -> bool {
        self.writer.is_some()
    }

    /// The same in the words of the database in use.
    pub const fn either<'a>(&self, mysql: &'a str, sqlite: &'a str) -> &'a str {
        if self.is_sqlite() { sqlite } else { mysql }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        self.pool.acquire().await?.ping().await
    }

    /// Closes every connection; waits for those in use.
    pub async fn close(&self) {
        self.writes().close().await;
        self.pool.close().await;
    }
}

/// Whether an insert failed because the row is there already.
pub fn is_unique_violation(e: &sqlx::Error) -> bool {
    e.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// A connection keeps so many statements prepared, unless the address says otherwise.
fn with_statements(url: &str) -> String {
    if url.contains("statement-cache-capacity") {
        return url.to_owned();
    }
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}statement-cache-capacity={STATEMENTS_KEPT}")
}

async fn connect(url: &str, sqlite: bool, connections: u32) -> Result<AnyPool, sqlx::Error> {
    // Durable means fsynced: synchronous FULL. SQLite reads its file as memory, up to 256 MiB of it, rather than page by
    // page through calls. Readers of MySQL take no gap locks: READ COMMITTED. What it puts together has up to 4 MiB: in MySQL it
    // would be 1 KiB, and the rest cut off.
    let settings: &[&'static str] = if sqlite {
        &[
            "PRAGMA busy_timeout = 5000",
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            "PRAGMA mmap_size = 268435456",
        ]
    } else {
        &["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET SESSION group_concat_max_len = 4194304"]
    };
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
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
                for text in settings {
                    sqlx::query(*text).execute(&mut *connection).await?;
                }
                Ok(())
            })
        })
        .connect(url)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_say_how_many_statements_are_kept() {
        assert_eq!(with_statements("mysql://a/b"), "mysql://a/b?statement-cache-capacity=256");
        assert_eq!(with_statements("mysql://a/b?x=1"), "mysql://a/b?x=1&statement-cache-capacity=256");
        assert_eq!(with_statements("mysql://a/b?statement-cache-capacity=9"), "mysql://a/b?statement-cache-capacity=9");
    }
}
