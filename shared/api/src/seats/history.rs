//! The changes of the last moments, for those who come back: what was missed is found exactly, or not at all.

use std::collections::VecDeque;

use super::SeatChanges;

/// The most frames kept.
pub const FRAMES_MAX: usize = 1_000;
/// The most seats in them, each counted as often as it changed.
pub const SEATS_MAX: usize = 64 * 1024;

/// Consecutive frames of changes.
#[derive(Clone, Debug, Default)]
pub struct History {
    frames: VecDeque<SeatChanges>,
    seats: usize,
}

/// What one who has some version missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missed {
    /// Nothing: it is the newest.
    Nothing,
    /// This, in one frame.
    Changes(SeatChanges),
    /// It is not known any more, or not yet.
    Unknown,
}

impl History {
    /// Keeps a frame that follows the one before; lets the oldest go where there are too many.
    pub fn push(&mut self, frame: SeatChanges) {
        self.seats += frame.changes.iter().map(Vec::len).sum::<usize>();
        self.frames.push_back(frame);
        while self.frames.len() > FRAMES_MAX || self.seats > SEATS_MAX {
            let Some(old) = self.frames.pop_front() else { break };
            self.seats -= old.changes.iter().map(Vec::len).sum::<usize>();
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What one who has `version` missed until `now`, the version after the last frame.
    pub fn missed(&self, version: i64, now: i64) -> Missed {
        if version == now {
            return Missed::Nothing;
        }
        let mut frames = self.frames.iter().skip_while(|frame| frame.to <= version);
        let Some(mut all) = frames.next().and_then(|frame| frame.after(version)) else { return Missed::Unknown };
        for later in frames {
            all.changes.extend_from_slice(&later.changes);
            all.to = later.to;
        }
        Missed::Changes(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(from: i64, changes: &[&[u32]]) -> SeatChanges {
        let changes: Vec<Vec<_>> = changes.iter().map(|seats| seats.iter().map(|&i| (i, 1)).collect()).collect();
        SeatChanges { from, to: from + i64::try_from(changes.len()).unwrap(), changes }
    }

    #[test]
    fn from_the_middle_of_a_frame_to_the_end() {
        let mut history = History::default();
        history.push(frame(10, &[&[1], &[2]]));
        history.push(frame(12, &[&[3]]));
        assert_eq!(history.missed(13, 13), Missed::Nothing);
        assert_eq!(history.missed(11, 13), Missed::Changes(frame(11, &[&[2], &[3]])));
        assert_eq!(history.missed(10, 13), Missed::Changes(frame(10, &[&[1], &[2], &[3]])));
        for unknown in [9, 14, i64::MIN, i64::MAX] {
            assert_eq!(history.missed(unknown, 13), Missed::Unknown);
        }
        history.clear();
        assert_eq!(history.missed(12, 13), Missed::Unknown);
    }

    #[test]
    fn it_is_bounded_by_frames_and_by_seats() {
        let mut history = History::default();
        for from in 0..=1_000 {
            history.push(frame(from, &[&[1]]));
        }
        assert_eq!((history.missed(0, 1_001), history.frames.len()), (Missed::Unknown, FRAMES_MAX));
        let many: Vec<u32> = (0..40_000).collect();
        history.push(frame(1_001, &[&many]));
        history.push(frame(1_002, &[&many]));
        assert_eq!((history.frames.len(), history.seats), (1, 40_000));
    }
}
