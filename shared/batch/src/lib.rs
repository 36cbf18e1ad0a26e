//! Group commit: work that waits for its turn meanwhile shares the next transaction.
//!
//! A durable write waits for the disk, and each statement costs a round trip, however many rows it has. So whoever comes while
//! another is at work waits, and the first to get the next turn does the work of all who wait. Alone, nobody waits for anything.

mod apart;

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use tokio::sync::{Semaphore, oneshot};

pub use apart::{Together, Work, all_or_each};

/// Those who wait for the next turn at one kind of work.
#[derive(Debug)]
pub struct Batch<T, R> {
    waiting: Mutex<VecDeque<Waiting<T, R>>>,
    turn: Semaphore,
    at_once: usize,
    in_powers_of_two: bool,
    waiting_max: usize,
}

#[derive(Debug)]
struct Waiting<T, R> {
    one: T,
    done: oneshot::Sender<R>,
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
    pub const fn new(at_once: usize, waiting_max: usize) -> Self {
        Self::with(at_once, false, waiting_max)
    }

    /// The same with a power of two of pieces in each turn: for work whose statements are as long as the pieces are many, so that
    /// few different ones are prepared.
    pub const fn in_powers_of_two(at_once: usize, waiting_max: usize) -> Self {
        Self::with(at_once, true, waiting_max)
    }

    const fn with(at_once: usize, in_powers_of_two: bool, waiting_max: usize) -> Self {
        let waiting = Mutex::new(VecDeque::new());
        Self { waiting, turn: Semaphore::const_new(1), at_once, in_powers_of_two, waiting_max }
    }

    /// Whether one more may wait at this moment.
    pub fn has_room(&self) -> bool {
        self.lock().len() < self.waiting_max
    }

    /// Has `one` done, with whatever else waits, by this caller's `work` or another's. `work` gives a result for each, in
    /// their order.
    pub async fn join<F, W>(&self, one: T, work: F) -> Result<R, NotDone>
    where
        F: Fn(Vec<T>) -> W,
        W: Future<Output = Vec<R>>,
    {
        let (done, mut outcome) = oneshot::channel();
        {
            let mut waiting = self.lock();
            if waiting.len() >= self.waiting_max {
                return Err(NotDone::TooMany);
            }
            waiting.push_back(Waiting { one, done });
        }
        loop {
            // Under a simulation whoever has the turn may stand between two steps, and is waited for step by step.
            while nugul_points::is_simulated() && self.turn.available_permits() == 0 && outcome.is_empty() {
                nugul_points::point("batch.turn").await;
            }
            let turn = tokio::select! {
                biased;
                result = &mut outcome => return result.map_err(|_| NotDone::Abandoned),
                turn = self.turn.acquire() => turn,
            };
            // Whoever can go on at this moment does so first, and may come along.
            if !nugul_points::is_simulated() {
                tokio::task::yield_now().await;
            }
            let (some, done): (Vec<_>, Vec<_>) = self.next().into_iter().map(|w| (w.one, w.done)).unzip();
            for (done, result) in done.into_iter().zip(work(some).await) {
                // Who left meanwhile needs no answer.
                let _ = done.send(result);
            }
            drop(turn);
        }
    }

    /// The next that wait, without those who have left.
    fn next(&self) -> Vec<Waiting<T, R>> {
        let mut waiting = self.lock();
        waiting.retain(|w| !w.done.is_closed());
        let most = waiting.len().min(self.at_once);
        let some = if self.in_powers_of_two && most > 0 { 1 << most.ilog2() } else { most };
        waiting.drain(..some).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Waiting<T, R>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, time::Duration};

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
        assert_eq!(*done.borrow(), [vec![1, 2], vec![3, 4, 5, 6], vec![7]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_has_a_power_of_two_of_pieces_where_that_is_wanted() {
        let (batch, done) = (Batch::in_powers_of_two(4, 100), RefCell::default());
        let join = async |n| batch.join(n, |some| tenfold(&done, some)).await;
        let results = tokio::join!(join(1), join(2), join(3));
        assert_eq!(results, (Ok(10), Ok(20), Ok(30)));
        assert_eq!(*done.borrow(), [vec![1, 2], vec![3]]);
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
