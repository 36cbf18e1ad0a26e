//! Random sequences of steps, compared step by step with the domain's seat book.

use nugul_coordination::Seats;
use nugul_domain::{
    PerformanceId, SeatIndex, SeatState, Timestamp,
    seat_book::{Change, Claim, Hold, HoldRequest, SeatBook},
};
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
    Order { hold: u32, user: u32, order: u32 },
    Undo { hold: u32, order: u32 },
    Release { hold: u32, user: u32 },
    Settle { hold: u32, seats: Vec<SeatIndex>, state: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    // One seat more than there are, rarely.
    let seat = || prop_oneof![30 => 0..SEATS, 1 => Just(SEATS)];
    let some = move || proptest::collection::btree_set(seat(), 1..4).prop_map(|s| s.into_iter().collect::<Vec<_>>());
    let hold = 0u32..12;
    prop_oneof![
        4 => (0u32..3, some(), 0u8..12, 0u8..8).prop_map(|(user, seats, key, digest)| Step::Hold {
            user, seats, key, digest: digest / 7,
        }),
        3 => (hold.clone(), 0u32..3, 0u32..3).prop_map(|(hold, user, order)| Step::Order { hold, user, order }),
        1 => (hold.clone(), 0u32..3).prop_map(|(hold, order)| Step::Undo { hold, order }),
        2 => (hold.clone(), 0u32..3).prop_map(|(hold, user)| Step::Release { hold, user }),
        2 => (hold, some(), 0u8..4).prop_map(|(hold, seats, state)| Step::Settle { hold, seats, state }),
    ]
}

/// Fences relative to the load, without the time.
fn plain(hold: Hold, base: i64) -> Hold {
    Hold { fence: hold.fence - base, until: NOW, ..hold }
}

fn relative(changes: Option<Vec<Change>>, base: i64) -> Option<Vec<Change>> {
    changes.map(|all| all.into_iter().map(|c| Change { version: c.version - base, ..c }).collect())
}

async fn compare(seats: &Seats, p: PerformanceId, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let claims = [Claim { seat: 0, sold: true }, Claim { seat: 1, sold: false }];
    let mut model = SeatBook::load(SEATS, &claims, 0, NOW);
    seats.load(p, SEATS, &claims, 0).await.unwrap();
    let (model_base, base) = (model.snapshot().version, seats.snapshot(p).await.unwrap().version);
    let mut holds = Vec::new();
    // Holds of one performance are not found by the ids of another's.
    let offset = holds_of(p);
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
                    limit: 3,
                };
                let expected = model.hold(request.clone(), NOW).map(|h| plain(h, model_base));
                let got = seats.hold(p, request).await.unwrap().map(|h| plain(h, base));
                if let Ok(hold) = &got {
                    holds.push(hold.id);
                }
                prop_assert_eq!(got, expected);
            }
            Step::Order { hold, user: by, order } => {
                let id = pick(hold);
                let expected = model.order(id, user(by), order_id(order), NOW).map(|h| plain(h, model_base));
                let got = seats.order(p, id, user(by), order_id(order)).await.unwrap().map(|h| plain(h, base));
                prop_assert_eq!(got, expected);
            }
            Step::Undo { hold, order } => {
                let (id, order) = (pick(hold), order_id(order));
                let undone = model.hold_at(id, NOW).filter(|h| h.order == Some(order)).map(|h| h.seats.clone());
                if let Some(undone) = undone {
                    model.settle(id, &undone, SeatState::Available);
                }
                seats.undo_order(p, id, order).await.unwrap();
            }
            Step::Release { hold, user: by } => {
                let id = pick(hold);
                let expected = model.release(id, user(by), NOW);
                prop_assert_eq!(seats.release(p, id, user(by)).await.unwrap(), expected);
            }
            Step::Settle { hold, seats: some, state } => {
                let (id, state) = (pick(hold), SeatState::from_bits(state));
                model.settle(id, &some, state);
                seats.settle(p, id, &some, state).await.unwrap();
            }
        }
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

#[test]
fn redis_does_as_the_domain_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = Server::start();
    let seats = runtime.block_on(server.seats());
    run(&seats, &runtime);
}
