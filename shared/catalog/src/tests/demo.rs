//! The shipped catalogue.

use std::collections::BTreeSet;

use time::macros::date;

use super::FIRST_DAY;
use crate::demo;
use crate::import::{parse_jsonl, to_jsonl};

#[test]
fn the_shipped_catalogue_is_large_and_whole() {
    let events = demo::events(FIRST_DAY, None);
    let titles: BTreeSet<_> = events.iter().map(|event| &event.title).collect();
    assert!(titles.len() >= 300, "{}", titles.len());
    // Every line of the tables is read.
    let lines = |table: &str| table.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(events.len(), lines(include_str!("../demo/titles.tsv")));
    assert_eq!(demo::venues().len(), lines(include_str!("../demo/venues.tsv")));
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
