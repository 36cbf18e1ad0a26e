//! What the whole simulated world shares: its clock, its chance, its trace. One world for each thread.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
};

use nugul_domain::Timestamp;

use crate::toss::Toss;

/// When every simulation begins: 1 March 2026, in UTC milliseconds.
pub const BEGIN_MS: i64 = 1_772_323_200_000;

/// A source of chance that a seed repeats (`SplitMix64`; Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The chance of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero. The bias of the remainder is below one in a million here.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }

    /// An index of something of this length.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.below(high.abs_diff(low) + 1)).unwrap_or(0)
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// What happened, as a digest, and as lines where they are wanted.
#[derive(Debug, Default)]
pub struct Trace {
    digest: DefaultHasher,
    lines: Option<Vec<String>>,
}

impl Trace {
    fn add(&mut self, line: String) {
        self.digest.write(line.as_bytes());
        self.digest.write_u8(b'\n');
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }
}

/// The world.
#[derive(Debug)]
pub struct World {
    /// The time, in UTC milliseconds.
    pub now_ms: i64,
    /// What is decided by chance.
    pub chance: Chance,
    /// Whether things go wrong.
    pub faulty: bool,
    /// How many faults there were.
    pub faults: u64,
    /// The payment provider.
    pub toss: Toss,
    /// How often what was reached: answers, ends of orders, refunds.
    pub reached: BTreeMap<String, u64>,
    trace: Trace,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new(0, false));
}

impl World {
    fn new(seed: u64, lines: bool) -> Self {
        Self {
            now_ms: BEGIN_MS,
            chance: Chance::new(seed),
            faulty: true,
            faults: 0,
            toss: Toss::default(),
            reached: BTreeMap::new(),
            trace: Trace { lines: lines.then(Vec::new), ..Trace::default() },
        }
    }

    /// Whether a fault happens here, so many times in a hundred while things go wrong.
    pub fn fault(&mut self, percent: u64) -> bool {
        let happens = self.faulty && self.chance.percent(percent);
        self.faults += u64::from(happens);
        happens
    }
}

/// Makes the thread's world new.
pub fn begin(seed: u64, lines: bool) {
    WORLD.set(World::new(seed, lines));
}

/// Does something with the thread's world. Not to be nested.
pub fn with<T>(work: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(work)
}

/// The time, in UTC milliseconds.
pub fn now_ms() -> i64 {
    with(|w| w.now_ms)
}

/// The time.
pub fn now() -> Timestamp {
    Timestamp::from_millis(now_ms())
}

/// Fills bytes with chance.
pub fn fill(bytes: &mut [u8]) {
    with(|w| bytes.iter_mut().for_each(|b| *b = w.chance.draw().to_le_bytes()[0]));
}

/// Adds a line to the trace, with the time before it.
pub fn note(line: &str) {
    with(|w| w.trace.add(format!("{:>9} {line}", w.now_ms - BEGIN_MS)));
}

/// Counts something that was reached.
pub fn reach(what: String) {
    with(|w| *w.reached.entry(what).or_default() += 1);
}

/// The trace's digest, and its lines where they were wanted.
pub fn take_trace() -> (u64, Vec<String>) {
    with(|w| (w.trace.digest.finish(), w.trace.lines.take().unwrap_or_default()))
}
