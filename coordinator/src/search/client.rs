//! The way to `OpenSearch`. Every call has a time-out, a bounded answer and a bounded number of tries; while the server does
//! not answer, searches do not wait for it.

use std::{
    collections::BTreeMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use nugul_api::search::SearchIndex;
use nugul_domain::EventId;
use opensearch::{
    OpenSearch,
    auth::Credentials,
    http::{
        Method,
        headers::{CONTENT_TYPE, HeaderMap, HeaderValue},
        transport::{SingleNodeConnectionPool, TransportBuilder},
    },
};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How long a search may take on its way there and back.
pub const SEARCH_WITHIN: Duration = Duration::from_secs(1);
/// How long the server itself may search; half an answer is no answer.
pub const SEARCH_WITHIN_THERE: &str = "800ms";
/// How long a bulk of writes may take.
const BULK_WITHIN: Duration = Duration::from_secs(10);
/// How long a call about indexes may take.
const ADMIN_WITHIN: Duration = Duration::from_secs(10);
/// How often a call that can be repeated is made before it counts as failed.
const TRIES_MAX: u32 = 3;
/// The pause before the second try, doubled before each further one.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// How long searches leave a server alone that did not answer.
const ALONE_FOR: Duration = Duration::from_secs(2);
/// Searches under way at once; one more is answered by the catalogue engine.
const SEARCHES_MAX: usize = 256;
/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// The most characters of a refusal that are kept.
const REASON_CHARS_MAX: usize = 300;
/// The longest prefix of index names.
const PREFIX_CHARS_MAX: usize = 40;

/// Where the server is and how we call ourselves there.
#[derive(Clone)]
pub struct Server {
    url: opensearch::http::Url,
    account: Option<(String, String)>,
    prefix: String,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No password in a log.
        write!(f, "Server({}, {})", self.url, self.prefix)
    }
}

impl Server {
    /// From the settings; an error names the one at fault.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let account = match (get("NUGUL_OPENSEARCH_USER"), get("NUGUL_OPENSEARCH_PASSWORD")) {
            (Some(user), Some(password)) => Some((user, password)),
            (None, None) => None,
            _ => return Err("NUGUL_OPENSEARCH_USER and NUGUL_OPENSEARCH_PASSWORD go together".into()),
        };
        let prefix = get("NUGUL_OPENSEARCH_PREFIX").unwrap_or_else(|| "nugul".into());
        // What OpenSearch takes in a name, and no wildcard in a pattern.
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let named = prefix.bytes().all(plain) && prefix.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !named || prefix.len() > PREFIX_CHARS_MAX {
            return Err(format!(
                "NUGUL_OPENSEARCH_PREFIX is not valid: 1 to {PREFIX_CHARS_MAX} of a-z 0-9 - _, beginning with a letter or digit"
            ));
        }
        let Some(url) = get("NUGUL_OPENSEARCH_URL") else { return Ok(None) };
        let url: opensearch::http::Url = url.parse().map_err(|e| format!("NUGUL_OPENSEARCH_URL is not valid: {e}"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("NUGUL_OPENSEARCH_URL is not valid: http(s)://host:port".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("NUGUL_OPENSEARCH_URL has an account in it: that goes to NUGUL_OPENSEARCH_USER and NUGUL_OPENSEARCH_PASSWORD".into());
        }
        Ok(Some(Self { url, account, prefix }))
    }
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// The server is not there, too slow or too busy: later may be better.
    Away(String),
    /// The server does not take this.
    Refused {
        /// The HTTP status.
        status: u16,
        /// In its words.
        reason: String,
    },
}

impl ClientError {
    /// Whether what was asked of is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

/// A write of one document.
#[derive(Clone, Debug)]
pub struct Write {
    /// The index.
    pub index: String,
    /// The document's id.
    pub id: EventId,
    /// Which state of the document this is; one older than what is there is ignored.
    pub version: i64,
    /// The document as JSON.
    pub document: String,
}

/// What came of a bulk of writes, in their order: the refusal of each that was refused.
pub type Outcomes = Vec<Option<String>>;

/// A client of one server.
pub struct Client {
    opensearch: OpenSearch,
    prefix: String,
    searching: AtomicUsize,
    alone_until: RwLock<Option<Instant>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.prefix)
    }
}

impl Client {
    /// A client; nothing is asked yet.
    pub fn new(server: &Server) -> Result<Self, String> {
        let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(server.url.clone())).disable_proxy();
        if let Some((user, password)) = &server.account {
            builder = builder.auth(Credentials::Basic(user.clone(), password.clone()));
        }
        let transport = builder.build().map_err(|e| format!("the OpenSearch client cannot be made: {e}"))?;
        Ok(Self {
            opensearch: OpenSearch::new(transport),
            prefix: server.prefix.clone(),
            searching: AtomicUsize::new(0),
            alone_until: RwLock::new(None),
        })
    }

    /// The alias that is searched.
    pub fn alias(&self, kind: SearchIndex) -> String {
        format!("{}_{}", self.prefix, name(kind))
    }

    /// The index of a version.
    pub fn index(&self, kind: SearchIndex, version: i64) -> String {
        format!("{}_v{version}", self.alias(kind))
    }

    /// Whether searches are worth sending: the server answered the last one, or was left alone long enough.
    pub fn is_worth_asking(&self) -> bool {
        self.alone_until.read().unwrap_or_else(PoisonError::into_inner).is_none_or(|until| Instant::now() >= until)
    }

    /// Searches an alias or an index once. Where the server does not answer, searches leave it alone for a while.
    pub async fn search(&self, index: &str, body: &Value) -> Result<Value, ClientError> {
        if self.searching.fetch_add(1, Ordering::AcqRel) >= SEARCHES_MAX {
            self.searching.fetch_sub(1, Ordering::AcqRel);
            return Err(ClientError::Away("too many searches at once".into()));
        }
        // Given back also where the asker goes away.
        let _place = Place(&self.searching);
        let path = format!("/{index}/_search?allow_partial_search_results=false");
        let answer = self.ask(Method::Post, &path, Some(body.to_string()), SEARCH_WITHIN).await;
        let answer = answer.and_then(|answer| match answer["timed_out"].as_bool() {
            Some(true) => Err(ClientError::Away("the search took too long".into())),
            _ => Ok(answer),
        });
        let useless = match &answer {
            Ok(_) => false,
            Err(ClientError::Away(_)) => true,
            // One search that it does not take says nothing of the others; an index that is not there does.
            Err(refused) => refused.is_missing(),
        };
        let until = useless.then(|| Instant::now() + ALONE_FOR);
        *self.alone_until.write().unwrap_or_else(PoisonError::into_inner) = until;
        answer
    }

    /// Writes documents, each as the state of its version.
    pub async fn bulk(&self, writes: &[Write]) -> Result<Outcomes, ClientError> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let lines = writes.iter().map(|w| {
            let action = json!({ "index": {
                "_index": w.index, "_id": w.id.to_string(), "version": w.version, "version_type": "external_gte",
            } });
            format!("{action}\n{}\n", w.document)
        });
        let answer = self.ask_again(Method::Post, "/_bulk", Some(lines.collect()), BULK_WITHIN).await?;
        outcomes(&answer, writes.len())
    }

    /// Removes documents that are still as they were seen, by sequence number and term.
    pub async fn remove(&self, index: &str, seen: &[(String, i64, i64)]) -> Result<Outcomes, ClientError> {
        if seen.is_empty() {
            return Ok(Vec::new());
        }
        let lines = seen.iter().map(|(id, number, term)| {
            let action = json!({ "delete": {
                "_index": index, "_id": id, "if_seq_no": number, "if_primary_term": term,
            } });
            format!("{action}\n")
        });
        let answer = self.ask_again(Method::Post, "/_bulk", Some(lines.collect()), BULK_WITHIN).await?;
        outcomes(&answer, seen.len())
    }

    /// Stores the template that new versions of an index are made from.
    pub async fn put_template(&self, kind: SearchIndex, template: &Value) -> Result<(), ClientError> {
        let path = format!("/_index_template/{}", self.alias(kind));
        let body = json!({ "index_patterns": [format!("{}_v*", self.alias(kind))], "template": template });
        self.ask_again(Method::Put, &path, Some(body.to_string()), ADMIN_WITHIN).await.map(|_| ())
    }

    /// Makes an index from its template.
    pub async fn create(&self, index: &str) -> Result<(), ClientError> {
        match self.ask_again(Method::Put, &format!("/{index}"), None, ADMIN_WITHIN).await {
            // A try whose answer was lost made it.
            Err(ClientError::Refused { status: 400, reason }) if reason.contains("resource_already_exists") => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Removes an index; one that is not there is removed.
    pub async fn delete(&self, index: &str) -> Result<(), ClientError> {
        match self.ask_again(Method::Delete, &format!("/{index}"), None, ADMIN_WITHIN).await {
            Err(e) if e.is_missing() => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Makes every write so far visible to searches.
    pub async fn refresh(&self, index: &str) -> Result<(), ClientError> {
        self.ask_again(Method::Post, &format!("/{index}/_refresh"), None, ADMIN_WITHIN).await.map(|_| ())
    }

    /// How many documents an index has.
    pub async fn count(&self, index: &str) -> Result<i64, ClientError> {
        let answer = self.ask_again(Method::Get, &format!("/{index}/_count"), None, ADMIN_WITHIN).await?;
        Ok(answer["count"].as_i64().unwrap_or_default())
    }

    /// Searches for the sake of a job: it waits and tries again where [`Client::search`] gives up.
    pub async fn look(&self, index: &str, body: &Value) -> Result<Value, ClientError> {
        self.ask_again(Method::Post, &format!("/{index}/_search"), Some(body.to_string()), ADMIN_WITHIN).await
    }

    /// The tokens that an analyzer of an index makes of a text.
    pub async fn tokens(&self, index: &str, analyzer: &str, text: &str) -> Result<Vec<String>, ClientError> {
        let body = json!({ "analyzer": analyzer, "text": text }).to_string();
        let answer = self.ask_again(Method::Post, &format!("/{index}/_analyze"), Some(body), ADMIN_WITHIN).await?;
        let tokens = answer["tokens"].as_array().into_iter().flatten();
        Ok(tokens.filter_map(|t| t["token"].as_str().map(str::to_owned)).collect())
    }

    /// The index that an alias stands for, if any.
    pub async fn behind_alias(&self, kind: SearchIndex) -> Result<Option<String>, ClientError> {
        let path = format!("/_alias/{}", self.alias(kind));
        match self.ask_again(Method::Get, &path, None, ADMIN_WITHIN).await {
            Ok(answer) => Ok(answer.as_object().and_then(|found| found.keys().next().cloned())),
            Err(e) if e.is_missing() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Makes an alias stand for this index alone, in one step.
    pub async fn switch(&self, kind: SearchIndex, index: &str) -> Result<(), ClientError> {
        let alias = self.alias(kind);
        let mut actions = Vec::new();
        if let Some(before) = self.behind_alias(kind).await?.filter(|before| before != index) {
            actions.push(json!({ "remove": { "index": before, "alias": alias } }));
        }
        actions.push(json!({ "add": { "index": index, "alias": alias, "is_write_index": true } }));
        let body = json!({ "actions": actions }).to_string();
        self.ask_again(Method::Post, "/_aliases", Some(body), ADMIN_WITHIN).await.map(|_| ())
    }

    /// The same call again where the server was away: only for calls that may be made twice.
    async fn ask_again(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        within: Duration,
    ) -> Result<Value, ClientError> {
        let mut pause = PAUSE_FIRST;
        for _ in 1..TRIES_MAX {
            match self.ask(method, path, body.clone(), within).await {
                Err(ClientError::Away(_)) => tokio::time::sleep(pause).await,
                other => return other,
            }
            pause *= 2;
        }
        self.ask(method, path, body, within).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        within: Duration,
    ) -> Result<Value, ClientError> {
        let mut headers = HeaderMap::new();
        let kind = if path == "/_bulk" { "application/x-ndjson" } else { "application/json" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let asked = async {
            let away = |e: opensearch::Error| ClientError::Away(causes(&e));
            let transport = self.opensearch.transport();
            let query: Option<&BTreeMap<&str, &str>> = None;
            let response = transport.send(method, path, headers, query, body, Some(within)).await.map_err(away)?;
            let status = response.status_code().as_u16();
            if response.content_length().is_some_and(|length| length > ANSWER_BYTES_MAX) {
                return Err(ClientError::Refused { status, reason: "an answer beyond its bound".into() });
            }
            Ok((status, response.bytes().await.map_err(away)?))
        };
        // Connecting is within the time-out too.
        let answered = tokio::time::timeout(within, asked).await;
        let (status, bytes) = answered.map_err(|_| ClientError::Away("no answer in time".into()))??;
        if (200..300).contains(&status) {
            return serde_json::from_slice(&bytes).map_err(|e| ClientError::Away(format!("an unreadable answer: {e}")));
        }
        let reason: String = String::from_utf8_lossy(&bytes).chars().take(REASON_CHARS_MAX).collect();
        // Too many requests, and whatever is the server's own fault, pass.
        if status == 429 || status >= 500 {
            return Err(ClientError::Away(format!("status {status}: {reason}")));
        }
        Err(ClientError::Refused { status, reason })
    }
}

/// A search's place among those under way.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The name of an index in settings, SQL and names.
pub const fn name(kind: SearchIndex) -> &'static str {
    match kind {
        SearchIndex::Events => "events",
        SearchIndex::Listings => "listings",
    }
}

/// The refusals in a bulk's answer. A newer version that is there already, or a document that is gone, is no refusal.
fn outcomes(answer: &Value, writes: usize) -> Result<Outcomes, ClientError> {
    let items = answer["items"].as_array().filter(|items| items.len() == writes);
    let items = items.ok_or_else(|| ClientError::Away("a bulk's answer of another length".into()))?;
    let outcome = |item: &Value| {
        let result = item.as_object().and_then(|o| o.values().next()).unwrap_or(&Value::Null);
        let status = result["status"].as_i64().unwrap_or(500);
        if (200..300).contains(&status) || status == 409 || (status == 404 && result["result"] == "not_found") {
            return None;
        }
        Some(result["error"].to_string().chars().take(REASON_CHARS_MAX).collect())
    };
    Ok(items.iter().map(outcome).collect())
}

fn causes(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
