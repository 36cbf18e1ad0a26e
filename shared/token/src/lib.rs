//! nugul-token
