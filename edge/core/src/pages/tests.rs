//! Every page is rendered and looked at: escaped, whole, within the bounds, without inline script or style.

use nugul_api::{
    Code,
    booking::{Hold, Order, PerformanceRef, SeatInfo, Ticket},
    catalogue::{CalendarDay, Event, EventSummary, Performance, PerformanceSummary},
};
use nugul_domain::{EventId, Grade, HoldId, OrderId, Region, SeatMap, SeatState, TicketId, order::OrderState};

use super::*;

const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
/// What the scripts, styles and markup of a page may weigh before compression; they compress to a fifth or less.
const PAGE_BYTES_MAX: usize = 100 * 1024;
/// A seat page repeats itself, and compresses to a tenth.
const SEAT_PAGE_BYTES_MAX: usize = 320 * 1024;

fn now() -> Timestamp {
    Timestamp::parse("2026-11-23T20:00:00+09:00").unwrap()
}

fn chrome(lang: Language) -> Chrome {
    let account = Some(SessionUser { nickname: HOSTILE.into() });
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
            summary: PerformanceSummary { id: p.id, starts_at: p.starts_at, sales_open_at: now() },
            event: p.event,
            grades,
            hold_seats_max: 4,
        },
        snapshot: SeatSnapshot::pack(7, &states),
        block: 0,
        selected,
        problem: None,
        idempotency_key: "0192-key".into(),
    }
}

fn order_view(title: &str, state: OrderState) -> OrderView {
    let id = OrderId::new(Region(1), now(), [3; 9]);
    OrderView {
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
        entry_token: "t".into(),
    }
}

fn card(title: &str, category: &str) -> EventCard {
    EventCard {
        id: summary(title).id.to_string(),
        title: title.into(),
        category: category.into(),
        place: "블루스퀘어 신한카드홀".into(),
        starts_on: "2026-12-01".into(),
        ends_on: "2027-01-31".into(),
        min_price_krw: Krw(60_000),
        max_price_krw: Krw(170_000),
        sales_open_at: None,
    }
}

fn pages(lang: Language, title: &str) -> Vec<(&'static str, String)> {
    let c = &chrome(lang);
    let mut refused = Problem::new(Code::SeatsTaken, lang, "01JTRACE");
    refused.seats = seat_infos();
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
        description: format!("{title}\n\n장 발장의 용서와 혁명의 바리케이드. 빅토르 위고 원작의 송스루 뮤지컬."),
        runtime_min: 175,
        rating: "만 8세 이상".into(),
        grades: hall(),
        performances: (0..5u8)
            .map(|k| PerformanceSummary {
                id: PerformanceId::new(Region(1), now(), [k; 9]),
                starts_at: now().plus_ms(i64::from(k) * 86_400_000 - 1000),
                sales_open_at: if k == 4 { now().plus_ms(1) } else { now() },
            })
            .collect(),
    };
    let remaining = (1..3u8).map(|k| (PerformanceId::new(Region(1), now(), [k; 9]), u32::from(k - 1) * 312)).collect();
    let calendar = (1..28)
        .step_by(2)
        .map(|d| CalendarDay { date: format!("2026-11-{d:02}"), count: d * 3, events: vec![] })
        .collect();
    let search_view = |results: Vec<EventCard>| SearchView {
        q: title.into(),
        category: Some(title.into()),
        date: Some("2026-12-24".into()),
        total: results.len(),
        results,
        next: Some("/search?q=a&offset=20".into()),
    };
    let hold_view = HoldView {
        hold: Hold {
            id: HoldId::new(Region(1), now(), [4; 9]),
            performance: performance_ref(title),
            seats: seat_infos(),
            total_krw: Krw(280_000),
            expires_at: now().plus_ms(300_000),
            fence: 1,
        },
        problem: None,
        idempotency_key: title.into(),
    };
    let sign_up_view = |step| SignUpView {
        step,
        email: title.into(),
        nickname: title.into(),
        next: title.into(),
        ..SignUpView::default()
    };
    let categories = ["뮤지컬", "콘서트", "연극", "클래식", "무용", title].map(str::to_owned).to_vec();
    let mut all = vec![
        ("home", home(c, &HomeView { on_sale: cards.clone(), soon, calendar, month: "2026-11".into(), categories })),
        ("search", search(c, &search_view(cards))),
        ("search-empty", search(c, &search_view(vec![]))),
        ("event", event(c, &EventView { event: event_of(title), remaining })),
        ("seats", seats(c, &seats_view(title, hall(), vec![820, 821]))),
        (
            "seats-refused",
            seats(c, &SeatsView { problem: Some(refused), block: 1, ..seats_view(title, hall(), vec![3]) }),
        ),
        ("hold", hold(c, &hold_view)),
        ("tickets", tickets(c, &TicketsView { tickets: vec![ticket_of(title, 1), ticket_of(title, 2)] })),
        ("tickets-none", tickets(c, &TicketsView { tickets: vec![] })),
        ("ticket", ticket(c, &TicketView { ticket: ticket_of(title, 1) })),
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

#[test]
fn pages_keep_their_weight() {
    let size = |page: &str| {
        let linked =
            page.split("\"/assets/").skip(1).filter_map(|r| asset(r.split('?').next()?)).map(|a| a.bytes.len());
        page.len() + linked.sum::<usize>()
    };
    for (name, page) in pages(Language::Korean, "레미제라블") {
        let max = if name.starts_with("seats") { SEAT_PAGE_BYTES_MAX } else { PAGE_BYTES_MAX };
        assert!(size(&page) <= max, "{name}: {}", size(&page));
    }
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
        drawn.iter().for_each(|&i| seen[i] += 1);
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
