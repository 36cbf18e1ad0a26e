//! `nugul-chaos streams`: thousands of readers while everything breaks; see `streams`.
//!
//! `nugul-chaos rush`: sells a hall to a crowd on the distributed profile while processes die, hang and forget, and then
//! proves that every seat and every won is where it belongs.
//!
//! - `client`: one buyer. `faults`: what goes wrong. `proof`: what must hold in the end. `random`: the seed's numbers.
//!
//! Clients take turns with a pool of accounts, one client at a time for each: signing up costs password hashes, and the
//! crowd is about seats. There are enough of them that the seats sell out before every account has what one may have. The same seed gives the same faults in the same order and the same wishes; how they interleave is
//! the machine's.

mod client;
mod faults;
mod proof;
mod random;
mod streams;

use std::{
    collections::BTreeMap,
    env,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::{StreamExt, stream};
use nugul_platform::{Options, Profile, Redis};
use nugul_tests::{
    Buyer, Toss, World,
    people::{DEMO_SELLER, new_event, performance_of},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    client::{Accounts, Client, Outcome, Seen, lock},
    proof::Databases,
    random::Random,
};

const USAGE: &str =
    "usage: nugul-chaos rush [--clients N] [--seats N] [--seed N] [--redis single|sentinel|cluster] [--json FILE]";
/// Clients that are there at the same time: more than a performance has turns, so that they queue. There are no fewer accounts.
const AT_ONCE: usize = 256;
/// One account for so many seats of the hall.
const SEATS_AN_ACCOUNT: u32 = 2;
/// Sign-ups at once.
const SIGN_UPS_AT_ONCE: usize = 3;
/// Seats in a row of the hall.
const SEATS_PER_ROW: u32 = 20;
/// One client in so many is there when the sale opens.
const FIRST_IN: usize = 10;
/// The rest comes within this time after that, so that faults of every kind meet a sale.
const ARRIVALS_MS: u64 = 60_000;
/// Holds and orders that nobody goes on with end soon, because the proof waits for them.
const HOLD_TTL_MS: u32 = 15_000;
const PAY_WINDOW_MS: u32 = 30_000;

struct Arguments {
    clients: usize,
    seats: u32,
    seed: u64,
    redis: Redis,
    json: Option<PathBuf>,
}

impl Arguments {
    /// Accounts that clients share: with four seats each they could buy the hall twice.
    fn accounts(&self) -> usize {
        let enough = usize::try_from(self.seats / SEATS_AN_ACCOUNT).unwrap_or(AT_ONCE);
        enough.max(AT_ONCE).min(self.clients)
    }
}

/// What is asked for, or what is wrong with it.
fn arguments(given: impl IntoIterator<Item = String>) -> Result<Arguments, String> {
    let mut given = given.into_iter();
    if given.next().as_deref() != Some("rush") {
        return Err(USAGE.to_owned());
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut arguments =
        Arguments { clients: 20_000, seats: 2_000, seed: since.as_secs(), redis: Redis::Cluster, json: None };
    while let Some(flag) = given.next() {
        let value = given.next().ok_or_else(|| format!("{flag} needs a value; {USAGE}"))?;
        let wrong = |_| format!("{flag} {value}: not a number; {USAGE}");
        match flag.as_str() {
            "--clients" => arguments.clients = value.parse().map_err(wrong)?,
            "--seats" => arguments.seats = value.parse().map_err(wrong)?,
            "--seed" => arguments.seed = value.parse().map_err(wrong)?,
            "--redis" => arguments.redis = value.parse().map_err(|e: nugul_platform::Error| e.to_string())?,
            "--json" => arguments.json = Some(PathBuf::from(value)),
            _ => return Err(format!("unknown flag {flag}; {USAGE}")),
        }
    }
    if arguments.clients == 0 || arguments.seats == 0 || !arguments.seats.is_multiple_of(SEATS_PER_ROW) {
        return Err(format!("--clients must be at least 1, --seats a multiple of {SEATS_PER_ROW}"));
    }
    Ok(arguments)
}

#[tokio::main]
async fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some("streams") {
        return watch_streams().await;
    }
    let arguments = match arguments(env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    match rush(&arguments).await {
        Ok(report) => {
            show(&report);
            let passed = report["passed"] == Value::Bool(true);
            if let Some(file) = &arguments.json
                && let Err(error) = std::fs::write(file, format!("{report:#}\n"))
            {
                eprintln!("{}: {error}", file.display());
                return ExitCode::FAILURE;
            }
            println!("{report:#}");
            eprintln!("{} seed {}", if passed { "PASS" } else { "FAIL" }, arguments.seed);
            if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            eprintln!("FAIL seed {}: {why}", arguments.seed);
            ExitCode::FAILURE
        }
    }
}

async fn watch_streams() -> ExitCode {
    let wanted = match streams::wanted(env::args().skip(2)) {
        Ok(wanted) => wanted,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let report = streams::run(&wanted).await.unwrap_or_else(|why| json!({ "passed": false, "why": why }));
    let text = format!("{report:#}\n");
    print!("{text}");
    let written = wanted.json.as_ref().map_or(Ok(()), |file| std::fs::write(file, &text));
    let passed = report["passed"] == Value::Bool(true);
    println!("{} seed {}", if passed { "PASS" } else { "FAIL" }, wanted.seed);
    if let Err(error) = &written {
        eprintln!("the report cannot be written: {error}");
    }
    if passed && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn rush(arguments: &Arguments) -> Result<Value, String> {
    let options = Options {
        profile: Profile::Distributed,
        redis: arguments.redis,
        events: Some(1),
        demo: true,
        settings: vec![
            ("NUGUL_HOLD_TTL_MS".to_owned(), HOLD_TTL_MS.to_string()),
            ("NUGUL_PAY_WINDOW_MS".to_owned(), PAY_WINDOW_MS.to_string()),
        ],
        ..Options::default()
    };
    let world = tokio::task::spawn_blocking(|| World::start("chaos", options)).await.map_err(|e| e.to_string())?;
    let world = Arc::new(world);
    let api = world.api();
    let seller = Buyer::log_in(&api, DEMO_SELLER).await;
    let event = new_event(&seller, arguments.seats / SEATS_PER_ROW, SEATS_PER_ROW).await;
    let performance = performance_of(&seller, &event).await;
    let accounts = Arc::new(Accounts::new(sign_up(&world, arguments.accounts()).await).await);
    eprintln!(
        "chaos: {} clients, {} seats, {} Redis, seed {}",
        arguments.clients, arguments.seats, arguments.redis, arguments.seed
    );

    let (seen, over, begun) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)), Instant::now());
    let driver = faults::begin(&world, arguments.seed, &over);
    let outcomes = sell(arguments, &world, performance, &accounts, &seen).await;
    let sale = begun.elapsed();
    over.store(true, Ordering::Relaxed);
    let joined = tokio::task::spawn_blocking(move || driver.join()).await.map_err(|e| e.to_string())?;
    let happened = joined.map_err(|_| "the faults' thread panicked".to_owned())??;

    let databases = Databases::open(&world).await?;
    let settled = proof::quiet(&world, &databases, performance).await?;
    let wrong = lock(&seen.wrong).clone();
    let (sold, mut checks) = proof::prove(&world, &databases, performance, &outcomes, &wrong).await?;
    checks.insert(0, settled);
    checks.push(proof::Check {
        what: "there was a sale, and faults met it",
        ok: sold > 0 && !happened.is_empty(),
        detail: format!("{sold} sold, {} faults", happened.len()),
    });

    let mut ended = BTreeMap::<String, u64>::new();
    for outcome in &outcomes {
        *ended.entry(outcome.name()).or_default() += 1;
    }
    let passed = checks.iter().all(|check| check.ok);
    if !passed {
        keep(&world);
    }
    Ok(json!({
        "name": "chaos rush",
        "profile": Profile::Distributed.to_string(),
        "redis": arguments.redis.to_string(),
        "seed": arguments.seed,
        "work": { "clients": arguments.clients, "seats": arguments.seats, "at_once": AT_ONCE, "accounts": arguments.accounts() },
        "seats_sold": sold,
        "sale_s": rounded(sale.as_secs_f64()),
        "clients": ended,
        "refusals": *lock(&seen.refusals),
        "broken_connections": seen.broken.load(Ordering::Relaxed),
        "answer_ms": percentiles(&seen),
        "faults": happened,
        "checks": checks,
        "passed": passed,
    }))
}

/// Lets every client in, a bounded number at a time.
async fn sell(
    arguments: &Arguments,
    world: &Arc<World>,
    performance: nugul_domain::PerformanceId,
    accounts: &Arc<Accounts>,
    seen: &Arc<Seen>,
) -> Vec<Outcome> {
    let toss = Arc::new(Toss::new(world));
    let begun = tokio::time::Instant::now();
    let mut arrivals: Vec<u64> = Vec::with_capacity(arguments.clients);
    let mut random = Random::part(arguments.seed, 1);
    for client in 0..arguments.clients {
        arrivals.push(if client < arguments.clients / FIRST_IN { 0 } else { random.between(0, ARRIVALS_MS) });
    }
    arrivals.sort_unstable();
    let (mut running, mut outcomes) = (JoinSet::new(), Vec::with_capacity(arguments.clients));
    for (number, arrives) in (2..).zip(arrivals) {
        tokio::time::sleep_until(begun + Duration::from_millis(arrives)).await;
        while running.len() >= AT_ONCE {
            outcomes.extend(running.join_next().await.map(ended));
        }
        let (accounts, seen, toss) = (Arc::clone(accounts), Arc::clone(seen), Arc::clone(&toss));
        let random = Random::part(arguments.seed, number);
        running.spawn(async move {
            let Some(mut buyer) = accounts.take().await else { return Outcome::Unanswered("no account".to_owned()) };
            let client = Client { buyer: &mut buyer, performance, toss: &toss, seen: &seen, random };
            let outcome = client.visit().await;
            accounts.give_back(buyer).await;
            outcome
        });
    }
    while let Some(one) = running.join_next().await {
        outcomes.push(ended(one));
    }
    outcomes
}

fn ended(one: Result<Outcome, tokio::task::JoinError>) -> Outcome {
    one.unwrap_or_else(|panic| Outcome::Unanswered(panic.to_string()))
}

async fn sign_up(world: &World, count: usize) -> Vec<Buyer> {
    let api = world.api();
    stream::iter(0..count).map(|_| Buyer::sign_up(world, &api)).buffer_unordered(SIGN_UPS_AT_ONCE).collect().await
}

/// Logs of a run that failed stay, for who looks into it.
fn keep(world: &World) {
    let (from, to) = (world.data_dir.join("logs"), env::temp_dir().join(format!("nugul-chaos-{}", std::process::id())));
    let copied = std::fs::create_dir_all(&to).and_then(|()| {
        for entry in std::fs::read_dir(&from)? {
            let entry = entry?;
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
        Ok(())
    });
    match copied {
        Ok(()) => eprintln!("chaos: the logs are in {}", to.display()),
        Err(error) => eprintln!("chaos: the logs could not be kept: {error}"),
    }
}

/// For each kind of request: how many were answered, and how long the middle, the slowest twentieth and hundredth took.
fn percentiles(seen: &Seen) -> BTreeMap<&'static str, Value> {
    let took = lock(&seen.took);
    let of = |times: &Vec<Duration>| {
        let mut times = times.clone();
        times.sort_unstable();
        let at = |hundredths: usize| {
            let place = (times.len() * hundredths).div_ceil(100).saturating_sub(1);
            rounded(times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1_000.0))
        };
        json!({ "answers": times.len(), "p50": at(50), "p95": at(95), "p99": at(99), "max": at(100) })
    };
    took.iter().map(|(what, times)| (*what, of(times))).collect()
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn show(report: &Value) {
    let table = |title: &str, rows: &Value| {
        eprintln!("{title}");
        for (name, value) in rows.as_object().into_iter().flatten() {
            eprintln!("  {name:<34} {value}");
        }
    };
    eprintln!("sold {} of {} seats in {} s", report["seats_sold"], report["work"]["seats"], report["sale_s"]);
    table("clients", &report["clients"]);
    table("refusals, each time one came", &report["refusals"]);
    eprintln!("  {:<34} {}", "(broken connections)", report["broken_connections"]);
    table("milliseconds until the answer, all tries", &report["answer_ms"]);
    eprintln!("faults: {}", report["faults"].as_array().map_or(0, Vec::len));
    for check in report["checks"].as_array().into_iter().flatten() {
        let mark = if check["ok"] == Value::Bool(true) { "ok  " } else { "FAIL" };
        eprintln!(
            "{mark} {}: {}",
            check["what"].as_str().unwrap_or_default(),
            check["detail"].as_str().unwrap_or_default()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_asked_for_too() {
        let read = |line: &str| streams::wanted(line.split_whitespace().map(str::to_owned));
        let all = read("--readers 500 --seed 7 --redis cluster --json a.json").ok().unwrap();
        assert_eq!(
            (all.readers, all.seed, all.redis, all.json),
            (500, 7, Redis::Cluster, Some(PathBuf::from("a.json")))
        );
        assert_eq!(read("").map(|all| all.readers).ok(), Some(10_000));
        for bad in ["--readers", "--readers x", "--readers 1", "--clients 5", "--redis x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_asked_for_is_read_or_refused() {
        let read = |line: &str| arguments(line.split_whitespace().map(str::to_owned));
        let all = read("rush --clients 500 --seats 200 --seed 7 --redis sentinel --json a.json").unwrap();
        assert_eq!((all.clients, all.seats, all.seed, all.redis), (500, 200, 7, Redis::Sentinel));
        assert_eq!(all.json, Some(PathBuf::from("a.json")));
        assert_eq!(read("rush").map(|a| (a.clients, a.seats)).unwrap(), (20_000, 2_000));
        for bad in
            ["", "walk", "rush --clients", "rush --clients many", "rush --seats 7", "rush --what 1", "rush --redis x"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
