//! Grams: pairs of neighbouring letters by which texts that can match are found without reading all of them.
//!
//! A syllable counts as its initial consonant, a tense one as the plain one. So one pair of letters stands for the word
//! itself, its 초성, and every half-typed form of it; which of them it is, the text itself tells.

use crate::text::Letter;
use crate::text::hangul::{class, plain};

/// Stands before a letter that begins a word.
const START: u32 = 1;

/// Letters outside of the basic plane share these codes.
const ASTRAL: u32 = 0xE000;

fn code(c: char) -> u32 {
    let n = u32::from(plain(class(c)));
    if n <= 0xFFFF { n } else { ASTRAL | (n & 0x7FF) }
}

/// Two neighbours.
pub(crate) fn pair(a: char, b: char) -> u32 {
    code(a) << 16 | code(b)
}

/// A letter that begins a word.
pub(crate) fn start(c: char) -> u32 {
    START << 16 | code(c)
}

/// All grams of a text, some perhaps more than once.
pub(crate) fn of(text: &[Letter]) -> impl Iterator<Item = u32> + '_ {
    let starts = text.iter().filter(|letter| letter.start).map(|letter| start(letter.c));
    let pairs = text.iter().zip(text.iter().skip(1)).map(|(a, b)| pair(a.c, b.c));
    starts.chain(pairs)
}
