//! Tickets given back, performances managed and cancelled, and taken seats replaced, by the forms of the pages alone: what
//! a browser without scripts sends.

use std::time::Duration;

use nugul_api::{
    booking::{Hold, Order, Ticket},
    catalogue::{Performance, PerformanceSummary},
    seats::SeatSnapshot,
};
use nugul_domain::{PerformanceId, SeatState, Timestamp};
use nugul_tests::{
    World,
    http::{Answer, Api, Method},
    people::{
        Buyer, DEMO_SELLER, OUTCOME_LIMIT, PASSWORD, day, event_body, in_days, new_event, new_performance,
        performance_of,
    },
    wait::eventually,
};
use reqwest::Url;
use serde_json::json;

/// What a day must have left for a performance later on it, in milliseconds.
const DAY_LEFT_MS: i64 = 2 * 60 * 1000;
/// How long the next day may take to begin.
const NEXT_DAY_LIMIT: Duration = Duration::from_mins(3);
/// How long a page may show what was true before.
const STALE_LIMIT: Duration = Duration::from_secs(15);

/// Someone with a browser that runs no scripts.
struct Visitor {
    api: Api,
    cookies: String,
}

impl Visitor {
    async fn log_in(world: &World, email: &str) -> Self {
        let nobody = Self { api: world.api(), cookies: String::new() };
        let entered = nobody.submit("/log-in", &[("email", email), ("password", PASSWORD)]).await;
        entered.expect_status(303);
        let set = entered.headers.get_all("set-cookie").iter().filter_map(|c| c.to_str().ok()?.split(';').next());
        let cookies: Vec<&str> = set.collect();
        assert_eq!(cookies.len(), 2, "{cookies:?}");
        Self { cookies: cookies.join("; "), ..nobody }
    }

    async fn open(&self, path: &str) -> Answer {
        self.api.send(Method::GET, path, &[("cookie", &self.cookies)], None).await
    }

    /// A page that is there, as text.
    async fn read(&self, path: &str) -> String {
        let answer = self.open(path).await;
        answer.expect_status(200);
        answer.text()
    }

    async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.submit_from("same-origin", path, fields).await
    }

    async fn submit_from(&self, site: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body =
            Url::parse_with_params("http://form", fields).expect("a form").query().unwrap_or_default().to_owned();
        let headers = [
            ("cookie", self.cookies.as_str()),
            ("sec-fetch-site", site),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        self.api.send(Method::POST, path, &headers, Some(body.into_bytes())).await
    }

    /// Sends a form that leads somewhere else.
    async fn go(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.submit(path, fields).await;
        answer.expect_status(303);
        answer.header("location").expect("where it leads").to_owned()
    }
}

/// The value of the first field of this name.
fn value(page: &str, name: &str) -> String {
    let after = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("{name}: {page}"));
    after.split('"').next().unwrap_or_default().to_owned()
}

async fn buyer(world: &World) -> (Buyer, Visitor) {
    let buyer = Buyer::sign_up(world, &world.api()).await;
    let visitor = Visitor::log_in(world, &buyer.account.email).await;
    (buyer, visitor)
}

async fn ticket(buyer: &Buyer, order: &Order, n: usize) -> Ticket {
    buyer.api.get(&format!("tickets/{}", order.tickets[n])).await.expect(200)
}

async fn shows(visitor: &Visitor, path: &str, words: &str, limit: Duration) -> String {
    eventually(&format!("{path}: {words}"), limit, async || {
        let page = visitor.open(path).await.text();
        page.contains(words).then_some(page)
    })
    .await
}

#[tokio::test]
async fn a_ticket_is_given_back_by_its_page() {
    let world = World::shared();
    let performance = new_performance(&world.api(), 2, 6).await;
    let (buyer, visitor) = buyer(world).await;
    let order = buyer.buy(world, performance, &[2, 3]).await;
    let t = ticket(&buyer, &order, 0).await;
    let (path, form) = (format!("/tickets/{}", t.id), format!("/tickets/{}/refund", t.id));

    let page = visitor.read(&path).await;
    assert!(page.contains("id=\"qr\"") && page.contains("공연 10일 전까지") && page.contains("55,000원 환불받기"));
    let (key, amount) = (value(&page, "key"), value(&page, "amount"));
    assert_eq!(amount, "55000");

    // An amount that is not the present one changes nothing, and neither does another site.
    let changed = visitor.submit(&form, &[("key", "other"), ("amount", "1000"), ("reason", "못 가요")]).await;
    changed.expect_status(409);
    assert!(changed.text().contains("환불하지 않았으니") && changed.text().contains(">못 가요</textarea>"));
    let fields = [("key", key.as_str()), ("amount", &amount), ("reason", "일이\r\n생겼어요")];
    visitor.submit_from("cross-site", &form, &fields).await.expect_status(403);
    assert!(visitor.read(&path).await.contains("id=\"qr\""));

    let refund = visitor.go(&form, &fields).await;
    assert!(refund.starts_with("/refunds/"), "{refund}");
    assert_eq!(visitor.go(&form, &fields).await, refund, "sent twice is sent once");
    let done = shows(&visitor, &refund, "<h1>환불했어요</h1>", OUTCOME_LIMIT).await;
    assert!(done.contains("일이 생겼어요") && done.contains("55,000원"));

    // The ticket is no ticket any more; its seat is free, the other one's is not.
    let gone = visitor.open(&path).await;
    assert_eq!((gone.status, gone.header("location")), (303, Some(refund.as_str())));
    let tickets = visitor.read("/tickets").await;
    let (kept, given_back) = tickets.split_once("환불한 티켓</h2>").expect("a heading of its own");
    assert!(given_back.contains(&refund) && kept.contains(&format!("/tickets/{}", order.tickets[1])));
    let seats: SeatSnapshot = eventually("the seat is free", OUTCOME_LIMIT, async || {
        let seats: SeatSnapshot =
            world.coordinator().get(&format!("performances/{performance}/seats")).await.expect(200);
        (seats.unpack()?[t.seat.index as usize] == SeatState::Available).then_some(seats)
    })
    .await;
    let other = ticket(&buyer, &order, 1).await.seat.index;
    assert_eq!(seats.unpack().expect("states")[other as usize], SeatState::Sold);
    // Another's refund is not there.
    let stranger = Buyer::sign_up(world, &world.api()).await;
    Visitor::log_in(world, &stranger.account.email).await.open(&refund).await.expect_status(404);
}

/// A performance later today, on Seoul's clocks.
async fn performance_today(seller: &Buyer) -> PerformanceId {
    let ends = eventually("a day with time left", NEXT_DAY_LIMIT, async || {
        let ends = Timestamp::parse(&format!("{}T23:59:59+09:00", day(0))).expect("a time");
        (in_days(0).plus_ms(DAY_LEFT_MS) < ends).then_some(ends)
    })
    .await;
    let mut body = event_body(2, 6);
    body["starts_on"] = json!(day(0));
    let event: nugul_api::catalogue::Event = seller.api.post("events", &body).await.expect(201);
    let path = format!("events/{}/performances", event.summary.id);
    let made: PerformanceSummary = seller.api.post(&path, &json!({ "starts_at": ends })).await.expect(201);
    made.id
}

#[tokio::test]
async fn on_the_day_the_organiser_decides() {
    let world = World::shared();
    let seller = Buyer::log_in(&world.api(), DEMO_SELLER).await;
    let organiser = Visitor::log_in(world, DEMO_SELLER).await;
    let performance = performance_today(&seller).await;
    let (buyer, visitor) = buyer(world).await;
    let order = buyer.buy(world, performance, &[0, 1]).await;

    let mut refunds = Vec::new();
    for id in &order.tickets {
        let page = visitor.read(&format!("/tickets/{id}")).await;
        assert!(
            page.contains("주최자가 보고 정해요")
                && page.contains("49,500원")
                && page.contains("5,500원 환불 요청하기")
        );
        let (key, amount) = (value(&page, "key"), value(&page, "amount"));
        let refund = visitor.go(&format!("/tickets/{id}/refund"), &[("key", &key), ("amount", &amount)]).await;
        assert!(visitor.read(&refund).await.contains("<h1>환불을 요청했어요</h1>"));
        // Until it is decided the ticket is good, and cannot be asked for again.
        let waiting = visitor.read(&format!("/tickets/{id}")).await;
        assert!(waiting.contains("id=\"qr\"") && !waiting.contains("name=\"amount\""));
        refunds.push(refund.trim_start_matches("/refunds/").to_owned());
    }
    assert!(visitor.read("/tickets").await.contains("환불 진행 중</h2>"));
    visitor.open("/seller/refund-requests").await.expect_status(403);
    visitor.submit(&format!("/seller/refund-requests/{}/accept", refunds[0]), &[]).await.expect_status(403);

    let list = organiser.read("/seller/refund-requests").await;
    for (id, decision) in refunds.iter().zip(["accept", "decline"]) {
        let form = format!("/seller/refund-requests/{id}/{decision}");
        assert!(list.contains(&format!("action=\"{form}\"")), "{list}");
        for _ in 0..2 {
            let led = organiser.go(&form, &[]).await;
            assert_eq!(led, format!("/seller/refund-requests?done={decision}"));
        }
    }
    let other = organiser.submit(&format!("/seller/refund-requests/{}/accept", refunds[1]), &[]).await;
    other.expect_status(409);
    assert!(other.text().contains("이미 정해졌거나"));
    let list = organiser.read("/seller/refund-requests?done=accept").await;
    assert!(list.contains("환불하기로 했어요") && refunds.iter().all(|id| !list.contains(id)));

    shows(&visitor, &format!("/refunds/{}", refunds[0]), "<h1>환불했어요</h1>", OUTCOME_LIMIT).await;
    let declined = visitor.read(&format!("/tickets/{}", order.tickets[1])).await;
    assert!(
        declined.contains("주최자가 환불을 거절했어요")
            && declined.contains("id=\"qr\"")
            && declined.contains("name=\"amount\"")
    );
}

#[tokio::test]
async fn taken_seats_are_replaced_and_a_hold_extended_by_form() {
    let world = World::shared();
    let performance = new_performance(&world.api(), 2, 6).await;
    let (_, visitor) = buyer(world).await;
    let faster = Buyer::sign_up(world, &world.api()).await;
    faster.hold(performance, &[2, 3]).await;

    let (page, form) = (format!("/performances/{performance}"), format!("/performances/{performance}/hold"));
    let map = value(&visitor.read(&page).await, "map");
    let refused = visitor.submit(&form, &[("key", "a"), ("map", &map), ("seat", "2"), ("seat", "3")]).await;
    refused.expect_status(409);
    let refused = refused.text();
    assert!(refused.contains("R석 1열 3번") && refused.contains("가까운 빈자리"), "{refused}");
    let link = refused.split("id=\"instead\" href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a link");
    let link = link.replace("&amp;", "&");
    let offered: Vec<String> =
        link.split(['&', '#']).filter_map(|part| part.strip_prefix("seat=")).map(str::to_owned).collect();
    assert_eq!(offered.len(), 2, "{link}");
    let chosen = visitor.read(link.split('#').next().unwrap_or_default()).await;
    for seat in &offered {
        assert!(chosen.contains(&format!("name=\"seat\" value=\"{seat}\" checked")), "{seat}");
    }

    let fields = [("key", "b"), ("map", &map), ("seat", &offered[0]), ("seat", &offered[1])];
    let hold = visitor.go(&form, &fields).await;
    let page = visitor.read(&hold).await;
    assert!(page.contains("시간 늘리기"));
    let until = |page: &str| page.split("data-until=\"").nth(1)?.split('"').next()?.parse::<i64>().ok();
    let before = until(&page).expect("a time");
    let mut ends = Vec::new();
    for _ in 0..2 {
        let extended = visitor.go(&format!("{hold}/extend"), &[]).await;
        let page = visitor.read(&extended).await;
        assert!(page.contains("더 늘릴 수는 없어요") && !page.contains("id=\"extend\""));
        ends.push(until(&page).expect("a time"));
    }
    assert!(ends[0] > before && ends[0] == ends[1], "{before} {ends:?}");
    let reloaded = visitor.open(&format!("{hold}/extend")).await;
    assert_eq!((reloaded.status, reloaded.header("location")), (303, Some(hold.as_str())));
}

#[tokio::test]
async fn an_organiser_blocks_seats_moves_the_window_and_cancels_by_form() {
    let world = World::shared();
    let seller = Buyer::log_in(&world.api(), DEMO_SELLER).await;
    let organiser = Visitor::log_in(world, DEMO_SELLER).await;
    let event = new_event(&seller, 2, 6).await;
    let performance = performance_of(&seller, &event).await;
    let (buyer, visitor) = buyer(world).await;
    let seats = format!("/performances/{performance}");
    let page = format!("/seller{seats}");
    visitor.open(&page).await.expect_status(403);
    assert!(organiser.read(&seats).await.contains(&format!("href=\"{page}\"")));
    assert!(!visitor.read(&seats).await.contains("/seller/"));

    // Blocked seats.
    let unknown =
        organiser.submit(&format!("{page}/blocked"), &[("key", "u"), ("seats", "R석 1열 1\nR석 9열 1")]).await;
    unknown.expect_status(422);
    assert!(unknown.text().contains("R석 9열 1</li>"), "{}", unknown.text());
    assert_eq!(
        organiser.go(&format!("{page}/blocked"), &[("key", "k"), ("seats", "1열 1-2\r\n2열")]).await,
        format!("{page}?saved=blocked#blocked")
    );
    let shown = organiser.read(&format!("{page}?saved=blocked")).await;
    assert!(shown.contains(">R석 1열 1-2\nR석 2열</textarea>") && shown.contains("저장했어요."), "{shown}");
    buyer.try_hold(performance, &[0]).await.expect_status(409);
    let order = buyer.buy(world, performance, &[2]).await;
    let sold = organiser.submit(&format!("{page}/blocked"), &[("key", "s"), ("seats", "1열")]).await;
    sold.expect_status(409);
    assert!(sold.text().contains("R석 1열 3번</li>"));

    // The sales window: what is wrong is said, what is not touched stays.
    let shown = organiser.read(&page).await;
    let opens = value(&shown, "opens\" type=\"datetime-local");
    let wrong =
        organiser.submit(&format!("{page}/window"), &[("key", "w"), ("opens", &opens), ("closes", &opens)]).await;
    wrong.expect_status(422);
    let before: Performance = world.coordinator().get(&format!("performances/{performance}")).await.expect(200);
    let closes = format!("{}T12:00", day(20));
    organiser.go(&format!("{page}/window"), &[("key", "v"), ("opens", &opens), ("closes", &closes)]).await;
    let after: Performance = world.coordinator().get(&format!("performances/{performance}")).await.expect(200);
    assert_eq!(after.summary.sales_close_at, Timestamp::parse(&format!("{closes}:00+09:00")).expect("a time"));
    assert_eq!(after.summary.sales_open_at, before.summary.sales_open_at);

    // The end of it: only where the organiser means it.
    let cancel = format!("{page}/cancel");
    organiser
        .submit(&cancel, &[("key", "c1"), ("reason", "배우가 아파요"), ("confirm", "네")])
        .await
        .expect_status(422);
    organiser.submit(&cancel, &[("key", "c2"), ("confirm", "취소합니다")]).await.expect_status(422);
    let hold: Hold = buyer.hold(performance, &[3]).await;
    let confirmed = [("key", "c3"), ("reason", "배우가\r\n아파요"), ("confirm", "취소합니다")];
    for _ in 0..2 {
        assert_eq!(organiser.go(&cancel, &confirmed).await, page);
    }
    let refund = eventually("the refund", OUTCOME_LIMIT, async || {
        let tickets = visitor.read("/tickets").await;
        let id = tickets.split("href=\"/refunds/").nth(1)?.split('"').next()?.to_owned();
        Some(format!("/refunds/{id}"))
    })
    .await;
    let told = shows(&visitor, &refund, "<h1>환불했어요</h1>", OUTCOME_LIMIT).await;
    assert!(told.contains("배우가 아파요") && told.contains("55,000원"), "{told}");
    for path in [refund, format!("/events/{}", event.summary.id), seats, format!("/orders/{}", order.id)] {
        shows(&visitor, &path, "주최자가 취소한 회차예요", STALE_LIMIT).await;
    }
    // A hold from before keeps the cancellation open until it is given back.
    visitor.submit(&format!("/holds/{}/release", hold.id), &[]).await;
    let done = shows(&organiser, &page, "환불이 모두 끝났어요", OUTCOME_LIMIT).await;
    assert!(done.contains("배우가 아파요") && !done.contains("/cancel\""));
}
