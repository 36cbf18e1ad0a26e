//! Seat states on the wire: snapshots of two bits a seat, changes, and the frames of the event stream.
//!
//! A stream is `retry`, then a snapshot or the changes missed since `Last-Event-ID`, then changes as they come. Only these
//! have an id, the version after them. Between them come [`SaleStatus`], [`Link`] and, last, [`Close`].

pub mod history;

use base64::{Engine, engine::general_purpose::STANDARD};
use nugul_domain::{SeatIndex, SeatState, Timestamp, seat_book::Change};
use serde::{Deserialize, Serialize};

/// The name of a frame that carries a [`SeatSnapshot`].
pub const EVENT_SNAPSHOT: &str = "snapshot";
/// The name of a frame that carries [`SeatChanges`].
pub const EVENT_CHANGES: &str = "changes";
/// The name of a frame that carries a [`SaleStatus`].
pub const EVENT_STATUS: &str = "status";
/// The name of a frame that carries a [`Link`].
pub const EVENT_LINK: &str = "link";
/// The name of a frame that carries a [`Close`].
pub const EVENT_CLOSE: &str = "close";
/// A comment that shows the stream lives.
pub const HEARTBEAT: &str = ": alive\n\n";
/// How often it comes at least, in milliseconds.
pub const HEARTBEAT_MS: u64 = 5_000;
/// The least a reader waits before it reconnects, in milliseconds.
pub const RETRY_MS: u64 = 1_000;
/// How many readers shall come back in a second to a room that lost all of them at once.
pub const RETURNS_PER_S: u64 = 250;
/// The least that the waits of readers are spread, in milliseconds.
pub const RETRY_SPREAD_MIN_MS: u64 = 1_000;
/// The most, in milliseconds: also the last of many is back in a few seconds.
pub const RETRY_SPREAD_MAX_MS: u64 = 4_000;

/// The `retry:` field for one of so many `readers` of a room, by chance: the more there are, the further apart they come back,
/// at about [`RETURNS_PER_S`] as far as [`RETRY_SPREAD_MAX_MS`] allows.
pub fn retry(chance: u16, readers: usize) -> String {
    let spread = u64::try_from(readers).unwrap_or(u64::MAX).saturating_mul(1_000) / RETURNS_PER_S;
    let spread = spread.clamp(RETRY_SPREAD_MIN_MS, RETRY_SPREAD_MAX_MS);
    format!("retry: {}\n\n", RETRY_MS + u64::from(chance) * spread / u64::from(u16::MAX))
}

/// `GET performances/{id}/seats`, and the first frame of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeatSnapshot {
    /// The version it is of. Changes after it are `version + 1`, `version + 2` …
    pub version: i64,
    /// How many seats.
    pub seat_count: u32,
    /// Two bits a seat in Base64, seat 0 in the lowest bits of the first byte: 0 available, 1 held, 2 sold, 3 blocked.
    pub states: String,
    /// Whether it replaces what the reader had, because the changes since are not kept any more or are too many.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reset: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// The answer of `POST performances/{id}/stream-tickets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StreamTicket {
    /// Goes into the stream's address: `performances/{id}/stream?ticket=…`.
    pub ticket: String,
    /// From when it opens no stream any more. One that is open goes on.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
}

/// What a seat page shows beside seats; sent when it changed, at most once a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleStatus {
    /// Seats that are free, by grade, in the hall's order.
    pub remaining: Vec<Remaining>,
    /// When sales open.
    pub sales_open_at: Timestamp,
    /// When sales close.
    pub sales_close_at: Timestamp,
    /// Whether the organiser cancelled the performance.
    pub cancelled: bool,
}

/// How many seats of a grade are free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remaining {
    /// The grade.
    pub grade: String,
    /// How many.
    pub free: u32,
}

/// Whether the stream has contact with where changes come from. While it has not, what was told may be old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// It has.
    pub live: bool,
}

/// The last frame of a stream that is closed on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// Why.
    pub reason: CloseReason,
}

/// Why a stream is closed on purpose. Whoever still looks connects again, with the id of the last frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// The process ends.
    Shutdown,
    /// The stream has been open as long as one may.
    Lifetime,
    /// The reader did not keep up.
    Slow,
    /// What the stream was opened with is not good any more: a ticket that ended, where the stream had to be opened anew.
    Refused,
}

impl CloseReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Shutdown, Self::Lifetime, Self::Slow, Self::Refused];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Lifetime => "lifetime",
            Self::Slow => "slow",
            Self::Refused => "refused",
        }
    }
}

impl SaleStatus {
    /// As a frame of the stream.
    pub fn frame(&self) -> String {
        note(EVENT_STATUS, self)
    }
}

impl Link {
    /// As a frame of the stream.
    pub fn frame(self) -> String {
        note(EVENT_LINK, &self)
    }
}

impl Close {
    /// As a frame of the stream.
    pub fn frame(self) -> String {
        note(EVENT_CLOSE, &self)
    }
}

/// The changes from one version to another, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeatChanges {
    /// The version they start from.
    pub from: i64,
    /// The version after them; also the frame's id.
    pub to: i64,
    /// For each version in order, the seats and their new state (0–3).
    pub changes: Vec<Vec<(SeatIndex, u8)>>,
}

impl SeatSnapshot {
    /// Packs states.
    pub fn pack(version: i64, states: &[SeatState]) -> Self {
        let bytes: Vec<u8> = states
            .chunks(4)
            .map(|four| four.iter().enumerate().fold(0, |byte, (k, s)| byte | ((*s as u8) << (2 * k))))
            .collect();
        let seat_count = u32::try_from(states.len()).unwrap_or(u32::MAX);
        Self { version, seat_count, states: STANDARD.encode(bytes), reset: false }
    }

    /// The same, marked as replacing what the reader had.
    #[must_use]
    pub fn marked(self) -> Self {
        Self { reset: true, ..self }
    }

    /// The states by index; `None` where the text is damaged or of another length.
    pub fn unpack(&self) -> Option<Vec<SeatState>> {
        let bytes = STANDARD.decode(&self.states).ok()?;
        let count = self.seat_count as usize;
        if bytes.len() != count.div_ceil(4) {
            return None;
        }
        let all = bytes.iter().flat_map(|b| (0..4).map(move |k| SeatState::from_bits(b >> (2 * k))));
        Some(all.take(count).collect())
    }

    /// As a frame of the stream.
    pub fn frame(&self) -> String {
        frame(EVENT_SNAPSHOT, self.version, self)
    }
}

impl SeatChanges {
    /// Merges consecutive changes into one frame; `None` where there are none.
    pub fn merge(changes: &[Change]) -> Option<Self> {
        let (first, last) = (changes.first()?, changes.last()?);
        let changes = changes.iter().map(|c| c.seats.iter().map(|&(i, s)| (i, s as u8)).collect()).collect();
        Some(Self { from: first.version - 1, to: last.version, changes })
    }

    /// The part after `version`; `None` where they do not reach to it, or end before it.
    pub fn after(&self, version: i64) -> Option<Self> {
        let skip = usize::try_from(version.checked_sub(self.from)?).ok()?;
        let changes = self.changes.get(skip..).filter(|rest| !rest.is_empty())?.to_vec();
        Some(Self { from: version, to: self.to, changes })
    }

    /// As a frame of the stream.
    pub fn frame(&self) -> String {
        frame(EVENT_CHANGES, self.to, self)
    }
}

/// A frame without an id: it is not part of the order of changes.
fn note(event: &str, data: &impl Serialize) -> String {
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {event}\ndata: {data}\n\n")
}

fn frame(event: &str, id: i64, data: &impl Serialize) -> String {
    // These types have no map keys or failing serializers, so this does not fail.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {event}\nid: {id}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bits_a_seat_and_back() {
        let states: Vec<_> = (0..10u8).map(SeatState::from_bits).collect();
        let packed = SeatSnapshot::pack(7, &states);
        assert_eq!(packed.states, "5OQE");
        assert_eq!(packed.unpack(), Some(states));
        assert_eq!(SeatSnapshot { seat_count: 13, ..packed }.unpack(), None);
    }

    #[test]
    fn consecutive_changes_are_one_frame() {
        let change = |version, i| Change { version, seats: vec![(i, SeatState::Held)] };
        let merged = SeatChanges::merge(&[change(5, 1), change(6, 2)]).unwrap();
        assert_eq!(
            merged.frame(),
            "event: changes\nid: 6\ndata: {\"from\":4,\"to\":6,\"changes\":[[[1,1]],[[2,1]]]}\n\n"
        );
        assert_eq!(SeatChanges::merge(&[]), None);
    }

    #[test]
    fn a_part_of_a_frame_goes_on_where_the_reader_is() {
        let change = |version, i| Change { version, seats: vec![(i, SeatState::Held)] };
        let merged = SeatChanges::merge(&[change(5, 1), change(6, 2)]).unwrap();
        assert_eq!(merged.after(4), Some(merged.clone()));
        assert_eq!(merged.after(5), SeatChanges::merge(&[change(6, 2)]));
        for outside in [3, 6, 7, i64::MIN, i64::MAX] {
            assert_eq!(merged.after(outside), None, "{outside}");
        }
    }

    #[test]
    fn what_is_no_change_has_no_id() {
        assert_eq!(Link { live: false }.frame(), "event: link\ndata: {\"live\":false}\n\n");
        for reason in CloseReason::ALL {
            let said = format!("event: close\ndata: {{\"reason\":\"{}\"}}\n\n", reason.as_str());
            assert_eq!(Close { reason }.frame(), said);
        }
    }

    #[test]
    fn the_more_readers_there_are_the_further_apart_they_come_back() {
        for (readers, last) in [(0, 2_000), (1, 2_000), (500, 3_000), (1_000, 5_000), (usize::MAX, 5_000)] {
            assert_eq!(retry(0, readers), "retry: 1000\n\n");
            assert_eq!(retry(u16::MAX, readers), format!("retry: {last}\n\n"));
        }
    }
}
