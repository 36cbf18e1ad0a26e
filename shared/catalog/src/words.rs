//! The words an administrator keeps: synonyms, names, stop words, a user dictionary, places. Plain text files, one
//! statement a line; `#` begins a comment.
//!
//! | file | a line |
//! | --- | --- |
//! | `synonyms.txt` | `축제, 페스티벌` (each finds the others), `크리스마스 => 호두까기, 캐럴` (the first finds the others) |
//! | `names.txt` | the same, for titles, artists and halls in other letters: `레미제라블, Les Misérables` |
//! | `stop.txt` | a word that says nothing beside others: `예매` |
//! | `user_words.txt` | a word as it is, with its parts if it has some: `세종문화회관 세종 문화 회관` |
//! | `places.txt` | part of a hall's name and its region: `예술의전당 = 서울`; the first line that fits counts |
//!
//! Synonyms and names are in Solr's form, the dictionary in nori's, so that the same files serve a full-text engine.
//! What they say is worked into the index file when it is built, so an edited file is live with the next version.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::text::{letters, normalise};

/// A word of so many characters may be the beginning of a longer one.
const LONG_ENOUGH_TO_BEGIN: usize = 3;

/// The names of the files, in the order of [`Files`].
pub const FILE_NAMES: [&str; 5] = ["synonyms.txt", "names.txt", "stop.txt", "user_words.txt", "places.txt"];
/// Largest file, in bytes.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;
/// Most statements of one file.
pub const MAX_LINES: usize = 20_000;
/// Most words of one statement.
pub const MAX_WORDS_OF_LINE: usize = 32;
/// Longest word, in characters, spaces within it included.
pub const MAX_WORD_CHARS: usize = 60;

/// The texts of the files.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// `synonyms.txt`
    pub synonyms: &'a str,
    /// `names.txt`
    pub names: &'a str,
    /// `stop.txt`
    pub stop: &'a str,
    /// `user_words.txt`
    pub dictionary: &'a str,
    /// `places.txt`
    pub places: &'a str,
}

/// The files that are shipped.
pub const SHIPPED: Files<'static> = Files {
    synonyms: include_str!("words/synonyms.txt"),
    names: include_str!("words/names.txt"),
    stop: include_str!("words/stop.txt"),
    dictionary: include_str!("words/user_words.txt"),
    places: include_str!("words/places.txt"),
};

/// Why a file was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordsError {
    /// Which file.
    pub file: &'static str,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it, for a person to read.
    pub reason: String,
}

impl fmt::Display for WordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}: {}", self.file, self.line, self.reason)
    }
}

impl std::error::Error for WordsError {}

/// What the files say, normalised.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// For a word, both as written, the words whose texts it finds too.
    finds: BTreeMap<String, BTreeSet<String>>,
    /// For a word in a text, the words (as written) by which that text is found too.
    also: HashMap<String, BTreeSet<String>>,
    /// The longest key of `also`, in characters.
    longest: usize,
    stop: BTreeSet<String>,
    dictionary: BTreeMap<String, Vec<String>>,
    /// Part of a place's name and its region, in the file's order.
    places: Vec<(String, String)>,
}

/// A line of a file that says something.
struct Line<'a> {
    file: &'static str,
    number: usize,
    text: &'a str,
}

impl Line<'_> {
    fn refuse(&self, reason: impl Into<String>) -> WordsError {
        WordsError { file: self.file, line: self.number, reason: reason.into() }
    }

    /// A word as written and normalised.
    fn word(&self, text: &str) -> Result<(String, String), WordsError> {
        let text = text.trim();
        let plain = normalise(text);
        if plain.is_empty() {
            return Err(self.refuse(format!("“{text}” has neither a letter nor a digit")));
        }
        if text.chars().count() > MAX_WORD_CHARS {
            return Err(self.refuse(format!("a word is longer than {MAX_WORD_CHARS} characters")));
        }
        Ok((text.to_owned(), plain))
    }

    fn words(&self, text: &str, separator: char) -> Result<Vec<(String, String)>, WordsError> {
        let words: Vec<_> = text.split(separator).map(|word| self.word(word)).collect::<Result<_, _>>()?;
        if words.len() > MAX_WORDS_OF_LINE {
            return Err(self.refuse(format!("more than {MAX_WORDS_OF_LINE} words in one line")));
        }
        Ok(words)
    }
}

fn lines<'a>(file: &'static str, text: &'a str) -> Result<Vec<Line<'a>>, WordsError> {
    let refuse = |number, reason| Err(WordsError { file, line: number, reason });
    if text.len() > MAX_FILE_BYTES {
        return refuse(1, format!("the file is larger than {MAX_FILE_BYTES} bytes"));
    }
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut out = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let said = line.split('#').next().unwrap_or_default().trim();
        if said.is_empty() {
            continue;
        }
        if out.len() == MAX_LINES {
            return refuse(number, format!("the file has more than {MAX_LINES} lines"));
        }
        out.push(Line { file, number, text: said });
    }
    Ok(out)
}

impl Words {
    /// Reads the files; the first bad line refuses them all.
    pub fn parse(files: &Files<'_>) -> Result<Self, WordsError> {
        let mut words = Self::default();
        for line in lines("synonyms.txt", files.synonyms)?.iter().chain(&lines("names.txt", files.names)?) {
            words.add_also(line)?;
        }
        words.longest = words.also.keys().map(|word| word.chars().count()).max().unwrap_or(0);
        for line in lines("stop.txt", files.stop)? {
            words.stop.insert(line.word(line.text)?.1);
        }
        for line in lines("user_words.txt", files.dictionary)? {
            let mut all = line.words(&line.text.split_whitespace().collect::<Vec<_>>().join(" "), ' ')?.into_iter();
            let word = all.next().map(|(_, word)| word).unwrap_or_default();
            let parts: Vec<String> = all.map(|(_, part)| part).collect();
            if parts.len() == 1 {
                return Err(line.refuse("a word has no part or at least two"));
            }
            if words.dictionary.insert(word.clone(), parts).is_some() {
                return Err(line.refuse(format!("“{word}” is listed twice")));
            }
        }
        for line in lines("places.txt", files.places)? {
            let (part, region) = line.text.split_once('=').ok_or_else(|| line.refuse("expected PLACE = REGION"))?;
            words.places.push((line.word(part)?.1, line.word(region)?.0));
        }
        Ok(words)
    }

    /// What the shipped files say.
    pub fn shipped() -> Self {
        // A test sees that they are well-formed.
        Self::parse(&SHIPPED).unwrap_or_default()
    }

    fn add_also(&mut self, line: &Line<'_>) -> Result<(), WordsError> {
        let mut found_by = |(text, plain): &(String, String), word: &str| {
            self.also.entry(plain.clone()).or_default().insert(word.to_owned());
            self.finds.entry(word.to_owned()).or_default().insert(text.clone());
        };
        if let Some((word, finds)) = line.text.split_once("=>") {
            let (written, plain) = line.word(word)?;
            for target in line.words(finds, ',')? {
                if target.1 == plain {
                    return Err(line.refuse(format!("“{written}” finds itself")));
                }
                found_by(&target, &written);
            }
            return Ok(());
        }
        let group = line.words(line.text, ',')?;
        if group.len() < 2 {
            return Err(line.refuse("expected WORD, WORD or WORD => WORD, WORD"));
        }
        for (written, plain) in &group {
            for target in group.iter().filter(|(_, target)| target != plain) {
                found_by(target, written);
            }
        }
        Ok(())
    }

    /// The words by which a text is found besides its own.
    pub(crate) fn also_of(&self, text: &str) -> BTreeSet<&str> {
        let letters = letters(text);
        let ends_at = |to: usize| letters.get(to).is_none_or(|next| next.start);
        let key = |from: usize, to: usize| -> String {
            letters.get(from..to).unwrap_or_default().iter().map(|letter| letter.c).collect()
        };
        let mut found = BTreeSet::new();
        let mut look = |word: &str| found.extend(self.also.get(word).into_iter().flatten().map(String::as_str));
        for at in 0..letters.len() {
            if letters.get(at).is_some_and(|letter| letter.start) {
                for to in at + 1..=letters.len().min(at + self.longest) {
                    let word = key(at, to);
                    // Latin and short words are too often the beginning of something else.
                    if ends_at(to) || (to - at >= LONG_ENOUGH_TO_BEGIN && !word.is_ascii()) {
                        look(&word);
                    }
                }
            }
            if ends_at(at + 1) {
                // The end of a compound: 축제 in 교향악축제.
                for from in (at + 1).saturating_sub(self.longest)..(at + 1).saturating_sub(1) {
                    let word = key(from, at + 1);
                    if !word.is_ascii() && letters.get(from).is_some_and(|letter| !letter.start) {
                        look(&word);
                    }
                }
            }
        }
        found
    }

    /// Where a place is, as far as the file of places knows.
    pub fn region_of(&self, place: &str) -> Option<&str> {
        let place = normalise(place);
        self.places.iter().find(|(part, _)| place.contains(part.as_str())).map(|(_, region)| region.as_str())
    }

    /// The words that find the texts of others too, with those others: all as written, in order.
    pub fn finds(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.finds.iter().map(|(word, others)| (word.as_str(), others))
    }

    /// A text without the words that say nothing beside others; as it is where it has no others.
    pub fn without_stop<'q>(&self, q: &'q str) -> Cow<'q, str> {
        let plain: Vec<(&str, String)> = q.split_whitespace().map(|word| (word, normalise(word))).collect();
        let says = |word: &str| !word.is_empty() && !self.stop.contains(word);
        let left: Vec<&str> = plain.iter().filter(|(_, plain)| says(plain)).map(|(word, _)| *word).collect();
        if left.is_empty() || left.len() == plain.len() { Cow::Borrowed(q) } else { Cow::Owned(left.join(" ")) }
    }

    /// The words that say nothing beside others, in order.
    pub(crate) fn stop(&self) -> impl Iterator<Item = &str> {
        self.stop.iter().map(String::as_str)
    }

    /// The words of the dictionary with their parts, normalised, in order.
    pub fn dictionary(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.dictionary.iter().map(|(word, parts)| (word.as_str(), parts.as_slice()))
    }
}
