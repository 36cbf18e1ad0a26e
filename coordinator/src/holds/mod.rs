//! Holding seats for some minutes.

pub mod event_limit;
pub mod routes;
pub mod service;
