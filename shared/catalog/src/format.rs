//! The building blocks of the index file: columns of numbers, tables of texts, lists of numbers.
//!
//! All integers are little-endian. Every block knows its place in the file; reading is a look into the bytes, checked at
//! every step, and gives nothing (or the column's base) where there is nothing. `check` is what makes that a formality:
//! it is run once, when a file is opened.

use crate::index::Error;
use crate::text::Letter;

/// Which part of the file a block occupies: from and to (exclusive), in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: usize,
    pub(crate) to: usize,
}

impl Span {
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.from..self.to).unwrap_or_default()
    }

    /// A part of this span, given from its beginning.
    fn part(self, from: usize, length: usize) -> Result<Self, Error> {
        let from = self.from.checked_add(from).ok_or(SHORT)?;
        let to = from.checked_add(length).filter(|to| *to <= self.to).ok_or(SHORT)?;
        Ok(Self { from, to })
    }
}

const SHORT: Error = Error::Damaged("a block is cut short");

pub(crate) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes)
}

pub(crate) fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?).and_then(|eight| eight.try_into().ok()).map(u64::from_le_bytes)
}

fn put_u32(out: &mut Vec<u8>, n: usize) {
    out.extend(u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
}

// --- columns ---

/// One number per event: a base, and what is added to it in as few bytes as the largest needs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Column {
    base: i64,
    width: usize,
    data: Span,
}

const COLUMN_HEAD: usize = 9;

impl Column {
    pub(crate) fn write(numbers: impl Iterator<Item = i64> + Clone) -> Vec<u8> {
        let base = numbers.clone().min().unwrap_or(0);
        let most = numbers.clone().map(|n| n.wrapping_sub(base).cast_unsigned()).max().unwrap_or(0);
        let width = 8 - most.leading_zeros() as usize / 8;
        let mut out = base.to_le_bytes().to_vec();
        out.push(u8::try_from(width).unwrap_or(8));
        for n in numbers {
            let bytes = n.wrapping_sub(base).to_le_bytes();
            out.extend(bytes.get(..width).unwrap_or_default());
        }
        out
    }

    pub(crate) fn open(bytes: &[u8], span: Span, count: usize) -> Result<Self, Error> {
        let block = span.of(bytes);
        let base = read_u64(block, 0).ok_or(SHORT)?.cast_signed();
        let width = usize::from(*block.get(8).ok_or(SHORT)?);
        let length = count.checked_mul(width).ok_or(SHORT)?;
        if width > 8 || block.len() != COLUMN_HEAD + length {
            return Err(Error::Damaged("a column of the wrong length"));
        }
        Ok(Self { base, width, data: span.part(COLUMN_HEAD, length)? })
    }

    #[inline]
    pub(crate) fn get(&self, bytes: &[u8], n: usize) -> i64 {
        let from = self.data.from + n * self.width;
        let to = from + self.width;
        let Some(stored) = bytes.get(from..to).filter(|_| to <= self.data.to) else { return self.base };
        let offset = match *stored {
            [] => 0,
            [a] => u64::from(a),
            [a, b] => u64::from(u16::from_le_bytes([a, b])),
            [a, b, c] => u64::from(u32::from_le_bytes([a, b, c, 0])),
            _ => stored.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        self.base.wrapping_add(offset.cast_signed())
    }

    /// A number that is an index; none where it is negative.
    #[inline]
    pub(crate) fn index(&self, bytes: &[u8], n: usize) -> Option<u32> {
        u32::try_from(self.get(bytes, n)).ok()
    }
}

// --- rows ---

/// Rows of bytes: how many there are, where each ends, and they.
#[derive(Debug, Clone, Copy, Default)]
struct Rows {
    count: usize,
    ends: Span,
    data: Span,
}

impl Rows {
    /// Puts each row behind the one before.
    fn write<R>(rows: impl Iterator<Item = R>, put: impl Fn(R, &mut Vec<u8>)) -> Vec<u8> {
        let (mut ends, mut data, mut count) = (Vec::new(), Vec::new(), 0);
        for row in rows {
            put(row, &mut data);
            put_u32(&mut ends, data.len());
            count += 1;
        }
        let mut out = Vec::with_capacity(4 + ends.len() + data.len());
        put_u32(&mut out, count);
        out.extend(ends);
        out.extend(data);
        out
    }

    fn open(bytes: &[u8], span: Span) -> Result<Self, Error> {
        let count = read_u32(span.of(bytes), 0).ok_or(SHORT)? as usize;
        let ends = span.part(4, count.checked_mul(4).ok_or(SHORT)?)?;
        let rows = Self { count, ends, data: Span { from: ends.to, to: span.to } };
        let ends = || (0..count).filter_map(|n| rows.end(bytes, n));
        if !ends().is_sorted() || ends().next_back().unwrap_or(0) != rows.data.of(bytes).len() {
            return Err(Error::Damaged("a row ends where none can"));
        }
        Ok(rows)
    }

    #[inline]
    fn end(&self, bytes: &[u8], n: usize) -> Option<usize> {
        read_u32(self.ends.of(bytes), n * 4).map(|end| end as usize)
    }

    #[inline]
    fn get<'b>(&self, bytes: &'b [u8], n: usize) -> &'b [u8] {
        let from = n.checked_sub(1).map_or(Some(0), |before| self.end(bytes, before));
        let row = from.zip(self.end(bytes, n)).and_then(|(from, to)| self.data.of(bytes).get(from..to));
        row.unwrap_or_default()
    }

    fn all<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
        (0..self.count).map(move |n| self.get(bytes, n))
    }
}

// --- texts ---

/// A table of texts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Texts(Rows);

impl Texts {
    pub(crate) fn write<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<u8> {
        Rows::write(texts, |text, out| out.extend(text.as_bytes()))
    }

    pub(crate) fn open(bytes: &[u8], span: Span) -> Result<Self, Error> {
        let rows = Rows::open(bytes, span)?;
        if rows.all(bytes).any(|text| std::str::from_utf8(text).is_err()) {
            return Err(Error::Damaged("a text is no UTF-8"));
        }
        Ok(Self(rows))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.count
    }

    #[inline]
    pub(crate) fn get<'b>(&self, bytes: &'b [u8], n: u32) -> &'b str {
        // Checked when opened; looked at again because a wild read is worse than a slow one.
        std::str::from_utf8(self.0.get(bytes, n as usize)).unwrap_or_default()
    }
}

// --- letters ---

/// The letters of each text, so that nobody waits while characters are folded.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Letters(Rows);

/// A letter's bytes: the code of the character and [`WORD_START`].
const LETTER_BYTES: usize = 3;
/// Set where a word begins. Codes of characters end far below.
const WORD_START: u32 = 1 << 23;

fn put_letter(letter: Letter, out: &mut Vec<u8>) {
    let packed = u32::from(letter.c) | if letter.start { WORD_START } else { 0 };
    out.extend(packed.to_le_bytes().iter().take(LETTER_BYTES));
}

/// The code of the character, and whether a word begins.
#[inline]
fn take_letter([a, b, c]: [u8; LETTER_BYTES]) -> (u32, bool) {
    let packed = u32::from_le_bytes([a, b, c, 0]);
    (packed & !WORD_START, packed & WORD_START != 0)
}

impl Letters {
    pub(crate) fn write<'l>(texts: impl Iterator<Item = &'l [Letter]>) -> Vec<u8> {
        Rows::write(texts, |text, out| text.iter().for_each(|letter| put_letter(*letter, out)))
    }

    pub(crate) fn open(bytes: &[u8], span: Span) -> Result<Self, Error> {
        let rows = Rows::open(bytes, span)?;
        let are_letters = |text: &[u8]| {
            let (letters, rest) = text.as_chunks();
            rest.is_empty() && letters.iter().all(|letter| char::from_u32(take_letter(*letter).0).is_some())
        };
        if rows.all(bytes).all(are_letters) { Ok(Self(rows)) } else { Err(Error::Damaged("a letter that is none")) }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.count
    }

    /// Puts the letters of a text in the place of those in `out`.
    #[inline]
    pub(crate) fn read(&self, bytes: &[u8], n: u32, out: &mut Vec<Letter>) {
        out.clear();
        out.extend(self.0.get(bytes, n as usize).as_chunks().0.iter().map(|letter| {
            let (code, start) = take_letter(*letter);
            // Each was found to be a character when the file was opened.
            Letter { c: char::from_u32(code).unwrap_or_default(), start }
        }));
    }
}

// --- lists ---

/// Lists of ascending numbers, as differences in as few bytes as each needs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lists(Rows);

/// The most bytes of one number.
const NUMBER_BYTES: u32 = 5;

fn put_number(out: &mut Vec<u8>, mut n: u32) {
    loop {
        let [low, ..] = n.to_le_bytes();
        n >>= 7;
        if n == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn take_number(bytes: &[u8], at: &mut usize) -> Option<u32> {
    let mut n = 0_u32;
    for k in 0..NUMBER_BYTES {
        let byte = *bytes.get(*at)?;
        *at += 1;
        n |= u32::from(byte & 0x7F).checked_shl(7 * k)?;
        if byte < 0x80 {
            return Some(n);
        }
    }
    None
}

/// The numbers of one list, while they last.
pub(crate) struct Numbers<'b> {
    bytes: &'b [u8],
    at: usize,
    /// One more than the last number.
    next: u32,
}

impl Iterator for Numbers<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let difference = match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Some(u32::from(byte))
            }
            Some(_) => take_number(self.bytes, &mut self.at),
            None => return None,
        };
        let number = difference.and_then(|difference| self.next.checked_add(difference));
        match number.and_then(|number| number.checked_add(1)) {
            Some(next) => self.next = next,
            // What cannot be read ends the list, and not at its end.
            None => self.at = usize::MAX,
        }
        number.filter(|_| self.at != usize::MAX)
    }
}

impl Lists {
    /// Each list ascending, without repetition.
    pub(crate) fn write<'l>(lists: impl Iterator<Item = &'l [u32]>) -> Vec<u8> {
        Rows::write(lists, |list, out| {
            let mut next = 0;
            for &n in list {
                put_number(out, n.wrapping_sub(next));
                next = n.wrapping_add(1);
            }
        })
    }

    /// All numbers have to be below `limit`.
    pub(crate) fn open(bytes: &[u8], span: Span, limit: usize) -> Result<Self, Error> {
        let lists = Self(Rows::open(bytes, span)?);
        for n in 0..lists.count() {
            let mut numbers = lists.get(bytes, n);
            let last = numbers.by_ref().last();
            if numbers.at != numbers.bytes.len() || last.is_some_and(|last| last as usize >= limit) {
                return Err(Error::Damaged("a list with an impossible number"));
            }
        }
        Ok(lists)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.count
    }

    pub(crate) fn get<'b>(&self, bytes: &'b [u8], n: usize) -> Numbers<'b> {
        Numbers { bytes: self.0.get(bytes, n), at: 0, next: 0 }
    }

    /// How many bytes a list has: a measure of its length.
    pub(crate) fn size(&self, bytes: &[u8], n: usize) -> usize {
        self.0.get(bytes, n).len()
    }
}
