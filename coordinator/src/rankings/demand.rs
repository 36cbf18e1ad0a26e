//! Tells searches what is in demand: the week's ranking of events, in steps, as a number of each event.
//!
//! Any replica may do it, any number of times: all read the same ranking, and what is so already is not written. Steps are
//! those of a logarithm, so an event's number changes when its score has changed by half, and the index is not built anew
//! for each vote.

use std::{collections::HashMap, time::Duration};

use nugul_domain::{
    EventId,
    ranking::{Kind, Window},
};
use sqlx::Row;

use super::service::away;
use crate::{
    app::{App, Parts},
    catalogue::store,
    error::ApiError,
    rounds,
    search::feed,
};

/// How often.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Tells of it until the process stops.
pub async fn follow(app: App) {
    rounds::every(app, LOOK_EVERY, "searches could not be told what is in demand", |app| async move {
        pass(&app).await.map(drop)
    })
    .await;
}

/// One look. Returns how many events changed.
pub async fn pass(app: &Parts) -> Result<usize, ApiError> {
    let now = app.now();
    let standing = app.rankings.standing(Kind::Events, Window::Week, now).await.map_err(|e| away(&e))?;
    let mut wanted: HashMap<EventId, i64> = HashMap::with_capacity(standing.now.len());
    for (subject, score) in &standing.now {
        let demand = score.demand(Window::Week, now);
        if let (Ok(event), 1..) = (subject.parse(), demand) {
            wanted.insert(event, demand.into());
        }
    }
    let mut told = HashMap::new();
    for row in sqlx::query("SELECT id, demand FROM events WHERE demand > 0").fetch_all(app.db.pool()).await? {
        told.insert(EventId::from_bytes(&row.try_get::<Vec<u8>, _>("id")?)?, row.try_get::<i64, _>("demand")?);
    }
    let faded = told.keys().filter(|event| !wanted.contains_key(event)).map(|event| (*event, 0));
    let changed = wanted.iter().map(|(event, demand)| (*event, *demand));
    let mut changes: Vec<(EventId, i64)> =
        changed.filter(|(event, demand)| told.get(event) != Some(demand)).chain(faded).collect();
    if changes.is_empty() {
        return Ok(0);
    }
    // In one order everywhere: two replicas wait for each other, and neither for both.
    changes.sort_unstable();
    let mut tx = app.db.begin_write().await?;
    let mut done = 0;
    for (event, demand) in changes {
        let changed = sqlx::query("UPDATE events SET demand = ? WHERE id = ? AND demand <> ?")
            .bind(demand)
            .bind(event.to_bytes())
            .bind(demand)
            .execute(&mut *tx)
            .await?;
        // What is ranked may be no event of ours.
        if changed.rows_affected() > 0 {
            feed::put(app, &mut tx, event).await?;
            done += 1;
        }
    }
    if done > 0 {
        store::mark_changed(&mut tx).await?;
    }
    tx.commit().await?;
    feed::ring(app);
    Ok(done)
}
