//! Requests and answers: one client with one token, and assertions that show what came instead.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use nugul_api::{
    Code, Problem,
    headers::{API, IDEMPOTENCY_KEY, LAST_EVENT_ID, PROBLEM_JSON},
};
pub use reqwest::Method;
use reqwest::{Client, header::HeaderMap, redirect::Policy};
use serde::{Serialize, de::DeserializeOwned};

use crate::sse::SeatStream;

/// No request takes longer: the coordinator ends its own at thirty seconds.
const REQUEST_LIMIT: Duration = Duration::from_secs(40);

/// A new idempotency key.
pub fn new_key() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("t{}-{since}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked, for failures.
    pub asked: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON, where the status is this one.
    #[track_caller]
    pub fn expect<T: DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{}: {e}: {}", self.asked, self.text()))
    }

    /// Where the status is this one and nothing else matters.
    #[track_caller]
    pub fn expect_status(&self, status: u16) {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text());
    }

    /// The problem, where it is one of this code, complete and of the right type.
    #[track_caller]
    pub fn refused(&self, code: Code) -> Problem {
        let problem: Problem = serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{}: {} {e}: {}", self.asked, self.status, self.text()));
        assert_eq!((problem.code, self.status), (code, code.status()), "{}: {}", self.asked, self.text());
        assert_eq!(self.header("content-type"), Some(PROBLEM_JSON), "{}", self.asked);
        assert_eq!(problem.status, self.status, "{}", self.asked);
        assert!(!problem.detail.is_empty() && !problem.trace_id.is_empty(), "{}: {}", self.asked, self.text());
        problem
    }
}

/// A client of one address, logged in or not.
#[derive(Clone, Debug)]
pub struct Api {
    http: Client,
    base: String,
    token: Option<String>,
}

impl Api {
    /// A client of this origin.
    pub fn new(origin: &str) -> Self {
        // Fails only where it is installed already, by a client or a world before this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().redirect(Policy::none()).timeout(REQUEST_LIMIT).no_proxy().build();
        Self { http: http.expect("an HTTP client"), base: origin.to_owned(), token: None }
    }

    /// The same, with this access token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same client, sent elsewhere.
    #[must_use]
    pub fn at(&self, origin: &str) -> Self {
        Self { base: origin.to_owned(), ..self.clone() }
    }

    /// The same, with connections and limits of its own.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self { http: Self::new(&self.base).http, ..self.clone() }
    }

    /// The origin.
    pub fn origin(&self) -> &str {
        &self.base
    }

    /// A read. Paths without a slash in front are below `/api/v1`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    /// A write with a new key.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Answer {
        self.post_as(path, &new_key(), body).await
    }

    /// A write with this key.
    pub async fn post_as(&self, path: &str, key: &str, body: &impl Serialize) -> Answer {
        self.write(Method::POST, path, key, body).await
    }

    /// A write of any method with a new key.
    pub async fn change(&self, method: Method, path: &str, body: &impl Serialize) -> Answer {
        self.write(method, path, &new_key(), body).await
    }

    async fn write(&self, method: Method, path: &str, key: &str, body: &impl Serialize) -> Answer {
        let body = serde_json::to_vec(body).expect("JSON");
        let headers = [(IDEMPOTENCY_KEY, key), ("content-type", "application/json")];
        self.send(method, path, &headers, Some(body)).await
    }

    /// A removal with a new key.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[(IDEMPOTENCY_KEY, &new_key())], None).await
    }

    /// Any request; panics where no answer comes.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Answer {
        let asked = format!("{method} {path}");
        self.try_send(method, path, headers, body).await.unwrap_or_else(|error| panic!("{asked}: {error:?}"))
    }

    /// Any request.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Answer, reqwest::Error> {
        let asked = format!("{method} {path}");
        let mut request = self.http.request(method, self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { asked, status, headers, body: response.bytes().await? })
    }

    /// Opens the seat stream of a performance, from the beginning or after an event already seen.
    pub async fn seat_stream(&self, performance: impl std::fmt::Display, last_event_id: Option<i64>) -> SeatStream {
        self.stream_at(&format!("performances/{performance}/stream"), last_event_id).await
    }

    /// The same at an address.
    pub async fn stream_at(&self, path: &str, last_event_id: Option<i64>) -> SeatStream {
        let mut request = self.http.get(self.url(path));
        if let Some(id) = last_event_id {
            request = request.header(LAST_EVENT_ID, id.to_string());
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        SeatStream::new(request.header("accept", "text/event-stream").send().await.expect("a seat stream"))
    }

    fn url(&self, path: &str) -> String {
        if path.starts_with('/') { format!("{}{path}", self.base) } else { format!("{}{API}/{path}", self.base) }
    }
}
