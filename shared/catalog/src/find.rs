//! The text of a query in one index: which events it finds, how well, and how it was read.
//!
//! Each word is first looked for as it is: letters, 초성, half-typed, names by which texts are known too. A word that no
//! text has is read otherwise, until something is found: without its particle, in its parts, typed in the other keyboard
//! layout, from Latin letters, cut in two, with typing mistakes forgiven. Then all words must be found in an event; where
//! none has all, mistakes are forgiven in the words that were found too, and at last most words are enough.

use nugul_domain::Timestamp;
use time::Date;

use crate::dates::window;
use crate::index::{Col, Field, Index};
use crate::matching::{Hit, NearHits};
use crate::query::{MAX_QUERY_CHARS, MAX_WORDS, Matched};
use crate::ranking::{Weights, rarity};
use crate::text::hangul::{is_consonant, is_vowel};
use crate::text::pattern::Pattern;
use crate::text::typo::Typo;
use crate::text::{compose_conjoining, from_qwerty, normalise, to_hangul, to_qwerty};

/// Particles that may hang on a word, the longest first.
const PARTICLES: [&str; 23] = [
    "에서는",
    "에서",
    "에게",
    "으로",
    "까지",
    "부터",
    "이랑",
    "하고",
    "에는",
    "의",
    "에",
    "은",
    "는",
    "이",
    "가",
    "을",
    "를",
    "와",
    "과",
    "로",
    "도",
    "만",
    "랑",
];
/// A particle is taken off a word that has this many characters left.
const MIN_STEM_CHARS: usize = 2;
/// Words of up to this many characters are cut in two.
const MAX_CUT_CHARS: usize = 24;
/// Neither part of a word that is cut in two is shorter.
const MIN_CUT_CHARS: usize = 2;

/// A word of a query.
struct Word {
    /// As typed.
    raw: String,
    text: String,
    /// Whether it is the last, so perhaps unfinished.
    last: bool,
}

/// What marks a match in a text.
pub(crate) enum Term {
    Pattern(Pattern),
    Typo(Box<Typo>),
}

/// One way to understand a word.
#[derive(Default)]
struct Reading {
    hits: Vec<Hit>,
    /// Days that the word means.
    window: Option<(Date, Date)>,
    /// What it was read as, where that is another word.
    instead: Option<String>,
    term: Option<Term>,
}

/// What a text finds.
#[derive(Default)]
pub(crate) struct Found {
    /// The events with their scores; none for a blank text, which finds all.
    pub(crate) events: Option<Vec<(u32, f32)>>,
    pub(crate) matched: Matched,
    pub(crate) did_you_mean: Option<String>,
    /// What to mark in the texts that are shown.
    pub(crate) terms: Vec<Term>,
}

impl Found {
    /// Whether it finds nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.as_ref().is_some_and(Vec::is_empty)
    }
}

/// Scores while they are gathered, by event.
struct Board {
    /// What the word at hand adds.
    best: Vec<f32>,
    total: Vec<f32>,
    /// How many words were found.
    words: Vec<u8>,
    /// Events with at least one word.
    touched: Vec<u32>,
}

fn words_of(q: &str) -> Vec<Word> {
    let bounded: String = q.chars().take(MAX_QUERY_CHARS).collect();
    let composed = compose_conjoining(&bounded);
    let words = composed.split_whitespace().map(|raw| (raw, normalise(raw))).filter(|(_, text)| !text.is_empty());
    let mut words: Vec<Word> =
        words.take(MAX_WORDS).map(|(raw, text)| Word { raw: raw.to_owned(), text, last: false }).collect();
    if let Some(last) = words.last_mut() {
        last.last = true;
    }
    words
}

/// What marks the words of a text, as they are or with mistakes, without an index to read them by.
pub(crate) fn terms(q: &str, forgiving: bool) -> Vec<Term> {
    let words = words_of(q);
    let typo = |word: &Word| Typo::new(&word.text).filter(|_| forgiving).map(|typo| Term::Typo(Box::new(typo)));
    words.iter().map(|word| typo(word).unwrap_or_else(|| Term::Pattern(Pattern::new(&word.text, word.last)))).collect()
}

impl Index {
    /// Everything a text finds.
    pub(crate) fn find(&self, q: &str, now: Option<Timestamp>, weights: &Weights) -> Found {
        if q.trim().is_empty() {
            return Found::default();
        }
        let mut words = words_of(q);
        let whole: String = words.iter().map(|word| word.text.as_str()).collect();
        let joined = if words.len() > 1 { self.joined(&whole, weights) } else { Vec::new() };
        if words.iter().any(|word| !self.is_stop(&word.text)) {
            words.retain(|word| !self.is_stop(&word.text));
        }
        let today = now.map(|now| now.seoul().date());
        let mut readings: Vec<(usize, Reading)> = Vec::new();
        for (n, word) in words.iter().enumerate() {
            readings.extend(self.read(word, today, weights).into_iter().map(|reading| (n, reading)));
        }
        let mut board = self.evaluate(&readings, &joined, weights);
        let mut events = board.with(readings.len());
        if events.is_empty() && words.len() > 1 && self.forgive(&words, &mut readings, weights) {
            board = self.evaluate(&readings, &joined, weights);
            events = board.with(readings.len());
        }
        let corrected = readings.iter().any(|(_, reading)| reading.instead.is_some());
        let mut matched = if corrected { Matched::Corrected } else { Matched::All };
        if events.is_empty() {
            let most = board.words.iter().copied().max().map_or(0, usize::from);
            if most > 0 && most * 2 >= readings.len() {
                events = board.with(most);
                matched = Matched::Most;
            }
        }
        let did_you_mean = (matched == Matched::Corrected).then(|| said(&words, &readings));
        let mut terms: Vec<Term> = readings.into_iter().filter_map(|(_, reading)| reading.term).collect();
        if !joined.is_empty() {
            terms.insert(0, Term::Pattern(Pattern::new(&whole, true)));
        }
        Found { events: Some(events), matched, did_you_mean, terms }
    }

    fn is_stop(&self, word: &str) -> bool {
        let (mut low, mut high) = (0, self.stop.count());
        while low < high {
            let middle = usize::midpoint(low, high);
            let found = u32::try_from(middle).map_or("", |n| self.stop.get(&self.bytes, n));
            match found.cmp(word) {
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        false
    }

    /// The parts of a word of the dictionary; none where it has no such word.
    fn parts_of(&self, word: &str) -> Option<Vec<&str>> {
        (0..u32::try_from(self.dictionary.count()).unwrap_or(0)).find_map(|n| {
            let mut entry = self.dictionary.get(&self.bytes, n).split(' ');
            (entry.next() == Some(word)).then(|| entry.collect())
        })
    }

    /// The words of a query as one, in the texts that name an event or a person.
    fn joined(&self, whole: &str, weights: &Weights) -> Vec<Hit> {
        let mut hits = self.hits(&Pattern::new(whole, true), weights);
        hits.retain(|hit| matches!(self.field_of(hit.text), Field::Title | Field::English | Field::Cast | Field::Also));
        hits
    }

    fn direct(&self, text: &str, last: bool, weights: &Weights) -> Option<Reading> {
        let pattern = Pattern::new(text, last);
        let hits = self.hits(&pattern, weights);
        let found = !hits.is_empty();
        found.then(|| Reading { hits, term: Some(Term::Pattern(pattern)), ..Reading::default() })
    }

    /// The first way to understand a word that finds something: usually one reading, more for a word of several.
    fn read(&self, word: &Word, today: Option<Date>, weights: &Weights) -> Vec<Reading> {
        let (text, last) = (word.text.as_str(), word.last);
        let direct = self.direct(text, last, weights);
        let window = window(text, today);
        if direct.is_some() || window.is_some() {
            return vec![Reading { window, ..direct.unwrap_or_default() }];
        }
        match self.parts_of(text) {
            Some(parts) if !parts.is_empty() => {
                let parts: Option<Vec<_>> = parts.into_iter().map(|part| self.direct(part, false, weights)).collect();
                if let Some(parts) = parts {
                    return parts;
                }
            }
            Some(_) => {}
            None => {
                let stems = PARTICLES.iter().filter_map(|particle| text.strip_suffix(particle));
                let mut stems = stems.filter(|stem| stem.chars().count() >= MIN_STEM_CHARS);
                if let Some(reading) = stems.find_map(|stem| self.direct(stem, false, weights)) {
                    return vec![reading];
                }
            }
        }
        let others = other_readings(&word.raw, text);
        for other in &others {
            if let Some(mut reading) = self.direct(other, last, weights) {
                weaken(&mut reading.hits, weights.rewritten);
                return vec![Reading { instead: Some(other.clone()), ..reading }];
            }
        }
        if let Some(two) = self.cut(text, last, weights) {
            return two.into();
        }
        let near = std::iter::once(text).chain(others.iter().map(String::as_str));
        let near = near.filter_map(|text| self.near(text, weights).map(|near| (text, near)));
        match near.min_by_key(|(_, near)| near.mistakes) {
            Some((text, near)) => vec![near_reading(text, near)],
            None => vec![Reading::default()],
        }
    }

    /// 뮤지컬레미제라블 as 뮤지컬 레미제라블, where an event has both.
    fn cut(&self, text: &str, last: bool, weights: &Weights) -> Option<[Reading; 2]> {
        let chars: Vec<char> = text.chars().collect();
        if chars.len() > MAX_CUT_CHARS {
            return None;
        }
        let most = (chars.len() + 1).saturating_sub(MIN_CUT_CHARS);
        (MIN_CUT_CHARS..most).rev().find_map(|at| {
            let (first, second) = chars.split_at_checked(at)?;
            let mut first = self.direct(&first.iter().collect::<String>(), false, weights)?;
            let mut second = self.direct(&second.iter().collect::<String>(), last, weights)?;
            let in_first = self.events_with(&first.hits);
            let in_second = self.events_with(&second.hits);
            in_first.iter().zip(&in_second).any(|(a, b)| a & b != 0).then(|| {
                weaken(&mut first.hits, weights.rewritten);
                weaken(&mut second.hits, weights.rewritten);
                [first, second]
            })
        })
    }

    /// The events of some texts, a bit each.
    fn events_with(&self, hits: &[Hit]) -> Vec<u64> {
        let mut bits = vec![0_u64; self.len().div_ceil(64)];
        for event in hits.iter().flat_map(|hit| self.events_of.get(&self.bytes, hit.text as usize)) {
            if let Some(word) = bits.get_mut(event as usize / 64) {
                *word |= 1 << (event % 64);
            }
        }
        bits
    }

    /// Adds what words mean with a mistake to those that were found as they are. Whether anything was added.
    fn forgive(&self, words: &[Word], readings: &mut [(usize, Reading)], weights: &Weights) -> bool {
        let mut added = false;
        for (n, reading) in readings {
            let Some(word) = words.get(*n).filter(|_| reading.instead.is_none() && reading.window.is_none()) else {
                continue;
            };
            // Where a text has the word as it is, no text with a mistake is as near, and all are found already.
            if self.is_among(&word.text, &reading.hits) {
                continue;
            }
            if let Some(near) = self.near(&word.text, weights).filter(|near| near.mistakes > 0) {
                reading.hits.extend(near.hits);
                reading.instead = Some(near.instead);
                added = true;
            }
        }
        added
    }

    fn evaluate(&self, readings: &[(usize, Reading)], joined: &[Hit], weights: &Weights) -> Board {
        let count = self.len();
        let mut board =
            Board { best: vec![0.0; count], total: vec![0.0; count], words: vec![0; count], touched: Vec::new() };
        let mut rarities = 0.0;
        for (_, reading) in readings {
            let mut found = Vec::new();
            self.post(&reading.hits, &mut board.best, &mut found);
            if let Some((from, to)) = reading.window {
                let (from, to) = (i64::from(from.to_julian_day()), i64::from(to.to_julian_day()));
                for (event, best) in (0..).zip(&mut board.best) {
                    let n = event as usize;
                    if self.number(Col::Starts, n) <= to && self.number(Col::Ends, n) >= from {
                        if *best == 0.0 {
                            found.push(event);
                        }
                        *best = best.max(weights.dated);
                    }
                }
            }
            let rarity = rarity(count, found.len());
            rarities += rarity;
            board.add(&found, rarity, 1);
        }
        let mut found = Vec::new();
        self.post(joined, &mut board.best, &mut found);
        let all = u8::try_from(readings.len()).unwrap_or(u8::MAX);
        board.add(&found, rarities * weights.joined, all);
        board
    }

    /// What texts are worth to their events, and which events those are.
    fn post(&self, hits: &[Hit], best: &mut [f32], found: &mut Vec<u32>) {
        for hit in hits {
            for event in self.events_of.get(&self.bytes, hit.text as usize) {
                let Some(slot) = best.get_mut(event as usize) else { continue };
                if *slot == 0.0 {
                    found.push(event);
                }
                *slot = slot.max(hit.quality);
            }
        }
    }
}

impl Board {
    /// Adds what was found to the totals and empties it.
    fn add(&mut self, found: &[u32], factor: f32, words: u8) {
        for &event in found {
            let n = event as usize;
            let slots = (self.best.get_mut(n), self.total.get_mut(n), self.words.get_mut(n));
            let (Some(best), Some(total), Some(known)) = slots else { continue };
            *total += *best * factor;
            *best = 0.0;
            if *known == 0 {
                self.touched.push(event);
            }
            *known = if words == 1 { known.saturating_add(1) } else { words.max(*known) };
        }
    }

    /// The events with so many words.
    fn with(&self, words: usize) -> Vec<(u32, f32)> {
        let has = |event: u32| self.words.get(event as usize).is_some_and(|known| usize::from(*known) >= words);
        let score = |event: u32| self.total.get(event as usize).copied().unwrap_or(0.0);
        self.touched.iter().filter(|event| has(**event)).map(|event| (*event, score(*event))).collect()
    }
}

fn weaken(hits: &mut [Hit], factor: f32) {
    for hit in hits {
        hit.quality *= factor;
    }
}

fn near_reading(text: &str, near: NearHits) -> Reading {
    let term = Typo::new(text).map(|typo| Term::Typo(Box::new(typo)));
    Reading { hits: near.hits, instead: Some(near.instead), term, ..Reading::default() }
}

/// What a word is in the other keyboard layout, and what it may be in Hangul if it is Korean in Latin letters.
fn other_readings(raw: &str, text: &str) -> Vec<String> {
    let mut others: Vec<String> = Vec::new();
    let mut add = |other: String| {
        if !other.is_empty() && other != text && !others.contains(&other) {
            others.push(other);
        }
    };
    if raw.chars().any(|c| c.is_ascii_alphabetic()) {
        // Caps Lock doubles the consonants of a layout that has no capitals.
        for typed in [raw.to_owned(), raw.to_ascii_lowercase()] {
            let other = normalise(&from_qwerty(&typed));
            // Whoever types words leaves few letters alone.
            let alone = other.chars().filter(|c| is_consonant(*c) || is_vowel(*c)).count();
            if alone == 0 || alone * 2 < other.chars().count() || !raw.chars().any(is_latin_vowel) {
                add(other);
            }
        }
        if let Some(read) = to_hangul(text).filter(|read| read.chars().count() >= MIN_STEM_CHARS) {
            add(read);
        }
    }
    if !raw.is_ascii() {
        add(normalise(&to_qwerty(raw)));
    }
    others
}

fn is_latin_vowel(c: char) -> bool {
    matches!(c.to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o' | 'u' | 'y')
}

/// The query as it was read.
fn said(words: &[Word], readings: &[(usize, Reading)]) -> String {
    let said = words.iter().enumerate().map(|(n, word)| {
        let instead = readings.iter().find(|(of, _)| *of == n).and_then(|(_, reading)| reading.instead.as_deref());
        instead.filter(|instead| !instead.is_empty()).unwrap_or(&word.raw)
    });
    said.collect::<Vec<_>>().join(" ")
}
