//! Events and performances: created by sellers, read by everyone, indexed for the edges.

pub mod index;
pub mod routes;
pub mod service;
pub mod store;
pub mod words;

pub use index::{CatalogueFile, RefusedWords};
