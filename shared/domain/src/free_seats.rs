//! Which seats of a hall are free, a bit each: a row without a free seat is passed over at once.

use std::ops::Range;

use crate::seat_map::SeatIndex;

/// The free seats of a hall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeSeats {
    words: Vec<u64>,
}

impl FreeSeats {
    /// Asks this of each of the hall's seats.
    pub fn new(seat_count: u32, is_free: impl Fn(SeatIndex) -> bool) -> Self {
        let word = |first: u32| {
            let bits = first..seat_count.min(first + u64::BITS);
            bits.fold(0, |word, seat| word | u64::from(is_free(seat)) << (seat - first))
        };
        Self { words: (0..seat_count).step_by(u64::BITS as usize).map(word).collect() }
    }

    /// Whether this seat is free. A seat that the hall does not have is not.
    pub fn contains(&self, seat: SeatIndex) -> bool {
        self.words.get((seat / u64::BITS) as usize).is_some_and(|word| word >> (seat % u64::BITS) & 1 == 1)
    }

    /// Whether any of these seats is free.
    pub fn any_in(&self, seats: Range<SeatIndex>) -> bool {
        if seats.is_empty() {
            return false;
        }
        let last = seats.end - 1;
        (seats.start / u64::BITS..=last / u64::BITS).any(|at| {
            let first = at * u64::BITS;
            let from = u64::MAX << seats.start.saturating_sub(first);
            let to = u64::MAX >> (u64::BITS - 1 - (last - first).min(u64::BITS - 1));
            self.words.get(at as usize).is_some_and(|word| word & from & to != 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn seats_are_as_they_were_said_to_be(
            said in prop::collection::vec(prop::bool::weighted(0.02), 0..300),
            start in 0u32..320,
            length in 0u32..320,
        ) {
            let is_free = |seat: u32| said.get(seat as usize) == Some(&true);
            let free = FreeSeats::new(said.len().try_into().unwrap(), is_free);
            for seat in 0..320 {
                prop_assert_eq!(free.contains(seat), is_free(seat), "seat {}", seat);
            }
            let seats = start..start + length;
            prop_assert_eq!(free.any_in(seats.clone()), seats.clone().any(is_free), "{:?}", seats);
        }
    }
}
