//! One stream of seat changes to many readers: a parser of event-stream frames and the room that passes them on.
//!
//! The room keeps the seats' states up to date itself, so that one who joins gets a snapshot of now, and a bounded history
//! of frames, so that one who comes back with `Last-Event-ID` gets only what was missed. Readers are never waited for:
//! whoever's queue is full is dropped and comes back on its own.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use futures_channel::mpsc;
use futures_util::{
    StreamExt,
    future::{Either, select},
};
use nugul_api::{
    headers::LAST_EVENT_ID,
    seats::{EVENT_CHANGES, EVENT_SNAPSHOT, HEARTBEAT, HEARTBEAT_MS, RETRY_MS, SeatChanges, SeatSnapshot},
};
use nugul_domain::{SeatState, seat_map::SEATS_MAX};

use crate::{
    host::{Host, Outgoing},
    http::{Body, ByteStream, Response, header},
};

/// The longest frame, in bytes. A snapshot of the largest hall takes about 20,000.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;
/// The most frames kept for those who come back.
pub const HISTORY_FRAMES_MAX: usize = 1024;
/// The most bytes kept for those who come back.
pub const HISTORY_BYTES_MAX: usize = 512 * 1024;
/// The most readers of one room.
pub const READERS_MAX: usize = 5_000;
/// The most frames that wait for one reader.
pub const QUEUE_FRAMES_MAX: usize = 32;
/// An upstream silent for this long is taken for dead, in milliseconds.
pub const SILENCE_MS: u64 = 3 * HEARTBEAT_MS;

/// One thing that came over the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A comment: the stream lives.
    Heartbeat,
    /// An event.
    Frame(Frame),
}

/// An event as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its name.
    pub event: String,
    /// Its id.
    pub id: Option<String>,
    /// Its data.
    pub data: String,
}

/// The stream holds a frame over [`FRAME_BYTES_MAX`]; nothing after it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTooLong;

/// Cuts a stream of bytes into frames (HTML Standard, 9.2.5), however they are split on the way.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    frame: Frame,
    has_data: bool,
    frame_bytes: usize,
}

impl Parser {
    /// Takes the next bytes; gives what they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Item>, FrameTooLong> {
        let mut items = Vec::new();
        for &byte in bytes {
            let after_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    self.take_line(&String::from_utf8_lossy(&line), &mut items);
                }
                _ => {
                    self.line.push(byte);
                    self.frame_bytes += 1;
                    if self.frame_bytes > FRAME_BYTES_MAX {
                        *self = Self::default();
                        return Err(FrameTooLong);
                    }
                }
            }
        }
        Ok(items)
    }

    fn take_line(&mut self, line: &str, items: &mut Vec<Item>) {
        if line.is_empty() {
            let frame = std::mem::take(&mut self.frame);
            self.frame_bytes = 0;
            if std::mem::take(&mut self.has_data) {
                items.push(Item::Frame(frame));
            }
            return;
        }
        if line.starts_with(':') {
            self.frame_bytes = self.frame_bytes.saturating_sub(line.len());
            items.push(Item::Heartbeat);
            return;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.frame.event),
            "id" if !value.contains('\0') => self.frame.id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
            }
            _ => {}
        }
    }
}

/// What to do with a frame from upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Send this to every reader.
    Send(Rc<str>),
    /// It changes nothing.
    Nothing,
    /// Frames are missing: ask upstream again, without a resume point.
    Gap,
}

struct Kept {
    from: i64,
    to: i64,
    text: Rc<str>,
}

/// The states of a performance's seats, and the way there.
#[derive(Default)]
pub struct Room {
    now: Option<(i64, Vec<SeatState>)>,
    history: VecDeque<Kept>,
    history_bytes: usize,
    snapshot: Option<Rc<str>>,
}

impl Room {
    /// The version the room is at: the resume point for upstream.
    pub fn version(&self) -> Option<i64> {
        self.now.as_ref().map(|(version, _)| *version)
    }

    /// Forgets everything; the next frame must be a snapshot.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes a frame from upstream.
    pub fn push(&mut self, frame: &Frame) -> Pushed {
        match frame.event.as_str() {
            EVENT_SNAPSHOT => self.push_snapshot(&frame.data),
            EVENT_CHANGES => self.push_changes(&frame.data),
            _ => Pushed::Nothing,
        }
    }

    fn push_snapshot(&mut self, data: &str) -> Pushed {
        let snapshot = serde_json::from_str::<SeatSnapshot>(data).ok().filter(|s| s.seat_count <= SEATS_MAX);
        let Some((snapshot, states)) = snapshot.and_then(|s| s.unpack().map(|states| (s, states))) else {
            self.clear();
            return Pushed::Gap;
        };
        let text: Rc<str> = snapshot.frame().into();
        self.clear();
        self.now = Some((snapshot.version, states));
        self.snapshot = Some(Rc::clone(&text));
        Pushed::Send(text)
    }

    fn push_changes(&mut self, data: &str) -> Pushed {
        let (Some((version, states)), Ok(changes)) = (&mut self.now, serde_json::from_str::<SeatChanges>(data)) else {
            self.clear();
            return Pushed::Gap;
        };
        if changes.to <= *version {
            return Pushed::Nothing;
        }
        let fits = changes.changes.iter().flatten().all(|&(i, state)| (i as usize) < states.len() && state < 4);
        if changes.from != *version || !fits {
            self.clear();
            return Pushed::Gap;
        }
        for &(i, state) in changes.changes.iter().flatten() {
            if let Some(seat) = states.get_mut(i as usize) {
                *seat = SeatState::from_bits(state);
            }
        }
        *version = changes.to;
        self.snapshot = None;
        let text: Rc<str> = changes.frame().into();
        self.history_bytes += text.len();
        self.history.push_back(Kept { from: changes.from, to: changes.to, text: Rc::clone(&text) });
        while self.history.len() > HISTORY_FRAMES_MAX || self.history_bytes > HISTORY_BYTES_MAX {
            let Some(old) = self.history.pop_front() else { break };
            self.history_bytes = self.history_bytes.saturating_sub(old.text.len());
        }
        Pushed::Send(text)
    }

    /// What one who joins gets first: what was missed since `last_event_id` where that is known, a snapshot otherwise,
    /// nothing where the room has no snapshot yet.
    pub fn join(&mut self, last_event_id: Option<&str>) -> Vec<Rc<str>> {
        let Some((version, states)) = &self.now else { return Vec::new() };
        if let Some(last) = last_event_id.and_then(|id| id.parse::<i64>().ok()) {
            if last == *version {
                return Vec::new();
            }
            if self.history.iter().any(|kept| kept.from == last) {
                return self.history.iter().filter(|kept| kept.to > last).map(|kept| Rc::clone(&kept.text)).collect();
            }
        }
        let text = self.snapshot.get_or_insert_with(|| SeatSnapshot::pack(*version, states).frame().into());
        vec![Rc::clone(text)]
    }
}

/// The readers of a room, each behind a bounded queue.
#[derive(Default)]
pub struct Readers {
    queues: Vec<mpsc::Sender<Vec<u8>>>,
}

impl Readers {
    /// Adds a reader that gets `first` before anything else; nothing where the room is full.
    pub fn add(&mut self, first: Vec<u8>) -> Option<mpsc::Receiver<Vec<u8>>> {
        if self.queues.len() >= READERS_MAX {
            return None;
        }
        let (mut queue, reader) = mpsc::channel(QUEUE_FRAMES_MAX);
        if !first.is_empty() {
            queue.try_send(first).ok()?;
        }
        self.queues.push(queue);
        Some(reader)
    }

    /// Sends to all; drops those who left and those who do not keep up.
    pub fn send(&mut self, bytes: &[u8]) {
        self.queues.retain_mut(|queue| queue.try_send(bytes.to_vec()).is_ok());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.queues.len()
    }

    /// Whether nobody listens; those who left no longer count.
    pub fn is_empty(&mut self) -> bool {
        self.queues.retain(|queue| !queue.is_closed());
        self.queues.is_empty()
    }
}

/// How long to wait before asking upstream again, after this many failures in a row.
pub fn pause_ms(failures: u32) -> u64 {
    const FIRST_MS: u64 = 250;
    const LONGEST_MS: u64 = 10_000;
    FIRST_MS.saturating_mul(1 << failures.min(10)).min(LONGEST_MS)
}

/// A room with its readers, as its follower and its visitors share it.
#[derive(Default)]
pub struct Shared {
    room: Room,
    readers: Readers,
    followed: bool,
}

/// What a reader gets, in pieces.
pub type Reader = mpsc::Receiver<Vec<u8>>;

/// Joins a room and sees to it that its one upstream runs; nothing where the room is full.
pub fn join<H: Host>(host: &H, shared: &Rc<RefCell<Shared>>, upstream: Outgoing) -> Option<Reader> {
    let (reader, follow_now) = {
        let mut here = shared.borrow_mut();
        let mut first = format!("retry: {RETRY_MS}\n\n");
        let last = header(&upstream.headers, LAST_EVENT_ID);
        here.room.join(last).iter().for_each(|text| first.push_str(text));
        let reader = here.readers.add(first.into_bytes())?;
        (reader, !std::mem::replace(&mut here.followed, true))
    };
    if follow_now {
        host.spawn(Box::pin(follow(host.clone(), Rc::clone(shared), upstream)));
    }
    Some(reader)
}

/// Keeps a room up to date while someone listens.
async fn follow<H: Host>(host: H, shared: Rc<RefCell<Shared>>, upstream: Outgoing) {
    let mut failures = 0;
    loop {
        {
            let mut here = shared.borrow_mut();
            if here.readers.is_empty() {
                here.followed = false;
                return;
            }
        }
        let mut request = upstream.clone();
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(LAST_EVENT_ID));
        if let Some(version) = shared.borrow().room.version() {
            request.headers.push((LAST_EVENT_ID.into(), version.to_string()));
        }
        if let Ok(Response { status: 200, body: Body::Stream(stream), .. }) = host.fetch(request).await {
            match relay(&host, &shared, stream).await {
                Ended::Alone => return,
                Ended::AfterFrames => failures = 0,
                Ended::Early => {}
            }
        }
        host.sleep(pause_ms(failures)).await;
        failures = failures.saturating_add(1);
    }
}

enum Ended {
    /// Nobody listens any more.
    Alone,
    /// The stream brought something before it ended.
    AfterFrames,
    /// It did not.
    Early,
}

async fn relay<H: Host>(host: &H, shared: &RefCell<Shared>, mut stream: ByteStream) -> Ended {
    let mut parser = Parser::default();
    let mut ended = Ended::Early;
    loop {
        let silence = Box::pin(host.sleep(SILENCE_MS));
        let bytes = match select(stream.next(), silence).await {
            Either::Left((Some(bytes), _)) => bytes,
            Either::Left((None, _)) | Either::Right(_) => return ended,
        };
        let Ok(items) = parser.push(&bytes) else { return ended };
        let mut here = shared.borrow_mut();
        for item in items {
            match item {
                Item::Heartbeat => here.readers.send(HEARTBEAT.as_bytes()),
                Item::Frame(frame) => match here.room.push(&frame) {
                    Pushed::Send(text) => here.readers.send(text.as_bytes()),
                    Pushed::Nothing => {}
                    Pushed::Gap => return ended,
                },
            }
            ended = Ended::AfterFrames;
        }
        if here.readers.is_empty() {
            here.followed = false;
            return Ended::Alone;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt};
    use nugul_domain::{SeatIndex, seat_book::Change};
    use proptest::prelude::*;

    fn frames(text: &str) -> Vec<Frame> {
        let items = Parser::default().push(text.as_bytes()).unwrap();
        items.into_iter().filter_map(|item| if let Item::Frame(frame) = item { Some(frame) } else { None }).collect()
    }

    /// What a browser does with the frames it gets.
    #[derive(Default)]
    struct Browser {
        now: Option<(i64, Vec<SeatState>)>,
    }

    impl Browser {
        fn take(&mut self, text: &str) {
            for frame in frames(text) {
                if frame.event == EVENT_SNAPSHOT {
                    let snapshot: SeatSnapshot = serde_json::from_str(&frame.data).unwrap();
                    self.now = Some((snapshot.version, snapshot.unpack().unwrap()));
                } else {
                    let changes: SeatChanges = serde_json::from_str(&frame.data).unwrap();
                    let (version, states) = self.now.as_mut().unwrap();
                    assert_eq!(changes.from, *version, "a gap");
                    for &(i, state) in changes.changes.iter().flatten() {
                        states[i as usize] = SeatState::from_bits(state);
                    }
                    *version = changes.to;
                }
            }
        }
    }

    #[test]
    fn frames_are_read_however_lines_end() {
        for end in ["\n", "\r", "\r\n"] {
            let text =
                ["retry: 1000", "", ": alive", "", "event: changes", "id: 7", "data: a", "data:b", "", ""].join(end);
            let mut parser = Parser::default();
            let items: Vec<Item> = text.bytes().flat_map(|b| parser.push(&[b]).unwrap()).collect();
            let frame = Frame { event: "changes".into(), id: Some("7".into()), data: "a\nb".into() };
            assert_eq!(items, [Item::Heartbeat, Item::Frame(frame)]);
        }
    }

    #[test]
    fn an_endless_frame_is_refused() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(&vec![b'x'; FRAME_BYTES_MAX + 1]), Err(FrameTooLong));
        for _ in 0..3 * FRAME_BYTES_MAX / 8 {
            assert!(parser.push(b": alive\n").is_ok());
        }
    }

    #[test]
    fn a_gap_asks_for_a_snapshot() {
        let mut room = Room::default();
        assert_eq!(
            room.push(&frames("event: changes\ndata: {\"from\":1,\"to\":2,\"changes\":[[]]}\n\n")[0]),
            Pushed::Gap
        );
        room.push(&frames(&SeatSnapshot::pack(5, &[SeatState::Available; 3]).frame())[0]);
        let far = SeatChanges { from: 6, to: 7, changes: vec![vec![(0, 1)]] };
        let outside = SeatChanges { from: 5, to: 6, changes: vec![vec![(3, 1)]] };
        let old = SeatChanges { from: 4, to: 5, changes: vec![vec![(0, 1)]] };
        assert_eq!(room.push(&frames(&old.frame())[0]), Pushed::Nothing);
        assert_eq!(room.push(&frames(&far.frame())[0]), Pushed::Gap);
        assert_eq!(room.version(), None);
        room.push(&frames(&SeatSnapshot::pack(5, &[SeatState::Available; 3]).frame())[0]);
        assert_eq!(room.push(&frames(&outside.frame())[0]), Pushed::Gap);
    }

    #[test]
    fn who_does_not_keep_up_is_dropped() {
        let mut readers = Readers::default();
        let mut slow = readers.add(b"first".to_vec()).unwrap();
        for _ in 0..QUEUE_FRAMES_MAX + 2 {
            readers.send(b"x");
        }
        assert_eq!(readers.len(), 0);
        assert_eq!(slow.next().now_or_never(), Some(Some(b"first".to_vec())));
        drop(readers.add(Vec::new()));
        assert!(readers.is_empty());
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!((pause_ms(0), pause_ms(1), pause_ms(u32::MAX)), (250, 500, 10_000));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whoever_joins_whenever_sees_the_truth(
            changes in prop::collection::vec(prop::collection::vec((0u32..9, 0u8..4), 1..4), 1..40),
            batches in prop::collection::vec(1usize..4, 40),
            joins in prop::collection::vec((0usize..40, prop::option::of(0usize..40)), 1..6),
            cut in 1usize..50,
        ) {
            let start = vec![SeatState::Available; 9];
            let mut truth = start.clone();
            let mut stream = SeatSnapshot::pack(100, &start).frame();
            let changes: Vec<Change> = changes.iter().enumerate().map(|(n, seats)| Change {
                version: 101 + i64::try_from(n).unwrap(),
                seats: seats.iter().map(|&(i, s): &(SeatIndex, u8)| (i, SeatState::from_bits(s))).collect(),
            }).collect();
            for change in &changes {
                for &(i, state) in &change.seats {
                    truth[i as usize] = state;
                }
            }
            let (mut rest, mut sizes) = (changes.as_slice(), batches.into_iter());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(sizes.next().unwrap_or(1).min(rest.len()));
                stream.push_str(&SeatChanges::merge(now).unwrap().frame());
                rest = later;
            }

            let (mut parser, mut room) = (Parser::default(), Room::default());
            let mut browsers: Vec<Browser> = Vec::new();
            let mut seen = 0;
            for piece in stream.as_bytes().chunks(cut) {
                for item in parser.push(piece).unwrap() {
                    let Item::Frame(frame) = item else { continue };
                    let Pushed::Send(text) = room.push(&frame) else { panic!("refused {frame:?}") };
                    for browser in &mut browsers {
                        browser.take(&text);
                    }
                    for &(when, missed) in &joins {
                        if when == seen {
                            // One who was there `missed` changes ago and comes back, or one who was never there.
                            let now = room.version().unwrap();
                            let mut browser = Browser::default();
                            let last = missed.map(|missed| (now - i64::try_from(missed).unwrap()).max(100));
                            if let Some(last) = last {
                                let mut states = start.clone();
                                for change in changes.iter().filter(|c| c.version <= last) {
                                    for &(i, state) in &change.seats {
                                        states[i as usize] = state;
                                    }
                                }
                                browser.now = Some((last, states));
                            }
                            for text in room.join(last.map(|id| id.to_string()).as_deref()) {
                                browser.take(&text);
                            }
                            browsers.push(browser);
                        }
                    }
                    seen += 1;
                }
            }
            let mut late = Browser::default();
            room.join(None).iter().for_each(|text| late.take(text));
            browsers.push(late);
            let end = 100 + i64::try_from(changes.len()).unwrap();
            for browser in browsers {
                prop_assert_eq!(browser.now, Some((end, truth.clone())));
            }
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), text in "(event: (snapshot|changes)|data: ?.{0,60}|id.{0,5}|:.*|\n|\r){0,20}") {
            let (mut parser, mut room) = (Parser::default(), Room::default());
            for piece in [bytes.as_slice(), text.as_bytes(), b"\n\n"] {
                for item in parser.push(piece).unwrap_or_default() {
                    if let Item::Frame(frame) = item {
                        room.push(&frame);
                    }
                }
                room.join(Some(&text));
            }
        }
    }
}
