//! Orders: from a hold to paid seats.

pub mod approving;
pub mod confirming;
pub mod limits;
pub mod looking;
pub mod making;
pub mod outcome;
pub mod routes;
pub mod service;
pub mod store;
