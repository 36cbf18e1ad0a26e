//! The regional coordinator: the one place where writes are decided.
//!
//! A request comes in at `<domain>/routes.rs`, is decided in `<domain>/service.rs` by the rules of `nugul-domain`, and
//! kept by `<domain>/store.rs`. `outbox.rs` and `payments` talk to the payment service.

pub mod accounts;
pub mod app;
pub mod batches;
pub mod catalogue;
pub mod config;
pub mod corrections;
pub mod db;
pub mod demo;
pub mod error;
pub mod extract;
pub mod holds;
pub mod http;
pub mod idempotency;
pub mod keys;
pub mod mail;
pub mod messages;
pub mod metrics;
pub mod notices;
pub mod openapi;
pub mod orders;
pub mod outbox;
pub mod overload;
pub mod paging;
pub mod parked;
pub mod payments;
pub mod performances;
pub mod rankings;
pub mod reconcile;
pub mod refunds;
pub mod region_keys;
pub mod rounds;
pub mod search;
pub mod seats;
pub mod serve;
pub mod streams;
pub mod tickets;
pub mod tidy;
pub mod trace;
