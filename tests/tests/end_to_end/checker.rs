//! What the checker of seat streams takes for wrong: it could find nothing because it looks at nothing.

use nugul_api::seats::{EVENT_CHANGES, EVENT_SNAPSHOT, SeatChanges, SeatSnapshot};
use nugul_domain::{SeatIndex, SeatState};
use nugul_tests::checker::{Reader, Record};

fn changes(from: i64, seats: &[(SeatIndex, SeatState)]) -> String {
    let step = seats.iter().map(|&(index, state)| (index, state as u8)).collect();
    serde_json::to_string(&SeatChanges { from, to: from + 1, changes: vec![step] }).expect("serializable")
}

/// A reader that began at version 5 of a hall that is free.
fn reader(record: &Record, number: u64) -> Reader {
    let mut reader = Reader::new("edge", "/", number);
    let free = SeatSnapshot::pack(5, &[SeatState::Available; 9]);
    let data = serde_json::to_string(&free).expect("serializable");
    assert_eq!(reader.take(record, EVENT_SNAPSHOT, Some("5"), &data), Ok(()));
    reader
}

#[test]
fn what_one_sees_otherwise_than_another_is_told() {
    let record = Record::default();
    let [mut one, mut two, mut three] = [1, 2, 3].map(|number| reader(&record, number));
    let held = changes(5, &[(3, SeatState::Held), (4, SeatState::Held)]);
    assert_eq!(one.take(&record, EVENT_CHANGES, Some("6"), &held), Ok(()));
    assert_eq!(two.take(&record, EVENT_CHANGES, Some("6"), &held), Ok(()));
    let mut live = [SeatState::Available; 9];
    (live[3], live[4]) = (SeatState::Held, SeatState::Held);
    record.note(&"the live state", 6, &live);
    assert_eq!(record.verdict(), Vec::<String>::new());
    let other = changes(5, &[(3, SeatState::Held), (5, SeatState::Held)]);
    assert_eq!(three.take(&record, EVENT_CHANGES, Some("6"), &other), Ok(()));
    assert!(record.verdict().iter().all(|wrong| wrong.contains("reader 3")) && !record.verdict().is_empty());
}

#[test]
fn gaps_repetitions_and_steps_back_are_refused() {
    let record = Record::default();
    for (event, id, data) in [
        (EVENT_CHANGES, "7", changes(6, &[(0, SeatState::Held)])),
        (EVENT_CHANGES, "5", changes(4, &[(0, SeatState::Held)])),
        (EVENT_CHANGES, "7", changes(5, &[(0, SeatState::Held)])),
        (EVENT_CHANGES, "6", changes(5, &[(9, SeatState::Held)])),
        (EVENT_SNAPSHOT, "4", serde_json::to_string(&SeatSnapshot::pack(4, &[SeatState::Sold; 9])).expect("text")),
    ] {
        assert!(reader(&record, 1).take(&record, event, Some(id), &data).is_err(), "{event} {data}");
    }
}
