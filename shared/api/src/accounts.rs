//! Accounts and log-in.

use nugul_domain::{Timestamp, UserId, account::Role};
use serde::{Deserialize, Serialize};

/// `POST auth/email-codes`: asks for a code by e-mail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EmailCodeRequest {
    /// The address.
    pub email: String,
}

/// The code is on its way. The same answer whether or not the address has an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EmailCodeSent {
    /// Until when the code is good.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
}

/// `POST auth/sign-up`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignUp {
    /// The address the code was sent to.
    pub email: String,
    /// The code.
    pub code: String,
    /// 8 to 128 characters.
    pub password: String,
    /// 1 to 20 characters.
    pub nickname: String,
}

/// `POST auth/log-in`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogIn {
    /// The address.
    pub email: String,
    /// The password.
    pub password: String,
}

/// `POST auth/refresh` and `auth/log-out`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefreshToken {
    /// The token of the last log-in or refresh.
    pub refresh_token: String,
}

/// An account as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Account {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Uuid))]
    pub id: UserId,
    /// Its address.
    pub email: String,
    /// What others see.
    pub nickname: String,
    /// `user`, `seller` or `admin`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub role: Role,
}

/// What a log-in or refresh gives.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tokens {
    /// Always `Bearer`.
    pub token_type: String,
    /// A JWT signed with EdDSA; the key is in `/.well-known/jwks.json`.
    pub access_token: String,
    /// How long the access token is good for, in seconds.
    pub expires_in_s: i64,
    /// Good once, for the next refresh.
    pub refresh_token: String,
    /// Whose they are.
    pub account: Account,
}
