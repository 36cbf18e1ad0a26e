//! The index file: one immutable value per version of the catalogue, built by the coordinator and opened by the edge.
//!
//! Layout: magic, format number, count of events (u32), length of the body (u32), first 16 bytes of the body's SHA-256,
//! body. Integers are little-endian. The body is a JSON array of [`CatalogEvent`], sorted by id. What search needs
//! besides is derived when the file is opened, so that the file stays small on the wire.

use std::collections::HashMap;
use std::fmt;

use sha2::{Digest, Sha256};
use time::Date;

use crate::entry::CatalogEvent;
use crate::import::parse_date;
use crate::text::{Fit, Pattern, class, normalise_words};

/// Most events of one index.
pub const MAX_EVENTS: usize = 100_000;
/// Largest index file.
pub const MAX_INDEX_BYTES: usize = 64 * 1024 * 1024;
/// Longest text of an event, in bytes; longer ones have no place in lists.
pub const MAX_TEXT_BYTES: usize = 2_048;

const MAGIC: [u8; 4] = *b"NGLC";
const FORMAT: u8 = 1;
const DIGEST_BYTES: usize = 16;
const HEADER_BYTES: usize = MAGIC.len() + 1 + 4 + 4 + DIGEST_BYTES;
const VERSION_BYTES: usize = 16;

/// Why an index file was not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// It is no index file.
    NotAnIndex,
    /// It is an index file of another format.
    Format(u8),
    /// It is larger than any index this crate builds.
    TooLarge,
    /// Its parts contradict each other.
    Damaged(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnIndex => write!(f, "not a catalogue index"),
            Self::Format(format) => write!(f, "catalogue index of format {format}, expected {FORMAT}"),
            Self::TooLarge => write!(f, "catalogue index larger than {MAX_INDEX_BYTES} bytes or {MAX_EVENTS} events"),
            Self::Damaged(what) => write!(f, "damaged catalogue index: {what}"),
        }
    }
}

impl std::error::Error for Error {}

/// Builds an index file. The order of `events` does not matter; of two with one id the first counts.
///
/// An event that [`Index::open`] would refuse (a bad date, an empty id, an endless text) is left out, so that one bad row
/// never takes the catalogue away; so is what exceeds [`MAX_EVENTS`].
pub fn build(events: &[CatalogEvent]) -> Vec<u8> {
    let mut sorted: Vec<&CatalogEvent> = events.iter().filter(|event| Dates::of(event).is_some()).collect();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    sorted.dedup_by(|a, b| a.id == b.id);
    sorted.truncate(MAX_EVENTS);
    loop {
        let body = serde_json::to_vec(&sorted).unwrap_or_else(|_| b"[]".to_vec());
        let file = frame(sorted.len(), &body);
        if file.len() <= MAX_INDEX_BYTES {
            return file;
        }
        sorted.truncate(sorted.len() / 2);
    }
}

/// The name of an index file's content: the same bytes, the same version.
pub fn version(bytes: &[u8]) -> String {
    use fmt::Write as _;
    Sha256::digest(bytes).iter().take(VERSION_BYTES).fold(String::with_capacity(VERSION_BYTES * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn body_digest(body: &[u8]) -> Vec<u8> {
    Sha256::digest(body).iter().copied().take(DIGEST_BYTES).collect()
}

pub(crate) fn frame(count: usize, body: &[u8]) -> Vec<u8> {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut file = Vec::with_capacity(HEADER_BYTES + body.len());
    file.extend(MAGIC);
    file.push(FORMAT);
    file.extend(number(count));
    file.extend(number(body.len()));
    file.extend(body_digest(body));
    file.extend(body);
    file
}

/// The dates of an event as numbers, to compare.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dates {
    pub(crate) starts: i32,
    pub(crate) ends: i32,
}

impl Dates {
    /// None for an event that has no place in an index.
    fn of(event: &CatalogEvent) -> Option<Self> {
        let short = [&event.id, &event.title, &event.category, &event.place, &event.rating]
            .into_iter()
            .chain(&event.description_short)
            .chain(&event.next_performance_id)
            .all(|text| text.len() <= MAX_TEXT_BYTES);
        let day = |text: &str| parse_date(text).map(Date::to_julian_day);
        let dates = Self { starts: day(&event.starts_on)?, ends: day(&event.ends_on)? };
        (short && !event.id.is_empty() && dates.starts <= dates.ends).then_some(dates)
    }

    /// Whether the run has a day in common with a period; an open end does not limit.
    pub(crate) fn overlaps(self, from: Option<i32>, to: Option<i32>) -> bool {
        from.is_none_or(|from| self.ends >= from) && to.is_none_or(|to| self.starts <= to)
    }
}

/// What one event is to the search engine; its field values are numbers into [`Field`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) dates: Dates,
    pub(crate) title: u32,
    pub(crate) category: u32,
    pub(crate) place: u32,
    /// The place of the event when sorted by demand, by first day, by price.
    pub(crate) rank_popular: u32,
    pub(crate) rank_date: u32,
    pub(crate) rank_price: u32,
}

/// An open index: the events and what makes searching them quick.
#[derive(Debug)]
pub struct Index {
    pub(crate) events: Vec<CatalogEvent>,
    pub(crate) rows: Vec<Row>,
    pub(crate) titles: Field,
    pub(crate) categories: Field,
    pub(crate) places: Field,
    /// Event numbers, most wanted first.
    pub(crate) by_popularity: Vec<u32>,
    version: String,
}

impl Index {
    /// Opens an index file.
    // By value: a zero-copy reader will keep the bytes.
    #[allow(clippy::needless_pass_by_value)]
    pub fn open(bytes: Vec<u8>) -> Result<Self, Error> {
        if bytes.len() > MAX_INDEX_BYTES {
            return Err(Error::TooLarge);
        }
        let rest = bytes.strip_prefix(&MAGIC).ok_or(Error::NotAnIndex)?;
        let (&[format], rest) = rest.split_first_chunk::<1>().ok_or(Error::Damaged("no format"))?;
        if format != FORMAT {
            return Err(Error::Format(format));
        }
        let (count, rest) = rest.split_first_chunk::<4>().ok_or(Error::Damaged("no count"))?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(Error::Damaged("no length"))?;
        let (digest, body) = rest.split_first_chunk::<DIGEST_BYTES>().ok_or(Error::Damaged("no digest"))?;
        let (count, length) = (u32::from_le_bytes(*count) as usize, u32::from_le_bytes(*length) as usize);
        if count > MAX_EVENTS {
            return Err(Error::TooLarge);
        }
        if body.len() != length {
            return Err(Error::Damaged("wrong length"));
        }
        if body_digest(body) != digest {
            return Err(Error::Damaged("wrong digest"));
        }
        let events: Vec<CatalogEvent> = serde_json::from_slice(body).map_err(|_| Error::Damaged("unreadable body"))?;
        if events.len() != count {
            return Err(Error::Damaged("wrong count"));
        }
        if !events.is_sorted_by(|a, b| a.id < b.id) {
            return Err(Error::Damaged("events out of order"));
        }
        Self::derive(events, version(&bytes))
    }

    fn derive(events: Vec<CatalogEvent>, version: String) -> Result<Self, Error> {
        let (mut titles, mut categories, mut places) =
            (FieldBuilder::default(), FieldBuilder::default(), FieldBuilder::default());
        let mut rows = Vec::with_capacity(events.len());
        for event in &events {
            rows.push(Row {
                dates: Dates::of(event).ok_or(Error::Damaged("impossible event"))?,
                title: titles.add(&event.title),
                category: categories.add(&event.category),
                place: places.add(&event.place),
                rank_popular: 0,
                rank_date: 0,
                rank_price: 0,
            });
        }
        let numbers = 0..u32::try_from(events.len()).map_err(|_| Error::TooLarge)?;
        let mut order: Vec<(u32, &CatalogEvent, Row)> =
            numbers.zip(&events).zip(&rows).map(|((n, event), row)| (n, event, *row)).collect();

        order.sort_by_key(|(n, event, row)| (std::cmp::Reverse(event.popularity), row.dates.starts, *n));
        let by_popularity: Vec<u32> = order.iter().map(|(n, ..)| *n).collect();
        let ranks = |order: &[(u32, &CatalogEvent, Row)]| {
            let mut ranks = vec![0_u32; order.len()];
            for (rank, (n, ..)) in (0_u32..).zip(order) {
                if let Some(slot) = ranks.get_mut(*n as usize) {
                    *slot = rank;
                }
            }
            ranks
        };
        let popular = ranks(&order);
        // Stable sorts: what is equal stays in the order of demand.
        let mut by_price = order.clone();
        by_price.sort_by_key(|(_, event, _)| event.min_price_krw);
        let price = ranks(&by_price);
        order.sort_by_key(|(_, _, row)| row.dates.starts);
        let date = ranks(&order);
        for (row, ((popular, date), price)) in rows.iter_mut().zip(popular.iter().zip(&date).zip(&price)) {
            (row.rank_popular, row.rank_date, row.rank_price) = (*popular, *date, *price);
        }
        let (titles, categories, places) = (titles.finish(), categories.finish(), places.finish());
        Ok(Self { events, rows, titles, categories, places, by_popularity, version })
    }

    /// All events, sorted by id.
    pub fn events(&self) -> &[CatalogEvent] {
        &self.events
    }

    /// One event.
    pub fn get(&self, id: &str) -> Option<&CatalogEvent> {
        let at = self.events.binary_search_by(|event| event.id.as_str().cmp(id)).ok()?;
        self.events.get(at)
    }

    /// The version of the file this was opened from.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// A text of a field, normalised, and where its words begin.
#[derive(Debug, Default)]
struct Key {
    chars: Vec<char>,
    word_starts: Vec<bool>,
}

impl Key {
    fn new(text: &str) -> Self {
        let mut key = Self::default();
        for word in normalise_words(text) {
            for (i, c) in word.chars().enumerate() {
                key.chars.push(c);
                key.word_starts.push(i == 0);
            }
        }
        key
    }

    /// How well a pattern fits anywhere in the text; 0 when it does not.
    fn score(&self, pattern: &Pattern) -> u32 {
        if pattern.len() == 0 {
            return 0;
        }
        let last = (self.chars.len() + 1).saturating_sub(pattern.len());
        let at = |at: usize| {
            let fit = pattern.fit_at(&self.chars, at)?;
            let place = if at == 0 && pattern.len() == self.chars.len() {
                score::WHOLE
            } else if at == 0 {
                score::BEGINNING
            } else if self.word_starts.get(at).copied().unwrap_or(false) {
                score::WORD_START
            } else {
                score::INSIDE
            };
            Some(if fit == Fit::Exact { place } else { place - score::PARTIAL_LOSS })
        };
        (0..last).filter_map(at).max().unwrap_or(0)
    }
}

/// What a match is worth, by where in the text it is.
pub(crate) mod score {
    /// The pattern is the whole text.
    pub(crate) const WHOLE: u32 = 1_000;
    /// The text begins with it.
    pub(crate) const BEGINNING: u32 = 800;
    /// A later word begins with it.
    pub(crate) const WORD_START: u32 = 600;
    /// It is inside a word.
    pub(crate) const INSIDE: u32 = 300;
    /// Taken off for 초성 and half-typed syllables.
    pub(crate) const PARTIAL_LOSS: u32 = 100;
}

/// A gram of one or two character classes.
type Gram = (char, char);

/// Stands in the second place of a gram of one.
const NONE: char = '\0';

/// The distinct values of one field, with posting lists from class grams to the values that contain them.
#[derive(Debug, Default)]
pub(crate) struct Field {
    keys: Vec<Key>,
    postings: HashMap<Gram, Vec<u32>>,
}

impl Field {
    /// The score of each value; 0 where the pattern is not in it.
    pub(crate) fn scores(&self, pattern: &Pattern) -> Vec<u32> {
        let mut scores = vec![0; self.keys.len()];
        for &value in self.candidates(pattern) {
            if let (Some(key), Some(slot)) = (self.keys.get(value as usize), scores.get_mut(value as usize)) {
                *slot = key.score(pattern);
            }
        }
        scores
    }

    /// Values that can match: those that contain the pattern's rarest gram.
    fn candidates(&self, pattern: &Pattern) -> &[u32] {
        let classes = pattern.classes();
        let posting = |gram: Gram| self.postings.get(&gram).map_or(&[] as &[u32], Vec::as_slice);
        match classes.as_slice() {
            [] => &[],
            [one] => posting((*one, NONE)),
            many => many
                .iter()
                .zip(many.iter().skip(1))
                .map(|(a, b)| posting((*a, *b)))
                .min_by_key(|posting| posting.len())
                .unwrap_or(&[]),
        }
    }

    /// The normalised values.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> + '_ {
        self.keys.iter().map(|key| key.chars.iter().collect())
    }
}

#[derive(Default)]
struct FieldBuilder<'a> {
    numbers: HashMap<&'a str, u32>,
    field: Field,
}

impl<'a> FieldBuilder<'a> {
    fn add(&mut self, text: &'a str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.field.keys.len()).unwrap_or(u32::MAX);
        let key = Key::new(text);
        let classes: Vec<char> = key.chars.iter().copied().map(class).collect();
        for (i, &a) in classes.iter().enumerate() {
            for gram in [Some((a, NONE)), classes.get(i + 1).map(|b| (a, *b))].into_iter().flatten() {
                let posting = self.field.postings.entry(gram).or_default();
                if posting.last() != Some(&number) {
                    posting.push(number);
                }
            }
        }
        self.field.keys.push(key);
        self.numbers.insert(text, number);
        number
    }

    fn finish(self) -> Field {
        self.field
    }
}
