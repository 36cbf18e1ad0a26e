//! What strangers send is read without harm, whatever it is: the invariants the fuzz targets check, over made-up answers.
#[allow(unreachable_pub, reason = "the fuzz targets use it as a library")]
#[path = "../../fuzz/invariants.rs"]
mod invariants;

use std::path::Path;

use invariants::{AMOUNT, ORDER, STATUSES};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Names Toss uses, and words and numbers it may put there.
const NAMES: [&str; 17] = [
    "paymentKey",
    "orderId",
    "status",
    "totalAmount",
    "balanceAmount",
    "lastTransactionKey",
    "approvedAt",
    "cancels",
    "cancelAmount",
    "cancelReason",
    "transactionKey",
    "canceledAt",
    "cancelStatus",
    "failure",
    "code",
    "message",
    "data",
];
const WORDS: [&str; 13] = [
    "DONE",
    "CANCELED",
    "PARTIAL_CANCELED",
    "IN_PROGRESS",
    "ABORTED",
    "EXPIRED",
    "WAITING_FOR_DEPOSIT",
    "NOT_FOUND_PAYMENT",
    "REJECT_CARD_PAYMENT",
    "INVALID_API_KEY",
    "t1",
    "2026-03-01T00:00:00+09:00",
    "",
];

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => proptest::sample::select(WORDS.to_vec()).prop_map(Value::from),
        3 => Just(json!(ORDER.to_string())),
        3 => proptest::sample::select(vec![0, AMOUNT, -AMOUNT, 1, i64::MAX, i64::MIN]).prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => ".{0,100}".prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

fn object(of: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    proptest::collection::vec((proptest::sample::select(NAMES.to_vec()), of), 0..8).prop_map(|fields| {
        Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
    })
}

/// Anything made of Toss's names and words.
fn anything() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 40, 8, |inner| {
        prop_oneof![object(inner.clone()), proptest::collection::vec(inner, 0..4).prop_map(Value::Array)]
    })
}

/// A payment of the order, with some of its fields changed and its refunds made up.
fn payment() -> impl Strategy<Value = Value> {
    let refund = (any::<i64>(), proptest::sample::select(vec![AMOUNT, 1, -1, i64::MAX, 4_000, 6_000]), 0..3_u8);
    let refunds = proptest::collection::vec(refund, 0..4);
    let status = proptest::sample::select(WORDS.to_vec());
    let amount = proptest::sample::select(vec![0, AMOUNT, 4_000, 6_000, i64::MAX]);
    (status, amount.clone(), amount, refunds, object(leaf())).prop_map(|(status, total, left, refunds, changed)| {
        let cancels = refunds.iter().enumerate().map(|(n, (any, amount, kind))| {
            let amount = if *kind == 0 { any } else { amount };
            json!({"cancelAmount": amount, "transactionKey": format!("t{n}"), "cancelStatus": if *kind == 1 { "IN_PROGRESS" } else { "DONE" }})
        });
        let mut payment = json!({
            "paymentKey": "k", "orderId": ORDER.to_string(), "status": status, "totalAmount": total, "balanceAmount": left,
            "lastTransactionKey": "t0", "cancels": cancels.collect::<Vec<_>>(),
        });
        if let (Value::Object(payment), Value::Object(changed)) = (&mut payment, changed) {
            // Most of the time it stays one.
            payment.extend(changed.into_iter().take(1));
        }
        payment
    })
}

proptest! {
    #[test]
    fn any_bytes(status in proptest::sample::select(STATUSES.to_vec()), body in proptest::collection::vec(any::<u8>(), 0..300)) {
        invariants::webhook(&body);
        invariants::toss_answer(status, &body);
    }

    #[test]
    fn anything_in_their_words(status in proptest::sample::select(STATUSES.to_vec()), body in anything()) {
        let body = body.to_string();
        invariants::webhook(body.as_bytes());
        invariants::toss_answer(status, body.as_bytes());
    }

    #[test]
    fn payments_of_all_kinds(body in payment()) {
        invariants::toss_answer(200, body.to_string().as_bytes());
    }
}

#[test]
fn the_seeds_are_what_they_are_called() {
    use nugul_payment::toss::{Cancelled, Confirmed, Found, RefundAsk, answer};
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for name in ["status", "deposit"] {
        let body = std::fs::read(seeds.join(format!("webhook/{name}.json"))).unwrap();
        assert_eq!(nugul_payment::webhooks::order_of(&body), Some(ORDER), "{name}");
        invariants::webhook(&body);
    }
    let read = |name: &str| {
        let data = std::fs::read(seeds.join(format!("toss_answer/{name}.json"))).unwrap();
        let (status, body) = (STATUSES[usize::from(data[0]) % STATUSES.len()], data[1..].to_vec());
        invariants::toss_answer(status, &body);
        (status, body)
    };
    let (status, body) = read("taken");
    assert_eq!(answer::confirmed(status, &body, ORDER, AMOUNT), Confirmed::Taken);
    assert!(matches!(answer::confirmed(status, &body, ORDER, AMOUNT + 1), Confirmed::Unknown(_)), "another amount");
    let (status, body) = read("given_back");
    let ask = RefundAsk { payment_key: "k".into(), amount_krw: AMOUNT, reason: "r".into(), request_id: "q".into() };
    assert_eq!(answer::cancelled(status, &body, ORDER, &ask), Cancelled::GivenBack("t1".into()));
    let found = answer::known(answer::looked_up(status, &body, ORDER).unwrap().unwrap());
    assert!(matches!(found, Found::Taken(taken) if taken.left_krw == 0 && taken.refunds.len() == 1));
    let (status, body) = read("declined");
    assert!(matches!(answer::confirmed(status, &body, ORDER, AMOUNT), Confirmed::Refused { .. }));
    let (status, body) = read("not_found");
    assert!(matches!(answer::looked_up(status, &body, ORDER), Ok(None)));
    let (status, body) = read("settlement");
    assert_eq!(answer::settlement(status, &body).unwrap().len(), 1);
}
