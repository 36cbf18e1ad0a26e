//! Webhooks as Toss sends them: what changed, to one address, again and again until it is taken with a 200.
//!
//! They are kept in memory: a restart of the simulator forgets those not delivered, as a lost webhook would be.
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Simulator;
use crate::store::{Method, Payment, Status, object, seoul};

/// How often a webhook is sent again, as at Toss.
pub const MAX_RETRIES: u32 = 7;
/// Each pause is so many times as long as the one before.
pub const PAUSE_GROWS: u32 = 4;
/// Longest wait for an answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// No more are under way at once; more are lost.
pub const MAX_UNDER_WAY: usize = 1000;
/// No webhook is delivered more often than this.
pub const MAX_COPIES: u32 = 20;

/// Delivers webhooks to one address.
#[derive(Clone, Debug)]
pub struct Sender {
    client: reqwest::Client,
    url: String,
    first_pause: Duration,
    room: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Sender {
    /// A sender to `url` whose first pause is `first_pause`.
    pub fn new(url: String, first_pause: Duration, stop: CancellationToken) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(ANSWER_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let room = Arc::new(Semaphore::new(MAX_UNDER_WAY));
        Ok(Self { client, url, first_pause, room, tasks: TaskTracker::new(), stop })
    }

    fn send(&self, body: &Value, delay: Duration) {
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            tracing::warn!("a webhook is lost: too many are under way");
            return;
        };
        let (this, text) = (self.clone(), body.to_string());
        self.tasks.spawn(async move {
            let _room = room;
            tokio::select! {
                () = this.stop.cancelled() => {}
                () = this.deliver(text, delay) => {}
            }
        });
    }

    async fn deliver(&self, text: String, delay: Duration) {
        tokio::time::sleep(delay).await;
        let mut pause = self.first_pause;
        for attempt in 0..=MAX_RETRIES {
            let request = self.client.post(&self.url).header("content-type", "application/json").body(text.clone());
            if request.send().await.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            tracing::info!(attempt, "a webhook was not taken");
            if attempt < MAX_RETRIES {
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(PAUSE_GROWS);
            }
        }
    }
}

impl Simulator {
    /// Tells the merchant that a payment has changed, as often and as late as the faults say.
    pub(crate) fn tell(&self, payment: &Payment) {
        let Some(sender) = &self.webhooks else { return };
        let faults = self.webhook_faults();
        let now = crate::now_ms();
        let mut bodies = vec![json!({
            "eventType": "PAYMENT_STATUS_CHANGED",
            "createdAt": seoul(now),
            "data": object(payment, payment.status),
        })];
        if payment.method == Method::VirtualAccount && payment.status != Status::WaitingForDeposit {
            bodies.push(json!({
                "createdAt": seoul(now),
                "secret": payment.secret(),
                "status": payment.status,
                "transactionKey": payment.last_transaction(),
                "orderId": payment.order_id,
            }));
        }
        for body in bodies {
            for _ in 0..faults.copies.min(MAX_COPIES) {
                sender.send(&body, Duration::from_millis(faults.delay_ms));
            }
        }
    }
}
