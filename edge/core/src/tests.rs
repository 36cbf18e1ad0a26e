//! The edge with a coordinator that is a table of answers.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use futures_util::{FutureExt, StreamExt};
use nugul_api::{
    Code, Problem,
    accounts::{Account, Tokens},
    catalogue::{EventSummary, Performance, PerformanceSummary},
    seats::{HEARTBEAT, SeatChanges, SeatSnapshot},
};
use nugul_catalog::CatalogEvent;
use nugul_domain::{EventId, Grade, Krw, OrderId, PerformanceId, Region, SeatState, Timestamp, UserId, account::Role};
use nugul_token::{AccessClaims, SigningKey};
use serde_json::{Value, json};

use crate::{
    App,
    fanout::{self, Shared},
    handle,
    host::{Host, HostError, Outgoing, Task},
    http::{Body, Method, Request, Response, header},
};

const NOW: i64 = 1_790_000_000_000;
const ORIGIN: &str = "http://one";

type Answer = Rc<dyn Fn(&Outgoing) -> Option<Response>>;

#[derive(Clone)]
struct Fake {
    now: Rc<RefCell<i64>>,
    asked: Rc<RefCell<Vec<Outgoing>>>,
    answers: Rc<RefCell<Vec<Answer>>>,
    tasks: Rc<RefCell<Vec<Task>>>,
    down: Rc<RefCell<bool>>,
    app: Rc<App>,
}

impl Host for Fake {
    async fn fetch(&self, request: Outgoing) -> Result<Response, HostError> {
        self.asked.borrow_mut().push(request.clone());
        if *self.down.borrow() {
            return Err(HostError::TimedOut);
        }
        let answers = self.answers.borrow().clone();
        Ok(answers.iter().rev().find_map(|a| a(&request)).unwrap_or_else(|| problem(Code::NotFound)))
    }

    fn spawn(&self, task: Task) {
        self.tasks.borrow_mut().push(task);
    }

    async fn sleep(&self, ms: u64) {
        *self.now.borrow_mut() += i64::try_from(ms).unwrap();
        // Others go first, as with a real timer.
        let mut first = true;
        std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if std::mem::take(&mut first) { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
        })
        .await;
    }

    fn now_ms(&self) -> i64 {
        *self.now.borrow()
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }

    fn setting(&self, name: &str) -> Option<String> {
        match name {
            "NUGUL_REGIONS" => Some(format!("0={ORIGIN}, 7=http://seven/")),
            "NUGUL_TOSS_SDK_URL" => Some("https://js.tosspayments.com/v2/standard".into()),
            "NUGUL_TOSS_CLIENT_KEY" => Some("test_ck".into()),
            _ => None,
        }
    }
}

fn problem(code: Code) -> Response {
    let body = serde_json::to_vec(&Problem::new(code, nugul_api::problem::Language::Korean, "t")).unwrap();
    Response::new(code.status(), "application/problem+json", body)
}

fn json_answer(value: &impl serde::Serialize) -> Response {
    Response::new(200, "application/json", serde_json::to_vec(value).unwrap())
        .with("etag", "\"1\"")
        .with("connection", "keep-alive")
        .with("x-secret", "1")
}

fn key() -> SigningKey {
    SigningKey::from_seed([1; 32]).unwrap()
}

fn user() -> UserId {
    UserId::new(Region(7), Timestamp::from_millis(NOW), [3; 9])
}

fn token(expires_in_s: i64) -> String {
    let (iat, exp) = (NOW / 1000 - 1000, NOW / 1000 + expires_in_s);
    key().sign_access(AccessClaims { sub: user(), role: Role::User, nickname: "너굴이".into(), iat, exp }).unwrap()
}

fn tokens() -> Tokens {
    let account = Account { id: user(), email: "a@b.kr".into(), nickname: "너굴이".into(), role: Role::User };
    Tokens {
        token_type: "Bearer".into(),
        access_token: token(900),
        expires_in_s: 900,
        refresh_token: "fresh".into(),
        account,
    }
}

fn event_id() -> EventId {
    EventId::new(Region(7), Timestamp::from_millis(NOW), [1; 9])
}

fn performance_id() -> PerformanceId {
    PerformanceId::new(Region(7), Timestamp::from_millis(NOW), [2; 9])
}

fn order_id() -> OrderId {
    OrderId::new(Region(7), Timestamp::from_millis(NOW), [4; 9])
}

fn index(title: &str) -> Vec<u8> {
    nugul_catalog::build(&[CatalogEvent {
        id: event_id().to_string(),
        title: title.into(),
        category: "뮤지컬".into(),
        place: "블루스퀘어".into(),
        description_short: None,
        starts_on: "2026-01-01".into(),
        ends_on: "2027-12-31".into(),
        min_price_krw: 60_000,
        max_price_krw: 150_000,
        rating: "만 7세 이상".into(),
        runtime_min: 120,
        popularity: 1,
        next_performance_id: None,
        performances: 1,
    }])
}

fn performance() -> Performance {
    let at = Timestamp::from_millis(NOW);
    let event = EventSummary {
        id: event_id(),
        title: "레미제라블".into(),
        category: "뮤지컬".into(),
        place: "블루스퀘어".into(),
        starts_on: "2026-01-01".into(),
        ends_on: "2027-12-31".into(),
    };
    Performance {
        summary: PerformanceSummary { id: performance_id(), starts_at: at.plus_ms(1_000_000), sales_open_at: at },
        event,
        grades: vec![Grade { grade: "R".into(), price_krw: Krw(1000), rows: 2, seats_per_row: 4 }],
        hold_seats_max: 4,
    }
}

impl Fake {
    fn new() -> Self {
        let fake = Self {
            now: Rc::new(RefCell::new(NOW)),
            asked: Rc::default(),
            answers: Rc::default(),
            tasks: Rc::default(),
            down: Rc::default(),
            app: Rc::default(),
        };
        fake.on("GET", "/.well-known/jwks.json", |_| json_answer(&json!({ "keys": [key().jwk()] })));
        fake.serve_index(index("레미제라블"));
        fake.on("GET", &format!("/api/v1/performances/{}", performance_id()), |_| json_answer(&performance()));
        fake.on("GET", &format!("/api/v1/performances/{}/seats", performance_id()), |_| {
            json_answer(&SeatSnapshot::pack(5, &[SeatState::Available; 8]))
        });
        fake.on("POST", "/api/v1/auth/refresh", |_| json_answer(&tokens()));
        fake
    }

    fn on(&self, method: &'static str, path: &str, answer: impl Fn(&Outgoing) -> Response + 'static) {
        let path = path.to_owned();
        self.answers.borrow_mut().push(Rc::new(move |request| {
            let target = request.url.split_once("://")?.1;
            let asked = target.split_once('/').map(|(_, p)| format!("/{p}"))?;
            let asked = asked.split('?').next()?.to_owned();
            (request.method.as_str() == method && asked == path).then(|| answer(request))
        }));
    }

    /// Region 0 has this index; region 7 has none.
    fn serve_index(&self, bytes: Vec<u8>) {
        let version = nugul_catalog::version(&bytes);
        let v = version.clone();
        self.on("GET", "/api/v1/catalogue", move |r| {
            if r.url.starts_with(ORIGIN) { json_answer(&json!({ "version": v })) } else { problem(Code::NotFound) }
        });
        self.on("GET", &format!("/api/v1/catalogue/{version}"), move |_| Response::new(200, "x", bytes.clone()));
    }

    fn send(&self, request: Request) -> Response {
        futures_executor(handle(self, &self.app, request))
    }

    fn get(&self, target: &str, headers: &[(&str, &str)]) -> Response {
        self.send(with(Request::new(Method::Get, target), headers))
    }

    fn post(&self, target: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut request = with(Request::new(Method::Post, target), headers);
        request.body = Body::Bytes(body.as_bytes().to_vec());
        self.send(request)
    }

    /// What was asked of this path since the last call.
    fn taken(&self, path: &str) -> Vec<Outgoing> {
        let mut all = self.asked.borrow_mut();
        let taken = all.iter().filter(|r| r.url.contains(path)).cloned().collect();
        all.clear();
        taken
    }

    fn run_tasks(&self) {
        let tasks: Vec<Task> = self.tasks.borrow_mut().drain(..).collect();
        for task in tasks {
            futures_executor(task);
        }
    }
}

/// Polls to the end: nothing here waits for another thread.
fn futures_executor<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    for _ in 0..100_000 {
        if let Some(done) = future.as_mut().now_or_never() {
            return done;
        }
    }
    panic!("never ends");
}

fn with(mut request: Request, headers: &[(&str, &str)]) -> Request {
    request.headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    request.headers.push(("host".into(), "edge.test".into()));
    request
}

fn text(response: Response) -> String {
    String::from_utf8(futures_executor(response.body.collect(usize::MAX)).unwrap()).unwrap()
}

fn code_of(response: Response) -> Code {
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    serde_json::from_str::<Problem>(&text(response)).unwrap().code
}

fn cookies_of(response: &Response) -> Vec<&str> {
    response.headers.iter().filter(|(n, _)| n == "set-cookie").map(|(_, v)| v.as_str()).collect()
}

const OWN: (&str, &str) = ("sec-fetch-site", "same-origin");

#[test]
fn searches_are_answered_from_memory() {
    let fake = Fake::new();
    let found: Value =
        serde_json::from_str(&text(fake.get("/api/v1/search/events?q=%EB%A0%88%EB%AF%B8", &[]))).unwrap();
    assert_eq!((&found["total"], &found["items"][0]["title"]), (&json!(1), &json!("레미제라블")));
    fake.taken("");
    assert_eq!(fake.get("/api/v1/search/suggest?q=%E3%84%B9", &[]).status, 200);
    let days: Value = serde_json::from_str(&text(fake.get("/api/v1/calendar?month=2026-02", &[]))).unwrap();
    assert_eq!((days["items"].as_array().unwrap().len(), &days["items"][0]["count"]), (28, &json!(1)));
    assert_eq!(code_of(fake.get("/api/v1/events?limit=101", &[])), Code::InvalidParameter);
    assert!(fake.asked.borrow().is_empty());
}

#[test]
fn an_older_index_serves_while_a_newer_one_loads_and_while_the_coordinator_is_away() {
    let fake = Fake::new();
    fake.get("/api/v1/events", &[]);
    fake.serve_index(index("위키드"));
    *fake.now.borrow_mut() += 2_000;
    assert!(text(fake.get("/api/v1/events", &[])).contains("레미제라블"));
    fake.run_tasks();
    assert!(text(fake.get("/api/v1/events", &[])).contains("위키드"));
    *fake.down.borrow_mut() = true;
    *fake.now.borrow_mut() += 60_000;
    assert!(text(fake.get("/api/v1/events", &[])).contains("위키드"));
    fake.run_tasks();
    assert!(text(fake.get("/", &[])).contains("위키드"));
}

#[test]
fn reads_are_kept_for_a_moment_and_longer_when_the_coordinator_is_away() {
    let fake = Fake::new();
    let target = format!("/api/v1/performances/{}", performance_id());
    let first = fake.get(&target, &[]);
    assert_eq!((first.status, first.header("etag"), first.header("x-secret")), (200, Some("\"1\""), None));
    assert_eq!(fake.get(&target, &[("if-none-match", "W/\"1\"")]).status, 304);
    assert_eq!(fake.taken(&target).len(), 1);
    *fake.now.borrow_mut() += 3_000;
    fake.get(&target, &[]);
    assert_eq!(fake.taken(&target).len(), 1);
    *fake.down.borrow_mut() = true;
    *fake.now.borrow_mut() += 30_000;
    assert_eq!(fake.get(&target, &[]).status, 200);
    *fake.now.borrow_mut() += 60_000;
    let away = fake.get(&target, &[]);
    assert_eq!(away.header("retry-after"), Some("2"));
    assert_eq!(code_of(away), Code::Unavailable);
}

#[test]
fn what_is_forwarded_goes_to_the_ids_region_with_chosen_headers() {
    let fake = Fake::new();
    let bearer = format!("Bearer {}", token(900));
    let target = format!("/api/v1/performances/{}/holds", performance_id());
    fake.on("POST", &target, |_| json_answer(&json!({})));
    let answer = fake.post(
        &target,
        &[
            ("authorization", &bearer),
            ("idempotency-key", "k"),
            ("connection", "close"),
            ("cookie", "a=b"),
            ("x-forwarded-for", "1"),
        ],
        "{}",
    );
    assert_eq!((answer.status, answer.header("connection"), answer.header("x-secret")), (200, None, None));
    let sent = fake.taken("/holds").pop().unwrap();
    assert_eq!(sent.url, format!("http://seven{target}"));
    assert_eq!(header(&sent.headers, "authorization"), Some(bearer.as_str()));
    assert_eq!(header(&sent.headers, "idempotency-key"), Some("k"));
    assert_eq!(header(&sent.headers, "x-trace-id"), Some("07".repeat(16).as_str()));
    for name in ["connection", "cookie", "x-forwarded-for", "host"] {
        assert_eq!(header(&sent.headers, name), None, "{name}");
    }
}

#[test]
fn an_order_goes_to_its_holds_region_and_a_person_to_theirs() {
    let fake = Fake::new();
    fake.post("/api/v1/orders", &[], &json!({ "hold_id": order_id() }).to_string());
    assert!(fake.taken("/orders").pop().unwrap().url.starts_with("http://seven/"));
    fake.get("/api/v1/me", &[("authorization", &format!("Bearer {}", token(900)))]);
    assert!(fake.taken("/me").pop().unwrap().url.starts_with("http://seven/"));
    fake.post("/api/v1/auth/log-in", &[], "{}");
    assert!(fake.taken("/auth").pop().unwrap().url.starts_with(ORIGIN));
    let elsewhere = EventId::new(Region(9), Timestamp::from_millis(NOW), [1; 9]);
    assert_eq!(code_of(fake.get(&format!("/api/v1/events/{elsewhere}"), &[])), Code::NotFound);
    assert_eq!(code_of(fake.get("/api/v1/me/../../metrics", &[])), Code::NotFound);
}

#[test]
fn bad_tokens_and_large_bodies_never_reach_a_coordinator() {
    let fake = Fake::new();
    for (token, code) in [
        (token(-1), Code::TokenExpired),
        ("nonsense".into(), Code::TokenInvalid),
        (SigningKey::from_seed([2; 32]).unwrap().sign_access(claims_of(&token(900))).unwrap(), Code::TokenInvalid),
    ] {
        let answer = fake.post("/api/v1/orders", &[("authorization", &format!("Bearer {token}"))], "{}");
        assert_eq!(code_of(answer), code);
    }
    assert_eq!(code_of(fake.post("/api/v1/orders", &[], &"x".repeat(64 * 1024 + 1))), Code::BodyTooLarge);
    assert!(fake.taken("/orders").is_empty());
}

fn claims_of(token: &str) -> AccessClaims {
    let keys = nugul_token::AccessVerifier::from_jwks(&json!({ "keys": [key().jwk()] })).unwrap();
    keys.verify(token, Timestamp::from_millis(NOW)).unwrap()
}

#[test]
fn an_unknown_key_is_asked_for_at_most_every_ten_seconds() {
    let fake = Fake::new();
    let other = SigningKey::from_seed([2; 32]).unwrap().sign_access(claims_of(&token(900))).unwrap();
    let bearer = format!("Bearer {other}");
    let tries = || {
        for _ in 0..5 {
            fake.get("/api/v1/me", &[("authorization", &bearer)]);
        }
        fake.taken("jwks").len()
    };
    assert_eq!(tries(), 2, "once for each region");
    *fake.now.borrow_mut() += 10_000;
    fake.on("GET", "/.well-known/jwks.json", |_| {
        json_answer(&json!({ "keys": [key().jwk(), SigningKey::from_seed([2; 32]).unwrap().jwk()] }))
    });
    assert_eq!(tries(), 2);
}

#[test]
fn a_cookie_is_a_token_for_our_pages_alone() {
    let fake = Fake::new();
    let cookie = format!("x=y; nugul_access={}", token(900));
    fake.get("/api/v1/me", &[("cookie", &cookie)]);
    let sent = fake.taken("/me").pop().unwrap();
    assert_eq!(header(&sent.headers, "authorization"), Some(format!("Bearer {}", token(900)).as_str()));
    assert_eq!(code_of(fake.post("/api/v1/orders", &[("cookie", &cookie)], "{}")), Code::CrossSite);
    assert!(fake.taken("/orders").is_empty());
    fake.post("/api/v1/orders", &[("cookie", &cookie), ("x-nugul-page", "1")], "{}");
    assert_eq!(fake.taken("/orders").len(), 1);
}

#[test]
fn forms_of_other_sites_are_refused() {
    let fake = Fake::new();
    for foreign in [
        vec![("sec-fetch-site", "cross-site"), ("origin", "http://edge.test")],
        vec![("sec-fetch-site", "same-site")],
        vec![("origin", "http://evil.test")],
        vec![("origin", "null")],
        vec![],
    ] {
        let answer = fake.post("/log-in", &foreign, "email=a&password=b");
        assert_eq!(answer.status, 403, "{foreign:?}");
        assert!(cookies_of(&answer).is_empty());
    }
    assert!(fake.taken("/auth").is_empty());
    fake.on("POST", "/api/v1/auth/log-in", |_| json_answer(&tokens()));
    assert_eq!(fake.post("/log-in", &[("origin", "http://edge.test")], "email=a&password=b").status, 303);
}

#[test]
fn an_ended_session_is_renewed_once() {
    let fake = Fake::new();
    let cookie = format!("nugul_access={}; nugul_refresh=old", token(-1));
    let answers = [fake.get("/api/v1/me", &[("cookie", &cookie)]), fake.get("/tickets", &[("cookie", &cookie)])];
    for answer in &answers {
        let cookies = cookies_of(answer);
        assert!(
            cookies[0].starts_with("nugul_access=ey") && cookies[1].starts_with("nugul_refresh=fresh; "),
            "{cookies:?}"
        );
        assert!(cookies.iter().all(|c| c.contains("; HttpOnly; SameSite=Lax") && !c.contains("Secure")));
        assert_eq!(answer.header("cache-control").unwrap_or("no-store").contains("no-store"), true);
    }
    let sent = fake.taken("/auth/refresh");
    assert_eq!(sent.len(), 1);
    assert!(sent[0].url.starts_with("http://seven/") && header(&sent[0].headers, "idempotency-key").is_some());
    // A refused refresh takes the cookies away; an unreachable coordinator does not.
    fake.on("POST", "/api/v1/auth/refresh", |_| problem(Code::RefreshTokenReused));
    let gone = fake.get("/", &[("cookie", "nugul_refresh=other")]);
    assert!(cookies_of(&gone).iter().all(|c| c.contains("Max-Age=0")) && cookies_of(&gone).len() == 2);
    *fake.down.borrow_mut() = true;
    assert!(cookies_of(&fake.get("/", &[("cookie", "nugul_refresh=third")])).is_empty());
}

#[test]
fn log_in_leads_on_but_never_away() {
    let fake = Fake::new();
    fake.on("POST", "/api/v1/auth/log-in", |_| json_answer(&tokens()));
    for (next, to) in [
        ("/tickets?a=1", "/tickets?a=1"),
        ("//evil.test", "/"),
        ("/\\evil.test", "/"),
        ("/\t/evil.test", "/"),
        ("https://evil.test", "/"),
        ("/a\r\nset-cookie: x=1", "/"),
        ("", "/"),
    ] {
        let body = format!("email=a%40b.kr&password=p&next={}", crate::http::encode(next));
        let answer = fake.post("/log-in", &[OWN], &body);
        assert_eq!((answer.status, answer.header("location")), (303, Some(to)), "{next:?}");
    }
    let to_log_in = fake.get("/tickets", &[]);
    assert_eq!((to_log_in.status, to_log_in.header("location")), (303, Some("/log-in?next=%2Ftickets")));
    let mut request = with(Request::new(Method::Post, "/log-in"), &[OWN]);
    request.https = true;
    let answer = fake.send(request);
    assert!(cookies_of(&answer).iter().all(|c| c.ends_with("; Secure")));
}

#[test]
fn a_person_who_logs_out_has_no_cookies() {
    let fake = Fake::new();
    let cookie = format!("nugul_access={}; nugul_refresh=mine", token(900));
    let answer = fake.post("/log-out", &[OWN, ("cookie", &cookie)], "");
    assert_eq!(cookies_of(&answer).iter().filter(|c| c.contains("Max-Age=0")).count(), 2);
    let sent = fake.taken("/auth/log-out").pop().unwrap();
    assert_eq!(sent.body, b"{\"refresh_token\":\"mine\"}");
}

#[test]
fn a_lost_race_for_seats_shows_the_map_again() {
    let fake = Fake::new();
    let cookie = format!("nugul_access={}", token(900));
    let api = format!("/api/v1/performances/{}/holds", performance_id());
    fake.on("POST", &api, |_| problem(Code::SeatsTaken));
    let target = format!("/performances/{}/hold", performance_id());
    let answer = fake.post(&target, &[OWN, ("cookie", &cookie)], "seat=2&seat=1&key=form-key");
    assert_eq!(answer.status, 409);
    assert!(answer.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    let sent = fake.taken("/holds").pop().unwrap();
    assert_eq!(sent.body, b"{\"seats\":[1,2]}");
    assert_eq!(header(&sent.headers, "idempotency-key"), Some("form-key"));
    fake.post(&target, &[OWN, ("cookie", &cookie)], "best_grade=R&best_count=2");
    assert_eq!(fake.taken("/holds").pop().unwrap().body, b"{\"best\":{\"grade\":\"R\",\"count\":2}}");
}

#[test]
fn a_payment_that_comes_back_twice_is_confirmed_with_one_key() {
    let fake = Fake::new();
    let cookie = format!("nugul_access={}", token(900));
    let (id, confirm) = (order_id(), format!("/api/v1/orders/{}/confirm", order_id()));
    fake.on("POST", &confirm, |_| problem(Code::AmountMismatch));
    let target = format!("/orders/{id}/paid?paymentKey=pk&orderId={id}&amount=1000");
    let keys: Vec<String> = (0..2)
        .map(|_| {
            let answer = fake.get(&target, &[("cookie", &cookie)]);
            assert_eq!(answer.header("location"), Some(format!("/orders/{id}?problem=amount_mismatch").as_str()));
            let sent = fake.taken("/confirm").pop().unwrap();
            assert_eq!(sent.body, b"{\"payment_key\":\"pk\",\"amount_krw\":1000}");
            header(&sent.headers, "idempotency-key").unwrap().to_owned()
        })
        .collect();
    assert_eq!(keys[0], keys[1]);
    let other = fake.get(&format!("/orders/{id}/paid?paymentKey=pk&orderId=x&amount=1000"), &[("cookie", &cookie)]);
    assert_eq!(other.status, 400);
}

#[test]
fn pages_are_in_the_language_chosen() {
    let fake = Fake::new();
    let answer = fake.post("/language", &[OWN], "lang=en&next=/search");
    assert_eq!(answer.header("location"), Some("/search"));
    assert!(cookies_of(&answer)[0].starts_with("nugul_lang=en;"));
    let english = fake.get("/api/v1/events/none", &[("cookie", "nugul_lang=en"), ("accept-language", "ko")]);
    assert!(text(english).contains("There is no such thing."));
    for target in ["/", "/search?q=x", "/log-in", "/sign-up", "/nowhere"] {
        let page = fake.get(target, &[]);
        assert_eq!(page.status, if target == "/nowhere" { 404 } else { 200 });
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
    }
}

#[test]
fn one_upstream_serves_many_resumes_and_ends_with_the_last() {
    let fake = Fake::new();
    let states = [SeatState::Available; 8];
    let script = Rc::new(RefCell::new(VecDeque::from([
        format!(
            "{}{}",
            SeatSnapshot::pack(5, &states).frame(),
            SeatChanges { from: 5, to: 6, changes: vec![vec![(0, 1)]] }.frame()
        ),
        format!("{HEARTBEAT}{}", SeatChanges { from: 6, to: 7, changes: vec![vec![(1, 2)]] }.frame()),
        SeatChanges { from: 9, to: 10, changes: vec![vec![(1, 2)]] }.frame(),
        SeatSnapshot::pack(10, &states).frame(),
    ])));
    let pieces = Rc::clone(&script);
    fake.on("GET", "/stream", move |_| {
        let piece = pieces.borrow_mut().pop_front().unwrap_or_default().into_bytes();
        let body = Body::Stream(futures_util::stream::iter([piece]).boxed_local());
        Response { status: 200, headers: Vec::new(), body }
    });
    let shared: Rc<RefCell<Shared>> = Rc::default();
    let upstream =
        Outgoing { method: Method::Get, url: "http://seven/stream".into(), headers: Vec::new(), body: Vec::new() };
    let mut one = fanout::join(&fake, &shared, upstream.clone()).unwrap();
    let two = fanout::join(&fake, &shared, upstream).unwrap();
    let mut tasks = std::mem::take(&mut *fake.tasks.borrow_mut());
    assert_eq!(tasks.len(), 1);
    let mut task = tasks.pop().unwrap();
    while !script.borrow().is_empty() {
        assert_eq!(task.as_mut().now_or_never(), None);
    }
    let resumed: Vec<Option<String>> =
        fake.taken("/stream").iter().map(|r| header(&r.headers, "last-event-id").map(str::to_owned)).collect();
    assert_eq!(resumed.get(..4).unwrap(), [None, Some("6".into()), Some("7".into()), None]);
    drop(two);
    let mut got = String::new();
    while let Some(Some(bytes)) = one.next().now_or_never() {
        got.push_str(&String::from_utf8(bytes).unwrap());
    }
    assert!(got.starts_with("retry: 1000\n\nevent: snapshot\nid: 5\n"), "{got}");
    assert!(
        got.contains(HEARTBEAT)
            && got.contains("\nid: 7\n")
            && got.contains("\nid: 10\n")
            && !got.contains("\"from\":9")
    );
    drop(one);
    futures_executor(task);
}
