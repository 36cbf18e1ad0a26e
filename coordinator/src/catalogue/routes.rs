//! `events`, `performances`, `calendar` and the index file.

use axum::{
    Json, Router,
    body::Body,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use nugul_api::{
    Code, Page,
    catalogue::{
        CalendarDay, CatalogueVersion, Event, EventSummary, NewEvent, NewPerformance, Performance, PerformanceSummary,
    },
    limits,
};
use nugul_catalog::Index;
use nugul_domain::{EventId, PerformanceId, event::PERFORMANCES_MAX};
use serde::Deserialize;

use super::{service, store};
use crate::{
    app::App,
    error::ApiError,
    extract::{Auth, Id, Write},
    idempotency::{self, Begun},
};

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new()
        .route("/events", get(list).post(create))
        .route("/events/{id}", get(read))
        .route("/events/{id}/performances", post(create_performance))
        .route("/performances/{id}", get(performance))
        .route("/calendar", get(calendar))
        .route("/catalogue", get(version))
        .route("/catalogue/{version}", get(file))
}

#[derive(Deserialize)]
struct ListQuery {
    cursor: Option<String>,
    limit: Option<u32>,
}

#[utoipa::path(get, path = "/api/v1/events", tag = "catalogue", responses((status = 200, body = Page<EventSummary>)),
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)))]
async fn list(
    State(app): State<App>,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Page<EventSummary>>, ApiError> {
    let Query(query) = query.map_err(|_| Code::InvalidParameter)?;
    let limit = query.limit.unwrap_or(limits::PAGE_ITEMS_DEFAULT);
    if !(1..=limits::PAGE_ITEMS_MAX).contains(&limit) {
        return Err(Code::InvalidParameter.into());
    }
    let cursor = query.cursor.map(|c| c.parse::<EventId>()).transpose().map_err(|_| Code::InvalidParameter)?;
    let mut items = store::list(&app.db, cursor, limit + 1).await?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|e| e.id.to_string());
    Ok(Json(Page { items, next_cursor }))
}

#[utoipa::path(post, path = "/api/v1/events", tag = "catalogue", request_body = NewEvent, responses((status = 201, body = Event)))]
async fn create(State(app): State<App>, auth: Auth, write: Write<NewEvent>) -> Result<Response, ApiError> {
    if !auth.0.role.may_sell() {
        return Err(Code::Forbidden.into());
    }
    let now = app.now();
    let id = EventId::new(app.config.region, now, app.random_id());
    let event = service::new_event(id, write.body)?;
    match idempotency::begin(&app.db, auth.scope(), &write.key, &write.digest, now).await? {
        Begun::Replay(response) => Ok(response),
        Begun::Fresh(mut work) => {
            store::insert_event(&mut work.tx, &event, auth.user()).await?;
            store::mark_changed(&mut work.tx).await?;
            work.finish(StatusCode::CREATED, &event).await
        }
    }
}

#[utoipa::path(get, path = "/api/v1/events/{id}", tag = "catalogue", responses((status = 200, body = Event)), params(("id" = String, Path)))]
async fn read(State(app): State<App>, Id(id): Id<EventId>) -> Result<Json<Event>, ApiError> {
    Ok(Json(store::event(&app.db, id).await?.ok_or(Code::NotFound)?))
}

#[utoipa::path(post, path = "/api/v1/events/{id}/performances", tag = "catalogue", request_body = NewPerformance,
    responses((status = 201, body = PerformanceSummary)), params(("id" = String, Path)))]
async fn create_performance(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<EventId>,
    write: Write<NewPerformance>,
) -> Result<Response, ApiError> {
    if !auth.0.role.may_sell() {
        return Err(Code::Forbidden.into());
    }
    // Another's event is no event here.
    if store::seller_of(&app.db, id).await? != Some(auth.user()) {
        return Err(Code::NotFound.into());
    }
    let event = store::event(&app.db, id).await?.ok_or(Code::NotFound)?;
    service::check_performance_time(&event, write.body.starts_at)?;
    if event.performances.len() >= PERFORMANCES_MAX {
        return Err(ApiError::field("/starts_at", format!("회차는 {PERFORMANCES_MAX}개까지예요.")));
    }
    let now = app.now();
    let summary = PerformanceSummary {
        id: PerformanceId::new(app.config.region, now, app.random_id()),
        starts_at: write.body.starts_at,
        sales_open_at: write.body.sales_open_at.unwrap_or(now),
    };
    match idempotency::begin(&app.db, auth.scope(), &write.key, &write.digest, now).await? {
        Begun::Replay(response) => Ok(response),
        Begun::Fresh(mut work) => {
            store::insert_performance(&mut work.tx, id, &summary).await?;
            store::mark_changed(&mut work.tx).await?;
            work.finish(StatusCode::CREATED, &summary).await
        }
    }
}

#[utoipa::path(get, path = "/api/v1/performances/{id}", tag = "catalogue", responses((status = 200, body = Performance)), params(("id" = String, Path)))]
async fn performance(State(app): State<App>, Id(id): Id<PerformanceId>) -> Result<Json<Performance>, ApiError> {
    Ok(Json(service::performance(&app, id).await?.to_api()))
}

#[derive(Deserialize)]
struct CalendarQuery {
    month: String,
}

#[utoipa::path(get, path = "/api/v1/calendar", tag = "catalogue", responses((status = 200, body = Vec<CalendarDay>)), params(("month" = String, Query)))]
async fn calendar(
    State(app): State<App>,
    query: Result<Query<CalendarQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Vec<CalendarDay>>, ApiError> {
    let Query(query) = query.map_err(|_| Code::InvalidParameter)?;
    if nugul_domain::time::parse_date(&format!("{}-01", query.month)).is_none() {
        return Err(Code::InvalidParameter.into());
    }
    let file = app.catalogue.borrow().clone();
    let days = tokio::task::spawn_blocking(move || -> Result<Vec<CalendarDay>, ApiError> {
        let index = Index::open(file.bytes.to_vec()).map_err(|e| ApiError::internal(format_args!("index: {e}")))?;
        index
            .calendar(&query.month)
            .into_iter()
            .map(|(date, events)| {
                let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
                let events = events.into_iter().map(summary_of).collect::<Result<_, _>>()?;
                Ok(CalendarDay { date, count, events })
            })
            .collect()
    });
    Ok(Json(days.await.map_err(ApiError::internal)??))
}

fn summary_of(e: &nugul_catalog::CatalogEvent) -> Result<EventSummary, ApiError> {
    Ok(EventSummary {
        id: e.id.parse()?,
        title: e.title.clone(),
        category: e.category.clone(),
        place: e.place.clone(),
        starts_on: e.starts_on.clone(),
        ends_on: e.ends_on.clone(),
    })
}

#[utoipa::path(get, path = "/api/v1/catalogue", tag = "machines", responses((status = 200, body = CatalogueVersion)))]
async fn version(State(app): State<App>) -> Json<CatalogueVersion> {
    Json(CatalogueVersion { version: app.catalogue.borrow().version.clone() })
}

#[utoipa::path(get, path = "/api/v1/catalogue/{version}", tag = "machines", responses((status = 200)), params(("version" = String, Path)))]
async fn file(State(app): State<App>, Id(version): Id<String>) -> Result<Response, ApiError> {
    let file = app.catalogue.borrow().clone();
    if file.version != version {
        return Err(Code::NotFound.into());
    }
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, Body::from(file.bytes.clone())).into_response())
}
