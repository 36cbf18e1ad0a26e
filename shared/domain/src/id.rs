//! Identifiers: `UUIDv7` (RFC 9562) whose first eight random bits are the number of the region that made them.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

use crate::time::Timestamp;

/// The number of a region, 0–255. One coordinator owns one region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Region(pub u8);

/// The random bytes one identifier takes.
pub const RANDOM_BYTES: usize = 9;

/// A text that is not an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an identifier")
    }
}

impl std::error::Error for NotAnId {}

/// Lays out a `UUIDv7`: 48 bits of milliseconds, version, region, then `random`.
fn build(region: Region, now: Timestamp, random: [u8; RANDOM_BYTES]) -> Uuid {
    let ms = u64::try_from(now.as_millis()).unwrap_or(0).to_be_bytes();
    let mut b = [0u8; 16];
    b[..6].copy_from_slice(&ms[2..]);
    b[6] = 0x70 | (region.0 >> 4);
    b[7] = (region.0 << 4) | (random[0] & 0x0f);
    b[8..].copy_from_slice(&random[1..]);
    b[8] = 0x80 | (b[8] & 0x3f);
    Uuid::from_bytes(b)
}

fn region_of(id: Uuid) -> Region {
    let b = id.as_bytes();
    Region((b[6] << 4) | (b[7] >> 4))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// A new identifier of `region`, made at `now` with `random` bytes from a secure source.
            pub fn new(region: Region, now: Timestamp, random: [u8; RANDOM_BYTES]) -> Self {
                Self(build(region, now, random))
            }
            /// The region that made it.
            pub fn region(self) -> Region {
                region_of(self.0)
            }
            /// The sixteen bytes stored in SQL.
            pub fn to_bytes(self) -> Vec<u8> {
                self.0.as_bytes().to_vec()
            }
            /// Reads what [`Self::to_bytes`] wrote.
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAnId> {
                let id = Uuid::from_slice(bytes).map_err(|_| NotAnId)?;
                Self::checked(id)
            }
            fn checked(id: Uuid) -> Result<Self, NotAnId> {
                if id.get_version_num() == 7 { Ok(Self(id)) } else { Err(NotAnId) }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }
        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(s: &str) -> Result<Self, NotAnId> {
                // The hyphenated form alone, so that one thing has one name in addresses and caches.
                if s.len() != 36 {
                    return Err(NotAnId);
                }
                Self::checked(Uuid::try_parse(s).map_err(|_| NotAnId)?)
            }
        }
        impl TryFrom<String> for $name {
            type Error = NotAnId;
            fn try_from(s: String) -> Result<Self, NotAnId> {
                s.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    )+};
}

ids! {
    /// An account.
    UserId,
    /// An event (공연).
    EventId,
    /// A performance (회차) of an event.
    PerformanceId,
    /// Seats kept for a buyer for some minutes.
    HoldId,
    /// A purchase.
    OrderId,
    /// A right to one seat of one performance.
    TicketId,
    /// A ticket's money on its way back.
    RefundId,
    /// A job of the search indexes.
    SearchJobId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_tells_its_region_and_survives_text_and_bytes(region: u8, ms in 0i64..1 << 47, random: [u8; RANDOM_BYTES]) {
            let id = OrderId::new(Region(region), Timestamp::from_millis(ms), random);
            prop_assert_eq!(id.region(), Region(region));
            prop_assert_eq!(id.to_string().parse::<OrderId>(), Ok(id));
            prop_assert_eq!(OrderId::from_bytes(&id.to_bytes()), Ok(id));
        }

        #[test]
        fn later_ids_sort_later(a in 0i64..1 << 47, b in 0i64..1 << 47, r: [u8; RANDOM_BYTES]) {
            prop_assume!(a < b);
            let id = |ms| OrderId::new(Region(0), Timestamp::from_millis(ms), r);
            prop_assert!(id(a) < id(b));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "1", "0190163d8694739baea5966c26f8ad91", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"] {
            assert_eq!(text.parse::<OrderId>(), Err(NotAnId), "{text}");
        }
    }
}
