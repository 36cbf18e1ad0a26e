//! How many seats each buyer holds in an event, over all its performances, in this process.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nugul_domain::{EventId, HoldId, Timestamp, UserId};

/// Whose holds of what.
pub(crate) type Account = (EventId, UserId);

/// Holds by buyer and event, each until a time.
#[derive(Debug, Default)]
pub(crate) struct Held {
    of: HashMap<Account, BTreeMap<HoldId, (usize, Timestamp)>>,
    ends: BTreeSet<(Timestamp, Account, HoldId)>,
}

impl Held {
    /// Counts what a hold has until `end`; none takes it out. Tells how many the buyer's others have; nothing, and nothing
    /// is changed, where all together were more than `limit`.
    pub(crate) fn count(
        &mut self,
        account: Account,
        (hold, seats): (HoldId, usize),
        end: Timestamp,
        limit: usize,
        now: Timestamp,
    ) -> Option<usize> {
        self.expire(now);
        let others = self
            .of
            .get(&account)
            .map_or(0, |all| all.iter().filter(|(id, _)| **id != hold).map(|(_, (seats, _))| seats).sum());
        if others + seats > limit {
            return None;
        }
        self.take_out(account, hold);
        if seats > 0 {
            self.of.entry(account).or_default().insert(hold, (seats, end));
            self.ends.insert((end, account, hold));
        }
        Some(others)
    }

    fn take_out(&mut self, account: Account, hold: HoldId) {
        let Some(all) = self.of.get_mut(&account) else { return };
        if let Some((_, end)) = all.remove(&hold) {
            self.ends.remove(&(end, account, hold));
        }
        if all.is_empty() {
            self.of.remove(&account);
        }
    }

    /// Forgets those that end by `now`.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        while let Some(&(_, account, hold)) = self.ends.first().filter(|(end, ..)| *end <= now) {
            self.take_out(account, hold);
        }
    }
}
