//! One listener: the place in the log it reads next, and what its socket did not take yet.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use nugul_api::seats::{Close, CloseReason};
use tokio::time::Instant;

use super::{
    Lifetimes,
    counters::Counters,
    log::{Log, Since},
    piece::{self, Framing, Piece},
};

/// A reader that is brought up to date by a snapshot this often, each time within [`COLLAPSE_AGAIN`], is closed.
const COLLAPSES_MAX: u8 = 3;
/// How long a reader must keep up after a snapshot for it to be forgotten.
const COLLAPSE_AGAIN: Duration = Duration::from_secs(10);
/// How long a reader may take to hang up after the end was written to it.
const HANG_UP_WITHIN: Duration = Duration::from_secs(5);

/// Where a reader's bytes go: its socket.
pub(super) trait Line: Send + Sync {
    /// Writes what it takes now.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Resolves once it takes more.
    fn writable(&self) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + '_>>;
    /// Says that nothing more comes.
    fn finish(&self);
    /// Ends it both ways.
    fn hang_up(&self);
}

/// What a new reader gets first, and where it goes on.
pub(super) struct Start {
    /// Its first frames.
    pub(super) pieces: Vec<Piece>,
    /// The place in the log after them.
    pub(super) next: u64,
}

/// A listener.
pub(super) struct Reader {
    line: Arc<dyn Line>,
    framing: Framing,
    until: Instant,
    state: Mutex<State>,
}

struct State {
    next: u64,
    waiting: VecDeque<Bytes>,
    stalled_since: Option<Instant>,
    /// A task waits for the socket to take more.
    drained: bool,
    collapses: u8,
    collapsed_at: Option<Instant>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// What waits is the last.
    Ending,
    /// The end was written then.
    Ended(Instant),
    /// The socket is broken.
    Gone,
}

impl State {
    fn stalled(&mut self) -> Pumped {
        self.stalled_since.get_or_insert_with(Instant::now);
        if std::mem::replace(&mut self.drained, true) { Pumped::Done } else { Pumped::Stalled }
    }
}

/// How writing to a reader came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    /// It has all there is, or is ended.
    Done,
    /// Its socket takes no more, and nobody waits for that yet: the caller sees to it.
    Stalled,
}

/// What a round of telling fetched from the log, since most readers are at the same place.
#[derive(Default)]
pub(super) struct Round {
    fetched: Option<(u64, Framing)>,
    /// The place after what was there when the round began.
    end: u64,
    /// All frames from that place on, to be written at once.
    bytes: Bytes,
    frames: u64,
    /// Frames given to readers.
    pub(super) delivered: u64,
}

impl Round {
    /// The frames from `place` on, and how many; none for one who has what was there when the round began, for what came
    /// after is told in a round of its own. `None` where a snapshot is due.
    fn since(&mut self, place: u64, framing: Framing, log: &Mutex<Log>) -> Option<(&Bytes, u64)> {
        static NOTHING: Bytes = Bytes::new();
        if self.fetched != Some((place, framing)) {
            if self.fetched.is_some() && place >= self.end {
                return Some((&NOTHING, 0));
            }
            let Since::Pieces(pieces) = lock(log).since(place) else { return None };
            self.bytes = piece::joined(&pieces, framing);
            self.frames = pieces.len() as u64;
            self.end = self.end.max(place + self.frames);
            self.fetched = Some((place, framing));
        }
        Some((&self.bytes, self.frames))
    }
}

impl Reader {
    /// A listener that has got nothing yet.
    pub(super) fn new(line: Arc<dyn Line>, framing: Framing, start: &Start, until: Instant) -> Self {
        let state = State {
            next: start.next,
            waiting: start.pieces.iter().map(|piece| piece.rest(framing, 0)).collect(),
            stalled_since: None,
            drained: false,
            collapses: 0,
            collapsed_at: None,
            stage: Stage::Open,
        };
        Self { line, framing, until, state: Mutex::new(state) }
    }

    /// Writes what its socket takes of what there is for it.
    pub(super) fn pump(&self, log: &Mutex<Log>, round: &mut Round, counters: &Counters) -> Pumped {
        let mut state = lock(&self.state);
        loop {
            if !self.write_waiting(&mut state) {
                return state.stalled();
            }
            if state.stage != Stage::Open {
                return Pumped::Done;
            }
            let Some((bytes, frames)) = round.since(state.next, self.framing, log) else {
                self.collapse(&mut state, log, counters);
                continue;
            };
            if frames == 0 {
                return Pumped::Done;
            }
            let sent = match self.line.try_write(bytes) {
                Ok(sent) => sent,
                Err(e) if would_wait(&e) => 0,
                Err(_) => {
                    state.stage = Stage::Gone;
                    return Pumped::Done;
                }
            };
            if sent < bytes.len() {
                state.waiting.push_back(bytes.slice(sent..));
            }
            state.next += frames;
            round.delivered += frames;
        }
    }

    /// Whether everything that waited is written.
    fn write_waiting(&self, state: &mut State) -> bool {
        if state.waiting.is_empty() {
            return true;
        }
        while let Some(bytes) = state.waiting.front_mut() {
            match self.line.try_write(bytes) {
                Ok(sent) if sent >= bytes.len() => {
                    state.waiting.pop_front();
                }
                Ok(sent) if sent > 0 => {
                    drop(bytes.split_to(sent));
                    // It took something: it is slow, not stalled.
                    state.stalled_since = None;
                }
                Ok(_) => return false,
                Err(e) if would_wait(&e) => return false,
                Err(_) => {
                    state.stage = Stage::Gone;
                    break;
                }
            }
        }
        state.waiting = VecDeque::new();
        state.stalled_since = None;
        if state.stage == Stage::Ending {
            self.line.finish();
            state.stage = Stage::Ended(Instant::now());
        }
        true
    }

    /// Brings a reader up to date that is too far behind, or closes it where that was done too often.
    fn collapse(&self, state: &mut State, log: &Mutex<Log>, counters: &Counters) {
        let now = Instant::now();
        let again = state.collapsed_at.is_some_and(|at| now.duration_since(at) < COLLAPSE_AGAIN);
        state.collapses = if again { state.collapses + 1 } else { 1 };
        state.collapsed_at = Some(now);
        if state.collapses >= COLLAPSES_MAX {
            self.say_close(state, CloseReason::Slow, counters);
            return;
        }
        Counters::add(&counters.collapsed, 1);
        let mut log = lock(log);
        let snapshot = log.snapshot(true);
        state.waiting.extend([snapshot].iter().chain(&log.notes()).map(|piece| piece.rest(self.framing, 0)));
        state.next = log.end();
    }

    /// Waits until the socket takes more, and goes on, until nothing waits.
    pub(super) async fn drain(&self, log: &Mutex<Log>, counters: &Counters) {
        loop {
            let writable = self.line.writable().await;
            lock(&self.state).drained = false;
            if writable.is_err() {
                lock(&self.state).stage = Stage::Gone;
                return;
            }
            if self.pump(log, &mut Round::default(), counters) == Pumped::Done {
                return;
            }
        }
    }

    /// Closes the stream with a reason; what waits is still written, what is in the log is not.
    pub(super) fn close(&self, reason: CloseReason, log: &Mutex<Log>, counters: &Counters) -> Pumped {
        let mut state = lock(&self.state);
        if state.stage != Stage::Open {
            return Pumped::Done;
        }
        self.say_close(&mut state, reason, counters);
        drop(state);
        self.pump(log, &mut Round::default(), counters)
    }

    fn say_close(&self, state: &mut State, reason: CloseReason, counters: &Counters) {
        let said = Piece::new(&Close { reason }.frame()).rest(self.framing, 0);
        state.waiting.extend([said, piece::end(self.framing)].into_iter().filter(|bytes| !bytes.is_empty()));
        state.stage = Stage::Ending;
        Counters::add(counters.closed(reason), 1);
    }

    /// Ends what is over: the stream's time, a reader that takes nothing, one that does not hang up.
    pub(super) fn tend(&self, now: Instant, lifetimes: Lifetimes, log: &Mutex<Log>, counters: &Counters) -> Pumped {
        let mut state = lock(&self.state);
        match state.stage {
            Stage::Gone => self.line.hang_up(),
            Stage::Ended(at) if now.duration_since(at) >= HANG_UP_WITHIN => self.line.hang_up(),
            Stage::Open | Stage::Ending
                if state.stalled_since.is_some_and(|since| now.duration_since(since) >= lifetimes.stalled_max) =>
            {
                // Nothing can be said to one who takes nothing.
                Counters::add(counters.closed(CloseReason::Slow), 1);
                state.stage = Stage::Gone;
                self.line.hang_up();
            }
            Stage::Open if now >= self.until => {
                drop(state);
                return self.close(CloseReason::Lifetime, log, counters);
            }
            Stage::Open | Stage::Ending | Stage::Ended(_) => {}
        }
        Pumped::Done
    }
}

fn would_wait(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// No panic leaves these half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
