//! What the catalogue promises, tried on the shipped titles and on damaged and hostile input.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Instant;

use proptest::prelude::*;
use time::macros::date;

use crate::entry::CatalogEvent;
use crate::import::{ImportEvent, parse_jsonl, to_jsonl};
use crate::index::{Error, Index, build, frame, version};
use crate::query::{Query, Sort};
use crate::{demo, text};

const FIRST_DAY: time::Date = date!(2026 - 12 - 01);

fn catalog(count: Option<u32>) -> Vec<CatalogEvent> {
    (0_u32..)
        .zip(demo::events(FIRST_DAY, count))
        .map(|(n, event)| {
            let id = format!("00000000-0000-7000-8000-{n:012x}");
            CatalogEvent::from_import(id, &event, n.wrapping_mul(2_654_435_761) % 1_000)
        })
        .collect()
}

fn demo_index() -> Index {
    Index::open(build(&catalog(None))).unwrap()
}

fn titles(index: &Index, q: &str) -> Vec<String> {
    index.search(&Query::text(q)).items.iter().map(|event| event.title.clone()).collect()
}

// --- text ---

#[test]
fn normalisation_drops_case_width_space_and_punctuation() {
    assert_eq!(text::normalise(" 레 미-제라블! "), "레미제라블");
    assert_eq!(text::normalise("ＢＴＳ　Live"), "btslive");
    assert_eq!(text::normalise("ﾱﾡ"), "ㅁㄱ");
    assert_eq!(text::normalise("\u{1112}\u{1161}\u{11AB}\u{1100}\u{1173}\u{11AF}"), "한글");
    assert_eq!(text::normalise("〈…〉"), "");
}

#[test]
fn all_nineteen_initials() {
    assert_eq!(text::initials("가까나다따라마바빠사싸아자짜차카타파하"), "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ");
    assert_eq!(text::initials("명성황후 A"), "ㅁㅅㅎㅎ A");
}

#[test]
fn jamo_are_keystrokes() {
    assert_eq!(text::decompose("값과 뮤지컬"), "ㄱㅏㅂㅅㄱㅗㅏ ㅁㅠㅈㅣㅋㅓㄹ");
}

#[test]
fn the_other_keyboard_layout() {
    assert_eq!(text::from_qwerty("abwlzjf"), "뮤지컬");
    assert_eq!(text::from_qwerty("fpalwpfkqmf"), "레미제라블");
    assert_eq!(text::from_qwerty("rkqtdl Tkek"), "값이 싸다");
    assert_eq!(text::to_qwerty("ㅑㅕ"), "iu");
}

proptest! {
    #[test]
    fn typing_with_the_other_layout_loses_nothing(word in "[가-힣]{0,12}") {
        prop_assert_eq!(text::from_qwerty(&text::to_qwerty(&word)), word);
    }

    #[test]
    fn normalising_twice_changes_nothing(word in ".{0,40}") {
        let once = text::normalise(&word);
        prop_assert_eq!(text::normalise(&once), once);
    }

    #[test]
    fn text_analysis_takes_any_text(word in any::<String>()) {
        text::decompose(&word);
        text::initials(&word);
        text::from_qwerty(&word);
        text::to_qwerty(&word);
    }
}

// --- search ---

#[test]
fn every_way_of_typing_finds_the_title() {
    let index = demo_index();
    for q in [
        "레미제라블",
        "레 미제라블",
        "ㄹㅁㅈㄹㅂ",
        "레미제ㄹ",
        "레미젤",
        "fpalwpfkqmf",
        "뮤지컬 레미제라블",
        "뮤지컬레미제라블",
        "블루스퀘어 레미",
    ] {
        assert_eq!(titles(&index, q).first().map(String::as_str), Some("레미제라블"), "{q}");
    }
    assert_eq!(titles(&index, "ㅁㅅㅎㅎ").first().map(String::as_str), Some("명성황후"));
    assert!(titles(&index, "ㅎㄷㄲㄱ 인ㅎ").iter().any(|title| title == "국립발레단 호두까기 인형"));
    assert_eq!(titles(&index, "bts")[0], "BTS 콘서트 〈ARIRANG〉");
    assert_eq!(titles(&index, "ㅠㅅㄴ")[0], "BTS 콘서트 〈ARIRANG〉");
}

#[test]
fn categories_are_found_half_typed_and_mistyped() {
    let index = demo_index();
    let musicals = index.events().iter().filter(|event| event.category == "뮤지컬").count();
    for q in ["뮤지컬", "뮤ㅈ", "뮤지커", "abwlzjf", "ABWLZJF"] {
        let page = index.search(&Query { limit: 100, ..Query::text(q) });
        assert!(page.total >= musicals, "{q}: {} of {musicals}", page.total);
        assert_eq!(page.items[0].category, "뮤지컬", "{q}");
        // 뮤지엄 is as good an end of 뮤ㅈ as 뮤지컬.
        let all =
            |event: &CatalogEvent| [&event.title, &event.category, &event.place].iter().any(|t| t.contains("뮤지"));
        assert!(page.items.iter().all(|event| all(event)), "{q}");
    }
}

#[test]
fn all_words_must_match_and_filters_hold() {
    let index = demo_index();
    let page = index.search(&Query { limit: 100, ..Query::text("국립발레단 예술의전당") });
    assert!(page.total > 3);
    assert!(page.items.iter().all(|e| e.title.contains("국립발레단") && e.place.contains("예술의전당")));
    assert_eq!(index.search(&Query::text("레미제라블 없는낱말")).total, 0);
    assert_eq!(index.search(&Query::text("!!!")).total, 0);

    let query = Query {
        category: Some("연극".into()),
        place: Some("대학로".into()),
        date_from: Some(date!(2027 - 01 - 01)),
        date_to: Some(date!(2027 - 01 - 31)),
        limit: 100,
        ..Query::default()
    };
    let page = index.search(&query);
    assert!(page.total > 0);
    for event in page.items {
        assert_eq!(event.category, "연극");
        assert!(event.place.contains("대학로"));
        assert!(event.starts_on.as_str() <= "2027-01-31" && event.ends_on.as_str() >= "2027-01-01");
    }
}

#[test]
fn pages_join_without_gap_or_overlap() {
    let index = demo_index();
    for sort in [Sort::Relevance, Sort::Popularity, Sort::Date, Sort::Price] {
        let mut query = Query { sort, limit: 37, ..Query::default() };
        let mut seen = Vec::new();
        loop {
            let page = index.search(&query);
            assert_eq!(page.total, index.events().len());
            seen.extend(page.items);
            match page.next_offset {
                Some(next) => query.offset = next,
                None => break,
            }
        }
        assert_eq!(seen.iter().map(|event| &event.id).collect::<BTreeSet<_>>().len(), index.events().len());
        assert!(match sort {
            Sort::Date => seen.is_sorted_by_key(|event| &event.starts_on),
            Sort::Price => seen.is_sorted_by_key(|event| event.min_price_krw),
            Sort::Relevance | Sort::Popularity => seen.is_sorted_by_key(|event| std::cmp::Reverse(event.popularity)),
        });
    }
    let beyond = index.search(&Query { offset: usize::MAX, limit: usize::MAX, ..Query::default() });
    assert_eq!((beyond.items.len(), beyond.next_offset), (0, None));
}

#[test]
fn suggestions_are_distinct_titles() {
    let index = Index::open(build(&catalog(Some(2_000)))).unwrap();
    let suggestions = index.suggest("레미", 10);
    assert!(suggestions[0].title.starts_with("레미제라블"));
    assert!(index.get(&suggestions[0].event_id).is_some());
    let distinct: BTreeSet<_> = suggestions.iter().map(|s| &s.title).collect();
    assert_eq!(distinct.len(), suggestions.len());
    assert!(index.suggest("", 10).is_empty());
    assert!(index.suggest("레미", 0).is_empty());
    assert!(index.suggest("ㅇ", usize::MAX).len() <= crate::query::MAX_SUGGESTIONS);
}

#[test]
fn the_calendar_has_every_day_and_a_bound() {
    let index = demo_index();
    let days = index.calendar("2027-02");
    assert_eq!(days.len(), 28);
    assert_eq!(days[0].0, "2027-02-01");
    for (day, events) in &days {
        assert!(!events.is_empty() && events.len() <= crate::query::MAX_CALENDAR_EVENTS_PER_DAY);
        assert!(events.iter().all(|event| &event.starts_on <= day && day <= &event.ends_on));
    }
    for nonsense in ["", "2027", "2027-13", "2027-02-01", "한글", "-999-01"] {
        assert!(index.calendar(nonsense).is_empty(), "{nonsense}");
    }
}

// --- index file ---

#[test]
fn the_same_events_make_the_same_file() {
    let mut events = catalog(None);
    let file = build(&events);
    events.reverse();
    assert_eq!(build(&events), file);
    let index = Index::open(file.clone()).unwrap();
    assert_eq!(index.version(), version(&file));
    assert_eq!(index.get(&events[0].id), Some(&events[0]));
    assert_eq!(index.get("nobody"), None);
    events[0].title.push('!');
    assert_ne!(version(&build(&events)), version(&file));
}

#[test]
fn an_empty_index_answers() {
    let index = Index::open(build(&[])).unwrap();
    assert_eq!(index.search(&Query::text("뮤지컬")).total, 0);
    assert_eq!(index.search(&Query::default()).total, 0);
    assert!(index.suggest("뮤", 5).is_empty());
}

#[test]
fn a_bad_event_does_not_take_the_catalogue_away() {
    let mut events = catalog(Some(10));
    events[0].starts_on = "내일".into();
    events[1].title = "가".repeat(1_000);
    events[2].id = String::new();
    assert_eq!(Index::open(build(&events)).unwrap().events().len(), 7);
}

#[test]
fn other_files_are_refused() {
    assert_eq!(Index::open(Vec::new()).unwrap_err(), Error::NotAnIndex);
    assert_eq!(Index::open(b"NGLC\x09".to_vec()).unwrap_err(), Error::Format(9));
    assert!(matches!(Index::open(frame(1, b"[]")), Err(Error::Damaged(_))));
    assert!(matches!(Index::open(frame(0, b"{")), Err(Error::Damaged(_))));
}

#[test]
fn twenty_thousand_events() {
    let events = catalog(Some(20_000));
    assert_eq!(events.len(), 20_000);
    let built = Instant::now();
    let file = build(&events);
    let (built, opened, size) = (built.elapsed(), Instant::now(), file.len());
    let index = Index::open(file).unwrap();
    println!("{size} bytes, built in {built:?}, opened in {:?}", opened.elapsed());
    for q in ["", "레미제라블", "ㄹㅁㅈㄹㅂ", "뮤ㅈ", "abwlzjf", "ㅇ", "콘서트 부산", "없는낱말"]
    {
        let rounds = 20;
        let start = Instant::now();
        let total = (0..rounds).map(|_| index.search(&Query::text(q)).total).max();
        println!("{q:?}: {total:?} found, {:?} each", start.elapsed() / rounds);
    }
    assert!(titles(&index, "ㄹㅁㅈㄹㅂ").iter().all(|title| title.starts_with("레미제라블")));
}

fn exercise(index: &Index, q: &str) {
    index.search(&Query { place: Some(q.into()), category: Some(q.into()), ..Query::text(q) });
    index.search(&Query::text(q));
    index.suggest(q, 5);
    index.calendar("2027-01");
}

static SMALL_FILE: LazyLock<Vec<u8>> = LazyLock::new(|| build(&catalog(Some(6))));
static CATALOG: LazyLock<Vec<CatalogEvent>> = LazyLock::new(|| catalog(None));

proptest! {
    #[test]
    fn damaged_files_are_refused(at in any::<prop::sample::Index>(), bit in 0_u8..8, cut in any::<prop::sample::Index>()) {
        let mut file = SMALL_FILE.clone();
        let at = at.index(file.len());
        file[at] ^= 1 << bit;
        // The count is not covered by the digest, but must agree with the body.
        prop_assert!(Index::open(file.clone()).is_err());
        file[at] ^= 1 << bit;
        file.truncate(cut.index(file.len()));
        prop_assert!(Index::open(file).is_err());
    }

    #[test]
    fn hostile_bodies_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), count in 5_usize..8) {
        let mut body = SMALL_FILE[29..].to_vec();
        for (at, byte) in flips {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if let Ok(index) = Index::open(frame(count, &body)) {
            exercise(&index, "레미 ㅇ");
        }
    }

    #[test]
    fn hostile_titles_and_queries_never_panic(title in any::<String>(), place in "[가-힣ㄱ-ㅎㅏ-ㅣ a-z]{0,20}", q in any::<String>(), part in "[가-힣ㄱ-ㅎㅏ-ㅣ a-zA-Z]{0,20}") {
        let mut events = CATALOG[..3].to_vec();
        events[0].title = title.clone();
        events[1].title = place;
        events[2].starts_on = "0000-01-01".into();
        events[2].ends_on = "9999-12-31".into();
        let index = Index::open(build(&events)).unwrap();
        for q in [&q, &part, &title] {
            exercise(&index, q);
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Index::open(bytes.clone()).is_err());
        prop_assert!(Index::open([b"NGLC\x01".as_slice(), &bytes].concat()).is_err());
    }

    #[test]
    fn a_title_is_found_by_itself_its_initials_and_any_unfinished_typing(pick in any::<prop::sample::Index>(), keys in 1_usize..40) {
        let event = &CATALOG[pick.index(CATALOG.len())];
        let index = Index::open(build(std::slice::from_ref(event))).unwrap();
        prop_assert_eq!(index.search(&Query::text(&event.title)).total, 1);
        prop_assert_eq!(index.search(&Query::text(text::initials(&event.title))).total, 1);
        let typed: String = text::to_qwerty(&text::normalise(&event.title)).chars().take(keys).collect();
        if text::normalise(&event.title).chars().all(|c| ('가'..='힣').contains(&c)) {
            let shown = text::from_qwerty(&typed);
            prop_assert_eq!(index.search(&Query::text(&shown)).total, 1, "{}", shown);
        }
    }
}

// --- import ---

const GOOD: &str = r#"{"title":"햄릿","category":"연극","place":"명동예술극장","description":"","starts_on":"2026-12-24","ends_on":"2026-12-31","runtime_min":120,"rating":"만 14세 이상","grades":[{"grade":"R","price_krw":60000,"rows":10,"seats_per_row":20}],"performances":["2026-12-24T19:30:00+09:00"]}"#;

fn refusal(from: &str, to: &str) -> String {
    let bad = GOOD.replace(from, to);
    assert_ne!(bad, GOOD, "{from}");
    let error = parse_jsonl(&format!("{GOOD}\n\n{bad}\n{GOOD}\n")).unwrap_err();
    assert_eq!(error.line, 3, "{error}");
    error.reason
}

#[test]
fn a_good_file_is_taken_whole_and_survives_writing() {
    let events = parse_jsonl(&format!("\u{FEFF}{GOOD}\r\n\r\n{GOOD}")).unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].seats(), 200);
    assert_eq!(parse_jsonl(&to_jsonl(&events).unwrap()).unwrap(), events);
    assert_eq!(to_jsonl(&events[..1]).unwrap().trim(), GOOD);
    assert_eq!(parse_jsonl("").unwrap(), Vec::<ImportEvent>::new());
}

#[test]
fn a_bad_line_is_refused_with_its_number_and_reason() {
    for (from, to, reason) in [
        ("\"title\":\"햄릿\"", "\"title\":\" \"", "title is empty"),
        ("\"title\":\"햄릿\",", "", "missing field `title`"),
        ("\"title\"", "\"colour\":1,\"title\"", "unknown field `colour`"),
        ("\"grade\":\"R\"", "\"grade\":\"R\",\"x\":1", "unknown field `x`"),
        ("\"starts_on\":\"2026-12-24\"", "\"starts_on\":\"2026-02-30\"", "is not a date"),
        ("\"starts_on\":\"2026-12-24\"", "\"starts_on\":\"2027-01-01\"", "is before starts_on"),
        ("60000", "-1", "price_krw must be 0 to 10000000, not -1"),
        ("60000", "10000001", "price_krw must be"),
        ("60000", "1.5", "invalid type"),
        ("\"rows\":10", "\"rows\":0", "rows must be 1 to 200"),
        ("\"rows\":10", "\"rows\":201", "rows must be 1 to 200"),
        ("\"rows\":10", "\"rows\":-1", "invalid value"),
        ("\"seats_per_row\":20", "\"seats_per_row\":301", "seats_per_row must be 1 to 300"),
        (
            "\"rows\":10,\"seats_per_row\":20}",
            "\"rows\":200,\"seats_per_row\":300},{\"grade\":\"S\",\"price_krw\":1,\"rows\":1,\"seats_per_row\":1}",
            "60001 seats are more than 60000",
        ),
        (
            "\"grades\":[{",
            "\"grades\":[{\"grade\":\"R\",\"price_krw\":1,\"rows\":1,\"seats_per_row\":1},{",
            "listed twice",
        ),
        ("\"runtime_min\":120", "\"runtime_min\":0", "runtime_min must be"),
        ("24T19:30:00+09:00", "23T23:59:59+09:00", "outside of the run"),
        ("24T19:30:00+09:00", "31T15:00:00Z", "outside of the run"),
        ("24T19:30:00+09:00", "24T19:30:00", "is not a time with an offset"),
        ("}]", "}", "column"),
    ] {
        let got = refusal(from, to);
        assert!(got.contains(reason), "{got:?} should say {reason:?}");
        assert!(!got.contains("line 1"), "{got}");
    }
    let many: Vec<String> = (0..401).map(|n| format!("\"2026-12-25T{:02}:{:02}:00+09:00\"", n / 60, n % 60)).collect();
    assert!(refusal("\"2026-12-24T19:30:00+09:00\"", &many.join(",")).contains("more than 400 performances"));
}

proptest! {
    #[test]
    fn no_catalogue_file_panics(text in any::<String>(), cut in any::<prop::sample::Index>()) {
        let _ = parse_jsonl(&text);
        let cut = cut.index(GOOD.chars().count());
        let _ = parse_jsonl(&GOOD.chars().take(cut).collect::<String>());
    }
}

// --- the shipped catalogue ---

#[test]
fn the_shipped_catalogue_is_large_and_whole() {
    let events = demo::events(FIRST_DAY, None);
    let titles: BTreeSet<_> = events.iter().map(|event| &event.title).collect();
    assert!(titles.len() >= 300, "{}", titles.len());
    // Every line of the tables is read.
    let lines = |table: &str| table.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(events.len(), lines(include_str!("demo/titles.tsv")));
    assert_eq!(demo::venues().len(), lines(include_str!("demo/venues.tsv")));
    assert!(events.iter().map(|event| &event.place).collect::<BTreeSet<_>>().len() >= 40);
    for category in demo::CATEGORIES {
        assert!(events.iter().filter(|event| event.category == category).count() >= 20, "{category}");
    }
    let on_already = events.iter().filter(|event| event.starts_on < FIRST_DAY).count();
    assert!((20..events.len() / 3).contains(&on_already), "{on_already}");
    let nutcracker = events.iter().find(|event| event.title == "국립발레단 호두까기 인형").unwrap();
    assert_eq!(nutcracker.starts_on.month(), time::Month::December);
    assert!(events.iter().all(|event| event.ends_on > FIRST_DAY));
}

#[test]
fn halls_have_about_as_many_seats_as_they_are_known_for() {
    for venue in demo::venues() {
        let (seats, known) = (i64::from(venue.seats()), i64::from(venue.capacity));
        assert!((seats - known).abs() * 10 <= known, "{}: {seats} of {known}", venue.name);
    }
}

#[test]
fn every_shipped_event_keeps_the_rules_of_the_format() {
    for day in [FIRST_DAY, date!(2024 - 02 - 29), date!(2027 - 07 - 07)] {
        let events = demo::events(day, Some(1_500));
        for event in &events {
            event.check().unwrap_or_else(|reason| panic!("{}: {reason}", event.title));
            assert!((3..=30).contains(&event.performances.len()), "{}", event.title);
            assert!(event.performances.iter().all(|at| at.weekday() != time::Weekday::Monday), "{}", event.title);
            assert!((event.starts_on - day).whole_days() <= 160, "{}", event.title);
            assert!(event.grades.iter().all(|grade| grade.price_krw >= 10_000), "{}", event.title);
            assert!(event.grades.is_sorted_by_key(|grade| -grade.price_krw), "{}", event.title);
        }
        assert_eq!(parse_jsonl(&to_jsonl(&events).unwrap()).unwrap(), events);
    }
}

#[test]
fn growing_is_deterministic_and_without_duplicates() {
    let events = demo::events(FIRST_DAY, Some(20_000));
    assert_eq!(events.len(), 20_000);
    assert_eq!(events, demo::events(FIRST_DAY, Some(20_000)));
    let runs: BTreeSet<_> = events.iter().map(|event| (&event.title, &event.place, event.starts_on)).collect();
    assert_eq!(runs.len(), events.len());
    assert_eq!(demo::events(FIRST_DAY, Some(10)), events[..10]);
    assert!(demo::events(FIRST_DAY, Some(0)).is_empty());
    assert!(events.iter().any(|event| event.title == "레미제라블 – 부산"));
}
