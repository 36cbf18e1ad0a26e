//! Tells a waiting request that its order changed, and nobody else's: a hundred waiting buyers must not all look in the
//! database whenever one of them has paid.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use nugul_domain::OrderId;
use tokio::sync::watch;

/// Who waits for which order, in this process.
#[derive(Debug, Default)]
pub struct OrderNews {
    waiting: Mutex<HashMap<OrderId, watch::Sender<()>>>,
}

/// A place among those who wait for an order. There are never more than requests under way.
#[derive(Debug)]
pub struct Waiting<'a> {
    news: &'a OrderNews,
    order: OrderId,
    changed: watch::Receiver<()>,
}

impl OrderNews {
    /// Waits for news of `order` from now on.
    pub fn wait_for(&self, order: OrderId) -> Waiting<'_> {
        let changed = self.waiting().entry(order).or_insert_with(|| watch::Sender::new(())).subscribe();
        Waiting { news: self, order, changed }
    }

    /// Tells those who wait for `order`.
    pub fn announce(&self, order: OrderId) {
        if let Some(sender) = self.waiting().get(&order) {
            sender.send_replace(());
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<OrderId, watch::Sender<()>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting<'_> {
    /// Ends with the next news since the last call, or since the wait began.
    pub async fn changed(&mut self) {
        if self.changed.changed().await.is_err() {
            // The sender is kept as long as anyone waits.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.news.waiting();
        // The last one to leave: the receiver counted is this one.
        if waiting.get(&self.order).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.remove(&self.order);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use nugul_domain::{Timestamp, id::Region};

    fn order(n: u8) -> OrderId {
        OrderId::new(Region(0), Timestamp::from_millis(1), [n; nugul_domain::id::RANDOM_BYTES])
    }

    #[test]
    fn news_reach_those_who_wait_for_that_order_alone() {
        let news = OrderNews::default();
        let (mut a, mut also_a, mut b) = (news.wait_for(order(1)), news.wait_for(order(1)), news.wait_for(order(2)));
        news.announce(order(1));
        assert!(a.changed().now_or_never().is_some() && also_a.changed().now_or_never().is_some());
        assert!(b.changed().now_or_never().is_none() && a.changed().now_or_never().is_none());
        drop((a, b));
        news.announce(order(1));
        assert!(also_a.changed().now_or_never().is_some());
        drop(also_a);
        assert!(news.waiting().is_empty());
    }
}
