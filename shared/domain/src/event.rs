//! Bounds of what an organiser may say of an event, how many seats one buyer may have, and how long a stream ticket is good.

use serde::{Deserialize, Serialize};

/// The longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 120;
/// The longest category, place or name of who performs, in characters.
pub const LABEL_CHARS_MAX: usize = 80;
/// The most names of who performs in one event.
pub const CAST_MAX: usize = 64;
/// The longest description, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 5_000;
/// The longest running time, in minutes.
pub const RUNTIME_MIN_MAX: u32 = 24 * 60;
/// The most performances of one event.
pub const PERFORMANCES_MAX: usize = 400;
/// The most seats an organiser may allow one buyer.
pub const BUYER_SEATS_MAX: u32 = 20;

/// How long a stream ticket of a members-only event's performance is good, in milliseconds: time to connect, not to listen.
pub const STREAM_TICKET_TTL_MS: i64 = 60_000;

/// How many seats one buyer may have, held, ordered and ticketed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BuyerLimits {
    /// In one hold.
    pub hold_seats_max: u32,
    /// In one performance.
    pub performance_seats_max: u32,
    /// In all performances of the event.
    pub event_seats_max: u32,
}

impl Default for BuyerLimits {
    fn default() -> Self {
        Self { hold_seats_max: 4, performance_seats_max: 4, event_seats_max: 12 }
    }
}

impl BuyerLimits {
    /// The first limit that is not within 1 and [`BUYER_SEATS_MAX`], by its name.
    pub fn fault(&self) -> Option<&'static str> {
        let named = [
            ("hold_seats_max", self.hold_seats_max),
            ("performance_seats_max", self.performance_seats_max),
            ("event_seats_max", self.event_seats_max),
        ];
        named.into_iter().find(|(_, n)| !(1..=BUYER_SEATS_MAX).contains(n)).map(|(name, _)| name)
    }

    /// Whether the event's limit can stop a buyer whom none of its performances' limits stops.
    pub const fn event_may_bind(&self, performances: u32) -> bool {
        self.event_seats_max < self.performance_seats_max.saturating_mul(performances)
    }
}
