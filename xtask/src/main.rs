//! `cargo xtask …`: builds, runs, tests and measures the platform; finds or fetches what a fresh machine lacks.
//!
//! - `args`: the command line. `run`, `paths`, `tools`, `wasm`: programs, places, and what has to be fetched.
//! - `build`, `up`, `test`, `check`, `bench`: one file a command.

mod args;
mod bench;
mod build;
mod check;
mod paths;
mod run;
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
            --profile embedded|distributed  SQLite and memory, or MariaDB and Redis (embedded)
            --catalogue FILE              fill an empty database from this file of events, one JSON object a line
            --events N                    grow the demo catalogue to N events
            --data DIR                    where everything is kept (.data/up)
            --addresses FILE              write the addresses as JSON once all are ready
            --release                     optimised services
  build   build the services and the edges
            --edge cloudflare|spin        this edge alone, and no services
            --release                     optimised services
  test    [FILTER] every test, in both profiles, behind both edges
            --profile embedded|distributed, --edge cloudflare|spin   only these end-to-end tests
  check   format, lints, WASM builds, dependency policy
  bench   NAME|all
            --json FILE                   write the result as JSON

Environment: NUGUL_WASM_STD=debian takes Debian's WASM compiler without asking rustup; NUGUL_MYSQL_URL,
NUGUL_PAYMENT_MYSQL_URL and NUGUL_REDIS_URL name servers for the distributed profile instead of private ones.";

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
            let valued = ["edge", "profile", "catalogue", "events", "data", "addresses"];
            up::up(&Args::read(rest, &["wrangler", "release"], &valued, 0)?)
        }
        "build" => build(&Args::read(rest, &["release"], &["edge"], 0)?),
        "test" => test::test(&Args::read(rest, &[], &["profile", "edge"], 1)?),
        "check" => Args::read(rest, &[], &[], 0).and_then(|_| check::check()),
        "bench" => bench::bench(&Args::read(rest, &[], &["json"], 1)?),
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
