//! Passwords are kept as argon2id, and hashed off the request threads, a few at once.

use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::phc::PasswordHash};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{app::fill_random, error::ApiError};

/// Memory of one hash, in KiB (OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
/// Hashes at work at once: bounds their memory to 76 MiB.
const HASHES_AT_ONCE: usize = 4;
/// How long a request waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// The hash of no password, compared with where an address has no account, so that both take the same time.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ibw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

static TURNS: Semaphore = Semaphore::const_new(HASHES_AT_ONCE);

/// Leave to hash one password.
pub struct Turn {
    _permit: SemaphorePermit<'static>,
}

/// Waits for leave to hash; where too many wait, the service is not available.
pub async fn turn() -> Result<Turn, ApiError> {
    match tokio::time::timeout(TURN_TIMEOUT, TURNS.acquire()).await {
        Ok(Ok(permit)) => Ok(Turn { _permit: permit }),
        _ => Err(ApiError::unavailable("passwords: too many at once")),
    }
}

/// The text to keep of a new password.
pub async fn hash(turn: Turn, password: String) -> Result<String, ApiError> {
    off_thread(turn, move || {
        let mut salt = [0; SALT_BYTES];
        fill_random(&mut salt);
        let hash: PasswordHash = hasher()?.hash_password_with_salt(password.as_bytes(), &salt).map_err(failed)?;
        Ok(hash.to_string())
    })
    .await
    .map(|(text, _)| text)
}

/// Whether the password is the one `kept` was made of. With nothing kept it takes as long, and is not. Gives the turn
/// back, for the caller to keep until a failure is counted.
pub async fn verify(turn: Turn, password: String, kept: Option<String>) -> Result<(bool, Turn), ApiError> {
    off_thread(turn, move || {
        let hash = PasswordHash::new(kept.as_deref().unwrap_or(NOBODYS_HASH)).map_err(failed)?;
        let same = hasher()?.verify_password(password.as_bytes(), &hash).is_ok();
        Ok(same && kept.is_some())
    })
    .await
}

async fn off_thread<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<(T, Turn), ApiError> {
    // The turn goes along: it is kept until the work is done, even where nobody waits for it any more.
    let job = move || work().map(|done| (done, turn));
    tokio::task::spawn_blocking(job).await.map_err(ApiError::internal)?
}

fn hasher() -> Result<Argon2<'static>, ApiError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn failed(e: impl std::fmt::Display) -> ApiError {
    ApiError::internal(format_args!("passwords: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn kept(password: &str) -> String {
        hash(turn().await.unwrap(), password.to_owned()).await.unwrap()
    }

    async fn is(password: &str, kept: Option<String>) -> bool {
        verify(turn().await.unwrap(), password.to_owned(), kept).await.unwrap().0
    }

    #[tokio::test]
    async fn a_password_is_known_again_and_another_is_not() {
        let hash = kept("너구리-2026").await;
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hash.len() <= 200);
        assert!(is("너구리-2026", Some(hash.clone())).await);
        assert!(!is("너구리-2027", Some(hash.clone())).await);
        assert_ne!(hash, kept("너구리-2026").await, "a salt of its own each time");
    }

    #[tokio::test]
    async fn nobody_has_a_password_and_that_costs_the_same() {
        let head = |text: &str| text.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        let real = kept("x").await;
        assert_eq!(head(NOBODYS_HASH), head(&real));
        assert_eq!(NOBODYS_HASH.len(), real.len());
        assert!(!is("", None).await);
        assert!(!is("nobody", None).await);
    }

    #[tokio::test]
    async fn a_damaged_hash_is_our_fault_not_a_match() {
        assert!(verify(turn().await.unwrap(), "x".into(), Some("damaged".into())).await.is_err());
    }
}
