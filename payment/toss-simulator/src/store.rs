//! What the simulated provider knows: payments by key and order, answers by idempotency key, kept in one append-only file.
//!
//! Changes are written and fsynced before they are told ([`Store::flush`]), so a killed simulator comes back with everything it has
//! answered.
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::keys::Keys;

/// No more payments than this are kept; the next one is refused.
pub const MAX_PAYMENTS: usize = 1_000_000;
/// Longest accepted `Idempotency-Key`, as at Toss.
pub const MAX_IDEMPOTENCY_KEY: usize = 300;

/// Where a payment stands, by Toss's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Created, not authenticated.
    Ready,
    /// Authenticated by the buyer; waits for the merchant's confirm.
    InProgress,
    /// A virtual account was given out; the buyer has not paid into it yet.
    WaitingForDeposit,
    /// Money taken.
    Done,
    /// All money given back.
    Canceled,
    /// Some money given back.
    PartialCanceled,
    /// Declined at confirm.
    Aborted,
    /// Not confirmed in time.
    Expired,
}

/// How the buyer pays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// By card: the money is taken at the confirm.
    #[default]
    Card,
    /// By an easy-pay service: the same, with the provider named.
    EasyPay,
    /// Into a virtual account: the confirm gives it out, the deposit comes later or never.
    VirtualAccount,
}

impl Method {
    /// Its name in Toss's answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Card => "카드",
            Self::EasyPay => "간편결제",
            Self::VirtualAccount => "가상계좌",
        }
    }
}

/// One refund.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refund {
    pub(crate) amount: i64,
    reason: String,
    left: i64,
    pub(crate) at_ms: i64,
    pub(crate) transaction_key: String,
}

impl Refund {
    /// As it is shown in `cancels`.
    pub(crate) fn object(&self) -> Value {
        json!({
            "cancelAmount": self.amount, "cancelReason": self.reason, "taxFreeAmount": 0, "taxExemptionAmount": 0,
            "refundableAmount": self.left, "transferDiscountAmount": 0, "easyPayDiscountAmount": 0,
            "canceledAt": seoul(self.at_ms), "transactionKey": self.transaction_key, "receiptKey": null,
            "cancelStatus": "DONE", "cancelRequestId": null,
        })
    }
}

/// One payment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Payment {
    /// The provider's name of it.
    pub payment_key: String,
    /// The merchant's order.
    pub order_id: String,
    order_name: String,
    /// What the buyer agreed to pay.
    pub amount: i64,
    /// What the merchant still holds.
    pub balance: i64,
    /// Where it stands.
    pub status: Status,
    /// How the buyer pays.
    #[serde(default)]
    pub method: Method,
    decline: bool,
    requested_at_ms: i64,
    /// Until when a virtual account that was given out waits for its deposit.
    #[serde(default)]
    due_ms: Option<i64>,
    /// When the money was taken.
    pub approved_at_ms: Option<i64>,
    pub(crate) refunds: Vec<Refund>,
    /// How many times money moved from the buyer; more than one is a bug of somebody.
    pub effects: u32,
}

impl Payment {
    /// The newest movement's name; none before the first.
    pub(crate) fn last_transaction(&self) -> Option<&str> {
        let last = self.refunds.last().map_or(self.payment_key.as_str(), |refund| refund.transaction_key.as_str());
        self.approved_at_ms.map(|_| last)
    }

    /// What a deposit webhook proves itself with; known from the payment object alone.
    pub(crate) fn secret(&self) -> Option<String> {
        let tail = self.payment_key.get(self.payment_key.len().saturating_sub(8)..)?;
        (self.method == Method::VirtualAccount).then(|| format!("ps_{tail}"))
    }
}

/// An answer of the API: a status and a JSON body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: Value,
}

impl Answer {
    fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }

    /// An error body as Toss sends it.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self { status, body: json!({"code": code, "message": message}) }
    }

    /// True when nothing but the same answer may follow for the same idempotency key.
    fn is_final(&self) -> bool {
        self.status < 500 && self.status != 409
    }
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// A payment as it is now, and the answer that said so under an idempotency key.
    Payment(Box<Payment>, Option<(String, Answer)>),
    /// An answer that changed nothing.
    Answer(String, Answer),
}

/// What a merchant sends to confirm.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Confirm {
    payment_key: String,
    order_id: String,
    amount: i64,
}

/// What a merchant sends to give money back.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cancel {
    #[serde(rename = "cancelReason")]
    reason: String,
    #[serde(rename = "cancelAmount")]
    amount: Option<i64>,
    /// Where the money of a virtual account goes; it cannot go back the way it came.
    refund_receive_account: Option<Value>,
    /// Done by a person at the provider, who knows the account.
    #[serde(skip)]
    by_hand: bool,
}

impl Cancel {
    /// A refund by a person at the provider.
    pub(crate) fn by_hand(reason: String, amount: Option<i64>) -> Self {
        Self { reason, amount, refund_receive_account: None, by_hand: true }
    }
}

/// What the buyer agreed to on the checkout page.
#[derive(Clone, Debug)]
pub struct NewPayment {
    /// The merchant's order.
    pub order_id: String,
    /// What the buyer reads.
    pub order_name: String,
    /// In won.
    pub amount: i64,
    /// How the buyer pays.
    pub method: Method,
    /// Declined at confirm.
    pub decline: bool,
}

/// An answer, and the payment as it is now where the call changed it.
pub type Changed = (Answer, Option<Payment>);

/// Everything the simulator knows.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    file: File,
    /// Lines that are not in the file yet, and the answers in them.
    lines: Vec<u8>,
    told: Vec<(String, Answer)>,
    payments: HashMap<String, Payment>,
    orders: HashMap<String, Vec<String>>,
    keys: Arc<Mutex<Keys>>,
    window: Duration,
    deposit_window: Duration,
}

impl Store {
    /// Reads the file, drops a torn last line, and goes on where it stopped. Answers are kept in `keys`.
    pub fn open(
        path: &Path,
        keys: Arc<Mutex<Keys>>,
        window: Duration,
        deposit_window: Duration,
    ) -> std::io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut store = Self {
            path: path.to_owned(),
            file,
            lines: Vec::new(),
            told: Vec::new(),
            payments: HashMap::new(),
            orders: HashMap::new(),
            keys,
            window,
            deposit_window,
        };
        let mut reader = BufReader::new(store.file.try_clone()?);
        reader.seek(SeekFrom::Start(0))?;
        let (mut whole, mut text) = (0_u64, String::new());
        while reader.read_line(&mut text)? > 0 {
            let Some(line) = text.strip_suffix('\n') else { break };
            let line = serde_json::from_str(line).map_err(std::io::Error::other)?;
            store.apply(line);
            whole += text.len() as u64;
            text.clear();
        }
        store.file.set_len(whole)?;
        store.tell_keys();
        Ok(store)
    }

    /// The same from the file anew: nothing is known but what it has.
    pub(crate) fn reload(&mut self) -> std::io::Result<()> {
        *self = Self::open(&self.path, Arc::clone(&self.keys), self.window, self.deposit_window)?;
        Ok(())
    }

    fn apply(&mut self, line: Line) {
        match line {
            Line::Payment(payment, answer) => {
                self.told.extend(answer);
                if !self.payments.contains_key(&payment.payment_key) {
                    self.orders.entry(payment.order_id.clone()).or_default().push(payment.payment_key.clone());
                }
                self.payments.insert(payment.payment_key.clone(), *payment);
            }
            Line::Answer(key, answer) => self.told.push((key, answer)),
        }
    }

    /// From here on the answers are given again to who asks with their keys.
    fn tell_keys(&mut self) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).answered(self.told.drain(..));
    }

    fn write(&mut self, line: Line) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.lines, &line)?;
        self.lines.push(b'\n');
        self.apply(line);
        Ok(())
    }

    /// Makes what was changed durable. Nothing of it may be told before.
    pub(crate) fn flush(&mut self) -> std::io::Result<()> {
        if !self.lines.is_empty() {
            self.file.write_all(&self.lines)?;
            self.file.sync_data()?;
            self.lines.clear();
        }
        self.tell_keys();
        Ok(())
    }

    /// Stores a payment the buyer has agreed to and names it.
    pub fn create(&mut self, new: NewPayment, now_ms: i64) -> std::io::Result<Payment> {
        if self.payments.len() >= MAX_PAYMENTS {
            return Err(std::io::Error::other("the simulator is full"));
        }
        let payment = Payment {
            payment_key: format!("tsim_{}", random_hex()?),
            order_id: new.order_id,
            order_name: new.order_name,
            amount: new.amount,
            balance: new.amount,
            status: Status::InProgress,
            method: new.method,
            decline: new.decline,
            requested_at_ms: now_ms,
            due_ms: None,
            approved_at_ms: None,
            refunds: Vec::new(),
            effects: 0,
        };
        self.write(Line::Payment(Box::new(payment.clone()), None))?;
        Ok(payment)
    }

    fn expire(&self, payment: &Payment, now_ms: i64) -> Status {
        let window = i64::try_from(self.window.as_millis()).unwrap_or(i64::MAX);
        match (payment.status, payment.due_ms) {
            (Status::Ready | Status::InProgress, _) if now_ms.saturating_sub(payment.requested_at_ms) > window => {
                Status::Expired
            }
            (Status::WaitingForDeposit, Some(due)) if now_ms > due => Status::Expired,
            (status, _) => status,
        }
    }

    /// Every payment, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Payment> {
        self.payments.values()
    }

    /// Takes the money of an authenticated payment, or gives its virtual account out. Gives the payment where it changed.
    pub fn confirm(&mut self, ask: &Confirm, key: Option<&str>, now_ms: i64) -> std::io::Result<Changed> {
        let Some(mut payment) = self.payments.get(&ask.payment_key).cloned() else {
            return self.refuse(key, no_session());
        };
        match self.expire(&payment, now_ms) {
            Status::WaitingForDeposit | Status::Done | Status::Canceled | Status::PartialCanceled => {
                return self.refuse(key, Answer::error(400, "ALREADY_PROCESSED_PAYMENT", "이미 처리된 결제 입니다."));
            }
            Status::Aborted | Status::Expired => return self.refuse(key, no_session()),
            Status::Ready | Status::InProgress => {}
        }
        if payment.order_id != ask.order_id || payment.amount != ask.amount {
            return self.refuse(key, Answer::error(400, "INVALID_REQUEST", "잘못된 요청입니다."));
        }
        let charged = |other: &String| {
            self.payments
                .get(other)
                .is_some_and(|p| p.effects > 0 || self.expire(p, now_ms) == Status::WaitingForDeposit)
        };
        if self.orders.get(&payment.order_id).is_some_and(|keys| keys.iter().any(charged)) {
            let answer =
                Answer::error(400, "DUPLICATED_ORDER_ID", "이미 승인 및 취소가 진행된 중복된 주문번호 입니다.");
            return self.refuse(key, answer);
        }
        let answer = if payment.decline {
            payment.status = Status::Aborted;
            payment.balance = 0;
            Answer::error(403, "REJECT_CARD_PAYMENT", "한도초과 혹은 잔액부족으로 결제에 실패했습니다.")
        } else {
            if payment.method == Method::VirtualAccount {
                payment.status = Status::WaitingForDeposit;
                let window = i64::try_from(self.deposit_window.as_millis()).unwrap_or(i64::MAX);
                payment.due_ms = Some(now_ms.saturating_add(window));
            } else {
                payment.status = Status::Done;
                payment.approved_at_ms = Some(now_ms);
                payment.effects += 1;
            }
            Answer::ok(object(&payment, payment.status))
        };
        let stored = key.map(|key| (key.to_owned(), answer.clone()));
        self.write(Line::Payment(Box::new(payment.clone()), stored))?;
        Ok((answer, Some(payment)))
    }

    /// The buyer pays into the virtual account. Gives the payment where it changed.
    pub fn deposit(&mut self, payment_key: &str, now_ms: i64) -> std::io::Result<Changed> {
        let Some(mut payment) = self.payments.get(payment_key).cloned() else { return Ok((not_found(), None)) };
        if self.expire(&payment, now_ms) != Status::WaitingForDeposit {
            return Ok((Answer::error(400, "NOT_WAITING_FOR_DEPOSIT", "입금을 기다리는 결제가 아닙니다."), None));
        }
        payment.status = Status::Done;
        payment.approved_at_ms = Some(now_ms);
        payment.effects += 1;
        self.write(Line::Payment(Box::new(payment.clone()), None))?;
        Ok((Answer::ok(object(&payment, payment.status)), Some(payment)))
    }

    /// Gives money back, all of what is left or the amount asked for. Gives the payment where it changed.
    pub fn cancel(
        &mut self,
        payment_key: &str,
        ask: &Cancel,
        key: Option<&str>,
        now_ms: i64,
    ) -> std::io::Result<Changed> {
        let Some(mut payment) = self.payments.get(payment_key).cloned() else {
            return self.refuse(key, not_found());
        };
        let refusal = match payment.status {
            Status::Done | Status::PartialCanceled => None,
            Status::Canceled => Some(Answer::error(400, "ALREADY_CANCELED_PAYMENT", "이미 취소된 결제 입니다.")),
            _ => Some(Answer::error(403, "NOT_CANCELABLE_PAYMENT", "취소 할 수 없는 결제 입니다.")),
        };
        let amount = ask.amount.unwrap_or(payment.balance);
        let refusal = refusal.or_else(|| {
            let reason = ask.reason.chars().count();
            if reason == 0 || reason > 200 || amount <= 0 {
                Some(Answer::error(400, "INVALID_REQUEST", "잘못된 요청입니다."))
            } else if payment.method == Method::VirtualAccount && ask.refund_receive_account.is_none() && !ask.by_hand {
                Some(Answer::error(400, "INVALID_REFUND_ACCOUNT_INFO", "환불 계좌번호와 예금주명이 일치하지 않습니다."))
            } else if amount > payment.balance {
                Some(Answer::error(403, "NOT_CANCELABLE_AMOUNT", "취소 할 수 없는 금액 입니다."))
            } else {
                None
            }
        });
        if let Some(refusal) = refusal {
            return self.refuse(key, refusal);
        }
        payment.balance -= amount;
        payment.status = if payment.balance == 0 { Status::Canceled } else { Status::PartialCanceled };
        payment.refunds.push(Refund {
            amount,
            reason: ask.reason.clone(),
            left: payment.balance,
            at_ms: now_ms,
            transaction_key: random_hex()?,
        });
        let answer = Answer::ok(object(&payment, payment.status));
        let stored = key.map(|key| (key.to_owned(), answer.clone()));
        self.write(Line::Payment(Box::new(payment.clone()), stored))?;
        Ok((answer, Some(payment)))
    }

    fn refuse(&mut self, key: Option<&str>, answer: Answer) -> std::io::Result<Changed> {
        if let Some(key) = key.filter(|_| answer.is_final()) {
            self.write(Line::Answer(key.to_owned(), answer.clone()))?;
        }
        Ok((answer, None))
    }

    /// One payment by its key.
    pub fn by_key(&self, payment_key: &str, now_ms: i64) -> Answer {
        self.payments.get(payment_key).map_or_else(not_found, |p| Answer::ok(object(p, self.expire(p, now_ms))))
    }

    /// The payment of an order that took money, or else the newest.
    pub fn by_order(&self, order_id: &str, now_ms: i64) -> Answer {
        let keys = self.orders.get(order_id).map_or(&[][..], Vec::as_slice);
        let all = || keys.iter().rev().filter_map(|key| self.payments.get(key));
        let found = all().find(|p| p.effects > 0).or_else(|| all().next());
        found.map_or_else(not_found, |p| Answer::ok(object(p, self.expire(p, now_ms))))
    }

    /// What was charged, for tests: one entry a payment.
    pub fn report(&self, now_ms: i64) -> Value {
        let mut items: Vec<_> = self.payments.values().collect();
        items.sort_by(|a, b| (a.requested_at_ms, &a.payment_key).cmp(&(b.requested_at_ms, &b.payment_key)));
        let items: Vec<_> = items
            .into_iter()
            .map(|p| {
                let taken = if p.effects > 0 { p.amount * i64::from(p.effects) } else { 0 };
                let refunded: i64 = p.refunds.iter().map(|r| r.amount).sum();
                json!({
                    "order_id": p.order_id,
                    "payment_key": p.payment_key,
                    "status": self.expire(p, now_ms),
                    "amount_krw": p.amount,
                    "charged_krw": taken,
                    "refunded_krw": refunded,
                    "effects": p.effects,
                    "refunds": p.refunds.len(),
                })
            })
            .collect();
        json!({ "items": items })
    }
}

pub(crate) fn not_found() -> Answer {
    Answer::error(404, "NOT_FOUND_PAYMENT", "존재하지 않는 결제 정보 입니다.")
}

fn no_session() -> Answer {
    Answer::error(404, "NOT_FOUND_PAYMENT_SESSION", "결제 시간이 만료되어 결제 진행 데이터가 존재하지 않습니다.")
}

fn random_hex() -> std::io::Result<String> {
    let mut bytes = [0_u8; 12];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// A time as Toss writes it: ISO 8601 in Seoul, whole seconds.
pub(crate) fn seoul(ms: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).ok()?;
    at.to_offset(time::macros::offset!(+9)).format(&Rfc3339).ok()
}

/// The day of a time in Seoul.
pub(crate) fn seoul_date(ms: i64) -> Option<time::Date> {
    let at = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).ok()?;
    Some(at.to_offset(time::macros::offset!(+9)).date())
}

/// A payment as Toss's core API shows it.
pub(crate) fn object(p: &Payment, status: Status) -> Value {
    let vat = p.balance - (p.balance * 10 + 5) / 11;
    let cancels: Vec<_> = p.refunds.iter().map(Refund::object).collect();
    let failure = (status == Status::Aborted)
        .then(|| json!({"code": "REJECT_CARD_PAYMENT", "message": "한도초과 혹은 잔액부족으로 결제에 실패했습니다."}));
    let card = (p.method == Method::Card).then(|| {
        json!({
            "issuerCode": "71", "acquirerCode": "71", "number": "12345678****000*", "installmentPlanMonths": 0,
            "isInterestFree": false, "interestPayer": null, "approveNo": "00000000", "useCardPoint": false,
            "cardType": "신용", "ownerType": "개인", "acquireStatus": "READY", "amount": p.amount,
        })
    });
    let easy_pay =
        (p.method == Method::EasyPay).then(|| json!({"provider": "토스페이", "amount": p.amount, "discountAmount": 0}));
    let account = p.due_ms.filter(|_| p.method == Method::VirtualAccount).map(|at| {
        json!({
            "accountType": "일반", "accountNumber": "X6505636518308", "bankCode": "20", "customerName": "시뮬레이터",
            "depositorName": "", "dueDate": seoul(at), "expired": status == Status::Expired,
            "settlementStatus": "INCOMPLETED", "refundStatus": "NONE", "refundReceiveAccount": null,
        })
    });
    json!({
        "mId": "tosspayments",
        "version": "2022-11-16",
        "lastTransactionKey": p.last_transaction(),
        "paymentKey": p.payment_key,
        "orderId": p.order_id,
        "orderName": p.order_name,
        "taxExemptionAmount": 0,
        "status": status,
        "requestedAt": seoul(p.requested_at_ms),
        "approvedAt": p.approved_at_ms.and_then(seoul),
        "useEscrow": false,
        "cultureExpense": false,
        "card": card,
        "virtualAccount": account, "transfer": null, "mobilePhone": null, "giftCertificate": null,
        "cashReceipt": null, "cashReceipts": null, "discount": null,
        "cancels": if cancels.is_empty() { Value::Null } else { Value::Array(cancels) },
        "secret": p.secret(),
        "type": "NORMAL",
        "easyPay": easy_pay,
        "country": "KR",
        "failure": failure,
        "isPartialCancelable": true,
        "receipt": null,
        "checkout": null,
        "currency": "KRW",
        "totalAmount": p.amount,
        "balanceAmount": p.balance,
        "suppliedAmount": p.balance - vat,
        "vat": vat,
        "taxFreeAmount": 0,
        "metadata": null,
        "method": p.method.name(),
    })
}
