//! Messages in this process' hands: handed over in memory when their transaction had committed, each behind the one before it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use nugul_domain::OrderId;
use tokio::{sync::Notify, time::Instant};

use super::{HANDED_MAX, Owed, RENEW_EVERY};
use crate::messages::Lane;

/// What the worker is told in memory.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Raised when a row was put into the table and not handed over.
    pub filled: Notify,
    /// Raised when something was handed over.
    pub(super) handed: Notify,
    hands: Mutex<Hands>,
}

#[derive(Debug, Default)]
struct Hands {
    /// Those that wait for nothing but their lane's room.
    ready: HashMap<Lane, VecDeque<Ready>>,
    /// Every message in hand by its id: waiting, on its way, or delivered and not forgotten yet.
    all: HashMap<Vec<u8>, InHand>,
    /// The last message that is in order of something: its place and its id.
    last: HashMap<OrderId, (i64, Vec<u8>)>,
}

#[derive(Debug)]
struct Ready {
    owed: Owed,
    since: Instant,
}

#[derive(Debug)]
struct InHand {
    in_order_of: OrderId,
    end: Arc<OnceLock<End>>,
    behind: Option<Owed>,
}

/// What became of a message that was in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Delivered,
    /// It is left to the table, and with it what is behind it.
    Left,
}

/// A message that was in hand when the next one of its order was put.
#[derive(Debug)]
pub(super) struct Ahead {
    id: Vec<u8>,
    end: Arc<OnceLock<End>>,
}

/// What was put with a lease.
#[derive(Debug)]
pub(super) struct Leased {
    pub owed: Owed,
    pub place: i64,
    /// The one before it, where that is not delivered yet.
    pub ahead: Option<Ahead>,
}

/// What was put, to be handed over once its transaction has committed.
#[derive(Debug, Default)]
pub struct Put {
    pub(super) leased: Vec<Leased>,
    /// Whether some are to be found in the table instead.
    pub(super) is_in_table: bool,
}

impl Outbox {
    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over what was put, once its transaction has committed.
    pub fn hand_over(&self, put: Put) {
        let mut hands = self.hands();
        for Leased { owed, place, ahead } in put.leased {
            match ahead.as_ref().map(|ahead| (&ahead.id, ahead.end.get())) {
                None | Some((_, Some(End::Delivered))) => {
                    hands.take_in(&owed, place);
                    hands.make_ready(owed);
                }
                Some((ahead, None)) => {
                    hands.take_in(&owed, place);
                    if let Some(ahead) = hands.all.get_mut(ahead) {
                        ahead.behind = Some(owed);
                    }
                }
                // Found in the table behind that one, when its lease has ended.
                Some((_, Some(End::Left))) => {}
            }
        }
        drop(hands);
        self.handed.notify_one();
        if put.is_in_table {
            self.filled.notify_one();
        }
    }

    /// How many more may be handed over.
    pub(super) fn room(&self) -> usize {
        HANDED_MAX.saturating_sub(self.hands().all.len())
    }

    /// The message before this place, where it is in hand.
    pub(super) fn ahead_of(&self, in_order_of: OrderId, place: i64) -> Option<Ahead> {
        let hands = self.hands();
        let (_, id) = hands.last.get(&in_order_of).filter(|(last, _)| last + 1 == place)?;
        hands.all.get(id).map(|ahead| Ahead { id: id.clone(), end: Arc::clone(&ahead.end) })
    }

    /// The first of a lane that may be sent.
    pub(super) fn take(&self, lane: Lane, most: usize) -> Vec<Owed> {
        let mut hands = self.hands();
        let Some(ready) = hands.ready.get_mut(&lane) else { return Vec::new() };
        let some = most.min(ready.len());
        ready.drain(..some).map(|ready| ready.owed).collect()
    }

    /// Those whose lease is to be renewed though they wait. Who is behind another is safe without: nobody else sends it first.
    pub(super) fn waiting_long(&self) -> Vec<Vec<u8>> {
        let hands = self.hands();
        let long = hands.ready.values().flatten().filter(|ready| ready.since.elapsed() >= RENEW_EVERY);
        long.map(|ready| ready.owed.id.clone()).collect()
    }

    /// A message was delivered: the one behind it is next, or whoever comes until it is forgotten. Should the process die before that,
    /// both are delivered again in their order.
    pub(super) fn delivered(&self, id: &[u8]) {
        let mut hands = self.hands();
        let Some(delivered) = hands.all.get_mut(id) else { return };
        // An error means that it was told before.
        let _ = delivered.end.set(End::Delivered);
        if let Some(next) = delivered.behind.take() {
            hands.make_ready(next);
        }
    }

    /// A message that was delivered is owed no more.
    pub(super) fn forgotten(&self, id: &[u8]) {
        self.hands().let_go(id);
    }

    /// A message is left to the table. Gives those behind it, which are left to it too.
    pub(super) fn left(&self, id: &[u8]) -> Vec<Vec<u8>> {
        let (mut hands, mut behind) = (self.hands(), Vec::new());
        let mut next = hands.leave(id);
        while let Some(owed) = next {
            next = hands.leave(&owed.id);
            behind.push(owed.id);
        }
        behind
    }
}

impl Hands {
    fn take_in(&mut self, owed: &Owed, place: i64) {
        let in_hand = InHand { in_order_of: owed.order, end: Arc::default(), behind: None };
        self.all.insert(owed.id.clone(), in_hand);
        self.last.insert(owed.order, (place, owed.id.clone()));
    }

    fn make_ready(&mut self, owed: Owed) {
        self.ready.entry(owed.message.lane()).or_default().push_back(Ready { owed, since: Instant::now() });
    }

    /// Leaves a message to the table; the one behind it.
    fn leave(&mut self, id: &[u8]) -> Option<Owed> {
        let left = self.let_go(id)?;
        // An error means that it was delivered before, which is so for none that is left.
        let _ = left.end.set(End::Left);
        left.behind
    }

    /// Nothing where it is not in hand.
    fn let_go(&mut self, id: &[u8]) -> Option<InHand> {
        let gone = self.all.remove(id)?;
        if self.last.get(&gone.in_order_of).is_some_and(|(_, last)| last == id) {
            self.last.remove(&gone.in_order_of);
        }
        Some(gone)
    }
}

#[cfg(test)]
mod tests {
    use nugul_domain::{Region, Timestamp, UserId};

    use super::*;
    use crate::{messages::Message, notices::Notice};

    fn order(number: u8) -> OrderId {
        OrderId::new(Region(0), Timestamp::from_millis(0), [number; 9])
    }

    fn owed(number: u8, of: u8) -> Owed {
        let message = Message::Tell {
            user: UserId::new(Region(0), Timestamp::from_millis(0), [of; 9]),
            notice: Notice::RefundDeclined { title: String::new(), seat: String::new() },
        };
        Owed { id: vec![number], order: order(of), message, attempts: 0, trace_id: String::new() }
    }

    /// One of an order of its own.
    fn alone(number: u8) -> Leased {
        Leased { owed: owed(number, number), place: 1, ahead: None }
    }

    /// The second or a later one of an order, put at this moment.
    fn behind(outbox: &Outbox, number: u8, of: u8, place: i64) -> Option<Leased> {
        let ahead = Some(outbox.ahead_of(order(of), place)?);
        Some(Leased { owed: owed(number, of), place, ahead })
    }

    fn put(leased: impl IntoIterator<Item = Leased>) -> Put {
        Put { leased: leased.into_iter().collect(), is_in_table: false }
    }

    fn taken(outbox: &Outbox) -> Vec<u8> {
        outbox.take(Lane::Mail, 9).iter().map(|owed| owed.id[0]).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_handed_over_waits_for_room_in_its_order_and_keeps_its_lease() {
        let outbox = Outbox::default();
        outbox.hand_over(put((0..3).map(alone)));
        assert_eq!(outbox.room(), HANDED_MAX - 3);
        assert_eq!(outbox.take(Lane::Mail, 2).len(), 2);
        assert!(outbox.take(Lane::Mail, 0).is_empty() && outbox.take(Lane::Payment, 9).is_empty());
        tokio::time::advance(RENEW_EVERY).await;
        outbox.hand_over(put([alone(3)]));
        assert_eq!(outbox.waiting_long(), [vec![2]]);
        assert_eq!(taken(&outbox), [2, 3]);
        (0..4).for_each(|id| outbox.delivered(&[id]));
        assert_eq!(outbox.room(), HANDED_MAX - 4);
        (0..4).for_each(|id| outbox.forgotten(&[id]));
        assert_eq!(outbox.room(), HANDED_MAX);
    }

    #[test]
    fn who_is_behind_another_is_sent_when_that_was_delivered() {
        let outbox = Outbox::default();
        outbox.hand_over(put([alone(1)]));
        assert!(behind(&outbox, 2, 1, 3).is_none(), "the one before it is somewhere else");
        assert!(behind(&outbox, 2, 7, 2).is_none(), "another order has nothing in hand");
        outbox.hand_over(put(behind(&outbox, 2, 1, 2)));
        outbox.hand_over(put(behind(&outbox, 3, 1, 3)));
        assert_eq!(taken(&outbox), [1]);
        outbox.delivered(&[1]);
        assert_eq!(taken(&outbox), [2]);
        assert_eq!(taken(&outbox), [0_u8; 0]);
        outbox.delivered(&[2]);
        assert_eq!(taken(&outbox), [3]);
        outbox.delivered(&[3]);
        outbox.forgotten(&[2]);
        outbox.hand_over(put(behind(&outbox, 4, 1, 4)));
        assert_eq!(taken(&outbox), [4], "nothing keeps it waiting");
        outbox.delivered(&[4]);
        outbox.forgotten(&[3]);
        outbox.forgotten(&[4]);
        assert!(behind(&outbox, 5, 1, 5).is_none(), "nothing is in hand any more");
    }

    #[test]
    fn what_ends_between_put_and_hand_over_keeps_nobody_waiting() {
        let outbox = Outbox::default();
        outbox.hand_over(put([alone(1)]));
        let next = behind(&outbox, 2, 1, 2);
        outbox.delivered(&[1]);
        outbox.forgotten(&[1]);
        outbox.hand_over(put(next));
        assert_eq!(taken(&outbox), [1, 2]);
    }

    #[test]
    fn nobody_overtakes_what_was_left_to_the_table() {
        let outbox = Outbox::default();
        outbox.hand_over(put([alone(1)]));
        outbox.hand_over(put(behind(&outbox, 2, 1, 2)));
        outbox.hand_over(put(behind(&outbox, 3, 1, 3)));
        let late = behind(&outbox, 4, 1, 4);
        assert_eq!(taken(&outbox), [1]);
        assert_eq!(outbox.left(&[1]), [vec![2], vec![3]]);
        outbox.hand_over(put(late));
        assert!(behind(&outbox, 5, 1, 5).is_none());
        assert_eq!(taken(&outbox), [0_u8; 0]);
        assert_eq!(outbox.room(), HANDED_MAX);
    }
}
