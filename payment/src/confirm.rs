//! Taking money and giving it back: the saga's steps, each safe to repeat and safe to be cut off.
//!
//! Before the provider is asked, the intention is durable; after it has answered, state, ledger and result are stored in
//! one transaction. Whatever is cut off in between is found by the reconciler.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, broadcast};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::db::Db;
use crate::state::State;
use crate::store::{self, Payment, Refusal, Verdict};
use crate::toss::{Cancelled, Confirmed, PaymentGateway};

/// No more calls to the provider are under way at once.
pub const MAX_CALLS: usize = 128;
/// Settled orders announced and not yet noticed by a waiting call; a call that misses some looks for itself.
pub const ANNOUNCEMENTS: usize = 1024;
/// A waiting call looks for itself this often, for another replica may have settled the payment.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a settlement is tried again when the database refuses it, before it is left to the reconciler.
pub const SETTLE_TRIES: u32 = 3;

/// Times that tests shorten.
#[derive(Clone, Debug)]
pub struct Timings {
    /// Longest wait of a Confirm or Cancel for its outcome.
    pub wait: Duration,
    /// While a call to the provider may be under way, the reconciler leaves its payment alone for this long.
    pub lease: Duration,
    /// A payment the provider does not know this long after Confirm was never made.
    pub confirm_window: Duration,
    /// The reconciler's first pause; it doubles.
    pub first_pause: Duration,
    /// The reconciler's longest pause.
    pub longest_pause: Duration,
    /// After so many looks a person is told.
    pub case_after: i64,
    /// After so many looks the reconciler gives up until the next start or command.
    pub max_attempts: i64,
    /// How often the reconciler looks for work.
    pub tick: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(25),
            lease: Duration::from_secs(40),
            confirm_window: Duration::from_secs(10 * 60),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(600),
            case_after: 13,
            max_attempts: 300,
            tick: Duration::from_millis(500),
        }
    }
}

/// Counts for `/metrics`.
#[derive(Debug, Default)]
pub struct Counters {
    /// Confirms that reached the provider.
    pub confirms: AtomicU64,
    /// Refunds that reached the provider.
    pub refunds: AtomicU64,
    /// Answers of the provider that left the outcome open.
    pub unknown: AtomicU64,
    /// Looks of the reconciler.
    pub reconciled: AtomicU64,
}

/// What every part of the service shares.
pub struct Payments {
    /// The store.
    pub db: Db,
    /// The provider.
    pub gateway: Arc<dyn PaymentGateway>,
    /// The clock, in UTC milliseconds.
    pub now: fn() -> i64,
    /// Times.
    pub timings: Timings,
    /// Counts.
    pub counters: Counters,
    /// Orders that were settled, as they are.
    pub settled: broadcast::Sender<Uuid>,
    /// Work that goes on when its caller has left.
    pub tasks: TaskTracker,
    calls: Arc<Semaphore>,
}

/// The time, in UTC milliseconds.
pub fn now_ms() -> i64 {
    i64::try_from(time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// A duration in milliseconds, for adding to a time.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A new time-ordered id.
pub fn new_id(now_ms: i64) -> Result<Uuid, Refusal> {
    let mut random = [0_u8; 10];
    getrandom::fill(&mut random).map_err(|error| Refusal::Storage(sqlx::Error::Protocol(error.to_string())))?;
    let ms = u64::try_from(now_ms).unwrap_or_default();
    Ok(uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid())
}

impl Payments {
    /// Brings the parts together.
    pub fn new(db: Db, gateway: Arc<dyn PaymentGateway>, now: fn() -> i64, timings: Timings) -> Arc<Self> {
        Arc::new(Self {
            db,
            gateway,
            now,
            timings,
            counters: Counters::default(),
            settled: broadcast::channel(ANNOUNCEMENTS).0,
            tasks: TaskTracker::new(),
            calls: Arc::new(Semaphore::new(MAX_CALLS)),
        })
    }

    /// Stores what an order costs.
    pub async fn prepare(&self, request_id: &str, new: &Payment) -> Result<State, Refusal> {
        let (amount, expires) = (new.amount_krw.to_string(), new.expires_at_ms.to_string());
        let (order, user) = (new.order.to_string(), new.user.to_string());
        let body = ["prepare", &order, &user, &amount, &new.order_name, &expires];
        let mut tx = self.db.begin().await?;
        store::receive(&mut tx, request_id, &body, (self.now)()).await?;
        let state = store::prepare(&mut tx, new).await?;
        tx.commit().await?;
        Ok(state)
    }

    /// Takes the money and waits for the outcome, until `until` at most. The payment given back says where it stands;
    /// an open state means that the outcome is not known yet.
    pub async fn confirm(
        self: &Arc<Self>,
        request_id: &str,
        order: Uuid,
        payment_key: &str,
        amount_krw: i64,
        until: Instant,
    ) -> Result<Payment, Refusal> {
        let mut settled = self.settled.subscribe();
        let permit = Arc::clone(&self.calls).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let now = (self.now)();
        let mut tx = self.db.begin().await?;
        let body = ["confirm", &order.to_string(), payment_key, &amount_krw.to_string()];
        store::receive(&mut tx, request_id, &body, now).await?;
        let payment = store::get_in(&mut tx, order).await?.ok_or(Refusal::NotFound)?;
        if payment.amount_krw != amount_krw {
            return Err(Refusal::AmountMismatch);
        }
        match payment.state {
            State::Approved | State::Declined => {
                tx.commit().await?;
                return Ok(payment);
            }
            State::Refunding | State::Refunded => return Err(Refusal::AlreadyRefunded),
            State::Confirming => {
                tx.commit().await?;
                drop(permit);
            }
            State::Prepared if now > payment.expires_at_ms => {
                let verdict = Verdict::NotTaken {
                    code: "order_expired".into(),
                    message: "결제 시간이 지나 주문이 끝났어요.".into(),
                };
                store::settle(&mut tx, &payment, &verdict, new_id(now)?, now).await?;
                tx.commit().await?;
                self.announce(order);
                return store::get(&self.db, order).await?.ok_or(Refusal::NotFound);
            }
            State::Prepared => {
                let lease = now.saturating_add(millis(self.timings.lease));
                let mine = store::start_confirm(&mut tx, order, payment_key, lease, now).await?;
                tx.commit().await?;
                if mine {
                    let (this, key) = (Arc::clone(self), payment_key.to_owned());
                    self.tasks.spawn(async move {
                        this.call_confirm(order, &key, amount_krw).await;
                        drop(permit);
                    });
                }
            }
        }
        self.wait_until_settled(order, &mut settled, until).await
    }

    async fn call_confirm(&self, order: Uuid, payment_key: &str, amount_krw: i64) {
        self.counters.confirms.fetch_add(1, Ordering::Relaxed);
        let verdict = match self.gateway.confirm(order, payment_key, amount_krw).await {
            Confirmed::Taken => Verdict::Taken,
            Confirmed::Refused { code, message } => Verdict::NotTaken { code, message },
            Confirmed::Unknown(why) => {
                self.counters.unknown.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%order, why, "outcome of confirm unknown; the reconciler asks");
                self.hand_over(order, State::Confirming).await;
                return;
            }
        };
        self.settle(order, State::Confirming, &verdict).await;
    }

    /// Gives an approved payment back, or makes sure that one that is not taken never is.
    pub async fn cancel(
        self: &Arc<Self>,
        request_id: &str,
        order: Uuid,
        reason: &str,
        until: Instant,
    ) -> Result<Payment, Refusal> {
        let mut settled = self.settled.subscribe();
        let permit = Arc::clone(&self.calls).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let now = (self.now)();
        let mut tx = self.db.begin().await?;
        store::receive(&mut tx, request_id, &["cancel", &order.to_string(), reason], now).await?;
        let payment = store::get_in(&mut tx, order).await?.ok_or(Refusal::NotFound)?;
        match payment.state {
            State::Declined | State::Refunded => {
                tx.commit().await?;
                return Ok(payment);
            }
            State::Prepared => {
                let verdict =
                    Verdict::NotTaken { code: "order_cancelled".into(), message: "주문이 취소됐어요.".into() };
                // Without the lock of SQLite another call may have moved it since it was read: nothing is stored, try again.
                if !store::settle(&mut tx, &payment, &verdict, new_id(now)?, now).await? {
                    return Err(Refusal::Busy);
                }
                tx.commit().await?;
                drop(permit);
                self.announce(order);
            }
            State::Confirming => {
                if !store::want_cancel(&mut tx, order, reason).await? {
                    return Err(Refusal::Busy);
                }
                tx.commit().await?;
                drop(permit);
            }
            State::Refunding => {
                tx.commit().await?;
                drop(permit);
            }
            State::Approved => {
                let lease = now.saturating_add(millis(self.timings.lease));
                let mine = store::start_refund(&mut tx, order, reason, lease, now).await?;
                tx.commit().await?;
                if mine {
                    let (this, key, reason) = (Arc::clone(self), payment.payment_key.clone(), reason.to_owned());
                    self.tasks.spawn(async move {
                        this.call_cancel(order, &key, &reason).await;
                        drop(permit);
                    });
                }
            }
        }
        self.wait_until_settled(order, &mut settled, until).await
    }

    /// Asks the provider to give an order's money back; what stays open is handed to the reconciler.
    pub async fn call_cancel(&self, order: Uuid, payment_key: &str, reason: &str) {
        self.counters.refunds.fetch_add(1, Ordering::Relaxed);
        match self.gateway.cancel(order, payment_key, reason).await {
            Cancelled::GivenBack => self.settle(order, State::Refunding, &Verdict::GivenBack).await,
            Cancelled::Unknown(why) => {
                self.counters.unknown.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%order, why, "outcome of refund unknown; the reconciler asks");
                self.hand_over(order, State::Refunding).await;
            }
        }
    }

    async fn hand_over(&self, order: Uuid, state: State) {
        let at = (self.now)().saturating_add(millis(self.timings.first_pause));
        if let Err(error) = store::look_again(&self.db, order, state, at).await {
            tracing::error!(%order, %error, "the reconciler looks when the lease ends");
        }
    }

    /// Stores a verdict, with a cancel that waited for it; tries [`SETTLE_TRIES`] times, then the reconciler finds out again.
    pub async fn settle(&self, order: Uuid, from: State, verdict: &Verdict) {
        for attempt in 1..=SETTLE_TRIES {
            match self.try_settle(order, from, verdict).await {
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

    async fn try_settle(&self, order: Uuid, from: State, verdict: &Verdict) -> Result<bool, Refusal> {
        let now = (self.now)();
        let mut tx = self.db.begin().await?;
        let Some(payment) = store::get_in(&mut tx, order).await? else { return Ok(false) };
        if payment.state != from || !store::settle(&mut tx, &payment, verdict, new_id(now)?, now).await? {
            return Ok(false);
        }
        // `payment` was read before the lock on MySQL: a cancel may have come since.
        let wanted = store::get_in(&mut tx, order).await?.filter(|p| p.cancel_wanted && p.state == State::Approved);
        if let Some(payment) = wanted {
            store::start_refund(&mut tx, order, &payment.cancel_reason, now, now).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    fn announce(&self, order: Uuid) {
        // Nobody may be waiting.
        let _ = self.settled.send(order);
    }

    async fn wait_until_settled(
        &self,
        order: Uuid,
        settled: &mut broadcast::Receiver<Uuid>,
        until: Instant,
    ) -> Result<Payment, Refusal> {
        let until = until.min(Instant::now() + self.timings.wait);
        loop {
            let payment = store::get(&self.db, order).await?.ok_or(Refusal::NotFound)?;
            if !payment.state.is_open() || Instant::now() >= until {
                return Ok(payment);
            }
            let look = (Instant::now() + LOOK_EVERY).min(until);
            let mine = async {
                while let Ok(other) = settled.recv().await {
                    if other == order {
                        break;
                    }
                }
            };
            // A time-out or a lagging receiver both mean: look for yourself.
            let _ = tokio::time::timeout_at(look, mine).await;
        }
    }
}
