//! A search text as rankings count it: what means the same is one keyword, what may tell of a person is none.

/// The longest keyword, in characters. Longer texts are sentences that few people share.
pub const KEYWORD_CHARS_MAX: usize = 30;
/// A text with so many digits may be a telephone or card number.
const DIGITS_MAX: usize = 6;

/// A keyword: lower case, single spaces, something to read in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keyword(String);

impl Keyword {
    /// The keyword of a search text; nothing where it is empty, too long, has unfinished syllables (ㄹㅁㅈ, 뮤ㅈ) or may be
    /// an address or a number of somebody.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let readable = text.chars().any(char::is_alphanumeric);
        let private = text.contains('@') || text.chars().filter(char::is_ascii_digit).count() > DIGITS_MAX;
        let odd = text.chars().any(|c| c.is_control() || is_jamo(c));
        let fits = text.chars().count() <= KEYWORD_CHARS_MAX;
        (readable && fits && !private && !odd).then_some(Self(text))
    }

    /// As it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A letter of Hangul that is no syllable.
const fn is_jamo(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11FF}' | '\u{3130}'..='\u{318F}' | '\u{A960}'..='\u{A97F}' | '\u{D7B0}'..='\u{D7FF}')
}
