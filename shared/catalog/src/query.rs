//! What can be asked of a catalogue, and what it answers.

use nugul_domain::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use time::Date;

use crate::cursor::Cursor;
use crate::entry::CatalogEvent;

/// Longest query that is looked at, in characters; the rest is ignored.
pub const MAX_QUERY_CHARS: usize = 100;
/// Most words of a query; the rest is ignored.
pub const MAX_WORDS: usize = 8;
/// Largest page.
pub const MAX_LIMIT: usize = 100;
/// Most suggestions.
pub const MAX_SUGGESTIONS: usize = 20;
/// Most categories, and most regions, that one query names.
pub const MAX_CHOICES: usize = 16;

/// The order of results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// The best match first; without a text the most wanted and nearest.
    #[default]
    Relevance,
    /// The most wanted first.
    Popularity,
    /// The earliest first day first; what is over comes last.
    Date,
    /// The cheapest first.
    Price,
}

impl Sort {
    /// All of them, in the order in which a page offers them.
    pub const ALL: [Self; 4] = [Self::Relevance, Self::Popularity, Self::Date, Self::Price];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relevance => "relevance",
            Self::Popularity => "popularity",
            Self::Date => "date",
            Self::Price => "price",
        }
    }

    /// From its name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.name() == name)
    }
}

/// What to search for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The text; blank for all events.
    pub q: String,
    /// Only events whose run has a day on or after this one.
    pub date_from: Option<Date>,
    /// Only events whose run has a day on or before this one.
    pub date_to: Option<Date>,
    /// Only events of one of these categories; all where empty.
    pub category: Vec<String>,
    /// Only events in one of these regions; all where empty.
    pub region: Vec<String>,
    /// Only events whose place contains this.
    pub place: Option<String>,
    /// Only events with a seat at this price or a dearer one, in won.
    pub price_min: Option<i64>,
    /// Only events with a seat at this price or a cheaper one, in won.
    pub price_max: Option<i64>,
    /// Only events whose sale is open at `now`; nothing is on sale where `now` is absent.
    pub on_sale: bool,
    /// Only events of which tickets are offered for transfer.
    pub transferable: bool,
    /// The order.
    pub sort: Sort,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// The size of the page, 1 to [`MAX_LIMIT`]; what is outside is moved inside.
    pub limit: usize,
    /// Whether to count by category, region, place and so on.
    pub facets: bool,
    /// The time of asking; without it no event is over and none is near.
    pub now: Option<Timestamp>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            q: String::new(),
            date_from: None,
            date_to: None,
            category: Vec::new(),
            region: Vec::new(),
            place: None,
            price_min: None,
            price_max: None,
            on_sale: false,
            transferable: false,
            sort: Sort::default(),
            cursor: None,
            limit: 20,
            facets: false,
            now: None,
        }
    }
}

impl Query {
    /// A query for a text, with everything else as by default.
    pub fn text(q: impl Into<String>) -> Self {
        Self { q: q.into(), ..Self::default() }
    }
}

/// How the text of a query was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Matched {
    /// All words, as typed: as letters, 초성, half-typed, or by another name.
    #[default]
    All,
    /// All words, some of them read otherwise: another keyboard layout, Latin letters, a typing mistake.
    Corrected,
    /// No event has all words; these have most.
    Most,
}

/// A part of a text that matched, in characters (Unicode scalar values), the end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Highlight {
    /// Which text.
    pub field: Highlighted,
    /// The first character.
    pub from: u32,
    /// The one after the last.
    pub to: u32,
}

/// A text in which matches are marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Highlighted {
    /// `title`
    Title,
    /// `place`
    Place,
}

/// An event that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Item {
    /// The event.
    #[serde(flatten)]
    pub event: CatalogEvent,
    /// What of it matched, ascending, without overlap.
    #[serde(default)]
    pub highlights: Vec<Highlight>,
}

/// How many events there are of one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Count {
    /// The value.
    pub value: String,
    /// How many events.
    pub count: usize,
}

/// How many events have a cheapest seat within a band of prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Band {
    /// From this price on, in won.
    pub min_krw: i64,
    /// Up to this price; none for the last band.
    pub max_krw: Option<i64>,
    /// How many events.
    pub count: usize,
}

/// How many events there would be if this one filter were set so, all others staying as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Facets {
    /// By category, most first.
    pub category: Vec<Count>,
    /// By region, most first.
    pub region: Vec<Count>,
    /// By place, most first, the first few.
    pub place: Vec<Count>,
    /// By the price of the cheapest seat.
    pub price: Vec<Band>,
    /// With an open sale.
    pub on_sale: usize,
    /// With tickets offered for transfer.
    pub transferable: usize,
}

/// One page of results.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page {
    /// The events of this page.
    pub items: Vec<Item>,
    /// Where the next page begins; none on the last.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub next_cursor: Option<Cursor>,
    /// How many events there are on all pages.
    pub total: usize,
    /// How the text was found.
    pub matched: Matched,
    /// The text as it was read, where that is not as it was typed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub did_you_mean: Option<String>,
    /// The counts, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facets: Option<Facets>,
}

// By reference: serde says so.
#[allow(clippy::ref_option)]
fn as_text<S: Serializer>(cursor: &Option<Cursor>, to: S) -> Result<S::Ok, S::Error> {
    cursor.map(|cursor| cursor.to_string()).serialize(to)
}

/// One line below the search field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Suggestion {
    /// The title.
    pub title: String,
    /// The best event of that title.
    pub event_id: String,
    /// Where that event is.
    pub place: String,
    /// What of the title matched.
    #[serde(default)]
    pub highlights: Vec<Highlight>,
}
