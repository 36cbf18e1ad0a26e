//! The seats of one performance as they change: who holds what until when, in which order, told to whom.
//!
//! This is the rule that the embedded profile runs and the functions in Redis repeat; one suite compares the two step by
//! step. Every change is one version, appended to a bounded history in the same step.
//!
//! Between two steps, always: a seat is [`SeatState::Held`] exactly while one hold has it and [`SeatState::Sold`] exactly
//! while one order has bought it, and each buyer's count is the seats they hold, ordered and bought here.

mod compare;
mod terms;

use std::collections::{BTreeSet, HashMap, VecDeque};

pub use compare::differences;
pub use terms::{
    Audit, BlockRefusal, Change, Claim, Correction, ExtendRefusal, ExtendRequest, Hold, HoldGone, HoldRefusal,
    HoldRequest, Load, Ordered, ReleaseRefusal, ReleaseRequest, Sale, SeatState, Snapshot, SwapRefusal, SwapRequest,
};

use crate::{HoldId, OrderId, SeatIndex, Timestamp, UserId};

/// How long seats are held before they are ordered, in milliseconds.
pub const HOLD_TTL_MS: i64 = 5 * 60 * 1000;
/// Changes kept for readers that resume; older ones are answered with a snapshot.
pub const HISTORY_MAX: usize = 1_000;
/// How long the answer to a hold is remembered for its idempotency key, in milliseconds. Outlives the hold.
pub const IDEMPOTENCY_TTL_MS: i64 = 30 * 60 * 1000;
/// Room left for versions and fences between two loads of the same performance, per millisecond.
pub const VERSIONS_PER_MS: i64 = 1_000;

/// A buyer's idempotency key.
type Key = (UserId, String);

#[derive(Clone, Debug)]
struct Remembered {
    digest: String,
    hold: Hold,
}

/// The seats of one performance.
#[derive(Clone, Debug)]
pub struct SeatBook {
    seats: Vec<SeatState>,
    version: i64,
    fence: i64,
    holds: HashMap<HoldId, Hold>,
    by_end: BTreeSet<(Timestamp, HoldId)>,
    sales: HashMap<OrderId, Sale>,
    counts: HashMap<UserId, usize>,
    remembered: HashMap<Key, Remembered>,
    /// Every key is remembered for the same time, so the order they came in is the order they go in.
    remembered_until: VecDeque<(Timestamp, Key)>,
    history: VecDeque<Change>,
}

impl SeatBook {
    /// A book loaded at `now` from what SQL knows. Versions and fences start above any given out before, because they
    /// start from the clock: a reader from before the load is too old for the history and gets a snapshot.
    pub fn load(load: &Load, now: Timestamp) -> Self {
        let base = now.as_millis().saturating_mul(VERSIONS_PER_MS);
        let mut book = Self {
            seats: vec![SeatState::Available; load.seat_count as usize],
            version: base,
            fence: base.max(load.fence_floor),
            holds: HashMap::new(),
            by_end: BTreeSet::new(),
            sales: HashMap::new(),
            counts: HashMap::new(),
            remembered: HashMap::new(),
            remembered_until: VecDeque::new(),
            history: VecDeque::new(),
        };
        for &seat in &load.blocked {
            book.put(seat, SeatState::Blocked);
        }
        for claim in &load.claims {
            if let Some(state) = book.claim(claim, now) {
                book.put(claim.seat, state);
            }
        }
        book
    }

    /// The version now.
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// The fence given out last.
    pub const fn fence(&self) -> i64 {
        self.fence
    }

    /// The state of everything.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { version: self.version, seats: self.seats.clone() }
    }

    /// The state of everything with all holds.
    pub fn audit(&self) -> Audit {
        let mut holds: Vec<Hold> = self.holds.values().cloned().collect();
        holds.sort_by_key(|h| h.id);
        Audit { version: self.version, seats: self.seats.clone(), holds }
    }

    /// What each order has bought.
    pub const fn sales(&self) -> &HashMap<OrderId, Sale> {
        &self.sales
    }

    /// How many seats each buyer holds, has ordered and has bought; who has none is not in it.
    pub const fn counts(&self) -> &HashMap<UserId, usize> {
        &self.counts
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

    /// A hold that is live at `now`, or an order, which no clock ends.
    pub fn hold_at(&self, id: HoldId, now: Timestamp) -> Option<&Hold> {
        self.holds.get(&id).filter(|h| h.order.is_some() || h.until > now)
    }

    /// Frees what ended by `now`: one change for each hold, in the order they ended. An order's seats are freed by the
    /// order, not by the clock. Tells how many holds ended.
    pub fn expire(&mut self, now: Timestamp) -> usize {
        let mut ended = 0;
        while let Some(&(until, id)) = self.by_end.first() {
            if until > now {
                break;
            }
            if let Some(hold) = self.drop_hold(id) {
                self.set(&hold.seats, SeatState::Available);
                ended += 1;
            }
        }
        while let Some((_, key)) = self.remembered_until.pop_front_if(|(until, _)| *until <= now) {
            self.remembered.remove(&key);
        }
        ended
    }

    /// Takes all the seats or none.
    pub fn hold(&mut self, request: HoldRequest, now: Timestamp) -> Result<Hold, HoldRefusal> {
        self.expire(now);
        let key = (request.user, request.key);
        if let Some(known) = self.recall(&key, &request.digest) {
            return known;
        }
        if request.seats.is_empty() {
            return Err(HoldRefusal::NoSuchSeat);
        }
        self.check_free(&request.seats)?;
        if self.count(request.user) + request.seats.len() > request.limit {
            return Err(HoldRefusal::OverLimit);
        }
        self.fence += 1;
        let hold = Hold {
            id: request.id,
            user: request.user,
            seats: request.seats,
            fence: self.fence,
            until: now.plus_ms(request.ttl_ms),
            extended: false,
            order: None,
        };
        self.set(&hold.seats, SeatState::Held);
        self.add(hold.user, hold.seats.len());
        self.by_end.insert((hold.until, hold.id));
        self.holds.insert(hold.id, hold.clone());
        self.remember(key, request.digest, &hold, now);
        Ok(hold)
    }

    /// Gives some seats of a hold back and takes others, in one change, or does nothing. The hold keeps its end and gets a
    /// new fence, because seats change owner.
    pub fn swap(&mut self, request: SwapRequest, now: Timestamp) -> Result<Hold, SwapRefusal> {
        self.expire(now);
        let key = (request.user, request.key);
        if let Some(known) = self.recall(&key, &request.digest) {
            return known.map_err(SwapRefusal::Seats);
        }
        let hold = self.unordered(request.hold, request.user).map_err(SwapRefusal::Gone)?;
        let strange: Vec<_> = request.give.iter().copied().filter(|s| !hold.seats.contains(s)).collect();
        if !strange.is_empty() {
            return Err(SwapRefusal::NotHeld(strange));
        }
        let mut seats: Vec<_> = hold.seats.iter().copied().filter(|s| !request.give.contains(s)).collect();
        seats.extend(&request.take);
        seats.sort_unstable();
        if seats.is_empty() || (request.give.is_empty() && request.take.is_empty()) {
            return Err(SwapRefusal::Seats(HoldRefusal::NoSuchSeat));
        }
        self.check_free(&request.take).map_err(SwapRefusal::Seats)?;
        let of_buyer = self.count(request.user) + seats.len() > request.limit + hold.seats.len();
        if of_buyer || seats.len() > request.hold_limit.max(hold.seats.len()) {
            return Err(SwapRefusal::Seats(HoldRefusal::OverLimit));
        }
        self.fence += 1;
        let swapped = Hold { seats, fence: self.fence, ..hold };
        self.subtract(request.user, request.give.len());
        self.add(request.user, request.take.len());
        let freed = request.give.into_iter().map(|s| (s, SeatState::Available));
        self.change(freed.chain(request.take.into_iter().map(|s| (s, SeatState::Held))).collect());
        self.holds.insert(swapped.id, swapped.clone());
        self.remember(key, request.digest, &swapped, now);
        Ok(swapped)
    }

    /// Puts the end of a hold off to `ttl_ms` from now, once.
    pub fn extend(&mut self, request: ExtendRequest, now: Timestamp) -> Result<Hold, ExtendRefusal> {
        self.expire(now);
        let key = (request.user, request.key);
        if let Some(known) = self.recall(&key, &request.digest) {
            return known.map_err(|_| ExtendRefusal::KeyReused);
        }
        let hold = self.unordered(request.hold, request.user).map_err(ExtendRefusal::Gone)?;
        if hold.extended {
            return Err(ExtendRefusal::Already);
        }
        let later = Hold { until: now.plus_ms(request.ttl_ms), extended: true, ..hold };
        self.by_end.remove(&(hold.until, later.id));
        self.by_end.insert((later.until, later.id));
        self.holds.insert(later.id, later.clone());
        self.remember(key, request.digest, &later, now);
        Ok(later)
    }

    /// Turns a live hold of `user` into `order`: the clock no longer frees its seats. Asking again with the same order
    /// gives the same hold.
    pub fn order(&mut self, id: HoldId, user: UserId, order: OrderId, now: Timestamp) -> Result<Hold, HoldGone> {
        self.expire(now);
        let hold = self.holds.get_mut(&id).filter(|h| h.user == user).ok_or(HoldGone::NotFound)?;
        match hold.order {
            Some(other) if other.id != order => Err(HoldGone::Ordered(other.id)),
            Some(_) => Ok(hold.clone()),
            None => {
                hold.order = Some(Ordered { id: order, since: now });
                self.by_end.remove(&(hold.until, id));
                Ok(hold.clone())
            }
        }
    }

    /// Frees the seats of a hold that became `order`, because SQL does not have that order. No effect where the hold is
    /// not that order.
    pub fn undo_order(&mut self, id: HoldId, order: OrderId) {
        if self.holds.get(&id).is_some_and(|h| h.order_id() == Some(order))
            && let Some(hold) = self.drop_hold(id)
        {
            self.set(&hold.seats, SeatState::Available);
        }
    }

    /// Gives a hold back before it is ordered.
    pub fn release(&mut self, request: ReleaseRequest, now: Timestamp) -> Result<(), ReleaseRefusal> {
        self.expire(now);
        let key = (request.user, request.key);
        if let Some(known) = self.recall(&key, &request.digest) {
            return known.map(drop).map_err(|_| ReleaseRefusal::KeyReused);
        }
        let hold = self.unordered(request.hold, request.user).map_err(ReleaseRefusal::Gone)?;
        self.drop_hold(hold.id);
        self.set(&hold.seats, SeatState::Available);
        self.remember(key, request.digest, &hold, now);
        Ok(())
    }

    /// What became of seats of an order of `user` that was the hold `hold`: [`SeatState::Sold`], which the buyer's count
    /// keeps, or [`SeatState::Available`], which gives it back, before the sale or after (a refund). Other states are no
    /// outcome and change nothing.
    ///
    /// Only seats of this hold or bought by this order move, and free or blocked ones become sold, because SQL has sold
    /// them. So being told twice, or late when someone else has the seats, does no harm. An order's outcomes are to be told
    /// in their order; a sale told again after its refund is for [`Self::correct`].
    pub fn settle(&mut self, hold: HoldId, order: OrderId, user: UserId, seats: &[SeatIndex], state: SeatState) {
        let sells = match state {
            SeatState::Sold => true,
            SeatState::Available => false,
            SeatState::Held | SeatState::Blocked => return,
        };
        if self.sales.get(&order).is_some_and(|s| s.user != user) {
            return;
        }
        let ours = self.holds.get(&hold).filter(|h| h.order_id() == Some(order) && h.user == user);
        let mut kept = ours.map(|h| h.seats.clone()).unwrap_or_default();
        let mut bought = self.sales.remove(&order).map(|s| s.seats).unwrap_or_default();
        let (had_held, had) = (kept.len(), kept.len() + bought.len());
        let mut changed = Vec::new();
        for &seat in seats {
            let moves = match self.state(seat) {
                None => false,
                Some(SeatState::Held) => kept.contains(&seat),
                Some(SeatState::Sold) => !sells && bought.contains(&seat),
                Some(SeatState::Available | SeatState::Blocked) => sells,
            };
            if moves {
                kept.retain(|s| *s != seat);
                if sells {
                    bought.insert(seat);
                } else {
                    bought.remove(&seat);
                }
                self.put(seat, state);
                changed.push((seat, state));
            }
        }
        let has = kept.len() + bought.len();
        self.add(user, has.saturating_sub(had));
        self.subtract(user, had.saturating_sub(has));
        if kept.len() < had_held {
            if kept.is_empty() {
                self.holds.remove(&hold);
            } else if let Some(h) = self.holds.get_mut(&hold) {
                h.seats = kept;
            }
        }
        if !bought.is_empty() {
            self.sales.insert(order, Sale { user, seats: bought });
        }
        self.change(changed);
    }

    /// Takes seats off sale: all or none. Those that are off already stay so and are not announced again.
    pub fn block(&mut self, seats: &[SeatIndex], now: Timestamp) -> Result<(), BlockRefusal> {
        self.expire(now);
        let (mut free, mut taken) = (Vec::new(), Vec::new());
        for &seat in seats {
            match self.state(seat).ok_or(BlockRefusal::NoSuchSeat)? {
                SeatState::Available => free.push(seat),
                SeatState::Blocked => {}
                SeatState::Held | SeatState::Sold => taken.push(seat),
            }
        }
        if !taken.is_empty() {
            return Err(BlockRefusal::Taken(taken));
        }
        self.set(&free, SeatState::Blocked);
        Ok(())
    }

    /// Puts those of the seats back on sale that are off.
    pub fn unblock(&mut self, seats: &[SeatIndex]) {
        let blocked: Vec<_> = seats.iter().copied().filter(|&s| self.state(s) == Some(SeatState::Blocked)).collect();
        self.set(&blocked, SeatState::Available);
    }

    /// Makes seats what SQL says they are, in one change, and tells which were not so. Seats that a live hold has are left
    /// alone, and so is each that has changed since version `since`, where one is given; all are, where the changes since
    /// are not known any more. Of two corrections of a seat the first counts.
    pub fn correct(&mut self, since: Option<i64>, corrections: &[Correction], now: Timestamp) -> Vec<SeatIndex> {
        self.expire(now);
        let mut done = BTreeSet::new();
        if let Some(since) = since {
            let Some(changes) = self.changes_after(since) else { return Vec::new() };
            done.extend(changes.iter().flat_map(|c| &c.seats).map(|(seat, _)| *seat));
        }
        let (mut corrected, mut changed) = (Vec::new(), Vec::new());
        for correction in corrections {
            let seat = correction.seat();
            let Some(was) = self.state(seat) else { continue };
            if was == SeatState::Held || !done.insert(seat) {
                continue;
            }
            let is = match correction {
                Correction::Free(_) => self.unsold(seat, SeatState::Available),
                Correction::Block(_) => self.unsold(seat, SeatState::Blocked),
                Correction::Claim(claim) => self.claim(claim, now),
            };
            let Some(is) = is else { continue };
            corrected.push(seat);
            if is != was {
                self.put(seat, is);
                changed.push((seat, is));
            }
        }
        self.change(changed);
        corrected
    }

    /// Notes that an order has a seat that no hold has. The state the seat is to have; `None` where there is nothing to
    /// correct, or the hold is another order's.
    fn claim(&mut self, claim: &Claim, now: Timestamp) -> Option<SeatState> {
        let seat = claim.seat;
        self.state(seat).filter(|s| *s != SeatState::Held)?;
        self.fence = self.fence.max(claim.fence);
        if claim.sold {
            if self.sales.get(&claim.order).is_some_and(|s| s.seats.contains(&seat)) {
                return None;
            }
            self.disown(seat);
            let sale =
                self.sales.entry(claim.order).or_insert_with(|| Sale { user: claim.user, seats: BTreeSet::new() });
            sale.seats.insert(seat);
            let user = sale.user;
            self.add(user, 1);
            return Some(SeatState::Sold);
        }
        if self.holds.get(&claim.hold).is_some_and(|h| h.order_id() != Some(claim.order)) {
            return None;
        }
        self.disown(seat);
        let hold = self.holds.entry(claim.hold).or_insert_with(|| Hold {
            id: claim.hold,
            user: claim.user,
            seats: Vec::new(),
            fence: claim.fence,
            until: now,
            extended: false,
            order: Some(Ordered { id: claim.order, since: now }),
        });
        hold.fence = hold.fence.max(claim.fence);
        hold.seats.push(seat);
        hold.seats.sort_unstable();
        let user = hold.user;
        self.add(user, 1);
        Some(SeatState::Held)
    }

    /// Takes a seat from the order that bought it, if one did. `state`, unless it is that already.
    fn unsold(&mut self, seat: SeatIndex, state: SeatState) -> Option<SeatState> {
        self.state(seat).filter(|s| *s != state)?;
        self.disown(seat);
        Some(state)
    }

    fn disown(&mut self, seat: SeatIndex) {
        if self.state(seat) != Some(SeatState::Sold) {
            return;
        }
        let Some((&order, sale)) = self.sales.iter_mut().find(|(_, s)| s.seats.contains(&seat)) else { return };
        sale.seats.remove(&seat);
        let (user, none_left) = (sale.user, sale.seats.is_empty());
        if none_left {
            self.sales.remove(&order);
        }
        self.subtract(user, 1);
    }

    /// The answer a key got before, while it is remembered at `now`.
    pub fn answered(
        &mut self,
        user: UserId,
        key: &str,
        digest: &str,
        now: Timestamp,
    ) -> Option<Result<Hold, HoldRefusal>> {
        self.expire(now);
        self.recall(&(user, key.to_owned()), digest)
    }

    fn recall(&self, key: &Key, digest: &str) -> Option<Result<Hold, HoldRefusal>> {
        let known = self.remembered.get(key)?;
        Some(if known.digest == digest { Ok(known.hold.clone()) } else { Err(HoldRefusal::KeyReused) })
    }

    fn remember(&mut self, key: Key, digest: String, hold: &Hold, now: Timestamp) {
        self.remembered_until.push_back((now.plus_ms(IDEMPOTENCY_TTL_MS), key.clone()));
        self.remembered.insert(key, Remembered { digest, hold: hold.clone() });
    }

    /// A live hold of `user` that is no order. What has ended must have been freed before.
    fn unordered(&self, id: HoldId, user: UserId) -> Result<Hold, HoldGone> {
        let hold = self.holds.get(&id).filter(|h| h.user == user).ok_or(HoldGone::NotFound)?;
        hold.order_id().map_or_else(|| Ok(hold.clone()), |order| Err(HoldGone::Ordered(order)))
    }

    /// Whether the seats are there and available.
    fn check_free(&self, seats: &[SeatIndex]) -> Result<(), HoldRefusal> {
        let mut taken = Vec::new();
        for &seat in seats {
            match self.state(seat).ok_or(HoldRefusal::NoSuchSeat)? {
                SeatState::Available => {}
                SeatState::Held | SeatState::Sold | SeatState::Blocked => taken.push(seat),
            }
        }
        if taken.is_empty() { Ok(()) } else { Err(HoldRefusal::Taken(taken)) }
    }

    /// Takes a hold out, with its end and its part of the buyer's count.
    fn drop_hold(&mut self, id: HoldId) -> Option<Hold> {
        let hold = self.holds.remove(&id)?;
        self.by_end.remove(&(hold.until, id));
        self.subtract(hold.user, hold.seats.len());
        Some(hold)
    }

    fn count(&self, user: UserId) -> usize {
        self.counts.get(&user).copied().unwrap_or(0)
    }

    fn add(&mut self, user: UserId, seats: usize) {
        if seats > 0 {
            *self.counts.entry(user).or_default() += seats;
        }
    }

    fn subtract(&mut self, user: UserId, seats: usize) {
        let left = self.count(user).saturating_sub(seats);
        if left == 0 {
            self.counts.remove(&user);
        } else {
            self.counts.insert(user, left);
        }
    }

    fn state(&self, index: SeatIndex) -> Option<SeatState> {
        self.seats.get(index as usize).copied()
    }

    fn put(&mut self, index: SeatIndex, state: SeatState) {
        if let Some(seat) = self.seats.get_mut(index as usize) {
            *seat = state;
        }
    }

    fn set(&mut self, indexes: &[SeatIndex], state: SeatState) {
        self.change(indexes.iter().map(|&i| (i, state)).collect());
    }

    /// Changes seats and says so, in one step; no change of no seats.
    fn change(&mut self, seats: Vec<(SeatIndex, SeatState)>) {
        if seats.is_empty() {
            return;
        }
        for &(index, state) in &seats {
            self.put(index, state);
        }
        self.version += 1;
        self.history.push_back(Change { version: self.version, seats });
        if self.history.len() > HISTORY_MAX {
            self.history.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
