//! Orders: from a hold to paid seats.

pub mod routes;
pub mod service;
pub mod store;
