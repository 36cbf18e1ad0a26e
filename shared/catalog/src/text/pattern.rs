//! One word of a query compared with a text: letter for letter, by 초성, or with a last syllable still being typed.

use super::Letter;
use super::hangul::{class, is_consonant, plain, split_compound, syllable};

/// How closely a pattern fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// Initial consonants, or a last syllable that is still being typed.
    Partial,
    /// Character for character.
    Exact,
}

/// Where in a text a pattern fits, the least telling place first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Inside a word.
    Inside,
    /// At the beginning of a word that goes on.
    WordStart,
    /// A word, or several, from the first to the last letter.
    Word,
    /// At the beginning of the text, inside whose word it ends.
    Beginning,
    /// The first word, or several, of the text.
    FirstWord,
    /// The whole text.
    Whole,
}

/// A match: from which letter to which (exclusive), and how good it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) place: Place,
    pub(crate) fit: Fit,
}

/// One word of a query, ready to be compared with normalised text.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    chars: Vec<char>,
    /// Whether the last syllable may be unfinished.
    half_typed: bool,
}

impl Pattern {
    /// From a normalised word. Consonant clusters (ㄳ), which nobody means as one 초성, are taken apart.
    pub(crate) fn new(word: &str, half_typed: bool) -> Self {
        let mut chars = Vec::with_capacity(word.len());
        for c in word.chars() {
            match split_compound(c).filter(|_| is_consonant(c)) {
                Some((a, b)) => chars.extend([a, b]),
                None => chars.push(c),
            }
        }
        Self { chars, half_typed }
    }

    /// The pattern's characters.
    pub(crate) fn chars(&self) -> &[char] {
        &self.chars
    }

    /// The best match in a text. A single character matches at the beginning of a word alone: inside of words it says
    /// nothing.
    pub(crate) fn best(&self, text: &[Letter]) -> Option<Found> {
        let count = self.chars.len();
        if count == 0 || count > text.len() {
            return None;
        }
        let mut best: Option<Found> = None;
        for from in 0..=text.len() - count {
            let start = text.get(from).is_some_and(|letter| letter.start);
            if count == 1 && !start {
                continue;
            }
            let Some(fit) = self.fit_at(text, from) else { continue };
            let to = from + count;
            let ends = text.get(to).is_none_or(|letter| letter.start);
            let place = match (from == 0, to == text.len()) {
                (true, true) => Place::Whole,
                (true, false) if ends => Place::FirstWord,
                (true, false) => Place::Beginning,
                (false, _) if start && ends => Place::Word,
                (false, _) if start => Place::WordStart,
                (false, _) => Place::Inside,
            };
            if best.is_none_or(|best| (place, fit) > (best.place, best.fit)) {
                best = Some(Found { from, to, place, fit });
            }
            if place == Place::Whole {
                break;
            }
        }
        best
    }

    /// Whether `text` matches from position `at`.
    fn fit_at(&self, text: &[Letter], at: usize) -> Option<Fit> {
        let mut fit = Fit::Exact;
        for (i, &wanted) in self.chars.iter().enumerate() {
            let found = text.get(at + i)?.c;
            if found == wanted {
                continue;
            }
            let partial = if is_consonant(wanted) {
                let initial = class(found);
                initial == wanted || (found != initial && plain(initial) == wanted)
            } else {
                let is_last = i + 1 == self.chars.len();
                is_last && self.half_typed && half_typed(wanted, found, text.get(at + i + 1).map(|letter| letter.c))
            };
            if !partial {
                return None;
            }
            fit = Fit::Partial;
        }
        Some(fit)
    }
}

/// Whether someone on the way to `found`, then `next`, may see `typed` on the screen for a moment.
fn half_typed(typed: char, found: char, next: Option<char>) -> bool {
    let (Some(typed), Some(found)) = (syllable(typed), syllable(found)) else { return false };
    if typed.initial != found.initial {
        return false;
    }
    let begins = |whole: char, part: char| split_compound(whole).is_some_and(|(first, _)| first == part);
    let Some(last) = typed.last else {
        return typed.vowel == found.vowel || begins(found.vowel, typed.vowel);
    };
    if typed.vowel != found.vowel {
        return false;
    }
    // The input method shows the next syllable's consonant as this one's final until a vowel follows: 안 on the way to 아내.
    let next = next.map(class);
    match (found.last, split_compound(last)) {
        (Some(whole), None) => begins(whole, last),
        (None, None) => next == Some(last),
        (Some(first), Some((a, b))) => first == a && next == Some(b),
        (None, Some(_)) => false,
    }
}
