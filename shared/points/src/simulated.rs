//! The points as a simulation sees them: one thread, one actor at a time.
//!
//! A simulation [`begin`]s on its thread, polls its actors through [`poll`], and is told at which point each stopped.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use crate::Planted;

/// Work of a simulated process.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    static POLLING: Cell<bool> = const { Cell::new(false) };
    static STOPPED_AT: Cell<Option<&'static str>> = const { Cell::new(None) };
    static ADOPTED: RefCell<Vec<Work>> = const { RefCell::new(Vec::new()) };
    static BUG: Cell<Option<Planted>> = const { Cell::new(None) };
}

/// A thread under simulation, until this is dropped.
pub struct Simulation(PhantomData<*const ()>);

/// Puts the thread under simulation, with one bug planted or none.
pub fn begin(bug: Option<Planted>) -> Simulation {
    BUG.set(bug);
    STOPPED_AT.set(None);
    ADOPTED.with_borrow_mut(Vec::clear);
    Simulation(PhantomData)
}

impl Drop for Simulation {
    fn drop(&mut self) {
        BUG.set(None);
    }
}

/// What came of polling an actor.
pub enum Polled<T> {
    /// It ended.
    Ended(T),
    /// It stopped at a point.
    At(&'static str),
    /// It waits for something of the real world, such as the database, and will wake the task.
    Waits,
}

/// Polls an actor. What it started meanwhile is in `adopted`.
pub fn poll<F: Future + ?Sized>(
    actor: Pin<&mut F>,
    context: &mut Context<'_>,
    adopted: &mut Vec<Work>,
) -> Polled<F::Output> {
    POLLING.set(true);
    let polled = actor.poll(context);
    POLLING.set(false);
    ADOPTED.with_borrow_mut(|new| adopted.append(new));
    match (polled, STOPPED_AT.take()) {
        (Poll::Ready(out), _) => Polled::Ended(out),
        (Poll::Pending, Some(name)) => Polled::At(name),
        (Poll::Pending, None) => Polled::Waits,
    }
}

/// See [`point`](crate::point).
pub async fn point(name: &'static str) {
    if !POLLING.get() {
        return;
    }
    let mut passed = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut passed, true) {
            return Poll::Ready(());
        }
        STOPPED_AT.set(Some(name));
        Poll::Pending
    })
    .await;
}

/// Whether this bug is planted on this thread.
pub fn planted(bug: Planted) -> bool {
    BUG.get() == Some(bug)
}

/// Whether an actor of a simulation is being polled.
pub fn is_simulated() -> bool {
    POLLING.get()
}

/// Takes work over where the thread is under simulation.
pub fn adopt<F: Future<Output = ()> + Send + 'static>(work: F) -> Option<F> {
    if !POLLING.get() {
        return Some(work);
    }
    ADOPTED.with_borrow_mut(|adopted| adopted.push(Box::pin(work)));
    None
}
