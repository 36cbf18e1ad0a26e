//! The contract on the wire: what the coordinator answers, the edge forwards and the tests ask.

pub mod accounts;
pub mod booking;
pub mod catalogue;
pub mod headers;
pub mod limits;
pub mod payments;
pub mod problem;
pub mod rankings;
pub mod search;
pub mod seats;

use serde::{Deserialize, Serialize};

pub use problem::{Code, FieldError, Problem};

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// What is on this page.
    pub items: Vec<T>,
    /// Give it back as `cursor` for the next page; absent on the last.
    pub next_cursor: Option<String>,
}
