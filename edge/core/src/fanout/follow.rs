//! Keeps a room up to date from its one upstream, while someone listens; says when it cannot, and goes on trying.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    future::{Either, select},
};
use nugul_api::{
    headers::LAST_EVENT_ID,
    seats::{Close, CloseReason, EVENT_CLOSE, HEARTBEAT, retry},
};

use super::{
    Frame, Item, LOST_MS, Parser, SILENCE_MS,
    readers::{LIFETIME_MS, Reader, Readers, Refused},
    room::{Pushed, Room},
};
use crate::{
    host::{Host, HostError, Outgoing, Task},
    http::{Body, ByteStream, Response, header},
};

/// Carries the client's address from the edge's door to its room, where the platform tells it. It goes no further.
pub const CLIENT_ADDRESS: &str = "x-nugul-client-address";
/// The pause before the first new try at upstream, in milliseconds.
const PAUSE_FIRST_MS: u64 = 250;
/// The longest pause between two tries, in milliseconds. Readers get a heartbeat between tries.
const PAUSE_LONGEST_MS: u64 = 4_000;

/// How long the follower gathers what comes from upstream before it is sent on, in milliseconds. workerd looks for what comes over
/// the network only when nothing else is left to do, and a timer is due only then: so a room with more readers than it can serve
/// at the pace of its frames does not keep it from new connections. It gives one frame at a time, however many have come; sent one
/// by one, such a room would be later with each.
const GATHER_MS: u64 = 1;
/// How much longer for each reader who has come since the frames before, and how much at most, in milliseconds. Where thousands
/// come back at once, what is sent to those who are here already keeps the others waiting, and costs as much for one frame as
/// for several.
const ARRIVAL_MS: u64 = 4;
const ARRIVALS_MS_MAX: u64 = 1_000;
/// The most pieces that are gathered.
const GATHERED_MAX: usize = 256;

/// A room with its readers, as its follower and its visitors share it.
#[derive(Default)]
pub struct Shared {
    room: Room,
    readers: Readers,
    followed: bool,
    /// Readers who came since the last frames.
    arrivals: u64,
    /// As the newest reader has it: what it shows to be let in may end.
    upstream: Option<Outgoing>,
    /// What the follower is to run beside itself.
    beside: Vec<Task>,
}

impl Shared {
    /// How many listen.
    pub fn readers(&self) -> usize {
        self.readers.count()
    }

    /// Runs a task where the follower runs, from the next frame on: for a platform whose requests cannot wake each other, and a
    /// reader that has all there is so far. There are no more of them than readers.
    pub fn run_beside(&mut self, task: Task) {
        self.beside.push(task);
    }

    /// Whether a reader with this version is told exactly what it missed.
    pub(super) fn can_resume(&self, last: &str) -> bool {
        last.parse().is_ok_and(|last| self.room.can_resume(last))
    }

    /// Gives a reader what it missed since this version, instead of what waits for it.
    pub(super) fn bring_up_to_date(&mut self, reader: &Reader, last: &str) {
        reader.replace(self.room.join(Some(last)));
    }

    /// Whether it is kept up to date: until its last reader has left.
    pub(super) fn is_followed(&self) -> bool {
        self.followed
    }

    fn send(&mut self, pushed: Pushed) -> bool {
        match pushed {
            Pushed::Send(bytes) => {
                let room = &mut self.room;
                self.readers.send(&bytes, || room.collapse());
                true
            }
            Pushed::Nothing => true,
            Pushed::Gap => false,
        }
    }
}

/// How joining a room came out.
pub enum Joined {
    /// What the reader gets.
    Reader(Reader),
    /// Nobody else fits in.
    Full,
    /// The reader's address has as many streams as one may.
    TooMany,
}

/// Joins a room and sees to it that its one upstream runs.
pub fn join<H: Host>(host: &H, shared: &Rc<RefCell<Shared>>, mut upstream: Outgoing) -> Joined {
    let address = header(&upstream.headers, CLIENT_ADDRESS).map(str::to_owned);
    let last = header(&upstream.headers, LAST_EVENT_ID).map(str::to_owned);
    upstream.headers.retain(|(name, _)| ![CLIENT_ADDRESS, LAST_EVENT_ID].iter().any(|n| name.eq_ignore_ascii_case(n)));
    let chance = chance(host);
    let earlier = LIFETIME_MS / 10 * i64::from(chance) / i64::from(u16::MAX);
    let (reader, first_here) = {
        let here = &mut *shared.borrow_mut();
        here.upstream = Some(upstream);
        let mut first = vec![Bytes::from(retry(chance, here.readers.count()))];
        first.extend(here.room.join(last.as_deref()));
        let reader = here.readers.add(first, address.as_deref(), host.now_ms() + LIFETIME_MS - earlier);
        match reader {
            Ok(reader) => {
                here.arrivals = here.arrivals.saturating_add(1);
                (reader, !std::mem::replace(&mut here.followed, true))
            }
            Err(Refused::Full) => return Joined::Full,
            Err(Refused::Address) => return Joined::TooMany,
        }
    };
    if first_here {
        host.spawn(Box::pin(follow(host.clone(), Rc::clone(shared))));
    }
    Joined::Reader(reader)
}

/// Any number, by the platform's chance.
pub fn chance<H: Host>(host: &H) -> u16 {
    let mut bytes = [0; 2];
    host.random(&mut bytes);
    u16::from_le_bytes(bytes)
}

/// How long to wait before asking upstream again, after this many failures in a row.
fn pause_ms(failures: u32) -> u64 {
    PAUSE_FIRST_MS.saturating_mul(1 << failures.min(10)).min(PAUSE_LONGEST_MS)
}

/// Keeps a room up to date while someone listens.
async fn follow<H: Host>(host: H, shared: Rc<RefCell<Shared>>) {
    let mut failures = 0u32;
    loop {
        run_beside(&host, &shared).await;
        if deserted(&shared) {
            return;
        }
        let Some(mut request) = shared.borrow().upstream.clone() else { return };
        if let Some(version) = shared.borrow().room.version() {
            request.headers.push((LAST_EVENT_ID.into(), version.to_string()));
        }
        let ended = match ask(&host, &shared, request.clone()).await {
            Ok(Response { status: 200, body: Body::Stream(stream), .. }) => relay(&host, &shared, stream).await,
            Ok(Response { status: 401 | 403, .. }) => Ended::Refused,
            Ok(_) | Err(_) => Ended::Early,
        };
        match ended {
            Ended::Alone => return,
            Ended::Refused if turn_away(&shared, &request) => {
                run_beside(&host, &shared).await;
                return;
            }
            // Closed on purpose, most likely: another try comes soon, and nothing is lost if it is good.
            Ended::AfterFrames => failures = 0,
            Ended::Early | Ended::Refused => {
                lost(&shared);
                failures = failures.saturating_add(1);
            }
        }
        host.sleep(pause_ms(failures)).await;
        tend(&host, &shared);
    }
}

/// Looks after the readers while nothing comes from upstream, and lets them know that the edge itself is there.
fn tend<H: Host>(host: &H, shared: &RefCell<Shared>) {
    let here = &mut *shared.borrow_mut();
    here.readers.tend(host.now_ms());
    here.send(Pushed::Send(Bytes::from_static(HEARTBEAT.as_bytes())));
}

/// Closes a room that upstream does not let in any more, so that each reader comes back with what it then has to show. False
/// where one has come since `refused` was asked, with a newer way in.
fn turn_away(shared: &RefCell<Shared>, refused: &Outgoing) -> bool {
    let here = &mut *shared.borrow_mut();
    if here.upstream.as_ref().is_some_and(|newest| newest.url != refused.url) {
        return false;
    }
    here.readers.close(CloseReason::Refused);
    here.followed = false;
    true
}

/// Runs what was put beside the follower since.
async fn run_beside<H: Host>(host: &H, shared: &RefCell<Shared>) {
    let tasks = std::mem::take(&mut shared.borrow_mut().beside);
    if tasks.is_empty() {
        return;
    }
    for task in tasks {
        host.spawn(task);
    }
    // A WASI component looks at a new task when something has happened to its request, not before; no wait at all is nothing.
    host.sleep(1).await;
}

/// Asks upstream; says that it is lost where it does not answer soon, and waits for as long as a fetch may take.
async fn ask<H: Host>(host: &H, shared: &RefCell<Shared>, request: Outgoing) -> Result<Response, HostError> {
    let mut answer = Box::pin(host.fetch(request));
    loop {
        match select(answer, Box::pin(host.sleep(LOST_MS))).await {
            Either::Left((answer, _)) => return answer,
            Either::Right(((), waiting)) => {
                answer = waiting;
                lost(shared);
                tend(host, shared);
                run_beside(host, shared).await;
            }
        }
    }
}

fn lost(shared: &RefCell<Shared>) {
    let here = &mut *shared.borrow_mut();
    let told = here.room.set_reached(false);
    here.send(told);
}

fn deserted(shared: &RefCell<Shared>) -> bool {
    let here = &mut *shared.borrow_mut();
    let alone = here.readers.is_deserted();
    if alone {
        here.followed = false;
    }
    alone
}

enum Ended {
    /// Nobody listens any more.
    Alone,
    /// The stream brought something before it ended.
    AfterFrames,
    /// It did not.
    Early,
    /// Upstream does not let this room in any more.
    Refused,
}

async fn relay<H: Host>(host: &H, shared: &RefCell<Shared>, mut stream: ByteStream) -> Ended {
    let mut parser = Parser::default();
    let mut ended = Ended::Early;
    loop {
        let silence = Box::pin(host.sleep(SILENCE_MS));
        let first = match select(stream.next(), silence).await {
            Either::Left((Some(bytes), _)) => bytes,
            Either::Left((None, _)) => return ended,
            Either::Right(_) => return Ended::Early,
        };
        let wait = {
            let here = &mut *shared.borrow_mut();
            gather_ms(std::mem::take(&mut here.arrivals), here.room.version().is_some())
        };
        let (pieces, over) = gather(host, &mut stream, first, wait).await;
        {
            let here = &mut *shared.borrow_mut();
            here.readers.tend(host.now_ms());
            for bytes in pieces {
                let Ok(items) = parser.push(&bytes) else { return Ended::Early };
                for item in items {
                    let told = here.room.set_reached(true);
                    here.send(told);
                    let pushed = match item {
                        Item::Heartbeat => Pushed::Send(Bytes::from_static(HEARTBEAT.as_bytes())),
                        Item::Frame(frame) if is_refused(&frame) => return Ended::Refused,
                        Item::Frame(frame) => here.room.push(&frame),
                    };
                    if !here.send(pushed) {
                        return ended;
                    }
                    ended = Ended::AfterFrames;
                }
            }
        }
        run_beside(host, shared).await;
        if deserted(shared) {
            return Ended::Alone;
        }
        if over {
            return ended;
        }
    }
}

/// Whether a frame says that upstream was refused itself: a shard's is the room of the performance.
fn is_refused(frame: &Frame) -> bool {
    frame.event == EVENT_CLOSE
        && serde_json::from_str::<Close>(&frame.data).is_ok_and(|close| close.reason == CloseReason::Refused)
}

/// How long to gather after so many arrivals. What a room without seats waits for, its readers wait for.
fn gather_ms(arrivals: u64, has_seats: bool) -> u64 {
    let longer = if has_seats { arrivals.saturating_mul(ARRIVAL_MS).min(ARRIVALS_MS_MAX) } else { 0 };
    GATHER_MS + longer
}

/// A piece with those that come within `wait` milliseconds, and whether the stream is over.
async fn gather<H: Host>(host: &H, stream: &mut ByteStream, first: Vec<u8>, wait: u64) -> (Vec<Vec<u8>>, bool) {
    let mut pieces = vec![first];
    let mut time = Box::pin(host.sleep(wait));
    while pieces.len() < GATHERED_MAX {
        match select(stream.next(), time).await {
            Either::Left((Some(piece), left)) => {
                pieces.push(piece);
                time = left;
            }
            Either::Left((None, _)) => return (pieces, true),
            Either::Right(_) => break,
        }
    }
    (pieces, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!((pause_ms(0), pause_ms(1), pause_ms(u32::MAX)), (250, 500, PAUSE_LONGEST_MS));
    }

    #[test]
    fn where_many_come_their_frames_wait_but_not_the_first_seats() {
        let longest = GATHER_MS + ARRIVALS_MS_MAX;
        assert_eq!([0, 1, 10, 1_000, u64::MAX].map(|n| gather_ms(n, true)), [1, 5, 41, longest, longest]);
        assert_eq!(gather_ms(1_000, false), GATHER_MS);
    }
}
