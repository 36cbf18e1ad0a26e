//! The catalogue of events: Hangul text analysis, the index file and its search, the import format, the shipped titles.
//!
//! | file | what it is for |
//! | --- | --- |
//! | [`entry`] | one event as the catalogue knows it |
//! | [`text`] | normalisation, 초성, half-typed syllables, the wrong keyboard layout |
//! | [`index`] | the index file: built by the coordinator, opened by the edge |
//! | [`query`] | search, suggestions and the calendar over an open index |
//! | [`import`] | the JSON-lines catalogue file that an operator may bring |
//! | `demo` | real Korean titles and venues (cargo feature `demo`) |
//!
//! The crate has no clock, no socket and no randomness, and compiles to WASM. A hostile index file or query gives an
//! error or an empty answer, never a panic.

pub mod entry;
pub mod import;
pub mod index;
pub mod query;
pub mod text;

#[cfg(any(test, feature = "demo"))]
pub mod demo;

#[cfg(test)]
mod tests;

pub use entry::CatalogEvent;
pub use import::{ImportError, ImportEvent, ImportGrade, parse_jsonl};
pub use index::{Error, Index, build, version};
pub use query::{Page, Query, Sort, Suggestion};
