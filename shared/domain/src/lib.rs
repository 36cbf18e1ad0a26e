//! nugul-domain
