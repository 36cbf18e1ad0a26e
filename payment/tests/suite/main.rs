//! The payment service against the Toss simulator, both in this process: money is taken once, and nothing is guessed.
//!
//! On SQLite, or with `NUGUL_TEST_MYSQL_URL` (a server, without a database name) on MySQL, a database per test.
#![allow(clippy::unwrap_used, reason = "what a test needs and does not get ends it")]

mod books;
mod faults;
mod kills;
mod late;
mod ledger;
mod logs;
mod methods;
mod migration;
mod parsers;
mod parts;
mod saga;
mod scratch;
mod security;
mod webhooks;
mod world;
