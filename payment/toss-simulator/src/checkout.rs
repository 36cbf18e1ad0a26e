//! The buyer's side: the script a page loads, and the checkout page where a person decides how the payment goes.
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Deserialize;

use crate::Simulator;
use crate::store::{Method, NewPayment};

/// No order id is longer, as at Toss.
pub const MAX_ORDER_ID: usize = 64;
/// No order name is longer, as at Toss.
pub const MAX_ORDER_NAME: usize = 100;
/// No amount is higher (won).
pub const MAX_AMOUNT: i64 = 1_000_000_000;

/// `GET /v2/standard`: defines `window.TossPayments`.
pub async fn script() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, include_str!("standard.js"))
}

/// What the page was asked to sell.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkout {
    client_key: String,
    order_id: String,
    amount: i64,
    order_name: String,
    success_url: String,
    fail_url: String,
}

/// The same, with the person's decision.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    client_key: String,
    order_id: String,
    amount: i64,
    order_name: String,
    success_url: String,
    fail_url: String,
    #[serde(default)]
    method: Method,
    decision: Decision,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Pay,
    Decline,
    Close,
}

impl Checkout {
    fn problem(&self, sim: &Simulator) -> Option<&'static str> {
        let web = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=".contains(c);
        if self.client_key != sim.settings.client_key {
            Some("클라이언트 키가 달라요.")
        } else if !(6..=MAX_ORDER_ID).contains(&self.order_id.len()) || !self.order_id.chars().all(plain) {
            Some("주문 번호는 영문, 숫자, -, _, = 로 된 6~64자여야 해요.")
        } else if !(1..=MAX_ORDER_NAME).contains(&self.order_name.chars().count()) {
            Some("주문 이름은 1~100자여야 해요.")
        } else if !(1..=MAX_AMOUNT).contains(&self.amount) {
            Some("금액이 올바르지 않아요.")
        } else if !web(&self.success_url) || !web(&self.fail_url) {
            Some("돌아갈 주소가 올바르지 않아요.")
        } else {
            None
        }
    }
}

fn won(amount: i64) -> String {
    let digits = amount.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + "원"
}

fn layout(title: &str, body: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="ko" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                style { (PreEscaped(include_str!("checkout.css"))) }
            }
            body { main {
                p.notice { "시뮬레이터 – 실제 돈이 오가지 않아요" }
                (body)
            } }
        }
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, page.into_string()).into_response()
}

fn refused(problem: &str) -> Response {
    let mut page = layout("결제할 수 없어요", &html! { h1 { "결제할 수 없어요" } p { (problem) } });
    *page.status_mut() = StatusCode::BAD_REQUEST;
    page
}

/// `GET /checkout`: pay, be declined, or close the window.
pub async fn page(State(sim): State<Simulator>, Query(ask): Query<Checkout>) -> Response {
    if let Some(problem) = ask.problem(&sim) {
        return refused(problem);
    }
    layout(
        "결제하기",
        &html! {
            h1 { (ask.order_name) }
            p.amount { (won(ask.amount)) }
            dl {
                dt { "주문 번호" } dd { (ask.order_id) }
            }
            form method="post" action="/checkout/pay" {
                @for (name, value) in [
                    ("clientKey", ask.client_key.as_str()),
                    ("orderId", &ask.order_id),
                    ("amount", &ask.amount.to_string()),
                    ("orderName", &ask.order_name),
                    ("successUrl", &ask.success_url),
                    ("failUrl", &ask.fail_url),
                ] {
                    input type="hidden" name=(name) value=(value);
                }
                fieldset {
                    legend { "결제 수단" }
                    @for (value, method) in
                        [("card", Method::Card), ("easy_pay", Method::EasyPay), ("virtual_account", Method::VirtualAccount)]
                    {
                        label {
                            input type="radio" name="method" value=(value) checked[method == Method::Card];
                            (method.name())
                        }
                    }
                }
                button.pay name="decision" value="pay" { "결제하기" }
                button name="decision" value="decline" { "거절" }
                button name="decision" value="close" { "창 닫기" }
            }
        },
    )
}

/// `POST /checkout/pay`: stores the payment and sends the browser back to the shop.
pub async fn pay(State(sim): State<Simulator>, Form(form): Form<Decided>) -> Response {
    let Decided { client_key, order_id, amount, order_name, success_url, fail_url, method, decision } = form;
    let ask = Checkout { client_key, order_id, amount, order_name, success_url, fail_url };
    if let Some(problem) = ask.problem(&sim) {
        return refused(problem);
    }
    if decision == Decision::Close {
        let query = [
            ("code", "PAY_PROCESS_CANCELED"),
            ("message", "사용자에 의해 결제가 취소되었습니다."),
            ("orderId", &ask.order_id),
        ];
        return back(&ask.fail_url, &query);
    }
    let new = NewPayment {
        order_id: ask.order_id.clone(),
        order_name: ask.order_name.clone(),
        amount: ask.amount,
        method,
        decline: decision == Decision::Decline,
    };
    match sim.store.run(move |store, now| store.create(new, now)).await {
        Ok(payment) => {
            tracing::info!(order = %payment.order_id, "payment is waiting for its confirm");
            let amount = payment.amount.to_string();
            let query = [
                ("paymentType", "NORMAL"),
                ("paymentKey", &payment.payment_key),
                ("orderId", &payment.order_id),
                ("amount", &amount),
            ];
            back(&ask.success_url, &query)
        }
        Err(error) => {
            tracing::error!(%error, "payment could not be stored");
            let query = [
                ("code", "FAILED_INTERNAL_SYSTEM_PROCESSING"),
                ("message", "내부 시스템 처리 작업이 실패했습니다. 잠시 후 다시 시도해주세요."),
                ("orderId", &ask.order_id),
            ];
            back(&ask.fail_url, &query)
        }
    }
}

fn back(url: &str, query: &[(&str, &str)]) -> Response {
    let (base, fragment) = url.split_once('#').map_or((url, None), |(base, fragment)| (base, Some(fragment)));
    let mut target = base.to_owned();
    let mut separator = if base.contains('?') { '&' } else { '?' };
    for (name, value) in query {
        target.push(separator);
        target += name;
        target.push('=');
        target += &percent(value);
        separator = '&';
    }
    if let Some(fragment) = fragment {
        target.push('#');
        target += fragment;
    }
    let mut headers = HeaderMap::new();
    match target.parse() {
        Ok(value) => {
            headers.insert(header::LOCATION, value);
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Err(_) => refused("돌아갈 주소가 올바르지 않아요."),
    }
}

fn percent(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
