//! `search/events` and `search/listings`.

use axum::{
    Json, Router,
    extract::{Query as Parameters, State, rejection::QueryRejection},
    routing::get,
};
use nugul_api::{
    Code,
    search::{Engine, FoundListing, SearchIndex, SearchPage},
};
use nugul_catalog::{
    Page, Query,
    params::{SearchParameters, search_query},
};
use serde::Serialize;

use super::{
    client::{Client, ClientError},
    question,
};
use crate::{
    app::{App, Parts},
    error::ApiError,
};

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new().route("/search/events", get(events)).route("/search/listings", get(listings))
}

type Asked = Result<Parameters<Vec<(String, String)>>, QueryRejection>;

/// A page of events found.
#[derive(Serialize, utoipa::ToSchema)]
struct FoundEvents {
    #[serde(flatten)]
    page: Page,
    /// Which engine answered. An edge answers by the catalogue engine and does not say so.
    #[schema(required = false)]
    engine: Engine,
}

#[utoipa::path(get, path = "/api/v1/search/events", tag = "catalogue", responses((status = 200, body = FoundEvents)),
    params(SearchParameters))]
async fn events(State(app): State<App>, asked: Asked) -> Result<Json<FoundEvents>, ApiError> {
    let query = query(&app, asked)?;
    let file = app.catalogue.borrow().clone();
    if let Some(client) = full_text(&app) {
        let found = question::events(client, &client.alias(SearchIndex::Events), &query, &file.words.words).await;
        if let Some(page) = unless_away(found) {
            return Ok(Json(FoundEvents { page, engine: Engine::Opensearch }));
        }
    }
    let page = tokio::task::spawn_blocking(move || file.index.search(&query)).await.map_err(ApiError::internal)?;
    Ok(Json(FoundEvents { page, engine: Engine::Catalogue }))
}

#[utoipa::path(get, path = "/api/v1/search/listings", tag = "catalogue", responses((status = 200, body = SearchPage<FoundListing>)),
    params(SearchParameters))]
async fn listings(State(app): State<App>, asked: Asked) -> Result<Json<SearchPage<FoundListing>>, ApiError> {
    let query = Query { facets: false, ..query(&app, asked)? };
    let words = app.catalogue.borrow().words.clone();
    if let Some(client) = full_text(&app) {
        let found = question::others(client, &client.alias(SearchIndex::Listings), &query, &words.words).await;
        if let Some((items, total, next)) = unless_away(found) {
            let next_cursor = next.map(|cursor| cursor.to_string());
            return Ok(Json(SearchPage { items, next_cursor, total, engine: Engine::Opensearch }));
        }
    }
    // The catalogue has no listings.
    Ok(Json(SearchPage { items: Vec::new(), next_cursor: None, total: 0, engine: Engine::Catalogue }))
}

fn query(app: &Parts, asked: Asked) -> Result<Query, ApiError> {
    let Parameters(asked) = asked.map_err(|_| Code::InvalidParameter)?;
    Ok(search_query(&asked, app.now()).map_err(|_| Code::InvalidParameter)?)
}

/// The full-text engine, if there is one that may answer.
fn full_text(app: &Parts) -> Option<&Client> {
    app.search.client.as_ref().filter(|client| client.is_worth_asking())
}

fn unless_away<T>(found: Result<T, ClientError>) -> Option<T> {
    found.inspect_err(|e| tracing::warn!("the catalogue engine answers searches: {e:?}")).ok()
}
