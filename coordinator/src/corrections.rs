//! What the comparison of live seats with SQL found and put right, kept for whoever asks why a seat changed.

use axum::{Json, Router, extract::State, routing::get};
use nugul_api::{Page, booking::SeatCorrection};
use nugul_domain::{
    OrderId, PerformanceId, SeatIndex, Timestamp,
    seat_book::{Audit, Correction},
};
use sqlx::Row;

use crate::{
    app::{App, Parts},
    error::ApiError,
    extract::Auth,
    paging::Paging,
};

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new().route("/admin/seat-corrections", get(list))
}

/// Keeps what was found and made of a seat.
pub async fn note(
    app: &Parts,
    id: PerformanceId,
    seat: SeatIndex,
    audit: &Audit,
    sure: &[Correction],
) -> Result<(), ApiError> {
    let found = audit.seats.get(seat as usize).map(|s| format!("{s:?}").to_lowercase()).unwrap_or_default();
    let made = match sure.iter().find(|c| c.seat() == seat) {
        Some(Correction::Claim(claim)) if claim.sold => "sold",
        Some(Correction::Claim(_)) => "held",
        Some(Correction::Block(_)) => "blocked",
        Some(Correction::Free(_)) | None => "available",
    };
    let now = app.now();
    sqlx::query(
        "INSERT INTO seat_corrections (id, performance_id, seat, found, made, corrected_at) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(OrderId::new(app.config.region, now, app.random_id()).to_bytes())
    .bind(id.to_bytes())
    .bind(i64::from(seat))
    .bind(found)
    .bind(made)
    .bind(now.as_millis())
    .execute(app.db.writes())
    .await?;
    Ok(())
}

#[utoipa::path(get, path = "/api/v1/admin/seat-corrections", tag = "admin", responses((status = 200, body = Page<SeatCorrection>)),
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)))]
async fn list(
    State(app): State<App>,
    auth: Auth,
    paging: Result<Paging<OrderId>, ApiError>,
) -> Result<Json<Page<SeatCorrection>>, ApiError> {
    auth.operates()?;
    let paging = paging?;
    let before = paging.cursor.map_or_else(|| vec![0xff; 16], OrderId::to_bytes);
    let rows = sqlx::query(
        "SELECT id, performance_id, seat, found, made, corrected_at FROM seat_corrections WHERE id < ? ORDER BY id DESC LIMIT ?",
    )
    .bind(before)
    .bind(i64::from(paging.to_read()))
    .fetch_all(app.db.pool())
    .await?;
    let read = rows.iter().map(|row| {
        Ok(SeatCorrection {
            id: OrderId::from_bytes(&row.try_get::<Vec<u8>, _>("id")?)?.to_string(),
            performance_id: PerformanceId::from_bytes(&row.try_get::<Vec<u8>, _>("performance_id")?)?,
            seat: SeatIndex::try_from(row.try_get::<i64, _>("seat")?).map_err(ApiError::internal)?,
            found: row.try_get("found")?,
            made: row.try_get("made")?,
            corrected_at: Timestamp::from_millis(row.try_get("corrected_at")?),
        })
    });
    let (items, next_cursor) = paging.cut(read.collect::<Result<_, ApiError>>()?, |c: &SeatCorrection| c.id.clone());
    Ok(Json(Page { items, next_cursor }))
}
