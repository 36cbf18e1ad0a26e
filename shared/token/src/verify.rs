//! Who may be believed: as the public half of a key says, or the key itself.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk},
};
use nugul_domain::{PerformanceId, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use std::{borrow::Cow, fmt};

use crate::{
    claims::{AccessClaims, EntryClaims, ISSUER, Kind, StreamClaims},
    key::SigningKey,
    own,
};

/// The longest token looked at, in bytes; ours are under 600.
pub const TOKEN_BYTES_MAX: usize = 2048;
/// The most keys taken from a key set.
pub const KEYS_MAX: usize = 16;
/// Bytes of an Ed25519 public key.
const PUBLIC_KEY_BYTES: usize = 32;

/// Why a token is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It was good once.
    Expired,
    /// It is forged, damaged, of another kind or of another service.
    Invalid,
    /// It says it was signed with this key, which is not in the key set: perhaps a new one.
    UnknownKey(String),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("the token has expired"),
            Self::Invalid => f.write_str("the token is not valid"),
            Self::UnknownKey(kid) => write!(f, "the token is signed with an unknown key {kid:?}"),
        }
    }
}

impl std::error::Error for TokenError {}

/// A JSON value that is not a key set with at least one key of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwksError;

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a JSON Web Key set with a named Ed25519 key")
    }
}

impl std::error::Error for JwksError {}

#[derive(Clone, Debug)]
struct Keys(Vec<(String, Check)>);

/// How a signature is checked.
#[derive(Clone, Debug)]
enum Check {
    /// As anyone can.
    Public(DecodingKey),
    /// As who signs can, in a fraction of the time.
    Own(Box<ed25519_dalek::SigningKey>),
}

impl Check {
    fn is_good(&self, message: &str, signature: &str) -> bool {
        match self {
            Self::Public(key) => {
                jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, Algorithm::EdDSA).unwrap_or(false)
            }
            Self::Own(key) => {
                let signature = URL_SAFE_NO_PAD.decode(signature);
                signature.is_ok_and(|signature| own::signed(key, message.as_bytes(), &signature))
            }
        }
    }
}

impl Keys {
    fn of(key: &SigningKey) -> Self {
        Self(vec![(key.kid().to_owned(), Check::Own(Box::new(key.read().clone())))])
    }

    /// Takes the named Ed25519 keys; others are of no use here and are passed over (RFC 7517, 5).
    fn from_jwks(jwks: &Value) -> Result<Self, JwksError> {
        let all = jwks.get("keys").and_then(Value::as_array).ok_or(JwksError)?;
        let keys: Vec<_> = all.iter().filter_map(ed25519).take(KEYS_MAX).collect();
        if keys.is_empty() { Err(JwksError) } else { Ok(Self(keys)) }
    }

    fn verify<T: Kind>(&self, token: &str, now: Timestamp) -> Result<T, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        // What the header says is only used to choose a key; the signature then covers it.
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(T::TYPE) {
            return Err(TokenError::Invalid);
        }
        let kid = header.kid.ok_or(TokenError::Invalid)?;
        let Some((_, check)) = self.0.iter().find(|(name, _)| *name == kid) else {
            return Err(TokenError::UnknownKey(kid));
        };
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Invalid)?;
        let (_, claims) = message.split_once('.').ok_or(TokenError::Invalid)?;
        if !check.is_good(message, signature) {
            return Err(TokenError::Invalid);
        }
        // Read twice rather than through `serde(flatten)`, which copies every field: the claims pass over what is not theirs.
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| TokenError::Invalid)?;
        let said: Said<'_> = serde_json::from_slice(&claims).map_err(|_| TokenError::Invalid)?;
        if said.iss != ISSUER || said.aud != T::AUDIENCE {
            return Err(TokenError::Invalid);
        }
        let claims: T = serde_json::from_slice(&claims).map_err(|_| TokenError::Invalid)?;
        if has_ended(&claims, now) { Err(TokenError::Expired) } else { Ok(claims) }
    }
}

/// What every token says besides its claims.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    #[serde(borrow)]
    aud: Cow<'a, str>,
}

/// Whether claims are void by the time passed in: from the second they end.
pub(crate) fn has_ended(claims: &impl Kind, now: Timestamp) -> bool {
    claims.expires_at_s().is_some_and(|end| end <= now.as_millis().div_euclid(1000))
}

fn ed25519(jwk: &Value) -> Option<(String, Check)> {
    let jwk: Jwk = serde_json::from_value(jwk.clone()).ok()?;
    let AlgorithmParameters::OctetKeyPair(pair) = &jwk.algorithm else { return None };
    if pair.curve != EllipticCurve::Ed25519 {
        return None;
    }
    let key = DecodingKey::from_ed_components(&pair.x).ok()?;
    let whole = key.try_get_as_bytes().is_ok_and(|bytes| bytes.len() == PUBLIC_KEY_BYTES);
    whole.then_some((jwk.common.key_id?, Check::Public(key)))
}

/// Verifies access tokens.
#[derive(Clone, Debug)]
pub struct AccessVerifier(Keys);

impl AccessVerifier {
    /// For what this key signed, where the key is at hand.
    pub fn of(key: &SigningKey) -> Self {
        Self(Keys::of(key))
    }

    /// With the keys a coordinator publishes at `/.well-known/jwks.json`.
    pub fn from_jwks(jwks: &Value) -> Result<Self, JwksError> {
        Keys::from_jwks(jwks).map(Self)
    }

    /// Who is logged in at `now`, if the token is to be believed.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError> {
        self.0.verify(token, now)
    }
}

/// Verifies stream tickets.
#[derive(Clone, Debug)]
pub struct StreamVerifier(Keys);

impl StreamVerifier {
    /// For what this key signed, where the key is at hand.
    pub fn of(key: &SigningKey) -> Self {
        Self(Keys::of(key))
    }

    /// With the keys a coordinator publishes at `/.well-known/jwks.json`.
    pub fn from_jwks(jwks: &Value) -> Result<Self, JwksError> {
        Keys::from_jwks(jwks).map(Self)
    }

    /// Who may join the stream of `performance` at `now`, if the ticket is to be believed. Another performance's is not valid.
    pub fn verify(&self, ticket: &str, performance: PerformanceId, now: Timestamp) -> Result<StreamClaims, TokenError> {
        let claims: StreamClaims = self.0.verify(ticket, now)?;
        if claims.performance == performance { Ok(claims) } else { Err(TokenError::Invalid) }
    }
}

/// Verifies entry QR codes.
#[derive(Clone, Debug)]
pub struct EntryVerifier(Keys);

impl EntryVerifier {
    /// With the keys a coordinator publishes at `/.well-known/jwks.json`.
    pub fn from_jwks(jwks: &Value) -> Result<Self, JwksError> {
        Keys::from_jwks(jwks).map(Self)
    }

    /// What the QR code says, if we made it. Whether its version is the ticket's is for the gate to ask.
    pub fn verify(&self, text: &str, now: Timestamp) -> Result<EntryClaims, TokenError> {
        self.0.verify(text, now)
    }
}
