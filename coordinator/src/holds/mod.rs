//! Holding seats for some minutes.

pub mod routes;
pub mod service;
