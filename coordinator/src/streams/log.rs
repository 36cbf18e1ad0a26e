//! The frames of one performance in order, encoded once, and where a reader goes on in them.
//!
//! Frames have places 0, 1, 2 … A reader knows the next place it reads; it needs no queue. The log keeps the seats' states
//! too, so that a snapshot of now is made once for all who need one.

use std::collections::VecDeque;

use nugul_api::seats::{
    HEARTBEAT, Link, Remaining, SaleStatus, SeatChanges, SeatSnapshot,
    history::{History, Missed},
};
use nugul_domain::{
    SeatState,
    seat_book::{Change, Snapshot},
};

use super::piece::Piece;

/// A reader that is more frames behind than this gets a snapshot instead of them; so no more are kept encoded.
pub(super) const BEHIND_MAX: usize = 64;

/// What a reader at some place gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// These, of the places from its own on; none where it has all.
    Pieces(Vec<Piece>),
    /// Too many, or they are not kept: a snapshot.
    TooMany,
}

/// What one who comes back gets first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// Nothing: it has all.
    UpToDate,
    /// This frame of changes.
    Missed(Piece),
    /// What was missed is not known: a snapshot.
    Unknown,
}

/// The frames of a performance, and its seats now.
pub(super) struct Log {
    version: i64,
    states: Vec<SeatState>,
    told: VecDeque<Piece>,
    /// The place of the first that is kept.
    first: u64,
    history: History,
    /// Snapshots of now, unmarked and marked, where one was needed.
    snapshots: [Option<Piece>; 2],
    status: Option<(SaleStatus, Piece)>,
    live: bool,
    /// What those got who came back last, by the version they had: many come back at once.
    resumed: Option<(i64, Piece)>,
}

impl Log {
    /// Begins with the seats as they are.
    pub(super) fn new(now: Snapshot) -> Self {
        Self {
            version: now.version,
            states: now.seats,
            told: VecDeque::new(),
            first: 0,
            history: History::default(),
            snapshots: [None, None],
            status: None,
            live: true,
            resumed: None,
        }
    }

    /// The version after all frames.
    pub(super) fn version(&self) -> i64 {
        self.version
    }

    /// The place after all frames.
    pub(super) fn end(&self) -> u64 {
        self.first + self.told.len() as u64
    }

    /// Takes consecutive changes as one frame. `false`, and nothing is taken, where they do not follow what is known.
    pub(super) fn push(&mut self, changes: &[Change]) -> bool {
        let Some(merged) = SeatChanges::merge(changes) else { return true };
        let consecutive = changes.windows(2).all(|two| two[1].version == two[0].version + 1);
        let known = |change: &Change| change.seats.iter().all(|&(i, _)| (i as usize) < self.states.len());
        if merged.from != self.version || !consecutive || !changes.iter().all(known) {
            return false;
        }
        for &(i, state) in changes.iter().flat_map(|change| &change.seats) {
            self.states[i as usize] = state;
        }
        self.version = merged.to;
        self.forget_derived();
        self.tell(Piece::new(&merged.frame()));
        self.history.push(merged);
        true
    }

    /// Takes the seats anew, where changes are missing; readers get a marked snapshot.
    pub(super) fn replace(&mut self, now: Snapshot) {
        if now.version == self.version && now.seats == self.states {
            return;
        }
        self.version = now.version;
        self.states = now.seats;
        self.forget_derived();
        self.first = self.end();
        self.told.clear();
        self.history.clear();
        let piece = self.snapshot(true);
        self.tell(piece);
    }

    /// Shows that the stream lives.
    pub(super) fn heartbeat(&mut self) {
        self.tell(Piece::new(HEARTBEAT));
    }

    /// Tells what is beside seats, where it changed; whether it did. `counts` names grades and their numbers of seats.
    pub(super) fn set_status(&mut self, counts: &[(String, usize)], about: &SaleStatus) -> bool {
        let mut states = self.states.iter();
        let free = |(grade, seats): &(String, usize)| {
            let free = states.by_ref().take(*seats).filter(|s| **s == SeatState::Available).count();
            Remaining { grade: grade.clone(), free: u32::try_from(free).unwrap_or(u32::MAX) }
        };
        let status = SaleStatus { remaining: counts.iter().map(free).collect(), ..about.clone() };
        if self.status.as_ref().is_some_and(|(known, _)| *known == status) {
            return false;
        }
        let piece = Piece::new(&status.frame());
        self.status = Some((status, piece.clone()));
        self.tell(piece);
        true
    }

    /// Tells whether there is contact with the live state, where that changed; whether it did.
    pub(super) fn set_live(&mut self, live: bool) -> bool {
        if std::mem::replace(&mut self.live, live) == live {
            return false;
        }
        self.tell(Piece::new(&Link { live }.frame()));
        true
    }

    /// What goes with a first frame: the status, and whether there is no contact.
    pub(super) fn notes(&self) -> Vec<Piece> {
        let link = (!self.live).then(|| Piece::new(&Link { live: false }.frame()));
        self.status.iter().map(|(_, piece)| piece.clone()).chain(link).collect()
    }

    /// The seats now, encoded once for each version; marked where it replaces what a reader has.
    pub(super) fn snapshot(&mut self, marked: bool) -> Piece {
        let (version, states) = (self.version, &self.states);
        let piece = self.snapshots[usize::from(marked)].get_or_insert_with(|| {
            let snapshot = SeatSnapshot::pack(version, states);
            Piece::new(&if marked { snapshot.marked() } else { snapshot }.frame())
        });
        piece.clone()
    }

    /// What one who has `version` missed; encoded once for those who have the same.
    pub(super) fn resume(&mut self, version: i64) -> Resume {
        if let Some((known, piece)) = &self.resumed
            && *known == version
        {
            return Resume::Missed(piece.clone());
        }
        match self.history.missed(version, self.version) {
            Missed::Nothing => Resume::UpToDate,
            Missed::Unknown => Resume::Unknown,
            Missed::Changes(changes) => {
                let piece = Piece::new(&changes.frame());
                self.resumed = Some((version, piece.clone()));
                Resume::Missed(piece)
            }
        }
    }

    /// What a reader gets that reads at `place` next.
    pub(super) fn since(&self, place: u64) -> Since {
        let Some(had) = place.checked_sub(self.first) else { return Since::TooMany };
        let had = usize::try_from(had).unwrap_or(usize::MAX);
        Since::Pieces(self.told.iter().skip(had).cloned().collect())
    }

    fn tell(&mut self, piece: Piece) {
        self.told.push_back(piece);
        if self.told.len() > BEHIND_MAX {
            self.told.pop_front();
            self.first += 1;
        }
    }

    fn forget_derived(&mut self) {
        self.snapshots = [None, None];
        self.resumed = None;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::streams::piece::Framing;
    use nugul_domain::{SeatIndex, Timestamp};
    use proptest::prelude::*;

    pub(in crate::streams) fn change(version: i64, seat: SeatIndex, state: SeatState) -> Change {
        Change { version, seats: vec![(seat, state)] }
    }

    pub(in crate::streams) fn log(version: i64, seats: usize) -> Log {
        Log::new(Snapshot { version, seats: vec![SeatState::Available; seats] })
    }

    fn text(piece: &Piece) -> String {
        String::from_utf8(piece.framed(Framing::Bare).to_vec()).unwrap()
    }

    #[test]
    fn what_does_not_follow_is_not_taken() {
        let mut log = log(10, 2);
        assert!(!log.push(&[change(12, 0, SeatState::Held)]));
        assert!(!log.push(&[change(11, 0, SeatState::Held), change(13, 0, SeatState::Sold)]));
        assert!(!log.push(&[change(11, 2, SeatState::Held)]));
        assert_eq!((log.version(), log.end()), (10, 0));
        assert!(log.push(&[]) && log.end() == 0);
        assert!(log.push(&[change(11, 1, SeatState::Held)]));
        assert_eq!((log.version(), log.end()), (11, 1));
    }

    #[test]
    fn a_replaced_state_is_told_by_a_marked_snapshot_and_only_once() {
        let mut log = log(10, 1);
        log.push(&[change(11, 0, SeatState::Held)]);
        let anew = Snapshot { version: 900, seats: vec![SeatState::Sold] };
        log.replace(anew.clone());
        log.replace(anew);
        assert_eq!(log.since(0), Since::TooMany);
        let Since::Pieces(pieces) = log.since(1) else { panic!("kept") };
        assert_eq!(
            pieces.iter().map(text).collect::<Vec<_>>(),
            [
                "event: snapshot\nid: 900\ndata: {\"version\":900,\"seat_count\":1,\"states\":\"Ag==\",\"reset\":true}\n\n"
            ]
        );
        assert_eq!(log.resume(11), Resume::Unknown);
        assert_eq!(log.resume(900), Resume::UpToDate);
    }

    #[test]
    fn who_is_too_far_behind_gets_no_frames() {
        let mut log = log(0, 1);
        for _ in 0..BEHIND_MAX {
            log.heartbeat();
        }
        assert!(matches!(log.since(0), Since::Pieces(all) if all.len() == BEHIND_MAX));
        log.heartbeat();
        assert_eq!(log.since(0), Since::TooMany);
        assert_eq!(log.since(log.end()), Since::Pieces(Vec::new()));
    }

    #[test]
    fn the_status_counts_free_seats_by_grade_and_is_told_when_it_changes() {
        let mut log = log(0, 5);
        let at = Timestamp::from_millis(0);
        let about = SaleStatus { remaining: Vec::new(), sales_open_at: at, sales_close_at: at, cancelled: false };
        let counts = [("VIP".to_owned(), 2), ("R".to_owned(), 3)];
        assert!(log.set_status(&counts, &about) && !log.set_status(&counts, &about));
        log.push(&[change(1, 2, SeatState::Held)]);
        assert!(log.set_status(&counts, &about));
        let told = text(&log.notes()[0]);
        assert!(told.contains(r#"[{"grade":"VIP","free":2},{"grade":"R","free":2}]"#), "{told}");
        assert!(log.set_status(&counts, &SaleStatus { cancelled: true, ..about }));
        assert!(log.set_live(false) && !log.set_live(false));
        assert_eq!(log.notes().len(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whoever_comes_back_gets_exactly_what_was_missed(
            batches in prop::collection::vec(prop::collection::vec((0u32..6, 0u8..4), 1..5), 1..30),
            asked in prop::collection::vec(0usize..200, 1..8),
        ) {
            let mut log = log(100, 6);
            let mut every: Vec<Change> = Vec::new();
            for batch in &batches {
                let changes: Vec<Change> = batch.iter().enumerate().map(|(n, &(seat, state))| {
                    change(log.version() + 1 + i64::try_from(n).unwrap(), seat, SeatState::from_bits(state))
                }).collect();
                prop_assert!(log.push(&changes));
                log.heartbeat();
                every.extend(changes);
            }
            for back in asked {
                let version = 90 + i64::try_from(back).unwrap();
                let missed: Vec<Change> = every.iter().filter(|c| c.version > version).cloned().collect();
                let got = log.resume(version);
                if version < 100 || version > log.version() {
                    prop_assert_eq!(got, Resume::Unknown);
                } else {
                    let wanted = SeatChanges::merge(&missed).map(|all| Piece::new(&all.frame()));
                    prop_assert_eq!(got, wanted.map_or(Resume::UpToDate, Resume::Missed));
                }
            }
        }
    }
}
