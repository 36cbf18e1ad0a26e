//! The payment provider behind one trait, and Toss Payments behind that trait.
//!
//! What Toss says is sorted into certain and uncertain in [`answer`], and nowhere else. An answer that was lost, late, strange
//! or a server's error is uncertain: it is asked for again, never guessed.
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub mod answer;

/// Longest wait for a connection to Toss.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// No longer answer is read.
pub const MAX_ANSWER: usize = 256 * 1024;

/// No longer settlement page is read.
pub const MAX_SETTLEMENT: usize = 16 * 1024 * 1024;

/// What came of asking for money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// It was taken.
    Taken,
    /// It was not taken and this payment never will be.
    Refused {
        /// The provider's code.
        code: String,
        /// The provider's sentence.
        message: String,
    },
    /// Not known. The text says why, for the log.
    Unknown(String),
}

/// What the provider knows about an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Money was taken, and perhaps given back.
    Taken(Taken),
    /// It was not taken and this payment never will be.
    Refused {
        /// The provider's code.
        code: String,
        /// The provider's sentence.
        message: String,
    },
    /// The buyer agreed; the money was not asked for yet.
    Waiting,
    /// The buyer was given a virtual account and has not paid into it yet.
    Deposit,
    /// The provider knows nothing of it.
    Nothing,
    /// Not known. The text says why, for the log.
    Unknown(String),
}

/// Money that was taken, as the provider tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// How much, in won.
    pub amount_krw: i64,
    /// The provider's name of the payment.
    pub payment_key: String,
    /// When it was taken (UTC milliseconds), where the provider says so.
    pub at_ms: Option<i64>,
    /// What was not given back, in won.
    pub left_krw: i64,
    /// What was given back, in the provider's order.
    pub refunds: Vec<Refund>,
}

/// Money that was given back, as the provider tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The provider's name of it.
    pub transaction_key: String,
    /// How much, in won.
    pub amount_krw: i64,
    /// The reason it was given.
    pub reason: String,
    /// When it was given back (UTC milliseconds), where the provider says so.
    pub at_ms: Option<i64>,
}

/// What a refund is asked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundAsk {
    /// The provider's name of the payment.
    pub payment_key: String,
    /// How much, in won.
    pub amount_krw: i64,
    /// Why, for the provider's record.
    pub reason: String,
    /// The command that asked: the same one moves money once, however often it is sent.
    pub request_id: String,
}

/// What came of asking for a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// What was asked for was given back, under the provider's name of the refund.
    GivenBack(String),
    /// Not known, or refused: to be asked.
    Unknown(String),
}

/// A provider that takes money for orders and gives it back.
pub trait PaymentGateway: Send + Sync + 'static {
    /// Takes the money of an order, once, however often it is called.
    fn confirm<'a>(&'a self, order: Uuid, payment_key: &'a str, amount_krw: i64) -> BoxFuture<'a, Confirmed>;
    /// What became of an order.
    fn find<'a>(&'a self, order: Uuid, payment_key: &'a str) -> BoxFuture<'a, Found>;
    /// Gives a part or all of it back, once for a request id, however often it is called.
    fn cancel<'a>(&'a self, order: Uuid, ask: &'a RefundAsk) -> BoxFuture<'a, Cancelled>;
    /// One page of what was sold on the days from `from` to `to` (`YYYY-MM-DD` in Seoul); the first page is 1. A page with
    /// fewer rows than `size` is the last. An error says why there is none; a provider may settle nothing.
    fn settlements<'a>(
        &'a self,
        _from: &'a str,
        _to: &'a str,
        _page: usize,
        _size: usize,
    ) -> BoxFuture<'a, Result<Vec<SettlementRow>, String>> {
        Box::pin(async { Err("this provider gives no settlements".to_owned()) })
    }
}

/// One movement of money as the provider settles it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettlementRow {
    /// The order, as text: it may not be one of ours.
    pub order_id: String,
    /// The provider's name of the movement.
    pub transaction_key: String,
    /// Of a refund: the provider's name of it, as the payment told it.
    pub refund_key: Option<String>,
    /// In won; a refund is negative.
    pub amount_krw: i64,
    /// The day it counts to.
    pub sold_date: String,
}

/// Toss Payments over HTTP.
pub struct Toss {
    client: reqwest::Client,
    origin: String,
    authorization: String,
}

impl Toss {
    /// A client for the API at `origin`.
    pub fn new(origin: &str, secret_key: &str, answer_within: Duration) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(answer_within)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let authorization = format!("Basic {}", STANDARD.encode(format!("{secret_key}:")));
        Ok(Self { client, origin: origin.trim_end_matches('/').to_owned(), authorization })
    }

    /// The status and the body of an answer, or why there is none.
    async fn ask(&self, request: reqwest::RequestBuilder, max: usize) -> Result<(u16, Vec<u8>), String> {
        let result = async {
            let mut response = request.header("authorization", &self.authorization).send().await?;
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > max {
                    break;
                }
            }
            Ok::<_, reqwest::Error>((response.status().as_u16(), body))
        };
        match result.await {
            // The address may hold a payment key.
            Err(error) => Err(format!("no answer: {}", error.without_url())),
            Ok((_, body)) if body.len() > max => Err("answer too long".into()),
            Ok(answer) => Ok(answer),
        }
    }

    async fn look_up(&self, path: String, order: Uuid) -> Result<Option<answer::Payment>, String> {
        let (status, body) = self.ask(self.client.get(format!("{}{path}", self.origin)), MAX_ANSWER).await?;
        answer::looked_up(status, &body, order)
    }
}

/// The idempotency key of a command: of one length, and of letters any header may hold, whatever the request id is.
fn key_of(what: &str, request_id: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(request_id.as_bytes()).iter().fold(format!("nugul-{what}-"), |mut key, byte| {
        let _ = write!(key, "{byte:02x}");
        key
    })
}

impl PaymentGateway for Toss {
    fn confirm<'a>(&'a self, order: Uuid, payment_key: &'a str, amount_krw: i64) -> BoxFuture<'a, Confirmed> {
        Box::pin(async move {
            let request = self
                .client
                .post(format!("{}/v1/payments/confirm", self.origin))
                .header("idempotency-key", format!("nugul-confirm-{order}"))
                .json(&json!({"paymentKey": payment_key, "orderId": order.to_string(), "amount": amount_krw}));
            match self.ask(request, MAX_ANSWER).await {
                Ok((status, body)) => answer::confirmed(status, &body, order, amount_krw),
                Err(why) => Confirmed::Unknown(why),
            }
        })
    }

    fn find<'a>(&'a self, order: Uuid, payment_key: &'a str) -> BoxFuture<'a, Found> {
        Box::pin(async move {
            let mut found = self.look_up(format!("/v1/payments/orders/{order}"), order).await;
            // A buyer may have opened the payment page twice: what matters is the one that took money, or ours. What is not
            // found under its order may be found under its key.
            let is_other = |other: &answer::Payment| other.key() != payment_key && !other.took_money();
            if found.as_ref().is_ok_and(|found| found.as_ref().is_none_or(is_other)) {
                found = self.look_up(format!("/v1/payments/{payment_key}"), order).await;
            }
            match found {
                Ok(Some(payment)) => answer::known(payment),
                Ok(None) => Found::Nothing,
                Err(why) => Found::Unknown(why),
            }
        })
    }

    fn cancel<'a>(&'a self, order: Uuid, ask: &'a RefundAsk) -> BoxFuture<'a, Cancelled> {
        Box::pin(async move {
            // The amount is always named: Toss refuses rather than give back another one.
            let request = self
                .client
                .post(format!("{}/v1/payments/{}/cancel", self.origin, ask.payment_key))
                .header("idempotency-key", key_of("cancel", &ask.request_id))
                .json(&json!({"cancelReason": ask.reason, "cancelAmount": ask.amount_krw}));
            match self.ask(request, MAX_ANSWER).await {
                Ok((status, body)) => answer::cancelled(status, &body, order, ask),
                Err(why) => Cancelled::Unknown(why),
            }
        })
    }

    fn settlements<'a>(
        &'a self,
        from: &'a str,
        to: &'a str,
        page: usize,
        size: usize,
    ) -> BoxFuture<'a, Result<Vec<SettlementRow>, String>> {
        Box::pin(async move {
            let url = format!(
                "{}/v1/settlements?startDate={from}&endDate={to}&dateType=soldDate&page={page}&size={size}",
                self.origin
            );
            let (status, body) = self.ask(self.client.get(url), MAX_SETTLEMENT).await?;
            answer::settlement(status, &body)
        })
    }
}
