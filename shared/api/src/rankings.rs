//! What people search for and look at most: the rankings, and the votes that edges send.

use nugul_domain::{EventId, Timestamp, ranking};
use serde::{Deserialize, Serialize};

use crate::catalogue::EventSummary;

/// Places where the client does not say how many.
pub const PLACES_DEFAULT: usize = 10;
/// The largest number of a batch: what every JSON reader keeps exactly.
pub const SEQ_MAX: u64 = (1 << 53) - 1;

/// `GET rankings/keywords`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeywordRanking {
    /// How far it looks back: `hour`, `day` or `week`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub window: ranking::Window,
    /// After this many seconds a vote counts for half.
    pub half_life_s: u32,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub as_of: Timestamp,
    /// The first place first.
    pub items: Vec<RankedKeyword>,
}

/// `GET rankings/events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventRanking {
    /// How far it looks back: `hour`, `day` or `week`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub window: ranking::Window,
    /// After this many seconds a vote counts for half.
    pub half_life_s: u32,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub as_of: Timestamp,
    /// The first place first.
    pub items: Vec<RankedEvent>,
}

/// A keyword in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RankedKeyword {
    /// From 1.
    pub rank: u32,
    /// The keyword.
    pub keyword: String,
    /// How its place changed.
    pub movement: Movement,
    /// How many votes cast now it is worth.
    pub score: f64,
}

/// An event in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RankedEvent {
    /// From 1.
    pub rank: u32,
    /// The event.
    pub event: EventSummary,
    /// How its place changed.
    pub movement: Movement,
    /// How many votes cast now it is worth.
    pub score: f64,
}

/// How a place changed since the ranking's last step: ten minutes, an hour or a day ago at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Movement {
    /// It had no place.
    New,
    /// It has the place it had.
    Same,
    /// It rose.
    Up {
        /// By so many places.
        places: u32,
    },
    /// It fell.
    Down {
        /// By so many places.
        places: u32,
    },
}

impl From<ranking::Movement> for Movement {
    fn from(movement: ranking::Movement) -> Self {
        match movement {
            ranking::Movement::New => Self::New,
            ranking::Movement::By(0) => Self::Same,
            ranking::Movement::By(places @ 1..) => Self::Up { places: places.unsigned_abs() },
            ranking::Movement::By(places) => Self::Down { places: places.unsigned_abs() },
        }
    }
}

/// `POST rankings/votes`: from edges alone, which show their key. `source` and `seq` are what other writes have their
/// idempotency key for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VoteBatch {
    /// The random name of the edge instance: 32 hexadecimal digits.
    pub source: String,
    /// From 1, higher with each new batch; a batch sent again has the number it had. At most 2^53 − 1.
    pub seq: u64,
    /// 1 to 256 votes.
    pub votes: Vec<Vote>,
}

/// A vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Vote {
    /// Somebody searched.
    Searched {
        /// For this, 1 to 30 characters.
        keyword: String,
        /// Whether what was found has it.
        known: bool,
        /// The person's mark: 16 hexadecimal digits.
        voter: String,
    },
    /// Somebody looked at an event.
    Looked {
        /// At this.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        event_id: EventId,
        /// The person's mark: 16 hexadecimal digits.
        voter: String,
    },
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VotesTaken {
    /// It, or a later one of its source, was taken before: nothing was changed.
    pub repeated: bool,
    /// Votes that count.
    pub counted: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn movement_reads_back() {
        for (moved, json) in [
            (ranking::Movement::New, r#"{"kind":"new"}"#),
            (ranking::Movement::By(0), r#"{"kind":"same"}"#),
            (ranking::Movement::By(2), r#"{"kind":"up","places":2}"#),
            (ranking::Movement::By(-3), r#"{"kind":"down","places":3}"#),
        ] {
            let movement = Movement::from(moved);
            assert_eq!(serde_json::to_string(&movement).unwrap(), json);
            assert_eq!(serde_json::from_str::<Movement>(json).unwrap(), movement);
        }
    }

    #[test]
    fn a_vote_has_no_other_fields() {
        let event = "00000000-0000-7000-8000-000000000000";
        let vote = |more: &str| format!(r#"{{"deed":"looked","event_id":"{event}","voter":"0123456789abcdef"{more}}}"#);
        assert!(serde_json::from_str::<Vote>(&vote("")).is_ok());
        assert!(serde_json::from_str::<Vote>(&vote(r#","weight":9"#)).is_err());
    }
}
