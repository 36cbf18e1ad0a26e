//! The JSON-lines catalogue file.

use proptest::prelude::*;

use crate::import::{ImportEvent, parse_jsonl, to_jsonl};

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
