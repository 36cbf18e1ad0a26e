//! nugul-api
