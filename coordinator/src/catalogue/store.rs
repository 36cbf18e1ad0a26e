//! Events and performances in SQL.

use std::collections::HashMap;

use nugul_api::catalogue::{Event, EventSummary, Performance, PerformanceChange, PerformanceSummary};
use nugul_domain::{EventId, Grade, PerformanceId, SeatIndex, SeatMap, Timestamp, UserId, event::BuyerLimits};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Row, any::AnyRow, query::Query};

use crate::{
    app::hex,
    db::{Db, Tx, marks, rows},
    error::ApiError,
};

/// Seats that one statement takes off sale or puts back.
const BLOCKED_AT_ONCE: usize = 500;

/// A performance with its hall, ready for holding seats.
#[derive(Clone, Debug)]
pub struct PerformanceInfo {
    /// What it is and when.
    pub summary: PerformanceSummary,
    /// What is performed.
    pub event: EventSummary,
    /// The hall.
    pub map: SeatMap,
    /// How many seats one buyer may have.
    pub limits: BuyerLimits,
    /// Whether its seats are shown to who is logged in alone.
    pub members_only: bool,
    /// How many performances the event has.
    pub performances: u32,
    /// Names the hall's layout.
    pub seat_map_version: String,
}

/// A name for a layout: the same hall has the same name everywhere. Prices are no part of it.
fn seat_map_version(map: &SeatMap) -> String {
    const NAME_BYTES: usize = 8;
    let mut hash = Sha256::new();
    for grade in map.grades() {
        hash.update(format!("{}\n{}\n{}\n", grade.grade, grade.rows, grade.seats_per_row));
    }
    hex(&hash.finalize()[..NAME_BYTES])
}

impl PerformanceInfo {
    /// As sent to clients.
    pub fn to_api(&self) -> Performance {
        Performance {
            summary: self.summary.clone(),
            event: self.event.clone(),
            grades: self.map.grades().to_vec(),
            limits: self.limits,
            members_only: self.members_only,
            seat_map_version: self.seat_map_version.clone(),
        }
    }
}

const EVENT_COLUMNS: &str = "e.id, e.title, e.category, e.place, e.description, e.starts_on, e.ends_on, e.runtime_min, e.rating, e.grades, \
     e.hold_seats_max, e.performance_seats_max, e.event_seats_max, e.members_only, e.title_en, e.cast_names, e.demand";
const PERFORMANCE_COLUMNS: &str = "p.id AS performance_id, p.starts_at, p.sales_open_at, COALESCE(p.sales_close_at, p.starts_at) AS sales_close_at, \
     p.cancelled_at";

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

fn limits(row: &AnyRow) -> Result<BuyerLimits, ApiError> {
    let of = |name: &str| -> Result<u32, ApiError> {
        u32::try_from(row.try_get::<i64, _>(name)?).map_err(ApiError::internal)
    };
    Ok(BuyerLimits {
        hold_seats_max: of("hold_seats_max")?,
        performance_seats_max: of("performance_seats_max")?,
        event_seats_max: of("event_seats_max")?,
    })
}

/// Who performs; nobody in rows older than the column.
fn cast(row: &AnyRow) -> Result<Vec<String>, ApiError> {
    let names: Option<String> = row.try_get("cast_names")?;
    Ok(names.map(|names| serde_json::from_str(&names)).transpose()?.unwrap_or_default())
}

fn members_only(row: &AnyRow) -> Result<bool, ApiError> {
    Ok(row.try_get::<i64, _>("members_only")? != 0)
}

fn performance(row: &AnyRow) -> Result<PerformanceSummary, ApiError> {
    Ok(PerformanceSummary {
        id: PerformanceId::from_bytes(&row.try_get::<Vec<u8>, _>("performance_id")?)?,
        starts_at: Timestamp::from_millis(row.try_get("starts_at")?),
        sales_open_at: Timestamp::from_millis(row.try_get("sales_open_at")?),
        sales_close_at: Timestamp::from_millis(row.try_get("sales_close_at")?),
        cancelled: row.try_get::<Option<i64>, _>("cancelled_at")?.is_some(),
    })
}

/// Stores an event.
pub async fn insert_event(tx: &mut Tx, event: &Event, seller: UserId) -> Result<(), ApiError> {
    let s = &event.summary;
    sqlx::query(
        "INSERT INTO events (id, seller_id, title, category, place, description, starts_on, ends_on, runtime_min, rating, grades, \
         hold_seats_max, performance_seats_max, event_seats_max, members_only, title_en, cast_names) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
    .bind(i64::from(event.limits.hold_seats_max))
    .bind(i64::from(event.limits.performance_seats_max))
    .bind(i64::from(event.limits.event_seats_max))
    .bind(i64::from(event.members_only))
    .bind(event.title_en.clone())
    .bind(serde_json::to_string(&event.cast)?)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Stores a performance of `event`.
pub async fn insert_performance(tx: &mut Tx, event: EventId, p: &PerformanceSummary) -> Result<(), ApiError> {
    sqlx::query(
        "INSERT INTO performances (id, event_id, starts_at, sales_open_at, sales_close_at) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(p.id.to_bytes())
    .bind(event.to_bytes())
    .bind(p.starts_at.as_millis())
    .bind(p.sales_open_at.as_millis())
    .bind(p.sales_close_at.as_millis())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Moves the ends of a performance's sales window that are given, and tells what it is now.
pub async fn set_window(
    tx: &mut Tx,
    id: PerformanceId,
    change: &PerformanceChange,
) -> Result<PerformanceSummary, ApiError> {
    sqlx::query(
        "UPDATE performances SET sales_open_at = COALESCE(?, sales_open_at), \
         sales_close_at = COALESCE(?, sales_close_at) WHERE id = ?",
    )
    .bind(change.sales_open_at.map(Timestamp::as_millis))
    .bind(change.sales_close_at.map(Timestamp::as_millis))
    .bind(id.to_bytes())
    .execute(&mut **tx)
    .await?;
    let sql = format!("SELECT {PERFORMANCE_COLUMNS} FROM performances p WHERE p.id = ?");
    performance(&sqlx::query(AssertSqlSafe(sql)).bind(id.to_bytes()).fetch_one(&mut **tx).await?)
}

/// Whether a performance is cancelled; it stays so until the transaction ends.
pub async fn is_cancelled(db: &Db, tx: &mut Tx, id: PerformanceId) -> Result<bool, ApiError> {
    let sql = format!("SELECT cancelled_at FROM performances WHERE id = ?{}", db.shared_lock());
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.to_bytes()).fetch_one(&mut **tx).await?;
    Ok(row.try_get::<Option<i64>, _>("cancelled_at")?.is_some())
}

/// The seats the organiser does not sell, ascending.
pub async fn blocked_seats(db: &Db, id: PerformanceId) -> Result<Vec<SeatIndex>, ApiError> {
    let rows = sqlx::query("SELECT seat FROM blocked_seats WHERE performance_id = ? ORDER BY seat")
        .bind(id.to_bytes())
        .fetch_all(db.pool())
        .await?;
    rows.iter().map(|r| SeatIndex::try_from(r.try_get::<i64, _>("seat")?).map_err(ApiError::internal)).collect()
}

/// Adds to and takes from the seats the organiser does not sell.
pub async fn change_blocked(
    tx: &mut Tx,
    id: PerformanceId,
    block: &[SeatIndex],
    unblock: &[SeatIndex],
) -> Result<(), ApiError> {
    for some in unblock.chunks(BLOCKED_AT_ONCE) {
        let sql = format!("DELETE FROM blocked_seats WHERE performance_id = ? AND seat IN {}", marks(some.len()));
        let query = sqlx::query(AssertSqlSafe(sql)).bind(id.to_bytes());
        some.iter().fold(query, |query, &seat| query.bind(i64::from(seat))).execute(&mut **tx).await?;
    }
    for some in block.chunks(BLOCKED_AT_ONCE) {
        let sql = format!("INSERT INTO blocked_seats (performance_id, seat) VALUES {}", rows(some.len(), 2));
        let query = sqlx::query(AssertSqlSafe(sql));
        let bound = some.iter().fold(query, |query, &seat| query.bind(id.to_bytes()).bind(i64::from(seat)));
        bound.execute(&mut **tx).await?;
    }
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
    let performances = sqlx::query(AssertSqlSafe(format!(
        "SELECT {PERFORMANCE_COLUMNS} FROM performances p WHERE event_id = ? ORDER BY starts_at, id"
    )))
    .bind(id.to_bytes())
    .fetch_all(db.pool())
    .await?;
    Ok(Some(Event {
        summary: summary(&row)?,
        title_en: row.try_get("title_en")?,
        cast: cast(&row)?,
        description: row.try_get("description")?,
        runtime_min: u32::try_from(row.try_get::<i64, _>("runtime_min")?).unwrap_or(0),
        rating: row.try_get("rating")?,
        grades: grades(&row)?,
        limits: limits(&row)?,
        members_only: members_only(&row)?,
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

/// Those of these events that are there, in any order.
pub async fn summaries(db: &Db, ids: &[EventId]) -> Result<Vec<EventSummary>, ApiError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT {EVENT_COLUMNS} FROM events e WHERE e.id IN {}", marks(ids.len()));
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for id in ids {
        query = query.bind(id.to_bytes());
    }
    query.fetch_all(db.pool()).await?.iter().map(summary).collect()
}

/// A performance with its hall.
pub async fn performance_info(db: &Db, id: PerformanceId) -> Result<Option<PerformanceInfo>, ApiError> {
    let sql = format!(
        "SELECT {EVENT_COLUMNS}, {PERFORMANCE_COLUMNS}, \
         (SELECT COUNT(*) FROM performances q WHERE q.event_id = e.id) AS performances \
         FROM performances p JOIN events e ON e.id = p.event_id WHERE p.id = ?"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.to_bytes()).fetch_optional(db.pool()).await?;
    row.map(|row| {
        let map = SeatMap::new(grades(&row)?)
            .map_err(|e| ApiError::internal(format_args!("a stored hall is damaged: {e:?}")))?;
        let seat_map_version = seat_map_version(&map);
        Ok(PerformanceInfo {
            summary: performance(&row)?,
            event: summary(&row)?,
            map,
            limits: limits(&row)?,
            members_only: members_only(&row)?,
            performances: u32::try_from(row.try_get::<i64, _>("performances")?).map_err(ApiError::internal)?,
            seat_map_version,
        })
    })
    .transpose()
}

/// Every event as the search index wants it.
pub async fn index_entries(db: &Db, now: Timestamp) -> Result<Vec<nugul_catalog::CatalogEvent>, ApiError> {
    entries(db, now, None).await
}

/// These events as the search index wants them, sorted by id; those there are.
pub async fn index_entries_of(
    db: &Db,
    now: Timestamp,
    ids: &[EventId],
) -> Result<Vec<nugul_catalog::CatalogEvent>, ApiError> {
    if ids.is_empty() { Ok(Vec::new()) } else { entries(db, now, Some(ids)).await }
}

async fn entries(
    db: &Db,
    now: Timestamp,
    only: Option<&[EventId]>,
) -> Result<Vec<nugul_catalog::CatalogEvent>, ApiError> {
    let among = |column: &str| only.map_or("1 = 1".to_owned(), |ids| format!("{column} IN {}", marks(ids.len())));
    let ids = || only.into_iter().flatten().map(|id| id.to_bytes());
    // Windows that are over say nothing; the sale of an event is open from its first to its last that is not.
    let sql = format!(
        "SELECT event_id, COUNT(*) AS performances, \
         MIN(CASE WHEN COALESCE(sales_close_at, starts_at) > ? THEN sales_open_at END) AS opens, \
         MAX(CASE WHEN COALESCE(sales_close_at, starts_at) > ? THEN COALESCE(sales_close_at, starts_at) END) AS closes \
         FROM performances WHERE cancelled_at IS NULL AND {} GROUP BY event_id",
        among("event_id")
    );
    let sales = sqlx::query(AssertSqlSafe(sql)).bind(now.as_millis()).bind(now.as_millis());
    let sales = ids().fold(sales, Query::bind).fetch_all(db.pool()).await?;
    let mut of_event: HashMap<Vec<u8>, Sales> = HashMap::with_capacity(sales.len());
    for row in &sales {
        let moment = |name: &str| row.try_get::<Option<i64>, _>(name).map(|at| at.map(Timestamp::from_millis));
        let performances = u32::try_from(row.try_get::<i64, _>("performances")?).map_err(ApiError::internal)?;
        let sales = Sales { performances, opens: moment("opens")?, closes: moment("closes")? };
        of_event.insert(row.try_get("event_id")?, sales);
    }
    let sql = format!("SELECT {EVENT_COLUMNS} FROM events e WHERE {} ORDER BY e.id", among("e.id"));
    let rows = ids().fold(sqlx::query(AssertSqlSafe(sql)), Query::bind).fetch_all(db.pool()).await?;
    rows.iter()
        .map(|row| {
            let s = summary(row)?;
            let prices: Vec<i64> = grades(row)?.iter().map(|g| g.price_krw.0).collect();
            let sales = of_event.get(s.id.to_bytes().as_slice()).copied().unwrap_or_default();
            Ok(nugul_catalog::CatalogEvent {
                id: s.id.to_string(),
                title: s.title,
                title_en: row.try_get("title_en")?,
                category: s.category,
                place: s.place,
                cast: cast(row)?,
                starts_on: s.starts_on,
                ends_on: s.ends_on,
                min_price_krw: prices.iter().min().copied().unwrap_or(0),
                max_price_krw: prices.iter().max().copied().unwrap_or(0),
                rating: row.try_get("rating")?,
                runtime_min: u32::try_from(row.try_get::<i64, _>("runtime_min")?).unwrap_or(0),
                popularity: u32::try_from(row.try_get::<i64, _>("demand")?).unwrap_or(0),
                performances: sales.performances,
                sales_open_at: sales.opens,
                sales_close_at: sales.closes,
                ..nugul_catalog::CatalogEvent::default()
            })
        })
        .collect()
}

/// What is sold of an event.
#[derive(Clone, Copy, Default)]
struct Sales {
    performances: u32,
    opens: Option<Timestamp>,
    closes: Option<Timestamp>,
}
