//! Which versions of an index there are. Every one of them is told of every change: the one being built, so that it misses
//! nothing; the one before, so that the way back is one step.

use nugul_api::search::{SearchIndex, SearchVersion, SearchVersionState};
use sqlx::Row;

use super::client::name;
use crate::{
    db::{Db, Tx},
    error::ApiError,
};

/// All versions of all indexes.
pub async fn all(db: &Db) -> Result<Vec<SearchVersion>, ApiError> {
    let rows = sqlx::query("SELECT kind, version, state FROM search_versions ORDER BY kind, version")
        .fetch_all(db.pool())
        .await?;
    rows.iter()
        .map(|row| {
            Ok(SearchVersion {
                index: named(&row.try_get::<String, _>("kind")?)?,
                version: row.try_get("version")?,
                state: named(&row.try_get::<String, _>("state")?)?,
            })
        })
        .collect()
}

/// The versions of one index.
pub async fn of(db: &Db, kind: SearchIndex) -> Result<Vec<SearchVersion>, ApiError> {
    Ok(all(db).await?.into_iter().filter(|v| v.index == kind).collect())
}

/// The version of an index that is used so.
pub async fn find(db: &Db, kind: SearchIndex, state: SearchVersionState) -> Result<Option<i64>, ApiError> {
    Ok(of(db, kind).await?.into_iter().find(|v| v.state == state).map(|v| v.version))
}

/// Notes a version that is being built.
pub async fn insert_building(tx: &mut Tx, kind: SearchIndex, version: i64) -> Result<(), ApiError> {
    sqlx::query("INSERT INTO search_versions (kind, version, state) VALUES (?, ?, 'building')")
        .bind(name(kind))
        .bind(version)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes that a version is the live one now and the one that was is the one before. Repeated, it changes nothing.
pub async fn note_live(tx: &mut Tx, kind: SearchIndex, version: i64) -> Result<(), ApiError> {
    for sql in [
        "UPDATE search_versions SET state = 'previous' WHERE kind = ? AND version <> ? AND state = 'live'",
        "UPDATE search_versions SET state = 'live' WHERE kind = ? AND version = ?",
    ] {
        sqlx::query(sql).bind(name(kind)).bind(version).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Forgets a version; its index is removed by who calls.
pub async fn forget(db: &Db, kind: SearchIndex, version: i64) -> Result<(), ApiError> {
    sqlx::query("DELETE FROM search_versions WHERE kind = ? AND version = ?")
        .bind(name(kind))
        .bind(version)
        .execute(db.writes())
        .await?;
    Ok(())
}

/// A value from its name on the wire, which is also its name in SQL.
pub(super) fn named<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    Ok(serde_json::from_value(serde_json::Value::from(text))?)
}

/// The name on the wire of a value.
pub(super) fn name_of(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        // Only values that are names are given.
        _ => String::new(),
    }
}
