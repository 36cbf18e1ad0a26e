//! What can never be delivered or applied, put aside for a person so that nothing waits behind it.

pub mod routes;
pub mod store;
