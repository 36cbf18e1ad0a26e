//! Full-text search: `OpenSearch` with Korean morphology where there is one, else the catalogue engine in memory.
//!
//! | file | what it is for |
//! | --- | --- |
//! | [`routes`] | `search/events` and `search/listings` |
//! | [`question`], [`filters`], [`order`], [`counts`] | a search as the full-text engine is asked it, and its answer |
//! | [`mapping`], [`words`], [`document`] | the index: its analysis, its words, its documents |
//! | [`client`] | the way to `OpenSearch`: every call bounded |
//! | [`feed`] | tells of every changed event, from rows written in the transaction that changed it |
//! | [`keeper`], [`jobs`], [`rebuild`], [`compare`] | jobs: build the next version, go back, compare and put right |
//! | [`versions`] | which versions of an index there are |
//! | [`admin`] | what an operator can ask for and see |

pub mod admin;
pub mod client;
pub mod compare;
pub mod counts;
pub mod document;
pub mod feed;
pub mod filters;
pub mod jobs;
pub mod keeper;
pub mod mapping;
pub mod order;
pub mod question;
pub mod rebuild;
pub mod routes;
pub mod versions;
pub mod words;

use tokio::sync::Notify;

use crate::{config::Config, error::ApiError};
use client::{Client, ClientError};

/// The full-text engine and what is told of it; the catalogue engine is in [`crate::catalogue`].
#[derive(Debug, Default)]
pub struct Search {
    /// The full-text engine, if there is one.
    pub client: Option<Client>,
    /// Raised when a changed event is to be told of.
    pub(crate) filled: Notify,
    /// Raised when a job was asked for.
    pub(crate) job_begun: Notify,
}

impl Search {
    /// The engine of these settings. Whether the full-text engine is there is seen when it is asked.
    pub fn new(config: &Config) -> Result<Self, String> {
        let client = config.opensearch.as_ref().map(Client::new).transpose()?;
        Ok(Self { client, ..Self::default() })
    }
}

impl From<ClientError> for ApiError {
    fn from(e: ClientError) -> Self {
        match e {
            ClientError::Away(why) => Self::unavailable(format_args!("OpenSearch is away: {why}")),
            ClientError::Refused { status, reason } => {
                Self::internal(format_args!("OpenSearch refused ({status}): {reason}"))
            }
        }
    }
}
