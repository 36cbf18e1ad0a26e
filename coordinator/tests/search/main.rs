//! The full-text engine for real: a server with Korean morphology, a coordinator's parts over a database of their own, asked
//! through the interface that clients have.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod analysis;
mod away;
mod found;
mod jobs;
mod kept_right;
mod reindex;
mod server;
mod world;
