//! The private half: an Ed25519 key that signs.

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::pkcs8::DecodePrivateKey;
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, PublicKeyUse, ThumbprintHash},
};
use serde_json::Value;
use std::fmt;

use crate::claims::{AccessClaims, EntryClaims, Envelope, ISSUER, Kind, StreamClaims};

/// Bytes of an Ed25519 seed (RFC 8032, 5.1.5).
pub const SEED_BYTES: usize = 32;
/// What stands before the seed in PKCS #8 (RFC 8410, 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// Characters of the key's thumbprint (RFC 7638) that name it: 96 bits are plenty to tell a handful of keys apart.
const KID_CHARS: usize = 16;

/// A key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError(String);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a usable Ed25519 signing key: {}", self.0)
    }
}

impl std::error::Error for KeyError {}

impl From<jsonwebtoken::errors::Error> for KeyError {
    fn from(e: jsonwebtoken::errors::Error) -> Self {
        Self(e.to_string())
    }
}

/// A key that signs.
#[derive(Clone)]
pub struct SigningKey {
    key: EncodingKey,
    /// The same key, read once.
    read: ed25519_dalek::SigningKey,
    kid: String,
    jwk: Value,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// The key of these bytes, which come from a secure random source.
    pub fn from_seed(seed: [u8; SEED_BYTES]) -> Result<Self, KeyError> {
        Self::new(EncodingKey::from_ed_der(&pkcs8(seed)))
    }

    /// Reads a PKCS #8 private key, `-----BEGIN PRIVATE KEY-----`.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        Self::new(EncodingKey::from_ed_pem(pem.as_bytes())?)
    }

    fn new(key: EncodingKey) -> Result<Self, KeyError> {
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA)?;
        let kid: String = jwk.thumbprint(ThumbprintHash::SHA256)?.chars().take(KID_CHARS).collect();
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let jwk = serde_json::to_value(jwk).map_err(|e| KeyError(e.to_string()))?;
        let read = ed25519_dalek::SigningKey::from_pkcs8_der(key.as_bytes()).map_err(|e| KeyError(e.to_string()))?;
        Ok(Self { key, read, kid, jwk })
    }

    /// The seed as the PEM text that [`Self::from_pem`] and other tools read.
    pub fn seed_to_pem(seed: [u8; SEED_BYTES]) -> String {
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(pkcs8(seed)))
    }

    /// The key's name, made of its public half.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half as a JSON Web Key (RFC 7517).
    pub fn jwk(&self) -> Value {
        self.jwk.clone()
    }

    /// For who looks whether a signature is its own.
    pub(crate) fn read(&self) -> &ed25519_dalek::SigningKey {
        &self.read
    }

    /// Signs an access token.
    pub fn sign_access(&self, claims: AccessClaims) -> Result<String, KeyError> {
        self.sign(claims)
    }

    /// Signs a stream ticket.
    pub fn sign_stream(&self, claims: StreamClaims) -> Result<String, KeyError> {
        self.sign(claims)
    }

    /// Signs the text of an entry QR code.
    pub fn sign_entry(&self, claims: EntryClaims) -> Result<String, KeyError> {
        self.sign(claims)
    }

    fn sign<T: Kind>(&self, claims: T) -> Result<String, KeyError> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(T::TYPE.to_owned());
        header.kid = Some(self.kid.clone());
        let envelope = Envelope { iss: ISSUER.to_owned(), aud: T::AUDIENCE.to_owned(), claims };
        Ok(jsonwebtoken::encode(&header, &envelope, &self.key)?)
    }
}

fn pkcs8(seed: [u8; SEED_BYTES]) -> Vec<u8> {
    [&PKCS8_PREFIX[..], &seed[..]].concat()
}
