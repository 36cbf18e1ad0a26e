//! Queries from the parameters of `events`, `search/events` and `search/suggest`: the same at the edge and at the
//! coordinator.

use nugul_domain::Timestamp;

use crate::cursor::Cursor;
use crate::import::parse_date;
use crate::query::{MAX_CHOICES, MAX_LIMIT, MAX_QUERY_CHARS, MAX_SUGGESTIONS, Query, Sort};

/// Items of a page where the client does not say.
pub const LIMIT_DEFAULT: usize = 20;
/// Suggestions where the client does not say how many.
pub const SUGGESTIONS_DEFAULT: usize = 8;
/// Longest name of a place, a category or a region, in characters.
pub const MAX_NAME_CHARS: usize = 200;

/// A parameter that cannot be understood, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadParameter(pub &'static str);

/// The parameters of `events` and `search/events`. Unknown ones are ignored; empty ones count as absent.
#[cfg(feature = "openapi")]
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchParameters {
    /// What to look for, up to 100 characters: words, 초성, half-typed, in either keyboard layout. All events where blank.
    pub q: Option<String>,
    /// Only what runs on this day, `YYYY-MM-DD`.
    pub date: Option<String>,
    /// Only what has a day on or after this one, `YYYY-MM-DD`.
    pub date_from: Option<String>,
    /// Only what has a day on or before this one, `YYYY-MM-DD`.
    pub date_to: Option<String>,
    /// Only this category; may be repeated.
    pub category: Option<Vec<String>>,
    /// Only this region; may be repeated.
    pub region: Option<Vec<String>>,
    /// Only places whose name contains this.
    pub place: Option<String>,
    /// Only what has a seat at this price or a dearer one, in won.
    pub price_min: Option<u32>,
    /// Only what has a seat at this price or a cheaper one, in won.
    pub price_max: Option<u32>,
    /// `true` for what can be bought now.
    pub on_sale: Option<bool>,
    /// `true` for what tickets are offered for transfer.
    pub transferable: Option<bool>,
    /// `relevance` (the default), `popularity`, `date` or `price`.
    pub sort: Option<String>,
    /// The `next_cursor` of the page before, with the same other parameters.
    pub cursor: Option<String>,
    /// 1 to 100; 20 where absent.
    pub limit: Option<u32>,
    /// `true` to count by category, region, place and price.
    pub facets: Option<bool>,
}

/// The parameters of `search/suggest`.
#[cfg(feature = "openapi")]
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SuggestParameters {
    /// What has been typed so far, up to 100 characters.
    pub q: Option<String>,
    /// Up to 20; 8 where absent.
    pub limit: Option<u32>,
}

/// What was typed so far and how many suggestions are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuggestQuery {
    /// The text.
    pub q: String,
    /// How many.
    pub limit: usize,
}

struct Params<'p>(&'p [(String, String)]);

impl<'p> Params<'p> {
    fn all(&self, name: &str) -> impl Iterator<Item = &'p str> {
        self.0.iter().filter(move |(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    fn one(&self, name: &str) -> Option<&'p str> {
        self.all(name).next()
    }

    fn read<T>(&self, name: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, BadParameter> {
        self.one(name).map(|value| read(value).ok_or(BadParameter(name))).transpose()
    }

    fn text(&self, name: &'static str, most: usize) -> Result<Option<String>, BadParameter> {
        self.read(name, |value| bounded(value, most))
    }

    fn choices(&self, name: &'static str) -> Result<Vec<String>, BadParameter> {
        let all: Option<Vec<String>> = self.all(name).map(|value| bounded(value, MAX_NAME_CHARS)).collect();
        all.filter(|all| all.len() <= MAX_CHOICES).ok_or(BadParameter(name))
    }

    fn flag(&self, name: &'static str) -> Result<bool, BadParameter> {
        let read = |value: &str| match value {
            "true" | "1" | "on" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        };
        Ok(self.read(name, read)?.unwrap_or(false))
    }

    fn price(&self, name: &'static str) -> Result<Option<i64>, BadParameter> {
        self.read(name, |value| value.parse::<u32>().ok().map(i64::from))
    }
}

fn bounded(value: &str, most: usize) -> Option<String> {
    (value.chars().count() <= most).then(|| value.to_owned())
}

/// A query from the parameters of `events` or `search/events`, decoded, in their order; `now` is the time of asking.
pub fn search_query(params: &[(String, String)], now: Timestamp) -> Result<Query, BadParameter> {
    let params = Params(params);
    let on = params.read("date", parse_date)?;
    let sort = params.read("sort", Sort::from_name)?.unwrap_or_default();
    let in_bounds = |value: &str| value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    Ok(Query {
        q: params.text("q", MAX_QUERY_CHARS)?.unwrap_or_default(),
        date_from: on.or(params.read("date_from", parse_date)?),
        date_to: on.or(params.read("date_to", parse_date)?),
        category: params.choices("category")?,
        region: params.choices("region")?,
        place: params.text("place", MAX_NAME_CHARS)?,
        price_min: params.price("price_min")?,
        price_max: params.price("price_max")?,
        on_sale: params.flag("on_sale")?,
        transferable: params.flag("transferable")?,
        sort,
        cursor: params.read("cursor", |value| Cursor::parse(value, sort))?,
        limit: params.read("limit", in_bounds)?.unwrap_or(LIMIT_DEFAULT),
        facets: params.flag("facets")?,
        now: Some(now),
    })
}

/// What `search/suggest` asks.
pub fn suggest_query(params: &[(String, String)]) -> Result<SuggestQuery, BadParameter> {
    let params = Params(params);
    let in_bounds = |value: &str| value.parse().ok().map(|limit: usize| limit.min(MAX_SUGGESTIONS));
    Ok(SuggestQuery {
        q: params.text("q", MAX_QUERY_CHARS)?.unwrap_or_default(),
        limit: params.read("limit", in_bounds)?.unwrap_or(SUGGESTIONS_DEFAULT),
    })
}
