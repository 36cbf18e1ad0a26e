//! What an organiser does with a performance that is on sale: its window, its blocked seats, its cancellation.

pub mod cancellation;
pub mod routes;
