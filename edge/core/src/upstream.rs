//! The coordinators: which one owns an id, asking it, and answers kept for a short time.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use nugul_api::{Code, Problem, headers, problem::Language};
use nugul_domain::EventId;

use crate::{
    App,
    host::{Host, Outgoing, settings},
    http::{Body, Method, Response, header},
};

/// How long a kept answer is given without asking, in milliseconds.
const FRESH_MS: i64 = 3_000;
/// How long it is given where the coordinator cannot be reached, in milliseconds.
const STALE_MS: i64 = 60_000;
/// How long one request that asks keeps others from doing the same, in milliseconds.
const ASKED_MS: i64 = 5_000;
/// How long others wait for what it asks where there is nothing to give meanwhile, in milliseconds.
const FIRST_WAIT_MS: i64 = 2_000;
/// How often a request looks whether another has brought what both want, in milliseconds.
const LOOK_EVERY_MS: u64 = 25;
/// The most answers kept.
const KEPT_MAX: usize = 1_024;
/// The largest answer kept or read as a whole, in bytes.
pub(crate) const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// What `Retry-After` says where the coordinator cannot be reached, in seconds.
const RETRY_AFTER_S: &str = "2";

/// What is copied of a request; everything else stays here.
const REQUEST_HEADERS: &[&str] =
    &["accept", "content-type", "if-none-match", headers::IDEMPOTENCY_KEY, headers::LAST_EVENT_ID];
/// What is copied of an answer.
const RESPONSE_HEADERS: &[&str] = &[
    "cache-control",
    "content-disposition",
    "content-language",
    "content-type",
    "etag",
    "last-modified",
    "location",
    "retry-after",
    "vary",
    "www-authenticate",
    headers::TRACE_ID,
];

/// A request on its way through the edge.
pub(crate) struct Ctx<'a, H> {
    pub(crate) host: &'a H,
    pub(crate) app: &'a Rc<App>,
    pub(crate) lang: Language,
    pub(crate) trace: String,
}

impl<H: Host> Ctx<'_, H> {
    /// An error as an answer of the interface.
    pub(crate) fn refuse(&self, code: Code) -> Response {
        let problem = Problem::new(code, self.lang, &self.trace);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let response = Response::new(code.status(), headers::PROBLEM_JSON, body)
            .with("cache-control", "no-store")
            .with(headers::TRACE_ID, &self.trace);
        if code == Code::Unavailable { response.with("retry-after", RETRY_AFTER_S) } else { response }
    }

    /// Asks the coordinator of a region (the default one where none is said) and copies the chosen headers of its answer.
    pub(crate) async fn ask(
        &self,
        region: Option<u8>,
        method: Method,
        target: &str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Result<Response, Code> {
        let request = self.outgoing(region, method, target, headers, body)?;
        let answer = self.host.fetch(request).await.map_err(|_| Code::Unavailable)?;
        Ok(chosen(answer))
    }

    /// The same request, not yet sent.
    pub(crate) fn outgoing(
        &self,
        region: Option<u8>,
        method: Method,
        target: &str,
        mut headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Result<Outgoing, Code> {
        let regions = regions(self.host);
        let origin = match region {
            None => regions.first().ok_or(Code::Unavailable)?,
            Some(number) => regions.iter().find(|(n, _)| *n == number).ok_or(Code::NotFound)?,
        };
        headers.push((headers::TRACE_ID.into(), self.trace.clone()));
        Ok(Outgoing { method, url: format!("{}{target}", origin.1), headers, body })
    }

    /// The headers of a request that a coordinator gets, with a token where there is one.
    pub(crate) fn request_headers(&self, from: &[(String, String)], token: Option<&str>) -> Vec<(String, String)> {
        let mut to: Vec<(String, String)> = REQUEST_HEADERS
            .iter()
            .filter_map(|name| header(from, name).map(|value| ((*name).to_owned(), value.to_owned())))
            .collect();
        to.push(("accept-language".into(), language_tag(self.lang).into()));
        if let Some(token) = token {
            to.push(("authorization".into(), format!("Bearer {token}")));
        }
        to
    }

    /// Waits until `look` finds at the time it is given what another request is about to bring: one cannot wake another on every
    /// platform. The bound is `look`'s.
    pub(crate) async fn until<T>(&self, look: impl Fn(i64) -> Option<T>) -> T {
        loop {
            if let Some(found) = look(self.host.now_ms()) {
                return found;
            }
            self.host.sleep(LOOK_EVERY_MS).await;
        }
    }

    /// An answer of a coordinator that is the same for everyone, asked at most every few seconds and by one request at a time: a
    /// crowd may meet an instance that knows nothing yet.
    pub(crate) async fn ask_cached(&self, region: Option<u8>, target: &str) -> Result<Got, Code> {
        let began = self.host.now_ms();
        let found = self.until(|now| match self.app.cache.look(target, now) {
            Look::Asked if now - began < FIRST_WAIT_MS => None,
            found => Some((now, found)),
        });
        let (now, kept) = match found.await {
            (_, Look::Good(kept)) => return Ok(Got::Kept(kept)),
            (now, Look::Asked) => (now, None),
            (now, Look::Due(kept)) => (now, kept),
        };
        self.app.cache.mark_asked(target, now);
        let headers = vec![("accept-language".to_owned(), language_tag(self.lang).to_owned())];
        let answer = self.ask(region, Method::Get, target, headers, Vec::new()).await;
        let answer = match answer {
            Ok(answer) if answer.status < 500 => answer,
            failed => {
                if let Some(kept) = kept.filter(|kept| now - kept.at < STALE_MS) {
                    // Not asked again for a while.
                    return Ok(Got::Kept(kept));
                }
                self.app.cache.unmark(target);
                return failed.map(Got::Answer);
            }
        };
        if answer.status != 200 {
            self.app.cache.forget(target);
            return Ok(Got::Answer(answer));
        }
        let text = |name: &str| answer.header(name).unwrap_or_default().to_owned();
        let (content_type, etag) = (text("content-type"), text("etag"));
        let Ok(body) = answer.body.collect(ANSWER_BYTES_MAX).await else {
            self.app.cache.unmark(target);
            return Err(Code::Internal);
        };
        let kept = Kept { body: body.into(), content_type, etag, at: now };
        self.app.cache.put(target, kept.clone());
        Ok(Got::Kept(kept))
    }
}

/// A language as a header names it.
pub(crate) const fn language_tag(language: Language) -> &'static str {
    match language {
        Language::Korean => "ko",
        Language::English => "en",
    }
}

/// Only the chosen headers of an answer.
pub(crate) fn chosen(answer: Response) -> Response {
    let headers = answer
        .headers
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| RESPONSE_HEADERS.contains(&name.as_str()))
        .collect();
    Response { headers, ..answer }
}

/// The regions as set: number and origin. A part that is neither is left out.
pub(crate) fn regions<H: Host>(host: &H) -> Vec<(u8, String)> {
    let setting = host.setting(settings::REGIONS).unwrap_or_default();
    let region = |part: &str| {
        let (number, origin) = part.trim().split_once('=')?;
        let origin = origin.trim().trim_end_matches('/');
        let is_http = origin.starts_with("http://") || origin.starts_with("https://");
        is_http.then_some((number.trim().parse().ok()?, origin.to_owned()))
    };
    setting.split(',').filter_map(region).collect()
}

/// The region that made an id; every kind of id is laid out the same.
pub(crate) fn region_of(id: &str) -> Option<u8> {
    id.parse::<EventId>().ok().map(|id| id.region().0)
}

/// What [`Ctx::ask_cached`] gives.
pub(crate) enum Got {
    /// A good answer, perhaps an older one.
    Kept(Kept),
    /// A refusal, as the coordinator worded it.
    Answer(Response),
}

/// A good answer that may be given to anyone.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) body: Rc<[u8]>,
    pub(crate) content_type: String,
    pub(crate) etag: String,
    at: i64,
}

impl Kept {
    /// As an answer; without its body where the client has it.
    pub(crate) fn into_response(self, if_none_match: Option<&str>) -> Response {
        let same = !self.etag.is_empty() && if_none_match.is_some_and(|tags| etag_matches(tags, &self.etag));
        let response = if same {
            Response { status: 304, headers: Vec::new(), body: Body::Empty }
        } else {
            Response::new(200, &self.content_type, self.body.to_vec())
        };
        let response = response.with("cache-control", "public, max-age=1");
        if self.etag.is_empty() { response } else { response.with("etag", &self.etag) }
    }
}

/// Whether an `If-None-Match` names this tag (weak comparison, RFC 9110, 8.8.3.2).
pub(crate) fn etag_matches(tags: &str, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    tags.split(',').any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
}

/// Answers kept for a short time, and when those were asked for that are on their way.
#[derive(Default)]
pub(crate) struct Cache {
    kept: RefCell<HashMap<String, Kept>>,
    asked: RefCell<HashMap<String, i64>>,
}

/// What there is of an answer.
enum Look {
    /// It may be given.
    Good(Kept),
    /// Nothing that may be given, but another request is asking.
    Asked,
    /// It is to be asked for; this is what is given should that fail.
    Due(Option<Kept>),
}

impl Cache {
    fn look(&self, target: &str, now: i64) -> Look {
        let asked = self.asked.borrow().get(target).is_some_and(|at| now - at < ASKED_MS);
        match self.kept.borrow().get(target) {
            Some(kept) if now - kept.at < FRESH_MS || asked && now - kept.at < STALE_MS => Look::Good(kept.clone()),
            _ if asked => Look::Asked,
            kept => Look::Due(kept.cloned()),
        }
    }

    fn mark_asked(&self, target: &str, now: i64) {
        let mut asked = self.asked.borrow_mut();
        // Those of requests that were given up.
        asked.retain(|_, at| now - *at < ASKED_MS);
        asked.insert(target.to_owned(), now);
    }

    fn unmark(&self, target: &str) {
        self.asked.borrow_mut().remove(target);
    }

    fn forget(&self, target: &str) {
        self.kept.borrow_mut().remove(target);
        self.unmark(target);
    }

    fn put(&self, target: &str, kept: Kept) {
        self.unmark(target);
        let mut all = self.kept.borrow_mut();
        if all.len() >= KEPT_MAX {
            all.retain(|_, old| kept.at - old.at < FRESH_MS);
        }
        if all.len() < KEPT_MAX {
            all.insert(target.to_owned(), kept);
        }
    }
}
