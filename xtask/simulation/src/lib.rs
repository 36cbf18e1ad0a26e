//! Coordination, order saga and payment saga under simulation: real code, real SQL, simulated clock, network and Toss.
//!
//! One seed is one deterministic run on one thread: the same seed gives the same trace. [`run::run_seed`] runs one,
//! [`run_many`] many on several threads. What must hold is in [`check`].

pub mod check;
pub mod ground;
pub mod network;
pub mod people;
pub mod process;
pub mod run;
pub mod toss;
pub mod world;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use nugul_points::Planted;
use run::{Outcome, run_seed};

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Seeds run.
    pub seeds: u64,
    /// Steps taken.
    pub steps: u64,
    /// Faults injected.
    pub faults: u64,
    /// How often what was reached.
    pub reached: BTreeMap<String, u64>,
    /// The seeds that failed, ascending.
    pub failed: Vec<Outcome>,
}

/// Runs seeds from `first` on, `count` of them, on so many threads. With `until_failed`, stops soon after the first that
/// fails. Each outcome is told to `see` as it comes.
pub fn run_many(
    first: u64,
    count: u64,
    threads: usize,
    bug: Option<Planted>,
    until_failed: bool,
    see: impl Fn(&Outcome) + Sync,
) -> Totals {
    let (next, stop, totals) = (AtomicU64::new(first), AtomicBool::new(false), Mutex::new(Totals::default()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed - first >= count || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let outcome = run_seed(seed, bug, false);
                    see(&outcome);
                    let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
                    totals.seeds += 1;
                    totals.steps += outcome.steps;
                    totals.faults += outcome.faults;
                    for (what, times) in &outcome.reached {
                        *totals.reached.entry(what.clone()).or_default() += times;
                    }
                    if outcome.violation.is_some() {
                        stop.store(until_failed, Ordering::Relaxed);
                        totals.failed.push(outcome);
                    }
                }
            });
        }
    });
    let mut totals = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    totals.failed.sort_by_key(|o| o.seed);
    totals
}
