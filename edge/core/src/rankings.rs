//! Votes for the rankings, gathered here and sent in batches; and the rankings as pages show them.
//!
//! A vote is lost where an instance ends before it was sent, and none counts twice: a batch has the instance's name and a
//! number, and is sent again with the same.

use std::{
    cell::RefCell,
    collections::HashSet,
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
    pin::pin,
    rc::Rc,
};

use futures_util::future::{Either, join, select};
use nugul_api::{
    Code,
    headers::{API, EDGE_KEY},
    rankings::{EventRanking, KeywordRanking, PLACES_DEFAULT, Vote, VoteBatch},
};
use nugul_domain::{
    EventId, Timestamp, UserId,
    ranking::{BATCH_VOTES_MAX, Keyword, PLACES_MAX, Window},
};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::{
    catalogue,
    host::{Host, settings},
    http::{Method, Request, Response, field, parse_form},
    session::{self, hex},
    upstream::{Ctx, Got},
};

/// How long votes are gathered before they are sent, in milliseconds, where they do not fill a batch sooner.
const GATHER_MS: i64 = 2_000;
/// How often it is looked whether they do, in milliseconds.
const LOOK_EVERY_MS: u64 = 200;
/// Votes that wait; of more, the new ones are not counted.
const WAITING_MAX: usize = 16 * BATCH_VOTES_MAX;
/// Votes remembered as cast, so that a repeated one costs nothing; forgotten all at once.
const CAST_MAX: usize = 8_192;
/// Times that a batch is sent before its votes are given up.
const TRIES_MAX: u32 = 3;
/// The pause after the first failure, doubled with each further one, in milliseconds.
const TRY_PAUSE_MS: u64 = 500;
/// Batches that one task sends: a platform lets none live for ever.
const BATCHES_PER_TASK: u32 = 8;
/// A sender that began longer ago ended with its request, in milliseconds.
const SENDER_MS: i64 = 40_000;
/// How long a page waits for the rankings, in milliseconds.
const PAGE_WAIT_MS: u64 = 300;
/// The length of a person's mark, in bytes.
const MARK_BYTES: usize = 8;

/// What was gathered.
#[derive(Default)]
pub(crate) struct Gathered(RefCell<State>);

#[derive(Default)]
struct State {
    waiting: Vec<Vote>,
    since: i64,
    cast: HashSet<u64>,
    source: String,
    seq: u64,
    sender_since: Option<i64>,
}

/// Counts a search by whoever asks.
pub(crate) fn searched<H: Host>(ctx: &Ctx<'_, H>, request: &Request, user: Option<UserId>, text: &str) {
    let Some(keyword) = Keyword::of(text) else { return };
    vote(ctx, request, user, keyword.as_str(), |voter| {
        let known = catalogue::has(ctx, keyword.as_str());
        Vote::Searched { keyword: keyword.as_str().to_owned(), known, voter }
    });
}

/// Counts a look at an event by whoever asks.
pub(crate) fn looked<H: Host>(ctx: &Ctx<'_, H>, request: &Request, user: Option<UserId>, event: &str) {
    let Ok(event_id) = event.parse::<EventId>() else { return };
    vote(ctx, request, user, event, |voter| Vote::Looked { event_id, voter });
}

fn vote<H: Host>(
    ctx: &Ctx<'_, H>,
    request: &Request,
    user: Option<UserId>,
    subject: &str,
    make: impl FnOnce(String) -> Vote,
) {
    let Some(key) = ctx.host.setting(settings::EDGE_KEY) else { return };
    // A page that a browser fetches ahead was not looked at.
    if request.header("sec-purpose").or_else(|| request.header("purpose")).is_some() {
        return;
    }
    let now = Timestamp::from_millis(ctx.host.now_ms());
    let voter = match user {
        Some(user) => mark(&key, &["buyer", &user.to_string()]),
        None => visitor(&key, now, ctx.host.client_address(request).as_deref(), request.header("user-agent")),
    };
    let cast = {
        let mut hasher = DefaultHasher::new();
        (subject, &voter, Window::Hour.period(now)).hash(&mut hasher);
        hasher.finish()
    };
    {
        let mut state = ctx.app.gathered.0.borrow_mut();
        if state.waiting.len() >= WAITING_MAX || state.cast.contains(&cast) {
            return;
        }
        if state.cast.len() >= CAST_MAX {
            state.cast.clear();
        }
        state.cast.insert(cast);
    }
    let vote = make(voter);
    let mut state = ctx.app.gathered.0.borrow_mut();
    if state.waiting.is_empty() {
        state.since = now.as_millis();
    }
    state.waiting.push(vote);
    if state.sender_since.is_none_or(|since| now.as_millis() - since > SENDER_MS) {
        state.sender_since = Some(now.as_millis());
        if state.source.is_empty() {
            let mut name = [0; 16];
            ctx.host.random(&mut name);
            state.source = hex(&name);
        }
        let (host, app, lang, trace) = (ctx.host.clone(), Rc::clone(ctx.app), ctx.lang, ctx.trace.clone());
        ctx.host.spawn(Box::pin(async move {
            send(&Ctx { host: &host, app: &app, lang, trace }, &key).await;
            app.gathered.0.borrow_mut().sender_since = None;
        }));
    }
}

/// A visitor who is not logged in: who has the same address and browser today is the same. Tomorrow's mark has nothing in
/// common with today's, and without our key nobody can tell an address from a mark.
fn visitor(key: &str, now: Timestamp, address: Option<&str>, browser: Option<&str>) -> String {
    let network = match address.map(str::parse) {
        // A household has a network of its own, with more addresses than anyone could count.
        Some(Ok(IpAddr::V6(address))) => format!("{:x?}", address.segments().get(..4).unwrap_or_default()),
        Some(Ok(IpAddr::V4(address))) => address.to_string(),
        _ => String::new(),
    };
    mark(key, &["visitor", &now.seoul_date(), &network, browser.unwrap_or_default()])
}

fn mark(key: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    hash.update(Sha256::digest(key.as_bytes()));
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hex(hash.finalize().get(..MARK_BYTES).unwrap_or_default())
}

/// Sends what was gathered, batch by batch, until nothing is left.
async fn send<H: Host>(ctx: &Ctx<'_, H>, key: &str) {
    for _ in 0..BATCHES_PER_TASK {
        let Some(batch) = next_batch(ctx).await else { return };
        let Ok(body) = serde_json::to_vec(&batch) else { return };
        let mut pause = TRY_PAUSE_MS;
        for attempt in 1..=TRIES_MAX {
            if sent(ctx, key, body.clone()).await {
                break;
            }
            if attempt < TRIES_MAX {
                ctx.host.sleep(pause).await;
                pause *= 2;
            }
        }
    }
}

/// Whether the batch is done with: taken, or refused for good.
async fn sent<H: Host>(ctx: &Ctx<'_, H>, key: &str, body: Vec<u8>) -> bool {
    let headers =
        vec![("content-type".to_owned(), "application/json".to_owned()), (EDGE_KEY.to_owned(), key.to_owned())];
    let answer = ctx.ask(None, Method::Post, &format!("{API}/rankings/votes"), headers, body).await;
    answer.is_ok_and(|answer| answer.status < 500)
}

/// Waits until a batch is full or old enough; nothing where there are no votes.
async fn next_batch<H: Host>(ctx: &Ctx<'_, H>) -> Option<VoteBatch> {
    loop {
        {
            let mut state = ctx.app.gathered.0.borrow_mut();
            if state.waiting.is_empty() {
                return None;
            }
            let full = state.waiting.len() >= BATCH_VOTES_MAX;
            if full || ctx.host.now_ms() - state.since >= GATHER_MS {
                let many = state.waiting.len().min(BATCH_VOTES_MAX);
                let votes = state.waiting.drain(..many).collect();
                state.since = ctx.host.now_ms();
                state.seq += 1;
                return Some(VoteBatch { source: state.source.clone(), seq: state.seq, votes });
            }
        }
        ctx.host.sleep(LOOK_EVERY_MS).await;
    }
}

/// Answers `rankings/keywords` and `rankings/events` from a copy of a few seconds ago.
pub(crate) async fn answer<H: Host>(ctx: &Ctx<'_, H>, request: &Request, which: &str) -> Response {
    let params = parse_form(&request.query);
    let window = field(&params, "window").map_or(Some(Window::default()), Window::parse);
    let limit = field(&params, "limit").map_or(Some(PLACES_DEFAULT), |limit| limit.parse().ok());
    let (Some(window), Some(limit @ 1..=PLACES_MAX)) = (window, limit) else {
        return ctx.refuse(Code::InvalidParameter);
    };
    match ctx.ask_cached(None, &target(which, window, limit)).await {
        Ok(Got::Kept(kept)) => kept.into_response(request.header("if-none-match")),
        Ok(Got::Answer(answer)) => answer,
        Err(code) => ctx.refuse(code),
    }
}

/// One text for one question, whatever its parameters' order: it names the copy.
fn target(which: &str, window: Window, limit: usize) -> String {
    format!("{API}/rankings/{which}?window={}&limit={limit}", window.as_str())
}

/// The day's rankings for a page; what is not there in good time is left out.
pub(crate) async fn of_the_day<H: Host>(ctx: &Ctx<'_, H>) -> (Option<KeywordRanking>, Option<EventRanking>) {
    let both = pin!(join(read(ctx, "keywords"), read(ctx, "events")));
    within(ctx.host.sleep(PAGE_WAIT_MS), both).await.unwrap_or_default()
}

async fn within<T>(time: impl Future<Output = ()>, work: impl Future<Output = T> + Unpin) -> Option<T> {
    match select(work, pin!(time)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

async fn read<H: Host, T: DeserializeOwned>(ctx: &Ctx<'_, H>, which: &str) -> Option<T> {
    match ctx.ask_cached(None, &target(which, Window::default(), PLACES_DEFAULT)).await.ok()? {
        Got::Kept(kept) => serde_json::from_slice(&kept.body).ok(),
        Got::Answer(_) => None,
    }
}

/// Who reads, as far as a good token says without asking anyone to renew it.
pub(crate) async fn reader<H: Host>(ctx: &Ctx<'_, H>, request: &Request) -> Option<UserId> {
    ctx.host.setting(settings::EDGE_KEY)?;
    let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let token = bearer.or_else(|| request.cookie(session::ACCESS_COOKIE))?;
    session::verify(ctx, token.trim()).await.ok().map(|claims| claims.sub)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_is_the_same_for_a_day_and_a_network() {
        let (today, tomorrow) = (Timestamp::from_millis(1_790_000_000_000), Timestamp::from_millis(1_790_090_000_000));
        let of = |at, address: &str, browser| visitor("a key of an edge", at, Some(address), Some(browser));
        let one = of(today, "2001:db8:1:2::1", "Firefox");
        assert_eq!(one.len(), 2 * MARK_BYTES);
        assert_eq!(one, of(today, "2001:db8:1:2:ffff::9", "Firefox"));
        assert_ne!(one, of(today, "2001:db8:1:3::1", "Firefox"));
        assert_ne!(one, of(today, "2001:db8:1:2::1", "Chrome"));
        assert_ne!(one, of(tomorrow, "2001:db8:1:2::1", "Firefox"));
        assert_ne!(of(today, "192.0.2.1", "Firefox"), of(today, "192.0.2.2", "Firefox"));
        assert_ne!(one, visitor("another key", today, Some("2001:db8:1:2::1"), Some("Firefox")));
    }
}
