//! All rankings in memory, bounded: what the coordinator's functions in Redis repeat step by step.

use std::collections::HashMap;

use super::{
    Batch, KEPT_AFTER_TRIM, KEPT_MAX, Kind, NOTED_MAX, SOURCE_TTL_MS, Score, Source, Standing, Taken,
    UNKNOWN_PEOPLE_MIN, VOTE_BITS, Vote, Window,
};
use crate::Timestamp;

/// Sources remembered; of more, the ones heard of longest ago are forgotten.
const SOURCES_MAX: usize = 10_000;

/// The rankings.
#[derive(Clone, Debug, Default)]
pub struct Board {
    windows: [Windowed; Window::ALL.len()],
    sources: HashMap<Source, (u64, Timestamp)>,
    waiting: Waiting,
}

/// What is kept for one window.
#[derive(Clone, Debug, Default)]
struct Windowed {
    /// The votes cast in a period.
    voted: Voted,
    /// The step the notes are of.
    step: i64,
    rankings: [Ranking; Kind::ALL.len()],
}

#[derive(Clone, Debug, Default)]
struct Ranking {
    scores: HashMap<String, Score>,
    before: Vec<String>,
}

/// The votes of one period as bits.
#[derive(Clone, Debug, Default)]
struct Voted {
    period: i64,
    bits: Vec<u64>,
}

/// How many people searched on a day for words that no event has.
#[derive(Clone, Debug, Default)]
struct Waiting {
    period: i64,
    people: HashMap<String, u32>,
}

impl Board {
    /// Counts a batch received at `now`, once.
    pub fn count(&mut self, batch: &Batch, now: Timestamp) -> Taken {
        if self.sources.get(&batch.source).is_some_and(|(last, _)| batch.seq <= *last) {
            return Taken::Repeated;
        }
        self.sources.insert(batch.source, (batch.seq, now));
        self.forget_sources(now);
        for (windowed, window) in self.windows.iter_mut().zip(Window::ALL) {
            windowed.begin(window, now);
        }
        self.waiting.begin(now);
        let counted = batch.votes.iter().filter(|vote| self.cast(vote, now)).count();
        Taken::Counted(u32::try_from(counted).unwrap_or(u32::MAX))
    }

    /// A ranking at `now`.
    pub fn standing(&self, kind: Kind, window: Window, now: Timestamp) -> Standing {
        let windowed = &self.windows[window as usize];
        let ranking = &windowed.rankings[kind as usize];
        let now_there = ranking.first(NOTED_MAX);
        // Nothing has come since the step began, so nothing moved.
        let before = if window.step(now) > windowed.step {
            now_there.iter().map(|(subject, _)| subject.clone()).collect()
        } else {
            ranking.before.clone()
        };
        Standing { now: now_there, before }
    }

    #[cfg(test)]
    pub(super) fn kept(&self, kind: Kind, window: Window) -> usize {
        self.windows[window as usize].rankings[kind as usize].scores.len()
    }

    fn forget_sources(&mut self, now: Timestamp) {
        if self.sources.len() > SOURCES_MAX {
            self.sources.retain(|_, (_, heard)| now < heard.plus_ms(SOURCE_TTL_MS));
        }
        if self.sources.len() > SOURCES_MAX {
            let mut heard: Vec<Timestamp> = self.sources.values().map(|(_, heard)| *heard).collect();
            let (_, oldest_kept, _) = heard.select_nth_unstable(SOURCES_MAX / 10);
            let oldest_kept = *oldest_kept;
            self.sources.retain(|_, (_, heard)| *heard > oldest_kept);
        }
    }

    /// Whether the vote counts in a window.
    fn cast(&mut self, vote: &Vote, now: Timestamp) -> bool {
        let bits = vote.bits();
        // Who voted in this hour voted in its day and week too.
        let new_in = self.windows.iter_mut().map(|w| w.voted.insert(bits)).take_while(|is_new| *is_new).count();
        if new_in == 0 {
            return false;
        }
        let (kind, subject) = (vote.kind() as usize, vote.subject());
        if vote.needs_people() && !self.windows[Window::Week as usize].rankings[kind].scores.contains_key(&subject) {
            let is_new_today = new_in > Window::Day as usize;
            if self.waiting.people(&subject, is_new_today) < UNKNOWN_PEOPLE_MIN {
                return false;
            }
        }
        for (windowed, window) in self.windows.iter_mut().zip(Window::ALL).take(new_in) {
            windowed.rankings[kind].add(&subject, window, now, vote.weight());
        }
        true
    }
}

impl Windowed {
    /// Begins the period and the step that `now` is in, where they are new.
    fn begin(&mut self, window: Window, now: Timestamp) {
        if window.period(now) > self.voted.period {
            self.voted = Voted { period: window.period(now), bits: Vec::new() };
        }
        if window.step(now) > self.step {
            self.step = window.step(now);
            for ranking in &mut self.rankings {
                ranking.before = ranking.first(NOTED_MAX).into_iter().map(|(subject, _)| subject).collect();
            }
        }
    }
}

impl Ranking {
    /// The first places; of equal scores, the later in the alphabet first, as Redis has it.
    fn first(&self, limit: usize) -> Vec<(String, Score)> {
        let mut all: Vec<(&String, &Score)> = self.scores.iter().collect();
        all.sort_unstable_by(|a, b| b.1.0.total_cmp(&a.1.0).then_with(|| b.0.cmp(a.0)));
        all.into_iter().take(limit).map(|(subject, score)| (subject.clone(), *score)).collect()
    }

    fn add(&mut self, subject: &str, window: Window, now: Timestamp, weight: u32) {
        let score = self.scores.get(subject).copied().unwrap_or(Score::NONE).with(window, now, weight);
        self.scores.insert(subject.to_owned(), score);
        if self.scores.len() > KEPT_MAX {
            self.scores = self.first(KEPT_AFTER_TRIM).into_iter().collect();
        }
    }
}

impl Voted {
    /// Remembers a vote; false where it was there already.
    fn insert(&mut self, bits: [u32; super::BITS_PER_VOTE]) -> bool {
        if self.bits.is_empty() {
            self.bits.resize(VOTE_BITS as usize / 64, 0);
        }
        let mut is_new = false;
        for bit in bits {
            if let Some(word) = self.bits.get_mut(bit as usize / 64) {
                let mask = 1_u64 << (bit % 64);
                is_new |= *word & mask == 0;
                *word |= mask;
            }
        }
        is_new
    }
}

impl Waiting {
    fn begin(&mut self, now: Timestamp) {
        if Window::Day.period(now) > self.period {
            *self = Self { period: Window::Day.period(now), people: HashMap::new() };
        }
    }

    /// How many people searched for the word today, with this one where they are another.
    fn people(&mut self, subject: &str, is_another: bool) -> u32 {
        if !is_another {
            return self.people.get(subject).copied().unwrap_or(0);
        }
        let people = self.people.entry(subject.to_owned()).or_default();
        *people += 1;
        let people = *people;
        if self.people.len() > KEPT_MAX {
            let mut all: Vec<(u32, String)> = self.people.drain().map(|(word, people)| (people, word)).collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            all.truncate(KEPT_AFTER_TRIM);
            self.people = all.into_iter().map(|(people, word)| (word, people)).collect();
        }
        people
    }
}
