//! The payment service as a peer: commands go out through the outbox, results come in as a stream, and what it keeps is read
//! through it.

pub mod client;
mod connection;
pub mod history;
pub mod ledger;
mod reads;
pub mod reconciliation;
pub mod results;

pub use client::PaymentClient;
pub use results::{watch_once, watch_results};
