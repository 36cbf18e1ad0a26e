//! Outcomes stored together. The books' counters let one transaction through at a time, and each commit waits for the disk: so
//! outcomes that wait for their turn share the next transaction.
use nugul_batch::{Batch, Together, all_or_each};
use sqlx::{Any, Transaction};
use uuid::Uuid;

use crate::cancels;
use crate::confirm::{Payments, new_id};
use crate::state::State;
use crate::store::{self, Payment, Refusal, Verdict};
use crate::taking;

/// No more outcomes share a transaction.
pub const TOGETHER: usize = 64;
/// How often a settlement is tried again when the database refuses it, before it is left to the reconciler.
pub const SETTLE_TRIES: u32 = 3;

/// No more wait for their turn: every call and look under way may.
const WAITING_MAX: usize = 4_096;

/// Outcomes that wait to be stored.
pub type Settlements = Batch<Settlement, Result<Stored, Refusal>>;

/// What became of a payment.
#[derive(Clone, Debug)]
pub struct Settlement {
    order: Uuid,
    from: State,
    verdict: Verdict,
}

/// Where outcomes wait.
pub fn settlements() -> Settlements {
    Batch::of_transactions(TOGETHER, WAITING_MAX)
}

/// What became of an outcome.
#[derive(Clone, Debug)]
pub enum Stored {
    /// The payment has gone on since: nothing is stored.
    No,
    /// It is stored.
    Yes,
    /// It is stored, and this is the payment now.
    As(Payment),
}

/// What became of one outcome in a transaction.
#[derive(Clone, Copy)]
enum Written {
    /// It is in the transaction; whether a cancel that waited for it is next.
    Yes { cancel_is_next: bool },
    /// The payment cannot go that way: what was written has to be taken back.
    Never,
}

impl Payments {
    /// Stores what became of a payment that was in `from`; no effect where it has gone on since.
    pub async fn settle(&self, order: Uuid, from: State, verdict: &Verdict) {
        for attempt in 1..=SETTLE_TRIES {
            let mine = Settlement { order, from, verdict: verdict.clone() };
            let store = |some| all_or_each(self, some, |this, some: &[_]| Box::pin(this.store_together(some)));
            match self.settlements.join(mine, store).await.unwrap_or(Err(Refusal::Busy)) {
                Ok(Stored::No) => return,
                Ok(stored) => {
                    tracing::info!(%order, from = from.name(), "settled");
                    match stored {
                        Stored::As(payment) => self.news.tell(order, payment),
                        _ => self.news.announce(order),
                    }
                    return;
                }
                Err(error) => tracing::error!(%order, attempt, ?error, "settlement not stored"),
            }
        }
    }

    async fn store_together(&self, some: &[Settlement]) -> Together<Result<Stored, Refusal>> {
        let stored = self.store_all(some).await;
        if stored.is_ok() {
            // Once for all of them: who streams results reads them together.
            self.results.send_replace(());
        }
        store::together(stored.map(Some))
    }

    /// Stores them in one transaction, or none. Tells of each whether it was stored.
    async fn store_all(&self, some: &[Settlement]) -> Result<Vec<Stored>, Refusal> {
        if let Some(payments) = self.take_all(some).await? {
            let of = |one: &Settlement| payments.iter().find(|payment| payment.order == one.order).cloned();
            return Ok(some.iter().map(|one| of(one).map_or(Stored::Yes, Stored::As)).collect());
        }
        let mut places: Vec<_> = some.iter().enumerate().collect();
        // The order of locks: ascending.
        places.sort_by_key(|(_, one)| one.order);
        let mut tx = self.db.begin_write().await?;
        // All locks on payments before those on the counters, as in every other transaction.
        let mut payments = Vec::with_capacity(some.len());
        for (_, one) in &places {
            payments.push(store::lock(&self.db, &mut tx, one.order).await?);
        }
        let (mut stored, mut cancel_is_next) = (vec![Stored::No; some.len()], false);
        for ((place, one), payment) in places.into_iter().zip(&payments) {
            let Some(payment) = payment.as_ref().filter(|payment| payment.state == one.from) else { continue };
            match self.store_one(&mut tx, payment, &one.verdict).await? {
                Written::Never if some.len() == 1 => return Ok(stored),
                Written::Never => return Err(Refusal::Busy),
                Written::Yes { cancel_is_next: next } => cancel_is_next |= next,
            }
            if let Some(stored) = stored.get_mut(place) {
                *stored = Stored::Yes;
            }
        }
        tx.commit().await?;
        if cancel_is_next {
            self.work.notify_one();
        }
        Ok(stored)
    }

    /// The same with a few statements for all, where all were taken. Gives the payments as they are then; nothing, and nothing
    /// is done, where that is not so.
    async fn take_all(&self, some: &[Settlement]) -> Result<Option<Vec<Payment>>, Refusal> {
        let taken = some.iter().map(|one| match (one.from, &one.verdict) {
            (State::Confirming, Verdict::Taken { at_ms }) => Some((one.order, *at_ms)),
            _ => None,
        });
        let Some(taken) = taken.collect::<Option<Vec<_>>>() else { return Ok(None) };
        let mut tx = self.db.begin_write().await?;
        let payments = taking::take_all(&self.db, &mut tx, &taken, (self.now)()).await?;
        if payments.is_some() {
            tx.commit().await?;
        }
        Ok(payments)
    }

    async fn store_one(
        &self,
        tx: &mut Transaction<'_, Any>,
        payment: &Payment,
        verdict: &Verdict,
    ) -> Result<Written, Refusal> {
        let now = (self.now)();
        if !store::settle(tx, payment, verdict, new_id(now)?, now).await? {
            return Ok(Written::Never);
        }
        // A cancel that waited for this is next.
        let all = cancels::of_order_in(tx, payment.order).await?;
        let next = store::start_refund(tx, payment, &all, now, now).await?;
        Ok(Written::Yes { cancel_is_next: next.is_some() })
    }
}
