//! Seats of a performance: the bridge from their live state to SQL, the snapshot and the event stream.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use nugul_api::{
    headers::LAST_EVENT_ID,
    seats::{HEARTBEAT, HEARTBEAT_MS, RETRY_MS, SeatChanges, SeatSnapshot},
};
use nugul_coordination::Error;
use nugul_domain::{
    PerformanceId, SeatIndex,
    seat_book::{Claim, Snapshot},
};
use sqlx::Row;

use crate::{
    app::{App, Parts},
    catalogue::{service::performance, store::PerformanceInfo},
    error::ApiError,
    extract::Id,
};

/// Changes within this time go out as one frame.
const TICK: Duration = Duration::from_millis(25);
/// How often due holds are looked for.
const EXPIRE_EVERY: Duration = Duration::from_millis(250);

/// Runs an operation on live seats; where they are not loaded (first use, or the store was emptied), loads them from SQL
/// and runs it once more.
#[macro_export]
macro_rules! on_seats {
    ($app:expr, $performance:expr, $operation:expr) => {
        match $operation.await {
            Err(nugul_coordination::Error::NotLoaded) => {
                $crate::seats::load($app, $performance).await?;
                $operation.await
            }
            other => other,
        }
    };
}

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new().route("/performances/{id}/seats", get(snapshot)).route("/performances/{id}/stream", get(stream))
}

/// Loads the live state of a performance from what SQL knows.
pub async fn load(app: &Parts, id: PerformanceId) -> Result<(), ApiError> {
    let info = performance(app, id).await?;
    let rows = sqlx::query("SELECT seat, fence, order_id, sold FROM seat_claims WHERE performance_id = ?")
        .bind(id.to_bytes())
        .fetch_all(app.db.pool())
        .await?;
    let (mut claims, mut fence_floor) = (Vec::new(), 0i64);
    for row in &rows {
        fence_floor = fence_floor.max(row.try_get("fence")?);
        if row.try_get::<Option<Vec<u8>>, _>("order_id")?.is_some() {
            let seat = SeatIndex::try_from(row.try_get::<i64, _>("seat")?).map_err(ApiError::internal)?;
            claims.push(Claim { seat, sold: row.try_get::<i64, _>("sold")? == 1 });
        }
    }
    Ok(app.seats.load(id, info.map.seat_count(), &claims, fence_floor).await?)
}

/// The seats' state now.
pub async fn current(app: &Parts, info: &PerformanceInfo) -> Result<Snapshot, ApiError> {
    let id = info.summary.id;
    Ok(on_seats!(app, id, app.seats.snapshot(id))?)
}

/// Frees holds when they end, until the process stops.
pub async fn expire_holds(app: App) {
    let mut stopping = app.stopping.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EXPIRE_EVERY) => {}
            _ = stopping.changed() => return,
        }
        if let Err(e) = app.seats.expire_due().await {
            tracing::warn!("holds could not be freed: {e}");
        }
    }
}

#[utoipa::path(get, path = "/api/v1/performances/{id}/seats", tag = "seats", responses((status = 200, body = SeatSnapshot)), params(("id" = String, Path)))]
async fn snapshot(State(app): State<App>, Id(id): Id<PerformanceId>) -> Result<Json<SeatSnapshot>, ApiError> {
    let info = performance(&app, id).await?;
    let s = current(&app, &info).await?;
    Ok(Json(SeatSnapshot::pack(s.version, &s.seats)))
}

#[utoipa::path(get, path = "/api/v1/performances/{id}/stream", tag = "seats", responses((status = 200, content_type = "text/event-stream")), params(("id" = String, Path)))]
async fn stream(State(app): State<App>, Id(id): Id<PerformanceId>, headers: HeaderMap) -> Result<Response, ApiError> {
    let info = performance(&app, id).await?;
    current(&app, &info).await?;
    let resume = headers.get(LAST_EVENT_ID).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<i64>().ok());
    let start = Reader { app, info, version: resume, said: false };
    let body = futures_util::stream::unfold(Some(start), |reader| async move {
        let mut reader = reader?;
        match reader.next_frames().await {
            Ok(Some(frames)) => Some((Ok::<_, std::io::Error>(Bytes::from(frames)), Some(reader))),
            Ok(None) => None,
            // The stream ends; the browser comes back with the id it saw last.
            Err(e) => {
                tracing::warn!(context = e.context, "a seat stream ended early");
                None
            }
        }
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// One listener's place in the changes.
struct Reader {
    app: App,
    info: Arc<PerformanceInfo>,
    version: Option<i64>,
    said: bool,
}

impl Reader {
    /// What to send next; `None` when the process stops.
    async fn next_frames(&mut self) -> Result<Option<String>, ApiError> {
        let first = if self.said { String::new() } else { format!("retry: {RETRY_MS}\n\n") };
        self.said = true;
        let Some(version) = self.version else { return Ok(Some(first + &self.snapshot().await?)) };
        let frames = self.since(version).await?;
        if !first.is_empty() || !frames.is_empty() {
            return Ok(Some(first + &frames));
        }
        let mut stopping = self.app.stopping.clone();
        let id = self.info.summary.id;
        tokio::select! {
            waited = self.app.seats.wait_change(id, version, Duration::from_millis(HEARTBEAT_MS)) => match waited {
                Ok(()) | Err(Error::NotLoaded) => {}
                Err(e) => return Err(e.into()),
            },
            _ = stopping.changed() => return Ok(None),
        }
        tokio::time::sleep(TICK).await;
        let frames = self.since(version).await?;
        Ok(Some(if frames.is_empty() { HEARTBEAT.to_owned() } else { frames }))
    }

    /// The frames after `version`: changes, or a snapshot where they are not kept any more.
    async fn since(&mut self, version: i64) -> Result<String, ApiError> {
        let id = self.info.summary.id;
        match on_seats!(&self.app, id, self.app.seats.changes_after(id, version))? {
            None => self.snapshot().await,
            Some(changes) => Ok(SeatChanges::merge(&changes).map_or_else(String::new, |c| {
                self.version = Some(c.to);
                c.frame()
            })),
        }
    }

    async fn snapshot(&mut self) -> Result<String, ApiError> {
        let s = current(&self.app, &self.info).await?;
        self.version = Some(s.version);
        Ok(SeatSnapshot::pack(s.version, &s.seats).frame())
    }
}
