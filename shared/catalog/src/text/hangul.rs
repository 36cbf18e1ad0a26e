//! Hangul syllables: taking them apart into jamo, putting them together, 초성.

/// The 19 initial consonants, in the order of Unicode's syllable block.
pub(crate) const INITIALS: [char; 19] =
    ['ㄱ', 'ㄲ', 'ㄴ', 'ㄷ', 'ㄸ', 'ㄹ', 'ㅁ', 'ㅂ', 'ㅃ', 'ㅅ', 'ㅆ', 'ㅇ', 'ㅈ', 'ㅉ', 'ㅊ', 'ㅋ', 'ㅌ', 'ㅍ', 'ㅎ'];

/// The 21 vowels, in the order of Unicode's syllable block.
pub(crate) const VOWELS: [char; 21] = [
    'ㅏ', 'ㅐ', 'ㅑ', 'ㅒ', 'ㅓ', 'ㅔ', 'ㅕ', 'ㅖ', 'ㅗ', 'ㅘ', 'ㅙ', 'ㅚ', 'ㅛ', 'ㅜ', 'ㅝ', 'ㅞ', 'ㅟ', 'ㅠ', 'ㅡ',
    'ㅢ', 'ㅣ',
];

/// The 27 final consonants; index 0 of a syllable means none, so entry `i` here is final `i + 1`.
pub(crate) const FINALS: [char; 27] = [
    'ㄱ', 'ㄲ', 'ㄳ', 'ㄴ', 'ㄵ', 'ㄶ', 'ㄷ', 'ㄹ', 'ㄺ', 'ㄻ', 'ㄼ', 'ㄽ', 'ㄾ', 'ㄿ', 'ㅀ', 'ㅁ', 'ㅂ', 'ㅄ', 'ㅅ',
    'ㅆ', 'ㅇ', 'ㅈ', 'ㅊ', 'ㅋ', 'ㅌ', 'ㅍ', 'ㅎ',
];

/// Jamo that take two keystrokes: first key, second key, result.
const COMPOUNDS: [(char, char, char); 18] = [
    ('ㅗ', 'ㅏ', 'ㅘ'),
    ('ㅗ', 'ㅐ', 'ㅙ'),
    ('ㅗ', 'ㅣ', 'ㅚ'),
    ('ㅜ', 'ㅓ', 'ㅝ'),
    ('ㅜ', 'ㅔ', 'ㅞ'),
    ('ㅜ', 'ㅣ', 'ㅟ'),
    ('ㅡ', 'ㅣ', 'ㅢ'),
    ('ㄱ', 'ㅅ', 'ㄳ'),
    ('ㄴ', 'ㅈ', 'ㄵ'),
    ('ㄴ', 'ㅎ', 'ㄶ'),
    ('ㄹ', 'ㄱ', 'ㄺ'),
    ('ㄹ', 'ㅁ', 'ㄻ'),
    ('ㄹ', 'ㅂ', 'ㄼ'),
    ('ㄹ', 'ㅅ', 'ㄽ'),
    ('ㄹ', 'ㅌ', 'ㄾ'),
    ('ㄹ', 'ㅍ', 'ㄿ'),
    ('ㄹ', 'ㅎ', 'ㅀ'),
    ('ㅂ', 'ㅅ', 'ㅄ'),
];

const SYLLABLE_FIRST: u32 = 0xAC00;
const SYLLABLE_COUNT: u32 = 11_172;

/// A syllable taken apart: its initial and vowel, and its final if it has one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syllable {
    pub(crate) initial: char,
    pub(crate) vowel: char,
    pub(crate) last: Option<char>,
}

/// The jamo of a syllable as their places in [`INITIALS`], [`VOWELS`] and [`FINALS`].
pub(crate) fn parts(c: char) -> Option<(usize, usize, Option<usize>)> {
    let n = u32::from(c).checked_sub(SYLLABLE_FIRST).filter(|n| *n < SYLLABLE_COUNT)? as usize;
    Some((n / 588, n % 588 / 28, (n % 28).checked_sub(1)))
}

pub(crate) fn syllable(c: char) -> Option<Syllable> {
    let (initial, vowel, last) = parts(c)?;
    let last = last.and_then(|last| FINALS.get(last)).copied();
    Some(Syllable { initial: *INITIALS.get(initial)?, vowel: *VOWELS.get(vowel)?, last })
}

pub(crate) fn compose(initial: char, vowel: char, last: Option<char>) -> Option<char> {
    let initial = INITIALS.iter().position(|c| *c == initial)?;
    let vowel = VOWELS.iter().position(|c| *c == vowel)?;
    let last = match last {
        None => 0,
        Some(last) => FINALS.iter().position(|c| *c == last)? + 1,
    };
    char::from_u32(SYLLABLE_FIRST + u32::try_from((initial * 21 + vowel) * 28 + last).ok()?)
}

pub(crate) fn split_compound(c: char) -> Option<(char, char)> {
    COMPOUNDS.iter().find(|(_, _, whole)| *whole == c).map(|(a, b, _)| (*a, *b))
}

pub(crate) fn join_compound(a: char, b: char) -> Option<char> {
    COMPOUNDS.iter().find(|(x, y, _)| *x == a && *y == b).map(|(_, _, whole)| *whole)
}

pub(crate) fn is_vowel(c: char) -> bool {
    ('ㅏ'..='ㅣ').contains(&c)
}

pub(crate) fn is_consonant(c: char) -> bool {
    ('ㄱ'..='ㅎ').contains(&c)
}

/// The jamo of a text in the order of their keystrokes: 값 becomes ㄱㅏㅂㅅ.
pub fn decompose(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    let mut push = |c: char| match split_compound(c) {
        Some((a, b)) => out.extend([a, b]),
        None => out.push(c),
    };
    for c in text.chars() {
        if let Some(parts) = syllable(c) {
            push(parts.initial);
            push(parts.vowel);
            parts.last.into_iter().for_each(&mut push);
        } else {
            push(c);
        }
    }
    out
}

/// The initial consonants (초성) of a text: 명성황후 becomes ㅁㅅㅎㅎ. What is not a syllable stays.
pub fn initials(text: &str) -> String {
    text.chars().map(class).collect()
}

/// What a character has in common with every way of typing it: a syllable's initial consonant, else itself.
pub(crate) fn class(c: char) -> char {
    syllable(c).map_or(c, |parts| parts.initial)
}

/// A tense consonant as the plain one that people type for it when they type initials: ㄲ as ㄱ.
pub(crate) fn plain(c: char) -> char {
    match c {
        'ㄲ' => 'ㄱ',
        'ㄸ' => 'ㄷ',
        'ㅃ' => 'ㅂ',
        'ㅆ' => 'ㅅ',
        'ㅉ' => 'ㅈ',
        _ => c,
    }
}
