//! Seats kept in this process: a lock around each performance's [`SeatBook`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nugul_domain::{
    HoldId, OrderId, PerformanceId, SeatIndex, SeatState, Timestamp, UserId,
    seat_book::{
        Audit, BlockRefusal, Change, Correction, ExtendRefusal, ExtendRequest, Hold, HoldGone, HoldRefusal,
        HoldRequest, Load, ReleaseRefusal, ReleaseRequest, SeatBook, Snapshot, SwapRefusal, SwapRequest,
    },
};
use nugul_points::{Planted, planted};
use tokio::sync::watch;

use crate::{
    Error, ORDERED_POINTER_TTL_MS, POINTER_SPARE_MS,
    held::{Account, Held},
    pointers::Pointers,
};

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Seats kept in this process. Clones share them.
#[derive(Clone)]
pub struct MemorySeats {
    clock: Clock,
    books: Arc<Mutex<BTreeMap<PerformanceId, Arc<Book>>>>,
    pointers: Arc<Mutex<Pointers>>,
    held: Arc<Mutex<Held>>,
}

struct Book {
    seats: Mutex<SeatBook>,
    version: watch::Sender<i64>,
}

impl Book {
    /// One step on the book; those who wait hear of it.
    fn step<T>(&self, work: impl FnOnce(&mut SeatBook) -> T) -> T {
        let mut book = lock(&self.seats);
        let out = work(&mut book);
        let now = book.version();
        self.version.send_if_modified(|known| std::mem::replace(known, now) != now);
        out
    }
}

/// A book's steps keep it whole, so one that panicked elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemorySeats {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, books: Arc::default(), pointers: Arc::default(), held: Arc::default() }
    }

    #[cfg(feature = "simulation")]
    pub(crate) fn lose_all(&self) {
        lock(&self.books).clear();
        *lock(&self.pointers) = Pointers::default();
        *lock(&self.held) = Held::default();
    }

    fn book(&self, performance: PerformanceId) -> Result<Arc<Book>, Error> {
        lock(&self.books).get(&performance).cloned().ok_or(Error::NotLoaded)
    }

    fn all(&self) -> Vec<Arc<Book>> {
        lock(&self.books).values().cloned().collect()
    }

    fn step<T>(
        &self,
        performance: PerformanceId,
        work: impl FnOnce(&mut SeatBook, Timestamp) -> T,
    ) -> Result<T, Error> {
        Ok(self.book(performance)?.step(|book| work(book, (self.clock)())))
    }

    pub(crate) fn load(&self, performance: PerformanceId, load: &Load) {
        lock(&self.books).entry(performance).or_insert_with(|| {
            let book = SeatBook::load(load, (self.clock)());
            for claim in load.claims.iter().filter(|c| !c.sold) {
                self.point(claim.hold, performance, ORDERED_POINTER_TTL_MS);
            }
            Arc::new(Book { version: watch::Sender::new(book.version()), seats: Mutex::new(book) })
        });
    }

    pub(crate) fn snapshot(&self, performance: PerformanceId) -> Result<Snapshot, Error> {
        if planted(Planted::AnnounceApart) {
            let book = self.book(performance)?;
            let version = *book.version.borrow();
            return Ok(Snapshot { version, ..lock(&book.seats).snapshot() });
        }
        self.step(performance, |book, _| book.snapshot())
    }

    pub(crate) fn changes_after(&self, performance: PerformanceId, version: i64) -> Result<Option<Vec<Change>>, Error> {
        if planted(Planted::AnnounceApart) {
            let book = self.book(performance)?;
            let told = *book.version.borrow();
            let changes = lock(&book.seats).changes_after(version);
            return Ok(changes.map(|all| all.into_iter().filter(|c| c.version <= told).collect()));
        }
        self.step(performance, |book, _| book.changes_after(version))
    }

    /// Remembers the performance of a hold.
    fn point(&self, hold: HoldId, performance: PerformanceId, ttl_ms: i64) {
        lock(&self.pointers).point(hold, performance, (self.clock)().plus_ms(ttl_ms));
    }

    pub(crate) fn hold(
        &self,
        performance: PerformanceId,
        request: HoldRequest,
    ) -> Result<Result<Hold, HoldRefusal>, Error> {
        let ttl_ms = request.ttl_ms;
        let held = self.take(performance, request)?;
        if let Ok(hold) = &held {
            self.point(hold.id, performance, ttl_ms.saturating_add(POINTER_SPARE_MS));
        }
        Ok(held)
    }

    fn take(&self, performance: PerformanceId, request: HoldRequest) -> Result<Result<Hold, HoldRefusal>, Error> {
        if planted(Planted::AnnounceApart) {
            return Ok(lock(&self.book(performance)?.seats).hold(request, (self.clock)()));
        }
        self.step(performance, |book, now| book.hold(request, now))
    }

    /// Tells what changed and was not told, which happens under [`Planted::AnnounceApart`] alone.
    pub(crate) fn announce(&self, performance: PerformanceId) -> Result<(), Error> {
        self.step(performance, |_, _| ())
    }

    pub(crate) fn swap(
        &self,
        performance: PerformanceId,
        request: SwapRequest,
    ) -> Result<Result<Hold, SwapRefusal>, Error> {
        self.step(performance, |book, now| book.swap(request, now))
    }

    pub(crate) fn extend(
        &self,
        performance: PerformanceId,
        request: ExtendRequest,
    ) -> Result<Result<Hold, ExtendRefusal>, Error> {
        let ttl_ms = request.ttl_ms;
        let extended = self.step(performance, |book, now| book.extend(request, now))?;
        if let Ok(hold) = &extended {
            self.point(hold.id, performance, ttl_ms.saturating_add(POINTER_SPARE_MS));
        }
        Ok(extended)
    }

    pub(crate) fn answered(
        &self,
        performance: PerformanceId,
        user: UserId,
        key: &str,
        digest: &str,
    ) -> Result<Option<Result<Hold, HoldRefusal>>, Error> {
        self.step(performance, |book, now| book.answered(user, key, digest, now))
    }

    pub(crate) fn count_held(
        &self,
        account: Account,
        hold: HoldId,
        seats: usize,
        ttl_ms: i64,
        limit: usize,
    ) -> Option<usize> {
        let now = (self.clock)();
        lock(&self.held).count(account, (hold, seats), now.plus_ms(ttl_ms), limit, now)
    }

    pub(crate) fn performance_of(&self, id: HoldId) -> Option<PerformanceId> {
        lock(&self.pointers).get(id)
    }

    pub(crate) fn find_hold(&self, id: HoldId) -> Option<(PerformanceId, Hold)> {
        let performance = self.performance_of(id)?;
        let book = self.book(performance).ok()?;
        let hold = lock(&book.seats).hold_at(id, (self.clock)())?.clone();
        Some((performance, hold))
    }

    pub(crate) fn order(
        &self,
        performance: PerformanceId,
        hold: HoldId,
        user: UserId,
        order: OrderId,
    ) -> Result<Result<Hold, HoldGone>, Error> {
        let never = Timestamp::from_millis(i64::MIN);
        let ordered = self.step(performance, |book, now| {
            let now = if planted(Planted::ExpiredHoldSold) { never } else { now };
            book.order(hold, user, order, now)
        })?;
        if ordered.is_ok() {
            self.point(hold, performance, ORDERED_POINTER_TTL_MS);
        }
        Ok(ordered)
    }

    pub(crate) fn undo_order(&self, performance: PerformanceId, hold: HoldId, order: OrderId) -> Result<(), Error> {
        self.step(performance, |book, _| book.undo_order(hold, order))
    }

    pub(crate) fn release(
        &self,
        performance: PerformanceId,
        request: ReleaseRequest,
    ) -> Result<Result<(), ReleaseRefusal>, Error> {
        self.step(performance, |book, now| book.release(request, now))
    }

    pub(crate) fn settle(
        &self,
        performance: PerformanceId,
        hold: HoldId,
        order: OrderId,
        user: UserId,
        seats: &[SeatIndex],
        state: SeatState,
    ) -> Result<(), Error> {
        self.step(performance, |book, _| book.settle(hold, order, user, seats, state))
    }

    pub(crate) fn block(
        &self,
        performance: PerformanceId,
        seats: &[SeatIndex],
    ) -> Result<Result<(), BlockRefusal>, Error> {
        self.step(performance, |book, now| book.block(seats, now))
    }

    pub(crate) fn unblock(&self, performance: PerformanceId, seats: &[SeatIndex]) -> Result<(), Error> {
        self.step(performance, |book, _| book.unblock(seats))
    }

    pub(crate) fn audit(&self, performance: PerformanceId) -> Result<Audit, Error> {
        self.step(performance, |book, _| book.audit())
    }

    pub(crate) fn correct(
        &self,
        performance: PerformanceId,
        since: Option<i64>,
        corrections: &[Correction],
    ) -> Result<Vec<SeatIndex>, Error> {
        let corrected = self.step(performance, |book, now| book.correct(since, corrections, now))?;
        for correction in corrections {
            if let Correction::Claim(claim) = correction
                && !claim.sold
                && corrected.contains(&claim.seat)
            {
                self.point(claim.hold, performance, ORDERED_POINTER_TTL_MS);
            }
        }
        Ok(corrected)
    }

    pub(crate) fn performances(&self) -> Vec<PerformanceId> {
        lock(&self.books).keys().copied().collect()
    }

    pub(crate) fn expire_due(&self) -> usize {
        let now = (self.clock)();
        lock(&self.pointers).expire(now);
        lock(&self.held).expire(now);
        self.all().into_iter().map(|book| book.step(|seats| seats.expire(now))).sum()
    }

    pub(crate) fn forget(&self, performance: PerformanceId) {
        lock(&self.books).remove(&performance);
    }

    pub(crate) async fn wait_change(
        &self,
        performance: PerformanceId,
        after: i64,
        timeout: Duration,
    ) -> Result<(), Error> {
        let book = self.book(performance)?;
        let mut version = book.version.subscribe();
        // The book keeps the sender alive, so the wait ends with a change or the time-out; either is an answer.
        let _ = tokio::time::timeout(timeout, version.wait_for(|now| *now != after)).await;
        Ok(())
    }
}
