//! Those who listen to a room, each behind a bounded queue. Nobody is waited for: whoever does not keep up gets a snapshot
//! instead of what it missed, and is closed with a reason where that does not help.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures_util::Stream;
use nugul_api::seats::{Close, CloseReason};

/// The most readers of one room.
pub const READERS_MAX: usize = 5_000;
/// The most readers of one room that share a client address, where the platform tells it. Many people share one behind a
/// carrier's or a campus' translation.
pub const PER_ADDRESS_MAX: usize = 1_000;
/// The most frames that wait for one reader.
pub const WAITING_MAX: usize = 64;
/// Snapshots in a row for one reader that never emptied its queue; with the next it is closed.
const COLLAPSES_MAX: u8 = 3;
/// The longest a reader stays, in milliseconds; each goes up to a tenth earlier, by chance.
pub const LIFETIME_MS: i64 = 4 * 60 * 60 * 1000;

/// How long a reader may take nothing while something waits for it, in milliseconds. A stream that its platform gave up
/// without a word looks the same; a room must not be kept for it.
pub const STALLED_MAX_MS: i64 = 15_000;
/// How often readers are tended at most, in milliseconds.
const TEND_EVERY_MS: i64 = 1_000;

/// The readers of a room.
#[derive(Default)]
pub struct Readers {
    queues: Vec<Rc<RefCell<Queue>>>,
    addresses: HashMap<String, usize>,
    tended_at: i64,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Bytes>,
    waker: Option<Waker>,
    collapses: u8,
    address: Option<String>,
    until: i64,
    /// It took something since it was tended last.
    took: bool,
    stalled_since: Option<i64>,
    /// Nothing comes after what waits.
    ended: bool,
    /// The reader went away.
    left: bool,
}

/// Why one more reader is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The room is full.
    Full,
    /// Its address has as many as one may.
    Address,
}

/// What a reader gets, in pieces: all frames that wait are one. What a piece costs a platform hardly depends on its length, so
/// readers that are many, or slow, get fewer and longer ones rather than late ones.
pub struct Reader(Rc<RefCell<Queue>>);

impl Readers {
    /// Takes a reader in that gets `first` before anything else, and stays until `until` at most.
    pub fn add(&mut self, first: Vec<Bytes>, address: Option<&str>, until: i64) -> Result<Reader, Refused> {
        if self.queues.len() >= READERS_MAX {
            self.let_go();
        }
        if self.queues.len() >= READERS_MAX {
            return Err(Refused::Full);
        }
        if let Some(address) = address {
            let count = self.addresses.entry(address.to_owned()).or_default();
            if *count >= PER_ADDRESS_MAX {
                return Err(Refused::Address);
            }
            *count += 1;
        }
        let address = address.map(str::to_owned);
        let queue = Rc::new(RefCell::new(Queue { waiting: first.into(), address, until, ..Queue::default() }));
        self.queues.push(Rc::clone(&queue));
        Ok(Reader(queue))
    }

    /// How many there are; those who left may still count until something is sent.
    pub fn count(&self) -> usize {
        self.queues.len()
    }

    /// Whether there are none; those who left do not count.
    pub fn is_deserted(&mut self) -> bool {
        self.let_go();
        self.queues.is_empty()
    }

    /// Sends to all. Whose queue is full gets what `collapse` says instead of what waits.
    pub fn send(&mut self, bytes: &Bytes, mut collapse: impl FnMut() -> Vec<Bytes>) {
        let mut someone_left = false;
        for queue in &self.queues {
            let mut queue = queue.borrow_mut();
            someone_left |= queue.left || queue.ended;
            if queue.left || queue.ended {
                continue;
            }
            if queue.waiting.len() < WAITING_MAX {
                queue.waiting.push_back(bytes.clone());
            } else if queue.collapses >= COLLAPSES_MAX {
                queue.close(CloseReason::Slow);
            } else {
                queue.collapses += 1;
                queue.waiting = collapse().into();
            }
            queue.wake();
        }
        if someone_left {
            self.let_go();
        }
    }

    /// Ends the streams whose time is over, and lets those go who take nothing.
    pub fn tend(&mut self, now: i64) {
        if now < self.tended_at + TEND_EVERY_MS {
            return;
        }
        self.tended_at = now;
        let mut someone_ended = false;
        for queue in &self.queues {
            let mut queue = queue.borrow_mut();
            if std::mem::take(&mut queue.took) || queue.waiting.is_empty() {
                queue.stalled_since = None;
            } else if now - *queue.stalled_since.get_or_insert(now) >= STALLED_MAX_MS {
                queue.close(CloseReason::Slow);
            }
            if now >= queue.until {
                queue.close(CloseReason::Lifetime);
            }
            someone_ended |= queue.ended;
        }
        if someone_ended {
            self.let_go();
        }
    }

    /// Ends every stream with this reason.
    pub fn close(&mut self, reason: CloseReason) {
        for queue in &self.queues {
            queue.borrow_mut().close(reason);
        }
        self.let_go();
    }

    fn let_go(&mut self) {
        let addresses = &mut self.addresses;
        self.queues.retain(|queue| {
            let queue = queue.borrow();
            let gone = queue.left || queue.ended;
            if gone
                && let Some(address) = &queue.address
                && let Some(count) = addresses.get_mut(address)
            {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    addresses.remove(address);
                }
            }
            !gone
        });
    }
}

impl Reader {
    /// Puts `frames` in place of what waits; a stream that ended stays as it ended.
    pub(super) fn replace(&self, frames: Vec<Bytes>) {
        let mut queue = self.0.borrow_mut();
        if !queue.ended {
            queue.waiting = frames.into();
        }
    }
}

impl Queue {
    /// Nothing that waits is worth sending before the reason: the reader comes back with the id it saw last.
    fn close(&mut self, reason: CloseReason) {
        if self.ended {
            return;
        }
        if reason == CloseReason::Slow {
            self.waiting.clear();
        }
        self.waiting.push_back(Close { reason }.frame().into());
        self.ended = true;
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Stream for Reader {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut queue = self.0.borrow_mut();
        if let Some(first) = queue.waiting.pop_front() {
            queue.took = true;
            queue.collapses = 0;
            if queue.waiting.is_empty() {
                return Poll::Ready(Some(first));
            }
            let mut piece = first.to_vec();
            queue.waiting.drain(..).for_each(|frame| piece.extend_from_slice(&frame));
            return Poll::Ready(Some(piece.into()));
        }
        if queue.ended {
            return Poll::Ready(None);
        }
        queue.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut queue = self.0.borrow_mut();
        queue.left = true;
        queue.waiting = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt};

    /// The one piece there is; nothing where nothing waits.
    fn all(reader: &mut Reader) -> String {
        let piece = reader.next().now_or_never().flatten().unwrap_or_default();
        assert!(reader.next().now_or_never().flatten().is_none(), "what waits is one piece");
        String::from_utf8(piece.to_vec()).unwrap()
    }

    fn send(readers: &mut Readers, times: usize) {
        for _ in 0..times {
            readers.send(&Bytes::from_static(b"x"), || vec![Bytes::from_static(b"snapshot")]);
        }
    }

    #[test]
    fn who_does_not_keep_up_gets_a_snapshot_and_then_is_closed_with_a_reason() {
        let mut readers = Readers::default();
        let first = vec![Bytes::from_static(b"first")];
        let mut slow = readers.add(first.clone(), None, i64::MAX).unwrap();
        let mut quick = readers.add(first, None, i64::MAX).unwrap();
        send(&mut readers, WAITING_MAX - 1);
        assert_eq!(all(&mut quick), format!("first{}", "x".repeat(WAITING_MAX - 1)));
        send(&mut readers, 3);
        assert_eq!(all(&mut quick), "xxx");
        assert_eq!(all(&mut slow), "snapshotxx");
        // It took what there was: what was before is forgotten.
        for _ in 0..COLLAPSES_MAX {
            send(&mut readers, WAITING_MAX);
            all(&mut quick);
        }
        send(&mut readers, WAITING_MAX + 1);
        assert_eq!(all(&mut slow), "event: close\ndata: {\"reason\":\"slow\"}\n\n");
        assert_eq!(slow.next().now_or_never(), Some(None));
        drop((slow, quick));
        assert!(readers.is_deserted());
    }

    #[test]
    fn an_address_has_no_more_than_it_may_and_gets_places_back() {
        let mut readers = Readers::default();
        let mut inside: Vec<_> =
            (0..PER_ADDRESS_MAX).map(|_| readers.add(Vec::new(), Some("10.0.0.1"), i64::MAX).unwrap()).collect();
        let refused = readers.add(Vec::new(), Some("10.0.0.1"), i64::MAX);
        assert_eq!(refused.err(), Some(Refused::Address));
        inside.push(readers.add(Vec::new(), Some("10.0.0.2"), i64::MAX).unwrap());
        inside.remove(0);
        send(&mut readers, 1);
        readers.add(Vec::new(), Some("10.0.0.1"), i64::MAX).unwrap();
    }

    #[test]
    fn a_full_room_takes_nobody() {
        let mut readers = Readers::default();
        let mut inside: Vec<_> = (0..READERS_MAX).map(|_| readers.add(Vec::new(), None, i64::MAX).unwrap()).collect();
        assert_eq!(readers.add(Vec::new(), None, i64::MAX).err(), Some(Refused::Full));
        inside.pop();
        readers.add(Vec::new(), None, i64::MAX).unwrap();
    }

    #[test]
    fn streams_end_at_their_time() {
        let mut readers = Readers::default();
        let mut one = readers.add(Vec::new(), None, 10_000).unwrap();
        readers.tend(9_999);
        assert!(all(&mut one).is_empty());
        readers.tend(11_000);
        assert_eq!(all(&mut one), "event: close\ndata: {\"reason\":\"lifetime\"}\n\n");
    }

    #[test]
    fn who_takes_nothing_is_let_go_though_nobody_says_that_it_left() {
        let mut readers = Readers::default();
        let (stuck, mut slow) =
            (readers.add(Vec::new(), None, i64::MAX).unwrap(), readers.add(Vec::new(), None, i64::MAX).unwrap());
        for now in (0..=STALLED_MAX_MS).step_by(5_000) {
            readers.tend(now);
            assert_eq!(readers.count(), 2, "nothing waited, or not for so long");
            send(&mut readers, 2);
            // Once in five seconds is slow, but alive.
            assert!(slow.next().now_or_never().is_some());
        }
        readers.tend(STALLED_MAX_MS + 5_000);
        assert_eq!(readers.count(), 1);
        drop(slow);
        assert!(readers.is_deserted());
        drop(stuck);
    }
}
