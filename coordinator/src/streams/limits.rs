//! How many streams may be open: in all, for a client's address, for a user. Each refusal says when to come back.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use nugul_api::Code;
use nugul_domain::UserId;

use super::reader::lock;
use crate::error::ApiError;

/// When to come back, in seconds.
const RETRY_AFTER_S: u64 = 5;

/// The limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Of this process.
    pub all: usize,
    /// Of one client address. An edge place is one client, with a stream for each performance somebody there looks at.
    pub per_address: usize,
    /// Of one user who says who they are.
    pub per_user: usize,
}

/// Who has how many.
#[derive(Debug)]
pub(super) struct Limits {
    most: StreamLimits,
    all: Arc<AtomicUsize>,
    addresses: Counts<IpAddr>,
    users: Counts<UserId>,
}

type Counts<K> = Arc<Mutex<HashMap<K, usize>>>;

/// A stream's place within the limits, given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _all: Counted,
    _address: Held<IpAddr>,
    _user: Option<Held<UserId>>,
}

impl Limits {
    /// None is open.
    pub(super) fn new(most: StreamLimits) -> Self {
        Self { most, all: Arc::default(), addresses: Arc::default(), users: Arc::default() }
    }

    /// A place for one more stream.
    pub(super) fn permit(&self, address: IpAddr, user: Option<UserId>) -> Result<Permit, ApiError> {
        let many = || ApiError::from(Code::TooManyRequests).retry_after_s(RETRY_AFTER_S);
        let all = Counted(Arc::clone(&self.all));
        if self.all.fetch_add(1, Ordering::Relaxed) >= self.most.all {
            return Err(ApiError::from(Code::Overloaded).retry_after_s(RETRY_AFTER_S));
        }
        Ok(Permit {
            _all: all,
            _address: Held::one_more(&self.addresses, address, self.most.per_address).ok_or_else(many)?,
            _user: match user {
                Some(user) => Some(Held::one_more(&self.users, user, self.most.per_user).ok_or_else(many)?),
                None => None,
            },
        })
    }
}

#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Held<K: Eq + Hash + Copy> {
    counts: Counts<K>,
    key: K,
}

impl<K: Eq + Hash + Copy> Held<K> {
    fn one_more(counts: &Counts<K>, key: K, max: usize) -> Option<Self> {
        let mut all = lock(counts);
        let count = all.entry(key).or_default();
        if *count >= max {
            if max == 0 {
                all.remove(&key);
            }
            return None;
        }
        *count += 1;
        drop(all);
        Some(Self { counts: Arc::clone(counts), key })
    }
}

impl<K: Eq + Hash + Copy> Drop for Held<K> {
    fn drop(&mut self) {
        let mut all = lock(&self.counts);
        if let Some(count) = all.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nugul_domain::{Region, Timestamp};

    fn address(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn user(n: u8) -> UserId {
        UserId::new(Region(0), Timestamp::from_millis(0), [n; 9])
    }

    #[test]
    fn each_limit_is_its_own_and_places_come_back() {
        let limits = Limits::new(StreamLimits { all: 4, per_address: 2, per_user: 1 });
        let one = limits.permit(address(1), Some(user(1))).unwrap();
        let _two = limits.permit(address(1), None).unwrap();
        assert_eq!(limits.permit(address(1), None).unwrap_err().code, Code::TooManyRequests);
        assert_eq!(limits.permit(address(2), Some(user(1))).unwrap_err().code, Code::TooManyRequests);
        let _three = limits.permit(address(2), Some(user(2))).unwrap();
        let _four = limits.permit(address(3), None).unwrap();
        let full = limits.permit(address(4), None).unwrap_err();
        assert_eq!((full.code, full.retry_after_s), (Code::Overloaded, Some(RETRY_AFTER_S)));
        drop(one);
        limits.permit(address(1), Some(user(1))).unwrap();
        // A refusal keeps nothing.
        assert_eq!((limits.all.load(Ordering::Relaxed), lock(&limits.users).len()), (3, 1));
    }
}
