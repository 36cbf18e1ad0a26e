//! One buyer in the rush: looks, holds, orders, pays, or changes its mind; never gives up on an answer before its time.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use nugul_api::{
    Code, Problem,
    accounts::Tokens,
    booking::{Hold, Order},
    headers::{IDEMPOTENCY_KEY, PROBLEM_JSON},
    seats::SeatSnapshot,
};
use nugul_domain::{OrderId, PerformanceId, SeatIndex, SeatState, order::OrderState};
use nugul_tests::{Answer, Buyer, Decision, Toss, http::Method, new_key, people::PASSWORD};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::random::Random;

/// How long a client asks for the same answer with the same key.
const ANSWER_MAX: Duration = Duration::from_mins(2);
/// The pause before asking again, in milliseconds.
const AGAIN_MS: (u64, u64) = (100, 600);
/// Holds a client tries before it goes home without.
const HOLDS_MAX: usize = 8;
/// The most seats a client wants.
const SEATS_MAX: u32 = 2;
/// How long a client thinks before its next step, in milliseconds.
const THINK_MS: (u64, u64) = (0, 800);
/// When a client that hangs up does so, in milliseconds: before, while and after its order is made.
const HANG_UP_MS: (u64, u64) = (0, 12);
/// How long the outcome of a payment may take.
const OUTCOME_MAX: Duration = Duration::from_mins(3);
/// How often it is looked for.
const OUTCOME_LOOK: Duration = Duration::from_millis(500);

/// How it ended for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was told of its tickets: this order, these seats.
    Bought(OrderId, Vec<SeatIndex>),
    /// Its card was declined, or the order had ended before it paid.
    Ended(&'static str),
    /// It was refused.
    Refused(Code),
    /// It was not answered in time.
    Unanswered(String),
}

/// What all clients together saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Refusals by code, each time one came.
    pub(crate) refusals: Mutex<BTreeMap<&'static str, u64>>,
    /// Requests whose connection broke.
    pub(crate) broken: AtomicU64,
    /// What must not be: answers without sense, versions and fences that go back.
    pub(crate) wrong: Mutex<Vec<String>>,
    /// How long each kind of request took until its answer, with all its tries.
    pub(crate) took: Mutex<BTreeMap<&'static str, Vec<Duration>>>,
    version: AtomicI64,
    fence: AtomicI64,
}

impl Seen {
    fn wrong(&self, what: String) {
        lock(&self.wrong).push(what);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a client needs.
pub(crate) struct Client<'a> {
    pub(crate) buyer: &'a mut Buyer,
    pub(crate) performance: PerformanceId,
    pub(crate) toss: &'a Toss,
    pub(crate) seen: &'a Seen,
    pub(crate) random: Random,
}

/// Why a client goes no further.
enum Stop {
    Refused(Code),
    Unanswered(String),
}

impl From<Stop> for Outcome {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refused(code) => Self::Refused(code),
            Stop::Unanswered(what) => Self::Unanswered(what),
        }
    }
}

impl Client<'_> {
    /// The whole visit.
    pub(crate) async fn visit(mut self) -> Outcome {
        match self.buys().await {
            Ok(outcome) => outcome,
            Err(stop) => stop.into(),
        }
    }

    async fn buys(&mut self) -> Result<Outcome, Stop> {
        let hold = self.holds().await?;
        self.thinks().await;
        let mind = self.random.between(0, 100);
        if mind < 5 {
            self.removes("release", &format!("holds/{}", hold.id)).await?;
            return Ok(Outcome::Ended("gave its seats back"));
        }
        if mind < 10 {
            return Ok(Outcome::Ended("left its hold"));
        }
        if mind < 14 {
            self.hangs_up("orders", &json!({ "hold_id": hold.id })).await;
            return Ok(Outcome::Ended("hung up while ordering"));
        }
        let order: Order = self.writes("order", "orders", &json!({ "hold_id": hold.id })).await?;
        self.thinks().await;
        if mind < 18 {
            return Ok(Outcome::Ended("left its order"));
        }
        if mind < 22 {
            self.removes("cancel", &format!("orders/{}", order.id)).await?;
            return Ok(Outcome::Ended("cancelled its order"));
        }
        let decision = if mind < 26 { Decision::Decline } else { Decision::Pay };
        let key = self.toss.decide(&order.id.to_string(), order.total_krw.0, decision).await;
        let body = json!({ "payment_key": key, "amount_krw": order.total_krw });
        let mut now: Order = self.writes("confirm", &format!("orders/{}/confirm", order.id), &body).await?;
        let end = Instant::now() + OUTCOME_MAX;
        while matches!(now.state, OrderState::Pending | OrderState::Confirming) {
            if Instant::now() >= end {
                return Err(Stop::Unanswered(format!("order {} is still {:?}", order.id, now.state)));
            }
            tokio::time::sleep(OUTCOME_LOOK).await;
            now = self.reads("look", &format!("orders/{}", order.id)).await?;
        }
        Ok(match now.state {
            OrderState::Paid => {
                if now.tickets.len() != now.seats.len() {
                    self.seen.wrong(format!("order {} has {} tickets", now.id, now.tickets.len()));
                }
                Outcome::Bought(now.id, now.seats.iter().map(|seat| seat.index).collect())
            }
            OrderState::Declined => Outcome::Ended("was declined"),
            _ => Outcome::Ended("paid too late"),
        })
    }

    async fn thinks(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.random.between(THINK_MS.0, THINK_MS.1))).await;
    }

    /// Tries seats that look free, until it has some or none look free; one who sees none asks for one all the same.
    async fn holds(&mut self) -> Result<Hold, Stop> {
        let path = format!("performances/{}/holds", self.performance);
        let mut last = Code::SeatsTaken;
        for _ in 0..HOLDS_MAX {
            let before = self.seen.version.load(Ordering::SeqCst);
            let snapshot: SeatSnapshot =
                self.reads("snapshot", &format!("performances/{}/seats", self.performance)).await?;
            if snapshot.version < before {
                self.seen.wrong(format!("version {} after {before}", snapshot.version));
            }
            self.seen.version.fetch_max(snapshot.version, Ordering::SeqCst);
            let states = snapshot.unpack().unwrap_or_default();
            let free: Vec<SeatIndex> =
                (0..).zip(&states).filter(|(_, state)| **state == SeatState::Available).map(|(seat, _)| seat).collect();
            let first = self.random.one_of(&free).copied();
            let count = usize::try_from(self.random.between(1, u64::from(SEATS_MAX) + 1)).unwrap_or(1);
            let wanted: Vec<SeatIndex> = first.map_or_else(
                || vec![0],
                |first| free.iter().copied().skip_while(|seat| *seat < first).take(count).collect(),
            );
            let before = self.seen.fence.load(Ordering::SeqCst);
            match self.writes::<Hold>("hold", &path, &json!({ "seats": wanted })).await {
                Ok(hold) => {
                    if hold.fence <= before {
                        self.seen.wrong(format!("fence {} after {before}", hold.fence));
                    }
                    self.seen.fence.fetch_max(hold.fence, Ordering::SeqCst);
                    return Ok(hold);
                }
                Err(Stop::Refused(Code::SeatsTaken)) if first.is_some() => last = Code::SeatsTaken,
                Err(stop) => return Err(stop),
            }
        }
        Err(Stop::Refused(last))
    }

    /// Asks once, closes the connection in the middle, and never comes back.
    async fn hangs_up(&mut self, path: &str, body: &Value) {
        let key = new_key();
        let headers = [(IDEMPOTENCY_KEY, key.as_str()), ("content-type", "application/json")];
        let patience = Duration::from_millis(self.random.between(HANG_UP_MS.0, HANG_UP_MS.1));
        // A connection of its own: one that is shared would live on.
        let api = self.buyer.api.fresh();
        let asked = api.try_send(Method::POST, path, &headers, Some(body.to_string().into_bytes()));
        // Whether it was answered before is the same to it.
        let _ = tokio::time::timeout(patience, asked).await;
    }

    async fn reads<T: DeserializeOwned>(&mut self, what: &'static str, path: &str) -> Result<T, Stop> {
        let answer = self.asks(what, Method::GET, path, None).await?;
        self.made_of(&answer)
    }

    async fn writes<T: DeserializeOwned>(&mut self, what: &'static str, path: &str, body: &Value) -> Result<T, Stop> {
        let answer = self.asks(what, Method::POST, path, Some(body)).await?;
        self.made_of(&answer)
    }

    async fn removes(&mut self, what: &'static str, path: &str) -> Result<(), Stop> {
        self.asks(what, Method::DELETE, path, None).await.map(drop)
    }

    fn made_of<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Stop> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            let what = format!("{}: {} {error}: {}", answer.asked, answer.status, answer.text());
            self.seen.wrong(what.clone());
            Stop::Unanswered(what)
        })
    }

    /// Asks with one key until there is an answer that stays: broken connections and "not now" are asked again.
    async fn asks(
        &mut self,
        what: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Stop> {
        let (key, begun) = (new_key(), Instant::now());
        let headers = [(IDEMPOTENCY_KEY, key.as_str()), ("content-type", "application/json")];
        let bytes = body.map(|body| body.to_string().into_bytes());
        let mut last = String::new();
        while begun.elapsed() < ANSWER_MAX {
            match self.buyer.api.try_send(method.clone(), path, &headers, bytes.clone()).await {
                Err(error) => {
                    self.seen.broken.fetch_add(1, Ordering::Relaxed);
                    last = error.to_string();
                }
                Ok(answer) if (200..300).contains(&answer.status) => {
                    lock(&self.seen.took).entry(what).or_default().push(begun.elapsed());
                    return Ok(answer);
                }
                Ok(answer) => {
                    let code = self.refusal(&answer)?;
                    *lock(&self.seen.refusals).entry(code.as_str()).or_default() += 1;
                    match code {
                        Code::Unavailable | Code::Overloaded | Code::TooManyRequests => {
                            code.as_str().clone_into(&mut last);
                        }
                        // Asked again all the same: what it left behind has to be right.
                        Code::Internal => {
                            self.seen.wrong(format!("{method} {path}: our own fault: {}", answer.text()));
                            code.as_str().clone_into(&mut last);
                        }
                        Code::TokenExpired => self.logs_in().await,
                        _ => {
                            lock(&self.seen.took).entry(what).or_default().push(begun.elapsed());
                            return Err(Stop::Refused(code));
                        }
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(self.random.between(AGAIN_MS.0, AGAIN_MS.1))).await;
        }
        Err(Stop::Unanswered(format!("{method} {path}: {last}")))
    }

    /// Logs in again; where that is not possible now, the next refusal says so.
    async fn logs_in(&mut self) {
        let body = json!({ "email": self.buyer.account.email, "password": PASSWORD }).to_string().into_bytes();
        let key = new_key();
        let headers = [(IDEMPOTENCY_KEY, key.as_str()), ("content-type", "application/json")];
        let Ok(answer) = self.buyer.api.try_send(Method::POST, "auth/log-in", &headers, Some(body)).await else {
            return;
        };
        if let Ok(tokens) = serde_json::from_slice::<Tokens>(&answer.body) {
            self.buyer.api = self.buyer.api.with_token(&tokens.access_token);
        }
    }

    /// The code of a refusal, which must be a whole problem.
    fn refusal(&self, answer: &Answer) -> Result<Code, Stop> {
        let problem = serde_json::from_slice::<Problem>(&answer.body);
        let whole = |p: &Problem| {
            answer.header("content-type") == Some(PROBLEM_JSON)
                && p.status == answer.status
                && p.code.status() == p.status
        };
        problem.ok().filter(whole).map(|p| p.code).ok_or_else(|| {
            let what = format!("{}: {} without a problem: {}", answer.asked, answer.status, answer.text());
            self.seen.wrong(what.clone());
            Stop::Unanswered(what)
        })
    }
}

/// Accounts that clients take turns with.
pub(crate) struct Accounts {
    free: tokio::sync::Mutex<mpsc::Receiver<Buyer>>,
    back: mpsc::Sender<Buyer>,
}

impl Accounts {
    /// All of them free.
    pub(crate) async fn new(buyers: Vec<Buyer>) -> Self {
        let (back, free) = mpsc::channel(buyers.len().max(1));
        for buyer in buyers {
            // There is room for each.
            let _ = back.send(buyer).await;
        }
        Self { free: tokio::sync::Mutex::new(free), back }
    }

    /// The next that is free; `None` where there is none in the time that an answer may take.
    pub(crate) async fn take(&self) -> Option<Buyer> {
        let next = async { self.free.lock().await.recv().await };
        tokio::time::timeout(ANSWER_MAX, next).await.ok().flatten()
    }

    /// Gives one back.
    pub(crate) async fn give_back(&self, buyer: Buyer) {
        let _ = self.back.send(buyer).await;
    }
}

impl Outcome {
    /// What it is called in the figures.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Bought(..) => "bought".to_owned(),
            Self::Ended(how) => (*how).to_owned(),
            Self::Refused(code) => format!("refused: {}", code.as_str()),
            Self::Unanswered(_) => "unanswered".to_owned(),
        }
    }
}
