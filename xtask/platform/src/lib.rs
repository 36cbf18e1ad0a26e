//! nugul-platform
