//! `cargo xtask up`: builds and runs everything, says what to open, and stops all of it on Ctrl-C.
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nugul_platform::{Addresses, Edge, Interrupt, Options, Platform, Profile, Redis, SearchServer};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::args::Args;
use crate::build::{self, Optimised, Wanted};
use crate::paths;
use crate::run::{self, Failure, Fallible, say};
use crate::tools;

/// A database that is there already.
const MYSQL_URL: &str = "NUGUL_MYSQL_URL";
const CHECK_EVERY: Duration = Duration::from_millis(500);

pub(crate) fn up(args: &Args) -> Fallible {
    // Before anything starts: whatever has started by then is stopped.
    let interrupt = stop_on_signals()?;
    match run(args, &interrupt) {
        Err(_) if interrupt.is_raised() => {
            say("stopped");
            Ok(())
        }
        ended => ended,
    }
}

fn stop_on_signals() -> Fallible<Interrupt> {
    let interrupt = Interrupt::default();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let raised = interrupt.clone();
    thread::spawn(move || {
        for _ in signals.forever() {
            raised.raise();
            run::stop_programs();
        }
    });
    Ok(interrupt)
}

fn run(args: &Args, interrupt: &Interrupt) -> Fallible {
    let begun = Instant::now();
    let wrangler = args.has("wrangler");
    let edge = match args.value::<Edge>("edge")? {
        Some(edge) => edge,
        None if tools::node() => Edge::Cloudflare,
        None => {
            say("no Node and npm here: the edge is the Spin component");
            Edge::Spin
        }
    };
    if wrangler && edge != Edge::Cloudflare {
        return Err(Failure::new("--wrangler goes with --edge cloudflare"));
    }
    let addresses_file = args.path("addresses");
    if let Some(file) = &addresses_file {
        // Addresses of an earlier run would be taken for this one's.
        if file.exists() {
            fs::remove_file(file)?;
        }
    }
    let profile = args.value::<Profile>("profile")?.unwrap_or_default();
    let named = std::env::var_os(MYSQL_URL).is_some_and(|url| !url.is_empty());
    let demo = demo(profile, named, args)?;
    let options = Options {
        profile,
        redis: args.value::<Redis>("redis")?.unwrap_or_default(),
        opensearch: SearchServer::Private,
        edge: Some(edge),
        data_dir: args.path("data").unwrap_or_else(|| paths::root().join(".data/up")),
        catalogue: args.path("catalogue"),
        events: args.value("events")?,
        demo,
        settings: Vec::new(),
        edge_settings: Vec::new(),
        more_regions: Vec::new(),
        interrupt: interrupt.clone(),
    };
    if let Some(catalogue) = options.catalogue.as_deref().filter(|path| !path.is_file()) {
        return Err(Failure::new(format!("--catalogue: no file {}", catalogue.display())));
    }
    Platform::check_machine(&options)?;
    let optimised = if args.has("release") { Optimised::Yes } else { Optimised::No };
    let artifacts = build::build(&Wanted { native: Some(optimised), edges: vec![edge], wrangler })?;
    let runner = match edge {
        Edge::Cloudflare if wrangler => "wrangler dev",
        Edge::Cloudflare => "workerd",
        Edge::Spin if artifacts.spin.is_some() => "Spin",
        Edge::Spin => "wasmtime",
    };
    say(&format!("starting: {} profile, {edge} edge on {runner}", options.profile));
    let mut platform = Platform::start_with(artifacts, &options, &mut say)?;

    let addresses = platform.addresses();
    if let Some(file) = &addresses_file {
        write_addresses(file, &addresses)?;
    }
    announce(&addresses, platform.data_dir(), profile, runner, demo, begun.elapsed());
    let ended = loop {
        if interrupt.wait(CHECK_EVERY) {
            break Ok(());
        }
        if let Err(error) = platform.supervise(&mut say) {
            break Err(error.into());
        }
    };
    say("stopping");
    platform.stop();
    if let Some(file) = &addresses_file {
        fs::remove_file(file)?;
    }
    ended
}

fn write_addresses(file: &Path, addresses: &Addresses) -> Fallible {
    let text = serde_json::to_string_pretty(addresses).map_err(|error| Failure::new(error.to_string()))?;
    let new = file.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, file)?;
    Ok(())
}

/// Whether an empty database gets demo accounts, whose password everyone knows, and demo events: never one that is named
/// instead of made here, unless it is asked for.
fn demo(profile: Profile, named: bool, args: &Args) -> Fallible<bool> {
    let demo = args.has("demo") || profile == Profile::Embedded || !named;
    match ["catalogue", "events"].into_iter().find(|flag| args.has(flag)) {
        Some(flag) if !demo => Err(Failure::new(format!(
            "--{flag} fills a database with the demo's accounts too; {MYSQL_URL} names one that is not ours: say --demo if it is to have them"
        ))),
        _ => Ok(demo),
    }
}

fn announce(addresses: &Addresses, data: &Path, profile: Profile, runner: &str, demo: bool, took: Duration) {
    let log_in = if demo {
        "Log in as buyer@nugul.test, seller@nugul.test or admin@nugul.test, password nugul-demo-2026"
    } else {
        "No demo accounts: the database is one you named (--demo makes them)"
    };
    println!(
        "
  Nugul Ticket is up ({profile} profile, edge on {runner}, {:.0} s).

  Open     {}

  {log_in}
  Mail it sends: {}    Toss simulator: {}
  Metrics: {}    Data and logs: {}

  Ctrl-C stops everything.
",
        took.as_secs_f64(),
        addresses.edge,
        addresses.mail,
        addresses.toss,
        addresses.metrics,
        data.display(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(line: &str) -> Args {
        let valued = ["catalogue", "events"];
        Args::read(line.split_whitespace().map(str::to_owned), &["demo"], &valued, 0).unwrap()
    }

    #[test]
    fn a_database_that_is_named_gets_no_demo_unless_it_is_asked_for() {
        let (embedded, distributed) = (Profile::Embedded, Profile::Distributed);
        assert!(demo(embedded, true, &given("")).unwrap(), "the embedded profile takes no servers");
        assert!(demo(distributed, false, &given("--events 5")).unwrap());
        assert!(!demo(distributed, true, &given("")).unwrap());
        assert!(demo(distributed, true, &given("--demo --events 5")).unwrap());
        for flag in ["--events 5", "--catalogue x.jsonl"] {
            assert!(demo(distributed, true, &given(flag)).unwrap_err().to_string().contains("--demo"), "{flag}");
        }
    }
}
