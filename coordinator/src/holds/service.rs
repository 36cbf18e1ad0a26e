//! Which seats a request means, and what is told of those in conflict.

use nugul_api::{
    Code,
    booking::{Hold, NewHold, PerformanceRef, SeatInfo},
};
use nugul_domain::{Krw, PerformanceId, SeatIndex, SeatState, event::HOLD_SEATS_MAX, seat_book};

use crate::{
    app::Parts,
    catalogue::{service::performance, store::PerformanceInfo},
    error::ApiError,
    seats::current,
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

/// Checks a request. Nothing but indexes and a grade's name is taken from it.
pub fn wanted(info: &PerformanceInfo, body: NewHold) -> Result<Wanted, ApiError> {
    match (body.seats, body.best) {
        (Some(mut seats), None) => {
            if seats.is_empty() || seats.len() > HOLD_SEATS_MAX {
                return Err(ApiError::field("/seats", format!("좌석을 1–{HOLD_SEATS_MAX}개 골라 주세요.")));
            }
            if let Some(k) = seats.iter().position(|&i| info.map.seat(i).is_none()) {
                return Err(ApiError::field(format!("/seats/{k}"), "이 공연장에 없는 좌석이에요."));
            }
            seats.sort_unstable();
            if seats.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
                return Err(ApiError::field("/seats", "같은 좌석을 두 번 골랐어요."));
            }
            Ok(Wanted::Exactly(seats))
        }
        (None, Some(best)) => {
            if !(1..=HOLD_SEATS_MAX).contains(&(best.count as usize)) {
                return Err(ApiError::field("/best/count", format!("좌석을 1–{HOLD_SEATS_MAX}개 골라 주세요.")));
            }
            if !info.map.grades().iter().any(|g| g.grade == best.grade) {
                return Err(ApiError::field("/best/grade", "이 공연에 없는 등급이에요."));
            }
            Ok(Wanted::Best(best.grade, best.count))
        }
        _ => Err(ApiError::field("/seats", "seats와 best 가운데 하나만 보내 주세요.")),
    }
}

/// Takes what is wanted; others may be faster, which for the best seats only means looking again.
pub async fn take(
    app: &Parts,
    info: &PerformanceInfo,
    wanted: Wanted,
    request: seat_book::HoldRequest,
) -> Result<seat_book::Hold, ApiError> {
    let (grade, count) = match wanted {
        Wanted::Exactly(seats) => return try_take(app, info, seat_book::HoldRequest { seats, ..request }).await,
        Wanted::Best(grade, count) => (grade, count),
    };
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
    Err(Code::NoAdjacentSeats.into())
}

async fn try_take(
    app: &Parts,
    info: &PerformanceInfo,
    request: seat_book::HoldRequest,
) -> Result<seat_book::Hold, ApiError> {
    let id = info.summary.id;
    match crate::on_seats!(app, id, app.seats.hold(id, request.clone()))? {
        Ok(hold) => Ok(hold),
        Err(seat_book::HoldRefusal::Taken(seats)) => {
            Err(ApiError { seats: describe(info, &seats), ..Code::SeatsTaken.into() })
        }
        Err(seat_book::HoldRefusal::OverLimit) => Err(Code::SeatLimit.into()),
        Err(seat_book::HoldRefusal::KeyReused) => Err(Code::IdempotencyKeyReused.into()),
        Err(seat_book::HoldRefusal::NoSuchSeat) if request.seats.is_empty() => Err(Code::NoAdjacentSeats.into()),
        Err(seat_book::HoldRefusal::NoSuchSeat) => Err(ApiError::internal("a seat of the hall is not in the book")),
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
pub async fn to_api(app: &Parts, id: PerformanceId, hold: &seat_book::Hold) -> Result<Hold, ApiError> {
    let info = performance(app, id).await?;
    let seats = describe(&info, &hold.seats);
    Ok(Hold {
        id: hold.id,
        performance: reference(&info),
        total_krw: total(&seats)?,
        seats,
        expires_at: hold.until,
        fence: hold.fence,
    })
}
