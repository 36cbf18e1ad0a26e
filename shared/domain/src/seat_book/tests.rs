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
    SeatBook::load(&Load { seat_count: SEATS, ..Load::default() }, at(0))
}

/// What SQL says of a seat of order and hold `n` of buyer `by`.
fn claim(seat: u32, n: u8, by: u8, sold: bool) -> Claim {
    Claim { seat, sold, order: order_id(n), hold: hold_id(n), user: user(by), fence: 1 }
}

fn swap(hold: u8, by: u8, give: &[u32], take: &[u32], key: &str) -> SwapRequest {
    SwapRequest {
        hold: hold_id(hold),
        user: user(by),
        give: give.to_vec(),
        take: take.to_vec(),
        key: key.to_owned(),
        digest: format!("{give:?} {take:?}"),
        limit: 4,
        hold_limit: 4,
    }
}

fn extend(hold: u8, by: u8, key: &str) -> ExtendRequest {
    let (hold, user) = (hold_id(hold), user(by));
    ExtendRequest { hold, user, key: key.to_owned(), digest: format!("extend {hold}"), ttl_ms: 100 }
}

fn release(hold: u8, by: u8, key: &str) -> ReleaseRequest {
    let (hold, user) = (hold_id(hold), user(by));
    ReleaseRequest { hold, user, key: key.to_owned(), digest: format!("release {hold}") }
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
    b.settle(hold_id(1), order_id(1), user(1), &[2], SeatState::Sold);
    assert_eq!(b.snapshot().seats[2], SeatState::Sold);
    let version = b.snapshot().version;
    b.settle(hold_id(1), order_id(1), user(1), &[2], SeatState::Sold);
    assert_eq!(b.snapshot().version, version, "settling twice announces once");
}

#[test]
fn settling_again_leaves_the_next_holder_alone() {
    let mut b = book();
    b.hold(ask(1, 1, &[2]), at(0)).unwrap();
    b.order(hold_id(1), user(1), order_id(1), at(0)).unwrap();
    b.settle(hold_id(1), order_id(1), user(1), &[2], SeatState::Available);
    b.hold(ask(2, 2, &[2]), at(1)).unwrap();
    b.settle(hold_id(1), order_id(1), user(1), &[2], SeatState::Available);
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
fn a_release_asked_for_again_leaves_the_next_holder_alone() {
    let mut b = book();
    b.hold(ask(1, 1, &[2]), at(0)).unwrap();
    b.release(release(1, 1, "a"), at(1)).unwrap();
    let next = b.hold(ask(2, 1, &[2]), at(2)).unwrap();
    assert_eq!(b.release(release(1, 1, "a"), at(3)), Ok(()));
    assert_eq!(b.release(release(2, 1, "a"), at(3)), Err(ReleaseRefusal::KeyReused));
    assert_eq!(b.release(release(1, 1, "b"), at(3)), Err(ReleaseRefusal::Gone(HoldGone::NotFound)));
    assert_eq!(b.hold_at(next.id, at(3)), Some(&next));
}

#[test]
fn a_hold_does_not_grow_above_its_own_limit() {
    let mut b = book();
    b.hold(ask(1, 1, &[0, 1]), at(0)).unwrap();
    let narrow = |give: &[u32], take: &[u32], key| SwapRequest { hold_limit: 2, ..swap(1, 1, give, take, key) };
    assert_eq!(b.swap(narrow(&[], &[2], "a"), at(1)), Err(SwapRefusal::Seats(HoldRefusal::OverLimit)));
    assert_eq!(b.swap(narrow(&[0], &[2], "b"), at(1)).unwrap().seats, [1, 2]);
}

#[test]
fn the_limit_counts_all_holds_of_a_buyer() {
    let mut b = book();
    b.hold(ask(1, 1, &[0, 1, 2]), at(0)).unwrap();
    assert_eq!(b.hold(ask(2, 1, &[3, 4]), at(1)), Err(HoldRefusal::OverLimit));
    b.hold(ask(3, 1, &[3]), at(1)).unwrap();
}

#[test]
fn what_was_bought_counts_until_it_is_refunded() {
    let mut b = book();
    b.hold(ask(1, 1, &[0, 1, 2]), at(0)).unwrap();
    b.order(hold_id(1), user(1), order_id(1), at(0)).unwrap();
    b.settle(hold_id(1), order_id(1), user(1), &[0, 1, 2], SeatState::Sold);
    assert_eq!(b.hold(ask(2, 1, &[3, 4]), at(1)), Err(HoldRefusal::OverLimit));
    b.settle(hold_id(1), order_id(1), user(1), &[1], SeatState::Available);
    b.hold(ask(3, 1, &[3, 4]), at(1)).unwrap();
    // Another's seat, an order of another buyer, another order: nobody's business.
    let before = b.audit();
    b.settle(hold_id(1), order_id(1), user(2), &[0], SeatState::Available);
    b.settle(hold_id(1), order_id(2), user(1), &[0], SeatState::Available);
    b.settle(hold_id(1), order_id(1), user(1), &[3], SeatState::Sold);
    assert_eq!(b.audit(), before);
}

#[test]
fn a_load_rebuilds_orders_sales_and_counts() {
    let mut lost = book();
    lost.hold(ask(1, 1, &[0, 1]), at(0)).unwrap();
    lost.order(hold_id(1), user(1), order_id(1), at(0)).unwrap();
    let claims = vec![claim(0, 1, 1, false), claim(1, 1, 1, false), claim(2, 2, 1, true), claim(4, 3, 2, true)];
    let load = Load { seat_count: SEATS, claims, blocked: vec![4, 5, 99], fence_floor: 7 };
    let mut b = SeatBook::load(&load, at(5));
    let old = lost.hold_at(hold_id(1), at(5)).unwrap();
    let new = b.hold_at(hold_id(1), at(1_000)).unwrap();
    assert_eq!((&new.seats, new.user, new.order_id()), (&old.seats, old.user, old.order_id()));
    let states = b.snapshot().seats;
    assert_eq!(states[2..6], [SeatState::Sold, SeatState::Available, SeatState::Sold, SeatState::Blocked]);
    assert_eq!(b.hold(ask(5, 1, &[6, 7]), at(6)), Err(HoldRefusal::OverLimit));
    assert!(b.order(hold_id(1), user(1), order_id(1), at(6)).is_ok());
    b.undo_order(hold_id(1), order_id(1));
    b.hold(ask(5, 1, &[0, 1, 7]), at(6)).unwrap();
}

#[test]
fn an_end_is_put_off_once() {
    let mut b = book();
    b.hold(ask(1, 1, &[0]), at(0)).unwrap();
    assert_eq!(b.extend(extend(1, 2, "a"), at(50)), Err(ExtendRefusal::Gone(HoldGone::NotFound)));
    let later = b.extend(extend(1, 1, "a"), at(50)).unwrap();
    assert_eq!(later.until, at(150));
    assert_eq!(b.extend(extend(1, 1, "a"), at(60)), Ok(later));
    assert_eq!(b.extend(extend(2, 1, "a"), at(60)), Err(ExtendRefusal::KeyReused));
    assert_eq!(b.extend(extend(1, 1, "b"), at(60)), Err(ExtendRefusal::Already));
    assert_eq!(b.expire(at(149)), 0);
    assert_eq!(b.extend(extend(1, 1, "c"), at(150)), Err(ExtendRefusal::Gone(HoldGone::NotFound)));
}

#[test]
fn a_swap_is_one_change_or_none() {
    let mut b = book();
    let first = b.hold(ask(1, 1, &[1, 2]), at(0)).unwrap();
    b.hold(ask(2, 2, &[5]), at(0)).unwrap();
    let before = b.audit();
    let taken = SwapRefusal::Seats(HoldRefusal::Taken(vec![2, 5]));
    assert_eq!(b.swap(swap(1, 1, &[1], &[2, 4, 5], "a"), at(1)), Err(taken));
    assert_eq!(b.swap(swap(1, 1, &[1, 5], &[3], "a"), at(1)), Err(SwapRefusal::NotHeld(vec![5])));
    assert_eq!(b.swap(swap(1, 1, &[1, 2], &[], "a"), at(1)), Err(SwapRefusal::Seats(HoldRefusal::NoSuchSeat)));
    assert_eq!(b.swap(swap(1, 1, &[], &[3, 4, 6], "a"), at(1)), Err(SwapRefusal::Seats(HoldRefusal::OverLimit)));
    assert_eq!(b.swap(swap(1, 2, &[1], &[3], "a"), at(1)), Err(SwapRefusal::Gone(HoldGone::NotFound)));
    assert_eq!(b.audit(), before);
    let swapped = b.swap(swap(1, 1, &[2], &[0, 3, 4], "a"), at(1)).unwrap();
    assert_eq!((swapped.seats.as_slice(), swapped.until), (&[0, 1, 3, 4][..], first.until));
    assert!(swapped.fence > first.fence);
    let told = b.changes_after(before.version).unwrap();
    let held = |s| (s, SeatState::Held);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].seats, [(2, SeatState::Available), held(0), held(3), held(4)]);
    assert_eq!(b.swap(swap(1, 1, &[2], &[0, 3, 4], "a"), at(2)), Ok(swapped));
    let reused = b.swap(swap(1, 1, &[0], &[7], "a"), at(2));
    assert_eq!(reused, Err(SwapRefusal::Seats(HoldRefusal::KeyReused)));
}

#[test]
fn only_free_seats_are_blocked_and_only_blocked_ones_unblocked() {
    let mut b = book();
    b.hold(ask(1, 1, &[1]), at(0)).unwrap();
    assert_eq!(b.block(&[0, 1], at(1)), Err(BlockRefusal::Taken(vec![1])));
    assert_eq!(b.block(&[0, 8], at(1)), Err(BlockRefusal::NoSuchSeat));
    b.block(&[0, 2], at(1)).unwrap();
    let version = b.version();
    b.block(&[0, 2], at(1)).unwrap();
    assert_eq!(b.version(), version, "blocking twice announces once");
    assert_eq!(b.hold(ask(2, 2, &[0]), at(1)), Err(HoldRefusal::Taken(vec![0])));
    b.unblock(&[0, 1, 3, 8]);
    assert_eq!(b.changes_after(version).unwrap()[0].seats, [(0, SeatState::Available)]);
    // What has ended is not in the way.
    b.block(&[1], at(100)).unwrap();
}

#[test]
fn a_correction_spares_live_holds_and_what_changed_meanwhile() {
    let mut b = book();
    b.hold(ask(1, 1, &[1]), at(0)).unwrap();
    let read = b.version();
    b.block(&[2], at(1)).unwrap();
    let wanted = [
        Correction::Free(1),
        Correction::Free(2),
        Correction::Claim(claim(3, 9, 3, true)),
        Correction::Claim(claim(4, 8, 3, false)),
        Correction::Free(5),
        Correction::Block(6),
    ];
    assert_eq!(b.correct(Some(read - 5), &wanted, at(1)), [], "too long ago to know");
    let before = b.version();
    assert_eq!(b.correct(Some(read), &wanted, at(1)), [3, 4, 6]);
    assert_eq!(b.version(), before + 1);
    assert_eq!(b.hold_at(hold_id(8), at(1)).unwrap().order_id(), Some(order_id(8)));
    assert_eq!(b.count(user(3)), 2);
    // What nobody bought is freed, with its buyer's count.
    assert_eq!(b.correct(None, &[Correction::Free(3)], at(1)), [3]);
    assert_eq!(b.count(user(3)), 1);
}

#[test]
fn a_reader_from_before_a_load_needs_a_snapshot() {
    let mut old = book();
    old.hold(ask(1, 1, &[2]), at(0)).unwrap();
    let load = Load { seat_count: SEATS, claims: vec![claim(2, 1, 1, true)], ..Load::default() };
    let mut new = SeatBook::load(&load, at(5));
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
    Swap(u8, u8, Vec<u32>, Vec<u32>),
    Extend(u8, u8),
    Release(u8, u8),
    Order(u8, u8),
    Undo(u8, u8),
    Settle(u8, u8, Vec<u32>, SeatState),
    Block(Vec<u32>),
    Unblock(Vec<u32>),
    Correct(u32, u8, u8),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let seats = || prop::collection::btree_set(0..SEATS, 1..4).prop_map(|s| s.into_iter().collect::<Vec<_>>());
    let (h, u) = (|| 0u8..20, || 0u8..3);
    let state = prop::sample::select(vec![SeatState::Sold, SeatState::Available]);
    prop_oneof![
        4 => (h(), u(), seats()).prop_map(|(h, u, s)| Step::Hold(h, u, s)),
        2 => (h(), u(), seats(), seats()).prop_map(|(h, u, give, take)| Step::Swap(h, u, give, take)),
        1 => (h(), u()).prop_map(|(h, u)| Step::Extend(h, u)),
        1 => (h(), u()).prop_map(|(h, u)| Step::Release(h, u)),
        2 => (h(), u()).prop_map(|(h, u)| Step::Order(h, u)),
        1 => (h(), u()).prop_map(|(h, u)| Step::Undo(h, u)),
        3 => (h(), u(), seats(), state).prop_map(|(h, u, s, state)| Step::Settle(h, u, s, state)),
        1 => seats().prop_map(Step::Block),
        1 => seats().prop_map(Step::Unblock),
        1 => (0..SEATS, h(), 0u8..4).prop_map(|(s, h, kind)| Step::Correct(s, h, kind)),
        1 => (0i64..80).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn snapshot_and_changes_tell_one_story(steps in prop::collection::vec(step(), 1..80)) {
        let mut b = book();
        let start = b.snapshot();
        let mut now = 0;
        // Each hold is of one buyer and becomes one order.
        let id = |h: u8, u: u8| h * 3 + u;
        for (n, s) in steps.into_iter().enumerate() {
            match s {
                // An id is used once; one that SQL knows may be there already.
                Step::Hold(h, u, _) if b.holds.contains_key(&hold_id(id(h, u))) => {}
                Step::Hold(h, u, seats) => { let _ = b.hold(ask(id(h, u), u, &seats), at(now)); }
                Step::Swap(h, u, give, take) => {
                    let _ = b.swap(swap(id(h, u), u, &give, &take, &format!("swap {n}")), at(now));
                }
                Step::Extend(h, u) => { let _ = b.extend(extend(id(h, u), u, &format!("extend {n}")), at(now)); }
                Step::Release(h, u) => { let _ = b.release(release(id(h, u), u, &format!("release {n}")), at(now)); }
                Step::Order(h, u) => { let _ = b.order(hold_id(id(h, u)), user(u), order_id(id(h, u)), at(now)); }
                Step::Undo(h, u) => b.undo_order(hold_id(id(h, u)), order_id(id(h, u))),
                Step::Settle(h, u, seats, state) => {
                    b.settle(hold_id(id(h, u)), order_id(id(h, u)), user(u), &seats, state);
                }
                Step::Block(seats) => { let _ = b.block(&seats, at(now)); }
                Step::Unblock(seats) => b.unblock(&seats),
                Step::Correct(seat, h, kind) => {
                    let correction = match kind {
                        0 => Correction::Free(seat),
                        1 => Correction::Block(seat),
                        kind => Correction::Claim(claim(seat, id(h, h % 3), h % 3, kind == 2)),
                    };
                    b.correct(None, &[correction], at(now));
                }
                Step::Wait(ms) => { now += ms; b.expire(at(now)); }
            }
            // A seat is held by the one hold that has it, sold to the one order that bought it, or nobody's; and the
            // counts are what their buyers have.
            let mut owners = vec![Vec::new(); SEATS as usize];
            let mut counts: HashMap<UserId, usize> = HashMap::new();
            for hold in b.holds.values() {
                prop_assert!(!hold.seats.is_empty() && hold.seats.is_sorted());
                *counts.entry(hold.user).or_default() += hold.seats.len();
                for &i in &hold.seats { owners[i as usize].push(SeatState::Held); }
            }
            for sale in b.sales.values() {
                prop_assert!(!sale.seats.is_empty());
                *counts.entry(sale.user).or_default() += sale.seats.len();
                for &i in &sale.seats { owners[i as usize].push(SeatState::Sold); }
            }
            prop_assert_eq!(&counts, &b.counts);
            let snapshot = b.snapshot();
            for (owner, state) in owners.iter().zip(&snapshot.seats) {
                let free = matches!(state, SeatState::Available | SeatState::Blocked);
                prop_assert_eq!(owner, &if free { vec![] } else { vec![*state] });
            }
            let ends: BTreeSet<_> = b.holds.values().filter(|h| h.order.is_none()).map(|h| (h.until, h.id)).collect();
            prop_assert_eq!(&ends, &b.by_end);
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
