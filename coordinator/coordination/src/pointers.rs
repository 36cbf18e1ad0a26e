//! Which performance a hold is of, in this process: as long as Redis would know it, and no longer.

use std::collections::{BTreeSet, HashMap};

use nugul_domain::{HoldId, PerformanceId, Timestamp};

/// Performances by hold, each until a time.
#[derive(Debug, Default)]
pub(crate) struct Pointers {
    of: HashMap<HoldId, (PerformanceId, Timestamp)>,
    ends: BTreeSet<(Timestamp, HoldId)>,
}

impl Pointers {
    /// Remembers the performance of a hold until `end`.
    pub(crate) fn point(&mut self, hold: HoldId, performance: PerformanceId, end: Timestamp) {
        if let Some((_, before)) = self.of.insert(hold, (performance, end)) {
            self.ends.remove(&(before, hold));
        }
        self.ends.insert((end, hold));
    }

    /// The performance of a hold.
    pub(crate) fn get(&self, hold: HoldId) -> Option<PerformanceId> {
        self.of.get(&hold).map(|(performance, _)| *performance)
    }

    /// Forgets those that end by `now`.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        while let Some(&(end, hold)) = self.ends.first().filter(|(end, _)| *end <= now) {
            self.ends.remove(&(end, hold));
            self.of.remove(&hold);
        }
    }
}
