//! The region's signing key: read from a file that all replicas share, made when there is none.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use nugul_token::{SEED_BYTES, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::app::fill_random;

/// Who may read the file: its owner.
const FILE_MODE: u32 = 0o600;
/// The permission bits of everyone else.
const OTHERS: u32 = 0o077;

/// The signing key, and a secret made of it for digests of what can be guessed.
#[derive(Clone)]
pub struct Keys {
    signing: SigningKey,
    secret: [u8; 32],
}

impl Keys {
    /// Reads the key of `file`; makes key and file where there is none.
    pub fn load(file: &Path) -> Result<Self, String> {
        let about = |e: std::io::Error| format!("the signing key {}: {e}", file.display());
        match fs::metadata(file) {
            Ok(found) if found.permissions().mode() & OTHERS != 0 => {
                tracing::warn!("the signing key {} can be read by others than its owner", file.display());
            }
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => make(file).map_err(about)?,
            Err(e) => return Err(about(e)),
        }
        let pem = fs::read_to_string(file).map_err(about)?;
        Self::from_pem(&pem).map_err(|e| format!("{}: {e}", file.display()))
    }

    pub(crate) fn from_pem(pem: &str) -> Result<Self, nugul_token::KeyError> {
        let signing = SigningKey::from_pem(pem)?;
        let secret = Sha256::new().chain_update("nugul digests").chain_update(pem.trim()).finalize().into();
        Ok(Self { signing, secret })
    }

    /// Signs tokens.
    pub const fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The public keys, as published at `/.well-known/jwks.json`.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.signing.jwk()] })
    }

    /// A digest that only this region can compute: who reads the database cannot find a six-digit code or a password by
    /// trying. `purpose` keeps the digests of one use apart from those of another.
    pub fn digest(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        let purpose = Sha256::digest(purpose.as_bytes());
        Sha256::new().chain_update(self.secret).chain_update(purpose).chain_update(data).finalize().into()
    }
}

/// Writes a new key beside `file`, whole and synced, then gives it its name unless another replica was faster.
fn make(file: &Path) -> std::io::Result<()> {
    let mut seed = [0; SEED_BYTES];
    fill_random(&mut seed);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut suffix = [0; 8];
    fill_random(&mut suffix);
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{:016x}", u64::from_be_bytes(suffix)));
    let mut out = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&beside)?;
    out.write_all(SigningKey::seed_to_pem(seed).as_bytes())?;
    out.sync_all()?;
    let linked = fs::hard_link(&beside, file);
    fs::remove_file(&beside)?;
    match linked {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_shared() {
        let mut name = [0; 8];
        fill_random(&mut name);
        let folder = std::env::temp_dir().join(format!("nugul-keys-{:016x}", u64::from_be_bytes(name)));
        let file = folder.join("signing-key.pem");
        let replicas: Vec<_> = std::thread::scope(|s| {
            let started: Vec<_> = (0..4).map(|_| s.spawn(|| Keys::load(&file).unwrap())).collect();
            started.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(replicas.iter().all(|k| k.jwks() == replicas[0].jwks()));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, FILE_MODE);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        assert_eq!(replicas[0].digest("a", b"1"), replicas[1].digest("a", b"1"));
        assert_ne!(replicas[0].digest("a", b"1"), replicas[0].digest("b", b"1"));
        fs::write(&file, "nonsense").unwrap();
        assert!(Keys::load(&file).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
