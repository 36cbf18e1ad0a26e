//! How the readers of a hot performance are spread over rooms.
//!
//! The first room of a performance, its root, follows the coordinator and takes readers until it has enough. From then on it
//! sends them to shards: rooms whose upstream is the root. So the coordinator sees one upstream, whatever comes. Who is sent
//! away picks one of the shards there are; where that is full the root opens one more.

/// Readers of a room before more are sent elsewhere, where no setting says otherwise.
pub const ROOM_READERS: usize = 1_000;
/// The most shards of a performance.
pub const SHARDS_MAX: u32 = 64;
/// Rooms one reader is sent to before it is told to come back later.
pub const TRIES_MAX: usize = 4;

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

#[cfg(test)]
mod tests {
    use super::*;

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
