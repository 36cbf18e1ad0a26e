//! The database: one set of queries and migrations for `MySQL` and `SQLite`, and the few differences between them.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use sqlx::{
    Any, AnyPool, Connection, Transaction,
    any::AnyPoolOptions,
    migrate::{Migration, MigrationType, Migrator},
};

use crate::overload::Waiting;

/// A transaction of either database.
pub type Tx = Transaction<'static, Any>;

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

const MIGRATIONS: [(i64, &str, &str); 8] = [
    (1, "accounts", include_str!("../migrations/0001_accounts.sql")),
    (2, "catalogue", include_str!("../migrations/0002_catalogue.sql")),
    (3, "booking", include_str!("../migrations/0003_booking.sql")),
    (4, "messages", include_str!("../migrations/0004_messages.sql")),
    (5, "refunds", include_str!("../migrations/0005_refunds.sql")),
    (6, "search", include_str!("../migrations/0006_search.sql")),
    (7, "outbox lanes", include_str!("../migrations/0007_outbox_lanes.sql")),
    (9, "members only", include_str!("../migrations/0009_members_only.sql")),
];

/// Connections to the database.
#[derive(Clone, Debug)]
pub struct Db {
    pool: AnyPool,
    /// `SQLite` takes one writer at a time: those who would write queue here, each in turn, rather than trying again and again
    /// for the file's lock, which some would never get.
    writer: Option<AnyPool>,
    waiting: Arc<AtomicUsize>,
}

impl Db {
    /// Connects to `MySQL` at `mysql_url`, or to `SQLite` in `data`, and brings the tables up to date.
    pub async fn open(mysql_url: Option<&str>, data: &Path) -> Result<Self, String> {
        sqlx::any::install_default_drivers();
        let sqlite = mysql_url.is_none();
        let url = mysql_url
            .map_or_else(|| format!("sqlite://{}?mode=rwc", data.join("coordinator.db").display()), str::to_owned);
        let url = if sqlite { url } else { with_statements(url) };
        let pool = connect(&url, sqlite, CONNECTIONS_MAX).await?;
        let writer = if sqlite { Some(connect(&url, sqlite, 1).await?) } else { None };
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
        Ok(Self { pool, writer, waiting: Arc::default() })
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
        nugul_points::point("sql.begin").await;
        let _waiting = Waiting::of(&self.waiting, WAITING_MAX).map_err(|_| sqlx::Error::PoolTimedOut)?;
        match &self.writer {
            Some(writer) => writer.begin_with("BEGIN IMMEDIATE").await,
            None => self.pool.begin().await,
        }
    }

    /// What a `SELECT` of a transaction ends with so that the rows read stay as they are until it ends. SQLite's writers
    /// are alone anyway.
    pub const fn shared_lock(&self) -> &'static str {
        self.either(" LOCK IN SHARE MODE", "")
    }

    /// What an `INSERT` ends with so that a row with the same `keys` stays as it is, locked for this transaction alone. `column`
    /// is any other column. (A plain insert that fails leaves MySQL's shared lock, and two of those are a deadlock.)
    pub fn or_keep(&self, keys: &str, column: &str) -> String {
        if self.writer.is_some() {
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
}

/// A connection keeps so many statements prepared, unless the address says otherwise.
fn with_statements(url: String) -> String {
    if url.contains("statement-cache-capacity") {
        return url;
    }
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}statement-cache-capacity={STATEMENTS_KEPT}")
}

async fn connect(url: &str, sqlite: bool, connections: u32) -> Result<AnyPool, String> {
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
        .connect(url)
        .await
        .map_err(|e| format!("the database does not answer: {e}"))
}

/// Whether an insert failed because the row is there already.
pub fn is_unique_violation(e: &sqlx::Error) -> bool {
    e.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// `(?, ?), (?, ?)`: so many rows of so many values.
pub fn rows(rows: usize, values: usize) -> String {
    vec![marks(values); rows].join(", ")
}

/// As many as the next power of two, the last repeated: what is looked for in a list of any length needs one of a few texts,
/// and each stays prepared. (A statement that is given up costs more than its own time: `MySQL` does not answer to that, and
/// what is sent next waits for the packet's acknowledgement.)
pub fn padded<T: Clone>(list: &[T]) -> Vec<T> {
    let mut list = list.to_vec();
    if let Some(last) = list.last().cloned() {
        list.resize(list.len().next_power_of_two(), last);
    }
    list
}

/// Rows in pieces of powers of two, the largest first: few texts insert any number of them.
pub fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = 1 << rows.len().checked_ilog2()?;
        let (piece, rest) = rows.split_at(size);
        rows = rest;
        Some(piece)
    })
}

/// `(?, ?)`.
pub fn marks(values: usize) -> String {
    format!("({})", vec!["?"; values].join(", "))
}
