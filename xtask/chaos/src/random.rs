//! Numbers that look random and are the same for the same seed.

/// A stream of numbers (`SplitMix64`: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of the part of the run with this number.
    pub(crate) fn part(seed: u64, number: u64) -> Self {
        let mut own = Self(seed ^ number.wrapping_mul(0xA24B_AED4_963E_E407));
        own.next();
        own
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `from` up to, and without, `to`; `from` where there is nothing between.
    pub(crate) const fn between(&mut self, from: u64, to: u64) -> u64 {
        let room = to.saturating_sub(from);
        if room == 0 { from } else { from + self.next() % room }
    }

    /// One of them; `None` where there are none.
    pub(crate) fn one_of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let room = u64::try_from(items.len()).unwrap_or(0);
        items.get(usize::try_from(self.between(0, room)).unwrap_or(0))
    }

    /// All of them in another order (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.between(0, u64::try_from(last + 1).unwrap_or(1));
            items.swap(last, usize::try_from(other).unwrap_or(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_stream() {
        let draw = |seed| {
            let mut random = Random::part(seed, 0);
            (0..20).map(|_| random.between(5, 9)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).iter().all(|n| (5..9).contains(n)));
        let mut cards = [1, 2, 3, 4, 5];
        Random::part(1, 0).shuffle(&mut cards);
        cards.sort_unstable();
        assert_eq!(cards, [1, 2, 3, 4, 5]);
        assert_eq!(Random::part(1, 0).one_of::<u8>(&[]), None);
    }
}
