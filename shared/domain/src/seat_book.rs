//! The seats of one performance as they change: who holds what until when, in which order, told to whom.
//!
//! This is the rule that the embedded profile runs and the Redis script repeats; one suite compares the two step by
//! step. Every change is one version, appended to a bounded history in the same step.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{HoldId, OrderId, SeatIndex, Timestamp, UserId};

/// How long seats are held before they are ordered, in milliseconds.
pub const HOLD_TTL_MS: i64 = 5 * 60 * 1000;
/// Changes kept for readers that resume; older ones are answered with a snapshot.
pub const HISTORY_MAX: usize = 1_000;
/// How long the answer to a hold is remembered for its idempotency key, in milliseconds. Outlives the hold.
pub const IDEMPOTENCY_TTL_MS: i64 = 30 * 60 * 1000;
/// Room left for versions and fences between two loads of the same performance, per millisecond.
pub const VERSIONS_PER_MS: i64 = 1_000;

/// What the public may know of a seat: two bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatState {
    /// Free to take.
    Available = 0,
    /// Held or ordered by someone.
    Held = 1,
    /// Sold.
    Sold = 2,
    /// Not for sale.
    Blocked = 3,
}

impl SeatState {
    /// From its two bits; other bits are ignored.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Available,
            1 => Self::Held,
            2 => Self::Sold,
            _ => Self::Blocked,
        }
    }
}

/// One step of a performance: the seats that changed and what they became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The version after it.
    pub version: i64,
    /// The seats, in the order asked for, with their new state.
    pub seats: Vec<(SeatIndex, SeatState)>,
}

/// Seats kept for a buyer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// Who holds.
    pub user: UserId,
    /// What is held, ascending.
    pub seats: Vec<SeatIndex>,
    /// Grows with every hold of the performance; SQL refuses a lower one than it has seen.
    pub fence: i64,
    /// When it ends.
    pub until: Timestamp,
    /// The order it became, if it did.
    pub order: Option<OrderId>,
}

/// What is asked for when holding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    /// The id the hold will have.
    pub id: HoldId,
    /// Who asks.
    pub user: UserId,
    /// The seats, checked to be distinct, in the hall and ascending.
    pub seats: Vec<SeatIndex>,
    /// The client's idempotency key.
    pub key: String,
    /// A digest of the request the key was first used with.
    pub digest: String,
    /// How long to hold.
    pub ttl_ms: i64,
    /// The most seats this buyer may have held or ordered here at once.
    pub limit: usize,
}

/// Why seats are not held. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldRefusal {
    /// Someone was faster: the seats in conflict.
    Taken(Vec<SeatIndex>),
    /// The buyer would have more than the limit.
    OverLimit,
    /// The idempotency key was used with another request.
    KeyReused,
    /// A seat is not in the hall, or none was named.
    NoSuchSeat,
}

/// Why a hold cannot be ordered or released. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldGone {
    /// Unknown, another's, released or expired.
    NotFound,
    /// Already an order.
    Ordered(OrderId),
}

/// The state of all seats at a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The version.
    pub version: i64,
    /// Each seat's state, by index.
    pub seats: Vec<SeatState>,
}

/// A seat that SQL says is an order's or sold, with its fence: what a book is rebuilt from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The seat.
    pub seat: SeatIndex,
    /// Sold, or only ordered.
    pub sold: bool,
}

#[derive(Clone, Debug)]
struct Remembered {
    digest: String,
    hold: Hold,
    until: Timestamp,
}

/// The seats of one performance.
#[derive(Clone, Debug)]
pub struct SeatBook {
    seats: Vec<SeatState>,
    version: i64,
    fence: i64,
    holds: HashMap<HoldId, Hold>,
    by_end: BTreeSet<(Timestamp, HoldId)>,
    remembered: BTreeMap<(UserId, String), Remembered>,
    history: VecDeque<Change>,
}

impl SeatBook {
    /// A book loaded at `now` from what SQL knows. Versions and fences start above any given out before, because they
    /// start from the clock: a reader from before the load is too old for the history and gets a snapshot.
    pub fn load(seat_count: u32, claims: &[Claim], fence_floor: i64, now: Timestamp) -> Self {
        let mut seats = vec![SeatState::Available; seat_count as usize];
        for claim in claims {
            if let Some(seat) = seats.get_mut(claim.seat as usize) {
                *seat = if claim.sold { SeatState::Sold } else { SeatState::Held };
            }
        }
        let base = now.as_millis().saturating_mul(VERSIONS_PER_MS);
        Self {
            seats,
            version: base,
            fence: base.max(fence_floor),
            holds: HashMap::new(),
            by_end: BTreeSet::new(),
            remembered: BTreeMap::new(),
            history: VecDeque::new(),
        }
    }

    /// The state of everything.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { version: self.version, seats: self.seats.clone() }
    }

    /// The changes after `version`, oldest first; `None` where they are not kept any more and a snapshot is needed.
    pub fn changes_after(&self, version: i64) -> Option<Vec<Change>> {
        if version == self.version {
            return Some(Vec::new());
        }
        let oldest = self.history.front()?.version;
        (version >= oldest - 1 && version < self.version)
            .then(|| self.history.iter().filter(|c| c.version > version).cloned().collect())
    }

    /// When the next hold ends.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.by_end.first().map(|(until, _)| *until)
    }

    /// A hold that is live at `now`.
    pub fn hold_at(&self, id: HoldId, now: Timestamp) -> Option<&Hold> {
        self.holds.get(&id).filter(|h| h.until > now)
    }

    /// Frees what ended by `now`: one change for each hold, in the order they ended. An order's seats are freed by the
    /// order, not by the clock.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some(&(until, id)) = self.by_end.first() {
            if until > now {
                break;
            }
            self.by_end.remove(&(until, id));
            if let Some(hold) = self.holds.remove(&id) {
                self.set(&hold.seats, SeatState::Available);
            }
        }
        self.remembered.retain(|_, r| r.until > now);
    }

    /// Takes all the seats or none.
    pub fn hold(&mut self, request: HoldRequest, now: Timestamp) -> Result<Hold, HoldRefusal> {
        self.expire(now);
        let key = (request.user, request.key);
        if let Some(known) = self.remembered.get(&key) {
            return if known.digest == request.digest { Ok(known.hold.clone()) } else { Err(HoldRefusal::KeyReused) };
        }
        if request.seats.is_empty() {
            return Err(HoldRefusal::NoSuchSeat);
        }
        let mut taken = Vec::new();
        for &index in &request.seats {
            match self.seats.get(index as usize) {
                None => return Err(HoldRefusal::NoSuchSeat),
                Some(SeatState::Available) => {}
                Some(_) => taken.push(index),
            }
        }
        if !taken.is_empty() {
            return Err(HoldRefusal::Taken(taken));
        }
        let has: usize = self.holds.values().filter(|h| h.user == request.user).map(|h| h.seats.len()).sum();
        if has + request.seats.len() > request.limit {
            return Err(HoldRefusal::OverLimit);
        }
        self.fence += 1;
        let hold = Hold {
            id: request.id,
            user: request.user,
            seats: request.seats,
            fence: self.fence,
            until: now.plus_ms(request.ttl_ms),
            order: None,
        };
        self.set(&hold.seats, SeatState::Held);
        self.by_end.insert((hold.until, hold.id));
        self.holds.insert(hold.id, hold.clone());
        let until = now.plus_ms(IDEMPOTENCY_TTL_MS);
        self.remembered.insert(key, Remembered { digest: request.digest, hold: hold.clone(), until });
        Ok(hold)
    }

    /// Turns a live hold of `user` into `order`: the clock no longer frees its seats. Asking again with the same order
    /// gives the same hold.
    pub fn order(&mut self, id: HoldId, user: UserId, order: OrderId, now: Timestamp) -> Result<Hold, HoldGone> {
        self.expire(now);
        let hold = self.holds.get_mut(&id).filter(|h| h.user == user).ok_or(HoldGone::NotFound)?;
        match hold.order {
            Some(other) if other != order => Err(HoldGone::Ordered(other)),
            Some(_) => Ok(hold.clone()),
            None => {
                hold.order = Some(order);
                self.by_end.remove(&(hold.until, id));
                Ok(hold.clone())
            }
        }
    }

    /// Gives a hold of `user` back before it is ordered.
    pub fn release(&mut self, id: HoldId, user: UserId, now: Timestamp) -> Result<(), HoldGone> {
        self.expire(now);
        let hold = self.holds.get(&id).filter(|h| h.user == user).ok_or(HoldGone::NotFound)?;
        if let Some(order) = hold.order {
            return Err(HoldGone::Ordered(order));
        }
        let (until, seats) = (hold.until, hold.seats.clone());
        self.by_end.remove(&(until, id));
        self.holds.remove(&id);
        self.set(&seats, SeatState::Available);
        Ok(())
    }

    /// What became of an order's seats: sold, or available again. Seats already so are not announced again, and seats
    /// that someone else has taken since are left alone, so that being told twice does no harm.
    pub fn settle(&mut self, hold: HoldId, seats: &[SeatIndex], state: SeatState) {
        let others: BTreeSet<SeatIndex> = match self.holds.remove(&hold) {
            Some(_) => BTreeSet::new(),
            None => self.holds.values().flat_map(|h| h.seats.iter().copied()).collect(),
        };
        let moves = |i: &SeatIndex| !others.contains(i) && self.state(*i).is_some_and(|s| s != state);
        let changed: Vec<_> = seats.iter().copied().filter(moves).collect();
        if !changed.is_empty() {
            self.set(&changed, state);
        }
    }

    fn state(&self, index: SeatIndex) -> Option<SeatState> {
        self.seats.get(index as usize).copied()
    }

    fn set(&mut self, indexes: &[SeatIndex], state: SeatState) {
        for &index in indexes {
            if let Some(seat) = self.seats.get_mut(index as usize) {
                *seat = state;
            }
        }
        self.version += 1;
        let seats = indexes.iter().map(|&i| (i, state)).collect();
        self.history.push_back(Change { version: self.version, seats });
        if self.history.len() > HISTORY_MAX {
            self.history.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
