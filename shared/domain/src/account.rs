//! Rules of accounts: what an e-mail address, a password and a nickname must be, and who may do what.

use serde::{Deserialize, Serialize};

/// The longest e-mail address (RFC 5321, 4.5.3.1.3: a path of 256 octets with its brackets).
pub const EMAIL_BYTES_MAX: usize = 254;
/// The shortest password, in characters (NIST SP 800-63B, 5.1.1.2).
pub const PASSWORD_CHARS_MIN: usize = 8;
/// The longest password, in characters: bounds the work of hashing one.
pub const PASSWORD_CHARS_MAX: usize = 128;
/// The longest nickname, in characters.
pub const NICKNAME_CHARS_MAX: usize = 20;
/// Digits of an e-mailed code.
pub const EMAIL_CODE_DIGITS: usize = 6;
/// How long an e-mailed code is good for, in milliseconds.
pub const EMAIL_CODE_TTL_MS: i64 = 10 * 60 * 1000;
/// Wrong tries after which an e-mailed code is void.
pub const EMAIL_CODE_TRIES_MAX: i64 = 5;

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Buys.
    User,
    /// Runs events, and buys.
    Seller,
    /// Runs the region.
    Admin,
}

impl Role {
    /// Whether this role may create and change events.
    pub const fn may_sell(self) -> bool {
        matches!(self, Self::Seller | Self::Admin)
    }

    /// Whether this role may look after the platform itself.
    pub const fn may_operate(self) -> bool {
        matches!(self, Self::Admin)
    }

    /// The name stored in SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Seller => "seller",
            Self::Admin => "admin",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::User, Self::Seller, Self::Admin].into_iter().find(|r| r.as_str() == text)
    }
}

/// The address in the form it is compared in, or `None` where it is none. Only what would surely fail is refused: the
/// e-mailed code is the real test.
pub fn normal_email(text: &str) -> Option<String> {
    let text = text.trim();
    let (local, domain) = text.rsplit_once('@')?;
    let plain = |s: &str| {
        !s.is_empty() && !s.chars().any(|c| c.is_whitespace() || c.is_control() || "<>,;:\"()[]\\@".contains(c))
    };
    let dotted = domain.contains('.') && domain.split('.').all(|part| !part.is_empty());
    (text.len() <= EMAIL_BYTES_MAX && plain(local) && plain(domain) && dotted).then(|| text.to_lowercase())
}

/// Whether a password may be chosen.
pub fn password_is_acceptable(password: &str) -> bool {
    (PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&password.chars().count())
}

/// The nickname without surrounding spaces, or `None` where it is empty, too long or has control characters.
pub fn normal_nickname(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().count() <= NICKNAME_CHARS_MAX;
    (fits && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(normal_email(" Nugul@Example.COM "), Some("nugul@example.com".into()));
        for bad in ["", "a", "a@b", "@b.kr", "a@.kr", "a b@c.kr", "a@b.kr\r\nBcc: x@y.kr", "<a@b.kr>"] {
            assert_eq!(normal_email(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn passwords_and_nicknames_have_bounds() {
        assert!(!password_is_acceptable("1234567"));
        assert!(password_is_acceptable("12345678"));
        assert!(!password_is_acceptable(&"x".repeat(129)));
        assert_eq!(normal_nickname("  너굴 "), Some("너굴".into()));
        assert_eq!(normal_nickname(" "), None);
        assert_eq!(normal_nickname(&"너".repeat(21)), None);
    }
}
