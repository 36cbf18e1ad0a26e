//! Points in time: UTC milliseconds inside, RFC 3339 with Seoul's offset outside.

use serde::{Deserialize, Serialize};
use std::fmt;
use time::{Date, Month, OffsetDateTime, UtcOffset, Weekday, format_description::well_known::Rfc3339};

/// Seoul keeps UTC+9 all year (Standard Time Act of Korea: no daylight saving).
const SEOUL_OFFSET_HOURS: i8 = 9;

/// A point in time, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotATime;

impl fmt::Display for NotATime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an RFC 3339 time with an offset")
    }
}

impl std::error::Error for NotATime {}

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// `ms` milliseconds later (earlier where negative), held at the ends of the range.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Reads an RFC 3339 time with an offset.
    pub fn parse(text: &str) -> Result<Self, NotATime> {
        let t = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| NotATime)?;
        i64::try_from(t.unix_timestamp_nanos() / 1_000_000).map(Self).map_err(|_| NotATime)
    }

    /// The same moment on Seoul's clocks; the epoch where it is out of the calendar's range.
    pub fn seoul(self) -> OffsetDateTime {
        let offset = UtcOffset::from_hms(SEOUL_OFFSET_HOURS, 0, 0).unwrap_or(UtcOffset::UTC);
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|t| t.checked_to_offset(offset))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// Seoul's date, `YYYY-MM-DD`.
    pub fn seoul_date(self) -> String {
        iso_date(self.seoul().date())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.seoul().format(&Rfc3339).unwrap_or_default())
    }
}

impl TryFrom<String> for Timestamp {
    type Error = NotATime;
    fn try_from(text: String) -> Result<Self, NotATime> {
        Self::parse(&text)
    }
}

impl From<Timestamp> for String {
    fn from(t: Timestamp) -> String {
        t.to_string()
    }
}

/// A date as ISO 8601 writes it, `YYYY-MM-DD`.
pub fn iso_date(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// Reads `YYYY-MM-DD`.
pub fn parse_date(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    let month = Month::try_from(text.get(5..7)?.parse::<u8>().ok()?).ok()?;
    Date::from_calendar_date(text.get(..4)?.parse().ok()?, month, text.get(8..)?.parse().ok()?).ok()
}

/// A weekday's one-letter Korean name.
pub const fn korean_weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "월",
        Weekday::Tuesday => "화",
        Weekday::Wednesday => "수",
        Weekday::Thursday => "목",
        Weekday::Friday => "금",
        Weekday::Saturday => "토",
        Weekday::Sunday => "일",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_written_in_seoul() {
        let t = Timestamp::parse("2026-12-24T10:30:00Z").unwrap();
        assert_eq!(t.to_string(), "2026-12-24T19:30:00+09:00");
        assert_eq!(t.seoul_date(), "2026-12-24");
        assert_eq!(Timestamp::parse(&t.to_string()), Ok(t));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "2026-12-24", "2026-12-24T19:30:00", "2026-13-01T00:00:00Z"] {
            assert_eq!(Timestamp::parse(text), Err(NotATime), "{text}");
        }
        assert_eq!(parse_date("2026-02-30"), None);
        assert_eq!(parse_date("2026-2-3"), None);
        assert!(parse_date("2026-02-03").is_some());
    }
}
