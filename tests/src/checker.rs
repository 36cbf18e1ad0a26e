//! The checker of seat streams: readers that are cut off, paused and sent back with their last id, and a record of what
//! each of them saw at each version. All must have seen the same, and what the snapshots of the live state say.
//!
//! A reader goes from version to version: changes must follow what it has, without a gap or a repetition. A snapshot may
//! come instead, but never an older one than what it has.

use std::{
    collections::HashMap,
    fmt::Display,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use nugul_api::seats::{EVENT_CHANGES, EVENT_CLOSE, EVENT_SNAPSHOT, SeatChanges, SeatSnapshot};
use nugul_domain::{SeatIndex, SeatState};

use crate::raw::{RawStream, Sse};

/// How long a reader waits before it tries a place again that took no connection.
const AGAIN_AFTER: Duration = Duration::from_millis(300);
/// The longest wait that a server may ask for; the checker believes no more.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// A stream silent for this long is dead: more than two heartbeats.
const SILENCE: Duration = Duration::from_secs(12);

/// What every reader saw, by version.
#[derive(Debug, Default)]
pub struct Record {
    seen: Mutex<HashMap<i64, u64>>,
    wrong: Mutex<Vec<String>>,
    /// Frames of changes that were applied, by all readers.
    pub frames: AtomicU64,
    /// Snapshots that were taken.
    pub snapshots: AtomicU64,
    /// Times a stream was begun with a last id.
    pub resumes: AtomicU64,
}

/// The most failures that are kept: the first say enough.
const WRONG_MAX: usize = 20;

impl Record {
    /// Notes the seats at a version; it is wrong where someone else saw others.
    pub fn note(&self, who: &impl Display, version: i64, seats: &[SeatState]) {
        self.note_fingerprint(who, version, fingerprint(seats));
    }

    fn note_fingerprint(&self, who: &impl Display, version: i64, seats: u64) {
        let known = *lock(&self.seen).entry(version).or_insert(seats);
        if known != seats {
            self.wrong(format!("{who}: other seats at version {version}"));
        }
    }

    fn wrong(&self, what: String) {
        let mut wrong = lock(&self.wrong);
        if wrong.len() < WRONG_MAX {
            wrong.push(what);
        }
    }

    /// What was wrong; empty where everything was right.
    pub fn verdict(&self) -> Vec<String> {
        lock(&self.wrong).clone()
    }

    /// Versions that somebody saw.
    pub fn versions(&self) -> usize {
        lock(&self.seen).len()
    }
}

/// A number that tells halls apart: it changes with each seat that changes, so that a reader need not go over the whole hall at
/// each version (Zobrist hashing). Thousands of readers that do would measure themselves.
fn fingerprint(seats: &[SeatState]) -> u64 {
    (0..).zip(seats).fold(0, |all, (index, state)| all ^ seat_fingerprint(index, *state))
}

/// What one seat adds.
fn seat_fingerprint(index: SeatIndex, state: SeatState) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one((index, state))
}

/// How a reader is troubled, by chance.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    /// One stream in so many is cut by its reader within [`Trouble::within`]; 0 for none.
    pub cut_in: u64,
    /// One in so many is not read for a while.
    pub pause_in: u64,
    /// How soon, and for how long.
    pub within: Duration,
}

/// What readers share.
#[derive(Debug)]
pub struct Watch {
    /// What they saw, with those of every watch [`Watch::beside`] this one.
    pub record: Arc<Record>,
    /// The version at which they may end; 0 while it is not known.
    pub last: AtomicI64,
    /// Set when they must end.
    pub over: AtomicBool,
    /// How they are troubled.
    pub trouble: Mutex<Trouble>,
    /// Readers that have a stream with something in it.
    pub connected: AtomicI64,
}

impl Watch {
    /// Nothing seen yet.
    pub fn new(trouble: Trouble) -> Arc<Self> {
        Self::with(Arc::default(), trouble)
    }

    /// A watch of others, who must see what those of this one see.
    pub fn beside(&self) -> Arc<Self> {
        Self::with(Arc::clone(&self.record), *lock(&self.trouble))
    }

    fn with(record: Arc<Record>, trouble: Trouble) -> Arc<Self> {
        Arc::new(Self {
            record,
            last: AtomicI64::new(0),
            over: AtomicBool::new(false),
            trouble: Mutex::new(trouble),
            connected: AtomicI64::new(0),
        })
    }

    /// No more trouble from readers.
    pub fn calm(&self) {
        *lock(&self.trouble) = Trouble { cut_in: 0, pause_in: 0, within: Duration::ZERO };
    }

    fn is_done(&self, version: i64) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        self.over.load(Ordering::Relaxed) || (last > 0 && version >= last)
    }
}

/// One reader: where it reads, and what it has.
pub struct Reader {
    /// `host:port`.
    pub origin: String,
    /// The path of the stream.
    pub path: String,
    /// Its number, for failures; also seeds its chances.
    pub number: u64,
    version: i64,
    seats: Vec<SeatState>,
    /// Of the seats.
    fingerprint: u64,
    chance: u64,
}

impl Display for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "reader {} of {}", self.number, self.origin)
    }
}

impl Reader {
    /// A reader that has nothing yet.
    pub fn new(origin: &str, path: &str, number: u64) -> Self {
        let chance = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let origin = origin.trim_start_matches("http://").to_owned();
        Self { origin, path: path.to_owned(), number, version: 0, seats: Vec::new(), fingerprint: 0, chance }
    }

    /// Reads until the watch is over; gives the version it ended at.
    pub async fn run(mut self, watch: Arc<Watch>) -> i64 {
        let mut retry = AGAIN_AFTER;
        while !watch.is_done(self.version) {
            if let Ok(mut stream) =
                RawStream::open(&self.origin, &self.path, (self.version > 0).then_some(self.version)).await
            {
                if self.version > 0 {
                    watch.record.resumes.fetch_add(1, Ordering::Relaxed);
                }
                let mut counted = false;
                self.read(&watch, &mut stream, &mut retry, &mut counted).await;
                if counted {
                    watch.connected.fetch_sub(1, Ordering::Relaxed);
                }
            }
            if !watch.is_done(self.version) {
                tokio::time::sleep(retry.min(RETRY_MAX)).await;
            }
        }
        self.version
    }

    async fn read(&mut self, watch: &Watch, stream: &mut RawStream, retry: &mut Duration, counted: &mut bool) {
        let trouble = *lock(&watch.trouble);
        let soon =
            |chance: u64| Duration::from_millis(chance % u64::try_from(trouble.within.as_millis()).unwrap_or(1).max(1));
        let cut = (trouble.cut_in > 0 && self.chance().is_multiple_of(trouble.cut_in))
            .then(|| Instant::now() + soon(self.chance()));
        let pause = (trouble.pause_in > 0 && self.chance().is_multiple_of(trouble.pause_in))
            .then(|| Instant::now() + soon(self.chance()));
        let mut paused = false;
        let mut last_heard = Instant::now();
        while !watch.is_done(self.version) {
            if cut.is_some_and(|at| Instant::now() >= at) || last_heard.elapsed() > SILENCE {
                return;
            }
            if !paused && pause.is_some_and(|at| Instant::now() >= at) {
                paused = true;
                tokio::time::sleep(soon(self.chance())).await;
            }
            // Looks up now and then, to notice that all is over.
            let items = match tokio::time::timeout(AGAIN_AFTER, stream.next()).await {
                Err(_) => continue,
                Ok(Ok(Some(items))) => items,
                Ok(Ok(None) | Err(_)) => return,
            };
            last_heard = Instant::now();
            for item in items {
                match item {
                    Sse::Retry(ms) => *retry = Duration::from_millis(ms),
                    Sse::Alive => {}
                    Sse::Event { event, id, data } => {
                        if !std::mem::replace(counted, true) {
                            watch.connected.fetch_add(1, Ordering::Relaxed);
                        }
                        if event == EVENT_CLOSE {
                            return;
                        }
                        if let Err(what) = self.take(&watch.record, &event, id.as_deref(), &data) {
                            watch.record.wrong(format!("{self} at {}: {what}: {:.200}", self.version, data));
                            // It begins anew, so that one failure is told once.
                            self.version = 0;
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Takes an event, and notes what the reader then has.
    ///
    /// # Errors
    ///
    /// What is wrong with it, after what the reader has.
    pub fn take(&mut self, record: &Record, event: &str, id: Option<&str>, data: &str) -> Result<(), String> {
        match event {
            EVENT_SNAPSHOT => {
                let snapshot: SeatSnapshot = serde_json::from_str(data).map_err(|e| e.to_string())?;
                if snapshot.version < self.version {
                    return Err(format!("back to {}", snapshot.version));
                }
                self.seats = snapshot.unpack().ok_or("a damaged snapshot")?;
                self.fingerprint = fingerprint(&self.seats);
                self.version = snapshot.version;
                record.snapshots.fetch_add(1, Ordering::Relaxed);
            }
            EVENT_CHANGES => {
                let changes: SeatChanges = serde_json::from_str(data).map_err(|e| e.to_string())?;
                if changes.from != self.version {
                    return Err(format!("changes from {}", changes.from));
                }
                if changes.to - changes.from != i64::try_from(changes.changes.len()).unwrap_or(-1) {
                    return Err("changes that do not add up".to_owned());
                }
                for step in &changes.changes {
                    for &(i, state) in step {
                        let seat = self.seats.get_mut(i as usize).ok_or("a seat outside the hall")?;
                        let before = std::mem::replace(seat, SeatState::from_bits(state));
                        self.fingerprint ^= seat_fingerprint(i, before) ^ seat_fingerprint(i, *seat);
                    }
                    self.version += 1;
                    record.note_fingerprint(self, self.version, self.fingerprint);
                }
                record.frames.fetch_add(1, Ordering::Relaxed);
            }
            _ => return Ok(()),
        }
        if id != Some(self.version.to_string().as_str()) {
            return Err(format!("the id {id:?}"));
        }
        record.note_fingerprint(self, self.version, self.fingerprint);
        Ok(())
    }

    /// The next number of its own sequence (xorshift).
    fn chance(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
