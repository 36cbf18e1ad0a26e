//! `events`, `performances`, `calendar` and the index file.

use axum::{
    Json, Router,
    body::Body,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use nugul_api::{
    Code, Page,
    catalogue::{
        CalendarDay, CatalogueVersion, Event, EventSummary, NewEvent, NewPerformance, Performance, PerformanceSummary,
    },
};
use nugul_catalog::{
    Suggestion, Weights,
    params::{SuggestParameters, suggest_query},
};
use nugul_domain::{EventId, PerformanceId, event::PERFORMANCES_MAX};
use serde::Deserialize;

use super::{service, store};
use crate::{
    app::App,
    error::ApiError,
    extract::{Auth, Id, Write},
    idempotency::{self, Begun},
    paging::Paging,
    search::feed,
};

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new()
        .route("/events", get(list).post(create))
        .route("/events/{id}", get(read))
        .route("/events/{id}/performances", post(create_performance))
        .route("/performances/{id}", get(performance))
        .route("/search/suggest", get(suggest))
        .route("/calendar", get(calendar))
        .route("/catalogue", get(version))
        .route("/catalogue/{version}", get(file))
}

#[utoipa::path(get, path = "/api/v1/events", tag = "catalogue", responses((status = 200, body = Page<EventSummary>)),
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)))]
async fn list(State(app): State<App>, paging: Paging<EventId>) -> Result<Json<Page<EventSummary>>, ApiError> {
    let read = store::list(&app.db, paging.cursor, paging.to_read()).await?;
    let (items, next_cursor) = paging.cut(read, |e| e.id.to_string());
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
            feed::put(&app, &mut work.tx, id).await?;
            store::mark_changed(&mut work.tx).await?;
            let response = work.finish(StatusCode::CREATED, &event).await?;
            feed::ring(&app);
            Ok(response)
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
        return Err(ApiError::field(
            "/starts_at",
            (format!("회차는 {PERFORMANCES_MAX}개까지예요."), format!("At most {PERFORMANCES_MAX} performances.")),
        ));
    }
    let now = app.now();
    let summary = PerformanceSummary {
        id: PerformanceId::new(app.config.region, now, app.random_id()),
        starts_at: write.body.starts_at,
        sales_open_at: write.body.sales_open_at.unwrap_or(now),
        sales_close_at: write.body.sales_close_at.unwrap_or(write.body.starts_at),
        cancelled: false,
    };
    service::check_window(&summary)?;
    match idempotency::begin(&app.db, auth.scope(), &write.key, &write.digest, now).await? {
        Begun::Replay(response) => Ok(response),
        Begun::Fresh(mut work) => {
            store::insert_performance(&mut work.tx, id, &summary).await?;
            feed::put(&app, &mut work.tx, id).await?;
            store::mark_changed(&mut work.tx).await?;
            let response = work.finish(StatusCode::CREATED, &summary).await?;
            feed::ring(&app);
            Ok(response)
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

#[utoipa::path(get, path = "/api/v1/calendar", tag = "catalogue", responses((status = 200, body = Page<CalendarDay>)), params(("month" = String, Query)))]
async fn calendar(
    State(app): State<App>,
    query: Result<Query<CalendarQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Page<CalendarDay>>, ApiError> {
    let Query(query) = query.map_err(|_| Code::InvalidParameter)?;
    let index = app.catalogue.borrow().index.clone();
    let days = tokio::task::spawn_blocking(move || nugul_catalog::calendar(&[&index], &query.month));
    let days = days.await.map_err(ApiError::internal)?.ok_or(Code::InvalidParameter)?;
    let days = days.into_iter().map(|day| {
        let count = u32::try_from(day.count).unwrap_or(u32::MAX);
        let events = day.events.into_iter().map(summary_of).collect::<Result<_, _>>()?;
        Ok(CalendarDay { date: day.date, count, events })
    });
    Ok(Json(Page { items: days.collect::<Result<_, ApiError>>()?, next_cursor: None }))
}

#[utoipa::path(get, path = "/api/v1/search/suggest", tag = "catalogue", responses((status = 200, body = Page<Suggestion>)),
    params(SuggestParameters))]
async fn suggest(
    State(app): State<App>,
    asked: Result<Query<Vec<(String, String)>>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Page<Suggestion>>, ApiError> {
    let Query(asked) = asked.map_err(|_| Code::InvalidParameter)?;
    let asked = suggest_query(&asked).map_err(|_| Code::InvalidParameter)?;
    let (index, now) = (app.catalogue.borrow().index.clone(), app.now());
    let found = tokio::task::spawn_blocking(move || {
        nugul_catalog::suggest(&[&index], &asked.q, asked.limit, Some(now), &Weights::default())
    });
    Ok(Json(Page { items: found.await.map_err(ApiError::internal)?, next_cursor: None }))
}

fn summary_of(e: nugul_catalog::CatalogEvent) -> Result<EventSummary, ApiError> {
    Ok(EventSummary {
        id: e.id.parse()?,
        title: e.title,
        category: e.category,
        place: e.place,
        starts_on: e.starts_on,
        ends_on: e.ends_on,
    })
}

#[utoipa::path(get, path = "/api/v1/catalogue", tag = "machines", responses((status = 200, body = CatalogueVersion)))]
async fn version(State(app): State<App>) -> Json<CatalogueVersion> {
    Json(CatalogueVersion { version: app.catalogue.borrow().version.clone() })
}

#[utoipa::path(get, path = "/api/v1/catalogue/{version}", tag = "machines", responses((status = 200)), params(("version" = String, Path)))]
async fn file(State(app): State<App>, Id(version): Id<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    let file = app.catalogue.borrow().clone();
    if file.version != version {
        return Err(Code::NotFound.into());
    }
    let answer = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "accept-encoding"),
    ];
    if takes_gzip(&headers) {
        return Ok((answer, [(header::CONTENT_ENCODING, "gzip")], Body::from(file.gzip.clone())).into_response());
    }
    Ok((answer, Body::from(file.bytes.clone())).into_response())
}

/// Whether the client takes gzip (RFC 9110, 12.5.3); one that says nothing gets the bytes as they are.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let named = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_take_it() {
        for (says, takes) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("br", false),
            ("xgzip", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, says.parse().unwrap())]);
            assert_eq!(takes_gzip(&headers), takes, "{says}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
