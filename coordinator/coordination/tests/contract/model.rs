//! Random sequences of steps, compared step by step with the domain's seat book.

use nugul_coordination::Seats;
use nugul_domain::{
    PerformanceId, SeatIndex, SeatState, Timestamp,
    seat_book::{
        Audit, Change, Claim, Correction, ExtendRequest, Hold, HoldRequest, Load, Ordered, ReleaseRequest, SeatBook,
        SwapRequest,
    },
};
use nugul_platform::Redis;
use proptest::{
    prelude::*,
    test_runner::{TestError, TestRunner},
};

use crate::{LONG_MS, hold_id, memory, order_id, performance, server::Server, user};

const SEATS: u32 = 12;
const CASES: u32 = 128;
const STEPS: usize = 40;
/// The model's clock stands still, and no hold here ends: only the order of steps matters.
const NOW: Timestamp = Timestamp::from_millis(1_000_000);

#[derive(Clone, Debug)]
enum Step {
    Hold { user: u32, seats: Vec<SeatIndex>, key: u8, digest: u8 },
    Swap { hold: u32, user: u32, give: Vec<SeatIndex>, take: Vec<SeatIndex>, key: u8, digest: u8 },
    Extend { hold: u32, user: u32, key: u8, digest: u8 },
    Order { hold: u32, user: u32, order: u32 },
    Undo { hold: u32, order: u32 },
    Release { hold: u32, user: u32, key: u8, digest: u8 },
    Settle { hold: u32, user: u32, order: u32, seats: Vec<SeatIndex>, state: u8 },
    Block { seats: Vec<SeatIndex> },
    Unblock { seats: Vec<SeatIndex> },
    Correct { back: Option<u8>, corrections: Vec<(SeatIndex, u8, u32, u32, u32)> },
}

fn step() -> impl Strategy<Value = Step> {
    // One seat more than there are, rarely.
    let seat = || prop_oneof![30 => 0..SEATS, 1 => Just(SEATS)];
    let some = move || proptest::collection::btree_set(seat(), 1..4).prop_map(|s| s.into_iter().collect::<Vec<_>>());
    let (hold, user, order) = (|| 0u32..12, || 0u32..3, || 0u32..3);
    let correction = (seat(), 0u8..4, hold(), user(), order());
    prop_oneof![
        4 => (user(), some(), 0u8..12, 0u8..8).prop_map(|(user, seats, key, digest)| Step::Hold {
            user, seats, key, digest: digest / 7,
        }),
        4 => (hold(), user(), some(), some(), 0u8..12, 0u8..8).prop_map(|(hold, user, give, take, key, digest)| {
            // Mostly a key of its own, so that it does something.
            Step::Swap { hold, user, give, take, key: key * 20, digest: digest / 7 }
        }),
        2 => (hold(), user(), 0u8..12, 0u8..8).prop_map(|(hold, user, key, digest)| Step::Extend { hold, user, key, digest: digest / 7 }),
        3 => (hold(), user(), order()).prop_map(|(hold, user, order)| Step::Order { hold, user, order }),
        1 => (hold(), order()).prop_map(|(hold, order)| Step::Undo { hold, order }),
        2 => (hold(), user(), 0u8..12, 0u8..8).prop_map(|(hold, user, key, digest)| Step::Release { hold, user, key, digest: digest / 7 }),
        4 => (hold(), user(), order(), some(), 0u8..6).prop_map(|(hold, user, order, seats, state)| {
            // Mostly an outcome: sold or available.
            Step::Settle { hold, user, order, seats, state: if state > 3 { 2 * (state - 4) } else { state } }
        }),
        1 => some().prop_map(|seats| Step::Block { seats }),
        1 => some().prop_map(|seats| Step::Unblock { seats }),
        2 => (proptest::option::of(0u8..6), proptest::collection::vec(correction, 0..5))
            .prop_map(|(back, corrections)| Step::Correct { back, corrections }),
    ]
}

/// Fences relative to the load, those of SQL as they are; without the time.
fn plain(hold: Hold, base: i64) -> Hold {
    let order = hold.order.map(|o| Ordered { since: NOW, ..o });
    let fence = if hold.fence > base { hold.fence - base } else { -hold.fence };
    Hold { fence, until: NOW, order, ..hold }
}

fn plain_audit(audit: Audit, base: i64) -> Audit {
    let holds = audit.holds.into_iter().map(|h| plain(h, base)).collect();
    Audit { version: audit.version - base, holds, ..audit }
}

fn relative(changes: Option<Vec<Change>>, base: i64) -> Option<Vec<Change>> {
    changes.map(|all| all.into_iter().map(|c| Change { version: c.version - base, ..c }).collect())
}

async fn compare(seats: &Seats, p: PerformanceId, steps: Vec<Step>) -> Result<(), TestCaseError> {
    // Holds of one performance are not found by the ids of another's.
    let offset = holds_of(p);
    let claimed = |seat, sold, hold, by, order, fence| Claim {
        seat,
        sold,
        order: order_id(order),
        hold: hold_id(offset + hold),
        user: user(by),
        fence,
    };
    let load = Load {
        seat_count: SEATS,
        claims: vec![claimed(0, true, 0, 0, 0, 5), claimed(1, false, 1, 1, 1, 6), claimed(2, false, 1, 1, 1, 7)],
        blocked: vec![2, 3, SEATS],
        fence_floor: 9,
    };
    let mut model = SeatBook::load(&load, NOW);
    seats.load(p, load).await.unwrap();
    let (model_base, base) = (model.snapshot().version, seats.snapshot(p).await.unwrap().version);
    let mut holds = vec![hold_id(offset + 1)];
    for (n, step) in (0u32..).zip(steps) {
        let pick = |hold: u32| holds.get(hold as usize % holds.len().max(1)).copied().unwrap_or(hold_id(offset + hold));
        match step {
            Step::Hold { user: by, seats: wish, key, digest } => {
                let request = HoldRequest {
                    id: hold_id(offset + 1_000 + n),
                    user: user(by),
                    seats: wish,
                    key: format!("{{key}}: {key}"),
                    digest: format!("{digest}|"),
                    ttl_ms: LONG_MS,
                    limit: n as usize % 6,
                };
                let expected = model.hold(request.clone(), NOW).map(|h| plain(h, model_base));
                let got = seats.hold(p, request).await.unwrap().map(|h| plain(h, base));
                if let Ok(hold) = &got {
                    holds.push(hold.id);
                }
                prop_assert_eq!(got, expected);
            }
            Step::Swap { hold, user: by, give, take, key, digest } => {
                // Mostly seats the hold has.
                let had = model.hold_at(pick(hold), NOW).map(|h| h.seats.clone()).unwrap_or_default();
                let give = if key % 3 == 0 { give } else { had.into_iter().take(give.len() - 1).collect() };
                let request = SwapRequest {
                    hold: pick(hold),
                    user: user(by),
                    give,
                    take,
                    key: format!("{{key}}: {key}"),
                    digest: format!("{digest}|\n"),
                    limit: n as usize % 6,
                    hold_limit: 1 + n as usize % 4,
                };
                let expected = model.swap(request.clone(), NOW).map(|h| plain(h, model_base));
                prop_assert_eq!(seats.swap(p, request).await.unwrap().map(|h| plain(h, base)), expected);
            }
            Step::Extend { hold, user: by, key, digest } => {
                let request = ExtendRequest {
                    hold: pick(hold),
                    user: user(by),
                    key: format!("{{key}}: {key}"),
                    digest: format!("{digest}|"),
                    ttl_ms: LONG_MS,
                };
                let expected = model.extend(request.clone(), NOW).map(|h| plain(h, model_base));
                prop_assert_eq!(seats.extend(p, request).await.unwrap().map(|h| plain(h, base)), expected);
            }
            Step::Order { hold, user: by, order } => {
                let id = pick(hold);
                let expected = model.order(id, user(by), order_id(order), NOW).map(|h| plain(h, model_base));
                let got = seats.order(p, id, user(by), order_id(order)).await.unwrap().map(|h| plain(h, base));
                prop_assert_eq!(got, expected);
            }
            Step::Undo { hold, order } => {
                let (id, order) = (pick(hold), order_id(order));
                model.undo_order(id, order);
                seats.undo_order(p, id, order).await.unwrap();
            }
            Step::Release { hold, user: by, key, digest } => {
                let request = ReleaseRequest {
                    hold: pick(hold),
                    user: user(by),
                    key: format!("{{key}}: {key}"),
                    digest: format!("{digest}|"),
                };
                let expected = model.release(request.clone(), NOW);
                prop_assert_eq!(seats.release(p, request).await.unwrap(), expected);
            }
            Step::Settle { hold, user: by, order, seats: some, state } => {
                let (id, order, by, state) = (pick(hold), order_id(order), user(by), SeatState::from_bits(state));
                model.settle(id, order, by, &some, state);
                seats.settle(p, id, order, by, &some, state).await.unwrap();
            }
            Step::Block { seats: some } => {
                prop_assert_eq!(seats.block(p, &some).await.unwrap(), model.block(&some, NOW));
            }
            Step::Unblock { seats: some } => {
                model.unblock(&some);
                seats.unblock(p, &some).await.unwrap();
            }
            Step::Correct { back, corrections } => {
                let corrections: Vec<_> = corrections
                    .into_iter()
                    .map(|(seat, kind, hold, by, order)| match kind {
                        0 => Correction::Free(seat),
                        1 => Correction::Block(seat),
                        kind => Correction::Claim(claimed(seat, kind == 2, hold, by, order, i64::from(n))),
                    })
                    .collect();
                holds.extend(corrections.iter().filter_map(|c| match c {
                    Correction::Claim(claim) if !claim.sold => Some(claim.hold),
                    _ => None,
                }));
                let since = |version: i64| back.map(|b| version - i64::from(b));
                let expected = model.correct(since(model.version()), &corrections, NOW);
                let version = seats.snapshot(p).await.unwrap().version;
                prop_assert_eq!(seats.correct(p, since(version), &corrections).await.unwrap(), expected);
            }
        }
        let audit = plain_audit(seats.audit(p).await.unwrap(), base);
        prop_assert_eq!(audit, plain_audit(model.audit(), model_base));
        let (expected, got) = (model.snapshot(), seats.snapshot(p).await.unwrap());
        prop_assert_eq!(got.version - base, expected.version - model_base);
        prop_assert_eq!(got.seats, expected.seats);
        for after in [-1, 0, i64::from(n / 2), got.version - base, got.version - base + 1] {
            let told = relative(seats.changes_after(p, base + after).await.unwrap(), base);
            prop_assert_eq!(told, relative(model.changes_after(model_base + after), model_base), "after {}", after);
        }
        for id in &holds {
            let found = seats.find_hold(*id).await.unwrap().map(|(at, h)| (at, plain(h, base)));
            prop_assert_eq!(found, model.hold_at(*id, NOW).map(|h| (p, plain(h.clone(), model_base))));
        }
    }
    Ok(())
}

/// Where the numbers of a performance's holds start.
fn holds_of(p: PerformanceId) -> u32 {
    let bytes = p.to_bytes();
    u32::from(bytes[14]) << 24 | u32::from(bytes[15]) << 16
}

fn run(seats: &Seats, runtime: &tokio::runtime::Runtime) {
    let next = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) });
    let outcome = runner.run(&proptest::collection::vec(step(), 1..STEPS), |steps| {
        next.set(next.get() + 1);
        runtime.block_on(compare(seats, performance(next.get()), steps))
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, steps)) => panic!("{why}\nsteps: {steps:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

#[test]
fn memory_does_as_the_domain_says() {
    run(&memory(), &tokio::runtime::Runtime::new().unwrap());
}

fn run_on(kind: Redis) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::shared(kind));
    let seats = runtime.block_on(server.seats());
    run(&seats, &runtime);
}

#[test]
fn redis_does_as_the_domain_says() {
    run_on(Redis::Single);
}

#[test]
fn redis_behind_sentinels_does_as_the_domain_says() {
    run_on(Redis::Sentinel);
}

#[test]
fn a_redis_cluster_does_as_the_domain_says() {
    run_on(Redis::Cluster);
}
