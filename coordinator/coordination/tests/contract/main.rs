//! One contract for both stores: each scenario runs in memory and on a Redis of its own.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod model;
mod server;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nugul_coordination::{Error, Seats};
use nugul_domain::{
    HoldId, OrderId, PerformanceId, Region, SeatIndex, SeatState, Timestamp, UserId,
    seat_book::{Claim, HISTORY_MAX, Hold, HoldGone, HoldRefusal, HoldRequest},
};
use server::Server;
use tokio::{task::JoinSet, time::Instant};

/// Longer than anything here takes on a busy machine.
const BOUND: Duration = Duration::from_secs(30);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);
/// A hold that does not end during a test.
const LONG_MS: i64 = 60 * 60 * 1000;
/// A hold that ends soon.
const SHORT_MS: i64 = 40;

fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

fn memory() -> Seats {
    Seats::memory(Arc::new(wall_clock))
}

fn random(n: u32) -> [u8; 9] {
    let mut out = [0; 9];
    out[5..].copy_from_slice(&n.to_be_bytes());
    out
}

fn performance(n: u32) -> PerformanceId {
    PerformanceId::new(Region(0), Timestamp::from_millis(1), random(n))
}

fn hold_id(n: u32) -> HoldId {
    HoldId::new(Region(0), Timestamp::from_millis(1), random(n))
}

fn user(n: u32) -> UserId {
    UserId::new(Region(0), Timestamp::from_millis(1), random(n))
}

fn order_id(n: u32) -> OrderId {
    OrderId::new(Region(0), Timestamp::from_millis(1), random(n))
}

fn ask(id: u32, by: u32, seats: &[SeatIndex]) -> HoldRequest {
    HoldRequest {
        id: hold_id(id),
        user: user(by),
        seats: seats.to_vec(),
        key: format!("key {id}"),
        digest: format!("{seats:?}"),
        ttl_ms: LONG_MS,
        limit: 4,
    }
}

fn brief(id: u32, by: u32, seats: &[SeatIndex], ttl_ms: i64) -> HoldRequest {
    HoldRequest { ttl_ms, ..ask(id, by, seats) }
}

/// A loaded book; its performance and first version.
async fn opened(seats: &Seats, n: u32, count: u32) -> (PerformanceId, i64) {
    let p = performance(n);
    seats.load(p, count, &[], 0).await.unwrap();
    (p, seats.snapshot(p).await.unwrap().version)
}

async fn state(seats: &Seats, p: PerformanceId, seat: u32) -> SeatState {
    seats.snapshot(p).await.unwrap().seats[seat as usize]
}

/// Lets the clock free holds until `seat` is available.
async fn until_free(seats: &Seats, p: PerformanceId, seat: u32) -> usize {
    let (end, mut freed) = (Instant::now() + BOUND, 0);
    loop {
        freed += seats.expire_due().await.unwrap();
        if state(seats, p, seat).await == SeatState::Available {
            return freed;
        }
        assert!(Instant::now() < end, "seat {seat} was not freed");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits, without freeing anything, until a hold has ended.
async fn until_ended(seats: &Seats, hold: HoldId) {
    let end = Instant::now() + BOUND;
    while seats.find_hold(hold).await.unwrap().is_some() {
        assert!(Instant::now() < end, "{hold} did not end");
        tokio::time::sleep(PAUSE).await;
    }
}

macro_rules! both {
    ($($name:ident),+ $(,)?) => {
        mod in_memory {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::memory()).await;
            }
        )+}
        mod in_redis {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let server = super::Server::start();
                super::$name(server.seats().await).await;
            }
        )+}
    };
}

both! {
    nothing_is_there_before_it_is_loaded,
    a_book_is_loaded_once_from_what_sql_knows,
    a_refusal_names_the_seats_and_takes_none,
    the_same_key_gets_the_same_answer,
    a_hold_is_found_until_it_is_gone,
    an_order_is_its_owners_and_made_once,
    an_undone_order_frees_its_own_seats_alone,
    what_is_settled_already_is_not_told_again,
    old_changes_are_answered_with_a_snapshot,
    holds_end_in_the_order_of_their_ends,
    an_ended_hold_is_nobodys_even_before_it_is_freed,
    the_clock_does_not_end_an_order,
    many_holds_end_at_once,
    a_reader_waits_for_the_next_change,
    a_crowd_gets_each_seat_once,
}

async fn nothing_is_there_before_it_is_loaded(seats: Seats) {
    let p = performance(1);
    seats.ping().await.unwrap();
    assert_eq!(seats.snapshot(p).await, Err(Error::NotLoaded));
    assert_eq!(seats.changes_after(p, 0).await, Err(Error::NotLoaded));
    assert_eq!(seats.hold(p, ask(1, 1, &[0])).await, Err(Error::NotLoaded));
    assert_eq!(seats.order(p, hold_id(1), user(1), order_id(1)).await, Err(Error::NotLoaded));
    assert_eq!(seats.undo_order(p, hold_id(1), order_id(1)).await, Err(Error::NotLoaded));
    assert_eq!(seats.release(p, hold_id(1), user(1)).await, Err(Error::NotLoaded));
    assert_eq!(seats.settle(p, hold_id(1), &[0], SeatState::Sold).await, Err(Error::NotLoaded));
    assert_eq!(seats.wait_change(p, 0, BOUND).await, Err(Error::NotLoaded));
    assert_eq!(seats.find_hold(hold_id(1)).await, Ok(None));
    assert_eq!(seats.expire_due().await, Ok(0));
}

async fn a_book_is_loaded_once_from_what_sql_knows(seats: Seats) {
    let p = performance(1);
    let floor = wall_clock().as_millis() * 2_000;
    let claims = [Claim { seat: 1, sold: true }, Claim { seat: 2, sold: false }, Claim { seat: 9, sold: true }];
    seats.load(p, 4, &claims, floor).await.unwrap();
    let first = seats.snapshot(p).await.unwrap();
    assert_eq!(first.seats, [SeatState::Available, SeatState::Sold, SeatState::Held, SeatState::Available]);
    assert!(first.version > 0);
    seats.load(p, 8, &[], 0).await.unwrap();
    assert_eq!(seats.snapshot(p).await.unwrap(), first);
    assert_eq!(seats.hold(p, ask(1, 1, &[0])).await.unwrap().unwrap().fence, floor + 1);
    seats.load(performance(2), 0, &[], 0).await.unwrap();
    assert_eq!(seats.snapshot(performance(2)).await.unwrap().seats, []);
}

async fn a_refusal_names_the_seats_and_takes_none(seats: Seats) {
    let (p, _) = opened(&seats, 1, 10).await;
    seats.hold(p, ask(1, 1, &[2, 3])).await.unwrap().unwrap();
    let before = seats.snapshot(p).await.unwrap();
    assert_eq!(seats.hold(p, ask(2, 2, &[1, 2, 3, 4])).await, Ok(Err(HoldRefusal::Taken(vec![2, 3]))));
    assert_eq!(seats.hold(p, ask(3, 2, &[2, 10])).await, Ok(Err(HoldRefusal::NoSuchSeat)));
    assert_eq!(seats.hold(p, ask(4, 1, &[4, 5, 6])).await, Ok(Err(HoldRefusal::OverLimit)));
    assert_eq!(seats.snapshot(p).await.unwrap(), before);
}

async fn the_same_key_gets_the_same_answer(seats: Seats) {
    let (p, base) = opened(&seats, 1, 10).await;
    let first = seats.hold(p, ask(1, 1, &[2, 3])).await.unwrap().unwrap();
    assert_eq!((first.fence, first.order, first.seats.as_slice()), (base + 1, None, &[2, 3][..]));
    let again = HoldRequest { id: hold_id(7), ..ask(1, 1, &[2, 3]) };
    assert_eq!(seats.hold(p, again.clone()).await, Ok(Ok(first.clone())));
    let other = HoldRequest { digest: "other".into(), ..again.clone() };
    assert_eq!(seats.hold(p, other).await, Ok(Err(HoldRefusal::KeyReused)));
    let of_another = HoldRequest { user: user(2), ..again.clone() };
    assert_eq!(seats.hold(p, of_another).await, Ok(Err(HoldRefusal::Taken(vec![2, 3]))));
    // Even when the hold has long been given back.
    seats.release(p, first.id, user(1)).await.unwrap().unwrap();
    assert_eq!(seats.hold(p, again).await, Ok(Ok(first)));
    assert_eq!(seats.snapshot(p).await.unwrap().version, base + 2);
}

async fn a_hold_is_found_until_it_is_gone(seats: Seats) {
    let (p, _) = opened(&seats, 1, 10).await;
    let (other, _) = opened(&seats, 2, 10).await;
    let a = seats.hold(p, ask(1, 1, &[2, 3])).await.unwrap().unwrap();
    let b = seats.hold(other, ask(2, 1, &[2])).await.unwrap().unwrap();
    assert_eq!(seats.find_hold(a.id).await, Ok(Some((p, a.clone()))));
    assert_eq!(seats.find_hold(b.id).await, Ok(Some((other, b.clone()))));
    let ordered = seats.order(p, a.id, user(1), order_id(1)).await.unwrap().unwrap();
    assert_eq!(ordered, Hold { order: Some(order_id(1)), ..a.clone() });
    assert_eq!(seats.find_hold(a.id).await, Ok(Some((p, ordered))));
    seats.settle(p, a.id, &a.seats, SeatState::Sold).await.unwrap();
    assert_eq!(seats.find_hold(a.id).await, Ok(None));
    seats.release(other, b.id, user(1)).await.unwrap().unwrap();
    assert_eq!(seats.find_hold(b.id).await, Ok(None));
    assert_eq!(seats.find_hold(hold_id(9)).await, Ok(None));
}

async fn an_order_is_its_owners_and_made_once(seats: Seats) {
    let (p, base) = opened(&seats, 1, 10).await;
    let a = seats.hold(p, ask(1, 1, &[2, 3])).await.unwrap().unwrap();
    assert_eq!(seats.order(p, a.id, user(2), order_id(1)).await, Ok(Err(HoldGone::NotFound)));
    assert_eq!(seats.release(p, a.id, user(2)).await, Ok(Err(HoldGone::NotFound)));
    let first = seats.order(p, a.id, user(1), order_id(1)).await.unwrap().unwrap();
    assert_eq!(seats.order(p, a.id, user(1), order_id(1)).await, Ok(Ok(first)));
    assert_eq!(seats.order(p, a.id, user(1), order_id(2)).await, Ok(Err(HoldGone::Ordered(order_id(1)))));
    assert_eq!(seats.release(p, a.id, user(1)).await, Ok(Err(HoldGone::Ordered(order_id(1)))));
    // An order counts against the limit; a sale does not.
    assert_eq!(seats.hold(p, ask(2, 1, &[4, 5, 6])).await, Ok(Err(HoldRefusal::OverLimit)));
    seats.settle(p, a.id, &a.seats, SeatState::Sold).await.unwrap();
    assert_eq!(seats.snapshot(p).await.unwrap().version, base + 2);
    seats.hold(p, ask(3, 1, &[4, 5, 6])).await.unwrap().unwrap();
}

async fn an_undone_order_frees_its_own_seats_alone(seats: Seats) {
    let (p, base) = opened(&seats, 1, 10).await;
    let a = seats.hold(p, ask(1, 1, &[2, 3])).await.unwrap().unwrap();
    seats.undo_order(p, a.id, order_id(1)).await.unwrap();
    seats.order(p, a.id, user(1), order_id(1)).await.unwrap().unwrap();
    seats.undo_order(p, a.id, order_id(2)).await.unwrap();
    assert_eq!(seats.snapshot(p).await.unwrap().version, base + 1);
    seats.undo_order(p, a.id, order_id(1)).await.unwrap();
    let change = seats.changes_after(p, base + 1).await.unwrap().unwrap().remove(0);
    assert_eq!(change.seats, [(2, SeatState::Available), (3, SeatState::Available)]);
    seats.hold(p, ask(2, 2, &[2, 3])).await.unwrap().unwrap();
    seats.undo_order(p, a.id, order_id(1)).await.unwrap();
    assert_eq!(state(&seats, p, 2).await, SeatState::Held);
}

async fn what_is_settled_already_is_not_told_again(seats: Seats) {
    let (p, base) = opened(&seats, 1, 10).await;
    seats.settle(p, hold_id(1), &[3, 1, 12], SeatState::Blocked).await.unwrap();
    seats.settle(p, hold_id(1), &[1, 3], SeatState::Blocked).await.unwrap();
    seats.settle(p, hold_id(1), &[1, 2, 3], SeatState::Blocked).await.unwrap();
    let told = seats.changes_after(p, base).await.unwrap().unwrap();
    let told: Vec<_> = told.into_iter().map(|c| (c.version - base, c.seats)).collect();
    let blocked = SeatState::Blocked;
    assert_eq!(told, [(1, vec![(3, blocked), (1, blocked)]), (2, vec![(2, blocked)])]);
}

async fn old_changes_are_answered_with_a_snapshot(seats: Seats) {
    let (p, base) = opened(&seats, 1, 2).await;
    let kept = i64::try_from(HISTORY_MAX).unwrap();
    for after in [i64::MIN, 0, base - 1, base + 1, i64::MAX] {
        assert_eq!(seats.changes_after(p, after).await, Ok(None), "{after}");
    }
    assert_eq!(seats.changes_after(p, base).await, Ok(Some(Vec::new())));
    for n in 1..=kept + 1 {
        let to = if n % 2 == 0 { SeatState::Available } else { SeatState::Sold };
        seats.settle(p, hold_id(1), &[1], to).await.unwrap();
        if n == kept {
            assert_eq!(seats.changes_after(p, base).await.unwrap().unwrap().len(), HISTORY_MAX);
            assert_eq!(seats.changes_after(p, base - 1).await, Ok(None));
        }
    }
    assert_eq!(seats.changes_after(p, base).await, Ok(None));
    let all = seats.changes_after(p, base + 1).await.unwrap().unwrap();
    assert!(all.iter().map(|c| c.version).eq(base + 2..=base + kept + 1));
    let last = seats.changes_after(p, base + kept).await.unwrap().unwrap();
    assert_eq!((last.len(), last[0].version, &last[0].seats[..]), (1, base + kept + 1, &[(1, SeatState::Sold)][..]));
    assert_eq!(seats.changes_after(p, base + kept + 2).await, Ok(None));
}

async fn holds_end_in_the_order_of_their_ends(seats: Seats) {
    let (p, base) = opened(&seats, 1, 10).await;
    let mut ends = Vec::new();
    for (seat, times) in [(0, 3), (1, 1), (2, 2)] {
        let hold = seats.hold(p, brief(seat, 1, &[seat], SHORT_MS * times * 2)).await.unwrap().unwrap();
        ends.push((hold.until, hold.id, seat));
    }
    seats.hold(p, ask(3, 1, &[3])).await.unwrap().unwrap();
    ends.sort();
    until_free(&seats, p, ends[2].2).await;
    let told = seats.changes_after(p, base).await.unwrap().unwrap();
    let freed: Vec<_> = told.iter().flat_map(|c| c.seats.clone()).filter(|c| c.1 == SeatState::Available).collect();
    assert_eq!(freed, ends.iter().map(|e| (e.2, SeatState::Available)).collect::<Vec<_>>());
    assert_eq!(state(&seats, p, 3).await, SeatState::Held);
    // What has ended counts no more.
    seats.hold(p, ask(4, 1, &[0, 1, 2])).await.unwrap().unwrap();
}

async fn an_ended_hold_is_nobodys_even_before_it_is_freed(seats: Seats) {
    let (p, base) = opened(&seats, 1, 10).await;
    let request = brief(1, 1, &[0, 1], SHORT_MS);
    let a = seats.hold(p, request.clone()).await.unwrap().unwrap();
    until_ended(&seats, a.id).await;
    assert_eq!(state(&seats, p, 0).await, SeatState::Held);
    assert_eq!(seats.order(p, a.id, user(1), order_id(1)).await, Ok(Err(HoldGone::NotFound)));
    assert_eq!(seats.snapshot(p).await.unwrap().version, base + 2);
    // The answer is remembered longer than the hold lasts.
    assert_eq!(seats.hold(p, request).await, Ok(Ok(a.clone())));
    let b = seats.hold(p, brief(2, 2, &[0, 1], SHORT_MS)).await.unwrap().unwrap();
    assert!(b.fence > a.fence);
    until_ended(&seats, b.id).await;
    assert_eq!(seats.release(p, b.id, user(2)).await, Ok(Err(HoldGone::NotFound)));
    let c = seats.hold(p, brief(3, 3, &[0, 1], SHORT_MS)).await.unwrap().unwrap();
    until_ended(&seats, c.id).await;
    // The next buyer need not wait for a ticker.
    seats.hold(p, ask(4, 4, &[1])).await.unwrap().unwrap();
    assert_eq!(seats.snapshot(p).await.unwrap().version, base + 7);
}

async fn the_clock_does_not_end_an_order(seats: Seats) {
    let (p, _) = opened(&seats, 1, 10).await;
    // Long enough to be ordered in time on a busy machine.
    let a = seats.hold(p, brief(1, 1, &[0], 1_000)).await.unwrap().unwrap();
    let ordered = seats.order(p, a.id, user(1), order_id(1)).await.unwrap().unwrap();
    seats.hold(p, brief(2, 2, &[1], 1_000)).await.unwrap().unwrap();
    until_free(&seats, p, 1).await;
    assert_eq!(state(&seats, p, 0).await, SeatState::Held);
    assert_eq!(seats.find_hold(a.id).await, Ok(Some((p, ordered))));
    seats.undo_order(p, a.id, order_id(1)).await.unwrap();
    assert_eq!(state(&seats, p, 0).await, SeatState::Available);
}

async fn many_holds_end_at_once(seats: Seats) {
    const MANY: u32 = 1_100;
    let (p, base) = opened(&seats, 1, MANY).await;
    let mut tasks = JoinSet::new();
    for n in 0..MANY {
        let seats = seats.clone();
        tasks.spawn(async move { seats.hold(p, brief(n, n, &[n], 1_000)).await.unwrap().unwrap() });
    }
    let last = tasks.join_all().await.into_iter().max_by_key(|h| (h.until, h.id)).unwrap();
    until_ended(&seats, last.id).await;
    until_free(&seats, p, last.seats[0]).await;
    let after = seats.snapshot(p).await.unwrap();
    assert!(after.seats.iter().all(|s| *s == SeatState::Available));
    assert_eq!(after.version, base + 2 * i64::from(MANY));
}

async fn a_reader_waits_for_the_next_change(seats: Seats) {
    let (p, base) = opened(&seats, 1, 10).await;
    let began = Instant::now();
    let pause = Duration::from_millis(60);
    seats.wait_change(p, base, pause).await.unwrap();
    assert!(began.elapsed() >= pause);
    let waiting = tokio::spawn({
        let seats = seats.clone();
        async move { seats.wait_change(p, base, BOUND * 2).await }
    });
    seats.hold(p, ask(1, 1, &[0])).await.unwrap().unwrap();
    tokio::time::timeout(BOUND, waiting).await.unwrap().unwrap().unwrap();
    tokio::time::timeout(BOUND, seats.wait_change(p, base, BOUND * 2)).await.unwrap().unwrap();
}

/// 200 buyers after 50 seats, two at once and then one: each seat goes to one hold, and the stream tells the same.
async fn a_crowd_gets_each_seat_once(seats: Seats) {
    const BUYERS: u32 = 200;
    const SEATS: u32 = 50;
    let (p, base) = opened(&seats, 1, SEATS).await;
    let mut tasks = JoinSet::new();
    for buyer in 0..BUYERS {
        let seats = seats.clone();
        tasks.spawn(async move {
            let first = buyer % (SEATS - 1);
            let mut wishes = vec![vec![first, first + 1]];
            wishes.extend((0..SEATS).map(|n| vec![(first + n) % SEATS]));
            for (n, wish) in (0u32..).zip(wishes) {
                match seats.hold(p, ask(buyer * 100 + n, buyer, &wish)).await.unwrap() {
                    Ok(hold) => return Some(hold),
                    Err(HoldRefusal::Taken(taken)) => {
                        assert!(!taken.is_empty() && taken.iter().all(|s| wish.contains(s)));
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
            None
        });
    }
    let mut holds: Vec<Hold> = tasks.join_all().await.into_iter().flatten().collect();
    holds.sort_by_key(|h| h.fence);
    let mut owners = BTreeMap::new();
    for hold in &holds {
        for seat in &hold.seats {
            assert_eq!(owners.insert(*seat, hold.id), None, "seat {seat} is held twice");
        }
    }
    assert!(owners.into_keys().eq(0..SEATS));
    // First come, first served: the stream, the versions and the fences agree on the order.
    let told = seats.changes_after(p, base).await.unwrap().unwrap();
    assert_eq!(told.len(), holds.len());
    for ((change, hold), n) in told.iter().zip(&holds).zip(1..) {
        assert_eq!((change.version, hold.fence), (base + n, base + n));
        assert!(change.seats.iter().copied().eq(hold.seats.iter().map(|s| (*s, SeatState::Held))));
    }
}

#[tokio::test]
async fn an_emptied_redis_is_loaded_again_and_readers_start_anew() {
    let server = Server::start();
    let seats = server.seats().await;
    let (p, base) = opened(&seats, 1, 4).await;
    let sold = seats.hold(p, ask(1, 1, &[0])).await.unwrap().unwrap();
    seats.order(p, sold.id, user(1), order_id(1)).await.unwrap().unwrap();
    seats.settle(p, sold.id, &[0], SeatState::Sold).await.unwrap();
    let lost = seats.hold(p, ask(2, 2, &[1])).await.unwrap().unwrap();
    server.flush().await;
    assert_eq!(seats.snapshot(p).await, Err(Error::NotLoaded));
    assert_eq!(seats.order(p, lost.id, user(2), order_id(2)).await, Err(Error::NotLoaded));
    assert_eq!(seats.find_hold(lost.id).await, Ok(None));
    assert_eq!(seats.wait_change(p, base + 3, BOUND).await, Err(Error::NotLoaded));
    seats.expire_due().await.unwrap();
    seats.load(p, 4, &[Claim { seat: 0, sold: true }], lost.fence).await.unwrap();
    let after = seats.snapshot(p).await.unwrap();
    assert_eq!(after.seats[..2], [SeatState::Sold, SeatState::Available]);
    assert!(after.version > base + 3);
    assert_eq!(seats.changes_after(p, base + 3).await, Ok(None));
    assert_eq!(seats.order(p, lost.id, user(2), order_id(2)).await, Ok(Err(HoldGone::NotFound)));
    assert!(seats.hold(p, ask(2, 2, &[1])).await.unwrap().unwrap().fence > lost.fence);
}

#[tokio::test]
async fn another_replica_frees_what_a_lost_one_held() {
    let server = Server::start();
    let (lost, here) = (server.seats().await, server.seats().await);
    let (p, _) = opened(&lost, 1, 4).await;
    let hold = lost.hold(p, brief(1, 1, &[0], SHORT_MS)).await.unwrap().unwrap();
    drop(lost);
    until_ended(&here, hold.id).await;
    assert_eq!(until_free(&here, p, 0).await, 1);
}

#[tokio::test]
async fn a_redis_that_is_gone_is_an_error() {
    let server = Server::start();
    let seats = server.seats().await;
    let (p, _) = opened(&seats, 1, 4).await;
    drop(server);
    for answer in [seats.ping().await, seats.snapshot(p).await.map(drop)] {
        assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
    }
}
