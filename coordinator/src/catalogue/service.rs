//! What sellers may say of events, and how performances are looked up.

use std::sync::Arc;

use nugul_api::{
    Code,
    catalogue::{Event, EventSummary, NewEvent},
};
use nugul_domain::{
    EventId, PerformanceId, SeatMap, Timestamp, event as bounds, seat_map::SeatMapError, time::parse_date,
};

use super::store::{self, PerformanceInfo};
use crate::{app::Parts, error::ApiError};

/// Performances remembered; the memory is emptied when full, for they are cheap to look up again.
const REMEMBERED_MAX: usize = 20_000;

/// Checks a new event and makes it. The error names the field at fault.
pub fn new_event(id: EventId, e: NewEvent) -> Result<Event, ApiError> {
    let text = |pointer: &str, value: &str, max: usize| -> Result<String, ApiError> {
        let value = value.trim();
        if value.is_empty() || value.chars().count() > max || value.chars().any(char::is_control) {
            return Err(ApiError::field(pointer, format!("1–{max}자로 적어 주세요.")));
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
    let first =
        parse_date(&summary.starts_on).ok_or_else(|| ApiError::field("/starts_on", "YYYY-MM-DD 날짜가 아니에요."))?;
    let last =
        parse_date(&summary.ends_on).ok_or_else(|| ApiError::field("/ends_on", "YYYY-MM-DD 날짜가 아니에요."))?;
    if last < first {
        return Err(ApiError::field("/ends_on", "시작일보다 빠를 수 없어요."));
    }
    if e.description.chars().count() > bounds::DESCRIPTION_CHARS_MAX {
        return Err(ApiError::field(
            "/description",
            format!("{}자까지 적을 수 있어요.", bounds::DESCRIPTION_CHARS_MAX),
        ));
    }
    if !(1..=bounds::RUNTIME_MIN_MAX).contains(&e.runtime_min) {
        return Err(ApiError::field("/runtime_min", format!("1–{}분이어야 해요.", bounds::RUNTIME_MIN_MAX)));
    }
    let rating = text("/rating", &e.rating, bounds::LABEL_CHARS_MAX)?;
    let map = SeatMap::new(e.grades).map_err(grade_error)?;
    Ok(Event {
        summary,
        description: e.description,
        runtime_min: e.runtime_min,
        rating,
        grades: map.grades().to_vec(),
        performances: Vec::new(),
    })
}

fn grade_error(e: SeatMapError) -> ApiError {
    let (pointer, detail) = match e {
        SeatMapError::GradeCount => ("/grades".into(), "등급은 1–12개여야 해요."),
        SeatMapError::TooManySeats => ("/grades".into(), "좌석은 모두 60,000석까지예요."),
        SeatMapError::Name(i) => (format!("/grades/{i}/grade"), "등급 이름은 서로 다르게 1–20자로 적어 주세요."),
        SeatMapError::Price(i) => (format!("/grades/{i}/price_krw"), "가격은 0–10,000,000원이어야 해요."),
        SeatMapError::Rows(i) => (format!("/grades/{i}/rows"), "열은 1–400개여야 해요."),
        SeatMapError::SeatsPerRow(i) => (format!("/grades/{i}/seats_per_row"), "한 열의 좌석은 1–400개여야 해요."),
    };
    ApiError::field(pointer, detail)
}

/// Whether a performance may begin then: on a day of the event's run.
pub fn check_performance_time(event: &Event, starts_at: Timestamp) -> Result<(), ApiError> {
    let day = starts_at.seoul_date();
    let within = event.summary.starts_on <= day && day <= event.summary.ends_on;
    if within { Ok(()) } else { Err(ApiError::field("/starts_at", "공연 기간 안의 시각이어야 해요.")) }
}

/// A performance, from memory where it was looked up before.
pub async fn performance(app: &Parts, id: PerformanceId) -> Result<Arc<PerformanceInfo>, ApiError> {
    if let Some(known) = app.performances.read().await.get(&id) {
        return Ok(known.clone());
    }
    let info = Arc::new(store::performance_info(&app.db, id).await?.ok_or(Code::NotFound)?);
    let mut known = app.performances.write().await;
    if known.len() >= REMEMBERED_MAX {
        known.clear();
    }
    known.insert(id, info.clone());
    Ok(info)
}
