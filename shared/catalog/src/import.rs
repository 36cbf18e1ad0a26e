//! The catalogue file: JSON lines, one event each. A bad line refuses the whole file, with its number and the reason.

use std::collections::BTreeSet;
use std::fmt;

use nugul_domain::event::{CAST_MAX, LABEL_CHARS_MAX};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::macros::{format_description, offset};
use time::{Date, OffsetDateTime, UtcOffset};

/// Longest file, in events.
pub const MAX_EVENTS: usize = 200_000;
/// Longest line, in bytes.
pub const MAX_LINE_BYTES: usize = 256 * 1024;
/// Longest title, in characters.
pub const MAX_TITLE_CHARS: usize = 200;
/// Longest category, in characters.
pub const MAX_CATEGORY_CHARS: usize = 40;
/// Longest place, in characters.
pub const MAX_PLACE_CHARS: usize = 200;
/// Longest description, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 5_000;
/// Longest viewing rating, in characters.
pub const MAX_RATING_CHARS: usize = 40;
/// Longest grade name, in characters.
pub const MAX_GRADE_CHARS: usize = 40;
/// Longest performance: a day.
pub const MAX_RUNTIME_MIN: u32 = 1_440;
/// Longest run: five years.
pub const MAX_RUN_DAYS: i64 = 1_830;
/// Most grades of one event.
pub const MAX_GRADES: usize = 20;
/// The dearest seat.
pub const MAX_PRICE_KRW: i64 = 10_000_000;
/// Most rows of one grade.
pub const MAX_ROWS: u32 = 200;
/// Longest row.
pub const MAX_SEATS_PER_ROW: u32 = 300;
/// Most seats of one performance, over all grades.
pub const MAX_SEATS: u32 = 60_000;
/// Most performances of one event.
pub const MAX_PERFORMANCES: usize = 400;

/// Days of a run are days in Korea.
const KOREA: UtcOffset = offset!(+9);

/// One event of a catalogue file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportEvent {
    /// The title as printed on the poster.
    pub title: String,
    /// The title in English or in Latin letters; may be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title_en: Option<String>,
    /// 뮤지컬, 연극, 콘서트 and so on; free text.
    pub category: String,
    /// The hall.
    pub place: String,
    /// Who performs, the best known first; may be absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cast: Vec<String>,
    /// What the event page says; may be empty.
    pub description: String,
    /// First day of the run, in Asia/Seoul.
    #[serde(serialize_with = "write_date", deserialize_with = "read_date")]
    pub starts_on: Date,
    /// Last day of the run, in Asia/Seoul.
    #[serde(serialize_with = "write_date", deserialize_with = "read_date")]
    pub ends_on: Date,
    /// How long a performance takes.
    pub runtime_min: u32,
    /// Who may watch: 전체관람가, 만 7세 이상 and so on.
    pub rating: String,
    /// Blocks of seats from the front of the hall to the back.
    pub grades: Vec<ImportGrade>,
    /// When the performances begin.
    #[serde(serialize_with = "write_times", deserialize_with = "read_times")]
    pub performances: Vec<OffsetDateTime>,
}

/// One block of seats: a grade, its price and its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportGrade {
    /// VIP, R, S, A or any other name.
    pub grade: String,
    /// The price of one seat.
    pub price_krw: i64,
    /// How many rows.
    pub rows: u32,
    /// How many seats in each row.
    pub seats_per_row: u32,
}

/// Why a catalogue file was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it, for a person to read.
    pub reason: String,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for ImportError {}

impl ImportGrade {
    /// How many seats the block has.
    pub fn seats(&self) -> u32 {
        self.rows.saturating_mul(self.seats_per_row)
    }
}

impl ImportEvent {
    /// How many seats one performance has.
    pub fn seats(&self) -> u32 {
        self.grades.iter().fold(0, |sum, grade| sum.saturating_add(grade.seats()))
    }

    /// Whether the event keeps all rules of the format; if not, which one it breaks.
    pub fn check(&self) -> Result<(), String> {
        check_text("title", &self.title, MAX_TITLE_CHARS)?;
        if let Some(title_en) = &self.title_en {
            check_text("title_en", title_en, MAX_TITLE_CHARS)?;
        }
        check_text("category", &self.category, MAX_CATEGORY_CHARS)?;
        check_text("place", &self.place, MAX_PLACE_CHARS)?;
        check_text("rating", &self.rating, MAX_RATING_CHARS)?;
        if self.cast.len() > CAST_MAX {
            return Err(format!("cast has more than {CAST_MAX} names"));
        }
        for (at, name) in self.cast.iter().enumerate() {
            check_text("cast", name, LABEL_CHARS_MAX)?;
            if self.cast[..at].contains(name) {
                return Err(format!("cast names {name} twice"));
            }
        }
        if self.description.chars().count() > MAX_DESCRIPTION_CHARS {
            return Err(format!("description is longer than {MAX_DESCRIPTION_CHARS} characters"));
        }
        if !(1..=MAX_RUNTIME_MIN).contains(&self.runtime_min) {
            return Err(format!("runtime_min must be 1 to {MAX_RUNTIME_MIN}, not {}", self.runtime_min));
        }
        if self.ends_on < self.starts_on {
            return Err(format!("ends_on {} is before starts_on {}", iso_date(self.ends_on), iso_date(self.starts_on)));
        }
        if (self.ends_on - self.starts_on).whole_days() > MAX_RUN_DAYS {
            return Err(format!("the run is longer than {MAX_RUN_DAYS} days"));
        }
        self.check_grades()?;
        self.check_performances()
    }

    fn check_grades(&self) -> Result<(), String> {
        if self.grades.is_empty() {
            return Err("grades is empty".to_owned());
        }
        if self.grades.len() > MAX_GRADES {
            return Err(format!("more than {MAX_GRADES} grades"));
        }
        let mut names = BTreeSet::new();
        for grade in &self.grades {
            check_text("grade", &grade.grade, MAX_GRADE_CHARS)?;
            let name = &grade.grade;
            if !names.insert(name.trim()) {
                return Err(format!("grade {name} is listed twice"));
            }
            if !(0..=MAX_PRICE_KRW).contains(&grade.price_krw) {
                return Err(format!("grade {name}: price_krw must be 0 to {MAX_PRICE_KRW}, not {}", grade.price_krw));
            }
            if !(1..=MAX_ROWS).contains(&grade.rows) {
                return Err(format!("grade {name}: rows must be 1 to {MAX_ROWS}, not {}", grade.rows));
            }
            if !(1..=MAX_SEATS_PER_ROW).contains(&grade.seats_per_row) {
                return Err(format!(
                    "grade {name}: seats_per_row must be 1 to {MAX_SEATS_PER_ROW}, not {}",
                    grade.seats_per_row
                ));
            }
        }
        if self.seats() > MAX_SEATS {
            return Err(format!("{} seats are more than {MAX_SEATS}", self.seats()));
        }
        Ok(())
    }

    fn check_performances(&self) -> Result<(), String> {
        if self.performances.len() > MAX_PERFORMANCES {
            return Err(format!("more than {MAX_PERFORMANCES} performances"));
        }
        let mut seen = BTreeSet::new();
        for at in &self.performances {
            let shown = at.format(&Rfc3339).unwrap_or_else(|_| at.to_string());
            let day = at.checked_to_offset(KOREA).map(OffsetDateTime::date);
            if day.is_none_or(|day| day < self.starts_on || day > self.ends_on) {
                return Err(format!(
                    "performance {shown} is outside of the run, {} to {}",
                    iso_date(self.starts_on),
                    iso_date(self.ends_on)
                ));
            }
            if !seen.insert(at.unix_timestamp_nanos()) {
                return Err(format!("performance {shown} is listed twice"));
            }
        }
        Ok(())
    }
}

/// Reads a catalogue file. Blank lines are skipped; the first bad line refuses the file.
pub fn parse_jsonl(text: &str) -> Result<Vec<ImportEvent>, ImportError> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut events = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let refuse = |reason: String| ImportError { line: number, reason };
        if line.len() > MAX_LINE_BYTES {
            return Err(refuse(format!("the line is longer than {MAX_LINE_BYTES} bytes")));
        }
        if events.len() == MAX_EVENTS {
            return Err(refuse(format!("the file has more than {MAX_EVENTS} events")));
        }
        let event: ImportEvent = serde_json::from_str(line).map_err(|error| refuse(json_reason(&error)))?;
        event.check().map_err(refuse)?;
        events.push(event);
    }
    Ok(events)
}

/// Writes events as a catalogue file.
pub fn to_jsonl(events: &[ImportEvent]) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    for event in events {
        text.push_str(&serde_json::to_string(event)?);
        text.push('\n');
    }
    Ok(text)
}

/// Reads `YYYY-MM-DD`.
pub fn parse_date(text: &str) -> Option<Date> {
    let ordinary = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    ordinary.then(|| Date::parse(text, format_description!("[year]-[month]-[day]")).ok()).flatten()
}

/// Writes `YYYY-MM-DD`.
pub fn iso_date(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// The parser counts lines within the one line it is given; only its column means anything to the reader.
fn json_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(reason) => format!("{reason} (column {})", error.column()),
        None => text,
    }
}

fn check_text(field: &str, text: &str, max_chars: usize) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err(format!("{field} is empty"));
    }
    if text.chars().count() > max_chars {
        return Err(format!("{field} is longer than {max_chars} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{field} contains a control character"));
    }
    Ok(())
}

// By reference: serde says so.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn write_date<S: Serializer>(date: &Date, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&iso_date(*date))
}

fn read_date<'de, D: Deserializer<'de>>(from: D) -> Result<Date, D::Error> {
    let text = String::deserialize(from)?;
    parse_date(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a date (YYYY-MM-DD)")))
}

fn write_times<S: Serializer>(times: &[OffsetDateTime], to: S) -> Result<S::Ok, S::Error> {
    let texts: Result<Vec<String>, _> = times.iter().map(|at| at.format(&Rfc3339)).collect();
    texts.map_err(serde::ser::Error::custom)?.serialize(to)
}

fn read_times<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<OffsetDateTime>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let read = |text: &String| {
        OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
            serde::de::Error::custom(format!("{text:?} is not a time with an offset (2026-12-24T19:30:00+09:00)"))
        })
    };
    texts.iter().map(read).collect()
}
