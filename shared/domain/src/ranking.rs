//! What people search for and look at most: whose vote counts, how a score fades, how places move.
//!
//! A vote is a search, a look at an event or a booking. Each counts for its weight at once and fades by half with every
//! half-life. A score is kept as the binary logarithm of what it would be at the epoch ("forward decay": Cormode,
//! Shkapenyuk, Srivastava, Xu, ICDE 2009): what fades fades alike for all, so the order of the kept numbers is the order of
//! the scores at any time, and nothing has to be rewritten as time passes.
//!
//! [`Board`] is all of it in memory; the coordinator's functions in Redis repeat it step by step.

mod board;
mod keyword;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use board::Board;
pub use keyword::{KEYWORD_CHARS_MAX, Keyword};

use crate::{EventId, Timestamp};

/// Votes of one batch.
pub const BATCH_VOTES_MAX: usize = 256;
/// What a look at an event counts for, and a search.
pub const LOOK_WEIGHT: u32 = 1;
/// What a booking counts for: some tens of looks lead to one.
pub const BOOKING_WEIGHT: u32 = 10;
/// A word that no event has is shown once so many people searched for it on one day.
pub const UNKNOWN_PEOPLE_MIN: u32 = 5;
/// Subjects kept in each ranking. Where there are more, the lowest tenth goes.
pub const KEPT_MAX: usize = 10_000;
/// How many are left after that.
pub const KEPT_AFTER_TRIM: usize = KEPT_MAX / 10 * 9;
/// The first places that are noted, so that movement can be told; no more are ever shown.
pub const NOTED_MAX: usize = 100;
/// The most places of one answer.
pub const PLACES_MAX: usize = 50;
/// A score that faded below this is not shown.
pub const SHOWN_MIN: f64 = 0.5;
/// Steps of demand for each doubling of a score: few, so that what is told of an event changes seldom.
pub const DEMAND_STEPS: f64 = 2.0;
/// Bits that remember the votes of one period: 2 MB. After a million votes one in 500 new ones is taken for a repeated
/// one; a repeated one is never taken for new.
pub const VOTE_BITS: u32 = 1 << 24;
/// Bits that one vote sets.
pub const BITS_PER_VOTE: usize = 4;
/// How long a source's last batch is remembered, in milliseconds: longer than any edge tries to send one.
pub const SOURCE_TTL_MS: i64 = 60 * 60 * 1000;

const MINUTE_MS: i64 = 60 * 1000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How far a ranking looks back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// About an hour.
    Hour,
    /// About a day.
    #[default]
    Day,
    /// About a week.
    Week,
}

impl Window {
    /// Every window, shortest first: the periods of one are parts of those of the next.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Week];

    /// Its name in keys and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|w| w.as_str() == text)
    }

    /// Its length in milliseconds. One person has one vote for a subject in each period of this length.
    pub const fn length_ms(self) -> i64 {
        match self {
            Self::Hour => HOUR_MS,
            Self::Day => DAY_MS,
            Self::Week => 7 * DAY_MS,
        }
    }

    /// The half-life in milliseconds: ln 2 times the length, so that where votes come evenly the score is their number
    /// within the window.
    pub const fn half_life_ms(self) -> i64 {
        match self {
            Self::Hour => 2_495_330,
            Self::Day => 59_887_916,
            Self::Week => 419_215_415,
        }
    }

    /// How often the places are noted, in milliseconds: movement is told since then.
    pub const fn step_ms(self) -> i64 {
        match self {
            Self::Hour => 10 * MINUTE_MS,
            Self::Day => HOUR_MS,
            Self::Week => DAY_MS,
        }
    }

    /// The number of the period `now` is in.
    pub const fn period(self, now: Timestamp) -> i64 {
        now.as_millis().div_euclid(self.length_ms())
    }

    /// The number of the step `now` is in.
    pub const fn step(self, now: Timestamp) -> i64 {
        now.as_millis().div_euclid(self.step_ms())
    }

    /// `now` in half-lives since the epoch.
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of this age are exact in a double")]
    pub fn age(self, now: Timestamp) -> f64 {
        now.as_millis() as f64 / self.half_life_ms() as f64
    }
}

/// What is ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Words searched for.
    Keywords,
    /// Events looked at and booked.
    Events,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Keywords, Self::Events];

    /// Its name in keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keywords => "keywords",
            Self::Events => "events",
        }
    }
}

/// A person as votes know them: a keyed digest that says nothing of who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Voter(pub u64);

/// Who sends batches: an edge instance's random name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(pub u128);

/// What a person did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Searched. `known` says that what was found has the word.
    Searched {
        /// The word.
        keyword: Keyword,
        /// Whether events have it.
        known: bool,
    },
    /// Opened an event's page.
    Looked(EventId),
    /// Bought tickets of an event.
    Booked(EventId),
}

/// A vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// What was done.
    pub deed: Deed,
    /// By whom.
    pub voter: Voter,
}

impl Vote {
    /// Which rankings it counts in.
    pub const fn kind(&self) -> Kind {
        match self.deed {
            Deed::Searched { .. } => Kind::Keywords,
            Deed::Looked(_) | Deed::Booked(_) => Kind::Events,
        }
    }

    /// What it is for, as rankings keep it.
    pub fn subject(&self) -> String {
        match &self.deed {
            Deed::Searched { keyword, .. } => keyword.as_str().to_owned(),
            Deed::Looked(event) | Deed::Booked(event) => event.to_string(),
        }
    }

    /// What it counts for.
    pub const fn weight(&self) -> u32 {
        match self.deed {
            Deed::Searched { .. } | Deed::Looked(_) => LOOK_WEIGHT,
            Deed::Booked(_) => BOOKING_WEIGHT,
        }
    }

    /// Whether it counts only once [`UNKNOWN_PEOPLE_MIN`] people voted for the same.
    pub const fn needs_people(&self) -> bool {
        matches!(self.deed, Deed::Searched { known: false, .. })
    }

    /// The bits that remember it within a period. Where all are set, it was cast before.
    pub fn bits(&self) -> [u32; BITS_PER_VOTE] {
        let deed = match self.deed {
            Deed::Searched { .. } => 0,
            Deed::Looked(_) => 1,
            Deed::Booked(_) => 2,
        };
        let text = self.subject();
        let bytes = text.bytes().chain(self.voter.0.to_le_bytes()).chain([deed]);
        // FNV-1a, then two finalisers (MurmurHash3's) for a hash and its stride. Voters are keyed digests, so nobody outside
        // can look for collisions.
        let hash = bytes.fold(0xCBF2_9CE4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3));
        let mix = |h: u64, by: u64| {
            let h = (h ^ (h >> 33)).wrapping_mul(by);
            h ^ (h >> 29)
        };
        let (first, stride) = (mix(hash, 0xFF51_AFD7_ED55_8CCD), mix(hash, 0xC4CE_B9FE_1A85_EC53) | 1);
        let mut at = first;
        [(); BITS_PER_VOTE].map(|()| {
            at = at.wrapping_add(stride);
            u32::try_from(at >> 40).unwrap_or(0) % VOTE_BITS
        })
    }
}

/// Votes on their way, in the order they were cast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Who sends it.
    pub source: Source,
    /// Rises by at least one with each new batch of the source; a batch sent again has the number it had.
    pub seq: u64,
    /// At most [`BATCH_VOTES_MAX`].
    pub votes: Vec<Vote>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// So many of its votes were new in at least one window and count.
    Counted(u32),
    /// It, or a later one of its source, was taken before: nothing was changed.
    Repeated,
}

/// A score as it is kept: the binary logarithm of what it would have been at the epoch.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Score(pub f64);

impl Score {
    /// No vote.
    pub const NONE: Self = Self(f64::NEG_INFINITY);

    /// With a vote of this weight, at least 1, cast at `now`.
    #[must_use]
    pub fn with(self, window: Window, now: Timestamp, weight: u32) -> Self {
        let new = window.age(now) + f64::from(weight).log2();
        let (high, low) = if self.0 > new { (self.0, new) } else { (new, self.0) };
        Self(high + (1.0 + (low - high).exp2()).log2())
    }

    /// How many votes cast at `now` it is worth.
    pub fn worth(self, window: Window, now: Timestamp) -> f64 {
        (self.0 - window.age(now)).exp2()
    }

    /// The demand that searches are told of, in steps of a score's logarithm ([`DEMAND_STEPS`]): 0 for what has faded below
    /// [`SHOWN_MIN`], 1 for that.
    pub fn demand(self, window: Window, now: Timestamp) -> u32 {
        let doublings = self.0 - window.age(now) - SHOWN_MIN.log2();
        if doublings < 0.0 {
            return 0;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; saturates")]
        let steps = (doublings * DEMAND_STEPS).floor() as u32;
        steps.saturating_add(1)
    }
}

/// A ranking as it is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Subjects and scores, highest first, at most [`NOTED_MAX`].
    pub now: Vec<(String, Score)>,
    /// The subjects at the beginning of this step, highest first.
    pub before: Vec<String>,
}

/// How a place changed since the beginning of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// It was in no place.
    New,
    /// It rose by so many places; negative where it fell, 0 where it stayed.
    By(i32),
}

/// A place of a ranking.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// From 1.
    pub rank: u32,
    /// What is there.
    pub subject: String,
    /// How many votes cast now it is worth.
    pub score: f64,
    /// How it changed.
    pub movement: Movement,
}

impl Standing {
    /// The first `limit` places, at most [`PLACES_MAX`], of what is `visible` and has not faded. Both before and now, what is
    /// not visible has no place.
    pub fn places(&self, window: Window, now: Timestamp, limit: usize, visible: impl Fn(&str) -> bool) -> Vec<Place> {
        let before: Vec<&String> = self.before.iter().filter(|s| visible(s)).collect();
        let place_of = |index: usize| i32::try_from(index).unwrap_or(i32::MAX);
        self.now
            .iter()
            .filter(|(subject, score)| score.worth(window, now) >= SHOWN_MIN && visible(subject))
            .take(limit.min(PLACES_MAX))
            .zip(0..)
            .map(|((subject, score), index)| Place {
                rank: index + 1,
                subject: subject.clone(),
                score: score.worth(window, now),
                movement: match before.iter().position(|s| *s == subject) {
                    None => Movement::New,
                    Some(was) => Movement::By(place_of(was) - i32::try_from(index).unwrap_or(i32::MAX)),
                },
            })
            .collect()
    }
}
