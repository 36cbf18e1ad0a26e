//! The index file: one immutable value per version of the catalogue, built by the coordinator and opened by the edge.
//!
//! | part | bytes |
//! | --- | --- |
//! | magic `NGLC`, format number | 5 |
//! | name: the first half of the SHA-256 of the body | 16 |
//! | check: a fast sum of everything else | 8 |
//! | count of events | 4 |
//! | body: where each section ends (from the end of this list), then the sections | the rest |
//!
//! The sections are columns (a number per event), texts (every distinct title, name, category, hall … once, sorted within
//! its field), the letters of each searched text as they are compared, and lists (the events of each text, the texts of
//! each gram). [`Index::open`] checks all of it once and
//! keeps the bytes as they are; nothing is unpacked, so opening costs one pass and searching reads only what it needs.

use std::fmt;

use nugul_domain::{Timestamp, event::CAST_MAX};
use time::Date;
use uuid::Uuid;

use crate::entry::CatalogEvent;
use crate::format::{Column, Letters, Lists, Span, Texts, read_u32, read_u64};
use crate::import::{self, iso_date};
use crate::ranking::small;

/// Most events of one index: those of the largest import, and room for what is added to them.
pub const MAX_EVENTS: usize = import::MAX_EVENTS + 50_000;
/// Largest index file.
pub const MAX_INDEX_BYTES: usize = 64 * 1024 * 1024;
/// Longest text of an event, in bytes; longer ones have no place in lists.
pub const MAX_TEXT_BYTES: usize = 2_048;

pub(crate) const MAGIC: [u8; 4] = *b"NGLC";
pub(crate) const FORMAT: u8 = 3;
pub(crate) const NAME_BYTES: usize = 16;
const NAME_AT: usize = 5;
const CHECK_AT: usize = NAME_AT + NAME_BYTES;
const COUNT_AT: usize = CHECK_AT + 8;
pub(crate) const HEADER_BYTES: usize = COUNT_AT + 4;

/// Why an index file was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// What a text is to an event. The order is that of the table of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Title,
    English,
    Cast,
    Category,
    Place,
    Region,
    /// Words by which other texts are found too: synonyms, names in other letters, numbers read out.
    Also,
    /// Who may watch: shown, not searched.
    Rating,
}

impl Field {
    pub(crate) const ALL: [Self; 8] =
        [Self::Title, Self::English, Self::Cast, Self::Category, Self::Place, Self::Region, Self::Also, Self::Rating];
    /// How many of them are searched.
    pub(crate) const SEARCHED: usize = 7;
}

/// The columns, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Col {
    IdHigh,
    IdLow,
    Title,
    /// -1 for none.
    English,
    Category,
    Place,
    /// -1 for none.
    Region,
    Rating,
    /// Julian days.
    Starts,
    Ends,
    MinPrice,
    MaxPrice,
    Runtime,
    Popularity,
    Performances,
    /// Seconds since the epoch; -1 for none.
    SalesOpen,
    SalesClose,
    Transferable,
}

pub(crate) const COLUMNS: usize = 18;

/// The sections after the columns, in the order of the file.
pub(crate) const AFTER_COLUMNS: usize = 8;
pub(crate) const SECTIONS: usize = COLUMNS + AFTER_COLUMNS;

/// What one field is in the table of texts: where it ends, and how long its texts are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FieldMeta {
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// The mean length in letters.
    pub(crate) mean: f32,
}

/// The mean length of a field's texts is kept in hundredths of a letter.
pub(crate) const MEAN_SCALE: usize = 100;

/// An open index: the bytes of the file and where in them everything is. The default one is of no file and has no events.
#[derive(Debug, Default)]
pub struct Index {
    pub(crate) bytes: Vec<u8>,
    count: usize,
    columns: [Column; COLUMNS],
    fields: [FieldMeta; Field::ALL.len()],
    /// The highest demand of an event.
    most_wanted: i64,
    pub(crate) texts: Texts,
    /// Of each searched text.
    pub(crate) letters: Letters,
    /// The events of each searched text.
    pub(crate) events_of: Lists,
    /// The performers of each event, as numbers within their field, sorted; no lists where nobody has any.
    cast_of: Lists,
    gram_keys: Span,
    /// The texts of each gram.
    pub(crate) texts_of: Lists,
    pub(crate) stop: Texts,
    pub(crate) dictionary: Texts,
}

/// The name of an index file's content: the same events and words, the same version.
pub fn version(file: &[u8]) -> String {
    hex(file.get(NAME_AT..CHECK_AT).unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A sum that any change of one word of eight bytes changes: each step can be undone, so none forgets.
pub(crate) fn check_of(file: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let step = |sum: u64, word: u64| (sum ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let eight = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let mut sum = step(file.len() as u64, eight(&MAGIC));
    for part in [file.get(..CHECK_AT), file.get(COUNT_AT..)].into_iter().flatten() {
        let (words, rest) = part.as_chunks::<8>();
        sum = words.iter().fold(sum, |sum, word| step(sum, u64::from_le_bytes(*word)));
        sum = step(sum, eight(rest));
    }
    sum
}

/// Puts a header before a body.
pub(crate) fn frame(count: usize, body: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let mut file = Vec::with_capacity(HEADER_BYTES + body.len());
    file.extend(MAGIC);
    file.push(FORMAT);
    file.extend(Sha256::digest(body).iter().take(NAME_BYTES));
    file.extend([0; 8]);
    file.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
    file.extend(body);
    with_check(file)
}

/// A file with its check made good: what whoever forges a file can do, so what tests and fuzzing do.
pub fn with_check(mut file: Vec<u8>) -> Vec<u8> {
    let check = check_of(&file).to_le_bytes();
    if let Some(slot) = file.get_mut(CHECK_AT..COUNT_AT) {
        slot.copy_from_slice(&check);
    }
    file
}

impl Index {
    /// Opens an index file.
    pub fn open(bytes: Vec<u8>) -> Result<Self, Error> {
        if bytes.len() > MAX_INDEX_BYTES {
            return Err(Error::TooLarge);
        }
        let rest = bytes.strip_prefix(&MAGIC).ok_or(Error::NotAnIndex)?;
        match rest.first() {
            Some(&FORMAT) => {}
            Some(other) => return Err(Error::Format(*other)),
            None => return Err(Error::Damaged("no format")),
        }
        let check = read_u64(&bytes, CHECK_AT).ok_or(Error::Damaged("no check"))?;
        let count = read_u32(&bytes, COUNT_AT).ok_or(Error::Damaged("no count"))? as usize;
        if count > MAX_EVENTS {
            return Err(Error::TooLarge);
        }
        if check_of(&bytes) != check {
            return Err(Error::Damaged("wrong check"));
        }
        let sections = sections(&bytes)?;
        let mut columns = [Column::default(); COLUMNS];
        for (column, span) in columns.iter_mut().zip(&sections) {
            *column = Column::open(&bytes, *span, count)?;
        }
        let after: [Span; AFTER_COLUMNS] = sections
            .get(COLUMNS..)
            .and_then(|after| after.try_into().ok())
            .ok_or(Error::Damaged("sections are missing"))?;
        let [meta, texts, letters, events_of, cast_of, gram_keys, texts_of, words] = after;
        let texts = Texts::open(&bytes, texts)?;
        let fields = fields(&bytes, meta, texts.count())?;
        let searched = fields.get(Field::SEARCHED - 1).map_or(0, |field| field.to as usize);
        let letters = Letters::open(&bytes, letters)?;
        let events_of = Lists::open(&bytes, events_of, count)?;
        let cast = fields.get(Field::Cast as usize).map_or(0, |field| (field.to - field.from) as usize);
        let cast_of = Lists::open(&bytes, cast_of, cast)?;
        let texts_of = Lists::open(&bytes, texts_of, searched)?;
        if [letters.count(), events_of.count()] != [searched; 2] || (cast_of.count() != count && cast_of.count() != 0) {
            return Err(Error::Damaged("the wrong number of lists"));
        }
        check_keys(&bytes, gram_keys, texts_of.count())?;
        let (stop, dictionary) = words_of(&bytes, words)?;
        let mut index = Self {
            most_wanted: 0,
            bytes,
            count,
            columns,
            fields,
            texts,
            letters,
            events_of,
            cast_of,
            gram_keys,
            texts_of,
            stop,
            dictionary,
        };
        index.check_events()?;
        index.most_wanted = (0..count).map(|n| index.number(Col::Popularity, n)).max().unwrap_or(0);
        Ok(index)
    }

    fn check_events(&self) -> Result<(), Error> {
        let mut before = None;
        for n in 0..self.count {
            let id = self.id(n);
            if before.is_some_and(|before| before >= id) {
                return Err(Error::Damaged("events out of order"));
            }
            before = Some(id);
            let known = |col: Col, field: Field, optional: bool| {
                let number = self.number(col, n);
                let meta = self.field(field);
                (optional && number == -1) || (0..i64::from(meta.to - meta.from)).contains(&number)
            };
            if !known(Col::Title, Field::Title, false)
                || !known(Col::English, Field::English, true)
                || !known(Col::Category, Field::Category, false)
                || !known(Col::Place, Field::Place, false)
                || !known(Col::Region, Field::Region, true)
                || !known(Col::Rating, Field::Rating, false)
            {
                return Err(Error::Damaged("an event with an unknown text"));
            }
            let (starts, ends) = (self.day(Col::Starts, n), self.day(Col::Ends, n));
            let small = [Col::Runtime, Col::Popularity, Col::Performances, Col::Transferable];
            if starts.zip(ends).is_none_or(|(starts, ends)| starts > ends)
                || small.into_iter().any(|col| u32::try_from(self.number(col, n)).is_err())
            {
                return Err(Error::Damaged("an impossible event"));
            }
        }
        Ok(())
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The file this was opened from.
    pub fn file(&self) -> &[u8] {
        &self.bytes
    }

    /// The version of the file this was opened from.
    pub fn version(&self) -> String {
        version(&self.bytes)
    }

    /// The events, sorted by id.
    pub fn events(&self) -> impl Iterator<Item = CatalogEvent> + '_ {
        (0..self.count).map(|n| self.event(n))
    }

    /// One event by its id.
    pub fn get(&self, id: &str) -> Option<CatalogEvent> {
        let wanted = Uuid::parse_str(id).ok()?.as_u128();
        let n = self.lower_bound(wanted);
        (n < self.count && self.id(n) == wanted).then(|| self.event(n))
    }

    /// The number of the first event whose id is not below this one.
    pub(crate) fn lower_bound(&self, id: u128) -> usize {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.id(middle) < id { low = middle + 1 } else { high = middle }
        }
        low
    }

    pub(crate) fn most_wanted(&self) -> i64 {
        self.most_wanted
    }

    /// A number of an event.
    #[inline]
    pub(crate) fn number(&self, col: Col, n: usize) -> i64 {
        self.columns.get(col as usize).map_or(0, |column| column.get(&self.bytes, n))
    }

    /// A number of an event that is an index; none where the event has none.
    #[inline]
    pub(crate) fn index_of(&self, col: Col, n: usize) -> Option<u32> {
        self.columns.get(col as usize).and_then(|column| column.index(&self.bytes, n))
    }

    /// A day of an event.
    pub(crate) fn day(&self, col: Col, n: usize) -> Option<Date> {
        i32::try_from(self.number(col, n)).ok().and_then(|day| Date::from_julian_day(day).ok())
    }

    /// The id of an event as a number.
    #[inline]
    pub(crate) fn id(&self, n: usize) -> u128 {
        let half = |col| u128::from(self.number(col, n).cast_unsigned());
        half(Col::IdHigh) << 64 | half(Col::IdLow)
    }

    /// Where a field is in the table of texts.
    #[inline]
    pub(crate) fn field(&self, field: Field) -> FieldMeta {
        self.fields.get(field as usize).copied().unwrap_or_default()
    }

    /// The field of a text.
    #[inline]
    pub(crate) fn field_of(&self, text: u32) -> Field {
        let found = Field::ALL.into_iter().zip(&self.fields).find(|(_, meta)| text < meta.to);
        found.map_or(Field::Rating, |(field, _)| field)
    }

    /// A text of a field by its number within the field.
    pub(crate) fn text(&self, field: Field, number: u32) -> &str {
        self.texts.get(&self.bytes, self.field(field).from.saturating_add(number))
    }

    /// The texts of an event, by column.
    pub(crate) fn text_of(&self, field: Field, col: Col, n: usize) -> Option<&str> {
        self.index_of(col, n).map(|number| self.text(field, number))
    }

    /// The list of a gram in [`Index::texts_of`].
    pub(crate) fn gram(&self, key: u32) -> Option<usize> {
        let keys = self.gram_keys.of(&self.bytes);
        let (mut low, mut high) = (0, keys.len() / 4);
        while low < high {
            let middle = usize::midpoint(low, high);
            let found = read_u32(keys, middle * 4)?;
            match found.cmp(&key) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// An event as it was put in; an empty one where there is none.
    pub(crate) fn event(&self, n: usize) -> CatalogEvent {
        let text = |field, col| self.text_of(field, col, n).unwrap_or_default().to_owned();
        let day = |col| self.day(col, n).map(iso_date).unwrap_or_default();
        let small = |col| u32::try_from(self.number(col, n)).unwrap_or(0);
        let moment = |col| {
            let seconds = Some(self.number(col, n)).filter(|seconds| *seconds >= 0);
            seconds.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1_000)))
        };
        let cast = if self.cast_of.count() == 0 { Vec::new() } else { self.cast(n) };
        CatalogEvent {
            id: Uuid::from_u128(self.id(n)).to_string(),
            title: text(Field::Title, Col::Title),
            title_en: self.text_of(Field::English, Col::English, n).map(str::to_owned),
            category: text(Field::Category, Col::Category),
            place: text(Field::Place, Col::Place),
            region: self.text_of(Field::Region, Col::Region, n).map(str::to_owned),
            cast,
            starts_on: day(Col::Starts),
            ends_on: day(Col::Ends),
            min_price_krw: self.number(Col::MinPrice, n),
            max_price_krw: self.number(Col::MaxPrice, n),
            rating: text(Field::Rating, Col::Rating),
            runtime_min: small(Col::Runtime),
            popularity: small(Col::Popularity),
            performances: small(Col::Performances),
            sales_open_at: moment(Col::SalesOpen),
            sales_close_at: moment(Col::SalesClose),
            transferable: small(Col::Transferable),
        }
    }

    fn cast(&self, n: usize) -> Vec<String> {
        let names = self.cast_of.get(&self.bytes, n).take(CAST_MAX);
        names.map(|number| self.text(Field::Cast, number).to_owned()).collect()
    }
}

fn sections(bytes: &[u8]) -> Result<[Span; SECTIONS], Error> {
    let start = HEADER_BYTES + SECTIONS * 4;
    let mut spans = [Span::default(); SECTIONS];
    let mut from = start;
    for (n, span) in spans.iter_mut().enumerate() {
        let end = read_u32(bytes, HEADER_BYTES + n * 4).ok_or(Error::Damaged("no sections"))? as usize;
        let to = start.checked_add(end).filter(|to| *to >= from && *to <= bytes.len());
        let to = to.ok_or(Error::Damaged("a section ends where none can"))?;
        *span = Span { from, to };
        from = to;
    }
    if from == bytes.len() { Ok(spans) } else { Err(Error::Damaged("wrong length")) }
}

fn fields(bytes: &[u8], meta: Span, texts: usize) -> Result<[FieldMeta; Field::ALL.len()], Error> {
    let block = meta.of(bytes);
    let mut fields = [FieldMeta::default(); Field::ALL.len()];
    let mut from = 0;
    for (n, field) in fields.iter_mut().enumerate() {
        let pair = read_u32(block, n * 8).zip(read_u32(block, n * 8 + 4));
        let (to, mean) = pair.filter(|(to, _)| *to >= from).ok_or(Error::Damaged("an impossible field"))?;
        let mean = (small(mean as usize) / small(MEAN_SCALE)).max(1.0);
        *field = FieldMeta { from, to, mean };
        from = to;
    }
    if from as usize == texts && block.len() == fields.len() * 8 {
        Ok(fields)
    } else {
        Err(Error::Damaged("fields that are not the texts"))
    }
}

fn check_keys(bytes: &[u8], span: Span, count: usize) -> Result<(), Error> {
    let (keys, rest) = span.of(bytes).as_chunks::<4>();
    let ascending = keys.is_sorted_by(|a, b| u32::from_le_bytes(*a) < u32::from_le_bytes(*b));
    if keys.len() == count && rest.is_empty() && ascending { Ok(()) } else { Err(Error::Damaged("impossible grams")) }
}

/// Two tables of texts: how long the first is, the first, the second.
fn words_of(bytes: &[u8], span: Span) -> Result<(Texts, Texts), Error> {
    let short = Error::Damaged("no words");
    let length = read_u32(span.of(bytes), 0).ok_or(short)? as usize;
    let from = span.from.checked_add(4).ok_or(short)?;
    let middle = from.checked_add(length).filter(|middle| *middle <= span.to).ok_or(short)?;
    Ok((Texts::open(bytes, Span { from, to: middle })?, Texts::open(bytes, Span { from: middle, to: span.to })?))
}
