//! Works on jobs, and asks for those that nobody has to ask for: the first version of an index, a comparison every few minutes.

use std::time::Duration;

use nugul_api::search::{NewSearchJob, SearchIndex, SearchJobState, SearchVersionState, SearchWork};
use nugul_domain::Timestamp;

use super::{
    client::Client,
    compare,
    jobs::{self, Held},
    rebuild, versions,
};
use crate::{
    app::{App, Parts},
    error::ApiError,
};

/// How often a job is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often it is made sure that there is something to search: each of so many looks.
const ENSURE_EVERY: u32 = 10;
/// The pause of a job after a failure, in milliseconds.
const PAUSE_MS: i64 = 1_000;
/// Failures in a row before a job gives up.
const ATTEMPTS_MAX: i64 = 300;
/// How long after a build of its own accord the next may begin, in milliseconds.
const BUILD_AGAIN_AFTER_MS: i64 = 30_000;

/// How a piece of a job ended.
#[derive(Debug)]
pub enum Fault {
    /// It may be better later: the engine or the database is away.
    Later(ApiError),
    /// It will not be better: the reason.
    Final(String),
}

impl<E: Into<ApiError>> From<E> for Fault {
    fn from(e: E) -> Self {
        Self::Later(e.into())
    }
}

/// Works until the process stops.
pub async fn carry_out(app: App) {
    let Some(client) = &app.search.client else { return };
    let mut stopping = app.stopping.clone();
    let mut looks = 0_u32;
    loop {
        let worked = tokio::select! {
            worked = pass(&app, client) => worked,
            // A job can be left anywhere: its lease ends.
            _ = stopping.changed() => return,
        };
        match worked {
            // What is to be asked for next may have waited for this job.
            Ok(true) => {
                looks = 0;
                continue;
            }
            Ok(false) => {
                if looks.is_multiple_of(ENSURE_EVERY)
                    && let Err(e) = ensure(&app, client).await
                {
                    tracing::warn!(context = e.context, "the full-text indexes could not be looked after");
                }
                looks = looks.wrapping_add(1);
            }
            Err(e) => tracing::warn!(context = e.context, "a job of the full-text indexes was interrupted"),
        }
        tokio::select! {
            () = app.search.job_begun.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stopping.changed() => return,
        }
    }
}

/// Works on the running job, where there is one that nobody else works on. False where there is none.
pub async fn pass(app: &Parts, client: &Client) -> Result<bool, ApiError> {
    let Some(mut held) = jobs::take(app).await? else { return Ok(false) };
    let worked = match held.job.job.work {
        SearchWork::Compare => compare::run(app, client, &mut held).await,
        SearchWork::Reindex | SearchWork::WayBack => rebuild::run(app, client, &mut held).await,
    };
    let job = held.job.job.clone();
    match worked {
        Ok(()) => {
            tracing::info!(work = ?job.work, index = ?job.index, done = job.done, missing = job.missing, outdated = job.outdated,
                surplus = job.surplus, "a job of the full-text indexes is done");
            held.finish(app, None).await?;
        }
        Err(Fault::Later(e)) if held.job.attempts < ATTEMPTS_MAX => {
            let at = app.now().plus_ms(PAUSE_MS);
            held.put_off(app, at).await?;
            return Err(e);
        }
        Err(fault) => {
            let reason = match fault {
                Fault::Final(reason) => reason,
                Fault::Later(e) => e.context.unwrap_or_else(|| e.code.as_str().to_owned()),
            };
            tracing::warn!(work = ?job.work, index = ?job.index, reason, "a job of the full-text indexes failed");
            give_up(app, client, held, &reason).await?;
        }
    }
    Ok(true)
}

/// Removes what a failed job built; searches go on as before it.
async fn give_up(app: &Parts, client: &Client, held: Held, reason: &str) -> Result<(), ApiError> {
    let kind = held.job.job.index;
    held.finish(app, Some(reason)).await?;
    if let Some(version) = versions::find(&app.db, kind, SearchVersionState::Building).await? {
        versions::forget(&app.db, kind, version).await?;
        client.delete(&client.index(kind, version)).await?;
    }
    Ok(())
}

/// Asks for what is missing: a version to search, a comparison that is due. Refused where a job runs already.
pub async fn ensure(app: &Parts, client: &Client) -> Result<(), ApiError> {
    for index in [SearchIndex::Events, SearchIndex::Listings] {
        let old = |at: Option<Timestamp>, after_ms: i64| at.is_none_or(|at| at.plus_ms(after_ms) <= app.now());
        let live = versions::find(&app.db, index, SearchVersionState::Live).await?;
        if live.is_none() || client.behind_alias(index).await?.is_none() {
            let begun = jobs::last_begun(&app.db, SearchWork::Reindex, index, None).await?;
            if old(begun, BUILD_AGAIN_AFTER_MS) {
                ask(app, NewSearchJob { work: SearchWork::Reindex, index }).await?;
            }
            continue;
        }
        let compared = jobs::last_begun(&app.db, SearchWork::Compare, index, Some(SearchJobState::Done)).await?;
        if index == SearchIndex::Events && old(compared, app.config.search_compare_ms) {
            ask(app, NewSearchJob { work: SearchWork::Compare, index }).await?;
        }
    }
    Ok(())
}

async fn ask(app: &Parts, new: NewSearchJob) -> Result<(), ApiError> {
    let mut tx = app.db.begin_write().await?;
    match jobs::insert(app, &mut tx, new).await {
        Ok(_) => {
            tx.commit().await?;
            app.search.job_begun.notify_one();
            Ok(())
        }
        Err(e) if e.code == nugul_api::Code::SearchJobRunning => Ok(()),
        Err(e) => Err(e),
    }
}
