//! Builds an index file: a pure function of the events and the administrator's words, the same bytes on every machine.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nugul_domain::event::CAST_MAX;
use uuid::Uuid;

use crate::entry::CatalogEvent;
use crate::format::{Column, Letters, Lists, Texts};
use crate::grams;
use crate::import::parse_date;
use crate::index::{COLUMNS, Field, MAX_EVENTS, MAX_INDEX_BYTES, MAX_TEXT_BYTES, MEAN_SCALE, SECTIONS, frame};
use crate::text::number::read_out;
use crate::text::{Letter, compose_conjoining, letters, normalise_words};
use crate::words::Words;

/// Builds an index file with the shipped words. See [`build_with`].
pub fn build(events: &[CatalogEvent]) -> Vec<u8> {
    build_with(events, &Words::shipped())
}

/// Builds an index file. The order of `events` does not matter; of two with one id the first counts.
///
/// An event that cannot be kept (an id that is no UUID, a bad date, an endless text, a negative price) is left out, so
/// that one bad row never takes the catalogue away; so is what exceeds [`MAX_EVENTS`].
pub fn build_with(events: &[CatalogEvent], words: &Words) -> Vec<u8> {
    let mut kept: Vec<Row<'_>> = events.iter().filter_map(|event| Row::of(event, words)).collect();
    kept.sort_by_key(|row| row.id);
    kept.dedup_by_key(|row| row.id);
    kept.truncate(MAX_EVENTS);
    loop {
        let file = frame(kept.len(), &body(&kept, words));
        if file.len() <= MAX_INDEX_BYTES {
            return file;
        }
        kept.truncate(kept.len() / 2);
    }
}

/// An event that can be kept, its texts composed.
struct Row<'e> {
    event: &'e CatalogEvent,
    id: u128,
    starts: i64,
    ends: i64,
    title: String,
    english: Option<String>,
    category: String,
    place: String,
    region: Option<String>,
    rating: String,
    cast: Vec<String>,
}

impl<'e> Row<'e> {
    fn of(event: &'e CatalogEvent, words: &Words) -> Option<Self> {
        let id = Uuid::parse_str(&event.id).ok().filter(|id| id.to_string() == event.id)?.as_u128();
        let day = |text: &str| parse_date(text).map(|day| i64::from(day.to_julian_day()));
        let (starts, ends) = (day(&event.starts_on)?, day(&event.ends_on)?);
        let text = |text: &String| (text.len() <= MAX_TEXT_BYTES).then(|| compose_conjoining(text));
        let optional = |of: &Option<String>| of.as_ref().map_or(Some(None), |of| text(of).map(Some));
        let prices = event.min_price_krw >= 0 && event.max_price_krw >= 0;
        if starts > ends || !prices || event.cast.len() > CAST_MAX {
            return None;
        }
        let region = match &event.region {
            Some(_) => optional(&event.region)?,
            None => words.region_of(&event.place).map(str::to_owned),
        };
        Some(Self {
            event,
            id,
            starts,
            ends,
            title: text(&event.title)?,
            english: optional(&event.title_en)?,
            category: text(&event.category)?,
            place: text(&event.place)?,
            region,
            rating: text(&event.rating)?,
            cast: event.cast.iter().map(text).collect::<Option<_>>()?,
        })
    }

    fn values(&self, field: Field) -> Vec<&str> {
        match field {
            Field::Title => vec![&self.title],
            Field::English => self.english.iter().map(String::as_str).collect(),
            Field::Cast => self.cast.iter().map(String::as_str).collect(),
            Field::Category => vec![&self.category],
            Field::Place => vec![&self.place],
            Field::Region => self.region.iter().map(String::as_str).collect(),
            Field::Also => Vec::new(),
            Field::Rating => vec![&self.rating],
        }
    }
}

/// The distinct texts of a field, sorted, each with the events it belongs to.
type Values<'r> = BTreeMap<&'r str, Vec<u32>>;

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn body(rows: &[Row<'_>], words: &Words) -> Vec<u8> {
    let mut fields: Vec<Values<'_>> = Vec::with_capacity(Field::ALL.len());
    for field in Field::ALL {
        let mut values = Values::new();
        for (n, row) in rows.iter().enumerate() {
            for value in row.values(field).into_iter().collect::<BTreeSet<_>>() {
                values.entry(value).or_default().push(number(n));
            }
        }
        fields.push(values);
    }
    let also = also(&fields, words);
    if let Some(slot) = fields.get_mut(Field::Also as usize) {
        *slot = also.iter().map(|(text, events)| (text.as_str(), events.iter().copied().collect())).collect();
    }
    let numbers: Vec<HashMap<&str, u32>> =
        fields.iter().map(|values| values.keys().enumerate().map(|(n, text)| (*text, number(n))).collect()).collect();
    let place = |field: Field, text: &str| numbers.get(field as usize).and_then(|of| of.get(text)).copied();

    let searched = || fields.iter().take(Field::SEARCHED);
    let letters: Vec<Vec<Letter>> = searched().flat_map(|values| values.keys().map(|text| letters(text))).collect();

    let mut sections = columns(rows, &place);
    sections.push(meta(&fields));
    sections.push(Texts::write(fields.iter().flat_map(|values| values.keys().copied())));
    sections.push(Letters::write(letters.iter().map(Vec::as_slice)));
    sections.push(Lists::write(searched().flat_map(|values| values.values().map(Vec::as_slice))));
    sections.push(cast(rows, &place));
    let (keys, lists) = gram_lists(&letters);
    sections.push(keys);
    sections.push(lists);
    sections.push(word_tables(words));

    let mut body = Vec::with_capacity(SECTIONS * 4 + sections.iter().map(Vec::len).sum::<usize>());
    let mut end = 0;
    for section in &sections {
        end += section.len();
        body.extend(number(end).to_le_bytes());
    }
    body.extend(sections.into_iter().flatten());
    body
}

fn columns(rows: &[Row<'_>], place: &impl Fn(Field, &str) -> Option<u32>) -> Vec<Vec<u8>> {
    let text = |field, text: &str| place(field, text).map_or(-1, i64::from);
    let optional = |field, of: &Option<String>| of.as_ref().map_or(-1, |of| text(field, of));
    let seconds = |at: Option<nugul_domain::Timestamp>| at.map_or(-1, |at| at.as_millis().div_euclid(1_000).max(0));
    let halves = |id: u128| Uuid::from_u128(id).as_u64_pair();
    let column = |of: &dyn Fn(&Row<'_>) -> i64| Column::write(rows.iter().map(of));
    let columns: [Vec<u8>; COLUMNS] = [
        column(&|row| halves(row.id).0.cast_signed()),
        column(&|row| halves(row.id).1.cast_signed()),
        column(&|row| text(Field::Title, &row.title)),
        column(&|row| optional(Field::English, &row.english)),
        column(&|row| text(Field::Category, &row.category)),
        column(&|row| text(Field::Place, &row.place)),
        column(&|row| optional(Field::Region, &row.region)),
        column(&|row| text(Field::Rating, &row.rating)),
        column(&|row| row.starts),
        column(&|row| row.ends),
        column(&|row| row.event.min_price_krw),
        column(&|row| row.event.max_price_krw),
        column(&|row| row.event.runtime_min.into()),
        column(&|row| row.event.popularity.into()),
        column(&|row| row.event.performances.into()),
        column(&|row| seconds(row.event.sales_open_at)),
        column(&|row| seconds(row.event.sales_close_at)),
        column(&|row| row.event.transferable.into()),
    ];
    columns.into()
}

/// Where each field ends in the table of texts and how long its texts are.
fn meta(fields: &[Values<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut end = 0;
    for values in fields {
        end += values.len();
        let letters: usize = values.keys().map(|text| letters(text).len()).sum();
        out.extend(number(end).to_le_bytes());
        out.extend(number(letters * MEAN_SCALE / values.len().max(1)).to_le_bytes());
    }
    out
}

/// The words by which texts are found besides their own, each with the events it finds.
fn also(fields: &[Values<'_>], words: &Words) -> BTreeMap<String, BTreeSet<u32>> {
    let mut also: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for (text, events) in fields.iter().take(Field::Also as usize).flatten() {
        let numbers = normalise_words(text).iter().filter_map(|word| read_out(word)).collect::<Vec<_>>();
        for found_by in words.also_of(text).into_iter().map(str::to_owned).chain(numbers) {
            also.entry(found_by).or_default().extend(events);
        }
    }
    also
}

/// The performers of each event; no lists where nobody has any.
fn cast(rows: &[Row<'_>], place: &impl Fn(Field, &str) -> Option<u32>) -> Vec<u8> {
    if rows.iter().all(|row| row.cast.is_empty()) {
        return Lists::write(std::iter::empty());
    }
    let lists: Vec<Vec<u32>> = rows
        .iter()
        .map(|row| row.cast.iter().filter_map(|name| place(Field::Cast, name)).collect::<BTreeSet<_>>())
        .map(|names| names.into_iter().collect())
        .collect();
    Lists::write(lists.iter().map(Vec::as_slice))
}

/// The grams, ascending, and the texts of each.
fn gram_lists(texts: &[Vec<Letter>]) -> (Vec<u8>, Vec<u8>) {
    let mut lists: HashMap<u32, Vec<u32>> = HashMap::new();
    for (n, letters) in texts.iter().enumerate() {
        let n = number(n);
        for gram in grams::of(letters) {
            let list = lists.entry(gram).or_default();
            if list.last() != Some(&n) {
                list.push(n);
            }
        }
    }
    let lists: BTreeMap<u32, Vec<u32>> = lists.into_iter().collect();
    let keys = lists.keys().flat_map(|key| key.to_le_bytes()).collect();
    (keys, Lists::write(lists.values().map(Vec::as_slice)))
}

/// Stop words and dictionary, for the reader.
fn word_tables(words: &Words) -> Vec<u8> {
    let stop = Texts::write(words.stop());
    let entries: Vec<String> = words
        .dictionary()
        .map(|(word, parts)| {
            std::iter::once(word).chain(parts.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
        })
        .collect();
    let mut out = number(stop.len()).to_le_bytes().to_vec();
    out.extend(stop);
    out.extend(Texts::write(entries.iter().map(String::as_str)));
    out
}
