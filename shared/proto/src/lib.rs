//! nugul-proto
