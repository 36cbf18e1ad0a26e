//! One contract for both stores.
