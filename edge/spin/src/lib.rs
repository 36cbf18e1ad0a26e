//! nugul-edge-spin
