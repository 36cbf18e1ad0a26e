//! `admin/search`: what an operator can ask for, and how the full-text indexes stand.

use std::sync::PoisonError;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use nugul_api::{
    Code,
    search::{Engine, NewSearchJob, SearchIndex, SearchJob, SearchState, SearchVersionState, SearchWork},
};
use nugul_domain::SearchJobId;

use super::{feed, jobs, versions};
use crate::{
    app::App,
    error::ApiError,
    extract::{Auth, Id, Write},
    idempotency::{self, Begun},
};

/// Jobs shown.
const JOBS_SHOWN: i64 = 20;

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new()
        .route("/admin/search", get(state))
        .route("/admin/search/jobs", post(begin))
        .route("/admin/search/jobs/{id}", get(job))
}

#[utoipa::path(post, path = "/api/v1/admin/search/jobs", tag = "operators", request_body = NewSearchJob, responses((status = 202, body = SearchJob)))]
async fn begin(State(app): State<App>, auth: Auth, write: Write<NewSearchJob>) -> Result<Response, ApiError> {
    auth.operates()?;
    if app.search.client.is_none() {
        return Err(Code::NoSearchServer.into());
    }
    let new = write.body;
    match idempotency::begin(&app.db, auth.scope(), &write.key, &write.digest, app.now()).await? {
        Begun::Replay(response) => Ok(response),
        Begun::Fresh(mut work) => {
            let previous = versions::find(&app.db, new.index, SearchVersionState::Previous).await?;
            if new.work == SearchWork::WayBack && previous.is_none() {
                return Err(Code::NoWayBack.into());
            }
            let job = jobs::insert(&app, &mut work.tx, new).await?;
            let response = work.finish(StatusCode::ACCEPTED, &job).await?;
            app.search.job_begun.notify_one();
            Ok(response)
        }
    }
}

#[utoipa::path(get, path = "/api/v1/admin/search/jobs/{id}", tag = "operators", responses((status = 200, body = SearchJob)), params(("id" = String, Path)))]
async fn job(State(app): State<App>, auth: Auth, Id(id): Id<SearchJobId>) -> Result<Json<SearchJob>, ApiError> {
    auth.operates()?;
    Ok(Json(jobs::find(&app.db, id).await?.ok_or(Code::NotFound)?))
}

#[utoipa::path(get, path = "/api/v1/admin/search", tag = "operators", responses((status = 200, body = SearchState)))]
async fn state(State(app): State<App>, auth: Auth) -> Result<Json<SearchState>, ApiError> {
    auth.operates()?;
    let answers = match &app.search.client {
        Some(client) if client.is_worth_asking() => {
            client.search(&client.alias(SearchIndex::Events), &serde_json::json!({ "size": 0 })).await.is_ok()
        }
        _ => false,
    };
    let (pending, versions) = (feed::pending(&app.db).await?, versions::all(&app.db).await?);
    let jobs = jobs::last(&app.db, JOBS_SHOWN).await?;
    let refused = app.refused_words.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Json(SearchState {
        engine: if answers { Engine::Opensearch } else { Engine::Catalogue },
        pending,
        versions,
        jobs,
        words_refused: refused.as_ref().map(|refused| refused.why.clone()),
    }))
}
