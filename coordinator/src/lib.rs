//! The regional coordinator: the one place where writes are decided.
//!
//! A request comes in at `<domain>/routes.rs`, is decided in `<domain>/service.rs` by the rules of `nugul-domain`, and
//! kept by `<domain>/store.rs`. `outbox.rs` and `payments.rs` talk to the payment service.

pub mod accounts;
pub mod app;
pub mod catalogue;
pub mod config;
pub mod db;
pub mod demo;
pub mod error;
pub mod extract;
pub mod holds;
pub mod http;
pub mod idempotency;
pub mod keys;
pub mod mail;
pub mod metrics;
pub mod openapi;
pub mod orders;
pub mod outbox;
pub mod payments;
pub mod seats;
pub mod tickets;
