//! Signed texts: access tokens, stream tickets and entry QR codes. Signed by the coordinator, verified anywhere with its public key.
//!
//! All are JWTs (RFC 7519) signed with Ed25519 (RFC 8037). Their headers' `typ` tells them apart (RFC 8725, 3.11), and
//! so does their audience, so one is never taken for the other. Time and random bytes are passed in.

mod claims;
mod key;
mod known;
mod own;
mod verify;

pub use claims::{AccessClaims, EntryClaims, StreamClaims};
pub use key::{KeyError, SEED_BYTES, SigningKey};
pub use known::{KNOWN_TOKENS_MAX, KnownTokens};
pub use verify::{AccessVerifier, EntryVerifier, JwksError, KEYS_MAX, StreamVerifier, TOKEN_BYTES_MAX, TokenError};

#[cfg(test)]
mod tests;
