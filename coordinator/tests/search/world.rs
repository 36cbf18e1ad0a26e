//! A coordinator's parts over a new SQLite file, with a clock that can be put forward, asked through its router.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, header},
};
use nugul_api::{
    Code, Problem,
    catalogue::Event,
    headers,
    search::{Engine, NewSearchJob, SearchIndex, SearchJob, SearchPage, SearchWork},
};
use nugul_catalog::CatalogEvent;
use nugul_coordination::{Seats, rankings::Rankings};
use nugul_coordinator::{
    app::{self, App, Outer, Parts, World},
    catalogue::{CatalogueFile, index, words::Known},
    config::Config,
    http,
    keys::Keys,
    payments::PaymentClient,
    search::{client::Client, feed, jobs, keeper},
};
use nugul_domain::{Region, Timestamp, UserId, account::Role, id::RANDOM_BYTES};
use nugul_platform::OpenSearch;
use nugul_token::AccessClaims;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use tonic::codegen::Service;

use crate::server::{folder, new_name};

/// Longer than anything here takes on a busy machine.
pub(crate) const BOUND: Duration = Duration::from_mins(1);
/// The pause between two looks.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);
/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A coordinator's parts. Its workers end with it.
pub(crate) struct Coordinator {
    pub(crate) app: App,
    forward: Arc<AtomicI64>,
    router: axum::Router,
    folder: PathBuf,
    _stop: watch::Sender<bool>,
}

impl Coordinator {
    /// One with a new database and new indexes.
    pub(crate) async fn new(server: &OpenSearch) -> Self {
        let name = new_name();
        Self::over(server, &name, folder(&name), &[]).await
    }

    /// One with these indexes, this database and these settings.
    pub(crate) async fn over(server: &OpenSearch, prefix: &str, folder: PathBuf, settings: &[(&str, &str)]) -> Self {
        // Fails only where it is installed already, by a test before this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        std::fs::create_dir_all(&folder).unwrap();
        let url = server.url();
        let config = Config::read(|name| match name {
            "NUGUL_OPENSEARCH_URL" => Some(url.clone()),
            "NUGUL_OPENSEARCH_PREFIX" => Some(prefix.to_owned()),
            _ => settings.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()),
        });
        let config = config.unwrap();
        let forward = Arc::new(AtomicI64::new(0));
        let (stop, stopping) = watch::channel(false);
        let db = nugul_coordinator::db::open(None, &folder).await.unwrap();
        let words = Arc::new(Known::read(config.search_words.as_deref()).unwrap());
        let keys = Keys::load(&folder.join("key.pem")).unwrap();
        let clock = {
            let forward = forward.clone();
            move || app::now().plus_ms(forward.load(Ordering::Relaxed))
        };
        let outer = Outer {
            world: World { clock: Arc::new(clock), random: Box::new(app::fill_random), outcome_wait: Duration::ZERO },
            seats: Seats::memory(Arc::new(app::now)),
            rankings: Rankings::memory(),
            payments: PaymentClient::new(&config).unwrap(),
            keys,
            catalogue: CatalogueFile::build(&db, app::now(), words).await.unwrap(),
            db,
            stopping,
        };
        let app = Arc::new(Parts::new(config, outer).unwrap());
        Self { router: http::router(app.clone()), app, forward, folder, _stop: stop }
    }

    /// The same with its workers at work: feed, jobs, catalogue.
    pub(crate) fn at_work(self) -> Self {
        tokio::spawn(feed::deliver(self.app.clone()));
        tokio::spawn(keeper::carry_out(self.app.clone()));
        tokio::spawn(index::keep_fresh(self.app.clone()));
        self
    }

    pub(crate) fn client(&self) -> &Client {
        self.app.search.client.as_ref().unwrap()
    }

    /// Puts the clock forward.
    pub(crate) fn later(&self, ms: i64) {
        self.forward.fetch_add(ms, Ordering::Relaxed);
    }

    fn token(&self, role: Role) -> String {
        let iat = app::now().as_millis() / 1000;
        // The same person whenever they ask.
        let id = UserId::new(Region(0), Timestamp::from_millis(1), [7; RANDOM_BYTES]);
        let claims = AccessClaims { sub: id, role, nickname: "너굴".into(), iat, exp: iat + 900 };
        self.app.keys.signing().sign_access(claims).unwrap()
    }

    async fn ask(&self, request: Request<Body>) -> (u16, Vec<u8>) {
        let Ok(response) = self.router.clone().call(request).await;
        let status = response.status().as_u16();
        (status, to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.unwrap().to_vec())
    }

    /// A read as an operator.
    pub(crate) async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let request = Request::get(format!("{}/{path}", headers::API))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token(Role::Admin)));
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    /// A write of this role.
    pub(crate) async fn post(&self, role: Role, path: &str, body: &Value) -> (u16, Vec<u8>) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/{path}", headers::API))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token(role)))
            .header(headers::IDEMPOTENCY_KEY, format!("k{}", NEXT.fetch_add(1, Ordering::Relaxed)))
            .header(header::CONTENT_TYPE, "application/json");
        self.ask(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// A seller's new event.
    pub(crate) async fn event(&self, title: &str, category: &str, place: &str) -> Event {
        self.event_of(&event_body(title, category, place)).await
    }

    /// The same, on these days.
    pub(crate) async fn event_on(&self, title: &str, category: &str, place: &str, first: &str, last: &str) -> Event {
        let mut body = event_body(title, category, place);
        (body["starts_on"], body["ends_on"]) = (json!(first), json!(last));
        self.event_of(&body).await
    }

    /// The same, as a body says it.
    pub(crate) async fn event_of(&self, body: &Value) -> Event {
        expect(201, self.post(Role::Seller, "events", body).await)
    }

    /// A search as a client makes it.
    pub(crate) async fn search(&self, parameters: &[(&str, &str)]) -> SearchPage<CatalogEvent> {
        expect(200, self.get(&format!("search/events?{}", encoded(parameters))).await)
    }

    /// The titles that a text finds, by the full-text engine.
    pub(crate) async fn titles(&self, q: &str) -> Vec<String> {
        let page = self.search(&[("q", q)]).await;
        assert_eq!(page.engine, Engine::Opensearch, "{q}");
        page.items.into_iter().map(|e| e.title).collect()
    }

    /// Asks for a job.
    pub(crate) async fn begin(&self, work: SearchWork, index: SearchIndex) -> SearchJob {
        let body = serde_json::to_value(NewSearchJob { work, index }).unwrap();
        expect(202, self.post(Role::Admin, "admin/search/jobs", &body).await)
    }

    /// A job once it has ended.
    pub(crate) async fn ended(&self, job: &SearchJob) -> SearchJob {
        eventually("the job ends", async || {
            let now: SearchJob = expect(200, self.get(&format!("admin/search/jobs/{}", job.id)).await);
            now.finished_at.is_some().then_some(now)
        })
        .await
    }

    /// Waits until both indexes are there and every change was told of.
    pub(crate) async fn settled(&self) {
        eventually("the indexes are there", async || {
            let jobs = jobs::last(&self.app.db, 10).await.unwrap();
            let idle = !jobs.is_empty() && jobs.iter().all(|j| j.finished_at.is_some());
            let mut there = idle && feed::pending(&self.app.db).await.unwrap() == 0;
            for kind in [SearchIndex::Events, SearchIndex::Listings] {
                there = there && self.client().behind_alias(kind).await.is_ok_and(|index| index.is_some());
            }
            there.then_some(())
        })
        .await;
        self.client().refresh(&self.client().alias(SearchIndex::Events)).await.unwrap();
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        // What stays is removed by the next run.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What a seller says of an event.
pub(crate) fn event_body(title: &str, category: &str, place: &str) -> Value {
    json!({
        "title": title, "category": category, "place": place, "description": "너굴이 노래해요.",
        "starts_on": "2027-01-01", "ends_on": "2027-02-28", "runtime_min": 100, "rating": "전체관람가",
        "grades": [{ "grade": "R", "price_krw": 55_000, "rows": 2, "seats_per_row": 2 }],
    })
}

/// Parameters as a client sends them.
pub(crate) fn encoded(parameters: &[(&str, &str)]) -> String {
    let encode = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
    parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

/// The body, where the status is this one.
#[track_caller]
pub(crate) fn expect<T: DeserializeOwned>(status: u16, (got, body): (u16, Vec<u8>)) -> T {
    assert_eq!(got, status, "{}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&body)))
}

/// Where it was refused with this code.
#[track_caller]
pub(crate) fn refused(code: Code, answer: (u16, Vec<u8>)) {
    assert_eq!(expect::<Problem>(code.status(), answer).code, code);
}

/// What `look` finds, asked until it finds something.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + BOUND;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {BOUND:?}");
        tokio::time::sleep(PAUSE).await;
    }
}
