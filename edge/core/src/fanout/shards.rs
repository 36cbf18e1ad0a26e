//! How the readers of a hot performance are spread over rooms.
//!
//! The first room of a performance, its root, follows the coordinator and takes readers until it has enough. From then on it
//! sends them to shards: rooms whose upstream is the root. So the coordinator sees one upstream, whatever comes. The root counts
//! whom it sent where, because thousands who come at once are all sent before the first is there; that a shard is full of others
//! it hears from whoever was sent there. In a crowd a few may follow whoever was sent, without asking the root.

use std::{collections::HashMap, fmt, str::FromStr};

/// Readers of a room before more are sent elsewhere, where no setting says otherwise.
pub const ROOM_READERS: usize = 1_000;
/// The most shards of a performance.
pub const SHARDS_MAX: u32 = 64;
/// Rooms one reader is sent to before it is told to come back later.
pub const TRIES_MAX: usize = 4;
/// How long the root remembers whom it sent and which shards are full, in milliseconds: longer than a crowd is on its way, so
/// that shards which lost readers get others.
const COUNTED_MS: i64 = 10_000;
/// The most who may follow one that was sent.
const FOLLOWERS_MAX: usize = 31;
/// One more may follow for so many as were sent lately.
const CROWD: usize = 16;
/// For how long they may, in milliseconds.
const FOLLOW_MS: i64 = 1_000;
/// The most performances whose followers are remembered.
const FOLLOWED_MAX: usize = 1_000;

/// Where a reader is sent. As text, two numbers with a space between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The shard, from 0.
    pub shard: u32,
    /// How many others may follow.
    pub followers: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.shard, self.followers)
    }
}

impl FromStr for Place {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (shard, followers) = text.split_once(' ').unwrap_or((text, "0"));
        Ok(Self { shard: shard.parse()?, followers: followers.parse()? })
    }
}

/// What the root knows of its shards. Lost with the root's memory; then it opens them again one by one.
#[derive(Debug, Default)]
pub struct Shards {
    shards: Vec<Shard>,
    since: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Shard {
    /// Who was sent there lately, with those who may follow.
    sent: usize,
    /// Somebody found no place there lately.
    full: bool,
}

impl Shards {
    /// Sends a reader to one of the shards that may have a place, by chance, and opens one where there is none; each takes
    /// `room_readers`. `full` is the shard where this reader found no place.
    pub fn send(&mut self, room_readers: usize, full: Option<u32>, chance: u32, now_ms: i64) -> Place {
        if !is_within(COUNTED_MS, self.since, now_ms) {
            self.shards.fill(Shard::default());
            self.since = now_ms;
        }
        let mut lately = 0;
        let mut may_have_places = Vec::new();
        for (number, shard) in (0..).zip(&mut self.shards) {
            shard.full |= full == Some(number);
            lately += shard.sent;
            if !shard.full && shard.sent < room_readers {
                may_have_places.push(number);
            }
        }
        let open = u32::try_from(self.shards.len()).unwrap_or(SHARDS_MAX);
        let shard = match may_have_places.get(chance as usize % may_have_places.len().max(1)) {
            Some(shard) => *shard,
            None if open < SHARDS_MAX => {
                self.shards.push(Shard::default());
                open
            }
            None => chance % SHARDS_MAX,
        };
        let mut followers = (lately / CROWD).min(FOLLOWERS_MAX);
        if let Some(shard) = self.shards.get_mut(shard as usize) {
            followers = followers.min(room_readers.saturating_sub(shard.sent + 1));
            shard.sent += 1 + followers;
        }
        Place { shard, followers }
    }
}

/// The shards where some may follow whoever was sent there a moment ago, by performance.
#[derive(Debug, Default)]
pub struct Followed(HashMap<String, (Place, i64)>);

impl Followed {
    /// The shard that one more may go to without asking the root.
    pub fn follow(&mut self, performance: &str, now_ms: i64) -> Option<u32> {
        let (place, since) = self.0.get_mut(performance)?;
        place.followers = place.followers.checked_sub(1).filter(|_| is_within(FOLLOW_MS, *since, now_ms))?;
        Some(place.shard)
    }

    /// A reader was sent.
    pub fn sent(&mut self, performance: &str, place: Place, now_ms: i64) {
        if self.0.len() >= FOLLOWED_MAX {
            self.0.retain(|_, (_, since)| is_within(FOLLOW_MS, *since, now_ms));
        }
        if place.followers > 0 && self.0.len() < FOLLOWED_MAX {
            self.0.insert(performance.to_owned(), (place, now_ms));
        }
    }

    /// A shard is full: nobody follows there.
    pub fn full(&mut self, performance: &str, shard: u32) {
        if self.0.get(performance).is_some_and(|(place, _)| place.shard == shard) {
            self.0.remove(performance);
        }
    }
}

/// Whether it is not longer ago, nor later: a clock may go back.
fn is_within(ms: i64, since: i64, now_ms: i64) -> bool {
    (0..ms).contains(&(now_ms - since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_follow_as_may_for_a_moment_unless_the_shard_is_full() {
        let mut followed = Followed::default();
        assert_eq!(followed.follow("a", 5), None);
        followed.sent("a", Place { shard: 3, followers: 2 }, 5);
        assert_eq!([5, 1_004, 1_004].map(|now| followed.follow("a", now)), [Some(3), Some(3), None]);
        assert_eq!(followed.follow("b", 6), None);
        // Not later, and not where the clock went back.
        followed.sent("a", Place { shard: 4, followers: 2 }, 2_000);
        assert_eq!((followed.follow("a", 3_000), followed.follow("a", 1_999)), (None, None));
        assert_eq!(followed.follow("a", 2_999), Some(4));
        // That another is full is no matter.
        followed.full("a", 3);
        assert_eq!(followed.follow("a", 2_999), Some(4));
        followed.sent("a", Place { shard: 4, followers: 2 }, 2_000);
        followed.full("a", 4);
        assert_eq!(followed.follow("a", 2_999), None);
    }

    #[test]
    fn no_more_performances_are_remembered_than_there_is_room_for() {
        let (mut followed, place) = (Followed::default(), Place { shard: 1, followers: 9 });
        for n in 0..=FOLLOWED_MAX {
            followed.sent(&n.to_string(), place, 0);
        }
        assert_eq!((followed.follow("0", 0), followed.follow(&FOLLOWED_MAX.to_string(), 0)), (Some(1), None));
        followed.sent("late", place, FOLLOW_MS);
        assert_eq!((followed.follow("late", FOLLOW_MS), followed.0.len()), (Some(1), 1));
    }

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = Place { shard: 63, followers: 31 };
        assert_eq!((place.to_string().as_str(), place.to_string().parse()), ("63 31", Ok(place)));
        assert!(["", "x 1", "1 x", "1 2 3", "-1 0"].into_iter().all(|text| text.parse::<Place>().is_err()));
    }

    /// Where `readers` go who come one after the other, each with its followers, into rooms of ten; all find a place at once.
    fn fill(shards: &mut Shards, readers: usize, now: i64) -> Vec<usize> {
        let (mut rooms, mut followed) = (vec![0; SHARDS_MAX as usize], Followed::default());
        for reader in 0..readers {
            let shard = followed.follow("a", now).unwrap_or_else(|| {
                let place = shards.send(10, None, u32::try_from(reader).unwrap().wrapping_mul(2_654_435_761) >> 7, now);
                followed.sent("a", place, now);
                place.shard
            });
            rooms[shard as usize] += 1;
        }
        rooms.retain(|n| *n > 0);
        rooms
    }

    #[test]
    fn thousands_who_are_sent_before_the_first_is_there_all_find_places() {
        let mut shards = Shards::default();
        assert_eq!(fill(&mut shards, 300, 5), [10; 30]);
        assert_eq!(fill(&mut Shards::default(), 10 * SHARDS_MAX as usize, 5), [10; SHARDS_MAX as usize]);
        // In the next moment those who were sent are there or gone: each shard may have places again.
        let again = fill(&mut shards, 100, 5 + COUNTED_MS);
        assert!(again.len() > 20 && again.len() <= 30 && again.iter().all(|n| *n <= 10), "{again:?}");
    }

    #[test]
    fn who_found_no_place_is_sent_elsewhere() {
        let mut shards = Shards::default();
        assert_eq!(shards.send(10, None, 0, 0), Place { shard: 0, followers: 0 });
        // Many who tell of the same full shard open one more.
        assert_eq!([(); 5].map(|()| shards.send(10, Some(0), 7, 0).shard), [1; 5]);
        assert_eq!(shards.send(10, Some(1), 7, 0).shard, 2);
        assert_eq!(shards.send(10, None, 7, 0).shard, 2);
        for shard in 2..SHARDS_MAX {
            shards.send(10, Some(shard), 0, 0);
        }
        assert_eq!((shards.shards.len(), shards.send(10, None, 70, 0).shard), (SHARDS_MAX as usize, 6));
        // Later any of them is tried again; nothing that there is not is full.
        assert_eq!(shards.send(10, Some(u32::MAX), 5, COUNTED_MS).shard, 5);
    }
}
