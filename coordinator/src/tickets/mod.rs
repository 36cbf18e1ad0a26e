//! Tickets and their entry QR codes.

pub mod routes;
pub mod store;
