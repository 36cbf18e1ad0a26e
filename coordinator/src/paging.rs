//! `cursor` and `limit` of a list, and the page they make.

use std::str::FromStr;

use axum::{extract::FromRequestParts, http::request::Parts};
use nugul_api::{Code, limits};
use serde::Deserialize;

use crate::{app::App, error::ApiError, extract::Parameters};

/// Which part of a list is asked for.
pub struct Paging<I> {
    /// The last id of the page before; the first page where absent.
    pub cursor: Option<I>,
    limit: u32,
}

#[derive(Deserialize)]
struct Asked {
    cursor: Option<String>,
    limit: Option<u32>,
}

impl<I: FromStr> FromRequestParts<App> for Paging<I> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Parameters(asked) = Parameters::<Asked>::from_request_parts(parts, app).await?;
        let limit = asked.limit.unwrap_or(limits::PAGE_ITEMS_DEFAULT);
        if !(1..=limits::PAGE_ITEMS_MAX).contains(&limit) {
            return Err(Code::InvalidParameter.into());
        }
        let cursor = asked.cursor.map(|c| c.parse()).transpose().map_err(|_| Code::InvalidParameter)?;
        Ok(Self { cursor, limit })
    }
}

impl<I> Paging<I> {
    /// How many are shown.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// How many to read: one more than is shown tells whether there is a next page.
    pub const fn to_read(&self) -> u32 {
        self.limit + 1
    }

    /// What is shown of what was read, and the cursor of the next page.
    pub fn cut<T>(&self, mut read: Vec<T>, id: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
        let more = read.len() > self.limit as usize;
        read.truncate(self.limit as usize);
        let next_cursor = read.last().filter(|_| more).map(id);
        (read, next_cursor)
    }
}
