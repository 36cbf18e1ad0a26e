//! `performances/{id}/stream`: the event stream, or its snapshot for those who want no stream.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{FromRequestParts, State},
    http::{HeaderMap, Method, Request, Version, header, request},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use nugul_api::{
    headers::LAST_EVENT_ID,
    seats::{SeatChanges, SeatSnapshot, retry},
};
use nugul_domain::PerformanceId;
use tokio::time::Instant;

use super::{
    counters::Counters,
    hub::Hub,
    line::{Claim, Connection},
    log::Resume,
    piece::{Framing, Piece},
    reader::{Start, lock},
    tickets::{self, Shown},
};
use crate::{
    app::{App, Parts},
    catalogue::{service::performance, store::PerformanceInfo},
    error::ApiError,
    extract::{Auth, Id, Parameters},
    on_seats,
    seats::current,
};

/// How long a reader that is ahead of this process, having read at another, waits for it.
const AHEAD_MAX: Duration = Duration::from_secs(1);
/// Streams end earlier than they may by up to a part of so many, by chance, so that they do not end together.
const EARLIER_PART: u32 = 10;

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new()
        .route("/performances/{id}/seats", get(snapshot))
        .route("/performances/{id}/stream", get(stream))
        .route("/performances/{id}/stream-tickets", post(tickets::create))
}

/// The seats now. Those of a members-only event are for who is logged in, or has a stream ticket.
#[utoipa::path(get, path = "/api/v1/performances/{id}/seats", tag = "seats", responses((status = 200, body = SeatSnapshot)), params(("id" = String, Path), Shown))]
pub(crate) async fn snapshot(
    State(app): State<App>,
    Id(id): Id<PerformanceId>,
    Parameters(shown): Parameters<Shown>,
    mut parts: request::Parts,
) -> Result<Json<SeatSnapshot>, ApiError> {
    let info = performance(&app, id).await?;
    if info.members_only && shown.ticket.is_none() && parts.headers.contains_key(header::AUTHORIZATION) {
        Auth::from_request_parts(&mut parts, &app).await?;
    } else {
        tickets::check(&app, &info, &shown, &parts.headers)?;
    }
    now(&app, &info).await
}

async fn now(app: &Parts, info: &PerformanceInfo) -> Result<Json<SeatSnapshot>, ApiError> {
    let s = current(app, info).await?;
    Ok(Json(SeatSnapshot::pack(s.version, &s.seats)))
}

/// The event stream; the snapshot alone for `HEAD`, and where `Accept` wants JSON. That of a members-only event needs a
/// stream ticket, each time that it is joined.
#[utoipa::path(get, path = "/api/v1/performances/{id}/stream", tag = "seats", responses((status = 200, content_type = "text/event-stream")), params(("id" = String, Path), Shown))]
pub(crate) async fn stream(
    State(app): State<App>,
    Id(id): Id<PerformanceId>,
    Parameters(shown): Parameters<Shown>,
    request: Request<axum::body::Body>,
) -> Result<Response, ApiError> {
    let info = performance(&app, id).await?;
    tickets::check(&app, &info, &shown, request.headers())?;
    if request.method() == Method::HEAD || wants_json(request.headers()) {
        return Ok(now(&app, &info).await?.into_response());
    }
    let (mut parts, _) = request.into_parts();
    let connection = parts.extensions.remove::<Connection>();
    let connection = connection.ok_or_else(|| ApiError::internal("a stream without a connection of its own"))?;
    let user = if parts.headers.contains_key(header::AUTHORIZATION) {
        Some(Auth::from_request_parts(&mut parts, &app).await?.user())
    } else {
        None
    };
    let refused = |e: ApiError| {
        Counters::add(&app.streams.counters.refused, 1);
        e
    };
    let permit = app.streams.limits.permit(connection.address(), user).map_err(refused)?;
    let listening = app.streams.listen(&app, id).await?;
    let start = start(&app, listening.hub(), LastSeen::of(&parts.headers)).await?;
    let framing = if parts.version == Version::HTTP_10 { Framing::Bare } else { Framing::Chunked };
    let open_max = listening.hub().lifetimes().open_max;
    let earlier = open_max / EARLIER_PART * u32::from(chance(&app)) / u32::from(u16::MAX);
    let until = Instant::now() + open_max.saturating_sub(earlier);
    let body = connection.hand_over(Claim { listening, permit, framing, start, until });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies that gather answers would hold frames back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, body).into_response())
}

/// Whether JSON is asked for by name and an event stream is not.
fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains("text/event-stream")
}

fn chance(app: &Parts) -> u16 {
    let mut bytes = [0; 2];
    (app.world.random)(&mut bytes);
    u16::from_le_bytes(bytes)
}

/// What a reader says it has.
enum LastSeen {
    /// Nothing.
    Nothing,
    /// The seats as of a version.
    Version(i64),
    /// Something that is no version.
    Nonsense,
}

impl LastSeen {
    fn of(headers: &HeaderMap) -> Self {
        let Some(id) = headers.get(LAST_EVENT_ID) else { return Self::Nothing };
        id.to_str().ok().and_then(|id| id.parse().ok()).map_or(Self::Nonsense, Self::Version)
    }
}

/// What a reader gets first: the changes after the last it has, where they are known; else a snapshot.
async fn start(app: &Parts, hub: &Arc<Hub>, last: LastSeen) -> Result<Start, ApiError> {
    let mut pieces = vec![Piece::new(&retry(chance(app), hub.listeners()))];
    let bridge = match last {
        LastSeen::Version(version) => bridge(app, hub, version).await?,
        LastSeen::Nothing | LastSeen::Nonsense => None,
    };
    let mut log = lock(hub.log());
    // The log may have gone on since.
    let later = bridge.as_ref().map_or(Resume::Unknown, |bridge| log.resume(bridge.to));
    if later == Resume::Unknown {
        pieces.push(log.snapshot(!matches!(last, LastSeen::Nothing)));
    } else {
        Counters::add(&hub.counters().resumed, 1);
        pieces.extend(bridge.and_then(|bridge| bridge.piece));
        if let Resume::Missed(piece) = later {
            pieces.push(piece);
        }
    }
    pieces.extend(log.notes());
    Ok(Start { pieces, next: log.end() })
}

/// The way from what a reader has to where the log goes on.
struct Bridge {
    /// The changes from before the log, where there are such.
    piece: Option<Piece>,
    /// The version after them.
    to: i64,
}

/// The way from `version`; nothing where changes are not kept.
async fn bridge(app: &Parts, hub: &Arc<Hub>, version: i64) -> Result<Option<Bridge>, ApiError> {
    if lock(hub.log()).resume(version) != Resume::Unknown {
        return Ok(Some(Bridge { piece: None, to: version }));
    }
    let id = hub.id();
    let Some(mut changes) = on_seats!(app, id, app.seats.changes_after(id, version))? else { return Ok(None) };
    if !hub.reaches(version, AHEAD_MAX).await {
        return Ok(None);
    }
    let known = lock(hub.log()).version();
    changes.retain(|change| change.version <= known);
    let to = changes.last().map_or(version, |change| change.version);
    let piece = SeatChanges::merge(&changes).map(|merged| Piece::new(&merged.frame()));
    Ok(Some(Bridge { piece, to }))
}
