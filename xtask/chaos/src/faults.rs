//! What goes wrong, when, and how it is put right: drawn from the seed, one deck of all faults after another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nugul_platform::{Member, Service, wait_until};
use nugul_tests::World;
use serde::Serialize;

use crate::random::Random;

/// The pause between two faults, in milliseconds.
const PAUSE_MS: (u64, u64) = (300, 2_000);
/// How long something stays broken, in milliseconds. A hung or dead Redis master is replaced within two to five seconds, so
/// some come back before that, and some after.
const OUTAGE_MS: (u64, u64) = (200, 6_000);
/// One time in so many, two things are broken at once.
const TWICE_IN: u64 = 4;
/// Starts of a process that finds its database or Redis away, and ends as it should; a supervisor would try again too.
const STARTS_MAX: usize = 10;
/// The pause between them.
const START_PAUSE: Duration = Duration::from_millis(500);

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    /// SIGKILL, started again after a while.
    Kill(Service),
    /// SIGSTOP, let go on after a while.
    Pause(Service),
    /// Redis forgets everything.
    Flush,
}

/// A fault that happened.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Happened {
    /// Milliseconds after the sale opened.
    pub(crate) at_ms: u128,
    /// What.
    pub(crate) fault: Fault,
    /// Which of the service's processes.
    pub(crate) index: usize,
    /// For how long, in milliseconds.
    pub(crate) outage_ms: u64,
}

const DECK: [Fault; 10] = [
    Fault::Kill(Service::Coordinator),
    Fault::Kill(Service::Payment),
    Fault::Kill(Service::Redis),
    Fault::Kill(Service::MariaDb),
    Fault::Pause(Service::Coordinator),
    Fault::Pause(Service::Payment),
    Fault::Pause(Service::Redis),
    Fault::Pause(Service::MariaDb),
    Fault::Flush,
    // Twice as often as the others: the fail-over is what this is about.
    Fault::Kill(Service::Redis),
];

/// Breaks and mends until the sale is over; what happened, with everything mended in the end.
pub(crate) fn drive(world: &World, seed: u64, over: &AtomicBool) -> Result<Vec<Happened>, String> {
    let (mut random, begun) = (Random::part(seed, 0), Instant::now());
    let (mut deck, mut happened) = (Vec::new(), Vec::new());
    while wait(Duration::from_millis(random.between(PAUSE_MS.0, PAUSE_MS.1)), over) {
        let mut now = Vec::new();
        for _ in 0..=u64::from(random.between(0, TWICE_IN) == 0) {
            if deck.is_empty() {
                deck = DECK.to_vec();
                random.shuffle(&mut deck);
            }
            now.extend(deck.pop());
        }
        let outage_ms = random.between(OUTAGE_MS.0, OUTAGE_MS.1);
        let mut broken: Vec<(Member, bool)> = Vec::new();
        for fault in now {
            let index = strike(world, fault, &mut random, &mut broken)?;
            eprintln!("chaos: {fault:?} {index}, {outage_ms} ms");
            happened.push(Happened { at_ms: begun.elapsed().as_millis(), fault, index, outage_ms });
        }
        wait(Duration::from_millis(outage_ms), over);
        // Databases first: what is started after them needs them.
        broken.sort_unstable();
        for (member, dead) in broken {
            if dead { start(world, member)? } else { world.resume(member) }
        }
    }
    Ok(happened)
}

/// Does it, and gives which process it met.
fn strike(world: &World, fault: Fault, random: &mut Random, broken: &mut Vec<(Member, bool)>) -> Result<usize, String> {
    let (service, dead) = match fault {
        Fault::Kill(service) => (service, true),
        Fault::Pause(service) => (service, false),
        Fault::Flush => {
            // A master that is away just now forgets by itself, or is replaced.
            let _ = world.redis(nugul_platform::RedisSet::flush).ok_or("this platform has no Redis")?;
            return Ok(0);
        }
    };
    let index = if service == Service::Redis {
        let masters = world.redis(nugul_platform::RedisSet::masters).unwrap_or_default();
        random.one_of(&masters).copied().unwrap_or(0)
    } else {
        0
    };
    let member = Member { service, index };
    if broken.iter().any(|(other, _)| *other == member) {
        return Ok(index);
    }
    if dead {
        world.kill(member);
    } else {
        world.pause(member);
    }
    broken.push((member, dead));
    Ok(index)
}

fn start(world: &World, member: Member) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..STARTS_MAX {
        match world.try_restart(member) {
            Ok(()) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
        wait_until(START_PAUSE, || false);
    }
    Err(format!("{} {} does not come back: {last}", member.service, member.index))
}

/// Waits; false where the sale was over before.
fn wait(pause: Duration, over: &AtomicBool) -> bool {
    !wait_until(pause, || over.load(Ordering::Relaxed))
}

/// The driver on a thread of its own, because starting a process waits for it.
pub(crate) fn begin(
    world: &Arc<World>,
    seed: u64,
    over: &Arc<AtomicBool>,
) -> thread::JoinHandle<Result<Vec<Happened>, String>> {
    let (world, over) = (Arc::clone(world), Arc::clone(over));
    thread::spawn(move || drive(&world, seed, &over))
}
