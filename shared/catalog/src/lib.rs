//! The catalogue of events: Hangul text analysis, the index file and its search, the import format, the shipped titles.
//!
//! | file | what it is for |
//! | --- | --- |
//! | [`entry`] | one event as the catalogue knows it |
//! | [`text`] | normalisation, 초성, half-typed syllables, keyboard layouts, Latin letters, typing mistakes |
//! | [`words`] | the administrator's synonyms, names, stop words, dictionary and places |
//! | [`builder`] | events and words to an index file |
//! | [`index`] | the index file, opened and read where it lies |
//! | [`query`], [`params`] | what can be asked, from the parameters of a request |
//! | [`search`](mod@search) | pages of results, suggestions |
//! | [`ranking`] | every constant of the order of results |
//! | [`calendar`](mod@calendar) | what runs on each day of a month |
//! | [`import`] | the JSON-lines catalogue file that an operator may bring |
//! | `demo` | real Korean titles and venues (cargo feature `demo`) |
//!
//! The crate has no clock, no socket and no randomness, and compiles to WASM. A hostile index file or query gives an
//! error or an empty answer, never a panic.

pub mod builder;
pub mod calendar;
mod cursor;
mod dates;
pub mod entry;
pub mod facets;
mod find;
mod format;
mod grams;
mod highlight;
pub mod import;
pub mod index;
mod matching;
pub mod params;
pub mod query;
pub mod ranking;
pub mod search;
pub mod text;
pub mod words;

#[cfg(any(test, feature = "demo"))]
pub mod demo;

#[cfg(test)]
mod tests;

pub use builder::{build, build_with};
pub use calendar::calendar;
pub use cursor::{Cursor, Last};
pub use entry::CatalogEvent;
pub use highlight::marks;
pub use import::{ImportError, ImportEvent, ImportGrade, parse_jsonl};
pub use index::{Error, Index, version};
pub use query::{Facets, Item, Matched, Page, Query, Sort, Suggestion};
pub use ranking::Weights;
pub use search::{search, suggest};
pub use words::{Words, WordsError};
