//! Hangul text analysis: what makes two ways of typing the same words compare equal.
//!
//! Everything here is a pure function of its input, total over all of Unicode.

/// The 19 initial consonants, in the order of Unicode's syllable block.
const INITIALS: [char; 19] =
    ['ㄱ', 'ㄲ', 'ㄴ', 'ㄷ', 'ㄸ', 'ㄹ', 'ㅁ', 'ㅂ', 'ㅃ', 'ㅅ', 'ㅆ', 'ㅇ', 'ㅈ', 'ㅉ', 'ㅊ', 'ㅋ', 'ㅌ', 'ㅍ', 'ㅎ'];

/// The 21 vowels, in the order of Unicode's syllable block.
const VOWELS: [char; 21] = [
    'ㅏ', 'ㅐ', 'ㅑ', 'ㅒ', 'ㅓ', 'ㅔ', 'ㅕ', 'ㅖ', 'ㅗ', 'ㅘ', 'ㅙ', 'ㅚ', 'ㅛ', 'ㅜ', 'ㅝ', 'ㅞ', 'ㅟ', 'ㅠ', 'ㅡ',
    'ㅢ', 'ㅣ',
];

/// The 27 final consonants; index 0 of a syllable means none, so entry `i` here is final `i + 1`.
const FINALS: [char; 27] = [
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

/// The two-set (두벌식) layout: the key on a Latin keyboard and the jamo it types.
const KEYS: [(char, char); 33] = [
    ('r', 'ㄱ'),
    ('R', 'ㄲ'),
    ('s', 'ㄴ'),
    ('e', 'ㄷ'),
    ('E', 'ㄸ'),
    ('f', 'ㄹ'),
    ('a', 'ㅁ'),
    ('q', 'ㅂ'),
    ('Q', 'ㅃ'),
    ('t', 'ㅅ'),
    ('T', 'ㅆ'),
    ('d', 'ㅇ'),
    ('w', 'ㅈ'),
    ('W', 'ㅉ'),
    ('c', 'ㅊ'),
    ('z', 'ㅋ'),
    ('x', 'ㅌ'),
    ('v', 'ㅍ'),
    ('g', 'ㅎ'),
    ('k', 'ㅏ'),
    ('o', 'ㅐ'),
    ('i', 'ㅑ'),
    ('O', 'ㅒ'),
    ('j', 'ㅓ'),
    ('p', 'ㅔ'),
    ('u', 'ㅕ'),
    ('P', 'ㅖ'),
    ('h', 'ㅗ'),
    ('y', 'ㅛ'),
    ('n', 'ㅜ'),
    ('b', 'ㅠ'),
    ('m', 'ㅡ'),
    ('l', 'ㅣ'),
];

const SYLLABLE_FIRST: u32 = 0xAC00;
const SYLLABLE_COUNT: u32 = 11_172;

/// A syllable taken apart: its initial and vowel, and its final if it has one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Syllable {
    initial: char,
    vowel: char,
    last: Option<char>,
}

fn syllable(c: char) -> Option<Syllable> {
    let n = u32::from(c).checked_sub(SYLLABLE_FIRST).filter(|n| *n < SYLLABLE_COUNT)? as usize;
    let last = match n % 28 {
        0 => None,
        i => Some(*FINALS.get(i - 1)?),
    };
    Some(Syllable { initial: *INITIALS.get(n / 588)?, vowel: *VOWELS.get(n % 588 / 28)?, last })
}

fn compose(initial: char, vowel: char, last: Option<char>) -> Option<char> {
    let initial = INITIALS.iter().position(|c| *c == initial)?;
    let vowel = VOWELS.iter().position(|c| *c == vowel)?;
    let last = match last {
        None => 0,
        Some(last) => FINALS.iter().position(|c| *c == last)? + 1,
    };
    char::from_u32(SYLLABLE_FIRST + u32::try_from((initial * 21 + vowel) * 28 + last).ok()?)
}

fn split_compound(c: char) -> Option<(char, char)> {
    COMPOUNDS.iter().find(|(_, _, whole)| *whole == c).map(|(a, b, _)| (*a, *b))
}

fn join_compound(a: char, b: char) -> Option<char> {
    COMPOUNDS.iter().find(|(x, y, _)| *x == a && *y == b).map(|(_, _, whole)| *whole)
}

fn is_vowel(c: char) -> bool {
    ('ㅏ'..='ㅣ').contains(&c)
}

fn is_consonant(c: char) -> bool {
    ('ㄱ'..='ㅎ').contains(&c)
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

/// Composes Hangul that came as conjoining jamo (NFD); everything else passes unchanged.
fn compose_conjoining(text: &str) -> String {
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

/// One spelling for comparing: small letters, ordinary width, composed Hangul, letters and digits only.
///
/// ```
/// assert_eq!(nugul_catalog::text::normalise("레 미제라블 (Ｌｅｓ)"), "레미제라블les");
/// ```
pub fn normalise(text: &str) -> String {
    normalise_words(text).concat()
}

/// The words of a text, each normalised; a word ends at whatever is neither a letter nor a digit.
pub fn normalise_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in compose_conjoining(text).chars().map(ordinary_width) {
        if c.is_alphanumeric() && c != '\u{3164}' {
            word.extend(c.to_lowercase());
        } else if !word.is_empty() && !is_combining(c) {
            words.push(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn is_combining(c: char) -> bool {
    matches!(u32::from(c), 0x0300..=0x036F | 0x200B..=0x200D)
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

/// What Latin letters would have been on a Korean keyboard: `abwlzjf` becomes 뮤지컬.
pub fn from_qwerty(text: &str) -> String {
    let jamo: Vec<char> = text
        .chars()
        .map(|c| {
            let key = |k: char| KEYS.iter().find(|(latin, _)| *latin == k).map(|(_, jamo)| *jamo);
            key(c).or_else(|| key(c.to_ascii_lowercase())).unwrap_or(c)
        })
        .collect();
    compose_jamo(&jamo)
}

/// What Hangul would have been on a Latin keyboard: ㅑㅕ becomes `iu`.
pub fn to_qwerty(text: &str) -> String {
    decompose(text).chars().map(|c| KEYS.iter().find(|(_, jamo)| *jamo == c).map_or(c, |(latin, _)| *latin)).collect()
}

/// Keystrokes to syllables. A consonant before a vowel always opens a syllable, so no backtracking is needed.
fn compose_jamo(jamo: &[char]) -> String {
    let get = |at: usize| jamo.get(at).copied();
    let vowel_at = |at: usize| get(at).is_some_and(is_vowel);
    let mut out = String::with_capacity(jamo.len() * 3);
    let mut at = 0;
    while let Some(c) = get(at) {
        let vowel = get(at + 1).filter(|v| INITIALS.contains(&c) && is_vowel(*v));
        let Some(mut vowel) = vowel else {
            out.push(c);
            at += 1;
            continue;
        };
        at += 2;
        if let Some(whole) = get(at).and_then(|next| join_compound(vowel, next)) {
            vowel = whole;
            at += 1;
        }
        let mut last = None;
        if let Some(end) = get(at).filter(|end| FINALS.contains(end) && !vowel_at(at + 1)) {
            last = Some(end);
            at += 1;
            if let Some(whole) = get(at).and_then(|next| join_compound(end, next)).filter(|_| !vowel_at(at + 1)) {
                last = Some(whole);
                at += 1;
            }
        }
        out.extend(compose(c, vowel, last));
    }
    out
}

/// How closely a pattern fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// Initial consonants, or a last syllable that is still being typed.
    Partial,
    /// Character for character.
    Exact,
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

    pub(crate) fn len(&self) -> usize {
        self.chars.len()
    }

    /// The classes of the pattern's characters: text that matches has the same classes in the same places.
    pub(crate) fn classes(&self) -> Vec<char> {
        self.chars.iter().copied().map(class).collect()
    }

    /// Whether `text` matches from position `at`.
    pub(crate) fn fit_at(&self, text: &[char], at: usize) -> Option<Fit> {
        let mut fit = Fit::Exact;
        for (i, &wanted) in self.chars.iter().enumerate() {
            let found = *text.get(at + i)?;
            if found == wanted {
                continue;
            }
            if class(found) != class(wanted) {
                return None;
            }
            let is_last = i + 1 == self.chars.len();
            let partial = is_consonant(wanted)
                || (is_last && self.half_typed && half_typed(wanted, found, text.get(at + i + 1).copied()));
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
