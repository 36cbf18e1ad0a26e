//! What people search for and look at most: votes that edges gather, and the rankings made of them.

pub mod blocked;
pub mod demand;
pub mod routes;
pub mod service;

pub use blocked::BlockedWords;
