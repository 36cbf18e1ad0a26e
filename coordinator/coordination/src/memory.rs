//! Seats kept in this process: a lock around each performance's [`SeatBook`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nugul_domain::{
    HoldId, OrderId, PerformanceId, SeatIndex, SeatState, Timestamp, UserId,
    seat_book::{Change, Claim, Hold, HoldGone, HoldRefusal, HoldRequest, SeatBook, Snapshot},
};
use tokio::sync::watch;

use crate::Error;

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Seats kept in this process. Clones share them.
#[derive(Clone)]
pub struct MemorySeats {
    clock: Clock,
    books: Arc<Mutex<HashMap<PerformanceId, Arc<Book>>>>,
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
        self.version.send_if_modified(|known| {
            let before = *known;
            *known = version_from(&book, before);
            *known != before
        });
        out
    }
}

/// The book's version, where `known` was its version before.
fn version_from(book: &SeatBook, known: i64) -> i64 {
    match book.changes_after(known) {
        Some(changes) => changes.last().map_or(known, |c| c.version),
        None => book.snapshot().version,
    }
}

/// A book's steps keep it whole, so one that panicked elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A hold that is live at `now`, or an order, which no clock ends.
fn live(book: &SeatBook, id: HoldId, now: Timestamp) -> Option<&Hold> {
    book.hold_at(id, Timestamp::from_millis(i64::MIN)).filter(|h| h.order.is_some() || h.until > now)
}

impl MemorySeats {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, books: Arc::default() }
    }

    fn book(&self, performance: PerformanceId) -> Result<Arc<Book>, Error> {
        lock(&self.books).get(&performance).cloned().ok_or(Error::NotLoaded)
    }

    fn all(&self) -> Vec<(PerformanceId, Arc<Book>)> {
        lock(&self.books).iter().map(|(p, b)| (*p, Arc::clone(b))).collect()
    }

    fn step<T>(
        &self,
        performance: PerformanceId,
        work: impl FnOnce(&mut SeatBook, Timestamp) -> T,
    ) -> Result<T, Error> {
        Ok(self.book(performance)?.step(|book| work(book, (self.clock)())))
    }

    pub(crate) fn load(&self, performance: PerformanceId, seat_count: u32, claims: &[Claim], fence_floor: i64) {
        lock(&self.books).entry(performance).or_insert_with(|| {
            let book = SeatBook::load(seat_count, claims, fence_floor, (self.clock)());
            Arc::new(Book { version: watch::Sender::new(book.snapshot().version), seats: Mutex::new(book) })
        });
    }

    pub(crate) fn snapshot(&self, performance: PerformanceId) -> Result<Snapshot, Error> {
        self.step(performance, |book, _| book.snapshot())
    }

    pub(crate) fn changes_after(&self, performance: PerformanceId, version: i64) -> Result<Option<Vec<Change>>, Error> {
        self.step(performance, |book, _| book.changes_after(version))
    }

    pub(crate) fn hold(
        &self,
        performance: PerformanceId,
        request: HoldRequest,
    ) -> Result<Result<Hold, HoldRefusal>, Error> {
        self.step(performance, |book, now| book.hold(request, now))
    }

    pub(crate) fn find_hold(&self, id: HoldId) -> Option<(PerformanceId, Hold)> {
        let now = (self.clock)();
        self.all().into_iter().find_map(|(p, book)| Some((p, live(&lock(&book.seats), id, now)?.clone())))
    }

    pub(crate) fn order(
        &self,
        performance: PerformanceId,
        hold: HoldId,
        user: UserId,
        order: OrderId,
    ) -> Result<Result<Hold, HoldGone>, Error> {
        self.step(performance, |book, now| book.order(hold, user, order, now))
    }

    pub(crate) fn undo_order(&self, performance: PerformanceId, hold: HoldId, order: OrderId) -> Result<(), Error> {
        self.step(performance, |book, now| {
            let seats = live(book, hold, now).filter(|h| h.order == Some(order)).map(|h| h.seats.clone());
            if let Some(seats) = seats {
                book.settle(hold, &seats, SeatState::Available);
            }
        })
    }

    pub(crate) fn release(
        &self,
        performance: PerformanceId,
        hold: HoldId,
        user: UserId,
    ) -> Result<Result<(), HoldGone>, Error> {
        self.step(performance, |book, now| book.release(hold, user, now))
    }

    pub(crate) fn settle(
        &self,
        performance: PerformanceId,
        hold: HoldId,
        seats: &[SeatIndex],
        state: SeatState,
    ) -> Result<(), Error> {
        self.step(performance, |book, _| book.settle(hold, seats, state))
    }

    pub(crate) fn expire_due(&self) -> usize {
        let now = (self.clock)();
        let freed = |book: Arc<Book>| {
            book.step(|seats| {
                if seats.next_end().is_none_or(|end| end > now) {
                    return 0;
                }
                let before = *book.version.borrow();
                seats.expire(now);
                // Each hold that ended is one change.
                usize::try_from(version_from(seats, before) - before).unwrap_or(0)
            })
        };
        self.all().into_iter().map(|(_, book)| freed(book)).sum()
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
