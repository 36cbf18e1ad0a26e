//! The payment provider behind one trait, and Toss Payments behind that trait.
//!
//! What Toss says is sorted into certain and uncertain here, and nowhere else. An answer that was lost, late, strange or a
//! server's error is uncertain: it is asked for again, never guessed.
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

/// Longest wait for a connection to Toss.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Longest wait for a whole answer of Toss. Confirming a card may take them a while.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// No longer answer is read.
pub const MAX_ANSWER: usize = 256 * 1024;

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
    /// Money was taken: how much, under which key.
    Taken {
        /// In won.
        amount_krw: i64,
        /// The provider's name of the payment.
        payment_key: String,
    },
    /// Money was taken and all of it given back.
    GivenBack {
        /// In won.
        amount_krw: i64,
    },
    /// It was not taken and this payment never will be.
    Refused {
        /// The provider's code.
        code: String,
        /// The provider's sentence.
        message: String,
    },
    /// The buyer agreed; the money was not asked for yet.
    Waiting,
    /// The provider knows nothing of it.
    Nothing,
    /// Not known. The text says why, for the log.
    Unknown(String),
}

/// What came of asking for a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// All of it was given back.
    GivenBack,
    /// Not known, or refused: to be asked.
    Unknown(String),
}

/// A provider that takes money for orders and gives it back.
pub trait PaymentGateway: Send + Sync + 'static {
    /// Takes the money of an order, once, however often it is called.
    fn confirm<'a>(&'a self, order: Uuid, payment_key: &'a str, amount_krw: i64) -> BoxFuture<'a, Confirmed>;
    /// What became of an order.
    fn find<'a>(&'a self, order: Uuid, payment_key: &'a str) -> BoxFuture<'a, Found>;
    /// Gives all of it back, once, however often it is called.
    fn cancel<'a>(&'a self, order: Uuid, payment_key: &'a str, reason: &'a str) -> BoxFuture<'a, Cancelled>;
}

/// Toss Payments over HTTP.
pub struct Toss {
    client: reqwest::Client,
    origin: String,
    authorization: String,
}

/// The fields of Toss's payment object that matter here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payment {
    payment_key: String,
    order_id: String,
    status: String,
    total_amount: i64,
    balance_amount: i64,
    failure: Option<Failure>,
}

#[derive(Debug, Deserialize)]
struct Failure {
    code: String,
    #[serde(default)]
    message: String,
}

/// An answer, or why there is none.
enum Answer {
    Payment(Payment),
    Refusal(u16, Failure),
    None(String),
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

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let result = async {
            let mut response = request.header("authorization", &self.authorization).send().await?;
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_ANSWER {
                    break;
                }
            }
            Ok::<_, reqwest::Error>((response.status().as_u16(), body))
        };
        match result.await {
            // The address may hold a payment key.
            Err(error) => Answer::None(format!("no answer: {}", error.without_url())),
            Ok((_, body)) if body.len() > MAX_ANSWER => Answer::None("answer too long".into()),
            Ok((200, body)) => match serde_json::from_slice(&body) {
                Ok(payment) => Answer::Payment(payment),
                Err(_) => Answer::None("200 with a body that is no payment".into()),
            },
            Ok((status @ 400..=499, body)) => match serde_json::from_slice(&body) {
                Ok(failure) => Answer::Refusal(status, failure),
                Err(_) => Answer::None(format!("{status} with a body that is no error")),
            },
            Ok((status, _)) => Answer::None(format!("status {status}")),
        }
    }

    async fn look_up(&self, path: String, order: Uuid) -> Result<Option<Payment>, String> {
        match self.send(self.client.get(format!("{}{path}", self.origin))).await {
            Answer::Payment(payment) if payment.order_id == order.to_string() => Ok(Some(payment)),
            Answer::Payment(_) => Err("payment of another order".into()),
            Answer::Refusal(404, failure) if failure.code == "NOT_FOUND_PAYMENT" => Ok(None),
            Answer::Refusal(status, failure) => Err(format!("{status} {}", failure.code)),
            Answer::None(why) => Err(why),
        }
    }
}

/// Refusals of a confirm after which it is certain that nothing was taken. All others are asked about.
fn is_certain_refusal(status: u16, code: &str) -> bool {
    const PREFIXES: [&str; 13] = [
        "REJECT_",
        "EXCEED_",
        "INVALID_",
        "INCORRECT_",
        "NOT_ALLOWED_",
        "NOT_AVAILABLE_",
        "NOT_SUPPORTED_",
        "NOT_FOUND_PAYMENT",
        "NOT_MATCHES_",
        "NOT_REGISTERED_",
        "BELOW_",
        "RESTRICTED_",
        "UNAPPROVED_",
    ];
    matches!(status, 400 | 403 | 404)
        && !matches!(code, "INVALID_API_KEY" | "INVALID_IDEMPOTENCY_KEY" | "INVALID_AUTHORIZE_AUTH")
        && PREFIXES.iter().any(|prefix| code.starts_with(prefix))
}

/// A payment key is made of these; anything else did not come from Toss.
pub fn is_payment_key(key: &str) -> bool {
    (1..=200).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=.~".contains(&b))
        && key != "."
        && key != ".."
}

fn taken_money(payment: &Payment) -> bool {
    matches!(payment.status.as_str(), "DONE" | "CANCELED" | "PARTIAL_CANCELED")
}

impl PaymentGateway for Toss {
    fn confirm<'a>(&'a self, order: Uuid, payment_key: &'a str, amount_krw: i64) -> BoxFuture<'a, Confirmed> {
        Box::pin(async move {
            let request = self
                .client
                .post(format!("{}/v1/payments/confirm", self.origin))
                .header("idempotency-key", format!("nugul-confirm-{order}"))
                .json(&json!({"paymentKey": payment_key, "orderId": order.to_string(), "amount": amount_krw}));
            match self.send(request).await {
                Answer::Payment(p)
                    if p.status == "DONE" && p.order_id == order.to_string() && p.total_amount == amount_krw =>
                {
                    Confirmed::Taken
                }
                Answer::Payment(p) => Confirmed::Unknown(format!("confirmed with status {}", p.status)),
                Answer::Refusal(status, f) if is_certain_refusal(status, &f.code) => {
                    Confirmed::Refused { code: f.code, message: f.message }
                }
                Answer::Refusal(status, f) => Confirmed::Unknown(format!("{status} {}", f.code)),
                Answer::None(why) => Confirmed::Unknown(why),
            }
        })
    }

    fn find<'a>(&'a self, order: Uuid, payment_key: &'a str) -> BoxFuture<'a, Found> {
        Box::pin(async move {
            let mut found = self.look_up(format!("/v1/payments/orders/{order}"), order).await;
            // A buyer may have opened the payment page twice: what matters is the one that took money, or ours.
            if let Ok(Some(other)) = &found
                && other.payment_key != payment_key
                && !taken_money(other)
            {
                found = self.look_up(format!("/v1/payments/{payment_key}"), order).await;
            }
            let payment = match found {
                Ok(Some(payment)) => payment,
                Ok(None) => return Found::Nothing,
                Err(why) => return Found::Unknown(why),
            };
            match payment.status.as_str() {
                "DONE" => Found::Taken { amount_krw: payment.total_amount, payment_key: payment.payment_key },
                "CANCELED" => Found::GivenBack { amount_krw: payment.total_amount },
                "ABORTED" | "EXPIRED" => {
                    let (code, message) = payment.failure.map_or_else(
                        || (format!("PAYMENT_{}", payment.status), "결제가 끝나지 않았어요.".to_owned()),
                        |f| (f.code, f.message),
                    );
                    Found::Refused { code, message }
                }
                "READY" | "IN_PROGRESS" => Found::Waiting,
                other => Found::Unknown(format!("status {other}")),
            }
        })
    }

    fn cancel<'a>(&'a self, order: Uuid, payment_key: &'a str, reason: &'a str) -> BoxFuture<'a, Cancelled> {
        Box::pin(async move {
            let request = self
                .client
                .post(format!("{}/v1/payments/{payment_key}/cancel", self.origin))
                .header("idempotency-key", format!("nugul-cancel-{order}"))
                .json(&json!({"cancelReason": reason}));
            match self.send(request).await {
                Answer::Payment(p) if p.status == "CANCELED" && p.balance_amount == 0 => Cancelled::GivenBack,
                Answer::Payment(p) => Cancelled::Unknown(format!("cancelled with status {}", p.status)),
                Answer::Refusal(status, f) => Cancelled::Unknown(format!("{status} {}", f.code)),
                Answer::None(why) => Cancelled::Unknown(why),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certain_refusals_are_declines() {
        for (status, code, certain) in [
            (403, "REJECT_CARD_PAYMENT", true),
            (404, "NOT_FOUND_PAYMENT_SESSION", true),
            (400, "INVALID_REQUEST", true),
            (400, "EXCEED_MAX_CARD_INSTALLMENT_PLAN", true),
            (400, "ALREADY_PROCESSED_PAYMENT", false),
            (400, "DUPLICATED_ORDER_ID", false),
            (400, "PROVIDER_ERROR", false),
            (400, "INVALID_API_KEY", false),
            (401, "UNAUTHORIZED_KEY", false),
            (409, "IDEMPOTENT_REQUEST_PROCESSING", false),
            (429, "EXCEED_RATE", false),
            (500, "REJECT_CARD_PAYMENT", false),
        ] {
            assert_eq!(is_certain_refusal(status, code), certain, "{status} {code}");
        }
    }

    #[test]
    fn payment_keys_cannot_change_the_path() {
        for (key, good) in
            [("tsim_0a", true), ("", false), ("../x", false), ("..", false), ("a/b", false), ("a?b", false)]
        {
            assert_eq!(is_payment_key(key), good, "{key}");
        }
    }
}
