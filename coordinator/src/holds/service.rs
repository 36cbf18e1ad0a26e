//! Which seats a request means, and what is told of those in conflict.

use std::sync::Arc;

use nugul_api::{
    Code,
    booking::{Hold, NewHold, PerformanceRef, SeatInfo},
};
use nugul_domain::{
    HoldId, Krw, PerformanceId, SeatIndex, SeatState, Timestamp, UserId, seat_book, seat_map::nearest_alternative,
};

use super::event_limit;
use crate::{
    app::Parts,
    catalogue::{service::performance, store::PerformanceInfo},
    error::ApiError,
    overload,
    seats::{current, recently_free, was_taken},
};

/// Tries at finding adjacent seats while others take them.
const BEST_TRIES_MAX: usize = 5;

/// What is wanted, checked against the hall.
pub enum Wanted {
    /// These seats, ascending.
    Exactly(Vec<SeatIndex>),
    /// This many of a grade, side by side.
    Best(String, u32),
}

impl Wanted {
    fn seats(&self) -> usize {
        match self {
            Self::Exactly(seats) => seats.len(),
            Self::Best(_, count) => *count as usize,
        }
    }
}

/// Whether seats of a performance are sold at `now`.
pub fn check_sale(info: &PerformanceInfo, now: Timestamp) -> Result<(), ApiError> {
    if info.summary.cancelled {
        return Err(Code::PerformanceCancelled.into());
    }
    if info.summary.is_on_sale(now) { Ok(()) } else { Err(Code::SalesClosed.into()) }
}

/// Checks a request. Nothing but indexes and a grade's name is taken from it.
pub fn wanted(info: &PerformanceInfo, body: NewHold) -> Result<Wanted, ApiError> {
    let most = info.limits.hold_seats_max as usize;
    if body.seat_map_version.is_some_and(|version| version != info.seat_map_version) {
        return Err(Code::SeatMapChanged.into());
    }
    match (body.seats, body.best) {
        (Some(seats), None) => {
            if seats.is_empty() {
                return Err(ApiError::field("/seats", seat_count(most)));
            }
            Ok(Wanted::Exactly(seats_of(info, "/seats", seats)?))
        }
        (None, Some(best)) => {
            if !(1..=most).contains(&(best.count as usize)) {
                return Err(ApiError::field("/best/count", seat_count(most)));
            }
            if !info.map.grades().iter().any(|g| g.grade == best.grade) {
                return Err(ApiError::field(
                    "/best/grade",
                    ("이 공연에 없는 등급이에요.", "There is no such grade here."),
                ));
            }
            Ok(Wanted::Best(best.grade, best.count))
        }
        _ => Err(ApiError::field("/seats", ("seats와 best 가운데 하나만 보내 주세요.", "Send either seats or best."))),
    }
}

/// How many seats a hold may have, in words.
fn seat_count(most: usize) -> (String, String) {
    (format!("좌석을 1–{most}개 골라 주세요."), format!("Choose 1 to {most} seats."))
}

/// Seats of the hall, each once and not too many, ascending.
pub fn seats_of(info: &PerformanceInfo, pointer: &str, mut seats: Vec<SeatIndex>) -> Result<Vec<SeatIndex>, ApiError> {
    let most = info.limits.hold_seats_max as usize;
    if seats.len() > most {
        return Err(ApiError::field(pointer, seat_count(most)));
    }
    check_in_hall(info, pointer, &seats)?;
    seats.sort_unstable();
    if seats.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return Err(ApiError::field(pointer, ("같은 좌석을 두 번 골랐어요.", "A seat is named twice.")));
    }
    Ok(seats)
}

/// Refuses a seat that the hall does not have, naming its place in the request.
pub fn check_in_hall(info: &PerformanceInfo, pointer: &str, seats: &[SeatIndex]) -> Result<(), ApiError> {
    match seats.iter().position(|&i| info.map.seat(i).is_none()) {
        Some(k) => Err(ApiError::field(
            format!("{pointer}/{k}"),
            ("이 공연장에 없는 좌석이에요.", "The hall has no such seat."),
        )),
        None => Ok(()),
    }
}

/// The performance of a hold that is, or was a short time ago.
pub async fn performance_of(app: &Parts, hold: HoldId) -> Result<Arc<PerformanceInfo>, ApiError> {
    performance(app, app.seats.performance_of(hold).await?.ok_or(Code::NotFound)?).await
}

/// Holds what is wanted. Where that is not allowed now, what the key was answered before still is its answer.
pub async fn hold(
    app: &Parts,
    info: &PerformanceInfo,
    wanted: Wanted,
    request: seat_book::HoldRequest,
) -> Result<seat_book::Hold, ApiError> {
    let (id, user, p) = (request.id, request.user, info.summary.id);
    let allowed = async {
        check_sale(info, app.now())?;
        event_limit::count(app, info, user, id, wanted.seats(), request.ttl_ms).await
    };
    if let Err(refusal) = allowed.await {
        return answered_or(app, p, user, &request.key, &request.digest, refusal).await;
    }
    let held = take(app, info, wanted, request).await;
    let is_new = match &held {
        Ok(hold) => hold.id == id,
        // Where it is not known what became of it, the count ends by itself.
        Err(e) => matches!(e.code, Code::Unavailable | Code::Internal),
    };
    if !is_new {
        event_limit::uncount(app, info, user, id).await?;
    }
    held
}

/// What a key was answered before; else the refusal.
async fn answered_or(
    app: &Parts,
    performance: PerformanceId,
    user: UserId,
    key: &str,
    digest: &str,
    refusal: ApiError,
) -> Result<seat_book::Hold, ApiError> {
    match crate::on_seats!(app, performance, app.seats.answered(performance, user, key, digest))? {
        Some(Ok(hold)) => Ok(hold),
        Some(Err(_)) => Err(Code::IdempotencyKeyReused.into()),
        None => Err(refusal),
    }
}

/// Takes what is wanted. All who want the best seats want the same ones, so they go one after the other here; who is faster
/// elsewhere only makes them look again.
async fn take(
    app: &Parts,
    info: &PerformanceInfo,
    wanted: Wanted,
    request: seat_book::HoldRequest,
) -> Result<seat_book::Hold, ApiError> {
    let (grade, count) = match wanted {
        Wanted::Exactly(seats) => return try_take(app, info, seat_book::HoldRequest { seats, ..request }).await,
        Wanted::Best(grade, count) => (grade, count),
    };
    let _alone = app.gates.alone(info.summary.id).await?;
    for _ in 0..BEST_TRIES_MAX {
        let snapshot = current(app, info).await?;
        let is_free = |i: SeatIndex| snapshot.seats.get(i as usize) == Some(&SeatState::Available);
        // Nothing side by side: asking for no seats still finds the answer this key got before.
        let seats = info.map.best_adjacent(&grade, count, is_free).unwrap_or_default();
        match try_take(app, info, seat_book::HoldRequest { seats, ..request.clone() }).await {
            Err(e) if e.code == Code::SeatsTaken => {}
            other => return other,
        }
    }
    Err(overload::refused())
}

async fn try_take(
    app: &Parts,
    info: &PerformanceInfo,
    request: seat_book::HoldRequest,
) -> Result<seat_book::Hold, ApiError> {
    let id = info.summary.id;
    let seats = request.seats.clone();
    let held = if was_taken(app, id, &seats) {
        crate::on_seats!(app, id, app.seats.hold_doubtful(id, request.clone()))?
    } else {
        crate::on_seats!(app, id, app.seats.hold(id, request.clone()))?
    };
    match held {
        Ok(hold) => Ok(hold),
        Err(seat_book::HoldRefusal::NoSuchSeat) if seats.is_empty() => Err(Code::NoAdjacentSeats.into()),
        Err(refusal) => Err(refused(app, info, &seats, refusal).await),
    }
}

/// Exchanges seats of a hold.
pub async fn swap(
    app: &Parts,
    info: &PerformanceInfo,
    request: seat_book::SwapRequest,
) -> Result<seat_book::Hold, ApiError> {
    let (id, user) = (info.summary.id, request.user);
    let before = if event_limit::binds(info) { app.seats.find_hold(request.hold).await? } else { None };
    let before = before.map(|(_, hold)| hold).filter(|hold| hold.user == user && hold.order.is_none());
    let allowed = async {
        check_sale(info, app.now())?;
        let Some(hold) = &before else { return Ok(()) };
        let after = (hold.seats.len() + request.take.len()).saturating_sub(request.give.len());
        let left_ms = hold.until.as_millis() - app.now().as_millis();
        event_limit::count(app, info, user, hold.id, after, left_ms).await
    };
    if let Err(refusal) = allowed.await {
        if let Some(hold) = &before {
            event_limit::recount(app, info, hold).await?;
        }
        return answered_or(app, id, user, &request.key, &request.digest, refusal).await;
    }
    let take = request.take.clone();
    let swapped = match crate::on_seats!(app, id, app.seats.swap(id, request.clone()))? {
        Ok(hold) => Ok(hold),
        Err(seat_book::SwapRefusal::Gone(gone)) => Err(is_gone(gone)),
        Err(seat_book::SwapRefusal::NotHeld(_)) => {
            Err(ApiError::field("/give", ("잡아 둔 좌석이 아니에요.", "These seats are not in the hold.")))
        }
        Err(seat_book::SwapRefusal::Seats(seat_book::HoldRefusal::NoSuchSeat)) => {
            Err(ApiError::field("/take", ("좌석이 하나는 남아야 해요.", "One seat at least has to stay.")))
        }
        Err(seat_book::SwapRefusal::Seats(refusal)) => Err(refused(app, info, &take, refusal).await),
    };
    if let (Err(_), Some(hold)) = (&swapped, &before) {
        event_limit::recount(app, info, hold).await?;
    }
    swapped
}

/// Puts the end of a hold off, once.
pub async fn extend(
    app: &Parts,
    info: &PerformanceInfo,
    request: seat_book::ExtendRequest,
) -> Result<seat_book::Hold, ApiError> {
    let id = info.summary.id;
    if let Err(refusal) = check_sale(info, app.now()) {
        return answered_or(app, id, request.user, &request.key, &request.digest, refusal).await;
    }
    let hold = match crate::on_seats!(app, id, app.seats.extend(id, request.clone()))? {
        Ok(hold) => hold,
        Err(seat_book::ExtendRefusal::Gone(gone)) => return Err(is_gone(gone)),
        Err(seat_book::ExtendRefusal::Already) => return Err(Code::HoldExtended.into()),
        Err(seat_book::ExtendRefusal::KeyReused) => return Err(Code::IdempotencyKeyReused.into()),
    };
    event_limit::recount(app, info, &hold).await?;
    Ok(hold)
}

/// Gives a hold back.
pub async fn release(app: &Parts, info: &PerformanceInfo, request: seat_book::ReleaseRequest) -> Result<(), ApiError> {
    let (id, user, hold) = (info.summary.id, request.user, request.hold);
    match crate::on_seats!(app, id, app.seats.release(id, request.clone()))? {
        Ok(()) => event_limit::uncount(app, info, user, hold).await,
        Err(seat_book::ReleaseRefusal::Gone(gone)) => Err(is_gone(gone)),
        Err(seat_book::ReleaseRefusal::KeyReused) => Err(Code::IdempotencyKeyReused.into()),
    }
}

/// What a hold that is not there, or no hold any more, is told as.
pub fn is_gone(gone: seat_book::HoldGone) -> ApiError {
    match gone {
        seat_book::HoldGone::NotFound => Code::NotFound.into(),
        seat_book::HoldGone::Ordered(_) => Code::OrderState.into(),
    }
}

/// Why seats are not held, with the nearest that could be.
async fn refused(
    app: &Parts,
    info: &PerformanceInfo,
    wanted: &[SeatIndex],
    refusal: seat_book::HoldRefusal,
) -> ApiError {
    match refusal {
        seat_book::HoldRefusal::Taken(seats) => {
            // The refusal stands without it.
            let free = recently_free(app, info).await.ok().flatten();
            let alternative = free.and_then(|free| nearest_alternative(&info.map, wanted, &free));
            ApiError {
                seats: describe(info, &seats),
                alternative: describe(info, &alternative.unwrap_or_default()),
                ..Code::SeatsTaken.into()
            }
        }
        seat_book::HoldRefusal::OverLimit => Code::SeatLimit.into(),
        seat_book::HoldRefusal::KeyReused => Code::IdempotencyKeyReused.into(),
        seat_book::HoldRefusal::NoSuchSeat => ApiError::internal("a seat of the hall is not in the book"),
    }
}

/// Seats with what they are called and cost.
pub fn describe(info: &PerformanceInfo, seats: &[SeatIndex]) -> Vec<SeatInfo> {
    let seats = seats.iter().filter_map(|&i| info.map.seat(i));
    seats
        .map(|s| SeatInfo {
            index: s.index,
            label: s.label(),
            grade: s.grade.grade.clone(),
            price_krw: s.grade.price_krw,
        })
        .collect()
}

/// The seat of a ticket. The price at issue is the face value, whatever the event says now.
pub fn ticketed_seat(info: &PerformanceInfo, seat: SeatIndex, price: Krw) -> Result<SeatInfo, ApiError> {
    let seat = describe(info, &[seat]).pop().ok_or_else(|| ApiError::internal("a ticket's seat is not in the hall"))?;
    Ok(SeatInfo { price_krw: price, ..seat })
}

/// What the seats cost together. Bounded by the hold's size and the highest price, so it fits.
pub fn total(seats: &[SeatInfo]) -> Result<Krw, ApiError> {
    Krw::checked_sum(seats.iter().map(|s| s.price_krw))
        .ok_or_else(|| ApiError::internal("a sum of prices does not fit"))
}

/// A performance as orders and tickets show it.
pub fn reference(info: &PerformanceInfo) -> PerformanceRef {
    PerformanceRef { id: info.summary.id, starts_at: info.summary.starts_at, event: info.event.clone() }
}

/// A hold as sent to its owner.
pub fn to_api(info: &PerformanceInfo, hold: &seat_book::Hold) -> Result<Hold, ApiError> {
    let seats = describe(info, &hold.seats);
    Ok(Hold {
        id: hold.id,
        performance: reference(info),
        total_krw: total(&seats)?,
        seats,
        expires_at: hold.until,
        extended: hold.extended,
        fence: hold.fence,
    })
}
