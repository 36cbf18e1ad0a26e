//! Jobs of the full-text indexes in SQL: one at a time, leased to one replica, resumable from what is kept here.

use nugul_api::{
    Code,
    search::{NewSearchJob, SearchIndex, SearchJob, SearchJobState, SearchStep, SearchWork},
};
use nugul_domain::{EventId, SearchJobId, Timestamp};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

use super::versions::{name_of, named};
use crate::{
    app::Parts,
    db::{Db, Tx, is_unique_violation},
    error::ApiError,
};

/// How long a replica may go without a word before another takes its job, in milliseconds: longer than any one step.
pub const LEASE_MS: i64 = 60_000;
/// The most characters of a failure's reason.
const REASON_CHARS_MAX: usize = 390;

const COLUMNS: &str = "id, work, kind, state, step, version, last_id, done, total, missing, outdated, surplus, attempts, reason, \
     begun_at, finished_at";

/// A job as it is worked on.
#[derive(Clone, Debug)]
pub struct Job {
    /// What is shown of it.
    pub job: SearchJob,
    /// The last event that was dealt with.
    pub last: Option<EventId>,
    /// Failures in a row.
    pub attempts: i64,
}

/// A job that this replica holds the lease of.
#[derive(Debug)]
pub struct Held {
    /// The job.
    pub job: Job,
    holder: Vec<u8>,
}

/// Stores a new job. Refused while another runs.
pub async fn insert(app: &Parts, tx: &mut Tx, new: NewSearchJob) -> Result<SearchJob, ApiError> {
    let now = app.now();
    let id = SearchJobId::new(app.config.region, now, app.random_id());
    let step = first_step(new.work);
    let inserted = sqlx::query(
        "INSERT INTO search_jobs (id, work, kind, running, state, step, done, total, missing, outdated, surplus, attempts, \
         leased_until, begun_at) VALUES (?, ?, ?, 1, 'running', ?, 0, 0, 0, 0, 0, 0, 0, ?)",
    )
    .bind(id.to_bytes())
    .bind(name_of(new.work))
    .bind(name_of(new.index))
    .bind(name_of(step))
    .bind(now.as_millis())
    .execute(&mut **tx)
    .await;
    match inserted {
        Err(e) if is_unique_violation(&e) => return Err(Code::SearchJobRunning.into()),
        other => other?,
    };
    Ok(SearchJob {
        id,
        work: new.work,
        index: new.index,
        state: SearchJobState::Running,
        step,
        version: None,
        done: 0,
        total: 0,
        missing: 0,
        outdated: 0,
        surplus: 0,
        reason: None,
        begun_at: now,
        finished_at: None,
    })
}

const fn first_step(work: SearchWork) -> SearchStep {
    match work {
        SearchWork::Reindex => SearchStep::Create,
        SearchWork::WayBack => SearchStep::Check,
        SearchWork::Compare => SearchStep::Compare,
    }
}

/// A job.
pub async fn find(db: &Db, id: SearchJobId) -> Result<Option<SearchJob>, ApiError> {
    let sql = format!("SELECT {COLUMNS} FROM search_jobs WHERE id = ?");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.to_bytes()).fetch_optional(db.pool()).await?;
    row.map(|row| Ok(read(&row)?.job)).transpose()
}

/// The last jobs, the newest first.
pub async fn last(db: &Db, limit: i64) -> Result<Vec<SearchJob>, ApiError> {
    let sql = format!("SELECT {COLUMNS} FROM search_jobs ORDER BY id DESC LIMIT ?");
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(limit).fetch_all(db.pool()).await?;
    rows.iter().map(|row| Ok(read(row)?.job)).collect()
}

/// When the last job of this kind was begun that did what it was to do, or any of them where `state` is none.
pub async fn last_begun(
    db: &Db,
    work: SearchWork,
    index: SearchIndex,
    state: Option<SearchJobState>,
) -> Result<Option<Timestamp>, ApiError> {
    let of_state = state.map_or(String::new(), |s| format!(" AND state = '{}'", name_of(s)));
    let sql = format!("SELECT MAX(begun_at) AS at FROM search_jobs WHERE work = ? AND kind = ?{of_state}");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(name_of(work)).bind(name_of(index)).fetch_one(db.pool()).await?;
    Ok(row.try_get::<Option<i64>, _>("at")?.map(Timestamp::from_millis))
}

/// Takes the lease of the running job, where there is one and nobody holds it.
pub async fn take(app: &Parts) -> Result<Option<Held>, ApiError> {
    let sql = format!("SELECT {COLUMNS}, leased_until FROM search_jobs WHERE running = 1");
    let Some(row) = sqlx::query(AssertSqlSafe(sql)).fetch_optional(app.db.pool()).await? else { return Ok(None) };
    let now = app.now();
    if row.try_get::<i64, _>("leased_until")? > now.as_millis() {
        return Ok(None);
    }
    let job = read(&row)?;
    // A name for this holding alone: it is lost where anyone takes the job after us.
    let holder = SearchJobId::new(app.config.region, now, app.random_id()).to_bytes();
    let taken = sqlx::query(
        "UPDATE search_jobs SET leased_by = ?, leased_until = ? WHERE id = ? AND running = 1 AND leased_until <= ?",
    )
    .bind(holder.clone())
    .bind(now.plus_ms(LEASE_MS).as_millis())
    .bind(job.job.id.to_bytes())
    .bind(now.as_millis())
    .execute(app.db.writes())
    .await?;
    Ok((taken.rows_affected() == 1).then_some(Held { job, holder }))
}

impl Held {
    /// Keeps how far the job is and renews the lease. An error where another replica has it by now.
    pub async fn keep(&mut self, app: &Parts) -> Result<(), ApiError> {
        self.job.attempts = 0;
        let until = app.now().plus_ms(LEASE_MS);
        self.store(app, until).await
    }

    /// Lets go of the job after a failure, to be taken again at `at`.
    pub async fn put_off(mut self, app: &Parts, at: Timestamp) -> Result<(), ApiError> {
        self.job.attempts += 1;
        self.store(app, at).await
    }

    /// Ends the job.
    pub async fn finish(mut self, app: &Parts, failed: Option<&str>) -> Result<(), ApiError> {
        let j = &mut self.job.job;
        j.state = if failed.is_some() { SearchJobState::Failed } else { SearchJobState::Done };
        j.reason = failed.map(|reason| reason.chars().take(REASON_CHARS_MAX).collect());
        j.finished_at = Some(app.now());
        self.store(app, app.now()).await
    }

    async fn store(&self, app: &Parts, until: Timestamp) -> Result<(), ApiError> {
        let Job { job, last, attempts } = &self.job;
        let stored = sqlx::query(
            "UPDATE search_jobs SET running = ?, state = ?, step = ?, version = ?, last_id = ?, done = ?, total = ?, missing = ?, \
             outdated = ?, surplus = ?, attempts = ?, reason = ?, finished_at = ?, leased_until = ? WHERE id = ? AND leased_by = ?",
        )
        .bind((job.state == SearchJobState::Running).then_some(1_i64))
        .bind(name_of(job.state))
        .bind(name_of(job.step))
        .bind(job.version)
        .bind(last.map(EventId::to_bytes))
        .bind(job.done)
        .bind(job.total)
        .bind(job.missing)
        .bind(job.outdated)
        .bind(job.surplus)
        .bind(*attempts)
        .bind(job.reason.clone())
        .bind(job.finished_at.map(Timestamp::as_millis))
        .bind(until.as_millis())
        .bind(job.id.to_bytes())
        .bind(self.holder.clone())
        .execute(app.db.writes())
        .await?;
        if stored.rows_affected() == 0 {
            return Err(ApiError::internal("another replica has taken the job"));
        }
        Ok(())
    }
}

fn read(row: &AnyRow) -> Result<Job, ApiError> {
    let last: Option<Vec<u8>> = row.try_get("last_id")?;
    Ok(Job {
        job: SearchJob {
            id: SearchJobId::from_bytes(&row.try_get::<Vec<u8>, _>("id")?)?,
            work: named(&row.try_get::<String, _>("work")?)?,
            index: named(&row.try_get::<String, _>("kind")?)?,
            state: named(&row.try_get::<String, _>("state")?)?,
            step: named(&row.try_get::<String, _>("step")?)?,
            version: row.try_get("version")?,
            done: row.try_get("done")?,
            total: row.try_get("total")?,
            missing: row.try_get("missing")?,
            outdated: row.try_get("outdated")?,
            surplus: row.try_get("surplus")?,
            reason: row.try_get("reason")?,
            begun_at: Timestamp::from_millis(row.try_get("begun_at")?),
            finished_at: row.try_get::<Option<i64>, _>("finished_at")?.map(Timestamp::from_millis),
        },
        last: last.map(|bytes| EventId::from_bytes(&bytes)).transpose()?,
        attempts: row.try_get("attempts")?,
    })
}
