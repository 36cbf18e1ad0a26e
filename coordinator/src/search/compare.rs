//! Compares the full-text index with the database, document by document, and has put right what differs.
//!
//! Both are read in the order of their ids, a page at a time. A difference that a change on its way explains is none.

use std::collections::BTreeMap;

use nugul_api::search::SearchIndex;
use nugul_domain::EventId;
use serde_json::{Value, json};
use sqlx::Row;

use super::{client::Client, document, feed, jobs::Held, keeper::Fault};
use crate::{app::Parts, error::ApiError};

/// Documents compared before the job keeps how far it is.
const PAGE: usize = 500;
/// Differences named in the log, of each page.
const NAMED_MAX: usize = 10;

/// A document as the index has it.
struct Seen {
    version: i64,
    digest: Option<String>,
    number: i64,
    term: i64,
}

/// Works on a comparison from where it is to its end.
pub async fn run(app: &Parts, client: &Client, held: &mut Held) -> Result<(), Fault> {
    let kind = held.job.job.index;
    if held.job.last.is_none() && kind == SearchIndex::Events {
        held.job.job.total = document::count(&app.db).await?;
    }
    let Some(index) = client.behind_alias(kind).await? else {
        return Err(Fault::Final("there is no version to compare".into()));
    };
    // Listings have no rows in the database yet.
    while kind == SearchIndex::Events && page(app, client, &index, held).await? {
        held.keep(app).await?;
    }
    Ok(())
}

/// Compares one page. False where it was the last.
async fn page(app: &Parts, client: &Client, index: &str, held: &mut Held) -> Result<bool, Fault> {
    client.refresh(index).await?;
    let after = held.job.last;
    let ids = document::ids_after(&app.db, after, PAGE).await?;
    let seen = seen_after(client, index, after).await?;
    // Up to where both pages reach.
    let ends = [(ids.len() == PAGE).then(|| ids.last().copied()), (seen.len() == PAGE).then(|| seen_end(&seen))];
    let end = ends.into_iter().flatten().flatten().min();
    let within = |id: EventId| end.is_none_or(|end| id <= end);
    let ids: Vec<EventId> = ids.into_iter().filter(|id| within(*id)).collect();
    let mut seen = seen;
    seen.retain(|id, _| id.parse().map_or(true, within));

    let (mut missing, mut outdated) = (Vec::new(), Vec::new());
    for wanted in document::of(app, &ids).await? {
        match seen.remove(&wanted.id.to_string()) {
            None => missing.push((wanted.id, 0)),
            Some(s) if s.digest.as_deref() != Some(&wanted.digest) => outdated.push((wanted.id, s.version)),
            Some(_) => {}
        }
    }
    let job = &mut held.job.job;
    for (different, counted) in [(missing, &mut job.missing), (outdated, &mut job.outdated)] {
        for (named, (id, version)) in different.into_iter().enumerate() {
            if is_on_its_way(app, id).await? {
                continue;
            }
            if named < NAMED_MAX {
                tracing::warn!(event = %id, version, "the full-text index differs from the database; it is put right");
            }
            feed::put_again(app, id, version).await?;
            *counted += 1;
        }
    }
    // What is left is of no event. One that was made a moment ago is in the database by now.
    let mut surplus = Vec::new();
    for (id, s) in seen {
        let known = match id.parse::<EventId>() {
            Ok(id) => !document::of(app, &[id]).await?.is_empty(),
            Err(_) => false,
        };
        if !known {
            tracing::warn!(event = id, "the full-text index has an event that the database has not; it is removed");
            surplus.push((id, s.number, s.term));
        }
    }
    job.surplus += i64::try_from(surplus.len()).unwrap_or_default();
    client.remove(index, &surplus).await?;
    feed::ring(app);
    job.done += i64::try_from(ids.len()).unwrap_or_default();
    job.total = job.total.max(job.done);
    held.job.last = end.or(held.job.last);
    Ok(end.is_some())
}

fn seen_end(seen: &BTreeMap<String, Seen>) -> Option<EventId> {
    seen.keys().rev().find_map(|id| id.parse().ok())
}

async fn seen_after(client: &Client, index: &str, after: Option<EventId>) -> Result<BTreeMap<String, Seen>, Fault> {
    let from = after.map_or(json!({ "match_all": {} }), |id| json!({ "range": { "id": { "gt": id.to_string() } } }));
    let body = json!({
        "query": from,
        "size": PAGE,
        "sort": [{ "id": "asc" }],
        "_source": ["digest"],
        "version": true,
        "seq_no_primary_term": true,
    });
    let answer = client.look(index, &body).await?;
    let hits = answer["hits"]["hits"].as_array().into_iter().flatten();
    let number = |hit: &Value, name: &str| hit[name].as_i64().unwrap_or_default();
    Ok(hits
        .map(|hit| {
            let seen = Seen {
                version: number(hit, "_version"),
                digest: hit["_source"]["digest"].as_str().map(str::to_owned),
                number: number(hit, "_seq_no"),
                term: number(hit, "_primary_term"),
            };
            (hit["_id"].as_str().unwrap_or_default().to_owned(), seen)
        })
        .collect())
}

/// Whether a change of the event is still to be told of.
async fn is_on_its_way(app: &Parts, id: EventId) -> Result<bool, ApiError> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM search_outbox WHERE event_id = ? AND attempts = 0")
        .bind(id.to_bytes())
        .fetch_one(app.db.pool())
        .await?;
    Ok(row.try_get::<i64, _>("n")? > 0)
}
