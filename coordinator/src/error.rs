//! What a client may see of an error, and what only our logs see.
//!
//! A handler returns [`ApiError`]; `http::problems` renders it in the reader's language with the request's trace id,
//! because neither is known where the error is made.

use std::fmt::Display;

use axum::response::{IntoResponse, Response};
use nugul_api::{Code, FieldError, booking::SeatInfo, problem::Language};

use crate::overload;

/// A field that is wrong, and what is wrong with it: said in both languages, because the reader's is not known here.
#[derive(Clone, Debug)]
pub struct Fault {
    /// As in RFC 6901.
    pub pointer: String,
    /// 한국어.
    pub korean: String,
    /// English.
    pub english: String,
}

impl Fault {
    /// Said in Korean and in English.
    pub fn new(pointer: impl Into<String>, (korean, english): (impl Into<String>, impl Into<String>)) -> Self {
        Self { pointer: pointer.into(), korean: korean.into(), english: english.into() }
    }

    /// As it is sent.
    pub fn to_api(&self, language: Language) -> FieldError {
        let detail = match language {
            Language::Korean => &self.korean,
            Language::English => &self.english,
        };
        FieldError { pointer: self.pointer.clone(), detail: detail.clone() }
    }
}

/// An error on its way to a client.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// What the client is told.
    pub code: Code,
    /// Bad fields.
    pub errors: Vec<Fault>,
    /// Seats in conflict.
    pub seats: Vec<SeatInfo>,
    /// The nearest free seats of the same kind, where seats are in conflict.
    pub alternative: Vec<SeatInfo>,
    /// When to try again, in seconds.
    pub retry_after_s: Option<u64>,
    /// For our logs alone.
    pub context: Option<String>,
}

impl ApiError {
    /// Our fault; `context` goes to the logs.
    pub fn internal(context: impl Display) -> Self {
        Self { context: Some(context.to_string()), ..Self::from(Code::Internal) }
    }

    /// A part we need is away; `context` goes to the logs.
    pub fn unavailable(context: impl Display) -> Self {
        Self { context: Some(context.to_string()), retry_after_s: Some(1), ..Self::from(Code::Unavailable) }
    }

    /// One field is wrong; `pointer` as in RFC 6901.
    pub fn field(pointer: impl Into<String>, said: (impl Into<String>, impl Into<String>)) -> Self {
        Self { errors: vec![Fault::new(pointer, said)], ..Self::from(Code::InvalidField) }
    }

    /// The same error, to be tried again after so many seconds.
    #[must_use]
    pub fn retry_after_s(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }
}

impl From<Code> for ApiError {
    fn from(code: Code) -> Self {
        Self {
            code,
            errors: Vec::new(),
            seats: Vec::new(),
            alternative: Vec::new(),
            retry_after_s: None,
            context: None,
        }
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(e: sqlx::Error) -> Self {
        match e {
            sqlx::Error::PoolTimedOut => Self { retry_after_s: Some(1), ..Self::from(Code::Overloaded) },
            // Nothing was changed, and trying again is all there is to do.
            sqlx::Error::Database(inner) if lost_a_lock(inner.as_ref()) => {
                Self { context: Some(format!("database: {inner}")), ..overload::refused() }
            }
            sqlx::Error::PoolClosed | sqlx::Error::Io(_) => Self::unavailable(format_args!("database: {e}")),
            _ => Self::internal(format_args!("database: {e}")),
        }
    }
}

/// Whether the database ended a transaction for the sake of another: MySQL's deadlocks (SQLSTATE 40001) and waits for a lock
/// that took too long (error 1205), SQLite's busy file.
fn lost_a_lock(e: &dyn sqlx::error::DatabaseError) -> bool {
    e.code().is_some_and(|code| matches!(code.as_ref(), "40001" | "5" | "517"))
        || e.message().contains("Lock wait timeout exceeded")
}

impl From<nugul_coordination::Error> for ApiError {
    fn from(e: nugul_coordination::Error) -> Self {
        Self::unavailable(format_args!("seats: {e}"))
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(e: serde_json::Error) -> Self {
        Self::internal(format_args!("json: {e}"))
    }
}

impl From<nugul_domain::id::NotAnId> for ApiError {
    fn from(_: nugul_domain::id::NotAnId) -> Self {
        Self::internal("a stored id is damaged")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = axum::http::StatusCode::from_u16(self.code.status());
        let mut response = status.unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR).into_response();
        response.extensions_mut().insert(self);
        response
    }
}
