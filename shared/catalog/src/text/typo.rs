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

use super::Letter;
use super::hangul::{FINALS, INITIALS, VOWELS, decompose, parts, split_compound};

/// Longest word that is compared, in keystrokes.
const MAX_KEYS: usize = 64;
/// From this many keystrokes on, one mistake is forgiven.
const ONE_FROM: usize = 5;
/// From this many keystrokes on, two are.
const TWO_FROM: usize = 9;
/// How many kinds of keystrokes are told apart; rarer characters share.
const KINDS: usize = 128;

/// Where in the word the keystrokes of a jamo are, a bit for each place: of the only or first one, and of a second one.
type Places = (u64, Option<u64>);

/// A word to be found in spite of mistakes.
pub(crate) struct Typo {
    places: [u64; KINDS],
    /// The same for the jamo of syllables, looked up once for each word rather than for each letter of each text.
    initials: [Places; INITIALS.len()],
    vowels: [Places; VOWELS.len()],
    finals: [Places; FINALS.len()],
    length: usize,
    forgiven: usize,
}

/// Where a word was found, in letters (the end exclusive), and with how many mistakes.
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

fn places_of(places: &[u64; KINDS], jamo: char) -> Places {
    let of = |key: char| places.get(kind(key)).copied().unwrap_or(0);
    split_compound(jamo).map_or_else(|| (of(jamo), None), |(a, b)| (of(a), Some(of(b))))
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
        let of = |jamo: char| places_of(&places, jamo);
        Some(Self {
            places,
            initials: INITIALS.map(of),
            vowels: VOWELS.map(of),
            finals: FINALS.map(of),
            length,
            forgiven,
        })
    }

    /// Gives the places of each keystroke of a letter.
    #[inline]
    fn for_keys(&self, c: char, mut each: impl FnMut(u64)) {
        let mut key = |(first, second): Places| {
            each(first);
            second.into_iter().for_each(&mut each);
        };
        if let Some((initial, vowel, last)) = parts(c) {
            let jamo =
                [self.initials.get(initial), self.vowels.get(vowel), last.and_then(|last| self.finals.get(last))];
            jamo.into_iter().flatten().for_each(|places| key(*places));
        } else {
            key(places_of(&self.places, c));
        }
    }

    /// How many mistakes are forgiven.
    pub(crate) fn forgiven(&self) -> usize {
        self.forgiven
    }

    /// The place with the fewest mistakes.
    pub(crate) fn best(&self, text: &[Letter]) -> Option<Near> {
        self.best_within(text, self.forgiven)
    }

    /// The same where no more than `most` mistakes are forgiven.
    pub(crate) fn best_within(&self, text: &[Letter], most: usize) -> Option<Near> {
        let starts = text.iter().enumerate().filter(|(_, letter)| letter.start);
        starts.filter_map(|(from, _)| self.best_from(text, from, most)).min_by_key(|near| near.mistakes)
    }

    fn best_from(&self, text: &[Letter], from: usize, most: usize) -> Option<Near> {
        let mut row = Row::new(self.length);
        let mut keys = 0;
        let mut best: Option<Near> = None;
        for (n, letter) in text.iter().enumerate().skip(from) {
            self.for_keys(letter.c, |places| {
                keys += 1;
                row.step(places);
            });
            let ends = text.get(n + 1).is_none_or(|next| next.start);
            // At equal distance the end of a word is the better end.
            let better =
                best.is_none_or(|best| row.distance < best.mistakes || (ends && row.distance == best.mistakes));
            if row.distance <= most && better {
                best = Some(Near { from, to: n + 1, mistakes: row.distance });
            }
            // A key takes one from the distance at most, and after so many more keys than the word has, nothing is near.
            if row.distance + keys > self.length + 2 * most {
                break;
            }
        }
        best
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
