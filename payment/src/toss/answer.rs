//! What an answer of Toss says, by its status and body alone: certain or uncertain, and never more than it says.
//!
//! Whatever the bytes are, reading them ends, and what does not add up tells of no money.
use serde::{Deserialize, de::DeserializeOwned};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::{Cancelled, Confirmed, Found, Refund, RefundAsk, SettlementRow, Taken};

/// No longer word of an answer that is not understood is kept, in characters.
const MAX_WORD: usize = 60;

/// The fields of Toss's payment object that matter here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    #[serde(rename = "paymentKey")]
    key: String,
    order_id: String,
    status: String,
    total_amount: i64,
    balance_amount: i64,
    last_transaction_key: Option<String>,
    approved_at: Option<String>,
    #[serde(default)]
    cancels: Option<Vec<CancelEntry>>,
    failure: Option<Failure>,
}

/// One refund in Toss's payment object.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CancelEntry {
    cancel_amount: i64,
    #[serde(default)]
    cancel_reason: String,
    transaction_key: String,
    canceled_at: Option<String>,
    /// `DONE` for every method that gives money back at once.
    #[serde(default = "done")]
    cancel_status: String,
}

fn done() -> String {
    "DONE".to_owned()
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

/// A settlement row in Toss's answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settlement {
    order_id: String,
    transaction_key: String,
    amount: i64,
    sold_date: String,
    cancel: Option<SettledCancel>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SettledCancel {
    transaction_key: String,
}

impl Payment {
    /// What Toss calls it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether it took money, whatever went back since.
    pub fn took_money(&self) -> bool {
        matches!(self.status.as_str(), "DONE" | "CANCELED" | "PARTIAL_CANCELED")
    }
}

/// A word of theirs as it is kept and logged: no longer than any of theirs is.
fn brief(word: &str) -> &str {
    word.char_indices().nth(MAX_WORD).map_or(word, |(end, _)| &word[..end])
}

/// What came of asking for money.
pub fn confirmed(status: u16, body: &[u8], order: Uuid, amount_krw: i64) -> Confirmed {
    match read(status, body) {
        Answer::Payment(p) if p.status == "DONE" && p.order_id == order.to_string() && p.total_amount == amount_krw => {
            Confirmed::Taken
        }
        Answer::Payment(p) => Confirmed::Unknown(format!("confirmed with status {}", brief(&p.status))),
        Answer::Refusal(status, f) if is_certain_refusal(status, &f.code) => {
            Confirmed::Refused { code: f.code, message: f.message }
        }
        Answer::Refusal(status, f) => Confirmed::Unknown(format!("{status} {}", brief(&f.code))),
        Answer::None(why) => Confirmed::Unknown(why),
    }
}

/// The payment of an order that was asked for; nothing where Toss knows none. An error says why it is not known.
pub fn looked_up(status: u16, body: &[u8], order: Uuid) -> Result<Option<Payment>, String> {
    match read(status, body) {
        Answer::Payment(payment) if payment.order_id == order.to_string() => Ok(Some(payment)),
        Answer::Payment(_) => Err("payment of another order".into()),
        Answer::Refusal(404, failure) if failure.code == "NOT_FOUND_PAYMENT" => Ok(None),
        Answer::Refusal(status, failure) => Err(format!("{status} {}", brief(&failure.code))),
        Answer::None(why) => Err(why),
    }
}

/// What came of asking for a refund.
pub fn cancelled(status: u16, body: &[u8], order: Uuid, ask: &RefundAsk) -> Cancelled {
    match read(status, body) {
        Answer::Payment(payment) if payment.order_id == order.to_string() && payment.took_money() => {
            let last = payment.last_transaction_key.as_ref();
            let ours = payment.cancels.iter().flatten().find(|entry| Some(&entry.transaction_key) == last);
            match ours {
                Some(entry) if entry.cancel_amount == ask.amount_krw && entry.cancel_status == "DONE" => {
                    Cancelled::GivenBack(entry.transaction_key.clone())
                }
                _ => Cancelled::Unknown(format!("cancelled with status {}", brief(&payment.status))),
            }
        }
        Answer::Payment(p) => Cancelled::Unknown(format!("cancelled with status {}", brief(&p.status))),
        Answer::Refusal(status, f) => Cancelled::Unknown(format!("{status} {}", brief(&f.code))),
        Answer::None(why) => Cancelled::Unknown(why),
    }
}

/// The rows of one page of a settlement.
pub fn settlement(status: u16, body: &[u8]) -> Result<Vec<SettlementRow>, String> {
    if status != 200 {
        return Err(format!("status {status}"));
    }
    let rows: Vec<Settlement> =
        serde_json::from_slice(body).map_err(|_| "200 with a body that is no settlement".to_owned())?;
    let row = |row: Settlement| SettlementRow {
        order_id: row.order_id,
        transaction_key: row.transaction_key,
        refund_key: row.cancel.map(|cancel| cancel.transaction_key),
        amount_krw: row.amount,
        sold_date: row.sold_date,
    };
    Ok(rows.into_iter().map(row).collect())
}

/// A JSON object with these fields. An array would be read as a struct as well, by position.
fn object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    if body.trim_ascii_start().starts_with(b"{") { serde_json::from_slice(body).ok() } else { None }
}

/// An answer about a payment: what is not certain is no answer.
fn read(status: u16, body: &[u8]) -> Answer {
    match status {
        200 => match object(body) {
            Some(payment) => Answer::Payment(payment),
            None => Answer::None("200 with a body that is no payment".into()),
        },
        400..=499 => match object(body) {
            Some(failure) => Answer::Refusal(status, failure),
            None => Answer::None(format!("{status} with a body that is no error")),
        },
        _ => Answer::None(format!("status {status}")),
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
        "NOT_FOUND_PAYMENT_SESSION",
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

/// A time as Toss writes it (ISO 8601 with an offset), in UTC milliseconds.
fn time_ms(text: Option<&str>) -> Option<i64> {
    let at = OffsetDateTime::parse(text?, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

/// The money of a payment that took some. What does not add up is not believed.
fn taken(payment: Payment) -> Found {
    let entries = payment.cancels.unwrap_or_default();
    if entries.iter().any(|entry| entry.cancel_status != "DONE") {
        return Found::Unknown("a refund is under way at the provider".into());
    }
    let refunds: Vec<_> = entries
        .into_iter()
        .map(|entry| Refund {
            transaction_key: entry.transaction_key,
            amount_krw: entry.cancel_amount,
            reason: entry.cancel_reason,
            at_ms: time_ms(entry.canceled_at.as_deref()),
        })
        .collect();
    let back: i128 = refunds.iter().map(|refund| i128::from(refund.amount_krw)).sum();
    let is_odd = payment.balance_amount < 0 || refunds.iter().any(|refund| refund.amount_krw <= 0);
    if is_odd || i128::from(payment.total_amount) - back != i128::from(payment.balance_amount) {
        return Found::Unknown("what is left and what was given back do not add up".into());
    }
    Found::Taken(Taken {
        amount_krw: payment.total_amount,
        at_ms: time_ms(payment.approved_at.as_deref()),
        payment_key: payment.key,
        left_krw: payment.balance_amount,
        refunds,
    })
}

/// What a payment says of its order.
pub fn known(payment: Payment) -> Found {
    match payment.status.as_str() {
        "DONE" | "CANCELED" | "PARTIAL_CANCELED" => taken(payment),
        "ABORTED" | "EXPIRED" => {
            let (code, message) = payment.failure.map_or_else(
                || (format!("PAYMENT_{}", payment.status), "결제가 끝나지 않았어요.".to_owned()),
                |f| (f.code, f.message),
            );
            Found::Refused { code, message }
        }
        "READY" | "IN_PROGRESS" => Found::Waiting,
        "WAITING_FOR_DEPOSIT" => Found::Deposit,
        other => Found::Unknown(format!("status {}", brief(other))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_of_one_clock() {
        for (text, ms) in [
            (Some("2026-03-02T00:00:00+09:00"), Some(1_772_377_200_000)),
            (Some("2026-03-01T15:00:00.5Z"), Some(1_772_377_200_500)),
            (Some("2026-03-02"), None),
            (Some("+999999999-01-01T00:00:00Z"), None),
            (Some(""), None),
            (None, None),
        ] {
            assert_eq!(time_ms(text), ms, "{text:?}");
        }
    }

    #[test]
    fn only_certain_refusals_are_declines() {
        for (status, code, certain) in [
            (403, "REJECT_CARD_PAYMENT", true),
            (404, "NOT_FOUND_PAYMENT_SESSION", true),
            (404, "NOT_FOUND_PAYMENT", false),
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

    proptest::proptest! {
        #[test]
        fn any_answer_is_read_without_harm(status in 0_u16..1000, body in ".{0,300}") {
            // Text that is no JSON object never tells that money moved.
            proptest::prop_assert!(!matches!(read(status, body.as_bytes()), Answer::Payment(_)));
        }

        #[test]
        fn money_moves_by_status_and_by_nothing_else(
            status in proptest::sample::select(vec![
                "READY", "IN_PROGRESS", "WAITING_FOR_DEPOSIT", "DONE", "CANCELED", "PARTIAL_CANCELED", "ABORTED", "EXPIRED", "", "done", "NEW",
            ]),
            total in 0_i64..1_000, left in 0_i64..1_000, cancel_status in proptest::sample::select(vec!["DONE", "IN_PROGRESS"]),
            at in proptest::option::of(".{0,30}"), failed in proptest::bool::ANY, more in ".{0,20}",
        ) {
            let cancels = if total > left {
                json!([{"cancelAmount": total - left, "transactionKey": "t", "cancelStatus": cancel_status, "canceledAt": at}])
            } else {
                json!(null)
            };
            let failure = if failed { json!({"code": "X", "message": more}) } else { json!(null) };
            let body = json!({
                "paymentKey": "k", "orderId": "o", "status": status, "totalAmount": total, "balanceAmount": left,
                "approvedAt": at, "cancels": cancels, "failure": failure, "of_tomorrow": more,
            });
            let Answer::Payment(payment) = read(200, body.to_string().as_bytes()) else { panic!("a payment") };
            let found = known(payment);
            let adds_up = total >= left && (total == left || cancel_status == "DONE");
            let expected = match status {
                "DONE" | "CANCELED" | "PARTIAL_CANCELED" if adds_up => matches!(found, Found::Taken(ref t) if t.left_krw == left),
                "ABORTED" | "EXPIRED" => matches!(found, Found::Refused { .. }),
                "READY" | "IN_PROGRESS" => found == Found::Waiting,
                "WAITING_FOR_DEPOSIT" => found == Found::Deposit,
                _ => matches!(found, Found::Unknown(_)),
            };
            proptest::prop_assert!(expected, "{:?}", found);
        }

        #[test]
        fn refunds_that_do_not_add_up_are_not_believed(
            total in 0_i64..1_000_000, left in -1_000_000_i64..1_000_000, parts in proptest::collection::vec(-1_000_i64..1_000_000, 0..5)
        ) {
            let cancels: Vec<_> = parts.iter().enumerate().map(|(i, amount)| {
                json!({"cancelAmount": amount, "cancelReason": "x", "transactionKey": format!("t{i}")})
            }).collect();
            let body = json!({
                "paymentKey": "k", "orderId": "o", "status": "PARTIAL_CANCELED", "totalAmount": total,
                "balanceAmount": left, "cancels": cancels, "failure": null,
            });
            let Answer::Payment(payment) = read(200, body.to_string().as_bytes()) else { panic!("a payment") };
            let adds_up = total - parts.iter().sum::<i64>() == left && left >= 0 && parts.iter().all(|part| *part > 0);
            proptest::prop_assert_eq!(matches!(taken(payment), Found::Taken(_)), adds_up);
        }
    }
}
