//! When a process that ended by itself is started again: at once, after a growing pause, or no more.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::options::Member;

/// The most restarts of one process within [`WITHIN`].
pub(crate) const RESTARTS_MAX: usize = 6;
/// The time that restarts are counted over.
pub(crate) const WITHIN: Duration = Duration::from_mins(1);
/// The pause before the second restart within that time; it doubles with each one after.
const PAUSE: Duration = Duration::from_secs(1);

/// What to do about a process that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Start it.
    Now,
    /// Its pause is not over.
    Later,
    /// It ended too often.
    Never,
}

/// The restarts so far.
#[derive(Debug, Default)]
pub(crate) struct Restarts(BTreeMap<Member, Vec<Instant>>);

impl Restarts {
    /// What to do about this process, found ended now. [`Verdict::Now`] counts as a restart.
    pub(crate) fn judge(&mut self, member: Member, now: Instant) -> Verdict {
        let times = self.0.entry(member).or_default();
        times.retain(|&time| now.duration_since(time) < WITHIN);
        if times.len() >= RESTARTS_MAX {
            return Verdict::Never;
        }
        let doublings = u32::try_from(times.len().saturating_sub(1)).unwrap_or(0);
        if times.last().is_some_and(|&last| now.duration_since(last) < PAUSE * 2_u32.pow(doublings)) {
            return Verdict::Later;
        }
        times.push(now);
        Verdict::Now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Service;

    /// When a process that ends at once is started, in seconds, and when it is given up.
    fn story(mut judge: impl FnMut(u64) -> Verdict) -> (Vec<u64>, Option<u64>) {
        let mut started = Vec::new();
        for second in 0..120 {
            match judge(second) {
                Verdict::Now => started.push(second),
                Verdict::Later => {}
                Verdict::Never => return (started, Some(second)),
            }
        }
        (started, None)
    }

    #[test]
    fn a_process_that_ends_at_once_is_tried_with_growing_pauses_and_given_up() {
        let (mut restarts, begun) = (Restarts::default(), Instant::now());
        let edge = Member::from(Service::Edge);
        let told = story(|second| restarts.judge(edge, begun + Duration::from_secs(second)));
        assert_eq!(told, (vec![0, 1, 3, 7, 15, 31], Some(32)));
        // Another process has its own count.
        let now = begun + Duration::from_secs(32);
        assert_eq!(restarts.judge(Member::from((Service::Redis, 1)), now), Verdict::Now);
    }

    #[test]
    fn one_death_now_and_then_is_never_too_often() {
        let (mut restarts, begun) = (Restarts::default(), Instant::now());
        for n in 0..100 {
            let at = begun + Duration::from_secs(n * 20);
            assert_eq!(restarts.judge(Member::from(Service::Payment), at), Verdict::Now, "death {n}");
        }
    }
}
