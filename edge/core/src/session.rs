//! Who asks: access tokens verified with the regions' published keys, session cookies, and other sites' requests.

use std::{cell::RefCell, collections::HashMap};

use nugul_api::{
    Code,
    accounts::{RefreshToken, Tokens},
    headers,
};
use nugul_domain::{PerformanceId, Timestamp};
use nugul_token::{AccessClaims, AccessVerifier, StreamVerifier, TokenError};
use sha2::{Digest, Sha256};

use crate::{
    host::Host,
    http::{Method, Request},
    upstream::{ANSWER_BYTES_MAX, Ctx, region_of, regions},
};

/// The cookie with the access token.
pub const ACCESS_COOKIE: &str = "nugul_access";
/// The cookie with the refresh token.
pub const REFRESH_COOKIE: &str = "nugul_refresh";
/// The cookie with the chosen language.
pub const LANGUAGE_COOKIE: &str = "nugul_lang";

/// How long browsers keep the cookies; the tokens in them end on their own.
const COOKIE_MAX_AGE_S: u32 = 30 * 24 * 60 * 60;
/// How often a key that is not known makes us ask for the keys, in milliseconds.
const KEYS_EVERY_MS: i64 = 10_000;
/// The same where there are no keys at all, in milliseconds.
const NO_KEYS_EVERY_MS: i64 = 500;
/// How long the tokens of a refresh are given to those who send the same refresh token, in milliseconds.
const REFRESHED_KEPT_MS: i64 = 30_000;
/// How long a request waits for another's refresh, in milliseconds.
const REFRESH_WAIT_MS: i64 = 5_000;
/// The most refreshes remembered.
const REFRESHES_MAX: usize = 4_096;
/// The longest cookie that is looked at, in bytes.
const COOKIE_BYTES_MAX: usize = 4_096;

/// The published keys of each region.
#[derive(Default)]
pub(crate) struct Keys(RefCell<KeysState>);

#[derive(Default)]
struct KeysState {
    by_region: HashMap<u8, Verifiers>,
    asked_at: i64,
}

/// What a region's keys verify.
struct Verifiers {
    access: AccessVerifier,
    streams: StreamVerifier,
}

/// Who a token belongs to; the code to refuse with where it is not good.
pub(crate) async fn verify<H: Host>(ctx: &Ctx<'_, H>, token: &str) -> Result<AccessClaims, Code> {
    let now = Timestamp::from_millis(ctx.host.now_ms());
    let told = with_keys(ctx, |regions| {
        regions.values().find_map(|keys| match keys.access.verify(token, now) {
            Ok(claims) => Some(Ok(claims)),
            Err(TokenError::Expired) => Some(Err(Code::TokenExpired)),
            Err(TokenError::UnknownKey(_)) => None,
            Err(_) => Some(Err(Code::TokenInvalid)),
        })
    });
    told.await.unwrap_or(Err(Code::TokenInvalid))
}

/// Whether a stream ticket is good for a performance; the code to refuse with where it is not. Only the keys of the
/// performance's own region count.
pub(crate) async fn verify_ticket<H: Host>(
    ctx: &Ctx<'_, H>,
    ticket: &str,
    performance: PerformanceId,
) -> Result<(), Code> {
    let now = Timestamp::from_millis(ctx.host.now_ms());
    let region = performance.region().0;
    let told = with_keys(ctx, |regions| match regions.get(&region)?.streams.verify(ticket, performance, now) {
        Ok(_) => Some(Ok(())),
        Err(TokenError::Expired) => Some(Err(Code::StreamTicketExpired)),
        Err(TokenError::UnknownKey(_)) => None,
        Err(_) => Some(Err(Code::StreamTicketInvalid)),
    });
    let had = |ctx: &Ctx<'_, H>| ctx.app.keys.0.borrow().by_region.contains_key(&region);
    match told.await {
        Some(told) => told,
        None if had(ctx) => Err(Code::StreamTicketInvalid),
        None => Err(Code::Unavailable),
    }
}

/// What the known keys say; where they know nothing of it, what those say that are published now.
async fn with_keys<H: Host, T>(
    ctx: &Ctx<'_, H>,
    look: impl Fn(&HashMap<u8, Verifiers>) -> Option<Result<T, Code>>,
) -> Option<Result<T, Code>> {
    let known = look(&ctx.app.keys.0.borrow().by_region);
    if known.is_some() {
        return known;
    }
    let now = ctx.host.now_ms();
    let due = {
        let mut state = ctx.app.keys.0.borrow_mut();
        let every = if state.by_region.is_empty() { NO_KEYS_EVERY_MS } else { KEYS_EVERY_MS };
        let due = now - state.asked_at >= every;
        if due {
            state.asked_at = now;
        }
        due
    };
    if due {
        for (region, _) in regions(ctx.host) {
            if let Some(verifiers) = fetch_keys(ctx, region).await {
                ctx.app.keys.0.borrow_mut().by_region.insert(region, verifiers);
            }
        }
    } else {
        // Another request is fetching the first keys.
        let is_over = |at| !ctx.app.keys.0.borrow().by_region.is_empty() || at - now >= NO_KEYS_EVERY_MS;
        ctx.until(|at| is_over(at).then_some(())).await;
    }
    let state = ctx.app.keys.0.borrow();
    if state.by_region.is_empty() { Some(Err(Code::Unavailable)) } else { look(&state.by_region) }
}

async fn fetch_keys<H: Host>(ctx: &Ctx<'_, H>, region: u8) -> Option<Verifiers> {
    let answer = ctx.ask(Some(region), Method::Get, "/.well-known/jwks.json", Vec::new(), Vec::new()).await.ok()?;
    let body = answer.body.collect(ANSWER_BYTES_MAX).await.ok()?;
    let jwks = serde_json::from_slice(&body).ok()?;
    Some(Verifiers { access: AccessVerifier::from_jwks(&jwks).ok()?, streams: StreamVerifier::from_jwks(&jwks).ok()? })
}

/// A person, and the token that says so.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) claims: AccessClaims,
    pub(crate) token: String,
}

/// What the cookies of a request say.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) user: Option<User>,
    /// Cookies that the answer must set.
    pub(crate) set_cookies: Vec<String>,
    /// The keys or the coordinator could not be reached, so nobody can say.
    pub(crate) unknown: bool,
}

/// Reads the session cookies, renewing an access token that has ended.
pub(crate) async fn from_cookies<H: Host>(ctx: &Ctx<'_, H>, request: &Request) -> Session {
    let access = request.cookie(ACCESS_COOKIE).filter(|v| v.len() <= COOKIE_BYTES_MAX);
    let refresh = request.cookie(REFRESH_COOKIE).filter(|v| v.len() <= COOKIE_BYTES_MAX);
    let mut session = Session::default();
    if let Some(token) = access {
        match verify(ctx, token).await {
            Ok(claims) => session.user = Some(User { claims, token: token.to_owned() }),
            Err(Code::Unavailable) => session.unknown = true,
            Err(_) => {}
        }
    }
    let (None, false, Some(refresh)) = (&session.user, session.unknown, refresh) else { return session };
    let region = access.and_then(region_of_token);
    match renew(ctx, region, refresh).await {
        Ok(tokens) => {
            session.set_cookies = cookies(&tokens, request);
            match verify(ctx, &tokens.access_token).await {
                Ok(claims) => session.user = Some(User { claims, token: tokens.access_token }),
                Err(_) => session.unknown = true,
            }
        }
        Err(Code::Unavailable) => session.unknown = true,
        Err(_) => session.set_cookies = no_cookies(request),
    }
    session
}

/// The region that a token's owner belongs to. Not verified: it only says whom to ask.
fn region_of_token(token: &str) -> Option<u8> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    region_of(serde_json::from_slice::<serde_json::Value>(&payload).ok()?.get("sub")?.as_str()?)
}

/// Recent refreshes by their refresh token's digest. A refresh token is good once; a page that asks for three things at
/// once sends it three times, and two of them must not look like theft.
#[derive(Default)]
pub(crate) struct Refreshes(RefCell<HashMap<[u8; 32], Refresh>>);

struct Refresh {
    at: i64,
    outcome: Option<Result<Tokens, Code>>,
}

async fn renew<H: Host>(ctx: &Ctx<'_, H>, region: Option<u8>, refresh: &str) -> Result<Tokens, Code> {
    let digest: [u8; 32] = Sha256::digest(refresh.as_bytes()).into();
    let started = ctx.host.now_ms();
    // Another request's outcome; nothing where it is for this one to ask.
    let found = ctx.until(|now| {
        let mut all = ctx.app.refreshes.0.borrow_mut();
        all.retain(|_, r| now - r.at < REFRESHED_KEPT_MS);
        match all.get(&digest) {
            Some(Refresh { outcome: Some(outcome), .. }) => Some(Some(outcome.clone())),
            Some(_) if now - started < REFRESH_WAIT_MS => None,
            None if all.len() < REFRESHES_MAX => {
                all.insert(digest, Refresh { at: now, outcome: None });
                Some(None)
            }
            Some(_) | None => Some(Some(Err(Code::Unavailable))),
        }
    });
    if let Some(outcome) = found.await {
        return outcome;
    }
    let outcome = ask_renewal(ctx, region, refresh, &digest).await;
    let mut all = ctx.app.refreshes.0.borrow_mut();
    if matches!(outcome, Err(Code::Unavailable)) {
        all.remove(&digest);
    } else {
        all.insert(digest, Refresh { at: ctx.host.now_ms(), outcome: Some(outcome.clone()) });
    }
    outcome
}

async fn ask_renewal<H: Host>(
    ctx: &Ctx<'_, H>,
    region: Option<u8>,
    refresh: &str,
    digest: &[u8],
) -> Result<Tokens, Code> {
    let body = serde_json::to_vec(&RefreshToken { refresh_token: refresh.to_owned() }).unwrap_or_default();
    let head = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        // The same token sent by another instance is the same write.
        (headers::IDEMPOTENCY_KEY.to_owned(), format!("renew-{}", hex(digest.get(..16).unwrap_or_default()))),
    ];
    let answer = ctx.ask(region, Method::Post, "/api/v1/auth/refresh", head, body).await?;
    match answer.status {
        200..300 => {
            let body = answer.body.collect(ANSWER_BYTES_MAX).await.map_err(|_| Code::Internal)?;
            serde_json::from_slice(&body).map_err(|_| Code::Internal)
        }
        500.. | 429 => Err(Code::Unavailable),
        _ => Err(Code::TokenInvalid),
    }
}

/// Bytes as text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

/// The cookies of a log-in.
pub(crate) fn cookies(tokens: &Tokens, request: &Request) -> Vec<String> {
    vec![
        cookie(ACCESS_COOKIE, &tokens.access_token, COOKIE_MAX_AGE_S, request),
        cookie(REFRESH_COOKIE, &tokens.refresh_token, COOKIE_MAX_AGE_S, request),
    ]
}

/// The same, taken away.
pub(crate) fn no_cookies(request: &Request) -> Vec<String> {
    vec![cookie(ACCESS_COOKIE, "", 0, request), cookie(REFRESH_COOKIE, "", 0, request)]
}

/// The cookie of a chosen language.
pub(crate) fn language_cookie(tag: &str, request: &Request) -> String {
    cookie(LANGUAGE_COOKIE, tag, 365 * 24 * 60 * 60, request)
}

fn cookie(name: &str, value: &str, max_age_s: u32, request: &Request) -> String {
    let value: String = value.chars().filter(|c| c.is_ascii_graphic() && !";,\"\\".contains(*c)).collect();
    let secure = if request.https { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_s}{secure}")
}

/// Whether a form was posted by a page of ours: the browser says so, or the page's origin is ours, by the request's host
/// or by `public_origin`.
pub(crate) fn is_own_form(request: &Request, public_origin: Option<&str>) -> bool {
    if let Some(site) = request.header("sec-fetch-site") {
        return site == "same-origin";
    }
    let host = request.header("host").unwrap_or_default();
    let Some(origin) = request.header("origin") else { return false };
    public_origin.map(|ours| ours.trim_end_matches('/')) == Some(origin)
        || origin.split_once("://").is_some_and(|(_, o)| o == host && !host.is_empty())
}

/// A place of ours to go to after: a path that no browser takes for another site. The first page otherwise.
pub(crate) fn safe_next(next: Option<&str>) -> &str {
    const LONGEST: usize = 1_000;
    next.filter(|next| {
        let mut chars = next.chars();
        chars.next() == Some('/')
            && chars.next() != Some('/')
            && next.len() <= LONGEST
            && next.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'\\')
    })
    .unwrap_or("/")
}
