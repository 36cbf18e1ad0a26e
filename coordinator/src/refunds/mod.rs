//! Giving tickets back: money back and seat back are one saga.

pub mod routes;
pub mod service;
pub mod store;
