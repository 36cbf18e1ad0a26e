//! `cargo xtask up`: builds and runs everything, says what to open, and stops all of it on Ctrl-C.
use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nugul_platform::{Addresses, Edge, Options, Platform, Profile};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::args::Args;
use crate::build::{self, Optimised, Wanted};
use crate::paths;
use crate::run::{Failure, Fallible, say};
use crate::tools;

const CHECK_EVERY: Duration = Duration::from_millis(500);

pub(crate) fn up(args: &Args) -> Fallible {
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
    let options = Options {
        profile: args.value::<Profile>("profile")?.unwrap_or_default(),
        edge: Some(edge),
        data_dir: args.path("data").unwrap_or_else(|| paths::root().join(".data/up")),
        catalogue: args.path("catalogue"),
        events: args.value("events")?,
        demo: true,
    };
    if let Some(catalogue) = options.catalogue.as_deref().filter(|path| !path.is_file()) {
        return Err(Failure::new(format!("--catalogue: no file {}", catalogue.display())));
    }
    let optimised = if args.has("release") { Optimised::Yes } else { Optimised::No };
    let artifacts = build::build(&Wanted { native: Some(optimised), edges: vec![edge], wrangler })?;
    let runner = match edge {
        Edge::Cloudflare if wrangler => "wrangler dev",
        Edge::Cloudflare => "workerd",
        Edge::Spin if artifacts.spin.is_some() => "Spin",
        Edge::Spin => "wasmtime",
    };
    say(&format!("starting: {} profile, {edge} edge on {runner}", options.profile));
    let profile = options.profile;
    let mut platform = Platform::start_with(artifacts, options, &mut say)?;

    let (interrupted, interruptions) = mpsc::channel();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        for signal in signals.forever() {
            if interrupted.send(signal).is_err() {
                break;
            }
        }
    });
    let addresses = platform.addresses();
    if let Some(file) = &addresses_file {
        write_addresses(file, &addresses)?;
    }
    announce(&addresses, platform.data_dir(), profile, runner, begun.elapsed());
    let ended = loop {
        match interruptions.recv_timeout(CHECK_EVERY) {
            Err(RecvTimeoutError::Timeout) => {
                if let Err(error) = platform.check() {
                    break Err(error.into());
                }
            }
            Ok(_) | Err(RecvTimeoutError::Disconnected) => break Ok(()),
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

fn announce(addresses: &Addresses, data: &Path, profile: Profile, runner: &str, took: Duration) {
    println!(
        "
  Nugul Ticket is up ({profile} profile, edge on {runner}, {:.0} s).

  Open     {}

  Log in as buyer@nugul.test, seller@nugul.test or admin@nugul.test, password nugul-demo-2026
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
