//! `cargo xtask …`: builds, runs, tests and measures the platform; finds or fetches what a fresh machine lacks.
//!
//! - `args`: the command line. `run`, `paths`, `tools`, `wasm`: programs, places, and what has to be fetched.
//! - `build`, `up`, `test`, `check`, `bench`, `chaos`, `reindex`: one file a command.

mod args;
mod bench;
mod build;
mod chaos;
mod check;
mod paths;
mod reindex;
mod run;
mod simulation;
mod test;
mod tools;
mod up;
mod wasm;

use std::process::ExitCode;

use nugul_platform::Edge;

use crate::args::Args;
use crate::build::{Optimised, Wanted};
use crate::run::{Failure, Fallible, say};

const HELP: &str = "\
cargo xtask COMMAND

  up      build and run everything, print what to open; Ctrl-C stops it
            --edge cloudflare|spin        the edge in front (cloudflare where Node and npm are, else spin)
            --wrangler                    run the worker on `wrangler dev` instead of workerd
            --profile embedded|distributed  SQLite and memory, or MariaDB, Redis and OpenSearch (embedded)
            --redis single|sentinel|cluster the Redis of the distributed profile (single)
            --catalogue FILE              fill an empty database from this file of events, one JSON object a line
            --events N                    grow the demo catalogue to N events
            --demo                        demo accounts and events even in a database named by NUGUL_MYSQL_URL
            --data DIR                    where everything is kept (.data/up)
            --addresses FILE              write the addresses as JSON once all are ready
            --release                     optimised services
  build   build the services and the edges
            --edge cloudflare|spin        this edge alone, and no services
            --release                     optimised services
  test    [FILTER] every test, in both profiles, behind both edges
            --profile embedded|distributed, --edge cloudflare|spin   only these end-to-end tests
            --redis single|sentinel|cluster   on this Redis (single behind one edge, a cluster behind the other)
  check   format, lints, WASM builds, dependency policy
  bench   NAME|all
            --json FILE                   write the result as JSON
            --catalogue FILE, --queries FILE  relevance: other events, other judged queries (JSON lines)
            --tune                        relevance: look for better weights
            --events N                    search: with so many events alone
  chaos   rush: sells a hall to a crowd while coordinator, payment, Redis and MariaDB die, hang and forget; ends with PASS or FAIL
            --clients N, --seats N        how many of each (20000, 2000)
            --seed N                      which faults and wishes (the time)
            --redis single|sentinel|cluster (cluster)
            --json FILE                   write the figures as JSON
          streams: thousands of readers of seat streams while edge, coordinator and Redis die, and all at the edge are dropped at once
            --readers N, --seed N, --redis …, --json FILE (10000 readers on a single Redis)
          payments: purchases while the payment service is killed and Toss fails one request in five; one line of totals
            --purchases N, --seed N       how many, which ones (10000, 7)
            --json FILE                   write the totals as JSON
          sim: seeded, deterministic runs of coordination and both sagas over simulated clock, network and Toss
            --seeds N, --from SEED        how many, from which on (1000, 0)
            --threads N                   how many at once (2)
            --seed SEED                   replays one and shows its trace
            --plant BUG                   with a bug planted, until it is found
  reindex [events|listings] a running coordinator builds the next version of its search index and switches to it
            --way-back                    switch to the version before instead
            --compare                     compare with the database instead, and put right what differs
            --coordinator ORIGIN          which one (the one that `up` runs on the data in --data DIR, .data/up)
            NUGUL_ADMIN_EMAIL, NUGUL_ADMIN_PASSWORD  who asks (the demo's admin)

Environment: NUGUL_WASM_STD=debian takes Debian's WASM compiler without asking rustup; NUGUL_MYSQL_URL,
NUGUL_PAYMENT_MYSQL_URL, NUGUL_REDIS_URL and NUGUL_OPENSEARCH_URL name servers for the distributed profile instead of private ones.";

fn main() -> ExitCode {
    let mut given = std::env::args().skip(1);
    let command = given.next().unwrap_or_default();
    let rest: Vec<String> = given.collect();
    if matches!(command.as_str(), "--help" | "-h" | "help") || rest.iter().any(|word| word == "--help" || word == "-h")
    {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match dispatch(&command, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &str, rest: Vec<String>) -> Fallible {
    match command {
        "up" => {
            let valued = ["edge", "profile", "redis", "catalogue", "events", "data", "addresses"];
            up::up(&Args::read(rest, &["wrangler", "release", "demo"], &valued, 0)?)
        }
        "build" => build(&Args::read(rest, &["release"], &["edge"], 0)?),
        "test" => test::test(&Args::read(rest, &[], &["profile", "redis", "edge"], 1)?),
        "check" => Args::read(rest, &[], &[], 0).and_then(|_| check::check()),
        "bench" => bench::bench(&Args::read(rest, &["tune"], &["json", "catalogue", "queries", "events"], 1)?),
        "chaos" if rest.first().is_some_and(|word| word == "sim") => simulation::simulation(rest),
        "chaos" => {
            let valued = [&chaos::PASSED_ON[..], &["redis", "json", "purchases"]].concat();
            chaos::chaos(&Args::read(rest, &[], &valued, 1)?)
        }
        "reindex" => reindex::reindex(&Args::read(rest, &["way-back", "compare"], &["coordinator", "data"], 1)?),
        "" => Err(Failure::new(format!("which command?\n\n{HELP}"))),
        _ => Err(Failure::new(format!("unknown command {command}; see --help"))),
    }
}

fn build(args: &Args) -> Fallible {
    let optimised = if args.has("release") { Optimised::Yes } else { Optimised::No };
    let wanted = match args.value::<Edge>("edge")? {
        Some(edge) => Wanted { native: None, edges: vec![edge], wrangler: false },
        None => Wanted { native: Some(optimised), edges: vec![Edge::Cloudflare, Edge::Spin], wrangler: false },
    };
    build::build(&wanted).map(|_| ())
}
