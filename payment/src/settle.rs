//! Outcomes stored together. The books' counters let one transaction through at a time, and each commit waits for the disk: so
//! outcomes that wait for their turn share the next transaction.
use nugul_batch::Batch;
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

/// Outcomes that wait to be stored, and whether each was.
pub type Settlements = Batch<Settlement, Result<bool, Refusal>>;

/// What became of a payment.
#[derive(Clone, Debug)]
pub struct Settlement {
    order: Uuid,
    from: State,
    verdict: Verdict,
}

/// Where outcomes wait.
pub const fn settlements() -> Settlements {
    Batch::new(TOGETHER, WAITING_MAX)
}

/// What became of one outcome.
#[derive(Clone, Copy)]
enum Stored {
    /// It is in the transaction; whether a cancel that waited for it is next.
    Yes { cancel_is_next: bool },
    /// The payment cannot go that way: what was written has to be taken back.
    Never,
}

impl Payments {
    /// Stores what became of a payment that was in `from`; no effect where it has gone on since.
    pub async fn settle(&self, order: Uuid, from: State, verdict: &Verdict) {
        for attempt in 1..=SETTLE_TRIES {
            match self.settle_in_turn(order, from, verdict.clone()).await {
                Ok(true) => {
                    tracing::info!(%order, from = from.name(), "settled");
                    self.announce(order);
                    return;
                }
                Ok(false) => return,
                Err(error) => tracing::error!(%order, attempt, ?error, "settlement not stored"),
            }
        }
    }

    async fn settle_in_turn(&self, order: Uuid, from: State, verdict: Verdict) -> Result<bool, Refusal> {
        let mine = Settlement { order, from, verdict };
        let stored = self.settlements.join(mine, |some| self.settle_together(some)).await;
        stored.unwrap_or(Err(Refusal::Busy))
    }

    async fn settle_together(&self, some: Vec<Settlement>) -> Vec<Result<bool, Refusal>> {
        match self.store_all(&some).await {
            Ok(stored) => return stored.into_iter().map(Ok).collect(),
            Err(error) if some.len() == 1 => return vec![Err(error)],
            Err(error) => tracing::warn!(?error, "settlements are stored one by one"),
        }
        let mut results = Vec::with_capacity(some.len());
        for one in some {
            let stored = self.store_all(&[one]).await;
            results.push(stored.map(|all| all.first().is_some_and(|stored| *stored)));
        }
        results
    }

    /// Stores them in one transaction, or none. Tells of each whether it was stored.
    async fn store_all(&self, some: &[Settlement]) -> Result<Vec<bool>, Refusal> {
        if self.take_all(some).await? {
            return Ok(vec![true; some.len()]);
        }
        let mut places: Vec<_> = some.iter().enumerate().collect();
        // The order of locks: ascending.
        places.sort_by_key(|(_, one)| one.order);
        let mut tx = self.db.begin().await?;
        // All locks on payments before those on the counters, as in every other transaction.
        let mut payments = Vec::with_capacity(some.len());
        for (_, one) in &places {
            payments.push(store::lock(&self.db, &mut tx, one.order).await?);
        }
        let (mut stored, mut cancel_is_next) = (vec![false; some.len()], false);
        for ((place, one), payment) in places.into_iter().zip(&payments) {
            let Some(payment) = payment.as_ref().filter(|payment| payment.state == one.from) else { continue };
            match self.store_one(&mut tx, payment, &one.verdict).await? {
                Stored::Never if some.len() == 1 => return Ok(stored),
                Stored::Never => return Err(Refusal::Busy),
                Stored::Yes { cancel_is_next: next } => cancel_is_next |= next,
            }
            if let Some(stored) = stored.get_mut(place) {
                *stored = true;
            }
        }
        tx.commit().await?;
        if cancel_is_next {
            self.work.notify_one();
        }
        Ok(stored)
    }

    /// The same with a few statements for all, where all were taken. False where that is not so; nothing is done then.
    async fn take_all(&self, some: &[Settlement]) -> Result<bool, Refusal> {
        let taken = some.iter().map(|one| match (one.from, &one.verdict) {
            (State::Confirming, Verdict::Taken { at_ms }) => Some((one.order, *at_ms)),
            _ => None,
        });
        let Some(taken) = taken.collect::<Option<Vec<_>>>() else { return Ok(false) };
        let mut tx = self.db.begin().await?;
        if !taking::take_all(&self.db, &mut tx, &taken, (self.now)()).await? {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn store_one(
        &self,
        tx: &mut Transaction<'_, Any>,
        payment: &Payment,
        verdict: &Verdict,
    ) -> Result<Stored, Refusal> {
        let now = (self.now)();
        if !store::settle(tx, payment, verdict, new_id(now)?, now).await? {
            return Ok(Stored::Never);
        }
        // A cancel that waited for this is next.
        let all = cancels::of_order_in(tx, payment.order).await?;
        let next = store::start_refund(tx, payment, &all, now, now).await?;
        Ok(Stored::Yes { cancel_is_next: next.is_some() })
    }
}
