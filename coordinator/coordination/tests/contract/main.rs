//! One contract for all stores: each scenario runs in memory, on one Redis, behind sentinels and on a cluster.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod failover;
mod model;
mod rankings;
mod server;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nugul_coordination::{Error, Seats};
use nugul_domain::{
    EventId, HoldId, OrderId, PerformanceId, Region, SeatIndex, SeatState, Timestamp, UserId,
    seat_book::{
        BlockRefusal, Claim, Correction, ExtendRefusal, ExtendRequest, HISTORY_MAX, Hold, HoldGone, HoldRefusal,
        HoldRequest, Load, ReleaseRefusal, ReleaseRequest, SwapRefusal, SwapRequest,
    },
};
use nugul_platform::Redis;
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

/// What SQL says of a seat of order and hold `n` of buyer `by`.
fn claim(seat: SeatIndex, n: u32, by: u32, sold: bool) -> Claim {
    Claim { seat, sold, order: order_id(n), hold: hold_id(n), user: user(by), fence: 1 }
}

fn hall(seat_count: u32, claims: Vec<Claim>) -> Load {
    Load { seat_count, claims, ..Load::default() }
}

fn swap(hold: u32, by: u32, give: &[SeatIndex], take: &[SeatIndex], key: &str) -> SwapRequest {
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

fn later(hold: HoldId, by: u32, ttl_ms: i64, key: &str) -> ExtendRequest {
    ExtendRequest { hold, user: user(by), key: key.to_owned(), digest: format!("later {hold}"), ttl_ms }
}

fn back(hold: HoldId, by: u32) -> ReleaseRequest {
    ReleaseRequest { hold, user: user(by), key: format!("back {hold}"), digest: "back".into() }
}

/// Marks the order and hold `n` of buyer `by` as sold or given back.
async fn settle(seats: &Seats, p: PerformanceId, n: u32, by: u32, some: &[SeatIndex], state: SeatState) {
    seats.settle(p, hold_id(n), order_id(n), user(by), some, state).await.unwrap();
}

/// A loaded book; its performance and first version.
async fn opened(seats: &Seats, n: u32, count: u32) -> (PerformanceId, i64) {
    let p = performance(n);
    seats.load(p, hall(count, Vec::new())).await.unwrap();
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

macro_rules! everywhere {
    (@$module:ident, $kind:ident, $($name:ident),+) => {
        mod $module {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let server = super::Server::shared(super::Redis::$kind).await;
                super::$name(server.seats().await).await;
            }
        )+}
    };
    ($($name:ident),+ $(,)?) => {
        mod in_memory {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::memory()).await;
            }
        )+}
        everywhere!(@in_redis, Single, $($name),+);
        everywhere!(@behind_sentinels, Sentinel, $($name),+);
        everywhere!(@in_a_cluster, Cluster, $($name),+);
    };
}

everywhere! {
    nothing_is_there_before_it_is_loaded,
    a_book_is_loaded_once_from_what_sql_knows,
    a_loaded_order_is_as_it_was,
    what_was_bought_counts_until_it_is_refunded,
    an_end_is_put_off_once,
    a_swap_is_one_change_or_none,
    a_blocked_seat_is_not_for_sale,
    an_audit_tells_who_has_what,
    a_correction_spares_live_holds_and_what_changed_meanwhile,
    a_refusal_names_the_seats_and_takes_none,
    the_same_key_gets_the_same_answer,
    a_hold_is_found_until_it_is_gone,
    a_hold_that_was_doubtful_is_one_like_any_other,
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
    holds_asked_for_at_once_are_what_they_are_one_after_the_other,
    holds_ordered_at_once_become_one_order_each,
    orders_settled_at_once_are_what_they_are_one_after_the_other,
    a_seat_settled_twice_at_once_is_told_twice,
    who_leaves_takes_nobody_elses_hold_along,
    a_release_asked_for_again_leaves_the_next_holder_alone,
    what_a_buyer_holds_in_an_event_is_counted_until_it_ends,
    a_book_that_was_let_go_is_loaded_again,
}

async fn a_release_asked_for_again_leaves_the_next_holder_alone(seats: Seats) {
    let (p, base) = opened(&seats, 1, 4).await;
    let first = seats.hold(p, ask(1, 1, &[2])).await.unwrap().unwrap();
    seats.release(p, back(first.id, 1)).await.unwrap().unwrap();
    let next = seats.hold(p, ask(2, 1, &[2])).await.unwrap().unwrap();
    assert_eq!(seats.performance_of(first.id).await, Ok(Some(p)));
    assert_eq!(seats.release(p, back(first.id, 1)).await, Ok(Ok(())));
    let reused = ReleaseRequest { hold: next.id, ..back(first.id, 1) };
    assert_eq!(
        seats.release(p, ReleaseRequest { digest: "other".into(), ..reused }).await,
        Ok(Err(ReleaseRefusal::KeyReused))
    );
    let fresh = ReleaseRequest { key: "fresh".into(), ..back(first.id, 1) };
    assert_eq!(seats.release(p, fresh).await, Ok(Err(ReleaseRefusal::Gone(HoldGone::NotFound))));
    assert_eq!(seats.find_hold(next.id).await, Ok(Some((p, next))));
    assert_eq!(seats.snapshot(p).await.unwrap().version, base + 3);
    assert_eq!(seats.performance_of(hold_id(9)).await, Ok(None));
}

async fn what_a_buyer_holds_in_an_event_is_counted_until_it_ends(seats: Seats) {
    let event = |n| EventId::new(Region(0), Timestamp::from_millis(1), random(n));
    let count = async |e: u32, by: u32, hold: u32, some: usize, ttl_ms: i64| {
        seats.count_held(event(e), user(by), hold_id(hold), some, ttl_ms, 6).await.unwrap()
    };
    assert_eq!(count(1, 1, 1, 4, LONG_MS).await, Some(0));
    assert_eq!(count(1, 1, 2, 3, LONG_MS).await, None);
    assert_eq!(count(1, 1, 2, 2, LONG_MS).await, Some(4));
    // Other buyers and other events are counted apart; the same hold again is the same hold.
    assert_eq!(count(1, 2, 3, 6, LONG_MS).await, Some(0));
    assert_eq!(count(2, 1, 4, 6, LONG_MS).await, Some(0));
    assert_eq!(count(1, 1, 1, 4, LONG_MS).await, Some(2));
    assert_eq!(count(1, 1, 1, 5, LONG_MS).await, None);
    assert_eq!(count(1, 1, 1, 0, 0).await, Some(2));
    assert_eq!(count(1, 1, 5, 4, SHORT_MS).await, Some(2));
    let end = Instant::now() + BOUND;
    while count(1, 1, 6, 4, LONG_MS).await.is_none() {
        assert!(Instant::now() < end, "what has ended is still counted");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn a_book_that_was_let_go_is_loaded_again(seats: Seats) {
    let (p, _) = opened(&seats, 1, 4).await;
    let (other, _) = opened(&seats, 2, 4).await;
    let hold = seats.hold(p, ask(1, 1, &[2])).await.unwrap().unwrap();
    seats.forget(p).await.unwrap();
    assert_eq!(seats.snapshot(p).await, Err(Error::NotLoaded));
    assert_eq!(seats.find_hold(hold.id).await, Ok(None));
    assert_eq!(state(&seats, other, 2).await, SeatState::Available);
    seats.load(p, hall(4, vec![claim(3, 9, 1, true)])).await.unwrap();
    let again = seats.audit(p).await.unwrap();
    assert_eq!((again.seats[2], again.seats[3], again.holds), (SeatState::Available, SeatState::Sold, vec![]));
}

async fn nothing_is_there_before_it_is_loaded(seats: Seats) {
    let p = performance(1);
    seats.ping().await.unwrap();
    assert_eq!(seats.snapshot(p).await, Err(Error::NotLoaded));
    assert_eq!(seats.changes_after(p, 0).await, Err(Error::NotLoaded));
    assert_eq!(seats.hold(p, ask(1, 1, &[0])).await, Err(Error::NotLoaded));
    assert_eq!(seats.order(p, hold_id(1), user(1), order_id(1)).await, Err(Error::NotLoaded));
    assert_eq!(seats.undo_order(p, hold_id(1), order_id(1)).await, Err(Error::NotLoaded));
    assert_eq!(seats.release(p, back(hold_id(1), 1)).await, Err(Error::NotLoaded));
    assert_eq!(seats.settle(p, hold_id(1), order_id(1), user(1), &[0], SeatState::Sold).await, Err(Error::NotLoaded));
    assert_eq!(seats.swap(p, swap(1, 1, &[0], &[1], "a")).await, Err(Error::NotLoaded));
    assert_eq!(seats.extend(p, later(hold_id(1), 1, LONG_MS, "a")).await, Err(Error::NotLoaded));
    assert_eq!(seats.block(p, &[0]).await, Err(Error::NotLoaded));
    assert_eq!(seats.unblock(p, &[0]).await, Err(Error::NotLoaded));
    assert_eq!(seats.audit(p).await, Err(Error::NotLoaded));
    assert_eq!(seats.correct(p, None, &[Correction::Free(0)]).await, Err(Error::NotLoaded));
    assert_eq!(seats.wait_change(p, 0, BOUND).await, Err(Error::NotLoaded));
    assert_eq!(seats.find_hold(hold_id(1)).await, Ok(None));
    assert_eq!(seats.expire_due().await, Ok(0));
}

async fn a_book_is_loaded_once_from_what_sql_knows(seats: Seats) {
    let p = performance(1);
    let floor = wall_clock().as_millis() * 2_000;
    let claims = vec![claim(1, 1, 1, true), claim(2, 2, 2, false), claim(9, 3, 1, true), claim(3, 2, 2, false)];
    let load = Load { claims, blocked: vec![0, 1, 9], fence_floor: floor, seat_count: 5 };
    seats.load(p, load).await.unwrap();
    let first = seats.audit(p).await.unwrap();
    let held = SeatState::Held;
    assert_eq!(first.seats, [SeatState::Blocked, SeatState::Sold, held, held, SeatState::Available]);
    assert!(first.version > 0);
    assert_eq!(seats.snapshot(p).await.unwrap().version, first.version);
    seats.load(p, hall(8, Vec::new())).await.unwrap();
    assert_eq!(seats.audit(p).await.unwrap(), first);
    assert_eq!(seats.hold(p, ask(9, 9, &[4])).await.unwrap().unwrap().fence, floor + 1);
    seats.load(performance(2), hall(0, Vec::new())).await.unwrap();
    assert_eq!(seats.snapshot(performance(2)).await.unwrap().seats, []);
    let mut known = seats.performances();
    known.sort();
    assert_eq!(known, [p, performance(2)]);
}

async fn a_loaded_order_is_as_it_was(seats: Seats) {
    let p = performance(1);
    let mut claims: Vec<_> = (0..3).map(|seat| claim(seat, 1, 1, false)).collect();
    claims.push(claim(3, 2, 1, true));
    seats.load(p, hall(9, claims)).await.unwrap();
    let (at, hold) = seats.find_hold(hold_id(1)).await.unwrap().unwrap();
    assert_eq!((at, hold.user, hold.order_id(), hold.fence), (p, user(1), Some(order_id(1)), 1));
    assert_eq!(hold.seats, [0, 1, 2]);
    assert!(wall_clock().as_millis() - hold.order.unwrap().since.as_millis() < BOUND.as_millis().try_into().unwrap());
    seats.expire_due().await.unwrap();
    assert_eq!(seats.order(p, hold.id, user(1), order_id(1)).await, Ok(Ok(hold.clone())));
    let ordered = Ok(Err(ReleaseRefusal::Gone(HoldGone::Ordered(order_id(1)))));
    assert_eq!(seats.release(p, back(hold.id, 1)).await, ordered);
    assert_eq!(seats.hold(p, ask(5, 1, &[4])).await, Ok(Err(HoldRefusal::OverLimit)));
    seats.undo_order(p, hold.id, order_id(1)).await.unwrap();
    assert_eq!(seats.find_hold(hold.id).await, Ok(None));
    assert_eq!(seats.hold(p, ask(6, 1, &[0, 1, 2, 4])).await, Ok(Err(HoldRefusal::OverLimit)));
    seats.hold(p, ask(7, 1, &[0, 1, 2])).await.unwrap().unwrap();
}

async fn what_was_bought_counts_until_it_is_refunded(seats: Seats) {
    let (p, base) = opened(&seats, 1, 10).await;
    seats.hold(p, ask(1, 1, &[0, 1, 2])).await.unwrap().unwrap();
    seats.order(p, hold_id(1), user(1), order_id(1)).await.unwrap().unwrap();
    settle(&seats, p, 1, 1, &[0, 1, 2], SeatState::Sold).await;
    assert_eq!(seats.hold(p, ask(2, 1, &[3, 4])).await, Ok(Err(HoldRefusal::OverLimit)));
    settle(&seats, p, 1, 1, &[1], SeatState::Available).await;
    seats.hold(p, ask(3, 1, &[3, 4])).await.unwrap().unwrap();
    // Told again, late: what it freed is another's now.
    seats.hold(p, ask(4, 2, &[1])).await.unwrap().unwrap();
    let before = seats.audit(p).await.unwrap();
    settle(&seats, p, 1, 1, &[0, 1, 2], SeatState::Sold).await;
    settle(&seats, p, 1, 1, &[1], SeatState::Available).await;
    settle(&seats, p, 2, 1, &[0], SeatState::Available).await;
    settle(&seats, p, 1, 2, &[0], SeatState::Available).await;
    settle(&seats, p, 1, 1, &[0], SeatState::Blocked).await;
    assert_eq!(seats.audit(p).await.unwrap(), before);
    assert_eq!(before.version, base + 5);
    // A seat that the book took for free, sold in SQL.
    settle(&seats, p, 9, 9, &[7], SeatState::Sold).await;
    assert_eq!(seats.hold(p, ask(9, 9, &[5, 6, 8, 9])).await, Ok(Err(HoldRefusal::OverLimit)));
}

async fn an_end_is_put_off_once(seats: Seats) {
    let (p, base) = opened(&seats, 1, 4).await;
    let hold = seats.hold(p, brief(1, 1, &[0], LONG_MS)).await.unwrap().unwrap();
    let gone = Ok(Err(ExtendRefusal::Gone(HoldGone::NotFound)));
    assert_eq!(seats.extend(p, later(hold.id, 2, LONG_MS, "a")).await, gone);
    let request = later(hold.id, 1, 2 * LONG_MS, "a");
    let put_off = seats.extend(p, request.clone()).await.unwrap().unwrap();
    assert_eq!(put_off, Hold { until: put_off.until, extended: true, ..hold.clone() });
    assert!(put_off.until.as_millis() >= hold.until.as_millis() + LONG_MS);
    assert_eq!(seats.find_hold(hold.id).await, Ok(Some((p, put_off.clone()))));
    assert_eq!(seats.extend(p, request.clone()).await, Ok(Ok(put_off.clone())));
    let answered = seats.answered(p, user(1), &request.key, &request.digest).await;
    assert_eq!(answered, Ok(Some(Ok(put_off))));
    assert_eq!(seats.answered(p, user(1), &request.key, "other").await, Ok(Some(Err(HoldRefusal::KeyReused))));
    assert_eq!(seats.answered(p, user(2), &request.key, &request.digest).await, Ok(None));
    assert_eq!(seats.extend(p, later(hold_id(9), 1, LONG_MS, "a")).await, Ok(Err(ExtendRefusal::KeyReused)));
    assert_eq!(seats.extend(p, later(hold.id, 1, LONG_MS, "b")).await, Ok(Err(ExtendRefusal::Already)));
    // The end that counts is the later one, and it does come.
    let short = seats.hold(p, brief(2, 2, &[1], LONG_MS)).await.unwrap().unwrap();
    seats.extend(p, later(short.id, 2, SHORT_MS, "a")).await.unwrap().unwrap();
    until_free(&seats, p, 1).await;
    assert_eq!(seats.extend(p, later(short.id, 2, LONG_MS, "b")).await, gone);
    assert_eq!(state(&seats, p, 0).await, SeatState::Held);
    seats.order(p, hold.id, user(1), order_id(1)).await.unwrap().unwrap();
    let ordered = Ok(Err(ExtendRefusal::Gone(HoldGone::Ordered(order_id(1)))));
    assert_eq!(seats.extend(p, later(hold.id, 1, LONG_MS, "c")).await, ordered);
    assert_eq!(seats.snapshot(p).await.unwrap().version, base + 3);
}

async fn a_swap_is_one_change_or_none(seats: Seats) {
    let (p, base) = opened(&seats, 1, 12).await;
    let first = seats.hold(p, ask(1, 1, &[1, 2])).await.unwrap().unwrap();
    seats.hold(p, ask(2, 2, &[5])).await.unwrap().unwrap();
    let before = seats.audit(p).await.unwrap();
    let refused = |refusal| Ok(Err(SwapRefusal::Seats(refusal)));
    let taken = refused(HoldRefusal::Taken(vec![2, 5]));
    assert_eq!(seats.swap(p, swap(1, 1, &[1], &[2, 4, 5], "a")).await, taken);
    assert_eq!(seats.swap(p, swap(1, 1, &[1, 5], &[3], "a")).await, Ok(Err(SwapRefusal::NotHeld(vec![5]))));
    assert_eq!(seats.swap(p, swap(1, 1, &[1, 2], &[], "a")).await, refused(HoldRefusal::NoSuchSeat));
    assert_eq!(seats.swap(p, swap(1, 1, &[], &[], "a")).await, refused(HoldRefusal::NoSuchSeat));
    assert_eq!(seats.swap(p, swap(1, 1, &[1], &[12], "a")).await, refused(HoldRefusal::NoSuchSeat));
    assert_eq!(seats.swap(p, swap(1, 1, &[], &[3, 4, 6], "a")).await, refused(HoldRefusal::OverLimit));
    let gone = Ok(Err(SwapRefusal::Gone(HoldGone::NotFound)));
    assert_eq!(seats.swap(p, swap(1, 2, &[1], &[3], "a")).await, gone);
    let narrow = SwapRequest { hold_limit: 2, ..swap(1, 1, &[], &[3], "a") };
    assert_eq!(seats.swap(p, narrow).await, refused(HoldRefusal::OverLimit));
    assert_eq!(seats.audit(p).await.unwrap(), before);
    let request = swap(1, 1, &[2], &[0, 3, 10], "a");
    let swapped = seats.swap(p, request.clone()).await.unwrap().unwrap();
    assert_eq!(swapped, Hold { seats: vec![0, 1, 3, 10], fence: base + 3, ..first.clone() });
    let told = seats.changes_after(p, before.version).await.unwrap().unwrap();
    let held = |seat| (seat, SeatState::Held);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].seats, [(2, SeatState::Available), held(0), held(3), held(10)]);
    assert_eq!(seats.swap(p, request).await, Ok(Ok(swapped)));
    assert_eq!(seats.swap(p, swap(1, 1, &[0], &[7], "a")).await, refused(HoldRefusal::KeyReused));
    // A swap for fewer gives the buyer room again.
    seats.swap(p, swap(1, 1, &[0, 1], &[2], "b")).await.unwrap().unwrap();
    assert_eq!(seats.hold(p, ask(3, 1, &[6, 7])).await, Ok(Err(HoldRefusal::OverLimit)));
    seats.hold(p, ask(4, 1, &[6])).await.unwrap().unwrap();
    seats.order(p, first.id, user(1), order_id(1)).await.unwrap().unwrap();
    let ordered = Ok(Err(SwapRefusal::Gone(HoldGone::Ordered(order_id(1)))));
    assert_eq!(seats.swap(p, swap(1, 1, &[2], &[8], "c")).await, ordered);
}

async fn a_blocked_seat_is_not_for_sale(seats: Seats) {
    let (p, base) = opened(&seats, 1, 9).await;
    seats.hold(p, ask(1, 1, &[1])).await.unwrap().unwrap();
    assert_eq!(seats.block(p, &[0, 1]).await, Ok(Err(BlockRefusal::Taken(vec![1]))));
    assert_eq!(seats.block(p, &[0, 9]).await, Ok(Err(BlockRefusal::NoSuchSeat)));
    assert_eq!(seats.block(p, &[0, 2, 3]).await, Ok(Ok(())));
    assert_eq!(seats.block(p, &[0, 2, 4]).await, Ok(Ok(())));
    assert_eq!(seats.hold(p, ask(2, 2, &[0, 5])).await, Ok(Err(HoldRefusal::Taken(vec![0]))));
    seats.unblock(p, &[0, 1, 5, 9]).await.unwrap();
    seats.unblock(p, &[]).await.unwrap();
    let told = seats.changes_after(p, base + 1).await.unwrap().unwrap();
    let told: Vec<_> = told.into_iter().map(|c| c.seats).collect();
    let blocked = |seat| (seat, SeatState::Blocked);
    let expected = [vec![blocked(0), blocked(2), blocked(3)], vec![blocked(4)], vec![(0, SeatState::Available)]];
    assert_eq!(told, expected);
}

async fn an_audit_tells_who_has_what(seats: Seats) {
    let (p, _) = opened(&seats, 1, 9).await;
    let a = seats.hold(p, ask(1, 1, &[1, 2])).await.unwrap().unwrap();
    let b = seats.hold(p, ask(2, 2, &[4])).await.unwrap().unwrap();
    let before = wall_clock();
    let a = seats.order(p, a.id, user(1), order_id(1)).await.unwrap().unwrap();
    let audit = seats.audit(p).await.unwrap();
    // Redis' clock and this one are the same machine's.
    assert!((before..=wall_clock()).contains(&a.order.unwrap().since));
    let snapshot = seats.snapshot(p).await.unwrap();
    assert_eq!((audit.version, audit.seats, audit.holds), (snapshot.version, snapshot.seats, vec![a, b]));
}

async fn a_correction_spares_live_holds_and_what_changed_meanwhile(seats: Seats) {
    let (p, base) = opened(&seats, 1, 9).await;
    seats.hold(p, ask(1, 1, &[1])).await.unwrap().unwrap();
    let read = seats.audit(p).await.unwrap().version;
    seats.block(p, &[2]).await.unwrap().unwrap();
    let wanted = [
        Correction::Free(1),
        Correction::Free(2),
        Correction::Claim(claim(3, 9, 3, true)),
        Correction::Claim(claim(4, 8, 3, false)),
        Correction::Free(5),
        Correction::Block(6),
        Correction::Free(9),
    ];
    assert_eq!(seats.correct(p, Some(base - 1), &wanted).await, Ok(vec![]), "too long ago to know");
    assert_eq!(seats.correct(p, Some(read), &wanted).await, Ok(vec![3, 4, 6]));
    assert_eq!(seats.snapshot(p).await.unwrap().version, base + 3);
    let told = seats.changes_after(p, base + 2).await.unwrap().unwrap().remove(0);
    assert_eq!(told.seats, [(3, SeatState::Sold), (4, SeatState::Held), (6, SeatState::Blocked)]);
    assert_eq!(seats.correct(p, None, &wanted).await, Ok(vec![2]));
    assert_eq!(seats.correct(p, None, &[]).await, Ok(vec![]));
    // The buyer has what was corrected, and not what was freed.
    assert_eq!(seats.hold(p, ask(2, 3, &[5, 7, 8])).await, Ok(Err(HoldRefusal::OverLimit)));
    assert_eq!(seats.correct(p, None, &[Correction::Free(3)]).await, Ok(vec![3]));
    seats.hold(p, ask(3, 3, &[5, 7, 8])).await.unwrap().unwrap();
    settle(&seats, p, 8, 3, &[4], SeatState::Sold).await;
    assert_eq!(state(&seats, p, 4).await, SeatState::Sold);
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
    seats.release(p, back(first.id, 1)).await.unwrap().unwrap();
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
    assert_eq!(ordered, Hold { order: ordered.order, ..a.clone() });
    assert_eq!(ordered.order_id(), Some(order_id(1)));
    assert_eq!(seats.find_hold(a.id).await, Ok(Some((p, ordered))));
    settle(&seats, p, 1, 1, &a.seats, SeatState::Sold).await;
    assert_eq!(seats.find_hold(a.id).await, Ok(None));
    seats.release(other, back(b.id, 1)).await.unwrap().unwrap();
    assert_eq!(seats.find_hold(b.id).await, Ok(None));
    assert_eq!(seats.find_hold(hold_id(9)).await, Ok(None));
}

async fn a_hold_that_was_doubtful_is_one_like_any_other(seats: Seats) {
    let (p, _) = opened(&seats, 1, 10).await;
    let a = seats.hold_doubtful(p, ask(1, 1, &[2, 3])).await.unwrap().unwrap();
    assert_eq!(seats.find_hold(a.id).await, Ok(Some((p, a))));
    assert_eq!(seats.hold_doubtful(p, ask(2, 2, &[3, 4])).await, Ok(Err(HoldRefusal::Taken(vec![3]))));
    assert_eq!(seats.find_hold(hold_id(2)).await, Ok(None));
    // The same id again, as whoever looks for the best seats does.
    let b = seats.hold(p, ask(2, 2, &[4])).await.unwrap().unwrap();
    assert_eq!(seats.find_hold(b.id).await, Ok(Some((p, b))));
}

async fn an_order_is_its_owners_and_made_once(seats: Seats) {
    let (p, base) = opened(&seats, 1, 10).await;
    let a = seats.hold(p, ask(1, 1, &[2, 3])).await.unwrap().unwrap();
    assert_eq!(seats.order(p, a.id, user(2), order_id(1)).await, Ok(Err(HoldGone::NotFound)));
    assert_eq!(seats.release(p, back(a.id, 2)).await, Ok(Err(ReleaseRefusal::Gone(HoldGone::NotFound))));
    let first = seats.order(p, a.id, user(1), order_id(1)).await.unwrap().unwrap();
    assert_eq!(seats.order(p, a.id, user(1), order_id(1)).await, Ok(Ok(first)));
    assert_eq!(seats.order(p, a.id, user(1), order_id(2)).await, Ok(Err(HoldGone::Ordered(order_id(1)))));
    assert_eq!(seats.release(p, back(a.id, 1)).await, Ok(Err(ReleaseRefusal::Gone(HoldGone::Ordered(order_id(1))))));
    // An order counts against the limit.
    assert_eq!(seats.hold(p, ask(2, 1, &[4, 5, 6])).await, Ok(Err(HoldRefusal::OverLimit)));
    settle(&seats, p, 1, 1, &a.seats, SeatState::Sold).await;
    assert_eq!(seats.snapshot(p).await.unwrap().version, base + 2);
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
    let sold = SeatState::Sold;
    settle(&seats, p, 1, 1, &[3, 1, 12], sold).await;
    settle(&seats, p, 1, 1, &[1, 3], sold).await;
    settle(&seats, p, 1, 1, &[1, 2, 3], sold).await;
    let told = seats.changes_after(p, base).await.unwrap().unwrap();
    let told: Vec<_> = told.into_iter().map(|c| (c.version - base, c.seats)).collect();
    assert_eq!(told, [(1, vec![(3, sold), (1, sold)]), (2, vec![(2, sold)])]);
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
        settle(&seats, p, 1, 1, &[1], to).await;
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
    assert_eq!(seats.release(p, back(b.id, 2)).await, Ok(Err(ReleaseRefusal::Gone(HoldGone::NotFound))));
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
    // What is done together may be told together.
    assert!(after.version > base + 1 && after.version <= base + 2 * i64::from(MANY));
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

/// Requests of several buyers at the same moment, in whatever order they come: the answers are those of one such order.
async fn holds_asked_for_at_once_are_what_they_are_one_after_the_other(seats: Seats) {
    const ROUNDS: u32 = 20;
    for round in 0..ROUNDS {
        let (p, base) = opened(&seats, round + 1, 12).await;
        let n = round * 100;
        let same = |id, digest: &str| HoldRequest { key: "same".into(), digest: digest.into(), ..ask(id, 1, &[0, 1]) };
        let requests = [
            same(n + 1, "one"),
            // Another buyer's key by the same name.
            HoldRequest { key: "same".into(), ..ask(n + 2, 2, &[2, 3]) },
            same(n + 3, "one"),
            same(n + 4, "another"),
            // Four seats are the limit: two of these three.
            ask(n + 5, 3, &[4, 5]),
            ask(n + 6, 3, &[6, 7]),
            ask(n + 7, 3, &[8, 9]),
            ask(n + 8, 4, &[10, 12]),
            // In conflict with each other, and nothing else.
            ask(n + 9, 5, &[10, 11]),
            ask(n + 10, 6, &[11]),
        ];
        let mut asked = JoinSet::new();
        for (i, request) in requests.into_iter().enumerate() {
            let seats = seats.clone();
            asked.spawn(async move { (i, seats.hold(p, request).await.unwrap()) });
        }
        let mut answers = asked.join_all().await;
        answers.sort_by_key(|(i, _)| *i);
        let answers: Vec<_> = answers.into_iter().map(|(_, answer)| answer).collect();
        let held = |some: &[usize]| some.iter().filter_map(|&i| answers[i].clone().ok()).collect::<Vec<Hold>>();
        let refused = |some: &[usize]| some.iter().filter_map(|&i| answers[i].clone().err()).collect::<Vec<_>>();
        match held(&[0, 2]).as_slice() {
            [one, again] => assert_eq!((one, &answers[3]), (again, &Err(HoldRefusal::KeyReused))),
            [] => assert!(answers[3].is_ok() && refused(&[0, 2]) == vec![HoldRefusal::KeyReused; 2]),
            other => panic!("one request, two answers: {other:?}"),
        }
        assert_eq!((held(&[4, 5, 6]).len(), refused(&[4, 5, 6])), (2, vec![HoldRefusal::OverLimit]));
        assert_eq!((answers[1].is_ok(), &answers[7]), (true, &Err(HoldRefusal::NoSuchSeat)));
        assert_eq!((held(&[8, 9]).len(), refused(&[8, 9])), (1, vec![HoldRefusal::Taken(vec![11])]));
        let made: BTreeMap<i64, Hold> = answers.iter().flatten().map(|hold| (hold.fence, hold.clone())).collect();
        let told = seats.changes_after(p, base).await.unwrap().unwrap();
        let told = told.iter().flat_map(|change| &change.seats).map(|(seat, _)| seat);
        assert!(told.eq(made.values().flat_map(|hold| &hold.seats)));
        for hold in made.into_values() {
            assert_eq!(seats.find_hold(hold.id).await, Ok(Some((p, hold))));
        }
    }
}

/// Each hold is asked for by its buyer with two orders, twice, by a stranger, and by nobody's name.
async fn holds_ordered_at_once_become_one_order_each(seats: Seats) {
    const HOLDS: u32 = 80;
    let (p, _) = opened(&seats, 1, HOLDS).await;
    for n in 0..HOLDS {
        seats.hold(p, ask(n, n, &[n])).await.unwrap().unwrap();
    }
    let mut asking = JoinSet::new();
    for n in 0..HOLDS {
        for (hold, by, order) in
            [(n, n, n), (n, n, HOLDS + n), (n, n, n), (n, n + 1, n), (n, n, HOLDS + n), (HOLDS + n, n, n)]
        {
            let seats = seats.clone();
            asking.spawn(async move {
                ((hold, by, order), seats.order(p, hold_id(hold), user(by), order_id(order)).await.unwrap())
            });
        }
    }
    let mut orders: BTreeMap<u32, Vec<OrderId>> = BTreeMap::new();
    for ((hold, by, order), answer) in asking.join_all().await {
        let became = match answer {
            Err(HoldGone::NotFound) => {
                assert!(hold >= HOLDS || by != hold, "hold {hold} of buyer {by} is there");
                continue;
            }
            Err(HoldGone::Ordered(first)) => {
                assert_ne!(first, order_id(order));
                first
            }
            Ok(hold) => {
                assert_eq!(hold.order_id(), Some(order_id(order)));
                order_id(order)
            }
        };
        assert!(hold < HOLDS && by == hold, "buyer {by} has hold {hold}");
        orders.entry(hold).or_default().push(became);
    }
    for n in 0..HOLDS {
        let told = orders.get(&n).map_or(&[][..], Vec::as_slice);
        assert!(told.len() == 4 && told.iter().all(|order| *order == told[0]), "{told:?}");
        let (_, hold) = seats.find_hold(hold_id(n)).await.unwrap().unwrap();
        assert_eq!((hold.order_id(), hold.seats), (Some(told[0]), vec![n]));
    }
}

async fn orders_settled_at_once_are_what_they_are_one_after_the_other(seats: Seats) {
    const ORDERS: u32 = 80;
    let (p, _) = opened(&seats, 1, ORDERS).await;
    for n in 0..ORDERS {
        seats.hold(p, ask(n, n, &[n])).await.unwrap().unwrap();
        seats.order(p, hold_id(n), user(n), order_id(n)).await.unwrap().unwrap();
    }
    let state_of = |n: u32| if n.is_multiple_of(2) { SeatState::Sold } else { SeatState::Available };
    let before = seats.snapshot(p).await.unwrap().version;
    let mut settling = JoinSet::new();
    for n in (0..ORDERS).chain(0..ORDERS) {
        let seats = seats.clone();
        settling.spawn(async move { settle(&seats, p, n, n, &[n], state_of(n)).await });
    }
    settling.join_all().await;
    assert!(seats.snapshot(p).await.unwrap().seats.into_iter().eq((0..ORDERS).map(state_of)));
    let changes = seats.changes_after(p, before).await.unwrap().unwrap();
    assert!(changes.iter().zip(before + 1..).all(|(change, n)| change.version == n));
    let told: BTreeMap<SeatIndex, SeatState> = changes.iter().flat_map(|change| change.seats.clone()).collect();
    assert!(told.into_iter().eq((0..ORDERS).map(|n| (n, state_of(n)))));
    assert_eq!(changes.iter().map(|change| change.seats.len()).sum::<usize>(), ORDERS as usize);
    // What was bought counts, what was given back does not.
    assert!(seats.hold(p, ask(ORDERS, 1, &[1, 3, 5, 7])).await.unwrap().is_ok());
    assert_eq!(seats.hold(p, ask(ORDERS + 1, 0, &[9, 11, 13, 15])).await.unwrap(), Err(HoldRefusal::OverLimit));
}

/// One seat given back and sold at the same moment: told in the order it happened, never twice in one change.
async fn a_seat_settled_twice_at_once_is_told_twice(seats: Seats) {
    const ROUNDS: u32 = 40;
    let (p, _) = opened(&seats, 1, ROUNDS).await;
    for n in 0..ROUNDS {
        settle(&seats, p, n, n, &[n], SeatState::Sold).await;
        let before = seats.snapshot(p).await.unwrap().version;
        // The first is nothing: the others wait for it, and are done together.
        let (nothing, free, sold) = (2 * ROUNDS + n, n, ROUNDS + n);
        let all = [(nothing, SeatState::Available), (free, SeatState::Available), (sold, SeatState::Sold)];
        let settled = all.map(|(order, state)| {
            let seats = seats.clone();
            tokio::spawn(async move { settle(&seats, p, order, order, &[n], state).await })
        });
        for done in settled {
            done.await.unwrap();
        }
        let changes = seats.changes_after(p, before).await.unwrap().unwrap();
        let told: Vec<_> = changes.into_iter().map(|change| change.seats).collect();
        let (free, sold) = (vec![(n, SeatState::Available)], vec![(n, SeatState::Sold)]);
        assert!(told == [free.clone()] || told == [free, sold], "{told:?}");
    }
}

async fn who_leaves_takes_nobody_elses_hold_along(seats: Seats) {
    const ROUNDS: u32 = 20;
    const BUYERS: u32 = 40;
    for round in 0..ROUNDS {
        let (p, _) = opened(&seats, round + 1, 2 * BUYERS).await;
        let asked: Vec<_> = (0..BUYERS)
            .map(|n| {
                let seats = seats.clone();
                let request = ask(round * BUYERS + n, n, &[2 * n, 2 * n + 1]);
                tokio::spawn(async move { seats.hold(p, request).await })
            })
            .collect();
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        let (leave, stay): (Vec<_>, Vec<_>) = (0..BUYERS).zip(asked).partition(|(n, _)| (n + round) % 3 == 0);
        for (_, one) in &leave {
            one.abort();
        }
        for (n, one) in stay {
            let hold = one.await.unwrap().unwrap().unwrap();
            assert_eq!(hold.seats, [2 * n, 2 * n + 1]);
        }
        for (_, one) in leave {
            // Made or not, but never by halves.
            let _ = one.await;
        }
        let audit = seats.audit(p).await.unwrap();
        let held: BTreeSet<SeatIndex> = audit.holds.iter().flat_map(|hold| hold.seats.clone()).collect();
        let is_held = |seat: &SeatIndex| audit.seats[*seat as usize] == SeatState::Held;
        assert!((0..2 * BUYERS).all(|seat| held.contains(&seat) == is_held(&seat)));
    }
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
    // First come, first served: the stream, the versions and the fences agree on the order. Holds made together are told together.
    let told = seats.changes_after(p, base).await.unwrap().unwrap();
    assert!(told.len() <= holds.len() && told.iter().zip(base + 1..).all(|(change, n)| change.version == n));
    assert!(holds.iter().zip(base + 1..).all(|(hold, n)| hold.fence == n));
    let held = holds.iter().flat_map(|hold| &hold.seats).map(|seat| (*seat, SeatState::Held));
    assert!(told.iter().flat_map(|change| change.seats.iter().copied()).eq(held));
}

#[tokio::test]
async fn an_emptied_redis_is_loaded_again_and_readers_start_anew() {
    let server = Server::shared(Redis::Single).await;
    let seats = server.seats().await;
    let (p, base) = opened(&seats, 1, 4).await;
    let sold = seats.hold(p, ask(1, 1, &[0])).await.unwrap().unwrap();
    seats.order(p, sold.id, user(1), order_id(1)).await.unwrap().unwrap();
    settle(&seats, p, 1, 1, &[0], SeatState::Sold).await;
    let lost = seats.hold(p, ask(2, 2, &[1])).await.unwrap().unwrap();
    server.set.flush().unwrap();
    assert_eq!(seats.snapshot(p).await, Err(Error::NotLoaded));
    assert_eq!(seats.order(p, lost.id, user(2), order_id(2)).await, Err(Error::NotLoaded));
    assert_eq!(seats.find_hold(lost.id).await, Ok(None));
    assert_eq!(seats.wait_change(p, base + 3, BOUND).await, Err(Error::NotLoaded));
    seats.expire_due().await.unwrap();
    seats.load(p, Load { fence_floor: lost.fence, ..hall(4, vec![claim(0, 1, 1, true)]) }).await.unwrap();
    let after = seats.snapshot(p).await.unwrap();
    assert_eq!(after.seats[..2], [SeatState::Sold, SeatState::Available]);
    assert!(after.version > base + 3);
    assert_eq!(seats.changes_after(p, base + 3).await, Ok(None));
    assert_eq!(seats.order(p, lost.id, user(2), order_id(2)).await, Ok(Err(HoldGone::NotFound)));
    assert!(seats.hold(p, ask(2, 2, &[1])).await.unwrap().unwrap().fence > lost.fence);
}

#[tokio::test]
async fn another_replica_frees_what_a_lost_one_held() {
    let server = Server::shared(Redis::Single).await;
    let (lost, here) = (server.seats().await, server.seats().await);
    let (p, _) = opened(&lost, 1, 4).await;
    let hold = lost.hold(p, brief(1, 1, &[0], SHORT_MS)).await.unwrap().unwrap();
    drop(lost);
    until_ended(&here, hold.id).await;
    assert_eq!(until_free(&here, p, 0).await, 1);
}

#[tokio::test]
async fn a_redis_that_is_gone_is_an_error() {
    let server = Server::start(Redis::Single);
    let seats = server.seats().await;
    let (p, _) = opened(&seats, 1, 4).await;
    drop(server);
    for answer in [seats.ping().await, seats.snapshot(p).await.map(drop)] {
        assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
    }
}
