//! The wrong keyboard layout: Latin letters typed for Hangul and Hangul typed for Latin letters.

use super::hangul::{FINALS, INITIALS, compose, decompose, is_vowel, join_compound};

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
