//! How the readers of a hot performance are spread over rooms.
//!
//! The first room of a performance, its root, follows the coordinator and takes readers until it has enough. From then on it
//! sends them to shards: rooms whose upstream is the root. So the coordinator sees one upstream, whatever comes. Who is sent
//! away picks one of the shards there are; where that is full the root opens one more. Who comes a moment later is not sent by the
//! root any more but goes where the one before found a place: when thousands come back at once, most are asked for once.

use std::collections::HashMap;

/// Readers of a room before more are sent elsewhere, where no setting says otherwise.
pub const ROOM_READERS: usize = 1_000;
/// The most shards of a performance.
pub const SHARDS_MAX: u32 = 64;
/// Rooms one reader is sent to before it is told to come back later.
pub const TRIES_MAX: usize = 4;
/// For how long others go where one found a place, in milliseconds. A moment only: so readers are spread over all shards, and a
/// root that has places again gets readers.
const RECENT_MS: i64 = 1_000;
/// Performances for which that is remembered.
const RECENT_MAX: usize = 1_000;

/// What the root knows of its shards. Lost with the root's memory; then it opens them again one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards(u32);

impl Default for Shards {
    fn default() -> Self {
        Self(1)
    }
}

impl Shards {
    /// How many there are.
    pub const fn open(self) -> u32 {
        self.0
    }

    /// Takes that one of `of` shards was full: where no more were opened since, one more is.
    pub fn full(&mut self, of: u32) {
        if of == self.0 {
            self.0 = (self.0 + 1).min(SHARDS_MAX);
        }
    }
}

/// Which of `open` shards a reader tries: any at first, by chance; after a full one the newest.
pub fn pick(open: u32, chance: u32, after_full: bool) -> u32 {
    let open = open.clamp(1, SHARDS_MAX);
    if after_full { open - 1 } else { chance % open }
}

/// The shards that took a reader a moment ago, by performance, and since when they are remembered.
#[derive(Debug, Default)]
pub struct Recent(HashMap<String, (u32, i64)>);

impl Recent {
    /// The shard to try first, without asking the root.
    pub fn shard(&self, performance: &str, now_ms: i64) -> Option<u32> {
        self.0.get(performance).filter(|(_, since)| is_recent(*since, now_ms)).map(|(shard, _)| *shard)
    }

    /// A shard took a reader.
    pub fn took(&mut self, performance: &str, shard: u32, now_ms: i64) {
        if self.shard(performance, now_ms) == Some(shard) {
            return;
        }
        if self.0.len() >= RECENT_MAX {
            self.0.retain(|_, (_, since)| is_recent(*since, now_ms));
        }
        if self.0.len() < RECENT_MAX {
            self.0.insert(performance.to_owned(), (shard, now_ms));
        }
    }

    /// The shard of a performance that was remembered is full.
    pub fn full(&mut self, performance: &str) {
        self.0.remove(performance);
    }
}

fn is_recent(since: i64, now_ms: i64) -> bool {
    (0..RECENT_MS).contains(&(now_ms - since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_follow_into_a_shard_for_a_moment_unless_it_is_full() {
        let mut recent = Recent::default();
        assert_eq!(recent.shard("a", 5), None);
        recent.took("a", 3, 5);
        recent.took("a", 3, 900);
        assert_eq!((recent.shard("a", 1_004), recent.shard("b", 1_004)), (Some(3), None));
        // Not longer for those who followed; and not where the clock went back.
        assert_eq!((recent.shard("a", 1_005), recent.shard("a", 4)), (None, None));
        recent.took("a", 4, 1_005);
        assert_eq!(recent.shard("a", 1_005), Some(4));
        recent.full("a");
        assert_eq!(recent.shard("a", 1_005), None);
    }

    #[test]
    fn no_more_performances_are_remembered_than_there_is_room_for() {
        let mut recent = Recent::default();
        for n in 0..=RECENT_MAX {
            recent.took(&n.to_string(), 1, 0);
        }
        assert_eq!((recent.shard("0", 0), recent.shard(&RECENT_MAX.to_string(), 0)), (Some(1), None));
        recent.took("late", 2, RECENT_MS);
        assert_eq!((recent.shard("late", RECENT_MS), recent.0.len()), (Some(2), 1));
    }

    #[test]
    fn readers_that_find_no_room_open_shards_until_all_have_one() {
        let (mut shards, mut rooms, capacity) = (Shards::default(), [0usize; SHARDS_MAX as usize], 10);
        let mut refused = 0;
        for reader in 0..300u32 {
            let mut placed = false;
            for n in 0..TRIES_MAX {
                let shard = pick(shards.open(), reader.wrapping_mul(2_654_435_761) >> 7, n > 0);
                let room = &mut rooms[shard as usize];
                if *room < capacity {
                    *room += 1;
                    placed = true;
                    break;
                }
                shards.full(shards.open());
            }
            refused += usize::from(!placed);
        }
        assert_eq!(refused, 0);
        assert!(rooms.iter().all(|n| *n <= capacity) && rooms.iter().sum::<usize>() == 300);
    }

    #[test]
    fn many_who_tell_of_the_same_full_shard_open_one_more() {
        let mut shards = Shards::default();
        for _ in 0..5 {
            shards.full(1);
        }
        assert_eq!(shards.open(), 2);
        for of in 2..200 {
            shards.full(of);
        }
        assert_eq!(shards.open(), SHARDS_MAX);
        assert_eq!((pick(0, 7, false), pick(3, 7, false), pick(3, 7, true)), (0, 1, 2));
    }
}
