//! nugul-edge-core
