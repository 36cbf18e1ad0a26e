//! nugul-edge-cloudflare
