//! The settlement export: `GET /v1/settlements`, one row a capture and one a refund, by the day it happened in Seoul.
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use serde_json::{Value, json};
use time::{Date, Duration as Days};

use crate::Simulator;
use crate::api::{authorize, internal, invalid, spoil};
use crate::faults::{Fault, Point};
use crate::store::{Answer, Payment, Store, seoul, seoul_date};

/// Rows of a page, unless the caller says otherwise.
pub const PAGE: usize = 100;
/// No page has more rows, as at Toss.
pub const MAX_PAGE: usize = 5_000;
/// Money taken on a day is paid out so many days later.
pub const PAID_OUT_AFTER_DAYS: i64 = 7;
/// What the provider keeps, in parts of ten thousand of the amount, without value-added tax.
pub const FEE_PER_10_000: i64 = 280;

struct Ask {
    from: Date,
    to: Date,
    paid_out: bool,
    page: usize,
    size: usize,
}

fn date(text: &str) -> Option<Date> {
    Date::parse(text, time::macros::format_description!("[year]-[month]-[day]")).ok()
}

fn ask(query: &str) -> Option<Ask> {
    let get = |name: &str| query.split('&').filter_map(|pair| pair.split_once('=')).find(|pair| pair.0 == name);
    let number = |name: &str, or: usize| get(name).map_or(Some(or), |(_, text)| text.parse().ok());
    let ask = Ask {
        from: date(get("startDate")?.1)?,
        to: date(get("endDate")?.1)?,
        paid_out: match get("dateType").map(|pair| pair.1) {
            None | Some("soldDate") => false,
            Some("paidOutDate") => true,
            Some(_) => return None,
        },
        page: number("page", 1)?,
        size: number("size", PAGE)?,
    };
    (ask.from <= ask.to && ask.page >= 1 && (1..=MAX_PAGE).contains(&ask.size)).then_some(ask)
}

/// `GET /v1/settlements`.
pub async fn list(
    State(sim): State<Simulator>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Answer, Answer> {
    authorize(&sim, &headers)?;
    let ask = ask(&query.unwrap_or_default()).ok_or_else(invalid)?;
    spoil(&sim, Point::Settlements, async |fault| {
        let rows = sim.store.run(move |store, _| Ok(rows(store, &ask))).await.map_err(|error| internal(&error))?;
        Ok(Answer { status: 200, body: Value::Array(spoiled(rows, fault)) })
    })
    .await
}

fn spoiled(mut rows: Vec<Value>, fault: Option<Fault>) -> Vec<Value> {
    match (fault, rows.first_mut()) {
        (Some(Fault::WrongAmount), Some(first)) => first["amount"] = json!(first["amount"].as_i64().unwrap_or(0) + 1),
        (Some(Fault::MissingRow), Some(_)) => drop(rows.remove(0)),
        (Some(Fault::ExtraRow), Some(first)) => {
            let mut extra = first.clone();
            extra["transactionKey"] = json!("nobody");
            extra["orderId"] = json!("nobody");
            rows.push(extra);
        }
        _ => {}
    }
    rows
}

fn rows(store: &Store, ask: &Ask) -> Vec<Value> {
    let mut rows: Vec<(i64, Value)> = Vec::new();
    for payment in store.all() {
        let captured = payment.approved_at_ms.filter(|_| payment.effects > 0);
        let capture = captured.map(|at| (at, payment.payment_key.as_str(), payment.amount, Value::Null));
        let refunds = payment
            .refunds
            .iter()
            .filter(|_| captured.is_some())
            .map(|refund| (refund.at_ms, refund.transaction_key.as_str(), -refund.amount, refund.object()));
        for (at_ms, key, amount, cancel) in capture.into_iter().chain(refunds) {
            if let Some(row) = row(payment, at_ms, key, amount, &cancel, ask) {
                rows.push((at_ms, row));
            }
        }
    }
    rows.sort_by(|a, b| (a.0, a.1["transactionKey"].as_str()).cmp(&(b.0, b.1["transactionKey"].as_str())));
    rows.into_iter().skip((ask.page - 1).saturating_mul(ask.size)).take(ask.size).map(|(_, row)| row).collect()
}

fn row(payment: &Payment, at_ms: i64, key: &str, amount: i64, cancel: &Value, ask: &Ask) -> Option<Value> {
    let sold = seoul_date(at_ms)?;
    let paid_out = sold.checked_add(Days::days(PAID_OUT_AFTER_DAYS))?;
    if !(ask.from..=ask.to).contains(if ask.paid_out { &paid_out } else { &sold }) {
        return None;
    }
    let supply = amount * FEE_PER_10_000 / 10_000;
    let vat = supply / 10;
    Some(json!({
        "mId": "tosspayments",
        "paymentKey": payment.payment_key,
        "transactionKey": key,
        "orderId": payment.order_id,
        "currency": "KRW",
        "method": payment.method.name(),
        "amount": amount,
        "interestFee": 0,
        "fee": supply + vat,
        "supplyAmount": supply,
        "vat": vat,
        "payOutAmount": amount - supply - vat,
        "approvedAt": seoul(at_ms),
        "soldDate": sold.to_string(),
        "paidOutDate": paid_out.to_string(),
        "cancel": cancel,
    }))
}
