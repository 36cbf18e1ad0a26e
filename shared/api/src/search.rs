//! Search at the coordinator, and what an operator may do with the full-text indexes.

use nugul_domain::{SearchJobId, Timestamp};
use serde::{Deserialize, Serialize};

/// Which engine answered a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Engine {
    /// The full-text engine with Korean morphology.
    Opensearch,
    /// The catalogue engine in the coordinator's memory: where there is no full-text engine, or it does not answer.
    Catalogue,
}

/// `GET search/events` and `GET search/listings`: a page of what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchPage<T> {
    /// What is on this page, the best first.
    pub items: Vec<T>,
    /// Give it back as `cursor` for the next page; absent on the last.
    pub next_cursor: Option<String>,
    /// How many there are on all pages.
    pub total: usize,
    /// Which engine answered.
    pub engine: Engine,
}

/// A ticket offered for transfer, found by its event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FoundListing {
    /// The listing's id.
    pub id: String,
    /// The event's title.
    pub title: String,
    /// Where.
    pub place: String,
    /// When the performance begins.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub starts_at: Timestamp,
    /// The seat as printed on the ticket.
    pub seat: String,
    /// What it costs: its face value.
    pub price_krw: i64,
}

/// A full-text index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SearchIndex {
    /// Events.
    Events,
    /// Tickets offered for transfer.
    Listings,
}

/// What can be done with a full-text index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SearchWork {
    /// Build the next version and switch to it.
    Reindex,
    /// Switch back to the version before.
    WayBack,
    /// Compare with the database, document by document, and put right what differs.
    Compare,
}

/// `POST admin/search/jobs`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewSearchJob {
    /// What to do.
    pub work: SearchWork,
    /// With which index.
    pub index: SearchIndex,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SearchJobState {
    /// Under way, or waiting for the full-text engine.
    Running,
    /// Did what it was to do.
    Done,
    /// Gave up; searches go on as before it.
    Failed,
}

/// What a running job does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SearchStep {
    /// Makes the next version's index.
    Create,
    /// Copies every document.
    Copy,
    /// Waits until the changes made meanwhile are in, then checks counts and samples.
    Check,
    /// Switches the searches over.
    Switch,
    /// Compares document by document.
    Compare,
}

/// A job of a full-text index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchJob {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub id: SearchJobId,
    /// What it does.
    pub work: SearchWork,
    /// With which index.
    pub index: SearchIndex,
    /// How it stands.
    pub state: SearchJobState,
    /// What it does now, or did last.
    pub step: SearchStep,
    /// The version it builds or goes back to.
    pub version: Option<i64>,
    /// Documents done.
    pub done: i64,
    /// Documents there are to do.
    pub total: i64,
    /// Documents the comparison found missing, and had put in.
    pub missing: i64,
    /// Documents the comparison found unlike the database, and had put right.
    pub outdated: i64,
    /// Documents the comparison found of nothing in the database, and removed.
    pub surplus: i64,
    /// Why it failed.
    pub reason: Option<String>,
    /// When it was asked for.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub begun_at: Timestamp,
    /// When it ended.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub finished_at: Option<Timestamp>,
}

/// How a version of an index is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SearchVersionState {
    /// Being built.
    Building,
    /// Searched.
    Live,
    /// Kept, and kept up to date, for a way back.
    Previous,
}

/// A version of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchVersion {
    /// Of which index.
    pub index: SearchIndex,
    /// Its number.
    pub version: i64,
    /// How it is used.
    pub state: SearchVersionState,
}

/// `GET admin/search`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchState {
    /// Which engine would answer a search now.
    pub engine: Engine,
    /// Changed events that the full-text engine has not been told of yet.
    pub pending: i64,
    /// The versions there are.
    pub versions: Vec<SearchVersion>,
    /// The last jobs, the newest first.
    pub jobs: Vec<SearchJob>,
    /// Why the last edit of the words is not taken, with its file and line; absent where it is. Those before it are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words_refused: Option<String>,
}
