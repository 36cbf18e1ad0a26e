//! Seat states on the wire: snapshots of two bits a seat, changes, and the frames of the event stream.

use base64::{Engine, engine::general_purpose::STANDARD};
use nugul_domain::{SeatIndex, SeatState, seat_book::Change};
use serde::{Deserialize, Serialize};

/// The name of a frame that carries a [`SeatSnapshot`].
pub const EVENT_SNAPSHOT: &str = "snapshot";
/// The name of a frame that carries [`SeatChanges`].
pub const EVENT_CHANGES: &str = "changes";
/// A comment that shows the stream lives.
pub const HEARTBEAT: &str = ": alive\n\n";
/// How often it comes, in milliseconds.
pub const HEARTBEAT_MS: u64 = 10_000;
/// What a browser waits before it reconnects, in milliseconds.
pub const RETRY_MS: u64 = 1_000;

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
        Self { version, seat_count: u32::try_from(states.len()).unwrap_or(u32::MAX), states: STANDARD.encode(bytes) }
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

    /// As a frame of the stream.
    pub fn frame(&self) -> String {
        frame(EVENT_CHANGES, self.to, self)
    }
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
}
