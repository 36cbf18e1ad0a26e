//! `PATCH performances/{id}`, `performances/{id}/blocked-seats` and `performances/{id}/cancellation`.

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::Response,
    routing::{patch, put},
};
use nugul_api::{
    Code,
    catalogue::{BlockedSeats, Cancellation, NewCancellation, PerformanceChange, PerformanceSummary},
};
use nugul_domain::{PerformanceId, SeatIndex, seat_book::BlockRefusal};

use super::cancellation;
use crate::{
    app::App,
    catalogue::{
        service::{check_window, forget_performance, run_by},
        store::{self, PerformanceInfo},
    },
    error::ApiError,
    extract::{Auth, Id, Write},
    holds::service::{check_in_hall, describe},
    idempotency::{self, Begun},
    refunds::service::reason,
    search::feed,
};

/// The routes, below `/api/v1`. `GET performances/{id}` is the catalogue's.
pub fn router() -> Router<App> {
    Router::new()
        .route("/performances/{id}", patch(change))
        .route("/performances/{id}/blocked-seats", put(block).get(blocked))
        .route("/performances/{id}/cancellation", axum::routing::post(cancel).get(progress))
}

#[utoipa::path(patch, path = "/api/v1/performances/{id}", tag = "organisers", request_body = PerformanceChange, responses((status = 200, body = PerformanceSummary)), params(("id" = String, Path)))]
async fn change(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<PerformanceId>,
    write: Write<PerformanceChange>,
) -> Result<Response, ApiError> {
    run_by(&app, &auth, id).await?;
    match idempotency::begin(&app.db, auth.scope(), &write.key, &write.digest, app.now()).await? {
        Begun::Replay(response) => Ok(response),
        Begun::Fresh(mut work) => {
            let summary = store::set_window(&mut work.tx, id, &write.body).await?;
            // A window that cannot be takes the change back.
            check_window(&summary)?;
            let response = work.finish(StatusCode::OK, &summary).await?;
            forget_performance(&app, id);
            Ok(response)
        }
    }
}

#[utoipa::path(get, path = "/api/v1/performances/{id}/blocked-seats", tag = "organisers", responses((status = 200, body = BlockedSeats)), params(("id" = String, Path)))]
async fn blocked(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<PerformanceId>,
) -> Result<Json<BlockedSeats>, ApiError> {
    run_by(&app, &auth, id).await?;
    Ok(Json(BlockedSeats { seats: store::blocked_seats(&app.db, id).await?, ranges: Vec::new() }))
}

/// All seats a request names, one by one and by ranges.
fn named(info: &PerformanceInfo, body: BlockedSeats) -> Result<Vec<SeatIndex>, ApiError> {
    let mut seats = body.seats;
    for (k, (first, last)) in body.ranges.into_iter().enumerate() {
        if first > last || info.map.seat(last).is_none() {
            return Err(ApiError::field(
                format!("/ranges/{k}"),
                ("이 공연장에 없는 좌석이에요.", "The hall has no such seat."),
            ));
        }
        if seats.len() > info.map.seat_count() as usize {
            return Err(ApiError::field("/ranges", ("공연장 좌석보다 많아요.", "More seats than the hall has.")));
        }
        seats.extend(first..=last);
    }
    Ok(seats)
}

/// The live state first, because it decides between a buyer and the organiser; should SQL then fail, the seats are off
/// sale until the comparison with SQL puts them back.
#[utoipa::path(put, path = "/api/v1/performances/{id}/blocked-seats", tag = "organisers", request_body = BlockedSeats, responses((status = 200, body = BlockedSeats)), params(("id" = String, Path)))]
async fn block(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<PerformanceId>,
    write: Write<BlockedSeats>,
) -> Result<Response, ApiError> {
    if let Some(response) = idempotency::replay(&app.db, auth.scope(), &write.key, &write.digest).await? {
        return Ok(response);
    }
    let info = run_by(&app, &auth, id).await?;
    let mut seats = named(&info, write.body)?;
    check_in_hall(&info, "/seats", &seats)?;
    seats.sort_unstable();
    seats.dedup();
    let before = store::blocked_seats(&app.db, id).await?;
    let block: Vec<_> = seats.iter().copied().filter(|s| before.binary_search(s).is_err()).collect();
    let unblock: Vec<_> = before.iter().copied().filter(|s| seats.binary_search(s).is_err()).collect();
    match crate::on_seats!(&app, id, app.seats.block(id, &block))? {
        Ok(()) => {}
        Err(BlockRefusal::Taken(taken)) => {
            return Err(ApiError { seats: describe(&info, &taken), ..Code::SeatsTaken.into() });
        }
        Err(BlockRefusal::NoSuchSeat) => return Err(ApiError::internal("a seat of the hall is not in the book")),
    }
    match idempotency::begin(&app.db, auth.scope(), &write.key, &write.digest, app.now()).await? {
        Begun::Replay(response) => Ok(response),
        Begun::Fresh(mut work) => {
            store::change_blocked(&mut work.tx, id, &block, &unblock).await?;
            let response = work.finish(StatusCode::OK, &BlockedSeats { seats, ranges: Vec::new() }).await?;
            crate::on_seats!(&app, id, app.seats.unblock(id, &unblock))?;
            Ok(response)
        }
    }
}

#[utoipa::path(post, path = "/api/v1/performances/{id}/cancellation", tag = "organisers", request_body = NewCancellation, responses((status = 202, body = Cancellation)), params(("id" = String, Path)))]
async fn cancel(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<PerformanceId>,
    write: Write<NewCancellation>,
) -> Result<Response, ApiError> {
    if let Some(response) = idempotency::replay(&app.db, auth.scope(), &write.key, &write.digest).await? {
        return Ok(response);
    }
    let info = run_by(&app, &auth, id).await?;
    let reason = reason(&write.body.reason)?;
    if reason.is_empty() {
        return Err(ApiError::field(
            "/reason",
            ("구매자에게 알릴 이유를 적어 주세요.", "Say what buyers are to be told."),
        ));
    }
    let now = app.now();
    if info.summary.starts_at <= now {
        return Err(Code::SalesClosed.into());
    }
    match idempotency::begin(&app.db, auth.scope(), &write.key, &write.digest, now).await? {
        Begun::Replay(response) => Ok(response),
        Begun::Fresh(mut work) => {
            if !cancellation::begin(&mut work.tx, id, &reason, auth.user(), now).await? {
                return Err(Code::PerformanceCancelled.into());
            }
            feed::put(&app, &mut work.tx, info.event.id).await?;
            store::mark_changed(&mut work.tx).await?;
            let remaining = cancellation::remaining(&app.db, id).await?;
            let answer = Cancellation { reason, cancelled_at: now, refunded: 0, remaining, finished_at: None };
            let response = work.finish(StatusCode::ACCEPTED, &answer).await?;
            forget_performance(&app, id);
            app.cancellations_begun.notify_one();
            feed::ring(&app);
            Ok(response)
        }
    }
}

#[utoipa::path(get, path = "/api/v1/performances/{id}/cancellation", tag = "organisers", responses((status = 200, body = Cancellation)), params(("id" = String, Path)))]
async fn progress(
    State(app): State<App>,
    auth: Auth,
    Id(id): Id<PerformanceId>,
) -> Result<Json<Cancellation>, ApiError> {
    run_by(&app, &auth, id).await?;
    Ok(Json(cancellation::progress(&app.db, id).await?.ok_or(Code::NotFound)?))
}
