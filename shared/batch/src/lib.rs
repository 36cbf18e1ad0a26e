//! Group commit: work that waits for its turn meanwhile shares the next transaction.
//!
//! A durable write waits for the disk, and each statement costs a round trip, however many rows it has. So whoever comes while
//! another is at work waits, and the first to get the next turn does the work of all who wait. Alone, nobody waits for anything; in a
//! crowd a transaction waits a moment for more.

mod apart;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

pub use apart::{Together, Work, all_or_each};

/// A transaction of so many pieces is a crowd's: as many again are on their way, most likely.
const CROWD_MIN: usize = 4;
/// How long the transaction after that waits for them. What it costs is shared by more then, and who is one of a crowd waits for
/// processors for longer than for this (`PostgreSQL`'s `commit_delay`, with `commit_siblings`).
const GATHER: Duration = Duration::from_millis(10);

/// Those who wait for the next turn at one kind of work.
#[derive(Debug)]
pub struct Batch<T, R> {
    queue: Arc<Queue<T, R>>,
    at_once: usize,
    are_transactions: bool,
    waiting_max: usize,
}

type Queue<T, R> = Mutex<Waiting<T, R>>;

#[derive(Debug)]
struct Waiting<T, R> {
    pieces: VecDeque<Piece<T, R>>,
    /// Whether nobody has the turn; then nobody waits.
    is_free: bool,
    /// Pieces of the last turn that began.
    before: usize,
}

#[derive(Debug)]
struct Piece<T, R> {
    one: T,
    told: oneshot::Sender<Told<T, R>>,
}

/// What becomes of a piece that waits.
#[derive(Debug)]
enum Told<T, R> {
    /// Somebody did it.
    Done(R),
    /// It is the first of the next turn.
    Turn(Turn<T, R>, T),
}

/// The turn: whoever leaves it, done or not, gives it to who has waited longest.
#[derive(Debug)]
struct Turn<T, R>(Arc<Queue<T, R>>);

impl<T, R> Drop for Turn<T, R> {
    fn drop(&mut self) {
        let first = {
            let mut waiting = lock(&self.0);
            waiting.forget_who_left();
            let first = waiting.pieces.pop_front();
            waiting.is_free = first.is_none();
            first
        };
        if let Some(Piece { one, told }) = first {
            // Should they leave at this moment, the turn goes on from there.
            drop(told.send(Told::Turn(Self(Arc::clone(&self.0)), one)));
        }
    }
}

impl<T, R> Waiting<T, R> {
    fn forget_who_left(&mut self) {
        self.pieces.retain(|piece| !piece.told.is_closed());
    }
}

/// Why a piece of work was not done. Whether it had an effect is known only where too many wait: then it had none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDone {
    /// Too many wait already.
    TooMany,
    /// Whoever had the turn left in the middle of it.
    Abandoned,
}

impl<T, R> Batch<T, R> {
    /// One turn at a time, with at most `at_once` pieces of work; at most `waiting_max` wait for theirs.
    pub fn new(at_once: usize, waiting_max: usize) -> Self {
        let queue = Arc::new(Mutex::new(Waiting { pieces: VecDeque::new(), is_free: true, before: 0 }));
        Self { queue, at_once, are_transactions: false, waiting_max }
    }

    /// The same for turns that are durable transactions. As few as can be: a turn begins when whoever can go on at that moment has
    /// come along, and in a crowd a moment later. With few different statements, which are as long as the pieces are many: it has a
    /// power of two of them.
    pub fn of_transactions(at_once: usize, waiting_max: usize) -> Self {
        Self { are_transactions: true, ..Self::new(at_once, waiting_max) }
    }

    /// Whether one more may wait at this moment.
    pub fn has_room(&self) -> bool {
        lock(&self.queue).pieces.len() < self.waiting_max
    }

    /// Has `one` done, with whatever else waits, by this caller's `work` or another's. `work` gives a result for each, in
    /// their order.
    pub async fn join<F, W>(&self, one: T, work: F) -> Result<R, NotDone>
    where
        F: Fn(Vec<T>) -> W,
        W: Future<Output = Vec<R>>,
    {
        let (turn, one) = match self.enter(one)? {
            Entered::Turn(turn, one) => (turn, one),
            Entered::Waits(told) => {
                // Under a simulation whoever has the turn may stand between two steps, and is waited for step by step.
                while nugul_points::is_simulated() && told.is_empty() {
                    nugul_points::point("batch.turn").await;
                }
                match told.await {
                    Ok(Told::Done(result)) => return Ok(result),
                    Ok(Told::Turn(turn, one)) => (turn, one),
                    Err(_) => return Err(NotDone::Abandoned),
                }
            }
        };
        if self.are_transactions && !nugul_points::is_simulated() {
            self.gather().await;
        }
        let (others, told): (Vec<_>, Vec<_>) = self.next().into_iter().map(|piece| (piece.one, piece.told)).unzip();
        let mut results = work([one].into_iter().chain(others).collect()).await.into_iter();
        // The next turn need not wait until all have been told.
        drop(turn);
        let own = results.next().ok_or(NotDone::Abandoned);
        for (told, result) in told.into_iter().zip(results) {
            // Who left meanwhile needs no answer.
            let _ = told.send(Told::Done(result));
        }
        own
    }

    /// Takes the turn where it is free, or waits.
    fn enter(&self, one: T) -> Result<Entered<T, R>, NotDone> {
        let mut waiting = lock(&self.queue);
        if waiting.is_free {
            waiting.is_free = false;
            return Ok(Entered::Turn(Turn(Arc::clone(&self.queue)), one));
        }
        if waiting.pieces.len() >= self.waiting_max {
            return Err(NotDone::TooMany);
        }
        let (told, tells) = oneshot::channel();
        waiting.pieces.push_back(Piece { one, told });
        Ok(Entered::Waits(tells))
    }

    /// Waits for those who come along with the first of a turn.
    async fn gather(&self) {
        if self.expects_a_crowd() { tokio::time::sleep(GATHER).await } else { tokio::task::yield_now().await }
    }

    /// Whether there was a crowd a moment ago, and the turn has room for more than wait already.
    fn expects_a_crowd(&self) -> bool {
        let waiting = lock(&self.queue);
        waiting.before >= CROWD_MIN && waiting.pieces.len() + 1 < self.at_once
    }

    /// Who comes along with the first of a turn, without those who have left.
    fn next(&self) -> Vec<Piece<T, R>> {
        let mut waiting = lock(&self.queue);
        waiting.forget_who_left();
        let most = (1 + waiting.pieces.len()).min(self.at_once);
        let some = if self.are_transactions { 1 << most.ilog2() } else { most };
        waiting.before = some;
        waiting.pieces.drain(..some - 1).collect()
    }
}

enum Entered<T, R> {
    Turn(Turn<T, R>, T),
    Waits(oneshot::Receiver<Told<T, R>>),
}

fn lock<T, R>(queue: &Queue<T, R>) -> MutexGuard<'_, Waiting<T, R>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, future::poll_fn, task::Poll};

    use super::*;

    const STEP: Duration = Duration::from_millis(10);

    /// Notes what was done together and gives each its tenfold.
    async fn tenfold(done: &RefCell<Vec<Vec<u32>>>, some: Vec<u32>) -> Vec<u32> {
        done.borrow_mut().push(some.clone());
        tokio::time::sleep(STEP).await;
        some.into_iter().map(|n| n * 10).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_shares_the_next_turn_and_each_has_its_own_result() {
        let (batch, done) = (Batch::new(4, 100), RefCell::default());
        let join = async |n| batch.join(n, |some| tenfold(&done, some)).await;
        let late = async || {
            tokio::time::sleep(STEP / 2).await;
            tokio::join!(join(3), join(4), join(5), join(6), join(7))
        };
        let (first, second, late) = tokio::join!(join(1), join(2), late());
        assert_eq!((first, second), (Ok(10), Ok(20)));
        assert_eq!(late, (Ok(30), Ok(40), Ok(50), Ok(60), Ok(70)));
        assert_eq!(*done.borrow(), [vec![1], vec![2, 3, 4, 5], vec![6, 7]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_transaction_has_a_power_of_two_of_pieces() {
        let (batch, done) = (Batch::of_transactions(4, 100), RefCell::default());
        let join = async |n| batch.join(n, |some| tenfold(&done, some)).await;
        let results = tokio::join!(join(1), join(2), join(3));
        assert_eq!(results, (Ok(10), Ok(20), Ok(30)));
        assert_eq!(*done.borrow(), [vec![1, 2], vec![3]]);
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_crowd_a_transaction_waits_for_those_who_come_meanwhile() {
        let (batch, done) = (Batch::of_transactions(8, 100), RefCell::default());
        let join = async |n, steps: f64| {
            tokio::time::sleep(STEP.mul_f64(steps)).await;
            batch.join(n, |some| tenfold(&done, some)).await
        };
        // 7 comes while 6 waits for a crowd; nobody comes after 8, who is not one of a crowd and does not wait.
        let begun = tokio::time::Instant::now();
        let results = tokio::join!(
            join(1, 0.0),
            async { tokio::join!(join(2, 0.5), join(3, 0.6), join(4, 0.7), join(5, 0.8)) },
            join(6, 1.5),
            join(7, 2.5),
            join(8, 3.5),
        );
        assert_eq!(results, (Ok(10), (Ok(20), Ok(30), Ok(40), Ok(50)), Ok(60), Ok(70), Ok(80)));
        assert_eq!(*done.borrow(), [vec![1], vec![2, 3, 4, 5], vec![6, 7], vec![8]]);
        assert_eq!(begun.elapsed(), STEP + STEP + (GATHER + STEP) + STEP);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_left_is_not_worked_for_and_who_leaves_in_the_middle_is_told_of() {
        let (batch, done) = (Batch::new(4, 100), RefCell::default());
        let join = async |n| batch.join(n, |some| tenfold(&done, some)).await;
        let leaves = async |n, after| tokio::time::timeout(after, join(n)).await.is_err();
        // 2 leaves while it waits; 3 has the turn after 1, with 4, and leaves in the middle of it: 4 has to try again.
        let late = async {
            tokio::time::sleep(STEP / 4).await;
            tokio::join!(leaves(2, STEP / 4), leaves(3, STEP), join(4))
        };
        let results = tokio::join!(join(1), late, async {
            tokio::time::sleep(STEP * 5).await;
            join(4).await
        });
        assert_eq!(results, (Ok(10), (true, true, Err(NotDone::Abandoned)), Ok(40)));
        assert_eq!(*done.borrow(), [vec![1], vec![3, 4], vec![4]]);
    }

    #[tokio::test]
    async fn a_turn_that_is_given_to_who_leaves_at_that_moment_goes_on() {
        let (batch, done) = (Batch::new(1, 100), RefCell::<Vec<Vec<u32>>>::default());
        let work = async |some: Vec<u32>| {
            done.borrow_mut().push(some.clone());
            tokio::task::yield_now().await;
            some
        };
        let [mut first, mut second, mut third] = [1, 2, 3].map(|n| Box::pin(batch.join(n, work)));
        for join in [&mut first, &mut second, &mut third] {
            let begun = poll_fn(|context| Poll::Ready(join.as_mut().poll(context))).await;
            assert!(begun.is_pending());
        }
        assert_eq!(first.await, Ok(1));
        drop(second);
        assert_eq!(third.await, Ok(3));
        assert_eq!(*done.borrow(), [vec![1], vec![3]]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_wait_than_there_is_room_for() {
        let (batch, done) = (Batch::new(4, 2), RefCell::default());
        let join = async |n| batch.join(n, |some| tenfold(&done, some)).await;
        let late = async {
            tokio::time::sleep(STEP / 2).await;
            tokio::join!(join(2), join(3), join(4))
        };
        let results = tokio::join!(join(1), late);
        assert_eq!(results, (Ok(10), (Ok(20), Ok(30), Err(NotDone::TooMany))));
    }
}
