//! Words with a typing mistake or two, compared key by key: the distance between jamo, with swapped neighbours as one.
//!
//! Hyyrö's bit-parallel form of the optimal string alignment distance ("A bit-vector algorithm for computing
//! Levenshtein and Damerau edit distances", 2003), from each beginning of a word. How many mistakes are forgiven depends
//! on the length, because a short word is one mistake away from too many others:
//!
//! | keystrokes | mistakes |
//! | --- | --- |
//! | fewer than 5 | 0 |
//! | 5 to 8 | 1 |
//! | 9 or more | 2 |
//!
//! Mistakes in the middle of a compound word, in more than 64 keystrokes, or across a missing first word are not found.

use super::Glyph;
use super::hangul::decompose;

/// Longest word that is compared, in keystrokes.
const MAX_KEYS: usize = 64;
/// From this many keystrokes on, one mistake is forgiven.
const ONE_FROM: usize = 5;
/// From this many keystrokes on, two are.
const TWO_FROM: usize = 9;
/// How many kinds of keystrokes are told apart; rarer characters share.
const KINDS: usize = 128;

/// A word to be found in spite of mistakes.
pub(crate) struct Typo {
    places: [u64; KINDS],
    length: usize,
    forgiven: usize,
}

/// Where a word was found, in glyphs (the end exclusive), and with how many mistakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Near {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) mistakes: usize,
}

fn kind(key: char) -> usize {
    let n = u32::from(key) as usize;
    match key {
        'ㄱ'..='ㅣ' => n - 0x3131,
        'a'..='z' => 51 + n - 0x61,
        '0'..='9' => 77 + n - 0x30,
        _ => 87 + n % 41,
    }
}

impl Typo {
    /// None for a word that is too short to forgive anything, or too long.
    pub(crate) fn new(word: &str) -> Option<Self> {
        let keys = decompose(word);
        let length = keys.chars().count();
        let forgiven = match length {
            0..ONE_FROM => return None,
            ONE_FROM..TWO_FROM => 1,
            _ => 2,
        };
        if length > MAX_KEYS {
            return None;
        }
        let mut places = [0_u64; KINDS];
        for (n, key) in keys.chars().enumerate() {
            if let Some(slot) = places.get_mut(kind(key)) {
                *slot |= 1 << n;
            }
        }
        Some(Self { places, length, forgiven })
    }

    /// How many mistakes are forgiven.
    pub(crate) fn forgiven(&self) -> usize {
        self.forgiven
    }

    /// The place with the fewest mistakes.
    pub(crate) fn best(&self, text: &[Glyph]) -> Option<Near> {
        let starts = text.iter().enumerate().filter(|(_, glyph)| glyph.start);
        starts.filter_map(|(from, _)| self.best_from(text, from)).min_by_key(|near| near.mistakes)
    }

    fn best_from(&self, text: &[Glyph], from: usize) -> Option<Near> {
        let mut row = Row::new(self.length);
        let mut keys = 0;
        let mut best: Option<Near> = None;
        for (n, glyph) in text.iter().enumerate().skip(from) {
            for_keys(glyph.c, |key| {
                keys += 1;
                row.step(self.places.get(kind(key)).copied().unwrap_or(0));
            });
            let ends = text.get(n + 1).is_none_or(|next| next.start);
            // At equal distance the end of a word is the better end.
            let better =
                best.is_none_or(|best| row.distance < best.mistakes || (ends && row.distance == best.mistakes));
            if row.distance <= self.forgiven && better {
                best = Some(Near { from, to: n + 1, mistakes: row.distance });
            }
            if keys > self.length + self.forgiven {
                break;
            }
        }
        best
    }
}

fn for_keys(c: char, mut each: impl FnMut(char)) {
    use super::hangul::{split_compound, syllable};
    let mut key = |c: char| match split_compound(c) {
        Some((a, b)) => {
            each(a);
            each(b);
        }
        None => each(c),
    };
    match syllable(c) {
        Some(parts) => {
            key(parts.initial);
            key(parts.vowel);
            parts.last.into_iter().for_each(key);
        }
        None => key(c),
    }
}

/// The state of the comparison after some keys of the text.
struct Row {
    vertical_plus: u64,
    vertical_minus: u64,
    diagonal: u64,
    before: u64,
    last: u64,
    distance: usize,
}

impl Row {
    fn new(length: usize) -> Self {
        Self {
            vertical_plus: u64::MAX,
            vertical_minus: 0,
            diagonal: 0,
            before: 0,
            last: 1 << (length - 1),
            distance: length,
        }
    }

    fn step(&mut self, places: u64) {
        let swapped = ((!self.diagonal & places) << 1) & self.before;
        let sum = (places & self.vertical_plus).wrapping_add(self.vertical_plus);
        let diagonal = (sum ^ self.vertical_plus) | places | self.vertical_minus | swapped;
        let plus = self.vertical_minus | !(diagonal | self.vertical_plus);
        let minus = diagonal & self.vertical_plus;
        if plus & self.last != 0 {
            self.distance += 1;
        } else if minus & self.last != 0 {
            self.distance = self.distance.saturating_sub(1);
        }
        let plus = plus << 1 | 1;
        self.vertical_plus = minus << 1 | !(diagonal | plus);
        self.vertical_minus = plus & diagonal;
        (self.diagonal, self.before) = (diagonal, places);
    }
}
