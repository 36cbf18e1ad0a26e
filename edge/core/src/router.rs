//! Which address is answered by whom, and the headers that every answer carries.

use std::rc::Rc;

use nugul_api::{
    Code,
    headers::{API, TRACE_ID},
    problem::Language,
};
use sha2::{Digest, Sha256};

use crate::{
    App, api,
    host::{Host, settings},
    http::{Body, Method, Request, Response},
    pages, session, site,
    upstream::{Ctx, Got, etag_matches},
};

/// Answers a request.
pub async fn handle<H: Host>(host: &H, app: &Rc<App>, mut request: Request) -> Response {
    let lang = match request.cookie(session::LANGUAGE_COOKIE) {
        Some("en") => Language::English,
        Some("ko") => Language::Korean,
        _ => Language::from_header(request.header("accept-language")),
    };
    let ctx = Ctx { host, app, lang, trace: trace(host, &request) };
    // Where people find the site says how they come to it, whatever stands between.
    if let Some(origin) = host.setting(settings::PUBLIC_ORIGIN) {
        request.https = origin.starts_with("https://");
    }
    let (https, head) = (request.https, request.method == Method::Head);
    if head {
        request.method = Method::Get;
        if request.path.ends_with("/stream") {
            // A stream has no head of its own: it is that of its snapshot.
            request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("accept"));
            request.headers.push(("accept".into(), "application/json".into()));
        }
    }
    let mut response = route(&ctx, request).await;
    if head {
        response.body = Body::Empty;
    }
    finish(response, &ctx.trace, https)
}

async fn route<H: Host>(ctx: &Ctx<'_, H>, request: Request) -> Response {
    if request.method == Method::Other {
        return ctx.refuse(Code::MethodNotAllowed);
    }
    if request.path.strip_prefix(API).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return api::handle(ctx, request).await;
    }
    match request.path.as_str() {
        "/healthz" | "/openapi.json" | "/.well-known/jwks.json" if request.method != Method::Get => {
            ctx.refuse(Code::MethodNotAllowed)
        }
        "/healthz" => match ctx.ask(None, Method::Get, "/healthz", Vec::new(), Vec::new()).await {
            Ok(answer) => answer,
            Err(code) => ctx.refuse(code),
        },
        path @ ("/openapi.json" | "/.well-known/jwks.json") => match ctx.ask_cached(None, path).await {
            Ok(Got::Kept(kept)) => kept.into_response(request.header("if-none-match")),
            Ok(Got::Answer(answer)) => answer,
            Err(code) => ctx.refuse(code),
        },
        // At the root, so that it may answer for the pages; it asks this site and no other.
        "/sw.js" => {
            asset(ctx, &request, "sw.js").with("content-security-policy", "default-src 'none'; connect-src 'self'")
        }
        path => match path.strip_prefix("/assets/") {
            Some(name) => asset(ctx, &request, name),
            None => site::handle(ctx, request).await,
        },
    }
}

fn asset<H: Host>(ctx: &Ctx<'_, H>, request: &Request, name: &str) -> Response {
    if request.method != Method::Get {
        return ctx.refuse(Code::MethodNotAllowed);
    }
    let Some(asset) = pages::asset(name) else { return ctx.refuse(Code::NotFound) };
    let etag = format!("\"{}\"", session::hex(Sha256::digest(asset.bytes).get(..12).unwrap_or_default()));
    let known = request.header("if-none-match").is_some_and(|tags| etag_matches(tags, &etag));
    let response = if known {
        Response { status: 304, headers: Vec::new(), body: Body::Empty }
    } else {
        Response::new(200, asset.content_type, asset.bytes)
    };
    response.with("etag", &etag).with("cache-control", "public, max-age=60, stale-while-revalidate=600")
}

/// The request's name in logs: the client's where it is plain, a new one otherwise.
fn trace<H: Host>(host: &H, request: &Request) -> String {
    let plain = |id: &&str| (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if let Some(id) = request.header(TRACE_ID).filter(plain) {
        return id.to_owned();
    }
    let mut bytes = [0; 16];
    host.random(&mut bytes);
    session::hex(&bytes)
}

fn finish(mut response: Response, trace: &str, https: bool) -> Response {
    for (name, value) in [
        (TRACE_ID, trace),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "strict-origin-when-cross-origin"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ] {
        if response.header(name).is_none() {
            response = response.with(name, value);
        }
    }
    if https { response.with("strict-transport-security", "max-age=31536000") } else { response }
}
