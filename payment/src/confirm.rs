//! Taking money and giving it back: the saga's steps, each safe to repeat and safe to be cut off.
//!
//! Before the provider is asked, the intention is durable; after it has answered, state, ledger and result are stored in
//! one transaction. Whatever is cut off in between is found by the reconciler.
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use nugul_batch::{Batch, Together, all_or_each};
use nugul_program::{News, Waiting};
use tokio::sync::{Mutex, Notify, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use uuid::Uuid;

use crate::cancels::{self, Cancel, Plan, Step};
use crate::db::Db;
use crate::settle::{self, Settlements};
use crate::starting::{self, Ask, Begun, Starts};
use crate::state::State;
use crate::store::{self, Command, Payment, Prepare, Refusal, Verdict};
use crate::toss::{Cancelled, Confirmed, PaymentGateway, RefundAsk};

/// No more calls to the provider are under way at once.
pub const MAX_CALLS: usize = 128;
/// A waiting call looks for itself this often, for another replica may have settled the payment.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);

/// No more payments are prepared in one transaction.
const PREPARED_TOGETHER: usize = 64;
/// No more wait to be prepared.
const PREPARES_MAX: usize = 1_024;

/// The lease of one call is as long as so many of the provider's longest answers.
const ANSWERS_OF_CALL: u32 = 2;
/// The lease of a whole look.
const ANSWERS_OF_LOOK: u32 = 4;

/// Times that tests shorten.
#[derive(Clone, Debug)]
pub struct Timings {
    /// Longest wait of a Confirm or Cancel for its outcome.
    pub wait: Duration,
    /// A payment the provider does not know this long after Confirm was never made, if it says so often enough.
    pub confirm_window: Duration,
    /// The provider's answers that it does not know a payment count as several when they are this far apart.
    pub absences_spaced: Duration,
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
    /// Longest wait for a whole answer of the provider. Confirming a card may take them a while.
    pub answer: Duration,
    /// How often the certificates' files are looked at.
    pub reload: Duration,
    /// No connection to the public listener is open longer.
    pub public: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(25),
            confirm_window: Duration::from_mins(10),
            absences_spaced: Duration::from_mins(1),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_mins(10),
            case_after: 13,
            max_attempts: 300,
            tick: Duration::from_millis(500),
            answer: Duration::from_secs(20),
            reload: Duration::from_secs(10),
            public: Duration::from_secs(30),
        }
    }
}

impl Timings {
    /// While one call to the provider may be under way, everybody else leaves its payment alone for this long. It is also
    /// how long an outcome stays open, at most, when the process that called has died.
    pub fn lease_of_call(&self) -> Duration {
        self.answer.saturating_mul(ANSWERS_OF_CALL)
    }

    /// The same for a whole look of the reconciler: two look-ups and a request at most, each as long as the longest answer.
    pub fn lease_of_look(&self) -> Duration {
        self.answer.saturating_mul(ANSWERS_OF_LOOK)
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
    /// Webhooks that came, true or not.
    pub webhooks: AtomicU64,
    /// The highest offset a reader of results has said to have stored.
    pub acknowledged: AtomicI64,
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
    /// Who waits for which payment.
    pub news: News<Uuid, Payment>,
    /// Raised when there are new results.
    pub results: watch::Sender<()>,
    /// Confirms that wait for their beginning.
    pub starts: Starts,
    /// Outcomes that wait to be stored.
    pub settlements: Settlements,
    /// Payments that wait to be prepared.
    pub prepares: Batch<Prepare, Result<State, Refusal>>,
    /// Wakes the reconciler before its next tick.
    pub work: Notify,
    /// Work that goes on when its caller has left.
    pub tasks: TaskTracker,
    /// Days are compared one after the other.
    pub auditing: Mutex<()>,
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
    getrandom::fill(&mut random).map_err(|error| Refusal::from(sqlx::Error::Protocol(error.to_string())))?;
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
            news: News::default(),
            results: watch::Sender::new(()),
            prepares: Batch::of_transactions(PREPARED_TOGETHER, PREPARES_MAX),
            starts: starting::starts(),
            settlements: settle::settlements(),
            work: Notify::new(),
            tasks: TaskTracker::new(),
            auditing: Mutex::new(()),
            calls: Arc::new(Semaphore::new(MAX_CALLS)),
        })
    }

    /// Stores what an order costs.
    pub async fn prepare(&self, request_id: &str, new: &Payment) -> Result<State, Refusal> {
        let one = Prepare { request_id: request_id.to_owned(), new: new.clone() };
        let prepare = |some| all_or_each(self, some, |this, some: &[_]| Box::pin(this.prepare_together(some)));
        self.prepares.join(one, prepare).await.unwrap_or(Err(Refusal::Busy))
    }

    async fn prepare_together(&self, some: &[Prepare]) -> Together<Result<State, Refusal>> {
        if let [one] = some {
            return Together::Done(vec![self.prepare_alone(one).await]);
        }
        let all_new = self.prepare_all(some).await;
        store::together(all_new.map(|all_new| all_new.then(|| vec![State::Prepared; some.len()])))
    }

    /// Stores all in one transaction. False where one of them was there before; nothing is stored then.
    async fn prepare_all(&self, some: &[Prepare]) -> Result<bool, Refusal> {
        let mut tx = self.db.begin_write().await?;
        let all_new = store::prepare_all(&mut tx, some, (self.now)()).await?;
        if all_new {
            tx.commit().await?;
        }
        Ok(all_new)
    }

    async fn prepare_alone(&self, one: &Prepare) -> Result<State, Refusal> {
        let mut tx = self.db.begin_write().await?;
        let state = store::prepare(&self.db, &mut tx, one, (self.now)()).await?;
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
        let mut news = self.news.wait_for(order);
        let permit = Arc::clone(&self.calls).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let (request_id, key) = (request_id.to_owned(), payment_key.to_owned());
        match self.start(Ask { request_id, order, payment_key: key.clone(), amount_krw }).await? {
            Begun::Decided(payment) => return Ok(payment),
            Begun::Open => {
                drop(permit);
                self.ask_again(order).await?;
            }
            Begun::Ours { lease } => {
                let this = Arc::clone(self);
                self.go_on(async move {
                    this.call_confirm(order, &key, amount_krw, lease).await;
                    drop(permit);
                });
            }
        }
        let until = until.min(Instant::now() + self.timings.wait);
        loop {
            // Nothing can have come of it yet.
            let payment = match next_news(&mut news, until).await {
                Some(told) => told,
                None => store::get(&self.db, order).await?.ok_or(Refusal::NotFound)?,
            };
            if !payment.state.is_open() || Instant::now() >= until {
                return Ok(payment);
            }
        }
    }

    /// Goes on with work when its caller has left.
    fn go_on(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(work) = nugul_points::adopt(work) {
            // Its logs are those of the command.
            self.tasks.spawn(work.in_current_span());
        }
    }

    async fn call_confirm(&self, order: Uuid, payment_key: &str, amount_krw: i64, lease: i64) {
        self.counters.confirms.fetch_add(1, Ordering::Relaxed);
        let verdict = match self.gateway.confirm(order, payment_key, amount_krw).await {
            Confirmed::Taken => Verdict::Taken { at_ms: None },
            Confirmed::Refused { code, message } => Verdict::NotTaken { code, message },
            Confirmed::Unknown(why) => {
                self.counters.unknown.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%order, why, "outcome of confirm unknown; the reconciler asks");
                self.hand_over(order, lease).await;
                return;
            }
        };
        self.settle(order, State::Confirming, &verdict).await;
    }

    /// Gives back a part of an approved payment or all that is left, or makes sure that one that is not taken never is.
    /// Gives the payment and the command's cancel; none where nothing was left to give back.
    pub async fn cancel(
        self: &Arc<Self>,
        request_id: &str,
        order: Uuid,
        reason: &str,
        part: Option<i64>,
        until: Instant,
    ) -> Result<(Payment, Option<Cancel>), Refusal> {
        let mut news = self.news.wait_for(order);
        let permit = Arc::clone(&self.calls).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let now = (self.now)();
        let mut tx = self.db.begin_write().await?;
        let part_text = part.map(|part| part.to_string()).unwrap_or_default();
        let command = Command::new(request_id, &["cancel", &order.to_string(), reason, &part_text]);
        store::receive(&mut tx, &command, now).await?;
        let payment = store::lock(&self.db, &mut tx, order).await?.ok_or(Refusal::NotFound)?;
        let mut all = cancels::of_order_in(&mut tx, order).await?;
        let mut number = None;
        let mut started = None;
        let lease = now.saturating_add(millis(self.timings.lease_of_call()));
        match cancels::plan(&payment, &all, request_id, part)? {
            Plan::Known(known) => number = Some(known),
            Plan::Nothing => {}
            Plan::NeverTake => {
                let verdict =
                    Verdict::NotTaken { code: "order_cancelled".into(), message: "주문이 취소됐어요.".into() };
                store::settle(&mut tx, &payment, &verdict, new_id(now)?, now).await?;
            }
            Plan::GiveBack(amount_krw) => {
                let new = Cancel {
                    order,
                    number: all.last().map_or(1, |last| last.number + 1),
                    request_id: request_id.to_owned(),
                    amount_krw,
                    reason: reason.to_owned(),
                    step: Step::Waiting,
                    transaction_key: String::new(),
                };
                cancels::insert(&mut tx, &new, now).await?;
                number = Some(new.number);
                all.push(new);
                if payment.state == State::Approved {
                    started = store::start_refund(&mut tx, &payment, &all, lease, now).await?;
                }
            }
        }
        tx.commit().await?;
        self.announce(order);
        if let Some(cancel) = started {
            let this = Arc::clone(self);
            self.go_on(async move {
                this.call_cancel(&payment.payment_key, &cancel, lease).await;
                drop(permit);
            });
        } else {
            drop(permit);
            self.ask_again(order).await?;
        }
        let done = move |payment: &Payment, all: &[Cancel]| match number {
            Some(number) => all.iter().any(|cancel| cancel.number == number && !cancel.step.is_open()),
            None => !payment.state.is_open(),
        };
        let (payment, all) = self.wait_for(order, &mut news, until, done).await?;
        Ok((payment, all.into_iter().find(|cancel| Some(cancel.number) == number)))
    }

    async fn call_cancel(&self, payment_key: &str, cancel: &Cancel, lease: i64) {
        let order = cancel.order;
        match self.ask_refund(payment_key, cancel).await {
            Ok(verdict) => self.settle(order, State::Refunding, &verdict).await,
            Err(why) => {
                tracing::warn!(%order, why, "outcome of refund unknown; the reconciler asks");
                self.hand_over(order, lease).await;
            }
        }
    }

    /// Asks the provider to give money back once; an error says why the outcome is open.
    pub async fn ask_refund(&self, payment_key: &str, cancel: &Cancel) -> Result<Verdict, String> {
        self.counters.refunds.fetch_add(1, Ordering::Relaxed);
        let ask = RefundAsk {
            payment_key: payment_key.to_owned(),
            amount_krw: cancel.amount_krw,
            reason: cancel.reason.clone(),
            request_id: if cancel.request_id.is_empty() { cancel.order.to_string() } else { cancel.request_id.clone() },
        };
        match self.gateway.cancel(cancel.order, &ask).await {
            Cancelled::GivenBack(transaction_key) => {
                Ok(Verdict::GivenBack { number: cancel.number, transaction_key, at_ms: None })
            }
            Cancelled::Unknown(why) => {
                self.counters.unknown.fetch_add(1, Ordering::Relaxed);
                Err(why)
            }
        }
    }

    /// A command came again for a payment whose outcome is open: it is asked about soon, even where it was given up.
    async fn ask_again(&self, order: Uuid) -> Result<(), sqlx::Error> {
        let now = (self.now)();
        store::look_sooner(&self.db, order, now.saturating_add(millis(self.timings.lease_of_call())), now).await
    }

    async fn hand_over(&self, order: Uuid, lease: i64) {
        let at = (self.now)().saturating_add(millis(self.timings.first_pause));
        if let Err(error) = store::look_again(&self.db, order, lease, at, 0).await {
            tracing::error!(%order, %error, "the reconciler looks when the lease ends");
        }
    }

    /// Says that a payment changed.
    pub(crate) fn announce(&self, order: Uuid) {
        self.news.announce(order);
        self.results.send_replace(());
    }

    /// The payment and its cancels as soon as they are `done`, or as they stand when time is up.
    async fn wait_for(
        &self,
        order: Uuid,
        news: &mut Waiting<'_, Uuid, Payment>,
        until: Instant,
        done: impl Fn(&Payment, &[Cancel]) -> bool,
    ) -> Result<(Payment, Vec<Cancel>), Refusal> {
        let until = until.min(Instant::now() + self.timings.wait);
        loop {
            let all = cancels::of_order(&self.db, order).await?;
            let payment = store::get(&self.db, order).await?.ok_or(Refusal::NotFound)?;
            if done(&payment, &all) || Instant::now() >= until {
                return Ok((payment, all));
            }
            next_news(news, until).await;
        }
    }
}

/// Waits until there may be news of a payment, and gives it where it was told. Else the caller looks, for another replica may
/// have settled it.
async fn next_news(news: &mut Waiting<'_, Uuid, Payment>, until: Instant) -> Option<Payment> {
    let look = (Instant::now() + LOOK_EVERY).min(until);
    tokio::time::timeout_at(look, news.changed()).await.ok().flatten()
}
