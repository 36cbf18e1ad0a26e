//! Builds the next version of an index beside the live one, or goes back to the one before.
//!
//! From the moment a version is noted as being built it is told of every change (`feed.rs`), so the copy that begins after
//! that misses nothing. Searches move over in one step, and the version they left is kept, and kept up to date.

use std::time::Duration;

use nugul_api::search::{SearchIndex, SearchStep, SearchVersionState, SearchWork};
use nugul_catalog::text::normalise;
use nugul_domain::EventId;
use serde_json::json;
use sqlx::Row;
use tokio::time::Instant;

use super::{
    client::Client,
    document::{self, Document},
    feed,
    jobs::Held,
    keeper::Fault,
    mapping, question, versions,
    words::IndexWords,
};
use crate::{app::Parts, catalogue::words::Known, db::Db, error::ApiError};

/// Events copied before the job keeps how far it is.
const BATCH: usize = 500;
/// Events looked at one by one in the new version.
const SAMPLES: i64 = 50;
/// How often the check is made before it counts as failed: changes go on while it looks.
const CHECKS_MAX: u32 = 3;
/// The pause between two checks.
const CHECK_PAUSE: Duration = Duration::from_millis(500);
/// How long the changes made before the check may take to be told of.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(10);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Works on a job from where it is to its end.
pub async fn run(app: &Parts, client: &Client, held: &mut Held) -> Result<(), Fault> {
    let kind = held.job.job.index;
    loop {
        match held.job.job.step {
            SearchStep::Create => create(app, client, held).await?,
            SearchStep::Copy => copy(app, client, held).await?,
            SearchStep::Check => {
                let version = version(app, held).await?;
                check(app, client, kind, version).await?;
                held.job.job.version = Some(version);
                held.job.job.step = SearchStep::Switch;
            }
            SearchStep::Switch => {
                let version = version(app, held).await?;
                return switch(app, client, kind, version).await;
            }
            SearchStep::Compare => return Err(Fault::Final("a comparison is another kind of job".into())),
        }
        held.keep(app).await?;
    }
}

/// The version the job builds, or goes back to.
async fn version(app: &Parts, held: &Held) -> Result<i64, Fault> {
    let job = &held.job.job;
    if let Some(version) = job.version {
        return Ok(version);
    }
    let previous = match job.work {
        SearchWork::WayBack => versions::find(&app.db, job.index, SearchVersionState::Previous).await?,
        SearchWork::Reindex | SearchWork::Compare => None,
    };
    previous.ok_or_else(|| Fault::Final("there is no version before this one".into()))
}

async fn create(app: &Parts, client: &Client, held: &mut Held) -> Result<(), Fault> {
    let kind = held.job.job.index;
    // Read anew, so that whoever asked is told of a bad line.
    let known = Known::read(app.config.search_words.as_deref()).map_err(Fault::Final)?;
    let words = IndexWords::new(&known.words);
    let known = versions::of(&app.db, kind).await?;
    // What an interrupted job left half built; and where nothing is searched any more, the engine lost what it had.
    let lost = client.behind_alias(kind).await?.is_none();
    for left in known.iter().filter(|v| lost || v.state == SearchVersionState::Building) {
        versions::forget(&app.db, kind, left.version).await?;
        client.delete(&client.index(kind, left.version)).await?;
    }
    let next = known.iter().map(|v| v.version).max().unwrap_or_default() + 1;
    let index = client.index(kind, next);
    // One that nobody noted, of a database that is no more.
    client.delete(&index).await?;
    // A refused word shows here: nothing was changed.
    let refused = |e| match e {
        super::ClientError::Refused { reason, .. } => Fault::Final(reason),
        away @ super::ClientError::Away(_) => Fault::from(away),
    };
    client.put_template(kind, &mapping::template(&words)).await.map_err(refused)?;
    client.create(&index).await.map_err(refused)?;
    let mut tx = app.db.begin_write().await?;
    versions::insert_building(&mut tx, kind, next).await?;
    tx.commit().await.map_err(ApiError::from)?;
    let total = if kind == SearchIndex::Events { document::count(&app.db).await? } else { 0 };
    let job = &mut held.job.job;
    (job.version, job.total, job.step) = (Some(next), total, SearchStep::Copy);
    Ok(())
}

/// One batch; the step ends with the last.
async fn copy(app: &Parts, client: &Client, held: &mut Held) -> Result<(), Fault> {
    let job = &mut held.job;
    let ids = match job.job.index {
        SearchIndex::Events => document::ids_after(&app.db, job.last, BATCH).await?,
        // No ticket can be offered for transfer yet.
        SearchIndex::Listings => Vec::new(),
    };
    let Some(last) = ids.last() else {
        job.job.step = SearchStep::Check;
        return Ok(());
    };
    let index = client.index(job.job.index, job.job.version.unwrap_or_default());
    let refused = feed::write(client, &[index], &document::of(app, &ids).await?).await?;
    if let Some((id, reason)) = refused.first_key_value() {
        return Err(Fault::Final(format!("event {id} is refused: {reason}")));
    }
    job.job.done += i64::try_from(ids.len()).unwrap_or_default();
    job.job.total = job.job.total.max(job.job.done);
    job.last = Some(*last);
    Ok(())
}

/// Whether a version has everything: as many documents as there are events, and of some the same content, found by their
/// titles.
async fn check(app: &Parts, client: &Client, kind: SearchIndex, version: i64) -> Result<(), Fault> {
    let index = client.index(kind, version);
    let mut differs = String::new();
    for _ in 0..CHECKS_MAX {
        let before = match kind {
            SearchIndex::Events => document::count(&app.db).await?,
            SearchIndex::Listings => 0,
        };
        caught_up(app).await?;
        client.refresh(&index).await?;
        let there = client.count(&index).await?;
        let after = match kind {
            SearchIndex::Events => document::count(&app.db).await?,
            SearchIndex::Listings => 0,
        };
        let counted = before.min(after) <= there && there <= before.max(after);
        differs = if counted {
            match samples(app, client, kind, &index, there).await? {
                None => return Ok(()),
                Some(what) => what,
            }
        } else {
            format!("{there} documents of {after}")
        };
        tokio::time::sleep(CHECK_PAUSE).await;
    }
    Err(Fault::Final(format!("version {version} was not switched to: {differs}")))
}

/// Waits until the changes made so far were told of.
async fn caught_up(app: &Parts) -> Result<(), Fault> {
    let row = sqlx::query("SELECT MAX(id) AS id FROM search_outbox").fetch_one(app.db.pool()).await;
    let Some(last) = row.and_then(|row| row.try_get::<Option<Vec<u8>>, _>("id")).map_err(ApiError::from)? else {
        return Ok(());
    };
    feed::ring(app);
    let end = Instant::now() + CATCH_UP_WITHIN;
    while owed_until(&app.db, &last).await? > 0 {
        if Instant::now() >= end {
            let why = "changes made before the check were not told of in time";
            return Err(Fault::Later(ApiError::unavailable(why)));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

async fn owed_until(db: &Db, last: &[u8]) -> Result<i64, ApiError> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM search_outbox WHERE id <= ? AND attempts = 0").bind(last.to_vec());
    Ok(row.fetch_one(db.pool()).await?.try_get("n")?)
}

/// What is wrong with the first of some events that is not as it should be.
async fn samples(
    app: &Parts,
    client: &Client,
    kind: SearchIndex,
    index: &str,
    count: i64,
) -> Result<Option<String>, Fault> {
    if kind != SearchIndex::Events {
        return Ok(None);
    }
    let mut ids: Vec<EventId> = Vec::new();
    for n in 0..SAMPLES.min(count) {
        let row = sqlx::query("SELECT id FROM events ORDER BY id LIMIT 1 OFFSET ?")
            .bind(n * count / SAMPLES.min(count))
            .fetch_optional(app.db.pool())
            .await
            .map_err(ApiError::from)?;
        if let Some(row) = row {
            let bytes: Vec<u8> = row.try_get("id").map_err(ApiError::from)?;
            ids.push(EventId::from_bytes(&bytes).map_err(ApiError::from)?);
        }
    }
    for wanted in document::of(app, &ids).await? {
        if let Some(what) = sample(client, index, &wanted).await? {
            return Ok(Some(format!("event {} {what}", wanted.id)));
        }
    }
    Ok(None)
}

async fn sample(client: &Client, index: &str, wanted: &Document) -> Result<Option<&'static str>, Fault> {
    let only = json!({ "ids": { "values": [wanted.id.to_string()] } });
    let body = json!({ "query": only, "_source": ["digest"], "version": true });
    let answer = client.look(index, &body).await?;
    let Some(hit) = answer["hits"]["hits"].as_array().and_then(|hits| hits.first()) else {
        return Ok(Some("is not there"));
    };
    // One that changed since has a higher version and is told of in its turn.
    let newer = hit["_version"].as_i64().is_some_and(|v| v > wanted.version);
    if !newer && hit["_source"]["digest"] != wanted.digest.as_str() {
        return Ok(Some("is not as it is in the database"));
    }
    if normalise(&wanted.title).is_empty() {
        return Ok(None);
    }
    let found = json!({ "bool": { "must": question::text(&wanted.title), "filter": only } });
    let answer = client.look(index, &json!({ "query": found, "size": 1, "_source": false })).await?;
    let found = answer["hits"]["total"]["value"].as_i64().unwrap_or_default() > 0;
    Ok((!found && !newer).then_some("is not found by its title"))
}

/// Moves searches over, and notes it. Interrupted anywhere, it can be repeated.
async fn switch(app: &Parts, client: &Client, kind: SearchIndex, version: i64) -> Result<(), Fault> {
    client.switch(kind, &client.index(kind, version)).await?;
    let before = versions::of(&app.db, kind).await?;
    let old = before.iter().filter(|v| v.state == SearchVersionState::Previous && v.version != version);
    for v in old {
        // With another live version there are two to keep; one alone is already noted as the one before.
        let live = before.iter().find(|v| v.state == SearchVersionState::Live);
        if live.is_some_and(|live| live.version != version) {
            versions::forget(&app.db, kind, v.version).await?;
            client.delete(&client.index(kind, v.version)).await?;
        }
    }
    let mut tx = app.db.begin_write().await?;
    versions::note_live(&mut tx, kind, version).await?;
    tx.commit().await.map_err(ApiError::from)?;
    Ok(())
}
