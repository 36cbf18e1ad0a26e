//! People: buyers and the organiser, what they know, what they do next, and what they may expect of the answers.

use axum::http::Method;
use nugul_domain::{HoldId, PerformanceId, seat_book::IDEMPOTENCY_TTL_MS};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    ground::Ground,
    toss,
    world::{Chance, note, now_ms, with},
};

/// Requests one person has under way at once.
const UNDER_WAY_MAX: usize = 2;
/// A buyer changes the amount, in Toss's window or on the way back, so many times in a hundred.
const TAMPERED_PERCENT: u64 = 4;
/// A buyer leaves the choice of seats to us so many times in a hundred.
const BEST_PERCENT: u64 = 15;
/// A buyer who gave an order up knows it is over so many times in a hundred; others pay it all the same.
const KNOWS_PERCENT: u64 = 70;

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Hold { seats: Option<Vec<u32>> },
    Extend,
    Swap,
    Release,
    Order,
    Read,
    Confirm { tampered: bool },
    GiveUp,
    Refund,
    Decide,
    CancelPerformance,
}

/// Where the answer to a key is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// In SQL, for good.
    InSql,
    /// In the live state, until that is lost or the key's time is over.
    Live,
    /// Nowhere: it changes nothing.
    Nowhere,
}

/// A request as it was first sent; sent again it is the same.
#[derive(Clone, Debug)]
pub struct Sent {
    what: What,
    /// The method.
    pub method: Method,
    /// The path, below `/api/v1`.
    pub path: String,
    /// The idempotency key.
    pub key: String,
    /// The body.
    pub body: Option<String>,
    /// When it was sent for the first time. Whichever copy is done first, its key's time does not count from before.
    first_ms: i64,
    /// What it was answered when it was done, and how often the live state had been lost when that was sent.
    done: Option<(Value, u64)>,
    unanswered: bool,
}

impl Sent {
    /// Its name in the trace.
    pub fn name(&self) -> &'static str {
        match self.what {
            What::Hold { .. } => "hold",
            What::Extend => "extend",
            What::Swap => "swap",
            What::Release => "release",
            What::Order => "order",
            What::Read => "read",
            What::Confirm { .. } => "confirm",
            What::GiveUp => "give up",
            What::Refund => "refund",
            What::Decide => "decide",
            What::CancelPerformance => "cancel performance",
        }
    }

    fn is_kept(&self) -> Kept {
        match self.what {
            What::Hold { .. } | What::Swap | What::Extend | What::Release => Kept::Live,
            What::Read => Kept::Nowhere,
            _ => Kept::InSql,
        }
    }

    /// Whether the key of a request sent then is remembered now.
    fn is_remembered(&self, then: u64, age: u64) -> bool {
        match self.is_kept() {
            Kept::InSql => true,
            Kept::Live => then == age && now_ms() < self.first_ms + IDEMPOTENCY_TTL_MS,
            Kept::Nowhere => false,
        }
    }

    /// What it was answered, while its key is remembered.
    fn remembered(&self, age: u64) -> Option<&Value> {
        self.done.as_ref().filter(|(_, then)| self.is_remembered(*then, age)).map(|(answer, _)| answer)
    }

    /// Whether a second answer says the same as the first. An order goes on meanwhile; what it is stays.
    fn says_the_same(&self, before: &Value, now: &Value) -> bool {
        match self.what {
            What::Order => ["id", "seats", "total_krw"].iter().all(|field| before[field] == now[field]),
            What::Confirm { .. } => before["id"] == now["id"],
            What::CancelPerformance => before["reason"] == now["reason"],
            _ => before == now,
        }
    }
}

struct KnownHold {
    id: HoldId,
    seats: Vec<u32>,
    until_ms: i64,
    used: bool,
}

struct KnownOrder {
    id: Uuid,
    total_krw: i64,
    payments: Vec<String>,
    over: bool,
}

struct KnownTicket {
    id: String,
    back_krw: i64,
    asked: bool,
}

/// What others learn from an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// A hold was made.
    Hold(HoldId),
    /// The organiser has to decide about a refund.
    Asked(String),
    /// Nothing.
    None,
}

/// A person.
pub struct Someone {
    number: usize,
    is_organiser: bool,
    /// Their access token.
    pub token: String,
    /// Everything they have sent.
    pub sent: Vec<Sent>,
    /// Requests without an answer yet.
    pub under_way: usize,
    /// Refunds the organiser has to decide.
    pub asked: Vec<String>,
    /// Whether the organiser may cancel a performance.
    pub may_cancel: bool,
    holds: Vec<KnownHold>,
    orders: Vec<KnownOrder>,
    tickets: Vec<KnownTicket>,
}

/// What a person could do next. Numbers are indexes of what they know.
#[derive(Clone, Copy)]
enum Choice {
    Hold,
    Extend(usize),
    Swap(usize),
    Order(usize),
    Release(usize),
    Read(usize),
    Pay(usize),
    Confirm(usize),
    GiveUp(usize),
    Refund(usize),
    Decide(usize),
    CancelPerformance,
    Nothing,
    Again(usize),
    OtherBody(usize),
}

impl Someone {
    /// A new one.
    pub fn new(number: usize, token: String, is_organiser: bool) -> Self {
        Self {
            number,
            is_organiser,
            token,
            sent: Vec::new(),
            under_way: 0,
            asked: Vec::new(),
            may_cancel: false,
            holds: Vec::new(),
            orders: Vec::new(),
            tickets: Vec::new(),
        }
    }

    /// Does the next thing; gives the request to be sent, if there is one.
    pub fn act(&mut self, ground: &Ground, performances: &[PerformanceId]) -> Option<usize> {
        if self.under_way >= UNDER_WAY_MAX {
            return None;
        }
        let mut choices = if self.is_organiser { self.organisers_choices() } else { self.buyers_choices() };
        for (n, sent) in self.sent.iter().enumerate().filter(|(_, s)| s.what != What::Read) {
            choices.push((if sent.unanswered { 6 } else { 1 }, Choice::Again(n)));
        }
        if !self.sent.is_empty() {
            choices.push((1, Choice::OtherBody(with(|w| w.chance.index(self.sent.len())))));
        }
        let all = choices.iter().map(|(weight, _)| weight).sum();
        let mut at = with(|w| w.chance.below(all));
        let choice = choices.into_iter().find(|(weight, _)| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found
        });
        self.choose(choice?.1, ground, performances)
    }

    fn organisers_choices(&self) -> Vec<(u64, Choice)> {
        let mut choices: Vec<_> = (0..self.asked.len()).map(|n| (8, Choice::Decide(n))).collect();
        choices.push((20, Choice::Nothing));
        if self.may_cancel {
            choices.push((1, Choice::CancelPerformance));
        }
        choices
    }

    fn buyers_choices(&self) -> Vec<(u64, Choice)> {
        let now = now_ms();
        let open = self.orders.iter().filter(|o| !o.over).count()
            + self.holds.iter().filter(|h| !h.used && h.until_ms > now).count();
        let mut choices = vec![(if open == 0 { 8 } else { 1 }, Choice::Hold)];
        for (n, hold) in self.holds.iter().enumerate() {
            match (hold.used, hold.until_ms > now) {
                (false, true) => choices.extend([
                    (10, Choice::Order(n)),
                    (1, Choice::Release(n)),
                    (1, Choice::Extend(n)),
                    (2, Choice::Swap(n)),
                ]),
                (false, false) => choices.push((1, Choice::Order(n))),
                (true, true) => {
                    choices.extend([(1, Choice::Order(n)), (1, Choice::Release(n)), (1, Choice::Swap(n))]);
                }
                (true, false) => {}
            }
        }
        for (n, order) in self.orders.iter().enumerate().filter(|(_, o)| !o.over) {
            choices.push((2, Choice::GiveUp(n)));
            if order.payments.is_empty() {
                choices.push((10, Choice::Pay(n)));
            } else {
                choices.extend([(8, Choice::Confirm(n)), (5, Choice::Read(n)), (1, Choice::Pay(n))]);
            }
        }
        for (n, ticket) in self.tickets.iter().enumerate() {
            choices.push((if ticket.asked { 1 } else { 10 }, Choice::Refund(n)));
        }
        choices
    }

    fn choose(&mut self, choice: Choice, ground: &Ground, performances: &[PerformanceId]) -> Option<usize> {
        match choice {
            Choice::Hold => {
                let performance = performances.get(with(|w| w.chance.index(performances.len())))?;
                let (seats, body) = wish(ground);
                let path = format!("/performances/{performance}/holds");
                Some(self.new_request(What::Hold { seats }, Method::POST, path, Some(body)))
            }
            Choice::Extend(n) => {
                let path = format!("/holds/{}/extend", self.holds.get(n)?.id);
                Some(self.new_request(What::Extend, Method::POST, path, None))
            }
            Choice::Swap(n) => {
                let hold = self.holds.get(n)?;
                let give = hold.seats.get(with(|w| w.chance.index(hold.seats.len())))?;
                let take = with(|w| pick(&mut w.chance, ground));
                let body = json!({ "give": [give], "take": [take] });
                let path = format!("/holds/{}/swap", hold.id);
                Some(self.new_request(What::Swap, Method::POST, path, Some(body)))
            }
            Choice::Order(n) => {
                let hold = self.holds.get_mut(n)?;
                hold.used = true;
                let body = json!({ "hold_id": hold.id });
                Some(self.new_request(What::Order, Method::POST, "/orders".into(), Some(body)))
            }
            Choice::Release(n) => {
                let path = format!("/holds/{}", self.holds.get(n)?.id);
                Some(self.new_request(What::Release, Method::DELETE, path, None))
            }
            Choice::Pay(n) => {
                let order = self.orders.get_mut(n)?;
                let declines = toss::declines();
                let key = with(|w| {
                    let amount = if w.chance.percent(TAMPERED_PERCENT) { 100 } else { order.total_krw };
                    w.toss.agree(order.id, amount, w.now_ms, declines)
                });
                note(&format!("person {} agrees to pay {} for {}", self.number, key, order.id));
                order.payments.push(key);
                None
            }
            Choice::Read(n) => {
                let path = format!("/orders/{}", self.orders.get(n)?.id);
                Some(self.new_request(What::Read, Method::GET, path, None))
            }
            Choice::Confirm(n) => {
                let order = self.orders.get(n)?;
                let (key, tampered) =
                    with(|w| (w.chance.index(order.payments.len()), w.chance.percent(TAMPERED_PERCENT)));
                let amount = order.total_krw + i64::from(tampered);
                let body = json!({ "payment_key": order.payments.get(key)?, "amount_krw": amount });
                let path = format!("/orders/{}/confirm", order.id);
                Some(self.new_request(What::Confirm { tampered }, Method::POST, path, Some(body)))
            }
            Choice::GiveUp(n) => {
                let path = format!("/orders/{}", self.orders.get(n)?.id);
                Some(self.new_request(What::GiveUp, Method::DELETE, path, None))
            }
            Choice::Refund(n) => {
                let ticket = self.tickets.get_mut(n)?;
                ticket.asked = true;
                let body = json!({ "reason": "", "amount_krw": ticket.back_krw });
                let path = format!("/tickets/{}/refund-requests", ticket.id);
                Some(self.new_request(What::Refund, Method::POST, path, Some(body)))
            }
            Choice::Decide(n) => {
                let id = self.asked.swap_remove(n);
                let how = if with(|w| w.chance.percent(60)) { "accept" } else { "decline" };
                let path = format!("/refund-requests/{id}/{how}");
                Some(self.new_request(What::Decide, Method::POST, path, None))
            }
            Choice::CancelPerformance => {
                self.may_cancel = false;
                let performance = performances.first()?;
                let path = format!("/performances/{performance}/cancellation");
                let body = json!({ "reason": "비" });
                Some(self.new_request(What::CancelPerformance, Method::POST, path, Some(body)))
            }
            Choice::Nothing => None,
            Choice::Again(n) => Some(n),
            Choice::OtherBody(n) => self.other_body(n, ground),
        }
    }

    /// The same key with another body.
    fn other_body(&mut self, n: usize, ground: &Ground) -> Option<usize> {
        let mut other = Sent { done: None, unanswered: false, ..self.sent.get(n)?.clone() };
        let body = match &other.what {
            What::Hold { .. } => {
                let (seats, body) = wish(ground);
                other.what = What::Hold { seats };
                body
            }
            What::Order => json!({ "hold_id": self.holds.first()?.id }),
            What::Confirm { .. } => {
                let body: Value = serde_json::from_str(other.body.as_deref()?).ok()?;
                json!({ "payment_key": "tsim_other", "amount_krw": body["amount_krw"] })
            }
            What::Refund => {
                let body: Value = serde_json::from_str(other.body.as_deref()?).ok()?;
                json!({ "reason": "다른 이유", "amount_krw": body["amount_krw"] })
            }
            _ => return None,
        };
        let body = body.to_string();
        if other.body.as_deref() == Some(&body) {
            return None;
        }
        other.body = Some(body);
        self.sent.push(other);
        Some(self.sent.len() - 1)
    }

    fn new_request(&mut self, what: What, method: Method, path: String, body: Option<Value>) -> usize {
        let key = format!("k{}-{}", self.number, self.sent.len());
        let body = body.map(|b| b.to_string());
        self.sent.push(Sent { what, method, path, key, body, first_ms: now_ms(), done: None, unanswered: true });
        self.sent.len() - 1
    }

    /// The answer to a request came, or will not come. `age` counts how often the live state was lost, `then` how often it had been
    /// when this copy of it was sent. Gives what others learn from it, or what is wrong with the answer.
    pub fn hear(
        &mut self,
        n: usize,
        answer: Option<(u16, &str)>,
        then: u64,
        age: u64,
        ground: &Ground,
    ) -> Result<News, String> {
        let Some(sent) = self.sent.get_mut(n) else { return Ok(News::None) };
        let Some((status, text)) = answer else {
            sent.unanswered = true;
            return Ok(News::None);
        };
        sent.unanswered = status == 503;
        if status == 500 {
            return Err(format!("{} {} was answered with our own fault: {text}", sent.method, sent.path));
        }
        if !(200..300).contains(&status) {
            return Ok(News::None);
        }
        let value = match (status, serde_json::from_str(text)) {
            (204, _) => Value::Null,
            (_, Ok(value)) => value,
            (_, Err(_)) => return Err(format!("{} {}: the answer cannot be read: {text}", sent.method, sent.path)),
        };
        // An answer from before says nothing about the key now: the live state was lost, or the key's time was over.
        let counts = sent.is_remembered(then, age);
        if counts
            && let Some(before) = sent.remembered(age)
            && !sent.says_the_same(before, &value)
        {
            return Err(format!("key {} was answered {before}, and then {value}", sent.key));
        }
        let is_new = sent.done.as_ref().is_none_or(|(before, _)| *before != value);
        if sent.done.is_none() || (counts && is_new && sent.is_kept() == Kept::Live) {
            sent.done = Some((value.clone(), then));
        }
        let sent = sent.clone();
        let other = |o: &&Sent| o.key == sent.key && o.body != sent.body && o.remembered(age).is_some();
        if counts && self.sent.iter().any(|o| other(&o)) {
            return Err(format!("key {} did two different things: {text}", sent.key));
        }
        self.learn(&sent, &value, text, ground)
    }

    fn learn(&mut self, sent: &Sent, value: &Value, text: &str, ground: &Ground) -> Result<News, String> {
        let field = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        match &sent.what {
            What::Hold { .. } | What::Extend | What::Swap => {
                let id: HoldId = field("id").parse().map_err(|_| format!("a hold without an id: {text}"))?;
                let all = value["seats"].as_array().into_iter().flatten();
                let seats: Vec<u32> =
                    all.filter_map(|s| s["index"].as_u64()).filter_map(|s| u32::try_from(s).ok()).collect();
                let asked = if let What::Hold { seats } = &sent.what { seats.as_ref() } else { None };
                if seats.is_empty() || asked.is_some_and(|asked| *asked != seats) {
                    return Err(format!("a hold of other seats than were asked for: {text}"));
                }
                let until = nugul_domain::Timestamp::parse(&field("expires_at"));
                let until_ms = until.map_err(|_| format!("a hold without an end: {text}"))?.as_millis();
                match self.holds.iter_mut().find(|h| h.id == id) {
                    Some(known) => (known.seats, known.until_ms) = (seats, until_ms),
                    None => self.holds.push(KnownHold { id, seats, until_ms, used: false }),
                }
                Ok(News::Hold(id))
            }
            What::Confirm { tampered: true } => Err(format!("another amount than the order's was taken: {text}")),
            What::Order | What::Confirm { .. } | What::Read => {
                let id = Uuid::try_parse(&field("id")).map_err(|_| format!("an order without an id: {text}"))?;
                let over = !matches!(field("state").as_str(), "pending" | "confirming");
                let total_krw = value["total_krw"].as_i64().unwrap_or_default();
                match self.orders.iter_mut().find(|o| o.id == id) {
                    Some(order) => order.over |= over,
                    None => self.orders.push(KnownOrder { id, total_krw, payments: Vec::new(), over }),
                }
                let kept = ground
                    .performances
                    .iter()
                    .find(|(p, _)| value["performance"]["id"] == json!(p))
                    .map_or(0, |(_, kept)| *kept);
                let tickets = value["tickets"].as_array().into_iter().flatten();
                let prices = value["seats"].as_array().into_iter().flatten();
                for (ticket, seat) in tickets.zip(prices) {
                    let id = ticket.as_str().unwrap_or_default().to_owned();
                    let price = seat["price_krw"].as_i64().unwrap_or_default();
                    if !self.tickets.iter().any(|t| t.id == id) {
                        self.tickets.push(KnownTicket { id, back_krw: price - price * kept / 100, asked: false });
                    }
                }
                Ok(News::None)
            }
            What::GiveUp => {
                if let Some(order) = self.orders.iter_mut().find(|o| sent.path.ends_with(&o.id.to_string())) {
                    order.over = with(|w| w.chance.percent(KNOWS_PERCENT));
                }
                Ok(News::None)
            }
            What::Refund if value["state"] == "requested" => Ok(News::Asked(field("id"))),
            What::Refund | What::Release | What::Decide | What::CancelPerformance => Ok(News::None),
        }
    }
}

/// One or two seats, or the best ones of a grade.
fn wish(ground: &Ground) -> (Option<Vec<u32>>, Value) {
    with(|w| {
        if w.chance.percent(BEST_PERCENT) {
            return (None, json!({ "best": { "grade": "R", "count": w.chance.between(1, 2) } }));
        }
        let first = pick(&mut w.chance, ground);
        let second = pick(&mut w.chance, ground);
        let mut seats = vec![first];
        if second != first && w.chance.percent(50) {
            seats.push(second);
        }
        seats.sort_unstable();
        let body = json!({ "seats": seats });
        (Some(seats), body)
    })
}

fn pick(chance: &mut Chance, ground: &Ground) -> u32 {
    u32::try_from(chance.index(ground.prices.len())).unwrap_or(0)
}
