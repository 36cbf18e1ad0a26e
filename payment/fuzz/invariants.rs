//! What holds of whatever bytes strangers send. The fuzz targets and the property tests call these.

use nugul_payment::{
    toss::{Cancelled, Confirmed, Found, RefundAsk, answer},
    webhooks::order_of,
};
use serde_json::Value;
use uuid::Uuid;

/// Statuses that are read in different ways.
pub const STATUSES: [u16; 9] = [200, 400, 403, 404, 201, 401, 409, 429, 500];
/// The order that is asked about; seeds name it.
pub const ORDER: Uuid = Uuid::from_u128(0x018f_0000_0000_7000_8000_0000_0000_0007);
/// What it costs; seeds say so.
pub const AMOUNT: i64 = 10_000;

fn names(field: &Value, order: Uuid) -> bool {
    field.as_str().and_then(|text| Uuid::try_parse(text).ok()) == Some(order)
}

/// A webhook names an order in one of two places, or none.
pub fn webhook(body: &[u8]) {
    let found = order_of(body);
    assert_eq!(found, order_of(body), "the same bytes say the same");
    // What is too deep or too large for this way of reading says nothing here.
    if let (Some(order), Ok(value)) = (found, serde_json::from_slice::<Value>(body)) {
        assert!(names(&value["data"]["orderId"], order) || names(&value["orderId"], order), "{order}");
    }
}

/// Money moved only where an answer says so, of this order, in numbers that add up.
pub fn toss_answer(status: u16, body: &[u8]) {
    let value = serde_json::from_slice::<Value>(body).ok();
    let says = |name: &str, expected: &Value| value.as_ref().is_none_or(|value| value[name] == *expected);
    match answer::confirmed(status, body, ORDER, AMOUNT) {
        Confirmed::Taken => {
            assert_eq!(status, 200);
            assert!(says("status", &"DONE".into()) && says("totalAmount", &AMOUNT.into()));
            assert!(says("orderId", &ORDER.to_string().into()));
        }
        Confirmed::Refused { code, .. } => {
            assert!(matches!(status, 400 | 403 | 404));
            assert!(says("code", &code.into()));
        }
        Confirmed::Unknown(why) => assert!(why.len() < 400, "{} bytes are logged", why.len()),
    }
    match answer::looked_up(status, body, ORDER) {
        Ok(Some(payment)) => {
            assert_eq!(status, 200);
            assert!(says("orderId", &ORDER.to_string().into()));
            if let Found::Taken(taken) = answer::known(payment) {
                let back: i128 = taken.refunds.iter().map(|refund| i128::from(refund.amount_krw)).sum();
                assert_eq!(i128::from(taken.amount_krw) - back, i128::from(taken.left_krw));
                assert!(taken.left_krw >= 0 && taken.refunds.iter().all(|refund| refund.amount_krw > 0));
            }
        }
        Ok(None) => {
            assert_eq!(status, 404);
            assert!(says("code", &"NOT_FOUND_PAYMENT".into()));
        }
        Err(why) => assert!(why.len() < 400, "{} bytes are logged", why.len()),
    }
    let ask = RefundAsk { payment_key: "k".into(), amount_krw: AMOUNT, reason: "r".into(), request_id: "q".into() };
    if let Cancelled::GivenBack(name) = answer::cancelled(status, body, ORDER, &ask) {
        assert_eq!(status, 200);
        assert!(says("orderId", &ORDER.to_string().into()) && says("lastTransactionKey", &name.into()));
    }
    if answer::settlement(status, body).is_ok() {
        assert_eq!(status, 200);
    }
}
