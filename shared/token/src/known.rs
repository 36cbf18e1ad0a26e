//! Tokens believed before, so that the signature of each is checked once and not with every request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nugul_domain::Timestamp;
use sha2::{Digest, Sha256};

use crate::{
    claims::AccessClaims,
    verify::{AccessVerifier, TokenError, has_ended},
};

/// The most tokens remembered: some 15 MB.
pub const KNOWN_TOKENS_MAX: usize = 65_536;

/// Verifies access tokens and remembers those it believed.
///
/// Signature, kind, issuer and audience of a text do not change, so they are looked at once; its end is looked at each time.
/// Only tokens that are ours are remembered: nobody can fill the memory with others. What is looked up is a digest, so the
/// time that takes tells nothing of another's token.
#[derive(Debug)]
pub struct KnownTokens {
    verifier: AccessVerifier,
    known: Mutex<HashMap<[u8; 32], Arc<AccessClaims>>>,
    max: usize,
}

impl KnownTokens {
    /// Remembers up to [`KNOWN_TOKENS_MAX`] tokens that `verifier` believes.
    pub fn new(verifier: AccessVerifier) -> Self {
        Self::with_room(verifier, KNOWN_TOKENS_MAX)
    }

    pub(crate) fn with_room(verifier: AccessVerifier, max: usize) -> Self {
        Self { verifier, known: Mutex::default(), max }
    }

    /// Who is logged in at `now`, as [`AccessVerifier::verify`] says it.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<AccessClaims>, TokenError> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let known = self.known().get(&digest).cloned();
        if let Some(claims) = known {
            return if has_ended(&*claims, now) { Err(TokenError::Expired) } else { Ok(claims) };
        }
        let claims = Arc::new(self.verifier.verify(token, now)?);
        let mut known = self.known();
        if known.len() >= self.max {
            known.retain(|_, claims| !has_ended(&**claims, now));
        }
        // Full of tokens that are still good: begun anew, for a signature is cheap to check again.
        if known.len() >= self.max {
            known.clear();
        }
        known.insert(digest, Arc::clone(&claims));
        Ok(claims)
    }

    /// A panic elsewhere leaves the memory whole: each step on it is one call.
    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<AccessClaims>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.known().len()
    }
}
