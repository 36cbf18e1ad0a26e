//! What is signed.

use nugul_domain::{PerformanceId, TicketId, UserId, account::Role};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Who signs.
pub(crate) const ISSUER: &str = "nugul";

/// A kind of signed text.
pub(crate) trait Kind: Serialize + DeserializeOwned {
    /// The header's `typ`.
    const TYPE: &'static str;
    /// Who it is for.
    const AUDIENCE: &'static str;
    /// The second from which it is void, if it ends by itself.
    fn expires_at_s(&self) -> Option<i64>;
}

/// The claims with what every token says besides.
#[derive(Serialize)]
pub(crate) struct Envelope<T> {
    pub(crate) iss: String,
    pub(crate) aud: String,
    #[serde(flatten)]
    pub(crate) claims: T,
}

/// Who is logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// The account.
    pub sub: UserId,
    /// What it may do.
    pub role: Role,
    /// What others see.
    pub nickname: String,
    /// When the token was made, in seconds since the Unix epoch.
    pub iat: i64,
    /// From when it is void, in seconds since the Unix epoch.
    pub exp: i64,
}

impl Kind for AccessClaims {
    // RFC 9068, 2.1.
    const TYPE: &'static str = "at+jwt";
    const AUDIENCE: &'static str = "nugul";
    fn expires_at_s(&self) -> Option<i64> {
        Some(self.exp)
    }
}

/// Who may join the seat stream of a performance that is for members: asked for with an access token, put into an address,
/// and so worth little: one performance, for a minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamClaims {
    /// Who asked for it.
    pub sub: UserId,
    /// The performance whose stream it opens.
    #[serde(rename = "prf")]
    pub performance: PerformanceId,
    /// From when it is void, in seconds since the Unix epoch. A stream that is open goes on.
    pub exp: i64,
}

impl Kind for StreamClaims {
    const TYPE: &'static str = "stream+jwt";
    const AUDIENCE: &'static str = "nugul-stream";
    fn expires_at_s(&self) -> Option<i64> {
        Some(self.exp)
    }
}

/// The text of an entry QR code. It has no end of its own: the gate asks whether `version` is still the ticket's.
/// Names are short because each character makes the code denser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryClaims {
    /// The ticket.
    #[serde(rename = "sub")]
    pub ticket: TicketId,
    /// The performance it opens the gate of.
    #[serde(rename = "prf")]
    pub performance: PerformanceId,
    /// The seat's index.
    pub seat: u32,
    /// Rises with every change of holder; a lower one does not open the gate.
    #[serde(rename = "ver")]
    pub version: i64,
}

impl Kind for EntryClaims {
    const TYPE: &'static str = "entry+jwt";
    const AUDIENCE: &'static str = "nugul-gate";
    fn expires_at_s(&self) -> Option<i64> {
        None
    }
}
