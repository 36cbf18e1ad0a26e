//! Korean in Latin letters, read back: Revised Romanization (Ministry of Culture, notice 2000-8) and how people bend it.
//!
//! Reading is a guess: `eo` may be ㅓ or ㅔㅗ, and people spell as they like (`oo`, `ee`, `sh`, `l`). So what is read is
//! compared with typing mistakes forgiven, and foreign names that nobody spells by rule (`chicago`, `wicked`) belong
//! into the file of names.

use super::hangul::compose;

/// Consonants as they are spelled before a vowel, the longest first.
const READ_INITIALS: [(&str, char); 29] = [
    ("kk", 'ㄲ'),
    ("tt", 'ㄸ'),
    ("pp", 'ㅃ'),
    ("ss", 'ㅆ'),
    ("jj", 'ㅉ'),
    ("ch", 'ㅊ'),
    ("sh", 'ㅅ'),
    ("ph", 'ㅍ'),
    ("th", 'ㅅ'),
    ("ck", 'ㅋ'),
    ("g", 'ㄱ'),
    ("n", 'ㄴ'),
    ("d", 'ㄷ'),
    ("r", 'ㄹ'),
    ("l", 'ㄹ'),
    ("m", 'ㅁ'),
    ("b", 'ㅂ'),
    ("v", 'ㅂ'),
    ("s", 'ㅅ'),
    ("j", 'ㅈ'),
    ("z", 'ㅈ'),
    ("k", 'ㅋ'),
    ("c", 'ㅋ'),
    ("q", 'ㅋ'),
    ("t", 'ㅌ'),
    ("p", 'ㅍ'),
    ("f", 'ㅍ'),
    ("h", 'ㅎ'),
    ("x", 'ㅈ'),
];

/// Vowels as they are spelled, the longest first.
const READ_VOWELS: [(&str, char); 25] = [
    ("yae", 'ㅒ'),
    ("yeo", 'ㅕ'),
    ("wae", 'ㅙ'),
    ("ae", 'ㅐ'),
    ("eo", 'ㅓ'),
    ("eu", 'ㅡ'),
    ("ee", 'ㅣ'),
    ("oo", 'ㅜ'),
    ("oe", 'ㅚ'),
    ("ui", 'ㅢ'),
    ("ya", 'ㅑ'),
    ("ye", 'ㅖ'),
    ("yo", 'ㅛ'),
    ("yu", 'ㅠ'),
    ("wa", 'ㅘ'),
    ("wo", 'ㅝ'),
    ("we", 'ㅞ'),
    ("wi", 'ㅟ'),
    ("a", 'ㅏ'),
    ("e", 'ㅔ'),
    ("i", 'ㅣ'),
    ("o", 'ㅗ'),
    ("u", 'ㅜ'),
    ("y", 'ㅣ'),
    ("w", 'ㅜ'),
];

/// Consonants as they are spelled at the end of a syllable.
const READ_FINALS: [(&str, char); 12] = [
    ("ng", 'ㅇ'),
    ("ck", 'ㄱ'),
    ("k", 'ㄱ'),
    ("g", 'ㄱ'),
    ("c", 'ㄱ'),
    ("n", 'ㄴ'),
    ("t", 'ㅅ'),
    ("l", 'ㄹ'),
    ("r", 'ㄹ'),
    ("m", 'ㅁ'),
    ("p", 'ㅂ'),
    ("b", 'ㅂ'),
];

fn read(table: &'static [(&'static str, char)], text: &str) -> Option<(usize, char)> {
    table.iter().find(|(spelled, _)| text.starts_with(spelled)).map(|(spelled, jamo)| (spelled.len(), *jamo))
}

/// What small Latin letters may be in Hangul; none where they contain something else or no vowel.
///
/// ```
/// assert_eq!(nugul_catalog::text::to_hangul("myeongseonghwanghu").as_deref(), Some("명성황후"));
/// ```
pub fn to_hangul(latin: &str) -> Option<String> {
    if latin.is_empty() || !latin.bytes().all(|b| b.is_ascii_lowercase()) {
        return None;
    }
    let mut out = String::with_capacity(latin.len() * 2);
    let (mut rest, mut vowels) = (latin, 0);
    while !rest.is_empty() {
        let (used, initial) = read(&READ_INITIALS, rest).unwrap_or((0, 'ㅇ'));
        rest = rest.get(used..)?;
        let Some((used, vowel)) = read(&READ_VOWELS, rest) else {
            // A consonant without a vowel gets the one that Korean lends it.
            out.extend(compose(initial, 'ㅡ', None));
            continue;
        };
        rest = rest.get(used..)?;
        vowels += 1;
        let last = read(&READ_FINALS, rest).filter(|(used, _)| {
            let after = rest.get(*used..).unwrap_or_default();
            // Before a vowel it opens the next syllable; doubled, it may do both (`ll`).
            read(&READ_VOWELS, after).is_none()
        });
        // `n` closes a syllable before the `g` of the next one: han-gang.
        let last = last.or_else(|| {
            let after = rest.strip_prefix("ng")?;
            read(&READ_VOWELS, after).map(|_| (1, 'ㄴ'))
        });
        if let Some((used, _)) = last {
            rest = rest.get(used..)?;
        }
        out.extend(compose(initial, vowel, last.map(|(_, jamo)| jamo)));
    }
    (vowels > 0).then_some(out)
}
