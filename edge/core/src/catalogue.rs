//! The index of events in memory: fetched once per version, an older one serving while a newer one loads.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use nugul_api::{
    Code,
    catalogue::{CalendarDay, CatalogueVersion, EventSummary},
    limits,
};
use nugul_catalog::{
    CatalogEvent, Index, Query, Sort, import::parse_date, index::MAX_INDEX_BYTES, query::MAX_SUGGESTIONS,
};
use serde::Serialize;

use crate::{
    App,
    host::Host,
    http::{Body, Method, Request, Response, field, parse_form},
    upstream::{ANSWER_BYTES_MAX, Ctx, etag_matches, regions},
};

/// How often the coordinators are asked for a newer version, in milliseconds.
const ASK_EVERY_MS: i64 = 2_000;
/// The same while there is none, in milliseconds.
const ASK_FIRST_EVERY_MS: i64 = 250;
/// A load that began longer ago is taken for given up, in milliseconds.
const LOADING_MS: i64 = 5_000;
/// How often it looks, in milliseconds.
const LOOK_EVERY_MS: u64 = 25;
/// Suggestions where the client does not say how many.
const SUGGESTIONS_DEFAULT: usize = 8;
/// How many events a day of the calendar names.
const CALENDAR_EVENTS_MAX: usize = 20;

/// The indexes of all regions, joined.
#[derive(Default)]
pub(crate) struct Catalogue(RefCell<State>);

#[derive(Default)]
struct State {
    regions: BTreeMap<u8, Rc<Index>>,
    joined: Option<Rc<Index>>,
    asked_at: i64,
    loading_since: Option<i64>,
    categories: Rc<Vec<String>>,
    calendars: BTreeMap<String, Rc<Vec<CalendarDay>>>,
}

/// The most months remembered.
const CALENDARS_MAX: usize = 48;

impl State {
    fn is_loading(&self, now: i64) -> bool {
        self.loading_since.is_some_and(|since| now - since < LOADING_MS)
    }
}

/// The index to answer from; an error where none could be had.
pub(crate) async fn index<H: Host>(ctx: &Ctx<'_, H>) -> Result<Rc<Index>, Code> {
    let now = ctx.host.now_ms();
    let (joined, due) = {
        let mut state = ctx.app.catalogue.0.borrow_mut();
        let every = if state.joined.is_some() { ASK_EVERY_MS } else { ASK_FIRST_EVERY_MS };
        let due = now - state.asked_at >= every && !state.is_loading(now);
        if due {
            state.asked_at = now;
            state.loading_since = Some(now);
        }
        (state.joined.clone(), due)
    };
    match (joined, due) {
        (Some(index), false) => return Ok(index),
        (Some(index), true) => {
            let (host, app, lang, trace) = (ctx.host.clone(), Rc::clone(ctx.app), ctx.lang, ctx.trace.clone());
            ctx.host.spawn(Box::pin(async move { load(&Ctx { host: &host, app: &app, lang, trace }).await }));
            return Ok(index);
        }
        (None, true) => load(ctx).await,
        (None, false) => {
            // Another request is loading the first index.
            while current(ctx.app).is_none() && ctx.app.catalogue.0.borrow().is_loading(ctx.host.now_ms()) {
                ctx.host.sleep(LOOK_EVERY_MS).await;
            }
        }
    }
    current(ctx.app).ok_or(Code::Unavailable)
}

fn current(app: &App) -> Option<Rc<Index>> {
    app.catalogue.0.borrow().joined.clone()
}

/// Asks every region for its version and fetches what is new. A region that does not answer keeps its older index.
async fn load<H: Host>(ctx: &Ctx<'_, H>) {
    let mut changed = false;
    for (region, _) in regions(ctx.host) {
        let known = ctx.app.catalogue.0.borrow().regions.get(&region).map(|index| index.version().to_owned());
        if let Some(index) = fetch(ctx, region, known.as_deref()).await {
            ctx.app.catalogue.0.borrow_mut().regions.insert(region, Rc::new(index));
            changed = true;
        }
    }
    let mut state = ctx.app.catalogue.0.borrow_mut();
    state.loading_since = None;
    if !changed {
        return;
    }
    let mut all = state.regions.values();
    let joined = match (all.next(), all.next()) {
        (Some(only), None) => Some(Rc::clone(only)),
        _ => {
            let events: Vec<CatalogEvent> = state.regions.values().flat_map(|i| i.events()).cloned().collect();
            Index::open(nugul_catalog::build(&events)).ok().map(Rc::new)
        }
    };
    if let Some(index) = joined {
        state.categories = Rc::new(categories_of(&index));
        state.calendars.clear();
        state.joined = Some(index);
    }
}

async fn fetch<H: Host>(ctx: &Ctx<'_, H>, region: u8, known: Option<&str>) -> Option<Index> {
    let answer = ctx.ask(Some(region), Method::Get, "/api/v1/catalogue", Vec::new(), Vec::new()).await.ok()?;
    let body = answer.body.collect(ANSWER_BYTES_MAX).await.ok()?;
    let version = serde_json::from_slice::<CatalogueVersion>(&body).ok()?.version;
    if known == Some(version.as_str()) || !version.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let target = format!("/api/v1/catalogue/{version}");
    let answer = ctx.ask(Some(region), Method::Get, &target, Vec::new(), Vec::new()).await.ok()?;
    if answer.status != 200 {
        return None;
    }
    Index::open(answer.body.collect(MAX_INDEX_BYTES).await.ok()?).ok()
}

#[derive(Serialize)]
struct Found<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
}

/// Which list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// `events` and `search/events`.
    Events,
    /// `search/suggest`.
    Suggestions,
    /// `calendar`.
    Calendar,
}

/// Answers a list from memory.
pub(crate) async fn answer<H: Host>(ctx: &Ctx<'_, H>, request: &Request, list: List) -> Response {
    let index = match index(ctx).await {
        Ok(index) => index,
        Err(code) => return ctx.refuse(code),
    };
    let etag = format!("W/\"{}\"", index.version());
    if request.header("if-none-match").is_some_and(|tags| etag_matches(tags, &etag)) {
        return Response { status: 304, headers: Vec::new(), body: Body::Empty }.with("etag", &etag);
    }
    let params = parse_form(&request.query);
    let body = match list {
        List::Events => query(&params).and_then(|query| {
            let page = index.search(&query);
            let next_cursor = page.next_offset.map(|offset| offset.to_string());
            serde_json::to_vec(&Found { items: page.items, next_cursor, total: Some(page.total) }).ok()
        }),
        List::Suggestions => text(&params).zip(number(&params, "limit", SUGGESTIONS_DEFAULT)).and_then(|(q, limit)| {
            let items = index.suggest(q, limit.min(MAX_SUGGESTIONS));
            serde_json::to_vec(&Found { items, next_cursor: None, total: None }).ok()
        }),
        List::Calendar => field(&params, "month").and_then(|month| calendar(ctx, &index, month)).and_then(|days| {
            let items = days.iter().collect();
            serde_json::to_vec(&Found { items, next_cursor: None, total: None }).ok()
        }),
    };
    match body {
        Some(body) => {
            Response::new(200, "application/json", body).with("cache-control", "public, max-age=1").with("etag", &etag)
        }
        None => ctx.refuse(Code::InvalidParameter),
    }
}

fn text(params: &[(String, String)]) -> Option<&str> {
    let q = field(params, "q").unwrap_or_default();
    (q.chars().count() <= limits::QUERY_CHARS_MAX).then_some(q)
}

fn number(params: &[(String, String)], name: &str, default: usize) -> Option<usize> {
    field(params, name).map_or(Some(default), |value| value.parse().ok())
}

/// A query from its parameters; nothing where one is wrong.
pub(crate) fn query(params: &[(String, String)]) -> Option<Query> {
    let day = |name: &str| field(params, name).map_or(Some(None), |value| parse_date(value).map(Some));
    let on = day("date")?;
    let limit = number(params, "limit", limits::PAGE_ITEMS_DEFAULT as usize)?;
    if limit == 0 || limit > limits::PAGE_ITEMS_MAX as usize {
        return None;
    }
    Some(Query {
        q: text(params)?.to_owned(),
        date_from: on.or(day("date_from")?),
        date_to: on.or(day("date_to")?),
        category: field(params, "category").map(str::to_owned),
        place: field(params, "place").map(str::to_owned),
        sort: field(params, "sort").map_or(Some(Sort::default()), Sort::from_name)?,
        offset: number(params, "cursor", 0)?,
        limit,
    })
}

/// The categories there are, most events first.
pub(crate) fn categories<H: Host>(ctx: &Ctx<'_, H>) -> Rc<Vec<String>> {
    Rc::clone(&ctx.app.catalogue.0.borrow().categories)
}

fn categories_of(index: &Index) -> Vec<String> {
    const CATEGORIES_MAX: usize = 24;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for event in index.events() {
        *counts.entry(&event.category).or_default() += 1;
    }
    let mut all: Vec<(&str, usize)> = counts.into_iter().collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    all.into_iter().take(CATEGORIES_MAX).map(|(name, _)| name.to_owned()).collect()
}

/// The days of a month (`YYYY-MM`) with what runs on them, remembered; nothing where it is no month.
pub(crate) fn calendar<H: Host>(ctx: &Ctx<'_, H>, index: &Index, month: &str) -> Option<Rc<Vec<CalendarDay>>> {
    if let Some(days) = ctx.app.catalogue.0.borrow().calendars.get(month) {
        return Some(Rc::clone(days));
    }
    let days = Rc::new(calendar_of(index, month)?);
    let mut state = ctx.app.catalogue.0.borrow_mut();
    if state.calendars.len() >= CALENDARS_MAX {
        state.calendars.clear();
    }
    state.calendars.insert(month.to_owned(), Rc::clone(&days));
    Some(days)
}

fn calendar_of(index: &Index, month: &str) -> Option<Vec<CalendarDay>> {
    parse_date(&format!("{month}-01"))?;
    let day = |(date, events): (String, Vec<&CatalogEvent>)| {
        // ISO dates compare as text.
        let runs = |event: &&CatalogEvent| event.starts_on <= date && date <= event.ends_on;
        let count = u32::try_from(index.events().iter().filter(runs).count()).unwrap_or(u32::MAX);
        CalendarDay { count, events: events.into_iter().take(CALENDAR_EVENTS_MAX).filter_map(summary).collect(), date }
    };
    Some(index.calendar(month).into_iter().map(day).collect())
}

fn summary(event: &CatalogEvent) -> Option<EventSummary> {
    Some(EventSummary {
        id: event.id.parse().ok()?,
        title: event.title.clone(),
        category: event.category.clone(),
        place: event.place.clone(),
        starts_on: event.starts_on.clone(),
        ends_on: event.ends_on.clone(),
    })
}
