//! Events and performances in SQL.

use std::collections::HashMap;

use nugul_api::catalogue::{Event, EventSummary, Performance, PerformanceSummary};
use nugul_domain::{EventId, Grade, PerformanceId, SeatMap, Timestamp, UserId};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

use crate::{
    db::{Db, Tx},
    error::ApiError,
};

/// A performance with its hall, ready for holding seats.
#[derive(Clone, Debug)]
pub struct PerformanceInfo {
    /// What it is and when.
    pub summary: PerformanceSummary,
    /// What is performed.
    pub event: EventSummary,
    /// The hall.
    pub map: SeatMap,
}

impl PerformanceInfo {
    /// As sent to clients.
    pub fn to_api(&self) -> Performance {
        Performance {
            summary: self.summary.clone(),
            event: self.event.clone(),
            grades: self.map.grades().to_vec(),
            hold_seats_max: u32::try_from(nugul_domain::event::HOLD_SEATS_MAX).unwrap_or(u32::MAX),
        }
    }
}

const EVENT_COLUMNS: &str =
    "e.id, e.title, e.category, e.place, e.description, e.starts_on, e.ends_on, e.runtime_min, e.rating, e.grades";

fn summary(row: &AnyRow) -> Result<EventSummary, ApiError> {
    Ok(EventSummary {
        id: EventId::from_bytes(&row.try_get::<Vec<u8>, _>("id")?)?,
        title: row.try_get("title")?,
        category: row.try_get("category")?,
        place: row.try_get("place")?,
        starts_on: row.try_get("starts_on")?,
        ends_on: row.try_get("ends_on")?,
    })
}

fn grades(row: &AnyRow) -> Result<Vec<Grade>, ApiError> {
    Ok(serde_json::from_str(&row.try_get::<String, _>("grades")?)?)
}

fn performance(row: &AnyRow) -> Result<PerformanceSummary, ApiError> {
    Ok(PerformanceSummary {
        id: PerformanceId::from_bytes(&row.try_get::<Vec<u8>, _>("performance_id")?)?,
        starts_at: Timestamp::from_millis(row.try_get("starts_at")?),
        sales_open_at: Timestamp::from_millis(row.try_get("sales_open_at")?),
    })
}

/// Stores an event.
pub async fn insert_event(tx: &mut Tx, event: &Event, seller: UserId) -> Result<(), ApiError> {
    let s = &event.summary;
    sqlx::query(
        "INSERT INTO events (id, seller_id, title, category, place, description, starts_on, ends_on, runtime_min, rating, grades) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(s.id.to_bytes())
    .bind(seller.to_bytes())
    .bind(s.title.clone())
    .bind(s.category.clone())
    .bind(s.place.clone())
    .bind(event.description.clone())
    .bind(s.starts_on.clone())
    .bind(s.ends_on.clone())
    .bind(i64::from(event.runtime_min))
    .bind(event.rating.clone())
    .bind(serde_json::to_string(&event.grades)?)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Stores a performance of `event`.
pub async fn insert_performance(tx: &mut Tx, event: EventId, p: &PerformanceSummary) -> Result<(), ApiError> {
    sqlx::query("INSERT INTO performances (id, event_id, starts_at, sales_open_at) VALUES (?, ?, ?, ?)")
        .bind(p.id.to_bytes())
        .bind(event.to_bytes())
        .bind(p.starts_at.as_millis())
        .bind(p.sales_open_at.as_millis())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Marks the catalogue as changed, so that a new index is built.
pub async fn mark_changed(tx: &mut Tx) -> Result<(), ApiError> {
    sqlx::query("UPDATE catalogue_changes SET changes = changes + 1 WHERE id = 1").execute(&mut **tx).await?;
    Ok(())
}

/// How often the catalogue changed.
pub async fn changes(db: &Db) -> Result<i64, ApiError> {
    Ok(sqlx::query("SELECT changes FROM catalogue_changes WHERE id = 1")
        .fetch_one(db.pool())
        .await?
        .try_get("changes")?)
}

/// Who runs an event.
pub async fn seller_of(db: &Db, event: EventId) -> Result<Option<UserId>, ApiError> {
    let row = sqlx::query("SELECT seller_id FROM events WHERE id = ?")
        .bind(event.to_bytes())
        .fetch_optional(db.pool())
        .await?;
    row.map(|r| Ok(UserId::from_bytes(&r.try_get::<Vec<u8>, _>("seller_id")?)?)).transpose()
}

/// An event with its performances.
pub async fn event(db: &Db, id: EventId) -> Result<Option<Event>, ApiError> {
    let sql = format!("SELECT {EVENT_COLUMNS} FROM events e WHERE e.id = ?");
    let Some(row) = sqlx::query(AssertSqlSafe(sql)).bind(id.to_bytes()).fetch_optional(db.pool()).await? else {
        return Ok(None);
    };
    let performances =
        sqlx::query("SELECT id AS performance_id, starts_at, sales_open_at FROM performances WHERE event_id = ? ORDER BY starts_at, id")
            .bind(id.to_bytes())
            .fetch_all(db.pool())
            .await?;
    Ok(Some(Event {
        summary: summary(&row)?,
        description: row.try_get("description")?,
        runtime_min: u32::try_from(row.try_get::<i64, _>("runtime_min")?).unwrap_or(0),
        rating: row.try_get("rating")?,
        grades: grades(&row)?,
        performances: performances.iter().map(performance).collect::<Result<_, _>>()?,
    }))
}

/// Events after `cursor` in the order they were made.
pub async fn list(db: &Db, cursor: Option<EventId>, limit: u32) -> Result<Vec<EventSummary>, ApiError> {
    let sql = format!("SELECT {EVENT_COLUMNS} FROM events e WHERE e.id > ? ORDER BY e.id LIMIT ?");
    let from = cursor.map(EventId::to_bytes).unwrap_or_default();
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(from).bind(i64::from(limit)).fetch_all(db.pool()).await?;
    rows.iter().map(summary).collect()
}

/// A performance with its hall.
pub async fn performance_info(db: &Db, id: PerformanceId) -> Result<Option<PerformanceInfo>, ApiError> {
    let sql = format!(
        "SELECT {EVENT_COLUMNS}, p.id AS performance_id, p.starts_at, p.sales_open_at \
         FROM performances p JOIN events e ON e.id = p.event_id WHERE p.id = ?"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.to_bytes()).fetch_optional(db.pool()).await?;
    row.map(|row| {
        let map = SeatMap::new(grades(&row)?)
            .map_err(|e| ApiError::internal(format_args!("a stored hall is damaged: {e:?}")))?;
        Ok(PerformanceInfo { summary: performance(&row)?, event: summary(&row)?, map })
    })
    .transpose()
}

/// Every event as the search index wants it.
pub async fn index_entries(db: &Db, now: Timestamp) -> Result<Vec<nugul_catalog::CatalogEvent>, ApiError> {
    let mut next: HashMap<Vec<u8>, (u32, Option<PerformanceId>)> = HashMap::new();
    let rows = sqlx::query("SELECT event_id, id, starts_at FROM performances ORDER BY starts_at, id")
        .fetch_all(db.pool())
        .await?;
    for row in &rows {
        let entry = next.entry(row.try_get("event_id")?).or_default();
        entry.0 += 1;
        if entry.1.is_none() && row.try_get::<i64, _>("starts_at")? > now.as_millis() {
            entry.1 = Some(PerformanceId::from_bytes(&row.try_get::<Vec<u8>, _>("id")?)?);
        }
    }
    let sql = format!("SELECT {EVENT_COLUMNS} FROM events e ORDER BY e.id");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(db.pool()).await?;
    rows.iter()
        .map(|row| {
            let s = summary(row)?;
            let prices: Vec<i64> = grades(row)?.iter().map(|g| g.price_krw.0).collect();
            let (performances, next_performance) = next.get(&s.id.to_bytes()).copied().unwrap_or_default();
            Ok(nugul_catalog::CatalogEvent {
                id: s.id.to_string(),
                title: s.title,
                category: s.category,
                place: s.place,
                description_short: nugul_catalog::entry::short_description(&row.try_get::<String, _>("description")?),
                starts_on: s.starts_on,
                ends_on: s.ends_on,
                min_price_krw: prices.iter().min().copied().unwrap_or(0),
                max_price_krw: prices.iter().max().copied().unwrap_or(0),
                rating: row.try_get("rating")?,
                runtime_min: u32::try_from(row.try_get::<i64, _>("runtime_min")?).unwrap_or(0),
                popularity: 0,
                next_performance_id: next_performance.map(|id| id.to_string()),
                performances,
            })
        })
        .collect()
}
