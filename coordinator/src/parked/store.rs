//! What was put aside, as stored.

use nugul_api::booking::Parked;
use nugul_domain::{OrderId, Timestamp};
use sqlx::Row;

use crate::{
    app::{Parts, hex},
    db::{Db, Tx, is_unique_violation},
    error::ApiError,
};

/// The longest reason that is kept, in characters.
const REASON_CHARS_MAX: usize = 400;

/// Where something was put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A message that was to go out. It stays in the outbox for a while, as done.
    Outbox,
    /// A result of the payment service, which keeps it under its offset.
    Results,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Outbox => "outbox",
            Self::Results => "results",
        }
    }
}

/// Puts something aside, in the caller's transaction, once. `about` is the order or hold it is about, as stored.
pub async fn park(
    app: &Parts,
    tx: &mut Tx,
    source: Source,
    subject: &str,
    about: &[u8],
    reason: &str,
) -> Result<(), ApiError> {
    tracing::error!(source = source.as_str(), subject, about = hex(about), "put aside for a person: {reason}");
    let id = OrderId::new(app.config.region, app.now(), app.random_id());
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    let inserted =
        sqlx::query("INSERT INTO parked (id, source, subject, about, reason, parked_at) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(id.to_bytes())
            .bind(source.as_str())
            .bind(subject)
            .bind(about.to_vec())
            .bind(reason)
            .bind(app.now().as_millis())
            .execute(&mut **tx)
            .await;
    match inserted {
        Ok(_) => Ok(()),
        Err(e) if is_unique_violation(&e) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// How much was put aside.
pub async fn count(db: &Db) -> Result<i64, ApiError> {
    Ok(sqlx::query("SELECT COUNT(*) AS n FROM parked").fetch_one(db.pool()).await?.try_get("n")?)
}

/// What was put aside, newest first, before an id where one is given.
pub async fn list(db: &Db, before: Option<OrderId>, limit: u32) -> Result<Vec<Parked>, ApiError> {
    let before_it = if before.is_some() { "WHERE id < ? " } else { "" };
    let columns = "id, source, subject, about, reason, parked_at";
    let sql = sqlx::AssertSqlSafe(format!("SELECT {columns} FROM parked {before_it}ORDER BY id DESC LIMIT ?"));
    let mut query = sqlx::query(sql);
    if let Some(id) = before {
        query = query.bind(id.to_bytes());
    }
    let rows = query.bind(i64::from(limit)).fetch_all(db.pool()).await?;
    rows.iter()
        .map(|row| {
            let about: Vec<u8> = row.try_get("about")?;
            Ok(Parked {
                id: OrderId::from_bytes(&row.try_get::<Vec<u8>, _>("id")?)?.to_string(),
                source: row.try_get("source")?,
                subject: row.try_get("subject")?,
                about: OrderId::from_bytes(&about).map_or_else(|_| hex(&about), |id| id.to_string()),
                reason: row.try_get("reason")?,
                parked_at: Timestamp::from_millis(row.try_get("parked_at")?),
            })
        })
        .collect()
}
