//! Errors on the wire: RFC 9457 problem details with a stable code and a sentence a person understands.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $ko:literal, $en:literal;)+) => {
        /// What went wrong, stable across releases.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $code)] $name,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Code] = &[$(Code::$name),+];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code),+ }
            }

            /// The HTTP status it is sent with.
            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status),+ }
            }

            /// What to tell a person.
            pub const fn sentence(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Code::$name, Language::Korean) => $ko, (Code::$name, Language::English) => $en),+
                }
            }
        }
    };
}

codes! {
    /// The body is not JSON.
    MalformedJson = "malformed_json", 400, "요청을 읽을 수 없어요. JSON 형식을 확인해 주세요.", "The request is not valid JSON.";
    /// A field is missing, of the wrong type, out of bounds or unknown; `errors` says which.
    InvalidField = "invalid_field", 422, "입력한 내용을 확인해 주세요. 바뀐 것은 없어요.", "Check what you entered. Nothing was changed.";
    /// A parameter of the address is wrong.
    InvalidParameter = "invalid_parameter", 400, "주소의 값을 확인해 주세요.", "A parameter of the address is not valid.";
    /// The body is over the limit.
    BodyTooLarge = "body_too_large", 413, "보낸 내용이 너무 커요.", "The request body is too large.";
    /// The body is not `application/json`.
    UnsupportedMediaType = "unsupported_media_type", 415, "JSON으로 보내 주세요.", "Send application/json.";
    /// A write without its idempotency key.
    IdempotencyKeyMissing = "idempotency_key_missing", 400, "Idempotency-Key 헤더가 필요해요.", "The Idempotency-Key header is required.";
    /// An idempotency key that is too long or has other than visible ASCII characters.
    IdempotencyKeyInvalid = "idempotency_key_invalid", 400, "Idempotency-Key가 올바르지 않아요.", "The Idempotency-Key is not valid.";
    /// The key came before with another request.
    IdempotencyKeyReused = "idempotency_key_reused", 422, "같은 키로 다른 요청이 이미 처리됐어요.", "This key was used for another request.";
    /// No access token.
    NotLoggedIn = "not_logged_in", 401, "로그인이 필요해요.", "Log in first.";
    /// A token that is forged, damaged or of another service.
    TokenInvalid = "token_invalid", 401, "로그인 정보가 올바르지 않아요. 다시 로그인해 주세요.", "The token is not valid. Log in again.";
    /// A token whose time is over.
    TokenExpired = "token_expired", 401, "로그인 시간이 지났어요. 다시 로그인해 주세요.", "The token has expired. Log in again.";
    /// The seats of a members-only event without a stream ticket.
    StreamTicketMissing = "stream_ticket_missing", 401, "회원에게만 좌석을 보여 주는 공연이에요. 로그인해 주세요.", "This event shows its seats to members. Log in first.";
    /// A stream ticket that is forged, damaged, of another performance or something else.
    StreamTicketInvalid = "stream_ticket_invalid", 401, "좌석을 볼 수 있는 표시가 올바르지 않아요. 다시 로그인해 주세요.", "The stream ticket is not valid. Log in again.";
    /// A stream ticket whose time is over.
    StreamTicketExpired = "stream_ticket_expired", 401, "좌석을 볼 수 있는 시간이 지났어요. 다시 연결해 주세요.", "The stream ticket has expired. Ask for a new one.";
    /// A refresh token that was used before: everything that came from its log-in is void.
    RefreshTokenReused = "refresh_token_reused", 401, "로그인 정보가 다시 쓰였어요. 안전을 위해 로그아웃했어요.", "The refresh token was used twice. You have been logged out for safety.";
    /// Wrong address or password.
    WrongCredentials = "wrong_credentials", 401, "이메일이나 비밀번호가 맞지 않아요.", "The e-mail address or the password is wrong.";
    /// The role does not allow it.
    Forbidden = "forbidden", 403, "이 일을 할 권한이 없어요.", "You may not do this.";
    /// A page's write that does not come from our page.
    CrossSite = "cross_site", 403, "다른 사이트에서 온 요청은 받지 않아요.", "Requests from other sites are refused.";
    /// No such thing, or another's.
    NotFound = "not_found", 404, "찾는 것이 없어요.", "There is no such thing.";
    /// The path does not take this method.
    MethodNotAllowed = "method_not_allowed", 405, "이 주소에서는 할 수 없는 요청이에요.", "This path does not take this method.";
    /// The address has an account.
    EmailTaken = "email_taken", 409, "이미 가입한 이메일이에요.", "This e-mail address already has an account.";
    /// The e-mailed code is wrong, too old, or was tried too often.
    EmailCodeWrong = "email_code_wrong", 422, "인증 코드가 맞지 않거나 시간이 지났어요. 새 코드를 받아 주세요.", "The code is wrong or too old. Ask for a new one.";
    /// Someone was faster; `seats` names them.
    SeatsTaken = "seats_taken", 409, "그사이 다른 분이 먼저 선택한 좌석이 있어요. 바뀐 것은 없어요.", "Someone was faster for some of these seats. Nothing was changed.";
    /// No adjacent seats of the grade are left.
    NoAdjacentSeats = "no_adjacent_seats", 409, "나란히 붙은 좌석이 남아 있지 않아요.", "There are no adjacent seats left.";
    /// More seats than one buyer may have.
    SeatLimit = "seat_limit", 409, "한 분이 가질 수 있는 좌석 수를 넘었어요. 잡아 둔 좌석과 이미 산 좌석도 함께 세요.", "That is more seats than one buyer may have. Seats you hold and seats you bought count too.";
    /// Sales are not open.
    SalesClosed = "sales_closed", 409, "지금은 예매할 수 없는 회차예요.", "This performance is not on sale now.";
    /// The hall was changed since the page was made.
    SeatMapChanged = "seat_map_changed", 409, "좌석 배치가 바뀌었어요. 새로 고친 뒤 다시 골라 주세요.", "The seat map has changed. Reload and choose again.";
    /// The performance was cancelled by its organiser.
    PerformanceCancelled = "performance_cancelled", 409, "주최자가 취소한 회차예요. 결제한 금액은 모두 돌려드려요.", "The organiser cancelled this performance. Everything paid is given back.";
    /// A hold is extended once.
    HoldExtended = "hold_extended", 409, "좌석을 잡아 두는 시간은 한 번만 늘릴 수 있어요.", "A hold can be extended only once.";
    /// The ticket cannot be given back now, or a refund is under way.
    RefundState = "refund_state", 409, "지금은 환불할 수 없는 티켓이에요.", "This ticket cannot be refunded now.";
    /// The hold has ended.
    HoldExpired = "hold_expired", 409, "좌석을 잡아 둔 시간이 끝났어요. 다시 골라 주세요.", "The hold has ended. Choose seats again.";
    /// The order cannot do that where it stands.
    OrderState = "order_state", 409, "지금 상태의 주문에는 할 수 없는 일이에요.", "The order does not allow this now.";
    /// The amount is not the order's.
    AmountMismatch = "amount_mismatch", 409, "결제 금액이 주문과 달라요. 결제하지 않았어요.", "The amount differs from the order. Nothing was charged.";
    /// One job of the search indexes runs at a time.
    SearchJobRunning = "search_job_running", 409, "검색 색인 작업이 이미 진행 중이에요. 끝난 뒤에 다시 시도해 주세요.", "A job of the search indexes is already running. Try again when it has ended.";
    /// The platform runs without a full-text engine.
    NoSearchServer = "no_search_server", 409, "이 서비스에는 연결된 검색 서버가 없어요.", "This service runs without a full-text engine.";
    /// There is no version of the index to go back to.
    NoWayBack = "no_way_back", 409, "되돌아갈 이전 색인이 없어요.", "There is no earlier version of the index to go back to.";
    /// What became of a payment is not known; a case about it closes with the provider's answer alone.
    OutcomeOpen = "outcome_open", 409, "결제 결과를 아직 알 수 없어서 닫을 수 없어요. 결제사에 다시 물어볼게요.", "The outcome of the payment is not known yet. The provider is asked again.";
    /// Too much at once; `Retry-After` says when to come back.
    TooManyRequests = "too_many_requests", 429, "요청이 너무 많아요. 잠시 뒤에 다시 시도해 주세요.", "Too many requests. Try again later.";
    /// More at once than we can answer in good time; `Retry-After` says when to come back.
    Overloaded = "overloaded", 503, "지금 접속이 몰려 있어요. 잠시 뒤에 다시 시도해 주세요.", "Too many people are here right now. Try again in a moment.";
    /// Our fault.
    Internal = "internal", 500, "문제가 생겼어요. 잠시 뒤에 다시 시도해 주세요.", "Something went wrong. Try again later.";
    /// A part we need is not there.
    Unavailable = "unavailable", 503, "잠시 연결되지 않아요. 곧 다시 시도해 주세요.", "A part of the service is not available. Try again soon.";
}

/// A language people read here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// 한국어, the default.
    #[default]
    Korean,
    /// English.
    English,
}

impl Language {
    /// From an `Accept-Language` header: English where its first preference is English.
    pub fn from_header(value: Option<&str>) -> Self {
        let first = value.and_then(|v| v.split(',').next()).map(str::trim).unwrap_or_default();
        if first.get(..2).is_some_and(|l| l.eq_ignore_ascii_case("en")) { Self::English } else { Self::Korean }
    }
}

/// One bad field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// A JSON pointer (RFC 6901) to the field.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// An error as sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `about:blank#CODE`: the code is the type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words of HTTP.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A sentence for a person.
    pub detail: String,
    /// The stable code.
    pub code: Code,
    /// Bad fields, if that is what is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Seats in conflict, if that is what is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seats: Vec<crate::booking::SeatInfo>,
    /// The nearest free seats of the same kind, where seats were taken and there are such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternative: Vec<crate::booking::SeatInfo>,
    /// Names the request in our logs.
    pub trace_id: String,
}

impl Problem {
    /// A problem of this code in this language.
    pub fn new(code: Code, language: Language, trace_id: &str) -> Self {
        Self {
            kind: format!("about:blank#{}", code.as_str()),
            title: code.as_str().replace('_', " "),
            status: code.status(),
            detail: code.sentence(language).to_owned(),
            code,
            errors: Vec::new(),
            seats: Vec::new(),
            alternative: Vec::new(),
            trace_id: trace_id.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_and_has_words() {
        for &code in Code::ALL {
            let json = serde_json::to_string(&Problem::new(code, Language::Korean, "t")).unwrap();
            let back: Problem = serde_json::from_str(&json).unwrap();
            assert_eq!((back.code, back.status), (code, code.status()));
            assert!((400..600).contains(&code.status()));
            assert!(!code.sentence(Language::English).is_empty());
        }
    }

    #[test]
    fn korean_unless_english_is_asked_for_first() {
        assert_eq!(Language::from_header(None), Language::Korean);
        assert_eq!(Language::from_header(Some("ko,en;q=0.8")), Language::Korean);
        assert_eq!(Language::from_header(Some("en-US,en;q=0.9")), Language::English);
    }
}
