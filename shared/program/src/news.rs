//! Tells those who wait for one thing that it changed, and nobody else: a hundred waiting buyers must not all look in the
//! database whenever one of them has paid.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// Who waits for what, in this process. A key names what is waited for, a value is how it is now.
#[derive(Debug)]
pub struct News<K, V> {
    waiting: Mutex<Waits<K, V>>,
}

type Waits<K, V> = HashMap<K, watch::Sender<Option<V>>>;

/// A place among those who wait for something. There are never more than requests under way.
#[derive(Debug)]
pub struct Waiting<'a, K: Hash + Eq, V> {
    news: &'a News<K, V>,
    key: K,
    changed: watch::Receiver<Option<V>>,
}

impl<K, V> Default for News<K, V> {
    fn default() -> Self {
        Self { waiting: Mutex::default() }
    }
}

impl<K: Hash + Eq + Copy, V> News<K, V> {
    /// Waits for news of `key` from now on.
    pub fn wait_for(&self, key: K) -> Waiting<'_, K, V> {
        let changed = self.waiting().entry(key).or_insert_with(|| watch::Sender::new(None)).subscribe();
        Waiting { news: self, key, changed }
    }

    /// Tells those who wait for it that it changed.
    pub fn announce(&self, key: K) {
        self.send(key, None);
    }

    /// Tells those who wait for it how it is now, so that they need not look.
    pub fn tell(&self, key: K, value: V) {
        self.send(key, Some(value));
    }

    fn send(&self, key: K, news: Option<V>) {
        if let Some(sender) = self.waiting().get(&key) {
            sender.send_replace(news);
        }
    }
}

impl<K, V> News<K, V> {
    fn waiting(&self) -> MutexGuard<'_, Waits<K, V>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq, V: Clone> Waiting<'_, K, V> {
    /// Ends with the next news since the last call, or since the wait began. Gives how it is now, where that was told.
    pub async fn changed(&mut self) -> Option<V> {
        if self.changed.changed().await.is_err() {
            // The sender is kept as long as anyone waits.
            std::future::pending::<()>().await;
        }
        self.changed.borrow_and_update().clone()
    }
}

impl<K: Hash + Eq, V> Drop for Waiting<'_, K, V> {
    fn drop(&mut self) {
        let mut waiting = self.news.waiting();
        // The last one to leave: the receiver counted is this one.
        if waiting.get(&self.key).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task};

    use super::*;

    /// What has come, if anything has.
    fn heard<F: Future>(news: F) -> Option<F::Output> {
        match pin!(news).poll(&mut task::Context::from_waker(task::Waker::noop())) {
            task::Poll::Ready(news) => Some(news),
            task::Poll::Pending => None,
        }
    }

    #[test]
    fn news_reach_those_who_wait_for_that_alone() {
        let news = News::default();
        let (mut a, mut also_a, mut b) = (news.wait_for(1), news.wait_for(1), news.wait_for(2));
        news.tell(1, "paid");
        assert_eq!((heard(a.changed()), heard(also_a.changed())), (Some(Some("paid")), Some(Some("paid"))));
        assert_eq!((heard(b.changed()), heard(a.changed())), (None, None));
        drop((a, b));
        news.announce(1);
        assert_eq!(heard(also_a.changed()), Some(None));
        drop(also_a);
        assert!(news.waiting().is_empty());
    }
}
