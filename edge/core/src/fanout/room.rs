//! The seats of a performance as an edge place knows them, and the frames that tell readers.
//!
//! The room keeps the seats' states up to date itself, so that one who joins gets a snapshot of now, and a bounded history
//! of changes, so that one who comes back with `Last-Event-ID` gets exactly what was missed.

use bytes::Bytes;
use nugul_api::seats::{
    EVENT_CHANGES, EVENT_LINK, EVENT_SNAPSHOT, EVENT_STATUS, Link, SaleStatus, SeatChanges, SeatSnapshot,
    history::{History, Missed},
};
use nugul_domain::{SeatState, seat_map::SEATS_MAX};

use super::Frame;

/// What to do with a frame from upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Send this to every reader.
    Send(Bytes),
    /// It changes nothing.
    Nothing,
    /// Frames are missing: ask upstream again, without a resume point.
    Gap,
}

/// The states of a performance's seats, and the way there.
pub struct Room {
    now: Option<(i64, Vec<SeatState>)>,
    history: History,
    /// Snapshots of now, unmarked and marked, where one was needed.
    snapshots: [Option<Bytes>; 2],
    /// What those got who came back last, by the version they had: many come back at once.
    resumed: Option<(i64, Bytes)>,
    status: Option<(SaleStatus, Bytes)>,
    /// Whether upstream answers.
    reached: bool,
    /// Whether upstream says that it has contact itself.
    upstream_live: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            now: None,
            history: History::default(),
            snapshots: [None, None],
            resumed: None,
            status: None,
            reached: true,
            upstream_live: true,
        }
    }
}

impl Room {
    /// The version the room is at: the resume point for upstream.
    pub fn version(&self) -> Option<i64> {
        self.now.as_ref().map(|(version, _)| *version)
    }

    /// Whether one who has this version gets exactly what it missed.
    pub fn can_resume(&self, last: i64) -> bool {
        self.version().is_some_and(|now| !matches!(self.history.missed(last, now), Missed::Unknown))
    }

    /// Takes a frame from upstream.
    pub fn push(&mut self, frame: &Frame) -> Pushed {
        match frame.event.as_str() {
            EVENT_SNAPSHOT => self.push_snapshot(&frame.data),
            EVENT_CHANGES => self.push_changes(&frame.data),
            EVENT_STATUS => self.push_status(&frame.data),
            EVENT_LINK => match serde_json::from_str::<Link>(&frame.data) {
                Ok(link) => self.set_link(|room| room.upstream_live = link.live),
                Err(_) => Pushed::Nothing,
            },
            _ => Pushed::Nothing,
        }
    }

    /// Takes that upstream answers, or does not.
    pub fn set_reached(&mut self, reached: bool) -> Pushed {
        self.set_link(|room| {
            // An upstream that is new says it where it has no contact.
            room.upstream_live |= reached && !room.reached;
            room.reached = reached;
        })
    }

    fn set_link(&mut self, change: impl FnOnce(&mut Self)) -> Pushed {
        let before = self.is_live();
        change(self);
        let live = self.is_live();
        if live == before { Pushed::Nothing } else { Pushed::Send(Link { live }.frame().into()) }
    }

    fn is_live(&self) -> bool {
        self.reached && self.upstream_live
    }

    fn push_snapshot(&mut self, data: &str) -> Pushed {
        let snapshot = serde_json::from_str::<SeatSnapshot>(data).ok().filter(|s| s.seat_count <= SEATS_MAX);
        let Some((snapshot, states)) = snapshot.and_then(|s| s.unpack().map(|states| (s, states))) else {
            return self.gap();
        };
        let now = Some((snapshot.version, states));
        if self.now == now {
            return Pushed::Nothing;
        }
        self.now = now;
        self.history.clear();
        self.forget_derived();
        Pushed::Send(self.snapshot(true))
    }

    fn push_changes(&mut self, data: &str) -> Pushed {
        let (Some((version, states)), Ok(changes)) = (&mut self.now, serde_json::from_str::<SeatChanges>(data)) else {
            return self.gap();
        };
        let steps = i64::try_from(changes.changes.len()).ok();
        if changes.to.checked_sub(changes.from) != steps {
            return self.gap();
        }
        if changes.to <= *version {
            return Pushed::Nothing;
        }
        // Upstream may have begun its frame before what is known here.
        let Some(changes) = changes.after(*version) else { return self.gap() };
        let known = |&(i, state): &(u32, u8)| (i as usize) < states.len() && state < 4;
        if !changes.changes.iter().flatten().all(known) {
            return self.gap();
        }
        for &(i, state) in changes.changes.iter().flatten() {
            if let Some(seat) = states.get_mut(i as usize) {
                *seat = SeatState::from_bits(state);
            }
        }
        *version = changes.to;
        let text = changes.frame().into();
        self.history.push(changes);
        self.forget_derived();
        Pushed::Send(text)
    }

    fn push_status(&mut self, data: &str) -> Pushed {
        let Ok(status) = serde_json::from_str::<SaleStatus>(data) else { return Pushed::Nothing };
        if self.status.as_ref().is_some_and(|(known, _)| *known == status) {
            return Pushed::Nothing;
        }
        let text: Bytes = status.frame().into();
        self.status = Some((status, text.clone()));
        Pushed::Send(text)
    }

    /// What one who joins gets first: what was missed since `last_event_id` where that is known, else a snapshot, marked
    /// where the reader had something; nothing of either where the room knows nothing yet. Then status and link.
    pub fn join(&mut self, last_event_id: Option<&str>) -> Vec<Bytes> {
        let seats = self.version().and_then(|now| {
            let last = last_event_id.and_then(|id| id.parse::<i64>().ok());
            match last.map_or(Missed::Unknown, |last| self.history.missed(last, now)) {
                Missed::Nothing => None,
                Missed::Unknown => Some(self.snapshot(last_event_id.is_some())),
                Missed::Changes(changes) => Some(self.resume(&changes)),
            }
        });
        let link = (!self.is_live()).then(|| Bytes::from(Link { live: false }.frame()));
        seats.into_iter().chain(self.status.as_ref().map(|(_, text)| text.clone())).chain(link).collect()
    }

    /// Brings a reader up to date that did not keep up.
    pub fn collapse(&mut self) -> Vec<Bytes> {
        self.join(Some(""))
    }

    fn resume(&mut self, changes: &SeatChanges) -> Bytes {
        match &self.resumed {
            Some((from, text)) if *from == changes.from => text.clone(),
            _ => {
                let text: Bytes = changes.frame().into();
                self.resumed = Some((changes.from, text.clone()));
                text
            }
        }
    }

    fn snapshot(&mut self, marked: bool) -> Bytes {
        let Some((version, states)) = &self.now else { return Bytes::new() };
        let [plain, with_mark] = &mut self.snapshots;
        let kept = if marked { with_mark } else { plain };
        let text = kept.get_or_insert_with(|| {
            let snapshot = SeatSnapshot::pack(*version, states);
            if marked { snapshot.marked() } else { snapshot }.frame().into()
        });
        text.clone()
    }

    /// Forgets the seats; the next frame of seats must be a snapshot.
    fn gap(&mut self) -> Pushed {
        self.now = None;
        self.history.clear();
        self.forget_derived();
        Pushed::Gap
    }

    fn forget_derived(&mut self) {
        self.snapshots = [None, None];
        self.resumed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Item, Parser};
    use super::*;
    use nugul_api::seats::HEARTBEAT;
    use nugul_domain::{SeatIndex, Timestamp, seat_book::Change};
    use proptest::prelude::*;

    fn frames(text: &[u8]) -> Vec<Frame> {
        let items = Parser::default().push(text).unwrap();
        items.into_iter().filter_map(|item| if let Item::Frame(frame) = item { Some(frame) } else { None }).collect()
    }

    fn push(room: &mut Room, text: &str) -> Pushed {
        room.push(&frames(text.as_bytes())[0])
    }

    /// What a browser does with the frames it gets.
    #[derive(Default)]
    struct Browser {
        now: Option<(i64, Vec<SeatState>)>,
    }

    impl Browser {
        fn take(&mut self, text: &[u8]) {
            for frame in frames(text) {
                match frame.event.as_str() {
                    EVENT_SNAPSHOT => {
                        let snapshot: SeatSnapshot = serde_json::from_str(&frame.data).unwrap();
                        self.now = Some((snapshot.version, snapshot.unpack().unwrap()));
                    }
                    EVENT_CHANGES => {
                        let changes: SeatChanges = serde_json::from_str(&frame.data).unwrap();
                        let (version, states) = self.now.as_mut().unwrap();
                        assert_eq!(changes.from, *version, "a gap");
                        for &(i, state) in changes.changes.iter().flatten() {
                            states[i as usize] = SeatState::from_bits(state);
                        }
                        *version = changes.to;
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn a_gap_asks_for_a_snapshot() {
        let mut room = Room::default();
        assert_eq!(push(&mut room, "event: changes\ndata: {\"from\":1,\"to\":2,\"changes\":[[]]}\n\n"), Pushed::Gap);
        let snapshot = SeatSnapshot::pack(5, &[SeatState::Available; 3]).frame();
        push(&mut room, &snapshot);
        assert_eq!(push(&mut room, &snapshot), Pushed::Nothing);
        let far = SeatChanges { from: 6, to: 7, changes: vec![vec![(0, 1)]] };
        let outside = SeatChanges { from: 5, to: 6, changes: vec![vec![(3, 1)]] };
        let old = SeatChanges { from: 4, to: 5, changes: vec![vec![(0, 1)]] };
        let short = SeatChanges { from: 5, to: 7, changes: vec![vec![(0, 1)]] };
        assert_eq!(push(&mut room, &old.frame()), Pushed::Nothing);
        assert_eq!(push(&mut room, &far.frame()), Pushed::Gap);
        assert_eq!(room.version(), None);
        for bad in [outside, short] {
            push(&mut room, &snapshot);
            assert_eq!(push(&mut room, &bad.frame()), Pushed::Gap);
        }
    }

    #[test]
    fn a_frame_that_begins_earlier_is_told_from_where_readers_are() {
        let mut room = Room::default();
        push(&mut room, &SeatSnapshot::pack(5, &[SeatState::Available; 3]).frame());
        let wide = SeatChanges { from: 4, to: 6, changes: vec![vec![(0, 1)], vec![(1, 2)]] };
        let rest = SeatChanges { from: 5, to: 6, changes: vec![vec![(1, 2)]] };
        assert_eq!(push(&mut room, &wide.frame()), Pushed::Send(rest.frame().into()));
    }

    #[test]
    fn status_and_link_are_told_once_and_to_everyone_who_joins() {
        let mut room = Room::default();
        let at = Timestamp::from_millis(0);
        let status = SaleStatus { remaining: Vec::new(), sales_open_at: at, sales_close_at: at, cancelled: true };
        let told = Bytes::from(status.frame());
        assert_eq!(push(&mut room, &status.frame()), Pushed::Send(told.clone()));
        assert_eq!(push(&mut room, &status.frame()), Pushed::Nothing);
        let lost = Bytes::from(Link { live: false }.frame());
        assert_eq!(push(&mut room, &Link { live: false }.frame()), Pushed::Send(lost.clone()));
        assert_eq!(room.set_reached(false), Pushed::Nothing);
        assert_eq!(room.join(None), [told, lost]);
        // A new upstream says so itself should it have no contact.
        assert_eq!(room.set_reached(true), Pushed::Send(Link { live: true }.frame().into()));
        assert_eq!(push(&mut room, "event: status\ndata: {}\n\n"), Pushed::Nothing);
        assert_eq!(push(&mut room, "event: close\ndata: {\"reason\":\"shutdown\"}\n\n"), Pushed::Nothing);
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
                stream.push_str(HEARTBEAT);
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
                                // Whoever was here is told changes alone.
                                prop_assert!(last.is_none() || text.starts_with(b"event: changes"));
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
        fn hostile_frames_never_panic(text in "(event: (snapshot|changes|status|link)\n|data: ?(\\{\"from\":[0-9-]{1,20},\"to\":[0-9-]{1,20},\"changes\":\\[(\\[\\[[0-9],[0-9]\\]\\])?\\]\\}|.{0,60})\n|id.{0,5}\n|\n){0,20}") {
            let (mut parser, mut room) = (Parser::default(), Room::default());
            room.push(&frames(SeatSnapshot::pack(5, &[SeatState::Available; 3]).frame().as_bytes())[0]);
            for item in parser.push(text.as_bytes()).unwrap_or_default() {
                if let Item::Frame(frame) = item {
                    room.push(&frame);
                }
            }
            room.join(Some(&text));
        }
    }
}
