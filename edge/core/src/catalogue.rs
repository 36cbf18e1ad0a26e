//! The index of events in memory: fetched once per version, an older one serving while a newer one loads.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use nugul_api::{
    Code,
    catalogue::{CalendarDay, CatalogueVersion, EventSummary},
};
use nugul_catalog::{
    CatalogEvent, Index, Page, Query, Suggestion, Weights, calendar, index::MAX_INDEX_BYTES, params, text::normalise,
};
use nugul_domain::Timestamp;
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
/// How many events that open later are remembered.
const OPENING_MAX: usize = 100;
/// How long an answer keeps its tag, in milliseconds.
const ETAG_MS: i64 = 60_000;
/// How often an index is asked for that was replaced meanwhile.
const FETCH_TRIES: usize = 3;
/// How old an answer from memory may be, in milliseconds; `cache-control` says so to everyone on the way.
const ANSWER_MS: i64 = 1_000;
/// The most answers remembered for that long, and their bytes; forgotten all at once.
const REMEMBERED_MAX: usize = 1_024;
const REMEMBERED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The indexes of all regions.
#[derive(Default)]
pub(crate) struct Catalogue(RefCell<State>);

/// The indexes of all regions, answering as one.
pub(crate) struct Joined(Vec<Rc<Index>>);

impl Joined {
    /// Names what is in memory: another content, another version.
    pub(crate) fn version(&self) -> String {
        self.0.iter().map(|index| index.version()).collect::<Vec<_>>().join("-")
    }

    /// One page of what a query finds.
    pub(crate) fn search(&self, query: &Query) -> Page {
        nugul_catalog::search(&self.indexes(), query, &Weights::default())
    }

    /// Titles that continue what has been typed.
    pub(crate) fn suggest(&self, q: &str, limit: usize, now: Timestamp) -> Vec<Suggestion> {
        nugul_catalog::suggest(&self.indexes(), q, limit, Some(now), &Weights::default())
    }

    fn indexes(&self) -> Vec<&Index> {
        self.0.iter().map(Rc::as_ref).collect()
    }
}

#[derive(Default)]
struct State {
    regions: BTreeMap<u8, Rc<Index>>,
    joined: Option<Rc<Joined>>,
    asked_at: i64,
    loading_since: Option<i64>,
    categories: Rc<Vec<String>>,
    opening: Rc<Vec<CatalogEvent>>,
    calendars: BTreeMap<String, Rc<Vec<CalendarDay>>>,
    remembered: Remembered,
}

/// Answers of this moment, of the index in memory: in a rush, thousands ask the same within a second.
#[derive(Default)]
struct Remembered {
    bodies: HashMap<Asked, Answered>,
    bytes: usize,
}

/// Which list, with which query.
type Asked = (List, String);

struct Answered {
    at: i64,
    body: Rc<[u8]>,
}

impl Remembered {
    fn get(&self, asked: &Asked, now: i64) -> Option<Rc<[u8]>> {
        let Answered { at, body } = self.bodies.get(asked)?;
        (0..ANSWER_MS).contains(&(now - at)).then(|| Rc::clone(body))
    }

    fn put(&mut self, asked: Asked, now: i64, body: Rc<[u8]>) {
        let bytes = asked.1.len() + body.len();
        if self.bodies.len() >= REMEMBERED_MAX || self.bytes + bytes > REMEMBERED_BYTES_MAX {
            *self = Self::default();
        }
        if let Some(before) = self.bodies.remove(&asked) {
            self.bytes -= asked.1.len() + before.body.len();
        }
        if bytes <= REMEMBERED_BYTES_MAX {
            self.bytes += bytes;
            self.bodies.insert(asked, Answered { at: now, body });
        }
    }
}

/// The most months remembered.
const CALENDARS_MAX: usize = 48;

impl State {
    fn is_loading(&self, now: i64) -> bool {
        self.loading_since.is_some_and(|since| now - since < LOADING_MS)
    }
}

/// The index to answer from; an error where none could be had.
pub(crate) async fn index<H: Host>(ctx: &Ctx<'_, H>) -> Result<Rc<Joined>, Code> {
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
            let is_over = |now| current(ctx.app).is_some() || !ctx.app.catalogue.0.borrow().is_loading(now);
            ctx.until(|now| is_over(now).then_some(())).await;
        }
    }
    current(ctx.app).ok_or(Code::Unavailable)
}

fn current(app: &App) -> Option<Rc<Joined>> {
    app.catalogue.0.borrow().joined.clone()
}

/// Asks every region for its version and fetches what is new. A region that does not answer keeps its older index.
async fn load<H: Host>(ctx: &Ctx<'_, H>) {
    let mut changed = false;
    for (region, _) in regions(ctx.host) {
        let known = ctx.app.catalogue.0.borrow().regions.get(&region).map(|index| index.version());
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
    let joined = Joined(state.regions.values().cloned().collect());
    state.categories = Rc::new(categories_of(&joined));
    state.opening = Rc::new(opening_of(&joined, Timestamp::from_millis(ctx.host.now_ms())));
    state.calendars.clear();
    state.remembered = Remembered::default();
    state.joined = Some(Rc::new(joined));
}

/// A newer index, if there is one. The one that is named may be replaced before it is asked for: then by the next.
async fn fetch<H: Host>(ctx: &Ctx<'_, H>, region: u8, known: Option<&str>) -> Option<Index> {
    for _ in 0..FETCH_TRIES {
        let version = newest(ctx, region).await?;
        if known == Some(version.as_str()) {
            return None;
        }
        let target = format!("/api/v1/catalogue/{version}");
        let answer = ctx.ask(Some(region), Method::Get, &target, Vec::new(), Vec::new()).await.ok()?;
        if answer.status == 200 {
            return Index::open(answer.body.collect(MAX_INDEX_BYTES).await.ok()?).ok();
        }
    }
    None
}

/// The name of a region's index.
async fn newest<H: Host>(ctx: &Ctx<'_, H>, region: u8) -> Option<String> {
    let answer = ctx.ask(Some(region), Method::Get, "/api/v1/catalogue", Vec::new(), Vec::new()).await.ok()?;
    let body = answer.body.collect(ANSWER_BYTES_MAX).await.ok()?;
    let version = serde_json::from_slice::<CatalogueVersion>(&body).ok()?.version;
    version.bytes().all(|b| b.is_ascii_alphanumeric()).then_some(version)
}

#[derive(Serialize)]
struct Found<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

/// Which list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    let now = Timestamp::from_millis(ctx.host.now_ms());
    // What is on sale or near changes with the clock.
    let etag = format!("W/\"{}-{}\"", index.version(), now.as_millis().div_euclid(ETAG_MS));
    if request.header("if-none-match").is_some_and(|tags| etag_matches(tags, &etag)) {
        return Response { status: 304, headers: Vec::new(), body: Body::Empty }.with("etag", &etag);
    }
    let asked = (list, request.query.clone());
    let remembered = ctx.app.catalogue.0.borrow().remembered.get(&asked, now.as_millis());
    let body = match remembered {
        Some(body) => body,
        None => match body_of(ctx, &index, list, &request.query, now) {
            Ok(body) => {
                ctx.app.catalogue.0.borrow_mut().remembered.put(asked, now.as_millis(), Rc::clone(&body));
                body
            }
            Err(code) => return ctx.refuse(code),
        },
    };
    let cached = format!("public, max-age={}", ANSWER_MS / 1_000);
    Response::new(200, "application/json", &*body).with("cache-control", &cached).with("etag", &etag)
}

/// A list as it is now.
fn body_of<H: Host>(
    ctx: &Ctx<'_, H>,
    index: &Joined,
    list: List,
    query: &str,
    now: Timestamp,
) -> Result<Rc<[u8]>, Code> {
    let params = parse_form(query);
    let body = match list {
        List::Events => params::search_query(&params, now).ok().map(|query| serde_json::to_vec(&index.search(&query))),
        List::Suggestions => params::suggest_query(&params).ok().map(|asked| {
            let items = index.suggest(&asked.q, asked.limit, now);
            serde_json::to_vec(&Found { items, next_cursor: None })
        }),
        List::Calendar => field(&params, "month").and_then(|month| calendar_days(ctx, index, month)).map(|days| {
            let items = days.iter().collect();
            serde_json::to_vec(&Found { items, next_cursor: None })
        }),
    };
    body.ok_or(Code::InvalidParameter)?.map(Rc::from).map_err(|_| Code::Internal)
}

/// Whether what is found for the keyword has it, in its title, category or place.
pub(crate) fn has<H: Host>(ctx: &Ctx<'_, H>, keyword: &str) -> bool {
    const LOOKED_AT: usize = 5;
    let Some(index) = current(ctx.app) else { return false };
    let word = normalise(keyword);
    let found = index.search(&Query { limit: LOOKED_AT, ..Query::text(keyword) });
    let has = |text: &String| normalise(text).contains(&word);
    found.items.iter().any(|i| [&i.event.title, &i.event.category, &i.event.place].into_iter().any(has))
}

/// Events whose sales open after `now`, the first to open first.
pub(crate) fn opening<H: Host>(ctx: &Ctx<'_, H>, now: Timestamp) -> Vec<CatalogEvent> {
    let opening = Rc::clone(&ctx.app.catalogue.0.borrow().opening);
    opening.iter().filter(|event| event.sales_open_at.is_some_and(|at| at > now)).cloned().collect()
}

fn opening_of(index: &Joined, now: Timestamp) -> Vec<CatalogEvent> {
    let opens_later = |event: &CatalogEvent| event.sales_open_at.is_some_and(|at| at > now);
    let mut opening: Vec<CatalogEvent> = index.indexes().iter().flat_map(|i| i.events()).filter(opens_later).collect();
    opening.sort_by(|a, b| (a.sales_open_at, &a.id).cmp(&(b.sales_open_at, &b.id)));
    opening.truncate(OPENING_MAX);
    opening
}

/// The categories there are, most events first.
pub(crate) fn categories<H: Host>(ctx: &Ctx<'_, H>) -> Rc<Vec<String>> {
    Rc::clone(&ctx.app.catalogue.0.borrow().categories)
}

fn categories_of(index: &Joined) -> Vec<String> {
    let counted = index.search(&Query { facets: true, limit: 1, ..Query::default() });
    counted.facets.unwrap_or_default().category.into_iter().map(|count| count.value).collect()
}

/// The days of a month (`YYYY-MM`) with what runs on them, remembered; nothing where it is no month.
pub(crate) fn calendar_days<H: Host>(ctx: &Ctx<'_, H>, index: &Joined, month: &str) -> Option<Rc<Vec<CalendarDay>>> {
    if let Some(days) = ctx.app.catalogue.0.borrow().calendars.get(month) {
        return Some(Rc::clone(days));
    }
    let days = calendar(&index.indexes(), month)?.into_iter().map(|day| CalendarDay {
        date: day.date,
        count: u32::try_from(day.count).unwrap_or(u32::MAX),
        events: day.events.into_iter().filter_map(summary).collect(),
    });
    let days = Rc::new(days.collect());
    let mut state = ctx.app.catalogue.0.borrow_mut();
    if state.calendars.len() >= CALENDARS_MAX {
        state.calendars.clear();
    }
    state.calendars.insert(month.to_owned(), Rc::clone(&days));
    Some(days)
}

fn summary(event: CatalogEvent) -> Option<EventSummary> {
    Some(EventSummary {
        id: event.id.parse().ok()?,
        title: event.title,
        category: event.category,
        place: event.place,
        starts_on: event.starts_on,
        ends_on: event.ends_on,
    })
}
