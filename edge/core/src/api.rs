//! `/api/v1`: answered from memory where possible, otherwise forwarded once to the coordinator that owns the id.

use std::{cell::RefCell, collections::HashMap};

use nugul_api::{
    Code,
    headers::{API, EDGE_KEY, LAST_EVENT_ID, PAGE_REQUEST},
    limits,
};
use nugul_domain::PerformanceId;
use serde::Deserialize;

use crate::{
    catalogue::{self, List},
    everywhere,
    fanout::CLIENT_ADDRESS,
    host::{Host, HostError, settings},
    http::{Body, Method, Request, Response, encode, field, parse_form},
    rankings,
    session::{self, Session},
    upstream::{Ctx, Got, chosen, region_of, regions},
};

/// The most performances whose audience is remembered.
const AUDIENCES_MAX: usize = 4_096;
/// What is passed on of the id that a reader saw last, in characters: longer than any version, so that the beginning of something
/// else does not become one.
const LAST_ID_CHARS_MAX: usize = 24;
/// What `Retry-After` says to one who has too many streams, in seconds.
const RETRY_AFTER_S: &str = "5";

/// Answers a request below `/api/v1`.
pub(crate) async fn handle<H: Host>(ctx: &Ctx<'_, H>, mut request: Request) -> Response {
    let path = request.path.strip_prefix(API).unwrap_or_default().trim_start_matches('/').to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    if request.method.is_read() {
        match parts.as_slice() {
            ["events"] => return catalogue::answer(ctx, &request, List::Events).await,
            ["search", "events"] => {
                let answer = catalogue::answer(ctx, &request, List::Events).await;
                let params = parse_form(&request.query);
                // Further pages are the same search.
                if answer.status < 400 && field(&params, "cursor").is_none() {
                    let reader = rankings::reader(ctx, &request).await;
                    rankings::searched(ctx, &request, reader, field(&params, "q").unwrap_or_default());
                }
                return answer;
            }
            ["rankings", which @ ("keywords" | "events")] => return rankings::answer(ctx, &request, which).await,
            ["search", "suggest"] => return catalogue::answer(ctx, &request, List::Suggestions).await,
            ["calendar"] => return catalogue::answer(ctx, &request, List::Calendar).await,
            [kind @ ("events" | "performances"), id] => {
                let Some(region) = region_of(id) else { return ctx.refuse(Code::NotFound) };
                return match ctx.ask_cached(Some(region), &request.path).await {
                    Ok(Got::Kept(kept)) => {
                        if *kind == "events" {
                            let reader = rankings::reader(ctx, &request).await;
                            rankings::looked(ctx, &request, reader, id);
                        }
                        kept.into_response(request.header("if-none-match"))
                    }
                    Ok(Got::Answer(answer)) => answer,
                    Err(code) => ctx.refuse(code),
                };
            }
            ["performances", id, "stream"] => {
                let opened = match open_stream(ctx, &request, id).await {
                    Ok(opened) => opened,
                    Err(refusal) => return refusal,
                };
                if wants_stream(&request) {
                    return stream(ctx, &request, id, opened).await;
                }
            }
            _ => {}
        }
    }
    if !forwardable(&path) {
        return ctx.refuse(Code::NotFound);
    }
    let Ok(body) = std::mem::replace(&mut request.body, Body::Empty).collect(limits::BODY_BYTES_MAX).await else {
        return ctx.refuse(Code::BodyTooLarge);
    };
    let (session, token) = match authenticate(ctx, &request).await {
        Ok(known) => known,
        Err(code) => return ctx.refuse(code),
    };
    if request.method == Method::Get && everywhere::LISTS.contains(&path.as_str()) && regions(ctx.host).len() > 1 {
        let params = parse_form(&request.query);
        let mut answer = match everywhere::list(ctx, &path, &params, token.as_deref()).await {
            Ok(answer) => answer,
            Err(code) => ctx.refuse(code),
        };
        answer.headers.extend(session.set_cookies.into_iter().map(|cookie| ("set-cookie".to_owned(), cookie)));
        return answer;
    }
    // Ids know their region; what has none belongs to the region of who asks.
    let region = parts
        .iter()
        .find_map(|part| region_of(part))
        .or_else(|| region_of_body(&body))
        .or_else(|| session.user.as_ref().map(|user| user.claims.sub.region().0));
    let headers = ctx.request_headers(&request.headers, token.as_deref());
    let mut answer = match ctx.ask(region, request.method, &request.target(), headers, body).await {
        Ok(answer) => answer,
        Err(code) => ctx.refuse(code),
    };
    answer.headers.extend(session.set_cookies.into_iter().map(|cookie| ("set-cookie".to_owned(), cookie)));
    answer
}

/// A path that means the same to everyone on the way: no dots, no encoded slashes.
fn forwardable(path: &str) -> bool {
    path.split('/').all(|part| part != "." && part != "..") && !path.contains('%') && !path.contains('\\')
}

/// An order names its hold in the body.
fn region_of_body(body: &[u8]) -> Option<u8> {
    if body.is_empty() {
        return None;
    }
    region_of(serde_json::from_slice::<serde_json::Value>(body).ok()?.get("hold_id")?.as_str()?)
}

/// Who asks, and the token to forward. A program's token that is not good never reaches a coordinator; a page's ended
/// session is nobody's.
async fn authenticate<H: Host>(ctx: &Ctx<'_, H>, request: &Request) -> Result<(Session, Option<String>), Code> {
    if let Some(value) = request.header("authorization") {
        let token = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = token.map(|(_, token)| token.trim()).ok_or(Code::TokenInvalid)?;
        let claims = session::verify(ctx, token).await?;
        let user = session::User { claims, token: token.to_owned() };
        return Ok((Session { user: Some(user), ..Session::default() }, Some(token.to_owned())));
    }
    let with_cookie =
        request.cookie(session::ACCESS_COOKIE).is_some() || request.cookie(session::REFRESH_COOKIE).is_some();
    if !with_cookie {
        return Ok((Session::default(), None));
    }
    if !request.method.is_read() && request.header(PAGE_REQUEST) != Some("1") {
        return Err(Code::CrossSite);
    }
    let session = session::from_cookies(ctx, request).await;
    if session.unknown {
        return Err(Code::Unavailable);
    }
    let token = session.user.as_ref().map(|user| user.token.clone());
    Ok((session, token))
}

/// Whether a stream is wanted, not its snapshot, which the coordinator gives.
fn wants_stream(request: &Request) -> bool {
    let accept = request.header("accept").unwrap_or_default();
    accept.contains("text/event-stream") || !accept.contains("application/json")
}

/// Whether performances are for members only. That does not change, so it is remembered for as long as there is room: where
/// the coordinator is away, a room may still have the seats.
#[derive(Default)]
pub(crate) struct Audiences(RefCell<HashMap<PerformanceId, bool>>);

/// What is read of a performance here.
#[derive(Deserialize)]
struct Audience {
    #[serde(default)]
    members_only: bool,
}

impl Audiences {
    fn of(&self, id: PerformanceId) -> Option<bool> {
        self.0.borrow().get(&id).copied()
    }

    fn note(&self, id: PerformanceId, members_only: bool) {
        let mut all = self.0.borrow_mut();
        if all.len() >= AUDIENCES_MAX {
            all.clear();
        }
        all.insert(id, members_only);
    }
}

/// How the upstream of a stream is opened.
enum Opened {
    /// Anyone may listen.
    ToEveryone,
    /// By this ticket, which is good.
    ByTicket(String),
}

/// Whether a performance's seats may be told to who asks: to everyone, or by a good stream ticket.
async fn open_stream<H: Host>(ctx: &Ctx<'_, H>, request: &Request, id: &str) -> Result<Opened, Response> {
    let id: PerformanceId = id.parse().map_err(|_| ctx.refuse(Code::NotFound))?;
    if !is_members_only(ctx, id).await? {
        return Ok(Opened::ToEveryone);
    }
    let params = parse_form(&request.query);
    let ticket = field(&params, "ticket").ok_or_else(|| ctx.refuse(Code::StreamTicketMissing))?;
    session::verify_ticket(ctx, ticket, id).await.map_err(|code| ctx.refuse(code))?;
    Ok(Opened::ByTicket(ticket.to_owned()))
}

/// Whether a performance is for members only. The coordinator is asked once.
async fn is_members_only<H: Host>(ctx: &Ctx<'_, H>, id: PerformanceId) -> Result<bool, Response> {
    if let Some(known) = ctx.app.audiences.of(id) {
        return Ok(known);
    }
    match ctx.ask_cached(Some(id.region().0), &format!("{API}/performances/{id}")).await {
        Ok(Got::Kept(kept)) => {
            let audience: Audience = serde_json::from_slice(&kept.body).map_err(|_| ctx.refuse(Code::Unavailable))?;
            ctx.app.audiences.note(id, audience.members_only);
            Ok(audience.members_only)
        }
        Ok(Got::Answer(answer)) if answer.status < 500 => Err(answer),
        Err(Code::NotFound) => Err(ctx.refuse(Code::NotFound)),
        Ok(Got::Answer(_)) | Err(_) => Err(ctx.refuse(Code::Unavailable)),
    }
}

/// Joins the seat stream of a performance that exists.
async fn stream<H: Host>(ctx: &Ctx<'_, H>, request: &Request, id: &str, opened: Opened) -> Response {
    let Some(region) = region_of(id) else { return ctx.refuse(Code::NotFound) };
    let mut target = request.path.clone();
    let mut headers = vec![("accept".to_owned(), "text/event-stream".to_owned())];
    if let Some(last) = request.header(LAST_EVENT_ID) {
        headers.push((LAST_EVENT_ID.to_owned(), last.chars().take(LAST_ID_CHARS_MAX).collect()));
    }
    headers.extend(ctx.host.client_address(request).map(|address| (CLIENT_ADDRESS.to_owned(), address)));
    if let Opened::ByTicket(ticket) = opened {
        // An upstream serves readers who come later, too: the edge's own key outlives the ticket of the first.
        match ctx.host.setting(settings::EDGE_KEY) {
            Some(key) => headers.push((EDGE_KEY.to_owned(), key)),
            None => target = format!("{target}?ticket={}", encode(&ticket)),
        }
    }
    let upstream = ctx.outgoing(Some(region), Method::Get, &target, headers, Vec::new());
    let upstream = match upstream {
        Ok(upstream) => upstream,
        Err(code) => return ctx.refuse(code),
    };
    match ctx.host.seat_stream(&ctx.app.rooms, id, upstream).await {
        Ok(answer) => {
            let mut answer = chosen(answer);
            answer.headers.retain(|(name, _)| name != "cache-control");
            answer.with("cache-control", "no-store")
        }
        Err(HostError::TooMany) => ctx.refuse(Code::TooManyRequests).with("retry-after", RETRY_AFTER_S),
        Err(HostError::TimedOut | HostError::Failed(_)) => ctx.refuse(Code::Unavailable),
    }
}
