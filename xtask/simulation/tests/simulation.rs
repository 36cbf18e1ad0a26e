//! What the simulation promises: a seed repeats, a thousand seeds hold and reach every end, and each planted bug is found.

use nugul_points::Planted;
use nugul_simulation::{run::run_seed, run_many};

/// Seeds that hold in every run of the tests.
const SEEDS: u64 = 1_000;
/// Threads, each running one seed at a time.
const THREADS: usize = 2;
/// How to replay a seed.
const REPLAY: &str = "cargo xtask chaos sim --seed";
/// Each planted bug, and within how many seeds it is found.
const FOUND_WITHIN: [(Planted, u64); 5] = [
    (Planted::AnnounceApart, 10),
    (Planted::LostIdempotency, 20),
    (Planted::RefundBeforeSeatBack, 100),
    (Planted::ExpiredHoldSold, 1_000),
    (Planted::NoFence, 1_000),
];
/// What a thousand seeds must have come to, or they prove nothing.
const REACHED: [&str; 16] = [
    "order ends paid, charged 1, refunded false",
    "order ends paid, charged 1, refunded true",
    "order ends refunded, charged 1, refunded true",
    "order ends expired, charged 0, refunded false",
    "order ends expired, charged 1, refunded false",
    "order ends declined, charged 0, refunded false",
    "order ends cancelled, charged 0, refunded false",
    "refund ends refunded, with a fee",
    "refund ends declined, with a fee",
    "a performance was cancelled",
    "extend 200 ",
    "swap 200 ",
    "release 204 ",
    "coordinator crashes",
    "payment crashes",
    "the live state is lost",
];

#[test]
fn the_same_seed_gives_the_same_trace() {
    let first = run_seed(7, None, true);
    let other = run_seed(8, None, false);
    let again = run_seed(7, None, true);
    assert_eq!(first.trace, again.trace);
    assert_eq!((first.digest, first.steps, first.faults), (again.digest, again.steps, again.faults));
    assert!(first.steps > 0 && first.digest != other.digest);
}

#[test]
fn a_thousand_seeds_hold_and_reach_every_end() {
    let totals = run_many(0, SEEDS, THREADS, None, false, |_| {});
    let failed: Vec<_> = totals
        .failed
        .iter()
        .map(|o| format!("{}\n  replay: {REPLAY} {}", o.violation.clone().unwrap_or_default(), o.seed))
        .collect();
    assert!(failed.is_empty(), "{} of {SEEDS} seeds failed:\n{}", failed.len(), failed.join("\n"));
    assert_eq!(totals.seeds, SEEDS);
    let missing: Vec<_> = REACHED.iter().filter(|what| !totals.reached.contains_key(**what)).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
}

#[test]
fn each_planted_bug_is_found() {
    for (bug, within) in FOUND_WITHIN {
        let totals = run_many(0, within, THREADS, Some(bug), true, |_| {});
        let found = totals.failed.first().unwrap_or_else(|| panic!("{bug:?} was not found within {within} seeds"));
        println!("{bug:?}: seed {} of {within}: {}", found.seed, found.violation.as_deref().unwrap_or_default());
    }
}
