//! After the sale: waits until everything is settled, then holds the books against each other. The databases, the live
//! seats, the provider's own report and what the clients were told must all say the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use nugul_api::seats::SeatSnapshot;
use nugul_domain::{OrderId, PerformanceId, SeatIndex, SeatState};
use nugul_tests::{World, http::Method};
use serde::Serialize;
use serde_json::Value;
use sqlx::{AnyPool, Row, any::AnyPoolOptions};

use crate::client::Outcome;

/// How long orders, messages, payments and holds may take to be settled once nothing is broken any more.
const QUIET_MAX: Duration = Duration::from_mins(3);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long the seats may be away after the last fault.
const AWAY_MAX: Duration = Duration::from_mins(1);

/// One thing that must hold.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    /// What must hold.
    pub(crate) what: &'static str,
    /// Whether it does.
    pub(crate) ok: bool,
    /// The numbers that show it.
    pub(crate) detail: String,
}

/// What was sold, as the databases say.
#[derive(Debug, Default)]
struct Books {
    tickets: BTreeMap<SeatIndex, (OrderId, i64)>,
    lines: BTreeMap<SeatIndex, (OrderId, i64)>,
    twice: Vec<String>,
    claims: BTreeMap<SeatIndex, (OrderId, bool)>,
    /// What the payment service holds for each order: taken less refunded.
    held: BTreeMap<OrderId, i64>,
    everything: i64,
    taken: i64,
    refunded: i64,
    open_cases: i64,
    /// The most live tickets one buyer has.
    most_of_one: i64,
}

/// The most seats a buyer may have of the performance, by default.
const SEATS_PER_BUYER_MAX: i64 = 4;

type Failed = String;

fn said(error: impl std::fmt::Display) -> Failed {
    error.to_string()
}

/// The databases.
pub(crate) struct Databases {
    coordinator: AnyPool,
    payment: AnyPool,
}

impl Databases {
    /// Connects.
    pub(crate) async fn open(world: &World) -> Result<Self, Failed> {
        sqlx::any::install_default_drivers();
        let (coordinator, payment) = world.mysql_urls().ok_or("this platform has no MariaDB")?;
        let pool =
            |url: String| async move { AnyPoolOptions::new().max_connections(2).connect(&url).await.map_err(said) };
        Ok(Self { coordinator: pool(coordinator).await?, payment: pool(payment).await? })
    }

    async fn count(pool: &AnyPool, sql: &'static str) -> Result<i64, Failed> {
        sqlx::query(sql).fetch_one(pool).await.and_then(|row| row.try_get(0)).map_err(said)
    }

    /// What is not settled yet, in words; empty where all is.
    async fn unsettled(&self) -> Result<Vec<String>, Failed> {
        let (c, p) = (&self.coordinator, &self.payment);
        let counts = [
            (
                "orders open",
                Self::count(c, "SELECT COUNT(*) FROM orders WHERE state IN ('pending', 'confirming')").await?,
            ),
            ("messages owed", Self::count(c, "SELECT COUNT(*) FROM outbox WHERE done_at IS NULL").await?),
            // 2 and 5: confirming, refunding. Steps 1 and 2 of a cancel: wanted, asked for.
            (
                "payments under way",
                Self::count(
                    p,
                    "SELECT (SELECT COUNT(*) FROM payments WHERE state IN (2, 5)) + (SELECT COUNT(*) FROM cancels WHERE step IN (1, 2))",
                )
                .await?,
            ),
            (
                "payment results not heard of",
                Self::count(p, "SELECT last_offset FROM result_counter WHERE id = 1").await?
                    - Self::count(c, "SELECT last_offset FROM inbox WHERE source = 'payment'").await?,
            ),
        ];
        Ok(counts.iter().filter(|(_, n)| *n != 0).map(|(what, n)| format!("{n} {what}")).collect())
    }

    async fn books(&self, performance: PerformanceId) -> Result<Books, Failed> {
        let mut books = Books::default();
        let p: Vec<u8> = performance.to_bytes();
        for (sql, lines) in [
            ("SELECT seat, order_id, price_krw FROM tickets WHERE performance_id = ? AND live = 1", false),
            (
                "SELECT l.seat, l.order_id, l.price_krw FROM order_lines l JOIN orders o ON o.id = l.order_id \
                 WHERE o.performance_id = ? AND o.state = 'paid'",
                true,
            ),
        ] {
            for row in sqlx::query(sql).bind(p.clone()).fetch_all(&self.coordinator).await.map_err(said)? {
                let (seat, order, price) = (seat_of(&row)?, order_of(&row)?, row.try_get(2).map_err(said)?);
                let into = if lines { &mut books.lines } else { &mut books.tickets };
                if let Some((other, _)) = into.insert(seat, (order, price)) {
                    books.twice.push(format!("seat {seat} to {other} and {order}"));
                }
            }
        }
        let sql = "SELECT seat, order_id, sold FROM seat_claims WHERE performance_id = ? AND order_id IS NOT NULL";
        for row in sqlx::query(sql).bind(p).fetch_all(&self.coordinator).await.map_err(said)? {
            let sold: i64 = row.try_get(2).map_err(said)?;
            books.claims.insert(seat_of(&row)?, (order_of(&row)?, sold == 1));
        }
        let sql = "SELECT order_id, movement, amount, account FROM ledger";
        for row in sqlx::query(sql).fetch_all(&self.payment).await.map_err(said)? {
            let id = OrderId::from_bytes(&row.try_get::<Vec<u8>, _>(0).map_err(said)?).map_err(|_| "an order's id")?;
            let (kind, amount): (i64, i64) = (row.try_get(1).map_err(said)?, row.try_get(2).map_err(said)?);
            books.everything += amount;
            if row.try_get::<String, _>(3).map_err(said)? == "provider_receivable" {
                *books.held.entry(id).or_default() += amount;
                if kind == 1 { books.taken += amount } else { books.refunded -= amount }
            }
        }
        books.held.retain(|_, held| *held != 0);
        let most =
            "SELECT COALESCE(MAX(n), 0) FROM (SELECT COUNT(*) AS n FROM tickets WHERE live = 1 GROUP BY user_id) t";
        books.most_of_one = Self::count(&self.coordinator, most).await?;
        books.open_cases = Self::count(&self.payment, "SELECT COUNT(*) FROM cases WHERE closed_at_ms = 0").await?;
        Ok(books)
    }
}

fn seat_of(row: &sqlx::any::AnyRow) -> Result<SeatIndex, Failed> {
    SeatIndex::try_from(row.try_get::<i64, _>(0).map_err(said)?).map_err(said)
}

fn order_of(row: &sqlx::any::AnyRow) -> Result<OrderId, Failed> {
    OrderId::from_bytes(&row.try_get::<Vec<u8>, _>(1).map_err(said)?).map_err(|_| "an order's id".to_owned())
}

/// The live seats, asked for until they are shown: what was broken last may still be coming back.
async fn states(world: &World, performance: PerformanceId) -> Result<Vec<SeatState>, Failed> {
    let begun = Instant::now();
    loop {
        let path = format!("performances/{performance}/seats");
        let shown = match world.coordinator().try_send(Method::GET, &path, &[], None).await {
            Ok(answer) => {
                serde_json::from_slice::<SeatSnapshot>(&answer.body).map_err(|e| format!("{e}: {}", answer.text()))
            }
            Err(error) => Err(error.to_string()),
        };
        match shown {
            Ok(snapshot) => return snapshot.unpack().ok_or_else(|| "a damaged snapshot".to_owned()),
            Err(why) if begun.elapsed() >= AWAY_MAX => return Err(why),
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

fn in_state(states: &[SeatState], state: SeatState) -> BTreeSet<SeatIndex> {
    (0..).zip(states).filter(|(_, s)| **s == state).map(|(seat, _)| seat).collect()
}

/// The provider's own books: what it charged for each order less what it gave back.
async fn charged(world: &World) -> Result<BTreeMap<String, i64>, Failed> {
    let answer = nugul_tests::Api::new(&world.addresses.toss).get("/control/payments").await;
    let report: Value = serde_json::from_slice(&answer.body).map_err(said)?;
    let mut of_order = BTreeMap::<String, i64>::new();
    for item in report["items"].as_array().ok_or("no items")? {
        let won = |name: &str| item[name].as_i64().unwrap_or(0);
        *of_order.entry(item["order_id"].as_str().unwrap_or_default().to_owned()).or_default() +=
            won("charged_krw") - won("refunded_krw");
    }
    of_order.retain(|_, won| *won != 0);
    Ok(of_order)
}

/// Waits until all is settled; what is left where it is not in time.
pub(crate) async fn quiet(world: &World, databases: &Databases, performance: PerformanceId) -> Result<Check, Failed> {
    let begun = Instant::now();
    loop {
        let mut left = databases.unsettled().await?;
        let held = in_state(&states(world, performance).await?, SeatState::Held).len();
        if held > 0 {
            left.push(format!("{held} seats held"));
        }
        if left.is_empty() || begun.elapsed() >= QUIET_MAX {
            let detail = if left.is_empty() { "nothing left".to_owned() } else { left.join(", ") };
            let detail = format!("{detail} after {:.0} s", begun.elapsed().as_secs_f64());
            return Ok(Check { what: "everything is settled in time", ok: left.is_empty(), detail });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How many seats were sold, and whether everything agrees.
pub(crate) async fn prove(
    world: &World,
    databases: &Databases,
    performance: PerformanceId,
    outcomes: &[Outcome],
    wrong: &[String],
) -> Result<(usize, Vec<Check>), Failed> {
    let books = databases.books(performance).await?;
    let live = states(world, performance).await?;
    let (sold, free) = (in_state(&live, SeatState::Sold), in_state(&live, SeatState::Available));
    let tickets: BTreeSet<SeatIndex> = books.tickets.keys().copied().collect();
    let mut checks = Vec::new();
    let mut check = |what, ok, detail: String| checks.push(Check { what, ok, detail });

    check(
        "each seat is sold once or free",
        books.twice.is_empty() && sold.len() + free.len() == live.len(),
        format!("{} sold, {} free of {}; twice: {:?}", sold.len(), free.len(), live.len(), books.twice),
    );
    check(
        "live tickets, sold seats, paid lines and claims are the same",
        sold == tickets
            && books.tickets == books.lines
            && books.claims.iter().all(|(_, (_, sold))| *sold)
            && books
                .claims
                .iter()
                .map(|(seat, (order, _))| (seat, order))
                .eq(books.tickets.iter().map(|(s, (o, _))| (s, o))),
        format!(
            "{} tickets, {} sold, {} lines, {} claims; sold but no ticket {:?}, ticket but not sold {:?}",
            tickets.len(),
            sold.len(),
            books.lines.len(),
            books.claims.len(),
            sold.difference(&tickets).collect::<Vec<_>>(),
            tickets.difference(&sold).collect::<Vec<_>>()
        ),
    );

    let mut price = BTreeMap::<OrderId, i64>::new();
    for (order, won) in books.tickets.values() {
        *price.entry(*order).or_default() += won;
    }
    let worth: i64 = price.values().sum();
    check("the ledger sums to zero", books.everything == 0, format!("{} won", books.everything));
    check(
        "taken less refunded is the price of the live tickets, order by order",
        books.held == price && books.taken - books.refunded == worth,
        format!("{} taken, {} refunded, {worth} worth of tickets", books.taken, books.refunded),
    );
    let provider = charged(world).await?;
    let ours: BTreeMap<String, i64> = books.held.iter().map(|(order, won)| (order.to_string(), *won)).collect();
    check(
        "the provider's books say the same",
        provider == ours,
        format!("{} won at the provider", provider.values().sum::<i64>()),
    );
    check(
        "nobody has more than the limit",
        books.most_of_one <= SEATS_PER_BUYER_MAX,
        format!("{} tickets at most", books.most_of_one),
    );
    check("no case is left for a person", books.open_cases == 0, format!("{} open", books.open_cases));

    let mut told = BTreeMap::<SeatIndex, OrderId>::new();
    let mut broken_words = Vec::new();
    for outcome in outcomes {
        let Outcome::Bought(order, seats) = outcome else { continue };
        for seat in seats {
            if let Some(other) = told.insert(*seat, *order) {
                broken_words.push(format!("seat {seat} told to {other} and {order}"));
            }
            if books.tickets.get(seat).is_none_or(|(holder, _)| holder != order) {
                broken_words.push(format!("seat {seat} of {order} has no such ticket"));
            }
        }
    }
    check(
        "who was told of tickets has them",
        broken_words.is_empty(),
        format!("{} seats told; {broken_words:?}", told.len()),
    );
    let unanswered: Vec<_> =
        outcomes.iter().filter_map(|o| if let Outcome::Unanswered(what) = o { Some(what) } else { None }).collect();
    check(
        "every client got an answer",
        unanswered.is_empty(),
        format!("{} of {} without; {:?}", unanswered.len(), outcomes.len(), &unanswered[..unanswered.len().min(3)]),
    );
    check(
        "answers make sense; versions and fences never go back",
        wrong.is_empty(),
        format!("{} wrong; {:?}", wrong.len(), &wrong[..wrong.len().min(3)]),
    );

    let _ = world.redis(nugul_platform::RedisSet::flush).ok_or("this platform has no Redis")?;
    let again = states(world, performance).await?;
    check(
        "an emptied Redis shows the same seats",
        again == live,
        format!("{} sold", in_state(&again, SeatState::Sold).len()),
    );
    Ok((tickets.len(), checks))
}
