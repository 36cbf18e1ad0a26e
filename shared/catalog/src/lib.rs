//! nugul-catalog
