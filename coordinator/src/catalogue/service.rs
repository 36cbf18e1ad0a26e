//! What sellers may say of events, and how performances are looked up.

use std::sync::{Arc, PoisonError};

use nugul_api::{
    Code,
    catalogue::{Event, EventSummary, NewEvent, PerformanceSummary},
};
use nugul_domain::{
    EventId, PerformanceId, SeatMap, Timestamp, account::Role, event as bounds, seat_map::SeatMapError,
    time::parse_date,
};

use super::store::{self, PerformanceInfo};
use crate::{app::Parts, error::ApiError, extract::Auth};

/// How long a performance in memory is believed, in milliseconds.
pub const FRESH_MS: i64 = 5_000;
/// Performances remembered; the memory is emptied when full, for they are cheap to look up again.
const REMEMBERED_MAX: usize = 20_000;

/// What is said of a text that is no date.
const NO_DATE: (&str, &str) = ("YYYY-MM-DD 날짜가 아니에요.", "This is not a date as YYYY-MM-DD.");

/// Checks a new event and makes it. The error names the field at fault.
pub fn new_event(id: EventId, e: NewEvent) -> Result<Event, ApiError> {
    let text = |pointer: &str, value: &str, max: usize| -> Result<String, ApiError> {
        let value = value.trim();
        if value.is_empty() || value.chars().count() > max || value.chars().any(char::is_control) {
            return Err(ApiError::field(
                pointer,
                (format!("1–{max}자로 적어 주세요."), format!("1 to {max} characters.")),
            ));
        }
        Ok(value.to_owned())
    };
    let summary = EventSummary {
        id,
        title: text("/title", &e.title, bounds::TITLE_CHARS_MAX)?,
        category: text("/category", &e.category, bounds::LABEL_CHARS_MAX)?,
        place: text("/place", &e.place, bounds::LABEL_CHARS_MAX)?,
        starts_on: e.starts_on,
        ends_on: e.ends_on,
    };
    let first = parse_date(&summary.starts_on).ok_or_else(|| ApiError::field("/starts_on", NO_DATE))?;
    let last = parse_date(&summary.ends_on).ok_or_else(|| ApiError::field("/ends_on", NO_DATE))?;
    if last < first {
        return Err(ApiError::field("/ends_on", ("시작일보다 빠를 수 없어요.", "It cannot be before the first day.")));
    }
    let title_en = e.title_en.map(|title| text("/title_en", &title, bounds::TITLE_CHARS_MAX)).transpose()?;
    if e.cast.len() > bounds::CAST_MAX {
        return Err(ApiError::field(
            "/cast",
            (
                format!("출연진은 {}명까지 적을 수 있어요.", bounds::CAST_MAX),
                format!("At most {} names.", bounds::CAST_MAX),
            ),
        ));
    }
    let mut cast = Vec::with_capacity(e.cast.len());
    for (i, name) in e.cast.iter().enumerate() {
        let name = text(&format!("/cast/{i}"), name, bounds::LABEL_CHARS_MAX)?;
        if cast.contains(&name) {
            return Err(ApiError::field(
                format!("/cast/{i}"),
                ("같은 이름을 두 번 적을 수 없어요.", "No name can be given twice."),
            ));
        }
        cast.push(name);
    }
    if e.description.chars().count() > bounds::DESCRIPTION_CHARS_MAX {
        return Err(ApiError::field(
            "/description",
            (
                format!("{}자까지 적을 수 있어요.", bounds::DESCRIPTION_CHARS_MAX),
                format!("At most {} characters.", bounds::DESCRIPTION_CHARS_MAX),
            ),
        ));
    }
    if !(1..=bounds::RUNTIME_MIN_MAX).contains(&e.runtime_min) {
        return Err(ApiError::field(
            "/runtime_min",
            (
                format!("1–{}분이어야 해요.", bounds::RUNTIME_MIN_MAX),
                format!("1 to {} minutes.", bounds::RUNTIME_MIN_MAX),
            ),
        ));
    }
    let rating = text("/rating", &e.rating, bounds::LABEL_CHARS_MAX)?;
    let map = SeatMap::new(e.grades).map_err(grade_error)?;
    if let Some(name) = e.limits.fault() {
        return Err(ApiError::field(
            format!("/limits/{name}"),
            (
                format!("1–{}석이어야 해요.", bounds::BUYER_SEATS_MAX),
                format!("1 to {} seats.", bounds::BUYER_SEATS_MAX),
            ),
        ));
    }
    Ok(Event {
        summary,
        title_en,
        cast,
        description: e.description,
        runtime_min: e.runtime_min,
        rating,
        grades: map.grades().to_vec(),
        limits: e.limits,
        members_only: e.members_only,
        performances: Vec::new(),
    })
}

fn grade_error(e: SeatMapError) -> ApiError {
    let (pointer, detail) = match e {
        SeatMapError::GradeCount => ("/grades".into(), ("등급은 1–12개여야 해요.", "1 to 12 grades.")),
        SeatMapError::TooManySeats => {
            ("/grades".into(), ("좌석은 모두 60,000석까지예요.", "At most 60,000 seats in all."))
        }
        SeatMapError::Name(i) => (
            format!("/grades/{i}/grade"),
            ("등급 이름은 서로 다르게 1–20자로 적어 주세요.", "1 to 20 characters, and no name twice."),
        ),
        SeatMapError::Price(i) => {
            (format!("/grades/{i}/price_krw"), ("가격은 0–10,000,000원이어야 해요.", "0 to 10,000,000 won."))
        }
        SeatMapError::Rows(i) => (format!("/grades/{i}/rows"), ("열은 1–400개여야 해요.", "1 to 400 rows.")),
        SeatMapError::SeatsPerRow(i) => {
            (format!("/grades/{i}/seats_per_row"), ("한 열의 좌석은 1–400개여야 해요.", "1 to 400 seats in a row."))
        }
    };
    ApiError::field(pointer, detail)
}

/// Whether a performance may begin then: on a day of the event's run.
pub fn check_performance_time(event: &Event, starts_at: Timestamp) -> Result<(), ApiError> {
    let day = starts_at.seoul_date();
    let within = event.summary.starts_on <= day && day <= event.summary.ends_on;
    if within {
        Ok(())
    } else {
        Err(ApiError::field("/starts_at", ("공연 기간 안의 시각이어야 해요.", "It has to be within the event's run.")))
    }
}

/// Whether the sales window is one: it opens before it closes, and closes by the time the performance begins.
pub fn check_window(p: &PerformanceSummary) -> Result<(), ApiError> {
    if p.sales_close_at > p.starts_at {
        return Err(ApiError::field(
            "/sales_close_at",
            ("공연이 시작하기 전이어야 해요.", "Sales close by the time the performance begins."),
        ));
    }
    if p.sales_open_at >= p.sales_close_at {
        return Err(ApiError::field(
            "/sales_open_at",
            ("판매가 끝나기 전이어야 해요.", "Sales open before they close."),
        ));
    }
    Ok(())
}

/// A performance, from memory where it was looked up within [`FRESH_MS`]. What must not be late by that much (a
/// cancellation, for an order) is asked of SQL in the transaction that relies on it.
pub async fn performance(app: &Parts, id: PerformanceId) -> Result<Arc<PerformanceInfo>, ApiError> {
    let now = app.now();
    // Each step on the memory is one call: a panic elsewhere leaves it whole.
    if let Some(known) = app.performances.read().unwrap_or_else(PoisonError::into_inner).get(&id)
        && now < known.looked_up.plus_ms(FRESH_MS)
    {
        return Ok(known.info.clone());
    }
    // One request looks it up again; the others go on with what is known.
    if let Some(known) = app.performances.write().unwrap_or_else(PoisonError::into_inner).get_mut(&id) {
        if now < known.looked_up.plus_ms(FRESH_MS) {
            return Ok(known.info.clone());
        }
        known.looked_up = now;
    }
    let info = Arc::new(store::performance_info(&app.db, id).await?.ok_or(Code::NotFound)?);
    let mut known = app.performances.write().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= REMEMBERED_MAX {
        known.clear();
    }
    known.insert(id, Known { info: info.clone(), looked_up: now });
    Ok(info)
}

/// Forgets a performance that was just changed, so that this process shows it as it is.
pub fn forget_performance(app: &Parts, id: PerformanceId) {
    app.performances.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
}

/// A performance in memory.
pub struct Known {
    info: Arc<PerformanceInfo>,
    looked_up: Timestamp,
}

/// A performance, if this is its organiser or an admin; to others it is not there.
pub async fn run_by(app: &Parts, auth: &Auth, id: PerformanceId) -> Result<Arc<PerformanceInfo>, ApiError> {
    if !auth.0.role.may_sell() {
        return Err(Code::Forbidden.into());
    }
    let info = performance(app, id).await?;
    let is_admin = auth.0.role == Role::Admin;
    if is_admin || store::seller_of(&app.db, info.event.id).await? == Some(auth.user()) {
        Ok(info)
    } else {
        Err(Code::NotFound.into())
    }
}
