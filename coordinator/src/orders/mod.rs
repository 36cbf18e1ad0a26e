//! Orders: from a hold to paid seats.

pub mod approving;
pub mod confirming;
pub mod limits;
pub mod making;
pub mod outcome;
pub mod routes;
pub mod service;
pub mod store;
