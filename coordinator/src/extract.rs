//! What handlers take from a request, each refusal with its code and the field at fault.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, header, request::Parts},
};
use bytes::Bytes;
use nugul_api::{Code, headers, limits};
use nugul_domain::UserId;
use nugul_token::{AccessClaims, TokenError};
use serde::de::{DeserializeOwned, IgnoredAny};
use sha2::{Digest, Sha256};

use crate::{
    app::{self, App, hex},
    error::ApiError,
    idempotency::Scope,
};

/// Who asks: the claims of a verified access token.
pub struct Auth(pub Arc<AccessClaims>);

impl Auth {
    /// Their account.
    pub fn user(&self) -> UserId {
        self.0.sub
    }

    /// Where their idempotency keys live.
    pub fn scope(&self) -> Scope {
        scope_of(&self.0.sub.to_string())
    }

    /// Lets those pass who may look after the platform.
    pub fn operates(&self) -> Result<(), ApiError> {
        if self.0.role.may_operate() { Ok(()) } else { Err(Code::Forbidden.into()) }
    }
}

/// A scope for idempotency keys made of any text.
pub fn scope_of(text: &str) -> Scope {
    let mut scope = Scope::default();
    scope.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
    scope
}

impl FromRequestParts<App> for Auth {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let value = parts.headers.get(header::AUTHORIZATION).ok_or(Code::NotLoggedIn)?;
        let token = value.to_str().ok().and_then(|v| v.strip_prefix("Bearer ")).ok_or(Code::TokenInvalid)?;
        let (token, now) = (token.trim(), app.now());
        let known = match app.tokens.verify(token, now) {
            Err(TokenError::UnknownKey(_)) => app.regions.verify(token, now),
            known => known,
        };
        match known {
            Ok(claims) => Ok(Self(claims)),
            Err(TokenError::Expired) => Err(Code::TokenExpired.into()),
            Err(_) => Err(Code::TokenInvalid.into()),
        }
    }
}

/// A JSON body, checked field by field.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        parse(&parts.headers, &bytes_of(body).await?).map(Self)
    }
}

/// A write with a JSON body: the body, the client's idempotency key and the request's digest.
pub struct Write<T> {
    /// What was sent.
    pub body: T,
    /// The idempotency key.
    pub key: String,
    /// Tells whether a later request with the key is the same.
    pub digest: String,
}

impl<T: DeserializeOwned> FromRequest<App> for Write<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let key = idempotency_key(&parts.headers)?;
        let bytes = bytes_of(body).await?;
        let digest = digest(&parts, &bytes);
        Ok(Self { body: parse(&parts.headers, &bytes)?, key, digest })
    }
}

/// A write without a body. One with a body is refused, but for an empty object: who sends fields expects them to matter.
pub struct EmptyWrite {
    /// The idempotency key.
    pub key: String,
    /// Tells whether a later request with the key is the same.
    pub digest: String,
}

/// No fields.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl FromRequest<App> for EmptyWrite {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let key = idempotency_key(&parts.headers)?;
        nothing(&parts.headers, body).await?;
        // An empty object says as much as no body.
        Ok(Self { key, digest: digest(&parts, &[]) })
    }
}

/// The same without a key: sent again, it does no more than the first did.
pub struct EmptyBody;

impl FromRequest<App> for EmptyBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        nothing(&parts.headers, body).await.map(|()| Self)
    }
}

async fn nothing(headers: &HeaderMap, body: axum::body::Body) -> Result<(), ApiError> {
    let bytes = bytes_of(body).await?;
    if bytes.is_empty() { Ok(()) } else { parse::<Nothing>(headers, &bytes).map(|Nothing {}| ()) }
}

/// An edge of ours: it shows the key that it was set up with.
pub struct OurEdge;

impl OurEdge {
    /// Whether a request is of one.
    pub fn sent(headers: &HeaderMap, app: &app::Parts) -> bool {
        let Some((shown, ours)) = headers.get(headers::EDGE_KEY).zip(app.config.edge_key.as_deref()) else {
            return false;
        };
        // Digests are compared: how long that takes says nothing of the key.
        Sha256::digest(shown.as_bytes()) == Sha256::digest(ours.as_bytes())
    }
}

impl FromRequestParts<App> for OurEdge {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if Self::sent(&parts.headers, app) { Ok(Self) } else { Err(Code::Forbidden.into()) }
    }
}

/// An id in the path. What is no id names nothing.
pub struct Id<T>(pub T);

impl<T: std::str::FromStr + Send> FromRequestParts<App> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, app).await.map_err(|_| Code::NotFound)?;
        text.parse().map(Self).map_err(|_| Code::NotFound.into())
    }
}

/// Parameters of the address.
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let asked = Query::<T>::from_request_parts(parts, app).await;
        asked.map(|Query(asked)| Self(asked)).map_err(|_| Code::InvalidParameter.into())
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<String, ApiError> {
    let value = headers.get(headers::IDEMPOTENCY_KEY).ok_or(Code::IdempotencyKeyMissing)?;
    let key = value.to_str().map_err(|_| Code::IdempotencyKeyInvalid)?;
    let fits = (1..=limits::IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len());
    if fits && key.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(key.to_owned())
    } else {
        Err(Code::IdempotencyKeyInvalid.into())
    }
}

fn digest(parts: &Parts, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(parts.method.as_str());
    hash.update([0]);
    hash.update(parts.uri.path());
    hash.update([0]);
    hash.update(body);
    hex(&hash.finalize())
}

/// The whole body, if it is within its bound.
pub(crate) async fn bytes_of(body: axum::body::Body) -> Result<Bytes, ApiError> {
    // The one other failure is a client that went away, which reads no answer.
    axum::body::to_bytes(body, limits::BODY_BYTES_MAX).await.map_err(|_| Code::BodyTooLarge.into())
}

fn parse<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().is_some_and(|k| k.trim().eq_ignore_ascii_case("application/json")) {
        return Err(Code::UnsupportedMediaType.into());
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|e| {
        let pointer: String =
            e.path().iter().fold(String::new(), |p, segment| format!("{p}/{}", escape(&segment.to_string())));
        let inner = e.into_inner();
        // A name out of a few that is no text is a mistake of syntax to serde, wherever the text is JSON all the same.
        let is_json = inner.is_data() || serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
        if is_json { bad_field(pointer, &inner) } else { Code::MalformedJson.into() }
    })?;
    json.end().map_err(|_| ApiError::from(Code::MalformedJson))?;
    Ok(value)
}

/// RFC 6901, 3: `~` and `/` are escaped; an index is bare.
fn escape(segment: &str) -> String {
    segment.trim_matches(|c| c == '[' || c == ']').replace('~', "~0").replace('/', "~1")
}

/// Serde says which field is missing or unknown in its message alone, in words that are no reader's.
fn bad_field(pointer: String, e: &serde_json::Error) -> ApiError {
    let message = e.to_string();
    match message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        Some(field) => ApiError::field(format!("{pointer}/{field}"), ("필요한 항목이에요.", "This is required.")),
        None if message.starts_with("unknown field") => {
            ApiError::field(pointer, ("여기에는 없는 항목이에요.", "There is no such field here."))
        }
        None => ApiError::field(pointer, ("여기에 맞는 값이 아니에요.", "This is not a value for this field.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nugul_api::accounts::LogIn;

    fn code_and_pointer(body: &str) -> (Code, String) {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/json; charset=utf-8".parse().unwrap());
        let e = parse::<LogIn>(&headers, body.as_bytes()).err().unwrap();
        (e.code, e.errors.first().map(|f| f.pointer.clone()).unwrap_or_default())
    }

    #[test]
    fn what_is_wrong_is_said_in_the_readers_words() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        for (body, korean, english) in [
            ("{}", "필요한 항목이에요.", "This is required."),
            (r#"{"email":1}"#, "여기에 맞는 값이 아니에요.", "This is not a value for this field."),
            (r#"{"email":"a","password":"b","x":1}"#, "여기에는 없는 항목이에요.", "There is no such field here."),
        ] {
            let e = parse::<LogIn>(&headers, body.as_bytes()).err().unwrap();
            assert_eq!(e.errors[0].to_api(nugul_api::problem::Language::Korean).detail, korean);
            assert_eq!(e.errors[0].to_api(nugul_api::problem::Language::English).detail, english);
        }
    }

    #[test]
    fn the_field_at_fault_is_named() {
        assert_eq!(code_and_pointer("{"), (Code::MalformedJson, String::new()));
        assert_eq!(code_and_pointer("{}"), (Code::InvalidField, "/email".into()));
        assert_eq!(code_and_pointer(r#"{"email":1}"#), (Code::InvalidField, "/email".into()));
        assert_eq!(
            code_and_pointer(r#"{"email":"a","password":"b","role":"admin"}"#),
            (Code::InvalidField, "/role".into())
        );
        assert_eq!(code_and_pointer(r#"{"email":"a","password":"b"} x"#), (Code::MalformedJson, String::new()));
    }
}
