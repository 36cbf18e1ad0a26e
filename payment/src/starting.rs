//! The beginning of a confirm: before the provider is asked, the intention is durable. Those that wait for their turn share a
//! transaction.
use nugul_batch::{Batch, Together, all_or_each};
use uuid::Uuid;

use crate::cancels;
use crate::confirm::{Payments, millis, new_id};
use crate::state::State;
use crate::store::{self, Command, Payment, Refusal, Verdict};

/// No more confirms begin in one transaction.
const TOGETHER: usize = 64;
/// No more wait for their turn.
const WAITING_MAX: usize = 1_024;

/// A command to take an order's money.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The command's id.
    pub request_id: String,
    /// The order.
    pub order: Uuid,
    /// The provider's name of the payment.
    pub payment_key: String,
    /// What the caller believes that it costs.
    pub amount_krw: i64,
}

impl Ask {
    fn command(&self) -> Command {
        let (order, amount) = (self.order.to_string(), self.amount_krw.to_string());
        Command::new(&self.request_id, &["confirm", &order, &self.payment_key, &amount])
    }
}

/// Where a command found its payment.
#[derive(Clone, Debug)]
pub enum Begun {
    /// The provider is to be asked by this caller, and by nobody else until the lease ends.
    Ours {
        /// When that is, in UTC milliseconds.
        lease: i64,
    },
    /// The provider was asked before, and its answer is not known yet.
    Open,
    /// There is nothing to ask: the payment as it stands.
    Decided(Payment),
}

/// Confirms that wait for their beginning.
pub type Starts = Batch<Ask, Result<Begun, Refusal>>;

/// Where they wait.
pub fn starts() -> Starts {
    Batch::of_transactions(TOGETHER, WAITING_MAX)
}

impl Payments {
    /// Makes the intention to take the money durable, where nothing was decided before.
    pub async fn start(&self, ask: Ask) -> Result<Begun, Refusal> {
        let start = |some| all_or_each(self, some, |this, some: &[_]| Box::pin(this.start_together(some)));
        self.starts.join(ask, start).await.unwrap_or(Err(Refusal::Busy))
    }

    async fn start_together(&self, some: &[Ask]) -> Together<Result<Begun, Refusal>> {
        if let [ask] = some {
            return Together::Done(vec![self.start_alone(ask).await]);
        }
        let begun = self.start_all(some).await;
        store::together(begun.map(|lease| lease.map(|lease| vec![Begun::Ours { lease }; some.len()])))
    }

    /// Begins all of them, with a few statements, and gives when their lease ends. Nothing is done where one of them is not
    /// simply the first command for a payment that waits for it.
    async fn start_all(&self, some: &[Ask]) -> Result<Option<i64>, Refusal> {
        let now = (self.now)();
        let lease = now.saturating_add(millis(self.timings.lease_of_call()));
        let mut tx = self.db.begin_write().await?;
        if !store::receive_all(&mut tx, &some.iter().map(Ask::command).collect::<Vec<_>>(), now).await? {
            return Ok(None);
        }
        let mut asks: Vec<_> = some.iter().collect();
        // The order of locks.
        asks.sort_unstable_by_key(|ask| ask.order);
        let orders: Vec<_> = asks.iter().map(|ask| ask.order).collect();
        let payments = store::lock_all(&self.db, &mut tx, &orders).await?;
        let is_simple = |(ask, payment): (&&Ask, &Payment)| {
            payment.order == ask.order
                && payment.amount_krw == ask.amount_krw
                && payment.state == State::Prepared
                && now <= payment.expires_at_ms
        };
        if payments.len() != asks.len() || !asks.iter().zip(&payments).all(is_simple) {
            return Ok(None);
        }
        let keys: Vec<_> = asks.iter().map(|ask| (ask.order, ask.payment_key.as_str())).collect();
        if !store::start_confirms(&mut tx, &keys, lease, now).await? {
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(lease))
    }

    async fn start_alone(&self, ask: &Ask) -> Result<Begun, Refusal> {
        let (now, order) = ((self.now)(), ask.order);
        let mut tx = self.db.begin_write().await?;
        // A repeat is answered whatever came after it: the money was taken then.
        let is_new = store::receive(&mut tx, &ask.command(), now).await?;
        let payment = store::lock(&self.db, &mut tx, order).await?.ok_or(Refusal::NotFound)?;
        if payment.amount_krw != ask.amount_krw {
            return Err(Refusal::AmountMismatch);
        }
        let begun = match payment.state {
            State::Refunded if is_new => return Err(Refusal::AlreadyRefunded),
            State::Approved | State::Declined | State::Refunded => Begun::Decided(payment),
            State::Refunding => {
                let all = cancels::on_its_way(&cancels::of_order_in(&mut tx, order).await?) >= payment.left_krw;
                tx.commit().await?;
                return if all && is_new { Err(Refusal::AlreadyRefunded) } else { Ok(Begun::Decided(payment)) };
            }
            State::Confirming => Begun::Open,
            State::Prepared if now > payment.expires_at_ms => {
                let verdict = Verdict::NotTaken {
                    code: "order_expired".into(),
                    message: "결제 시간이 지나 주문이 끝났어요.".into(),
                };
                store::settle(&mut tx, &payment, &verdict, new_id(now)?, now).await?;
                let payment = store::lock(&self.db, &mut tx, order).await?.ok_or(Refusal::NotFound)?;
                tx.commit().await?;
                self.announce(order);
                return Ok(Begun::Decided(payment));
            }
            State::Prepared => {
                let lease = now.saturating_add(millis(self.timings.lease_of_call()));
                store::start_confirms(&mut tx, &[(order, &ask.payment_key)], lease, now).await?;
                Begun::Ours { lease }
            }
        };
        tx.commit().await?;
        Ok(begun)
    }
}
