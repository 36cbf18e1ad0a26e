//! How many seats a buyer has ordered or bought, counted in SQL so that no number of parallel requests gets past a limit.

use std::collections::{BTreeMap, BTreeSet};

use nugul_api::Code;
use nugul_domain::{EventId, PerformanceId, UserId, event::BuyerLimits};
use sqlx::{AssertSqlSafe, Row};

use crate::{
    db::{Db, Tx, marks, padded, pieces, rows},
    error::ApiError,
};

/// Whose seats of what.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// The buyer.
    pub user: UserId,
    /// The event.
    pub event: EventId,
    /// Its performance.
    pub performance: PerformanceId,
}

/// Counts seats more for buyers of one performance; refused where one of them would have more than the performance's or the
/// event's limit. Whoever counts for the same buyer meanwhile waits until the transaction ends.
pub async fn take(db: &Db, tx: &mut Tx, wanted: &[(Account, usize)], limits: &BuyerLimits) -> Result<(), ApiError> {
    // In the order of locks, each buyer's count of a scope once.
    let mut more: BTreeMap<(Vec<u8>, Vec<u8>), (i64, i64)> = BTreeMap::new();
    for (a, seats) in wanted {
        let seats = i64::try_from(*seats).map_err(ApiError::internal)?;
        for (scope, limit) in
            [(a.event.to_bytes(), limits.event_seats_max), (a.performance.to_bytes(), limits.performance_seats_max)]
        {
            more.entry((scope, a.user.to_bytes())).or_insert((0, i64::from(limit))).0 += seats;
        }
    }
    let raise = db.either(
        "ON DUPLICATE KEY UPDATE seats = seats + VALUES(seats)",
        "ON CONFLICT (scope, user_id) DO UPDATE SET seats = seats + excluded.seats",
    );
    for piece in pieces(&more.iter().collect::<Vec<_>>()) {
        let sql = format!("INSERT INTO buyer_seats (scope, user_id, seats) VALUES {} {raise}", rows(piece.len(), 3));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for ((scope, user), (seats, _)) in piece {
            query = query.bind(scope.clone()).bind(user.clone()).bind(*seats);
        }
        query.execute(&mut **tx).await?;
    }
    // Scopes are few; whose counts of them were not raised may be read along.
    let scopes: BTreeSet<_> = more.keys().map(|(scope, _)| scope).collect();
    let users: BTreeSet<_> = more.keys().map(|(_, user)| user).collect();
    let users = padded(&users.into_iter().collect::<Vec<_>>());
    let look = format!(
        "SELECT scope, user_id, seats FROM buyer_seats WHERE scope IN {} AND user_id IN {}",
        marks(scopes.len()),
        marks(users.len())
    );
    let query = sqlx::query(AssertSqlSafe(look));
    let query = scopes.into_iter().chain(users).fold(query, |query, id| query.bind(id.clone()));
    for row in query.fetch_all(&mut **tx).await? {
        let whose = (row.try_get("scope")?, row.try_get("user_id")?);
        let seats: i64 = row.try_get("seats")?;
        if more.get(&whose).is_some_and(|(_, limit)| seats > *limit) {
            return Err(Code::SeatLimit.into());
        }
    }
    Ok(())
}

/// How many seats a buyer has ordered and bought in an event.
pub async fn of_event(db: &Db, event: EventId, user: UserId) -> Result<usize, ApiError> {
    let row = sqlx::query("SELECT seats FROM buyer_seats WHERE scope = ? AND user_id = ?")
        .bind(event.to_bytes())
        .bind(user.to_bytes())
        .fetch_optional(db.pool())
        .await?;
    let seats: i64 = row.map_or(Ok(0), |row| row.try_get("seats"))?;
    usize::try_from(seats).map_err(ApiError::internal)
}

/// Counts `seats` fewer.
pub async fn give_back(tx: &mut Tx, a: &Account, seats: usize) -> Result<(), ApiError> {
    sqlx::query("UPDATE buyer_seats SET seats = seats - ? WHERE user_id = ? AND (scope = ? OR scope = ?)")
        .bind(i64::try_from(seats).map_err(ApiError::internal)?)
        .bind(a.user.to_bytes())
        .bind(a.event.to_bytes())
        .bind(a.performance.to_bytes())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
