//! What makes two ways of writing the same words compare equal: NFC, width, case, accents, spaces, forms of numbers.
//!
//! Everything here is a pure function of its input, total over all of Unicode.

pub(crate) mod hangul;
pub(crate) mod keyboard;
pub(crate) mod number;
pub(crate) mod pattern;
pub(crate) mod roman;
pub(crate) mod typo;

pub use hangul::{decompose, initials};
pub use keyboard::{from_qwerty, to_qwerty};
pub use roman::to_hangul;

use hangul::{FINALS, INITIALS, VOWELS, compose};

/// One character of a text as it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Letter {
    /// The character: small, of ordinary width, without accents; a letter or a digit.
    pub(crate) c: char,
    /// Whether a word begins here.
    pub(crate) start: bool,
}

/// Full-width and half-width forms to the ordinary ones; conjoining jamo (as macOS writes file names) to ordinary jamo.
fn ordinary_width(c: char) -> char {
    let shifted = |from: u32, to: u32| char::from_u32(u32::from(c) - from + to).unwrap_or(c);
    match u32::from(c) {
        0xFF01..=0xFF5E => shifted(0xFF01, 0x21),
        0x3000 => ' ',
        0xFFA1..=0xFFBE => shifted(0xFFA1, 0x3131),
        0xFFC2..=0xFFC7 => shifted(0xFFC2, 0x314F),
        0xFFCA..=0xFFCF => shifted(0xFFCA, 0x3155),
        0xFFD2..=0xFFD7 => shifted(0xFFD2, 0x315B),
        0xFFDA..=0xFFDC => shifted(0xFFDA, 0x3161),
        n @ 0x1100..=0x1112 => INITIALS.get((n - 0x1100) as usize).copied().unwrap_or(c),
        n @ 0x1161..=0x1175 => VOWELS.get((n - 0x1161) as usize).copied().unwrap_or(c),
        n @ 0x11A8..=0x11C2 => FINALS.get((n - 0x11A8) as usize).copied().unwrap_or(c),
        _ => c,
    }
}

/// The base letters of U+00E0–U+00FF and U+0100–U+017F; a dot where a letter is one of its own.
const LATIN_1: &[u8] = b"aaaaaa.ceeeeiiii.nooooo.ouuuuy.y";
const LATIN_EXTENDED_A: &[u8] = b"aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii..jjkk.lllllll\
    lllnnnnnnn..oooooo..rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

/// A small letter without its accent: é as e.
fn without_accent(c: char) -> char {
    let n = u32::from(c) as usize;
    let base = match n {
        0xE0..=0xFF => LATIN_1.get(n - 0xE0),
        0x100..=0x17F => LATIN_EXTENDED_A.get(n - 0x100),
        _ => None,
    };
    base.filter(|b| **b != b'.').map_or(c, |b| char::from(*b))
}

/// Roman numerals, circled, raised and lowered digits: Ⅱ, ②, ² and ₂ as 2.
fn number_of(c: char) -> Option<u32> {
    match u32::from(c) {
        n @ 0x2160..=0x216B => Some(n - 0x2160 + 1),
        n @ 0x2170..=0x217B => Some(n - 0x2170 + 1),
        n @ 0x2460..=0x2473 => Some(n - 0x2460 + 1),
        0xB2 => Some(2),
        0xB3 => Some(3),
        0xB9 => Some(1),
        n @ (0x2070 | 0x2074..=0x2079) => Some(n - 0x2070),
        n @ 0x2080..=0x2089 => Some(n - 0x2080),
        _ => None,
    }
}

/// Gives the compared form of a character; nothing for what is neither a letter nor a digit.
fn fold(c: char, mut put: impl FnMut(char)) {
    let c = ordinary_width(c);
    if matches!(c, '가'..='힣' | 'a'..='z' | '0'..='9') {
        put(c);
    } else if c.is_ascii_uppercase() {
        put(c.to_ascii_lowercase());
    } else if let Some(number) = number_of(c) {
        number.to_string().chars().for_each(put);
    } else if c.is_alphanumeric() && c != '\u{3164}' {
        c.to_lowercase().map(without_accent).filter(|c| c.is_alphanumeric()).for_each(put);
    }
}

/// What joins the characters around it rather than parting them.
fn is_combining(c: char) -> bool {
    matches!(u32::from(c), 0x0300..=0x036F | 0x200B..=0x200D)
}

/// Composes Hangul that came as conjoining jamo (NFD); everything else passes unchanged.
pub(crate) fn compose_conjoining(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let in_range = |offset: usize, low: u32, high: u32| {
            chars.get(at + offset).copied().filter(|c| (low..=high).contains(&u32::from(*c)))
        };
        if let (Some(initial), Some(vowel)) = (in_range(0, 0x1100, 0x1112), in_range(1, 0x1161, 0x1175)) {
            let last = in_range(2, 0x11A8, 0x11C2);
            if let Some(whole) = compose(ordinary_width(initial), ordinary_width(vowel), last.map(ordinary_width)) {
                out.push(whole);
                at += if last.is_some() { 3 } else { 2 };
                continue;
            }
        }
        out.push(c);
        at += 1;
    }
    out
}

/// Gives the letters of a text whose Hangul is composed, each with the place in bytes of the character it came from.
fn for_letters(text: &str, mut put: impl FnMut(Letter, usize)) {
    let mut start = true;
    for (at, c) in text.char_indices() {
        let mut is_letter = false;
        fold(c, |c| {
            is_letter = true;
            put(Letter { c, start: std::mem::take(&mut start) }, at);
        });
        if !is_letter && !is_combining(c) {
            start = true;
        }
    }
}

/// The letters of a text whose Hangul is composed.
pub(crate) fn letters(text: &str) -> Vec<Letter> {
    let mut letters = Vec::with_capacity(text.len() / 2);
    for_letters(text, |letter, _| letters.push(letter));
    letters
}

/// Where in a text, in bytes, the character begins that each of its letters came from.
pub(crate) fn places(text: &str) -> Vec<usize> {
    let mut places = Vec::with_capacity(text.len() / 2);
    for_letters(text, |_, at| places.push(at));
    places
}

/// One spelling for comparing: small letters, ordinary width, composed Hangul, no accents, letters and digits only.
///
/// ```
/// assert_eq!(nugul_catalog::text::normalise("레 미제라블 (Ｌés)"), "레미제라블les");
/// ```
pub fn normalise(text: &str) -> String {
    letters(&compose_conjoining(text)).into_iter().map(|letter| letter.c).collect()
}

/// The words of a text, each normalised; a word ends at whatever is neither a letter nor a digit.
pub fn normalise_words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for letter in letters(&compose_conjoining(text)) {
        match words.last_mut().filter(|_| !letter.start) {
            Some(word) => word.push(letter.c),
            None => words.push(letter.c.to_string()),
        }
    }
    words
}
