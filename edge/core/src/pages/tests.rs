//! Every page is rendered and looked at: escaped, whole, within the bounds, without inline script or style.

use nugul_api::{
    Code, FieldError,
    booking::{Hold, Order, PerformanceRef, Refund, RefundTerms, SeatInfo, Ticket},
    catalogue::{CalendarDay, Cancellation, Event, EventSummary, Performance, PerformanceSummary},
    rankings::{Movement, RankedEvent, RankedKeyword},
};
use nugul_catalog::{
    Matched, Sort,
    query::{Count, Facets, Highlight, Highlighted},
};
use nugul_domain::{
    EventId, Grade, HoldId, OrderId, RefundId, Region, SeatMap, SeatState, TicketId, order::OrderState,
};

use super::*;

const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
/// What the scripts, styles and markup of a page may weigh on their way, each file compressed by gzip.
const PAGE_BYTES_MAX: usize = 40 * 1024;
/// The same of a seat page.
const SEAT_PAGE_BYTES_MAX: usize = 60 * 1024;

fn gzip(bytes: &[u8]) -> usize {
    let mut small = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut small, bytes).unwrap();
    small.finish().unwrap().len()
}

fn now() -> Timestamp {
    Timestamp::parse("2026-11-23T20:00:00+09:00").unwrap()
}

fn chrome(lang: Language) -> Chrome {
    let account = Some(SessionUser { nickname: HOSTILE.into(), may_sell: true });
    Chrome { lang, account, path: "/search?q=a&b".into(), now: now() }
}

fn summary(title: &str) -> EventSummary {
    EventSummary {
        id: EventId::new(Region(1), now(), [1; 9]),
        title: title.into(),
        category: "뮤지컬".into(),
        place: "예술의전당 오페라극장".into(),
        starts_on: "2026-12-01".into(),
        ends_on: "2027-01-31".into(),
    }
}

fn grade(name: &str, price: i64, rows: u32, seats_per_row: u32) -> Grade {
    Grade { grade: name.into(), price_krw: Krw(price), rows, seats_per_row }
}

fn hall() -> Vec<Grade> {
    vec![
        grade("VIP", 170_000, 8, 40),
        grade("R", 140_000, 12, 46),
        grade("S", 90_000, 10, 50),
        grade("A", 60_000, 6, 52),
    ]
}

fn performance_ref(title: &str) -> PerformanceRef {
    let starts_at = Timestamp::parse("2026-12-24T19:30:00+09:00").unwrap();
    PerformanceRef { id: PerformanceId::new(Region(1), now(), [2; 9]), starts_at, event: summary(title) }
}

fn seat_infos() -> Vec<SeatInfo> {
    let map = SeatMap::new(hall()).unwrap();
    [820, 821]
        .map(|i| map.seat(i).unwrap())
        .map(|s| SeatInfo {
            index: s.index,
            label: s.label(),
            grade: s.grade.grade.clone(),
            price_krw: s.grade.price_krw,
        })
        .to_vec()
}

fn seats_view(title: &str, grades: Vec<Grade>, selected: Vec<SeatIndex>) -> SeatsView {
    let p = performance_ref(title);
    let count = SeatMap::new(grades.clone()).unwrap().seat_count();
    let states: Vec<_> = (0..count)
        .map(|i| match i.wrapping_mul(2_654_435_761) >> 28 {
            _ if selected.contains(&i) => SeatState::Available,
            0..3 => SeatState::Sold,
            3 => SeatState::Held,
            4 if i % 7 == 0 => SeatState::Blocked,
            _ => SeatState::Available,
        })
        .collect();
    SeatsView {
        performance: Performance {
            summary: PerformanceSummary {
                id: p.id,
                starts_at: p.starts_at,
                sales_open_at: now(),
                sales_close_at: p.starts_at,
                cancelled: false,
            },
            event: p.event,
            grades,
            limits: nugul_domain::event::BuyerLimits::default(),
            members_only: false,
            seat_map_version: "m".into(),
        },
        snapshot: SeatSnapshot::pack(7, &states),
        block: 0,
        selected,
        is_organiser: true,
        problem: None,
        idempotency_key: "0192-key".into(),
    }
}

fn order_view(title: &str, state: OrderState) -> OrderView {
    let id = OrderId::new(Region(1), now(), [3; 9]);
    OrderView {
        cancelled: false,
        order: Order {
            id,
            state,
            performance: performance_ref(title),
            seats: seat_infos(),
            total_krw: Krw(280_000),
            name: title.into(),
            pay_before: now().plus_ms(600_000),
            decline_reason: Some(title.into()),
            tickets: vec![],
        },
        customer_key: "c".into(),
        toss_client_key: "k".into(),
        toss_sdk_url: "https://js.tosspayments.com/v2/standard".into(),
        success_url: "https://nugul.example/s".into(),
        fail_url: "https://nugul.example/f".into(),
        problem: None,
    }
}

fn ticket_of(title: &str, k: u8) -> Ticket {
    let seat = seat_infos().remove(usize::from(k % 2));
    Ticket {
        id: TicketId::new(Region(1), now(), [k; 9]),
        order_id: OrderId::new(Region(1), now(), [3; 9]),
        performance: performance_ref(title),
        seat,
        issued_at: now(),
        refund_terms: None,
        entry_token: "t".into(),
    }
}

fn ticket_view(title: &str) -> TicketView {
    let terms = RefundTerms { fee_krw: Krw(14_000), amount_krw: Krw(126_000), by_rule: true };
    TicketView {
        ticket: Ticket { refund_terms: Some(terms), ..ticket_of(title, 1) },
        refund: None,
        cancelled: false,
        reason: title.into(),
        problem: None,
        idempotency_key: title.into(),
    }
}

fn refund_of(title: &str, k: u8, state: RefundState) -> Refund {
    let t = ticket_of(title, k);
    Refund {
        id: RefundId::new(Region(1), now(), [k; 9]),
        ticket_id: t.id,
        performance: t.performance,
        seat: t.seat,
        state,
        fee_krw: Krw(14_000),
        amount_krw: Krw(126_000),
        reason: title.into(),
        requested_at: now(),
    }
}

fn seller_view(title: &str) -> SellerPerformanceView {
    let view = seats_view(title, hall(), vec![]);
    SellerPerformanceView {
        counts: [1_200, 12, 300, 4],
        opens: time_field(view.performance.summary.sales_open_at),
        closes: time_field(view.performance.summary.sales_close_at),
        blocked: title.into(),
        reason: title.into(),
        cancellation: None,
        saved: Some(SellerForm::Window),
        problem: Some((SellerForm::Blocked, Problem::new(Code::InvalidField, Language::Korean, title))),
        idempotency_key: title.into(),
        performance: view.performance,
    }
}

fn cancelled_view(title: &str, finished_at: Option<Timestamp>) -> SellerPerformanceView {
    let mut view = SellerPerformanceView { problem: None, ..seller_view(title) };
    view.performance.summary.cancelled = true;
    view.cancellation =
        Some(Cancellation { reason: title.into(), cancelled_at: now(), refunded: 2, remaining: 1, finished_at });
    view
}

fn card(title: &str, category: &str) -> EventCard {
    EventCard {
        id: summary(title).id.to_string(),
        title: title.into(),
        title_en: Some(format!("The {title}")),
        category: category.into(),
        place: "블루스퀘어 신한카드홀".into(),
        starts_on: "2026-12-01".into(),
        ends_on: "2027-01-31".into(),
        min_price_krw: Krw(60_000),
        max_price_krw: Krw(170_000),
        sales_open_at: None,
        highlights: vec![],
    }
}

const MOVEMENTS: [Movement; 4] =
    [Movement::Up { places: 2 }, Movement::Down { places: 1 }, Movement::Same, Movement::New];

fn ranked_keywords(title: &str) -> Vec<RankedKeyword> {
    let ranked = |(rank, movement)| RankedKeyword { rank, keyword: title.into(), movement, score: 12.5 };
    (1..).zip(MOVEMENTS).map(ranked).collect()
}

fn ranked_events(title: &str) -> Vec<RankedEvent> {
    let ranked = |(rank, movement)| RankedEvent { rank, event: summary(title), movement, score: 12.5 };
    (1..).zip(MOVEMENTS).map(ranked).collect()
}

fn pages(lang: Language, title: &str) -> Vec<(&'static str, String)> {
    let c = &chrome(lang);
    let mut refused = Problem::new(Code::SeatsTaken, lang, "01JTRACE");
    refused.seats = seat_infos();
    refused.alternative = seat_infos();
    let problem_of = |code| ProblemView { problem: Problem::new(code, lang, title) };
    let titles = [
        (title, "뮤지컬"),
        ("오페라의 유령", "뮤지컬"),
        ("지킬 앤 하이드", "뮤지컬"),
        ("겨울 나그네", "클래식"),
        ("햄릿", "연극"),
        ("백조의 호수", "무용"),
        ("한여름 밤의 재즈 페스티벌 2026", "콘서트"),
        ("고도를 기다리며", "연극"),
    ];
    let cards: Vec<_> = titles.iter().map(|(t, k)| card(t, k)).collect();
    let soon = titles
        .iter()
        .rev()
        .take(4)
        .map(|(t, k)| EventCard { sales_open_at: Some(now().plus_ms(90_000_000)), ..card(t, k) })
        .collect();
    let event_of = |title: &str| Event {
        summary: summary(title),
        title_en: Some("Les Misérables".into()),
        cast: vec!["김너굴".into(), "Rosa <Lind>".into()],
        description: format!("{title}\n\n장 발장의 용서와 혁명의 바리케이드. 빅토르 위고 원작의 송스루 뮤지컬."),
        runtime_min: 175,
        rating: "만 8세 이상".into(),
        grades: hall(),
        limits: nugul_domain::event::BuyerLimits::default(),
        members_only: false,
        performances: (0..5u8)
            .map(|k| PerformanceSummary {
                id: PerformanceId::new(Region(1), now(), [k; 9]),
                starts_at: now().plus_ms(i64::from(k) * 86_400_000 - 1000),
                sales_open_at: if k == 4 { now().plus_ms(1) } else { now() },
                sales_close_at: now().plus_ms(i64::from(k) * 86_400_000 - 1000),
                cancelled: k == 3,
            })
            .collect(),
    };
    let remaining = (1..3u8).map(|k| (PerformanceId::new(Region(1), now(), [k; 9]), u32::from(k - 1) * 312)).collect();
    let calendar = (1..28)
        .step_by(2)
        .map(|d| CalendarDay { date: format!("2026-11-{d:02}"), count: d * 3, events: vec![] })
        .collect();
    let counts = |value: &str| vec![Count { value: value.into(), count: 3 }, Count { value: "연극".into(), count: 1 }];
    let search_view = |results: Vec<EventCard>| SearchView {
        choice: Choice {
            q: title.into(),
            category: Some(title.into()),
            region: Some("서울".into()),
            date: Some("2026-12-24".into()),
            on_sale: true,
            transferable: false,
            sort: Sort::Date,
        },
        total: results.len(),
        results,
        matched: Matched::Most,
        did_you_mean: Some(title.into()),
        facets: Facets { category: counts(title), region: counts("부산"), on_sale: 2, ..Facets::default() },
        next: Some("/search?q=a&cursor=20".into()),
    };
    let mut called_off = seats_view(title, hall(), vec![]);
    called_off.performance.summary.cancelled = true;
    let leaving = |state| {
        let ticket = Ticket { refund_terms: None, entry_token: String::new(), ..ticket_of(title, 1) };
        TicketView { ticket, refund: Some(refund_of(title, 1, state)), ..ticket_view(title) }
    };
    let mut hold_view = HoldView {
        hold: Hold {
            id: HoldId::new(Region(1), now(), [4; 9]),
            performance: performance_ref(title),
            seats: seat_infos(),
            total_krw: Krw(280_000),
            expires_at: now().plus_ms(300_000),
            extended: false,
            fence: 1,
        },
        problem: None,
        idempotency_key: title.into(),
    };
    let held = hold(c, &hold_view);
    hold_view.hold.extended = true;
    let extended = hold(c, &hold_view);
    let sign_up_view = |step| SignUpView {
        step,
        email: title.into(),
        nickname: title.into(),
        next: title.into(),
        ..SignUpView::default()
    };
    let categories = ["뮤지컬", "콘서트", "연극", "클래식", "무용", title].map(str::to_owned).to_vec();
    let mut all = vec![
        (
            "home",
            home(
                c,
                &HomeView {
                    on_sale: cards.clone(),
                    soon,
                    calendar,
                    month: "2026-11".into(),
                    categories,
                    ranked_keywords: ranked_keywords(title),
                    ranked_events: ranked_events(title),
                },
            ),
        ),
        ("search", search(c, &search_view(cards))),
        ("search-empty", search(c, &search_view(vec![]))),
        ("event", event(c, &EventView { event: event_of(title), remaining })),
        ("seats", seats(c, &seats_view(title, hall(), vec![820, 821]))),
        (
            "seats-refused",
            seats(c, &SeatsView { problem: Some(refused), block: 1, ..seats_view(title, hall(), vec![3]) }),
        ),
        ("seats-called-off", seats(c, &called_off)),
        ("hold", held),
        ("hold-extended", extended),
        ("hold-ended", hold_ended(c)),
        (
            "tickets",
            tickets(
                c,
                &TicketsView {
                    tickets: (1..4).map(|k| ticket_of(title, k)).collect(),
                    refunds: vec![
                        refund_of(title, 3, RefundState::Requested),
                        refund_of(title, 4, RefundState::Refunding),
                        refund_of(title, 5, RefundState::Refunded),
                        refund_of(title, 1, RefundState::Declined),
                    ],
                    orders: [OrderState::Pending, OrderState::Confirming, OrderState::Declined, OrderState::Expired]
                        .map(|state| order_view(title, state).order)
                        .to_vec(),
                },
            ),
        ),
        ("tickets-none", tickets(c, &TicketsView { tickets: vec![], refunds: vec![], orders: vec![] })),
        ("ticket", ticket(c, &ticket_view(title))),
        ("ticket-refunding", ticket(c, &leaving(RefundState::Refunding))),
        ("ticket-called-off", ticket(c, &TicketView { cancelled: true, ..leaving(RefundState::Refunding) })),
        (
            "ticket-declined",
            ticket(
                c,
                &TicketView {
                    refund: Some(refund_of(title, 1, RefundState::Declined)),
                    problem: Some(Problem::new(Code::AmountMismatch, lang, "t")),
                    ..ticket_view(title)
                },
            ),
        ),
        ("seller-refunds-none", seller_refunds(c, &SellerRefundsView::default())),
        (
            "seller-refunds",
            seller_refunds(
                c,
                &SellerRefundsView {
                    refunds: (1..3).map(|k| refund_of(title, k, RefundState::Requested)).collect(),
                    next: Some("/seller/refund-requests?cursor=a".into()),
                    said: Some(RefundState::Declined),
                    problem: Some(Problem::new(Code::RefundState, lang, "t")),
                },
            ),
        ),
        ("seller-performance", seller_performance(c, &seller_view(title))),
        ("seller-cancelling", seller_performance(c, &cancelled_view(title, None))),
        ("seller-cancelled", seller_performance(c, &cancelled_view(title, Some(now())))),
        (
            "log-in",
            log_in(
                c,
                &LogInView {
                    next: title.into(),
                    email: title.into(),
                    problem: Some(Problem::new(Code::WrongCredentials, lang, "t")),
                },
            ),
        ),
        ("sign-up", sign_up(c, &sign_up_view(SignUpStep::Email))),
        ("sign-up-code", sign_up(c, &sign_up_view(SignUpStep::Code))),
        ("not-found", problem(c, &problem_of(Code::NotFound))),
        ("internal", problem(c, &problem_of(Code::Internal))),
        ("unavailable", problem(c, &problem_of(Code::Unavailable))),
        ("refused", problem(c, &problem_of(Code::Forbidden))),
    ];
    for (name, state) in [
        ("refund-requested", RefundState::Requested),
        ("refund-refunding", RefundState::Refunding),
        ("refund-refunded", RefundState::Refunded),
        ("refund-declined", RefundState::Declined),
    ] {
        all.push((name, refund(c, &RefundView { refund: refund_of(title, 1, state), cancelled: true })));
    }
    all.push(("order-called-off", order(c, &OrderView { cancelled: true, ..order_view(title, OrderState::Paid) })));
    for (name, state) in [
        ("pay", OrderState::Pending),
        ("confirming", OrderState::Confirming),
        ("paid", OrderState::Paid),
        ("declined", OrderState::Declined),
        ("expired", OrderState::Expired),
        ("cancelled", OrderState::Cancelled),
        ("refunded", OrderState::Refunded),
    ] {
        all.push((name, order(c, &order_view(title, state))));
    }
    all
}

#[test]
fn what_matched_is_marked_and_nothing_else_is() {
    let highlight = |field, from, to| Highlight { field, from, to };
    let found = EventCard {
        place: "블루스퀘어".into(),
        highlights: vec![
            highlight(Highlighted::Title, 0, 1),
            highlight(Highlighted::Title, 3, 99),
            highlight(Highlighted::Place, 2, 3),
        ],
        ..card("<레 미제>", "뮤지컬")
    };
    let view = SearchView {
        choice: Choice { q: "레".into(), ..Choice::default() },
        total: 1,
        results: vec![found],
        matched: Matched::All,
        did_you_mean: None,
        facets: Facets::default(),
        next: None,
    };
    let page = search(&chrome(Language::Korean), &view);
    assert!(page.contains("<mark>&lt;</mark>레 <mark>미제&gt;</mark></strong>"), "{page}");
    assert!(page.contains("블루<mark>스</mark>퀘어"), "{page}");
    // The English title is for who reads English.
    assert!(!page.contains("The &lt;레 미제&gt;"), "{page}");
    let page = search(&chrome(Language::English), &view);
    assert!(page.contains("<span lang=\"en\">The &lt;레 미제&gt;</span>"), "{page}");
}

#[test]
fn every_page_is_whole_and_escaped() {
    for lang in [Language::Korean, Language::English] {
        for (name, page) in pages(lang, HOSTILE) {
            let count = |what: &str| page.matches(what).count();
            assert!(page.starts_with(&format!("<!DOCTYPE html><html lang=\"{}\">", text::code(lang))), "{name}");
            assert_eq!(
                (count("<title>"), count("<h1"), count("<main"), count("class=\"skip\"")),
                (1, 1, 1, 1),
                "{name}"
            );
            assert_eq!(
                (count("<script>"), count(" style="), count("<style"), count("<img src=x")),
                (0, 0, 0, 0),
                "{name}"
            );
            assert_eq!(
                count("<script"),
                count("<script type=\"module\" src=\"/assets/") + count("<script src=\"https://js.toss"),
                "{name}"
            );
            assert!(!page.contains(" onclick") && !page.contains("javascript:"), "{name}");
        }
    }
}

#[test]
fn ids_are_used_once_and_labels_have_their_fields() {
    for (name, page) in pages(Language::Korean, "레미제라블") {
        let values = |before: &str| -> Vec<String> {
            page.split(before).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
        };
        let ids = values(" id=\"");
        for id in &ids {
            assert_eq!(ids.iter().filter(|other| *other == id).count(), 1, "{name}: {id}");
        }
        for wanted in values(" for=\"").into_iter().chain(values(" aria-labelledby=\"")) {
            assert!(ids.contains(&wanted), "{name}: {wanted}");
        }
        for link in values("\"/assets/") {
            let file = link.split('?').next().unwrap_or_default();
            assert!(asset(file).is_some() && link.contains("?v="), "{name}: {link}");
        }
    }
}

#[test]
fn english_pages_have_no_korean_of_ours() {
    let c = chrome(Language::English);
    let page = log_in(&c, &LogInView::default()).replace("한국어", "");
    assert!(!page.chars().any(|ch| ('가'..='힣').contains(&ch)), "{page}");
}

/// Korean outside what says it is Korean. A title has no such word to say, what a reader typed is theirs, and a drawn poster is not read out.
fn stray_korean(page: &str) -> Vec<&str> {
    const VOID: [&str; 4] = ["meta", "link", "input", "img"];
    let (mut open, mut stray): (Vec<(&str, bool)>, Vec<&str>) = (Vec::new(), Vec::new());
    for piece in page.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap_or((piece, ""));
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if tag.starts_with('/') {
            while open.pop().is_some_and(|(opened, _)| opened != name) {}
        } else if !tag.starts_with('!') && !VOID.contains(&name) {
            let told = tag.contains("lang=\"ko\"")
                || tag.contains("aria-hidden=\"true\"")
                || ["title", "textarea"].contains(&name);
            open.push((name, told || open.last().is_some_and(|(_, told)| *told)));
        }
        if text.chars().any(|ch| ('가'..='힣').contains(&ch)) && !open.last().is_some_and(|(_, told)| *told) {
            stray.push(text);
        }
    }
    stray
}

#[test]
fn english_pages_say_which_words_are_korean() {
    assert_eq!(stray_korean("<html lang=\"en\"><p>가<b lang=\"ko\">나</b>다</p>"), ["가", "다"]);
    let wanted = ["event", "seats", "hold", "ticket", "pay", "paid", "tickets"];
    let all = pages(Language::English, "레미제라블");
    for (name, page) in all.iter().filter(|(name, _)| wanted.contains(name)) {
        assert_eq!(stray_korean(page), Vec::<&str>::new(), "{name}");
    }
}

#[test]
fn only_a_page_without_scripts_is_loaded_anew_by_itself() {
    let all = pages(Language::Korean, "레미제라블");
    let refreshed = all.iter().filter(|(_, page)| page.contains("http-equiv=\"refresh\"")).collect::<Vec<_>>();
    assert!(!refreshed.is_empty());
    for (name, page) in refreshed {
        assert!(page.contains("<noscript><meta http-equiv=\"refresh\"") && page.contains("/assets/news.js"), "{name}");
    }
}

#[test]
fn what_is_said_later_is_rendered_before() {
    for style in ["site.css", "seats.css"] {
        let text = std::str::from_utf8(asset(style).unwrap().bytes).unwrap();
        let hidden = text.split('}').find(|rule| rule.contains(":empty") && rule.contains("display: none"));
        assert_eq!(hidden, None, "{style}");
    }
}

#[test]
fn a_field_at_fault_says_so_and_what_is_wrong() {
    let mut problem = Problem::new(Code::InvalidField, Language::Korean, "t");
    problem.errors = vec![FieldError { pointer: "/email".into(), detail: "주소를 확인해 주세요.".into() }];
    let c = chrome(Language::Korean);
    for page in [
        log_in(&c, &LogInView { problem: Some(problem.clone()), ..LogInView::default() }),
        sign_up(&c, &SignUpView { problem: Some(problem), ..SignUpView::default() }),
    ] {
        assert_eq!(page.matches("aria-invalid=\"true\" aria-describedby=\"email-fault\"").count(), 1, "{page}");
        assert_eq!(page.matches("<p class=\"fault\" id=\"email-fault\">주소를 확인해 주세요.</p>").count(), 1);
    }
    assert!(!log_in(&c, &LogInView::default()).contains("aria-invalid"));
}

#[test]
fn pages_keep_their_weight() {
    let size = |page: &str| {
        let linked = page.split("\"/assets/").skip(1).filter_map(|r| r.split('?').next());
        // What a script imports is named in the script alone.
        let imported = page.contains("/assets/seats.js").then_some("live.js");
        let linked = linked.chain(imported).filter_map(asset);
        gzip(page.as_bytes()) + linked.map(|asset| gzip(asset.bytes)).sum::<usize>()
    };
    for (name, page) in pages(Language::Korean, "레미제라블") {
        let max = if name.starts_with("seats") { SEAT_PAGE_BYTES_MAX } else { PAGE_BYTES_MAX };
        assert!(size(&page) <= max, "{name}: {}", size(&page));
    }
    // The fullest there are: a stadium, and as many events as the first page and a page of a search show.
    let stadium = ["VIP", "R", "S", "A", "B", "C"].map(|name| grade(name, 150_000, 100, 100)).to_vec();
    let full = seats(&chrome(Language::Korean), &seats_view("레미제라블", stadium, vec![7, 8, 9, 59_999]));
    assert!(size(&full) <= SEAT_PAGE_BYTES_MAX, "a stadium: {}", size(&full));
    let cards: Vec<EventCard> = (0..32).map(|k| card(&format!("{k}번째 밤의 너굴 이야기"), "뮤지컬")).collect();
    let months = (1..=31).map(|day| CalendarDay { date: format!("2026-12-{day:02}"), count: 200, events: Vec::new() });
    let home = home(
        &chrome(Language::Korean),
        &HomeView {
            on_sale: cards[..24].to_vec(),
            soon: cards[24..].to_vec(),
            calendar: months.collect(),
            month: "2026-12".into(),
            categories: ["뮤지컬", "연극", "콘서트", "클래식", "무용", "전시", "가족"].map(str::to_owned).to_vec(),
            ranked_keywords: [ranked_keywords("레미제라블"), ranked_keywords("엘리자벳")].concat(),
            ranked_events: [ranked_events("레미제라블"), ranked_events("엘리자벳")].concat(),
        },
    );
    assert!(size(&home) <= PAGE_BYTES_MAX, "the first page: {}", size(&home));
    let full = seats(
        &chrome(Language::Korean),
        &seats_view("레미제라블", vec![grade("스탠딩 프리미엄", 150_000, 60, 40)], vec![]),
    );
    assert_eq!(full.matches("data-seat=").count(), BLOCK_SEATS_MAX as usize);
    assert!(size(&full) <= SEAT_PAGE_BYTES_MAX, "{}", size(&full));
}

#[test]
fn every_seat_of_a_big_hall_is_in_one_block() {
    let grades = vec![grade("VIP", 1, 3, 400), grade("R", 1, 20, 90), grade("S", 1, 50, 400)];
    let count = SeatMap::new(grades.clone()).unwrap().seat_count();
    let mut seen = vec![0u8; count as usize];
    for block in 0..count.div_ceil(800) as usize {
        let page = seats(&chrome(Language::Korean), &SeatsView { block, ..seats_view("t", grades.clone(), vec![]) });
        let is_last = page.contains(&format!("data-seat=\"{}\"", count - 1));
        let drawn: Vec<usize> =
            page.split("data-seat=\"").skip(1).filter_map(|r| r.split('"').next()?.parse().ok()).collect();
        assert!(drawn.len() <= BLOCK_SEATS_MAX as usize);
        for i in drawn {
            seen[i] += 1;
        }
        if is_last {
            break;
        }
    }
    assert!(seen.iter().all(|&n| n == 1));
}

#[test]
fn the_seat_page_works_without_a_script() {
    let page = seats(&chrome(Language::Korean), &seats_view("레미제라블", hall(), vec![820, 2]));
    assert!(page.contains("data-seat=\"820\" data-state=\"available\" aria-checked=\"true\""));
    assert!(page.contains("name=\"seat\" value=\"820\" checked"));
    assert!(page.contains("id=\"hold\" type=\"submit\"") && page.contains("name=\"best_grade\""));
    assert!(page.contains("VIP석 1열 3번") && page.contains("310,000원"), "named and summed");
    // A choice made in another block stays in the form.
    let other = seats(&chrome(Language::Korean), &SeatsView { block: 1, ..seats_view("t", hall(), vec![2]) });
    assert!(other.contains("name=\"seat\" value=\"2\" checked") && !other.contains("data-seat=\"2\""));
}

#[test]
fn a_ticket_says_what_giving_it_back_means_and_asks_before_it_does() {
    let c = chrome(Language::Korean);
    let page = ticket(&c, &ticket_view("레미제라블"));
    assert!(
        page.contains("14,000원") && page.contains("126,000원 환불받기") && page.contains("요청하면 바로 처리돼요.")
    );
    assert!(page.contains("name=\"amount\" value=\"126000\"") && page.contains("<details class=\"confirm\"><summary>"));
    for row in ["공연 10일 전까지", "9–7일 전", "6–3일 전", "2–1일 전", "공연 당일", "90% · 주최자가 정해요"]
    {
        assert!(page.contains(row), "{row}");
    }
    let mut late = ticket_view("레미제라블");
    late.ticket.refund_terms = Some(RefundTerms { fee_krw: Krw(126_000), amount_krw: Krw(14_000), by_rule: false });
    let page = ticket(&c, &late);
    assert!(
        page.contains("주최자가 보고 정해요") && page.contains("환불 요청하기") && !page.contains("되돌릴 수 없어요")
    );
}

#[test]
fn a_ticket_on_its_way_back_shows_no_code_and_one_that_waits_still_does() {
    let c = chrome(Language::Korean);
    let requested = Some(refund_of("레미제라블", 1, RefundState::Requested));
    let waiting = ticket(&c, &TicketView { refund: requested, ..ticket_view("레미제라블") });
    assert!(waiting.contains("id=\"qr\"") && waiting.contains("환불을 요청했어요") && !waiting.contains("/refund\""));
    let gone = pages(Language::Korean, "레미제라블");
    let page = |name| &gone.iter().find(|(n, _)| *n == name).unwrap().1;
    for name in ["ticket-refunding", "ticket-called-off"] {
        assert!(!page(name).contains("id=\"qr\"") && page(name).contains("입장할 수 없어요"), "{name}");
        assert!(page(name).contains("href=\"/refunds/") && !page(name).contains("/refund\""), "{name}");
    }
    assert!(
        page("ticket-declined").contains("id=\"qr\"")
            && page("ticket-declined").contains("<details class=\"confirm\" open>")
    );
}

#[test]
fn tickets_and_refunds_have_their_own_headings() {
    let all = pages(Language::Korean, "레미제라블");
    let page = &all.iter().find(|(n, _)| *n == "tickets").unwrap().1;
    let (coming, rest) = page.split_once("환불 진행 중</h2>").unwrap();
    let (under_way, done) = rest.split_once("환불한 티켓</h2>").unwrap();
    let count = |part: &str| part.matches("<li class=\"ticket\">").count();
    assert_eq!((count(coming), count(under_way), count(done)), (2, 2, 1));
    // One that waits for the organiser is still of use; one on its way is not.
    assert_eq!((under_way.matches("href=\"/tickets/").count(), under_way.matches("href=\"/refunds/").count()), (1, 1));
}

#[test]
fn a_cancelled_performance_sells_nothing_and_says_so() {
    for (name, page) in pages(Language::Korean, "레미제라블") {
        if ["event", "seats-called-off", "ticket-called-off", "order-called-off"].contains(&name) {
            assert!(page.contains("주최자가 취소한 회차예요"), "{name}");
        }
        if name == "seats-called-off" {
            assert!(!page.contains("/hold\"") && !page.contains("data-seat="), "{name}");
        }
    }
    let unpaid =
        order(&chrome(Language::Korean), &OrderView { cancelled: true, ..order_view("t", OrderState::Pending) });
    assert!(!unpaid.contains("id=\"pay\"") && unpaid.contains("결제한 금액은 없어요"));
}

#[test]
fn taken_seats_come_with_a_link_to_the_nearest() {
    let mut view = seats_view("레미제라블", hall(), vec![]);
    let mut refused = Problem::new(Code::SeatsTaken, Language::Korean, "t");
    refused.seats = seat_infos();
    view.problem = Some(refused.clone());
    assert!(!seats(&chrome(Language::Korean), &view).contains("id=\"instead\""));
    let map = SeatMap::new(hall()).unwrap();
    let last = map.seat_count() - 1;
    refused.alternative = seat_infos();
    for (seat, index) in refused.alternative.iter_mut().zip([last - 1, last]) {
        seat.index = index;
    }
    view.problem = Some(refused);
    let page = seats(&chrome(Language::Korean), &view);
    let link = format!(
        "id=\"instead\" href=\"/performances/{}?block=1&amp;seat={}&amp;seat={last}#map-box\"",
        view.performance.summary.id,
        last - 1
    );
    assert!(page.contains(&link), "{link}");
}

#[test]
fn the_time_is_extended_once() {
    let all = pages(Language::Korean, "레미제라블");
    let page = |name| &all.iter().find(|(n, _)| *n == name).unwrap().1;
    assert!(page("hold").contains("id=\"extend\"") && !page("hold-extended").contains("id=\"extend\""));
    assert!(page("hold-extended").contains("더 늘릴 수는 없어요"));
}

#[test]
fn an_organisers_forms_are_there_until_the_performance_is_cancelled() {
    let c = chrome(Language::Korean);
    let open = seller_performance(&c, &seller_view("레미제라블"));
    for form in ["/window\"", "/blocked\"", "/cancel\""] {
        assert!(open.contains(form), "{form}");
    }
    assert!(open.contains("value=\"2026-12-24T19:30\"") && open.contains("저장했어요."));
    let under_way = seller_performance(&c, &cancelled_view("레미제라블", None));
    assert!(!under_way.contains("method=\"post\" action=\"/seller") && under_way.contains("http-equiv=\"refresh\""));
    let done = seller_performance(&c, &cancelled_view("레미제라블", Some(now())));
    assert!(done.contains("환불이 모두 끝났어요") && !done.contains("http-equiv=\"refresh\""));
    let buyer = Chrome { account: Some(SessionUser { nickname: "너굴이".into(), may_sell: false }), ..c };
    assert!(!tickets(&buyer, &TicketsView { tickets: vec![], refunds: vec![], orders: vec![] }).contains("/seller/"));
}

#[test]
fn rankings_show_how_places_moved_in_signs_and_in_words() {
    let view = HomeView {
        on_sale: Vec::new(),
        soon: Vec::new(),
        calendar: Vec::new(),
        month: "2026-11".into(),
        categories: Vec::new(),
        ranked_keywords: ranked_keywords("레미제라블"),
        ranked_events: Vec::new(),
    };
    let page = home(&chrome(Language::Korean), &view);
    for part in ["▲2", "2계단 올랐어요", "▼1", "NEW", "새로 올랐어요", "/search?q=%EB%A0%88%EB%AF%B8"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("top-events"));
    let none = home(&chrome(Language::Korean), &HomeView { ranked_keywords: Vec::new(), ..view });
    assert!(!none.contains("ranking"));
}

#[test]
fn damaged_states_sell_nothing() {
    let mut view = seats_view("t", hall(), vec![]);
    view.snapshot.states = "?".into();
    assert!(!seats(&chrome(Language::Korean), &view).contains("data-seat=\"0\" data-state=\"available\""));
}

/// Writes every page to a folder, to be looked at: `NUGUL_PAGES_DIR=… cargo test -p nugul-edge-core pages_to_files`.
#[test]
fn pages_to_files() {
    let Ok(folder) = std::env::var("NUGUL_PAGES_DIR") else { return };
    for lang in [Language::Korean, Language::English] {
        for (name, page) in pages(lang, "레미제라블") {
            std::fs::write(format!("{folder}/{name}-{}.html", text::code(lang)), page).unwrap();
        }
    }
}
