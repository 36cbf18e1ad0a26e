//! The coordinator beside a payment service that refuses, hangs and says nonsense: nothing waits for what can never be done.
#![allow(clippy::unwrap_used, reason = "what a test needs and does not get ends it")]

mod books;
mod outbox;
mod results;
mod service;
mod tls;
mod world;
