//! `nugul-simulation`: runs seeds, or replays one.

use std::process::ExitCode;

use nugul_points::Planted;
use nugul_simulation::{run::run_seed, run_many};

const USAGE: &str = "\
nugul-simulation [--seeds N] [--from SEED] [--threads N]   runs N seeds (default 1000, from 0, on 2 threads)
nugul-simulation --seed SEED                               replays one and shows what happened
  --plant BUG   with a bug planted: NoFence, AnnounceApart, LostIdempotency, RefundBeforeSeatBack, ExpiredHoldSold";
/// How to replay a seed.
const REPLAY: &str = "cargo xtask chaos sim --seed";

struct Wanted {
    seeds: u64,
    from: u64,
    threads: usize,
    seed: Option<u64>,
    bug: Option<Planted>,
}

/// Every bug that can be planted.
const BUGS: [Planted; 5] = [
    Planted::NoFence,
    Planted::AnnounceApart,
    Planted::LostIdempotency,
    Planted::RefundBeforeSeatBack,
    Planted::ExpiredHoldSold,
];

fn read(mut words: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut wanted = Wanted { seeds: 1_000, from: 0, threads: 2, seed: None, bug: None };
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} needs a value\n\n{USAGE}"))?;
        if flag == "--plant" {
            let bug = BUGS.into_iter().find(|bug| format!("{bug:?}") == value);
            wanted.bug = Some(bug.ok_or_else(|| format!("there is no bug called {value}\n\n{USAGE}"))?);
            continue;
        }
        let number: u64 = value.parse().map_err(|_| format!("{flag} {value} is not a number"))?;
        match flag.as_str() {
            "--seeds" => wanted.seeds = number,
            "--from" => wanted.from = number,
            "--threads" => wanted.threads = usize::try_from(number.clamp(1, 64)).unwrap_or(1),
            "--seed" => wanted.seed = Some(number),
            _ => return Err(format!("unknown flag {flag}\n\n{USAGE}")),
        }
    }
    Ok(wanted)
}

fn main() -> ExitCode {
    if std::env::args().any(|word| word == "--help" || word == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let wanted = match read(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(reason) => {
            eprintln!("nugul-simulation: {reason}");
            return ExitCode::from(2);
        }
    };
    let (seeds, failed, steps, faults) = if let Some(seed) = wanted.seed {
        let outcome = run_seed(seed, wanted.bug, true);
        for line in &outcome.trace {
            println!("{line}");
        }
        println!("seed {seed}: digest {:016x}", outcome.digest);
        (1, usize::from(outcome.violation.is_some()), outcome.steps, outcome.faults)
    } else {
        let totals = run_many(wanted.from, wanted.seeds, wanted.threads, wanted.bug, wanted.bug.is_some(), |outcome| {
            if let Some(what) = &outcome.violation {
                let planted = wanted.bug.map_or(String::new(), |bug| format!(" --plant {bug:?}"));
                println!("seed {} failed: {what}\n  replay: {REPLAY} {}{planted}", outcome.seed, outcome.seed);
            }
        });
        for (what, times) in &totals.reached {
            println!("{times:>9} {what}");
        }
        (totals.seeds, totals.failed.len(), totals.steps, totals.faults)
    };
    println!("{seeds} seeds, {failed} failed, {steps} steps, {faults} faults");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
