//! Tries to break the seat book with random sequences of steps.

use super::*;
use crate::Region;
use proptest::prelude::*;

const SEATS: u32 = 8;

fn user(n: u8) -> UserId {
    UserId::new(Region(0), Timestamp::from_millis(1), [n; 9])
}

fn hold_id(n: u8) -> HoldId {
    HoldId::new(Region(0), Timestamp::from_millis(1), [n; 9])
}

fn order_id(n: u8) -> OrderId {
    OrderId::new(Region(0), Timestamp::from_millis(1), [n; 9])
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + ms)
}

fn book() -> SeatBook {
    SeatBook::load(SEATS, &[], 0, at(0))
}

fn ask(id: u8, by: u8, seats: &[u32]) -> HoldRequest {
    HoldRequest {
        id: hold_id(id),
        user: user(by),
        seats: seats.to_vec(),
        key: format!("key {id}"),
        digest: format!("{seats:?}"),
        ttl_ms: 100,
        limit: 4,
    }
}

#[test]
fn a_refusal_names_the_seats_in_conflict_and_takes_none() {
    let mut b = book();
    b.hold(ask(1, 1, &[2, 3]), at(0)).unwrap();
    let before = b.snapshot();
    assert_eq!(b.hold(ask(2, 2, &[1, 2, 3]), at(1)), Err(HoldRefusal::Taken(vec![2, 3])));
    assert_eq!(b.snapshot(), before);
}

#[test]
fn an_expired_hold_is_free_to_the_millisecond_and_cannot_be_ordered() {
    let mut b = book();
    let first = b.hold(ask(1, 1, &[2]), at(0)).unwrap();
    assert_eq!(b.hold(ask(2, 2, &[2]), at(99)), Err(HoldRefusal::Taken(vec![2])));
    let second = b.hold(ask(3, 2, &[2]), at(100)).unwrap();
    assert!(second.fence > first.fence);
    assert_eq!(b.order(first.id, user(1), order_id(1), at(100)), Err(HoldGone::NotFound));
}

#[test]
fn an_ordered_hold_outlives_its_clock_until_settled() {
    let mut b = book();
    b.hold(ask(1, 1, &[2]), at(0)).unwrap();
    b.order(hold_id(1), user(1), order_id(1), at(50)).unwrap();
    b.expire(at(10_000));
    assert_eq!(b.snapshot().seats[2], SeatState::Held);
    assert_eq!(b.order(hold_id(1), user(1), order_id(2), at(60)), Err(HoldGone::Ordered(order_id(1))));
    b.settle(hold_id(1), &[2], SeatState::Sold);
    assert_eq!(b.snapshot().seats[2], SeatState::Sold);
    let version = b.snapshot().version;
    b.settle(hold_id(1), &[2], SeatState::Sold);
    assert_eq!(b.snapshot().version, version, "settling twice announces once");
}

#[test]
fn settling_again_leaves_the_next_holder_alone() {
    let mut b = book();
    b.hold(ask(1, 1, &[2]), at(0)).unwrap();
    b.order(hold_id(1), user(1), order_id(1), at(0)).unwrap();
    b.settle(hold_id(1), &[2], SeatState::Available);
    b.hold(ask(2, 2, &[2]), at(1)).unwrap();
    b.settle(hold_id(1), &[2], SeatState::Available);
    assert_eq!(b.snapshot().seats[2], SeatState::Held);
}

#[test]
fn the_same_key_gives_the_same_hold_and_another_request_is_refused() {
    let mut b = book();
    let hold = b.hold(ask(1, 1, &[2]), at(0)).unwrap();
    assert_eq!(b.hold(ask(1, 1, &[2]), at(1)), Ok(hold));
    assert_eq!(b.hold(ask(1, 1, &[3]), at(1)), Err(HoldRefusal::KeyReused));
}

#[test]
fn the_limit_counts_all_holds_of_a_buyer() {
    let mut b = book();
    b.hold(ask(1, 1, &[0, 1, 2]), at(0)).unwrap();
    assert_eq!(b.hold(ask(2, 1, &[3, 4]), at(1)), Err(HoldRefusal::OverLimit));
    b.hold(ask(3, 1, &[3]), at(1)).unwrap();
}

#[test]
fn a_reader_from_before_a_load_needs_a_snapshot() {
    let mut old = book();
    old.hold(ask(1, 1, &[2]), at(0)).unwrap();
    let mut new = SeatBook::load(SEATS, &[Claim { seat: 2, sold: true }], 0, at(5));
    assert_eq!(new.changes_after(old.snapshot().version), None);
    assert_eq!(new.snapshot().seats[2], SeatState::Sold);
    let v = new.snapshot().version;
    new.hold(ask(2, 2, &[3]), at(6)).unwrap();
    assert_eq!(new.changes_after(v).map(|c| c.len()), Some(1));
    assert_eq!(new.changes_after(old.snapshot().version), None);
}

#[derive(Clone, Debug)]
enum Step {
    Hold(u8, u8, Vec<u32>),
    Release(u8, u8),
    Order(u8, u8),
    Sell(u8, u8),
    GiveBack(u8, u8),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let seats = prop::collection::btree_set(0..SEATS, 1..4).prop_map(|s| s.into_iter().collect());
    prop_oneof![
        4 => (0u8..20, 0u8..3, seats).prop_map(|(h, u, s)| Step::Hold(h, u, s)),
        1 => (0u8..20, 0u8..3).prop_map(|(h, u)| Step::Release(h, u)),
        2 => (0u8..20, 0u8..3).prop_map(|(h, u)| Step::Order(h, u)),
        1 => (0u8..20, 0u8..3).prop_map(|(h, u)| Step::Sell(h, u)),
        1 => (0u8..20, 0u8..3).prop_map(|(h, u)| Step::GiveBack(h, u)),
        1 => (0i64..80).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn snapshot_and_changes_tell_one_story(steps in prop::collection::vec(step(), 1..80)) {
        let mut b = book();
        let start = b.snapshot();
        let mut now = 0;
        for s in steps {
            match s {
                Step::Hold(h, u, seats) => { let _ = b.hold(ask(h * 3 + u, u, &seats), at(now)); }
                Step::Release(h, u) => { let _ = b.release(hold_id(h * 3 + u), user(u), at(now)); }
                Step::Order(h, u) => { let _ = b.order(hold_id(h * 3 + u), user(u), order_id(h), at(now)); }
                Step::Sell(h, u) | Step::GiveBack(h, u) => {
                    let ordered = b.holds.get(&hold_id(h * 3 + u)).filter(|x| x.order.is_some()).cloned();
                    if let Some(hold) = ordered {
                        let state = if matches!(s, Step::Sell(..)) { SeatState::Sold } else { SeatState::Available };
                        b.settle(hold.id, &hold.seats, state);
                    }
                }
                Step::Wait(ms) => { now += ms; b.expire(at(now)); }
            }
            // No seat is in two holds, and every held seat is in one.
            let mut held = vec![0; SEATS as usize];
            for hold in b.holds.values() {
                for &i in &hold.seats { held[i as usize] += 1; }
            }
            let snapshot = b.snapshot();
            for (count, state) in held.iter().zip(&snapshot.seats) {
                prop_assert_eq!(*count, i32::from(*state == SeatState::Held));
            }
            // The changes since the start, applied to the first snapshot, give the state now: no gap, no repeat.
            let mut replay = start.seats.clone();
            let mut version = start.version;
            for change in b.changes_after(start.version).unwrap() {
                version += 1;
                prop_assert_eq!(change.version, version);
                for (i, state) in change.seats {
                    prop_assert_ne!(replay[i as usize], state);
                    replay[i as usize] = state;
                }
            }
            prop_assert_eq!((version, replay), (snapshot.version, snapshot.seats));
        }
    }
}
