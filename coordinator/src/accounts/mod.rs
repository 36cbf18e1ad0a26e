//! Accounts: sign-up by an e-mailed code, log-in by password, rotating refresh tokens.

pub mod password;
pub mod routes;
pub mod service;
pub mod store;

pub use routes::router;
pub use service::seed_account;
