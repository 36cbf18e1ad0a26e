//! The edge with a coordinator that is a table of answers.

mod rankings;

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use futures_util::{FutureExt, StreamExt};
use nugul_api::{
    Code, Problem,
    accounts::{Account, EmailCodeSent, Tokens},
    booking::{Order, PerformanceRef},
    catalogue::{EventSummary, Performance, PerformanceSummary},
    seats::{Close, CloseReason, HEARTBEAT, SeatChanges, SeatSnapshot},
};
use nugul_catalog::CatalogEvent;
use nugul_domain::{
    EventId, Grade, Krw, OrderId, PerformanceId, Region, SeatState, Timestamp, UserId, account::Role, order::OrderState,
};
use nugul_token::{AccessClaims, SigningKey};
use serde_json::{Value, json};

use crate::{
    App,
    fanout::{
        self, Joined, Shared,
        readers::PER_ADDRESS_MAX,
        rooms::{Entered, ROOMS_MAX, Rooms},
    },
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
    hangs: Rc<RefCell<bool>>,
    public_origin: Rc<RefCell<Option<&'static str>>>,
    edge_key: Rc<RefCell<Option<String>>>,
    app: Rc<App>,
}

impl Host for Fake {
    async fn fetch(&self, request: Outgoing) -> Result<Response, HostError> {
        self.asked.borrow_mut().push(request.clone());
        if *self.down.borrow() {
            return Err(HostError::TimedOut);
        }
        while *self.hangs.borrow() {
            self.sleep(1).await;
        }
        let answers = self.answers.borrow().clone();
        Ok(answers.iter().rev().find_map(|a| a(&request)).unwrap_or_else(|| problem(Code::NotFound)))
    }

    async fn seat_stream(&self, rooms: &Rooms, performance: &str, upstream: Outgoing) -> Result<Response, HostError> {
        let body: crate::http::ByteStream = match rooms.join(self, performance, upstream).await? {
            Ok(Entered::Here(reader, _)) => Box::pin(reader.map(|bytes| bytes.to_vec())),
            Ok(Entered::Behind(behind)) => {
                Box::pin(futures_util::stream::unfold((behind, self.clone()), async |(mut behind, host)| {
                    behind.next(&host).await.map(|piece| (piece, (behind, host)))
                }))
            }
            Err(answer) => return Ok(answer),
        };
        Ok(Response { status: 200, headers: Vec::new(), body: Body::Stream(body) })
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

    fn client_address(&self, request: &Request) -> Option<String> {
        request.header("x-test-address").map(str::to_owned)
    }

    fn setting(&self, name: &str) -> Option<String> {
        match name {
            "NUGUL_REGIONS" => Some(format!("0={ORIGIN}, 7=http://seven/")),
            "NUGUL_TOSS_SDK_URL" => Some("https://js.tosspayments.com/v2/standard".into()),
            "NUGUL_TOSS_CLIENT_KEY" => Some("test_ck".into()),
            "NUGUL_EDGE_KEY" => self.edge_key.borrow().clone(),
            "NUGUL_PUBLIC_ORIGIN" => self.public_origin.borrow().map(str::to_owned),
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
    index_opening(title, 0)
}

fn index_opening(title: &str, opens_in_ms: i64) -> Vec<u8> {
    nugul_catalog::build(&[CatalogEvent {
        id: event_id().to_string(),
        title: title.into(),
        category: "뮤지컬".into(),
        place: "블루스퀘어".into(),
        starts_on: "2026-01-01".into(),
        ends_on: "2027-12-31".into(),
        min_price_krw: 60_000,
        max_price_krw: 150_000,
        rating: "만 7세 이상".into(),
        runtime_min: 120,
        popularity: 1,
        performances: 1,
        sales_open_at: Some(Timestamp::from_millis(NOW + opens_in_ms)),
        sales_close_at: Some(Timestamp::from_millis(NOW + opens_in_ms + 10_000_000)),
        ..CatalogEvent::default()
    }])
}

fn pending_order() -> Order {
    let performance = performance();
    Order {
        id: order_id(),
        state: OrderState::Pending,
        performance: PerformanceRef {
            id: performance_id(),
            starts_at: performance.summary.starts_at,
            event: performance.event,
        },
        seats: Vec::new(),
        total_krw: Krw(1000),
        name: "레미제라블".into(),
        pay_before: Timestamp::from_millis(NOW).plus_ms(5 * 60_000),
        decline_reason: None,
        tickets: Vec::new(),
    }
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
        summary: PerformanceSummary {
            id: performance_id(),
            starts_at: at.plus_ms(1_000_000),
            sales_open_at: at,
            sales_close_at: at.plus_ms(1_000_000),
            cancelled: false,
        },
        event,
        grades: vec![Grade { grade: "R".into(), price_krw: Krw(1000), rows: 2, seats_per_row: 4 }],
        limits: nugul_domain::event::BuyerLimits::default(),
        members_only: false,
        seat_map_version: "m".into(),
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
            hangs: Rc::default(),
            public_origin: Rc::default(),
            edge_key: Rc::default(),
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
fn an_answer_from_memory_is_at_most_a_second_old_and_answers_its_own_question() {
    let fake = Fake::new();
    fake.serve_index(index_opening("위키드", 60_000));
    let total = |target: &str| serde_json::from_str::<Value>(&text(fake.get(target, &[]))).unwrap()["total"].clone();
    let on_sale = "/api/v1/search/events?on_sale=true";
    // A parameter that means nothing makes a question that was not asked before.
    let opens_at = (NOW..=NOW + 60_000).step_by(1_000).find(|&now| {
        *fake.now.borrow_mut() = now;
        total(&format!("{on_sale}&now={now}")) == 1
    });
    let opens_at = opens_at.expect("a moment from which it is on sale");
    assert!(opens_at > NOW);
    *fake.now.borrow_mut() = opens_at - 1;
    assert_eq!(total(on_sale), 0);
    *fake.now.borrow_mut() = opens_at + 998;
    assert_eq!(total(on_sale), 0);
    assert_eq!(total(&format!("{on_sale}&anew")), 1);
    *fake.now.borrow_mut() = opens_at + 999;
    assert_eq!(total(on_sale), 1);
    // Two lists asked with one query are two questions; a refusal is not remembered as an answer.
    let asked = "?q=%EC%9C%84%ED%82%A4%EB%93%9C&limit=20";
    assert_eq!(total(&format!("/api/v1/events{asked}")), 1);
    assert_eq!(total(&format!("/api/v1/search/suggest{asked}")), Value::Null);
    for _ in 0..2 {
        assert_eq!(code_of(fake.get("/api/v1/events?limit=101", &[])), Code::InvalidParameter);
    }
    // However many questions are asked in a second, each has its answer.
    for number in 0..3_000 {
        assert_eq!(total(&format!("/api/v1/events?q=%EC%9C%84%ED%82%A4%EB%93%9C&n={number}")), 1);
    }
}

#[test]
fn the_search_page_says_how_it_read_the_text_and_what_narrows_it() {
    let fake = Fake::new();
    // 래미제라불
    let page = text(fake.get("/search?q=%EB%9E%98%EB%AF%B8%EC%A0%9C%EB%9D%BC%EB%B6%88", &[]));
    assert!(page.contains("role=\"status\">1건 · ‘레미제라블’ 검색 결과예요"), "{page}");
    assert!(page.contains("category=%EB%AE%A4%EC%A7%80%EC%BB%AC"), "{page}");
    assert!(page.contains("sort=price") && page.contains("on_sale=true"), "{page}");
    // Narrowed to nothing, it offers the same text without filters.
    let page = text(fake.get("/search?q=%EB%A0%88%EB%AF%B8&category=%EC%97%B0%EA%B7%B9", &[]));
    assert!(page.contains("0건") && page.contains("href=\"/search?q=%EB%A0%88%EB%AF%B8\""), "{page}");
    // What cannot be understood is left aside, not the text.
    assert!(text(fake.get("/search?q=%EB%A0%88%EB%AF%B8&sort=luck&cursor=x", &[])).contains("1건"));
}

#[test]
fn the_first_page_tells_what_is_on_sale_from_what_opens_later() {
    let section = |page: &str, id: &str| {
        let from = page.split_once(&format!("<h2 id=\"{id}\"")).map(|(_, rest)| rest.to_owned());
        from.map(|rest| rest.split("</section>").next().unwrap_or_default().to_owned()).unwrap_or_default()
    };
    let fake = Fake::new();
    let page = text(fake.get("/", &[]));
    assert!(section(&page, "on-sale").contains("레미제라블") && section(&page, "soon").is_empty());

    let fake = Fake::new();
    fake.serve_index(index_opening("위키드", 60_000));
    let page = text(fake.get("/", &[]));
    assert!(!section(&page, "on-sale").contains("위키드"), "{page}");
    assert!(section(&page, "soon").contains("위키드") && section(&page, "soon").contains("1분 뒤에 열려요"), "{page}");
    // It goes over by itself, and away once its sales have closed.
    *fake.now.borrow_mut() += 60_000;
    let page = text(fake.get("/", &[]));
    assert!(section(&page, "on-sale").contains("위키드") && section(&page, "soon").is_empty());
    *fake.now.borrow_mut() += 10_000_000;
    assert!(!section(&text(fake.get("/", &[])), "on-sale").contains("위키드"));
}

#[test]
fn an_index_that_is_replaced_before_it_is_fetched_is_not_missed() {
    let fake = Fake::new();
    let asked = Rc::new(RefCell::new(0));
    let (newer, counted) = (nugul_catalog::version(&index("레미제라블")), Rc::clone(&asked));
    fake.on("GET", "/api/v1/catalogue", move |_| {
        *counted.borrow_mut() += 1;
        let is_first = *counted.borrow() == 1;
        json_answer(&json!({ "version": if is_first { "replaced" } else { newer.as_str() } }))
    });
    fake.on("GET", "/api/v1/catalogue/replaced", |_| problem(Code::NotFound));
    assert!(text(fake.get("/api/v1/events", &[])).contains("레미제라블"));
    assert!(*asked.borrow() >= 2);
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
fn a_crowd_asks_once_for_what_nobody_has_asked_before() {
    let fake = Fake::new();
    let target = format!("/api/v1/performances/{}", performance_id());
    let ask = || Box::pin(handle(&fake, &fake.app, with(Request::new(Method::Get, &target), &[])));
    *fake.hangs.borrow_mut() = true;
    let mut crowd: Vec<_> = (0..20).map(|_| ask()).collect();
    assert!(crowd.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
    *fake.hangs.borrow_mut() = false;
    assert!(crowd.into_iter().all(|one| futures_executor(one).status == 200));
    assert_eq!(fake.taken(&target).len(), 1);

    // Who has waited in vain asks too; whoever asks after a failure is not kept waiting.
    *fake.hangs.borrow_mut() = true;
    *fake.now.borrow_mut() += 60_000;
    let (mut first, mut second) = (ask(), ask());
    assert!(first.as_mut().now_or_never().is_none());
    let begun = fake.now_ms();
    while fake.asked.borrow().len() < 2 {
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
    }
    assert!((2_000..3_000).contains(&(fake.now_ms() - begun)), "{}", fake.now_ms() - begun);
    (*fake.down.borrow_mut(), *fake.hangs.borrow_mut()) = (true, false);
    assert_eq!(futures_executor(ask()).status, 503);
    let failed = fake.now_ms();
    assert_eq!((futures_executor(ask()).status, fake.now_ms()), (503, failed));
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
    *fake.public_origin.borrow_mut() = Some("https://tickets.test/");
    for foreign in [
        vec![("sec-fetch-site", "cross-site"), ("origin", "http://edge.test")],
        vec![("sec-fetch-site", "same-site")],
        vec![("origin", "http://evil.test")],
        vec![("origin", "null")],
        vec![("origin", "http://tickets.test")],
        vec![],
    ] {
        let answer = fake.post("/log-in", &foreign, "email=a&password=b");
        assert_eq!(answer.status, 403, "{foreign:?}");
        assert!(cookies_of(&answer).is_empty());
    }
    assert!(fake.taken("/auth").is_empty());
    fake.on("POST", "/api/v1/auth/log-in", |_| json_answer(&tokens()));
    for own in ["http://edge.test", "https://tickets.test"] {
        assert_eq!(fake.post("/log-in", &[("origin", own)], "email=a&password=b").status, 303, "{own}");
    }
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
        assert!(answer.header("cache-control").unwrap_or("no-store").contains("no-store"));
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
fn where_people_find_the_site_is_as_set_whatever_the_request_says() {
    let fake = Fake::new();
    fake.on("POST", "/api/v1/auth/log-in", |_| json_answer(&tokens()));
    fake.on("GET", &format!("/api/v1/orders/{}", order_id()), |_| json_answer(&pending_order()));
    let page = format!("/orders/{}", order_id());
    let cookie = format!("nugul_access={}", token(900));
    for (set, came_over_tls, found_at) in [
        (Some("https://tickets.test/"), false, "https://tickets.test"),
        (Some("http://tickets.test"), true, "http://tickets.test"),
        (None, true, "https://edge.test"),
        (None, false, "http://edge.test"),
    ] {
        *fake.public_origin.borrow_mut() = set;
        let send = |mut request: Request| {
            request.https = came_over_tls;
            fake.send(request)
        };
        let order = send(with(Request::new(Method::Get, &page), &[("cookie", &cookie)]));
        let secure = found_at.starts_with("https");
        assert_eq!(order.header("strict-transport-security").is_some(), secure, "{set:?}");
        assert!(text(order).contains(&format!("data-success-url=\"{found_at}{page}/paid\"")), "{set:?}");
        let mut log_in = with(Request::new(Method::Post, "/log-in"), &[OWN]);
        log_in.body = Body::Bytes(b"email=a&password=b".to_vec());
        let cookies = send(log_in);
        assert!(cookies_of(&cookies).iter().all(|c| c.ends_with("; Secure") == secure), "{set:?}");
        assert_eq!(cookies_of(&cookies).len(), 2);
    }
}

#[test]
fn a_person_who_logs_out_has_no_cookies() {
    let fake = Fake::new();
    let cookie = format!("nugul_access={}; nugul_refresh=mine", token(900));
    let answer = fake.post("/log-out", &[OWN, ("cookie", &cookie)], "");
    assert_eq!(cookies_of(&answer).iter().filter(|c| c.contains("Max-Age=0")).count(), 2);
    assert_eq!(answer.header("clear-site-data"), Some("\"storage\""));
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
fn the_address_of_a_form_leads_to_its_page() {
    let fake = Fake::new();
    for (form, page) in [
        ("/performances/x/hold", "/performances/x"),
        ("/holds/x/extend", "/holds/x"),
        ("/tickets/x/refund", "/tickets/x"),
        ("/seller/performances/x/cancel", "/seller/performances/x"),
        ("/seller/refund-requests/x/accept", "/seller/refund-requests"),
    ] {
        let answer = fake.get(form, &[]);
        assert_eq!((answer.status, answer.header("location")), (303, Some(page)), "{form}");
    }
    assert!(fake.asked.borrow().is_empty());
}

#[test]
fn chosen_seats_outlive_a_log_in_and_an_overload() {
    let fake = Fake::new();
    let target = format!("/performances/{}/hold", performance_id());
    let page = format!("/performances/{}?block=1&seat=1&seat=2", performance_id());
    let form = "seat=2&seat=1&block=1&key=form-key";
    let log_in = fake.post(&target, &[OWN], form);
    assert_eq!(log_in.header("location"), Some(format!("/log-in?next={}", crate::http::encode(&page)).as_str()));
    fake.on("POST", "/api/v1/auth/log-in", |_| json_answer(&tokens()));
    let next = format!("email=a%40b.kr&password=p&next={}", crate::http::encode(&page));
    assert_eq!(fake.post("/log-in", &[OWN], &next).header("location"), Some(page.as_str()));

    let cookie = format!("nugul_access={}", token(900));
    fake.on("POST", &format!("/api/v1/performances/{}/holds", performance_id()), |_| problem(Code::Overloaded));
    let busy = fake.post(&target, &[OWN, ("cookie", &cookie)], form);
    assert_eq!(busy.status, 503);
    assert!(text(busy).contains(&format!("href=\"{}\"", page.replace('&', "&amp;"))));
    let back = text(fake.get(&page, &[("cookie", &cookie)]));
    for seat in 1..=2 {
        assert!(back.contains(&format!("name=\"seat\" value=\"{seat}\" checked")), "{seat}");
    }
}

#[test]
fn a_form_of_any_size_leads_to_a_page_that_is_taken() {
    let fake = Fake::new();
    let form: String = (60_000..60_100).map(|seat| format!("seat={seat}&")).collect();
    let log_in = fake.post(&format!("/performances/{}/hold", performance_id()), &[OWN], &form);
    let next = crate::http::decode(log_in.header("location").unwrap().split_once('=').unwrap().1, false);
    assert_eq!(crate::session::safe_next(Some(&next)), next);
    assert!(next.contains("seat=60000"));
}

#[test]
fn a_hold_that_became_an_order_leads_to_it_and_one_that_ended_says_so() {
    let fake = Fake::new();
    let cookie = format!("nugul_access={}", token(900));
    let hold = performance_id();
    let api = format!("/api/v1/holds/{hold}");
    fake.on("GET", &api, |_| Response::see_other(&format!("/api/v1/orders/{}", order_id())));
    let order = format!("/orders/{}", order_id());
    let page = format!("/holds/{hold}");
    assert_eq!(fake.get(&page, &[("cookie", &cookie)]).header("location"), Some(order.as_str()));
    // Pressed again after going back: the refusal leads there too.
    fake.on("POST", "/api/v1/orders", |_| problem(Code::OrderState));
    let again = fake.post(&format!("{page}/order"), &[OWN, ("cookie", &cookie)], "key=k");
    assert_eq!((again.status, again.header("location")), (303, Some(order.as_str())));

    fake.on("GET", &api, |_| problem(Code::NotFound));
    let ended = fake.get(&page, &[("cookie", &cookie)]);
    assert_eq!(ended.status, 404);
    assert!(text(ended).contains("잡아 둔 시간이 끝났어요"));
    fake.on("POST", "/api/v1/orders", |_| problem(Code::HoldExpired));
    let late = fake.post(&format!("{page}/order"), &[OWN, ("cookie", &cookie)], "key=k");
    assert!(text(late).contains("잡아 둔 시간이 끝났어요"));
}

#[test]
fn what_a_person_has_is_asked_of_every_region() {
    let fake = Fake::new();
    let bearer = format!("Bearer {}", token(900));
    // Region 0 has a, b and c; region 7 has x. Their own cursors count from the start.
    fake.on("GET", "/api/v1/me/tickets", |r| {
        let all: &[&str] = if r.url.starts_with(ORIGIN) { &["a", "b", "c"] } else { &["x"] };
        let params = crate::http::parse_form(r.url.split_once('?').map_or("", |(_, query)| query));
        let number = |name| crate::http::field(&params, name).map(|n| n.parse::<usize>().unwrap());
        let (from, limit) = (number("cursor").unwrap_or(0), number("limit").unwrap_or(100));
        let to = (from + limit).min(all.len());
        json_answer(&json!({ "items": all[from..to], "next_cursor": (to < all.len()).then(|| to.to_string()) }))
    });
    let page = |target: &str| -> Value {
        let answer = fake.get(target, &[("authorization", &bearer)]);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        serde_json::from_str(&text(answer)).unwrap()
    };
    assert_eq!(page("/api/v1/me/tickets"), json!({ "items": ["a", "b", "c", "x"], "next_cursor": null }));
    for limit in 1..=4 {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        for _ in 0..5 {
            let got = page(&format!("/api/v1/me/tickets?limit={limit}{cursor}"));
            let items = got["items"].as_array().unwrap().clone();
            assert!(items.len() <= limit);
            seen.extend(items);
            match got["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, ["a", "b", "c", "x"], "{limit} at a time");
    }
    for bad in ["limit=many", "cursor=none", "cursor=9.1", "cursor=x.1"] {
        let answer = fake.get(&format!("/api/v1/me/tickets?{bad}"), &[("authorization", &bearer)]);
        assert_eq!(code_of(answer), Code::InvalidParameter, "{bad}");
    }
    // A region that refuses, or is away, is not left out in silence.
    fake.on("GET", "/api/v1/me/tickets", |_| problem(Code::Overloaded));
    assert_eq!(code_of(fake.get("/api/v1/me/tickets", &[("authorization", &bearer)])), Code::Overloaded);
}

#[test]
fn my_tickets_begins_with_what_is_not_paid() {
    let fake = Fake::new();
    let cookie = format!("nugul_access={}", token(900));
    let declined =
        Order { state: OrderState::Declined, decline_reason: Some("한도를 넘었어요".into()), ..pending_order() };
    let late = Order { pay_before: Timestamp::from_millis(NOW), ..pending_order() };
    fake.on("GET", "/api/v1/me/tickets", |_| json_answer(&json!({ "items": [], "next_cursor": null })));
    let orders = json!({ "items": [pending_order(), declined, late], "next_cursor": null });
    let none = json!({ "items": [], "next_cursor": null });
    fake.on("GET", "/api/v1/me/orders", move |r| {
        json_answer(if r.url.starts_with("http://seven/") { &orders } else { &none })
    });
    let page = text(fake.get("/tickets", &[("cookie", &cookie)]));
    let id = order_id();
    assert!(page.contains("5분 남았어요") && page.contains("한도를 넘었어요"), "{page}");
    for once in [format!("action=\"/orders/{id}/cancel\""), "이어서 결제하기".into(), "결제 시간이 지났어요".into()]
    {
        assert_eq!(page.matches(&once).count(), 1, "{once}: {page}");
    }
    // Where they cannot be read, tickets are shown all the same.
    fake.on("GET", "/api/v1/me/orders", |_| problem(Code::Unavailable));
    assert_eq!(fake.get("/tickets", &[("cookie", &cookie)]).status, 200);
}

#[test]
fn tickets_are_shown_where_refunds_cannot_be_read() {
    let fake = Fake::new();
    let cookie = format!("nugul_access={}", token(900));
    fake.on("GET", "/api/v1/me/tickets", |_| json_answer(&json!({ "items": [], "next_cursor": null })));
    fake.on("GET", "/api/v1/me/refund-requests", |_| problem(Code::Unavailable));
    assert_eq!(fake.get("/tickets", &[("cookie", &cookie)]).status, 200);
    fake.on("GET", "/api/v1/me/tickets", |_| problem(Code::Unavailable));
    assert_eq!(fake.get("/tickets", &[("cookie", &cookie)]).status, 503);
}

#[test]
fn a_refund_is_asked_for_with_the_amount_shown_and_the_forms_key() {
    let fake = Fake::new();
    let cookie = format!("nugul_access={}", token(900));
    let id = order_id();
    fake.on("POST", &format!("/api/v1/tickets/{id}/refund-requests"), |_| problem(Code::Unavailable));
    let form = format!("/tickets/{id}/refund");
    let answer = fake.post(&form, &[OWN, ("cookie", &cookie)], "key=form-key&amount=1000&reason=a%0D%0Ab");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
    let sent = fake.taken("/refund-requests").pop().unwrap();
    assert_eq!(sent.body, b"{\"reason\":\"a b\",\"amount_krw\":1000}");
    assert_eq!(header(&sent.headers, "idempotency-key"), Some("form-key"));
    assert_eq!(fake.post(&form, &[OWN, ("cookie", &cookie)], "amount=x").status, 422);
    assert!(fake.taken("/refund-requests").is_empty());
}

#[test]
fn only_sellers_cost_the_seat_page_a_question() {
    let fake = Fake::new();
    let page = format!("/performances/{}", performance_id());
    let seller = key().sign_access(AccessClaims { role: Role::Seller, ..claims_of(&token(900)) }).unwrap();
    for (token, asked) in [(token(900), 0), (seller, 1)] {
        let shown = fake.get(&page, &[("cookie", &format!("nugul_access={token}"))]);
        assert_eq!((shown.status, fake.taken("/blocked-seats").len()), (200, asked));
    }
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
fn a_payment_that_comes_back_while_the_coordinator_is_away_is_confirmed_by_trying_again() {
    let fake = Fake::new();
    let cookie = format!("nugul_access={}", token(900));
    let (id, confirm) = (order_id(), format!("/api/v1/orders/{}/confirm", order_id()));
    let target = format!("/orders/{id}/paid?paymentKey=pk&orderId={id}&amount=1000");
    let try_again = format!("href=\"{}\"", target.replace('&', "&amp;"));
    fake.get("/tickets", &[("cookie", &cookie)]);
    *fake.down.borrow_mut() = true;
    let away = fake.get(&target, &[("cookie", &cookie)]);
    assert_eq!((away.status, away.header("retry-after")), (503, Some("2")));
    assert!(text(away).contains(&try_again));
    *fake.down.borrow_mut() = false;
    for code in [Code::Overloaded, Code::TooManyRequests, Code::Internal] {
        fake.on("POST", &confirm, move |_| problem(code));
        assert!(text(fake.get(&target, &[("cookie", &cookie)])).contains(&try_again), "{code:?}");
    }
    fake.taken("");
    fake.on("POST", &confirm, |_| problem(Code::OrderState));
    assert_eq!(fake.get(&target, &[("cookie", &cookie)]).status, 303);
    assert_eq!(fake.taken("/confirm").pop().unwrap().body, b"{\"payment_key\":\"pk\",\"amount_krw\":1000}");
    // A session that ended meanwhile leads back here too.
    let log_in = fake.get(&target, &[]);
    assert_eq!(log_in.header("location"), Some(format!("/log-in?next={}", crate::http::encode(&target)).as_str()));
}

/// The value of the hidden field `name`, in the form after `after`.
fn hidden(page: &str, after: &str, name: &str) -> String {
    let form = page.split_once(after).unwrap_or_else(|| panic!("no {after} in {page}")).1;
    let field = form.split_once(&format!("name=\"{name}\" value=\"")).unwrap().1;
    field.split('"').next().unwrap().to_owned()
}

#[test]
fn signing_up_with_a_double_press_is_signing_up_once() {
    let fake = Fake::new();
    let key_of = |sent: Outgoing| header(&sent.headers, "idempotency-key").unwrap().to_owned();
    let expires_at = Timestamp::from_millis(NOW);
    fake.on("POST", "/api/v1/auth/email-codes", move |_| json_answer(&EmailCodeSent { expires_at }));
    let key = hidden(&text(fake.get("/sign-up", &[])), "<form class=\"fields\"", "key");
    let form = format!("step=email&email=a%40b.kr&key={key}");
    let mut code_step = String::new();
    for _ in 0..2 {
        code_step = text(fake.post("/sign-up", &[OWN], &form));
    }
    let sent = fake.taken("/email-codes");
    assert_eq!(sent.into_iter().map(key_of).collect::<Vec<_>>(), [key.as_str(), key.as_str()]);

    fake.on("POST", "/api/v1/auth/sign-up", |_| json_answer(&tokens()));
    let key = hidden(&code_step, "value=\"code\"", "key");
    let form = format!("step=code&email=a%40b.kr&code=123456&password=long-enough&nickname=n&key={key}");
    for _ in 0..2 {
        assert_eq!(fake.post("/sign-up", &[OWN], &form).status, 303);
    }
    let sent = fake.taken("/auth/sign-up");
    assert_eq!(sent.into_iter().map(key_of).collect::<Vec<_>>(), [key.as_str(), key.as_str()]);

    // Another code is another write, and a refusal does not lead away from where the first one can be typed.
    fake.on("POST", "/api/v1/auth/email-codes", |_| problem(Code::TooManyRequests));
    let again = hidden(&code_step, "value=\"again\"", "key");
    let refused = fake.post("/sign-up", &[OWN], &format!("step=again&email=a%40b.kr&key={again}"));
    assert_eq!(refused.status, 429);
    assert!(text(refused).contains("autocomplete=\"one-time-code\""));
    assert_ne!(key_of(fake.taken("/email-codes").pop().unwrap()), key);
}

#[test]
fn the_worker_that_keeps_tickets_may_ask_this_site_alone() {
    let fake = Fake::new();
    let worker = fake.get("/sw.js", &[]);
    assert_eq!((worker.status, worker.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert_eq!(worker.header("content-security-policy"), Some("default-src 'none'; connect-src 'self'"));
    assert_eq!(worker.headers.iter().filter(|(name, _)| name == "content-security-policy").count(), 1);
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
    let reader = |joined| if let Joined::Reader(reader) = joined { reader } else { panic!("no room") };
    let mut one = reader(fanout::join(&fake, &shared, upstream.clone()));
    let two = reader(fanout::join(&fake, &shared, upstream));
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
        got.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    assert!(got.starts_with("retry: 1027\n\nevent: snapshot\nid: 5\n"), "{got}");
    assert!(
        got.contains(HEARTBEAT)
            && got.contains("\nid: 7\n")
            && got.contains("\nid: 10\n")
            && !got.contains("\"from\":9")
    );
    drop(one);
    futures_executor(task);
}

#[test]
fn readers_who_meet_in_an_instance_share_an_upstream_until_the_last_has_left() {
    let fake = Fake::new();
    let pieces = Rc::new(RefCell::new(VecDeque::from([
        SeatSnapshot::pack(5, &[SeatState::Available; 8]).frame(),
        SeatChanges { from: 5, to: 6, changes: vec![vec![(0, 1)]] }.frame(),
    ])));
    fake.on("GET", "/stream", move |_| {
        let piece = pieces.borrow_mut().pop_front().unwrap_or_default().into_bytes();
        let body = Body::Stream(futures_util::stream::iter([piece]).boxed_local());
        Response { status: 200, headers: Vec::new(), body }
    });
    let rooms = Rooms::default();
    let upstream =
        Outgoing { method: Method::Get, url: "http://seven/stream".into(), headers: Vec::new(), body: Vec::new() };
    let join = |performance: &str| match futures_executor(rooms.join(&fake, performance, upstream.clone()))? {
        Ok(Entered::Here(reader, room)) => Ok((reader, room)),
        Ok(Entered::Behind(_)) | Err(_) => panic!("it comes from nowhere else"),
    };
    let (mut one, room) = join("one").unwrap();
    let (two, same) = join("one").unwrap();
    assert!(Rc::ptr_eq(&room, &same));
    let mut follower = fake.tasks.borrow_mut().pop().unwrap();
    assert!(fake.tasks.borrow().is_empty(), "one follower");
    while !all(&mut one).contains("\"to\":6") {
        assert_eq!(follower.as_mut().now_or_never(), None);
    }

    // What is put beside the follower is run where it runs.
    let written = Rc::new(RefCell::new(String::new()));
    let (reader, to) = (RefCell::new(two), Rc::clone(&written));
    room.borrow_mut().run_beside(Box::pin(async move { to.borrow_mut().push_str(&all(&mut reader.borrow_mut())) }));
    assert!(fake.tasks.borrow().is_empty());
    assert_eq!(follower.as_mut().now_or_never(), None);
    futures_executor(fake.tasks.borrow_mut().pop().unwrap());
    assert!(written.borrow().contains("\"to\":6"));

    // A room that is followed stays as it is, however many others there are; one that is not makes room.
    let mut others: Vec<_> = (1..ROOMS_MAX).map(|n| join(&n.to_string()).unwrap()).collect();
    assert!(matches!(join("one too many"), Err(HostError::Failed(_))));
    assert!(Rc::ptr_eq(&join("one").unwrap().1, &room));
    let (reader, _) = others.pop().unwrap();
    drop(reader);
    futures_executor(fake.tasks.borrow_mut().pop().unwrap());
    join("one more").unwrap();
}

#[test]
fn who_was_elsewhere_before_gets_exactly_what_it_missed_though_the_room_does_not_know_it() {
    let fake = Fake::new();
    let change = |from| SeatChanges { from, to: from + 1, changes: vec![vec![(0, 1)]] }.frame();
    let upstreams = Rc::new(RefCell::new(0));
    let opened = Rc::clone(&upstreams);
    fake.on("GET", "/stream", move |request| {
        *opened.borrow_mut() += 1;
        let pieces = match header(&request.headers, "last-event-id") {
            // The reader's own, cut where frames are not.
            Some("3") => {
                let all = format!("{}{}", change(3), change(4));
                vec![all.as_bytes()[..20].to_vec(), all.as_bytes()[20..].to_vec()]
            }
            None => {
                vec![SeatSnapshot::pack(5, &[SeatState::Available; 8]).frame().into_bytes(), change(5).into_bytes()]
            }
            Some(_) => Vec::new(),
        };
        let body =
            Body::Stream(futures_util::stream::iter(pieces).chain(futures_util::stream::pending()).boxed_local());
        Response { status: 200, headers: Vec::new(), body }
    });
    let rooms = Rooms::default();
    let address = (fanout::CLIENT_ADDRESS.to_owned(), "10.0.0.1".to_owned());
    let mut upstream =
        Outgoing { method: Method::Get, url: "http://seven/stream".into(), headers: vec![address], body: Vec::new() };
    let newcomer = upstream.clone();
    upstream.headers.push(("last-event-id".to_owned(), "3".to_owned()));
    let Ok(Ok(Entered::Behind(mut behind))) = futures_executor(rooms.join(&fake, "one", upstream)) else {
        panic!("behind")
    };
    let mut follower = fake.tasks.borrow_mut().pop().unwrap();
    let mut got = futures_executor(behind.next(&fake)).unwrap();
    assert!(!behind.is_caught_up(), "in the middle of a frame, and the room knows nothing yet");
    got.extend(futures_executor(behind.next(&fake)).unwrap());
    assert!(!behind.is_caught_up(), "the room knows nothing yet");
    let mut polls = 0..20;
    while !behind.is_caught_up() {
        assert!(polls.next().is_some() && follower.as_mut().now_or_never().is_none());
    }
    let (mut reader, room) = behind.into_place();
    let text = String::from_utf8(got).unwrap() + &all(&mut reader);
    let versions: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!((versions, text.contains("event: snapshot")), (vec!["4", "5", "6"], false), "{text}");
    assert_eq!((room.borrow().readers(), *upstreams.borrow()), (1, 2));
    assert!(fake.taken("/stream").iter().all(|request| header(&request.headers, fanout::CLIENT_ADDRESS).is_none()));
    // It is still one of its address.
    let join = || futures_executor(rooms.join(&fake, "one", newcomer.clone()));
    let _others: Vec<_> = (1..PER_ADDRESS_MAX).map(|_| join().unwrap()).collect();
    assert!(matches!(join(), Err(HostError::TooMany)));
}

#[test]
fn who_catches_up_does_not_wait_for_an_upstream_that_is_silent() {
    let fake = Fake::new();
    fake.on("GET", "/stream", |_| {
        let body = Body::Stream(futures_util::stream::pending().boxed_local());
        Response { status: 200, headers: Vec::new(), body }
    });
    let headers = vec![("last-event-id".to_owned(), "3".to_owned())];
    let upstream = Outgoing { method: Method::Get, url: "http://seven/stream".into(), headers, body: Vec::new() };
    let Ok(Ok(Entered::Behind(mut behind))) = futures_executor(Rooms::default().join(&fake, "one", upstream)) else {
        panic!("behind")
    };
    let begun = fake.now_ms();
    assert_eq!(futures_executor(behind.next(&fake)), None);
    assert_eq!(fake.now_ms() - begun, i64::try_from(fanout::SILENCE_MS).unwrap());
}

#[test]
fn readers_come_back_with_a_new_ticket_where_upstream_takes_the_rooms_no_more() {
    let fake = Fake::new();
    let good = Rc::new(RefCell::new("1"));
    let known = Rc::clone(&good);
    fake.on("GET", "/stream", move |request| {
        if !request.url.ends_with(*known.borrow()) {
            return problem(Code::StreamTicketExpired);
        }
        let piece = match header(&request.headers, "last-event-id") {
            None => SeatSnapshot::pack(5, &[SeatState::Available; 8]).frame(),
            Some(_) => SeatChanges { from: 5, to: 6, changes: vec![vec![(0, 1)]] }.frame(),
        };
        let body = Body::Stream(futures_util::stream::iter([piece.into_bytes()]).boxed_local());
        Response { status: 200, headers: Vec::new(), body }
    });
    let shared: Rc<RefCell<Shared>> = Rc::default();
    let by = |ticket: &str, last: Option<&str>| {
        let headers = last.map(|last| ("last-event-id".to_owned(), last.to_owned())).into_iter().collect();
        let url = format!("http://seven/stream?ticket={ticket}");
        joined_by(&fake, &shared, Outgoing { method: Method::Get, url, headers, body: Vec::new() })
    };
    let until = |follower: &mut Task, reader: &mut fanout::Reader, what: &str| {
        let mut got = String::new();
        for _ in 0..100 {
            let ended = follower.as_mut().now_or_never().is_some();
            got.push_str(&all(reader));
            if got.contains(what) {
                return ended;
            }
            assert!(!ended, "{got}");
        }
        panic!("no {what}: {got}");
    };
    let mut first = by("1", None);
    let mut follower = fake.tasks.borrow_mut().pop().unwrap();
    assert!(!until(&mut follower, &mut first, "id: 5\n"));
    *good.borrow_mut() = "2";
    // A newer way in is taken, and the upstream goes on where it was.
    let second = by("2", Some("5"));
    assert!(!until(&mut follower, &mut first, "id: 6\n"));
    // Without one, everybody is sent for another.
    *good.borrow_mut() = "3";
    assert!(until(&mut follower, &mut first, "{\"reason\":\"refused\"}"));
    assert_eq!(shared.borrow().readers(), 0);
    drop(second);
    let third = by("3", Some("6"));
    let mut follower = fake.tasks.borrow_mut().pop().unwrap();
    assert!(follower.as_mut().now_or_never().is_none());
    let resumed = fake.taken("/stream");
    let resumed = resumed.last().unwrap();
    assert_eq!((&*resumed.url, header(&resumed.headers, "last-event-id")), ("http://seven/stream?ticket=3", Some("6")));
    drop(third);
}

#[test]
fn a_shard_whose_root_was_refused_sends_its_readers_for_a_new_ticket_too() {
    let fake = Fake::new();
    let pieces =
        [SeatSnapshot::pack(5, &[SeatState::Available; 8]).frame(), Close { reason: CloseReason::Refused }.frame()];
    fake.on("GET", "/stream", move |_| {
        let body = Body::Stream(futures_util::stream::iter(pieces.clone().map(String::into_bytes)).boxed_local());
        Response { status: 200, headers: Vec::new(), body }
    });
    let shared: Rc<RefCell<Shared>> = Rc::default();
    let mut reader = joined(&fake, &shared, None);
    futures_executor(fake.tasks.borrow_mut().pop().unwrap());
    let got = all(&mut reader);
    assert!(got.contains("id: 5\n") && got.ends_with("data: {\"reason\":\"refused\"}\n\n"), "{got}");
    assert_eq!((shared.borrow().readers(), fake.taken("/stream").len()), (0, 1));
}

fn joined(fake: &Fake, shared: &Rc<RefCell<Shared>>, last: Option<&str>) -> fanout::Reader {
    let headers = last.map(|last| ("last-event-id".to_owned(), last.to_owned())).into_iter().collect();
    let upstream = Outgoing { method: Method::Get, url: "http://seven/stream".into(), headers, body: Vec::new() };
    joined_by(fake, shared, upstream)
}

fn joined_by(fake: &Fake, shared: &Rc<RefCell<Shared>>, upstream: Outgoing) -> fanout::Reader {
    match fanout::join(fake, shared, upstream) {
        Joined::Reader(reader) => reader,
        Joined::Full | Joined::TooMany => panic!("no room"),
    }
}

fn all(reader: &mut fanout::Reader) -> String {
    let mut got = String::new();
    while let Some(Some(bytes)) = reader.next().now_or_never() {
        got.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    got
}

#[test]
fn a_lost_upstream_is_told_to_readers_and_so_is_its_return() {
    let fake = Fake::new();
    let snapshot = SeatSnapshot::pack(5, &[SeatState::Available; 8]).frame();
    fake.on("GET", "/stream", move |_| {
        let piece = snapshot.clone().into_bytes();
        let body = Body::Stream(futures_util::stream::iter([piece]).boxed_local());
        Response { status: 200, headers: Vec::new(), body }
    });
    let shared: Rc<RefCell<Shared>> = Rc::default();
    let mut reader = joined(&fake, &shared, None);
    let mut task = fake.tasks.borrow_mut().pop().unwrap();
    let mut until = |fake: &Fake, what: &str| {
        let begun = fake.now_ms();
        let mut got = String::new();
        for _ in 0..100 {
            assert_eq!(task.as_mut().now_or_never(), None);
            got.push_str(&all(&mut reader));
            if got.contains(what) {
                return fake.now_ms() - begun;
            }
        }
        panic!("no {what:?}: {got}");
    };
    until(&fake, "id: 5\n");
    *fake.down.borrow_mut() = true;
    assert!(until(&fake, "event: link\ndata: {\"live\":false}\n\n") <= 5_000);
    // One who joins now gets what is known, and that it may be old.
    let late = all(&mut joined(&fake, &shared, Some("5")));
    assert!(late.contains("\"live\":false") && !late.contains("snapshot"), "{late}");
    // Readers hear that the edge itself is there.
    until(&fake, HEARTBEAT);
    *fake.down.borrow_mut() = false;
    assert!(until(&fake, "event: link\ndata: {\"live\":true}\n\n") <= 10_000);
    // One that does not answer is lost as well, and the edge is there for as long as that takes.
    *fake.hangs.borrow_mut() = true;
    assert!(until(&fake, "event: link\ndata: {\"live\":false}\n\n") <= 5_000);
    for _ in 0..3 {
        assert!(until(&fake, HEARTBEAT) <= 5_000);
    }
}

#[test]
fn a_day_of_evictions_and_lifetimes_leaves_everyone_right() {
    let fake = Fake::new();
    let version = Rc::new(RefCell::new(0i64));
    let truth = Rc::clone(&version);
    fake.on("GET", "/stream", move |request| {
        let now = *truth.borrow();
        let last = header(&request.headers, "last-event-id").and_then(|id| id.parse().ok());
        let piece = match last {
            Some(from) if from < now => {
                let changes = (from..now).map(|_| vec![(0, 1)]).collect();
                SeatChanges { from, to: now, changes }.frame()
            }
            Some(_) => HEARTBEAT.to_owned(),
            None => SeatSnapshot::pack(now, &[SeatState::Held; 8]).frame(),
        };
        let body = Body::Stream(futures_util::stream::iter([piece.into_bytes()]).boxed_local());
        Response { status: 200, headers: Vec::new(), body }
    });
    let (begun, mut evictions, mut closed, mut last) = (fake.now_ms(), 0, 0, None::<i64>);
    while fake.now_ms() < begun + 24 * 60 * 60 * 1000 {
        // The object's memory is gone every hour; its streams break with it.
        let shared: Rc<RefCell<Shared>> = Rc::default();
        let mut reader = joined(&fake, &shared, last.map(|id| id.to_string()).as_deref());
        let mut task = fake.tasks.borrow_mut().pop().unwrap();
        let hour = fake.now_ms() + if evictions % 2 == 0 { 5 } else { 1 } * 60 * 60 * 1000;
        while fake.now_ms() < hour {
            *version.borrow_mut() += 1;
            *fake.now.borrow_mut() += 5_000;
            let ended = task.as_mut().now_or_never().is_some();
            let got = all(&mut reader);
            // Nobody else listens: with the one reader's time the upstream's ends.
            assert_eq!(ended, got.contains("\"reason\":\"lifetime\""), "{got}");
            let mut told = None;
            for line in got.lines() {
                if let Some(id) = line.strip_prefix("id: ") {
                    told = Some(id.parse::<i64>().unwrap());
                    assert!(told > last, "told twice");
                }
                if let Some(changes) = line.strip_prefix("data: {\"from\":") {
                    let from: i64 = changes.split(',').next().unwrap().parse().unwrap();
                    assert_eq!(Some(from), last, "a gap");
                }
                if line.is_empty() {
                    last = told.or(last);
                }
            }
            if ended {
                closed += 1;
                reader = joined(&fake, &shared, last.map(|id| id.to_string()).as_deref());
                task = fake.tasks.borrow_mut().pop().unwrap();
            }
        }
        evictions += 1;
    }
    assert!(evictions >= 8 && closed >= 4, "{evictions} {closed}");
    // The last version, but for what changed after the last look.
    assert!(last.unwrap() >= *version.borrow() - 1);
}
