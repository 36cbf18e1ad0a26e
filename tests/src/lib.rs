//! nugul-tests
