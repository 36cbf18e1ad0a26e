//! Messages owed to others, written in the transaction they tell about and delivered at least once, in order per order.
//! What was delivered is deleted: who got it knows what it did. What was put aside stays a while, as done.
//!
//! Whoever delivers a message has a short lease of it, renewed while it is on its way: other replicas leave it alone, and take
//! it over when its process has died. A message that waits for no earlier one, or for one that is in the same hands, is handed over
//! in memory when its transaction has committed ([`hands`]), with its lease, and keeps it while its lane has no room; all others are
//! found in the table.
//!
//! Every receiver takes a repeated message as one: the payment service by request id and order, the seats by state. Each has
//! a lane of its own: one that hangs keeps none of the others waiting.

mod hands;

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use nugul_domain::{OrderId, SeatState, UserId, order::OrderEvent};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};

pub use hands::{Outbox, Put};

use self::hands::Leased;
use crate::{
    app::{App, Parts, hex},
    db::{Tx, marks, padded, pieces, rows},
    error::ApiError,
    messages::{Lane, Message},
    notices::{self, Notice},
    orders::outcome::{self, Outcome},
    parked::store::{self as parked, Source},
    payments::client::Delivery,
    rankings, trace,
};

/// How often the outbox is looked at when nobody rings.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A look that was rung for is at least so far from the one before it: what comes meanwhile shares the next.
const LOOKS_APART: Duration = Duration::from_millis(10);
/// It is looked at for what waited for something delivered so soon after the last look: nearly all of that is in hand.
const LOOK_AFTER: Duration = Duration::from_millis(50);
/// What was delivered is forgotten so soon, with whatever was delivered meanwhile. A process that dies before that leaves it to be
/// delivered again.
const FORGET_WITHIN: Duration = Duration::from_millis(25);
/// How soon that is tried again.
const FORGET_AGAIN: Duration = Duration::from_millis(500);
/// Delivered messages that one statement forgets.
const FORGOTTEN_AT_ONCE: usize = 128;
/// Delivered messages that wait for that; where there are more, nothing is sent.
const DELIVERED_MAX: usize = 2_000;
/// How long others leave a message alone that is on its way, in milliseconds; it is also how long it waits when its process
/// has died.
pub const LEASE_MS: i64 = 5_000;
/// How often the lease of what is on its way is renewed.
const RENEW_EVERY: Duration = Duration::from_millis(1_500);
/// Messages in hand. What comes when there are more is found in the table.
const HANDED_MAX: usize = 2_000;
/// The pause after the first failure, doubled with each further one.
const PAUSE_FIRST_MS: i64 = 200;
/// The longest pause.
const PAUSE_MAX_MS: i64 = 10_000;
/// What a buyer reads whose confirmation the payment service will not hear of.
const NOT_PAYABLE: &str = "결제 정보를 확인할 수 없어서 결제하지 않았어요.";

/// A message to be put with others.
#[derive(Debug)]
pub struct New {
    /// What it is in order of, and its place there.
    pub in_order_of: Vec<u8>,
    /// Counted from 1.
    pub place: i64,
    /// Whether every earlier one has been delivered.
    pub is_next: bool,
    /// The message.
    pub message: Message,
}

/// Puts messages whose places are known into the outbox. Gives what is to be handed over after the commit.
pub async fn put_all(app: &Parts, tx: &mut Tx, new: &[New]) -> Result<Put, ApiError> {
    let (now, trace_id) = (app.now(), trace::current().to_string());
    let room = app.outbox.room();
    let mut put = Put::default();
    for piece in pieces(new) {
        let sql = format!(
            "INSERT INTO outbox (id, order_id, body, created_at, attempts, next_at, lane, trace_id, place) VALUES {}",
            rows(piece.len(), 9)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for one in piece {
            let id = OrderId::new(app.config.region, now, app.random_id()).to_bytes();
            let order = OrderId::from_bytes(&one.in_order_of)?;
            let ahead = if one.is_next { None } else { app.outbox.ahead_of(order, one.place) };
            let is_handed = (one.is_next || ahead.is_some()) && put.leased.len() < room;
            query = query
                .bind(id.clone())
                .bind(one.in_order_of.clone())
                .bind(serde_json::to_string(&one.message)?)
                .bind(now.as_millis())
                .bind(0i64)
                .bind(now.as_millis() + if is_handed { LEASE_MS } else { 0 })
                .bind(one.message.lane() as i64)
                .bind(trace_id.clone())
                .bind(one.place);
            if is_handed {
                let (message, trace_id) = (one.message.clone(), trace_id.clone());
                let owed = Owed { id, order, message, attempts: 0, trace_id };
                put.leased.push(Leased { owed, place: one.place, ahead });
            } else {
                put.is_in_table = true;
            }
        }
        query.execute(&mut **tx).await?;
    }
    Ok(put)
}

/// The last place of each order that has messages here, and whether none of them is owed.
pub async fn places(tx: &mut Tx, orders: &[OrderId]) -> Result<HashMap<Vec<u8>, (i64, bool)>, ApiError> {
    let orders = padded(orders);
    let sql = format!(
        "SELECT order_id, MAX(place) AS place, COUNT(*) - COUNT(done_at) AS owed FROM outbox WHERE order_id IN {} \
         GROUP BY order_id",
        marks(orders.len())
    );
    let query = sqlx::query(AssertSqlSafe(sql));
    let query = orders.iter().fold(query, |query, order| query.bind(order.to_bytes()));
    let rows = query.fetch_all(&mut **tx).await?;
    rows.iter()
        .map(|row| Ok((row.try_get("order_id")?, (row.try_get("place")?, row.try_get::<i64, _>("owed")? == 0))))
        .collect()
}

/// Puts a message into the outbox, behind those of the same order.
pub async fn put(app: &Parts, tx: &mut Tx, order: OrderId, message: &Message) -> Result<(), ApiError> {
    let now = app.now();
    // Seats do not wait until the payment service is back: their messages are in order among themselves.
    let in_order_of = match message {
        Message::Settle { hold, .. } => hold.to_bytes(),
        _ => order.to_bytes(),
    };
    let id = OrderId::new(app.config.region, now, app.random_id());
    // Clocks of replicas differ: the place is counted. Whoever puts a message about an order has changed that order in the
    // same transaction, so that two do not count at once.
    sqlx::query(
        "INSERT INTO outbox (id, order_id, body, created_at, attempts, next_at, lane, trace_id, place) \
         SELECT ?, ?, ?, ?, 0, ?, ?, ?, COALESCE(MAX(place), 0) + 1 FROM outbox WHERE order_id = ?",
    )
    .bind(id.to_bytes())
    .bind(in_order_of.clone())
    .bind(serde_json::to_string(message)?)
    .bind(now.as_millis())
    .bind(now.as_millis())
    .bind(message.lane() as i64)
    .bind(trace::current().to_string())
    .bind(in_order_of)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Puts a notice to a person into the outbox. It waits for nothing and nothing waits for it.
pub async fn tell(app: &Parts, tx: &mut Tx, user: UserId, notice: Notice) -> Result<(), ApiError> {
    let about = OrderId::new(app.config.region, app.now(), app.random_id());
    put(app, tx, about, &Message::Tell { user, notice }).await
}

/// A message that is on its way, or was delivered and is not forgotten yet.
struct Way {
    lane: Lane,
    since: Instant,
    is_delivered: bool,
}

/// Delivers what is due, until the process stops. A message that takes long keeps only the later ones of its own order
/// waiting, and a receiver that takes long only its own lane. Deliveries go on by themselves while this waits for the database,
/// because they may hold what it waits for: with SQLite only one may write.
pub async fn deliver(app: App) {
    let mut stopping = app.stopping.clone();
    let (mut under_way, mut forgetting) = (JoinSet::new(), JoinSet::new());
    let mut ways: HashMap<Vec<u8>, Way> = HashMap::new();
    let (mut delivered, mut forget_at) = (Vec::new(), None::<Instant>);
    if let Err(e) = take_all_over(&app).await {
        tracing::warn!(context = e.context, "what the process before this one had on its way waits for its lease");
    }
    let (mut look_at, mut looked, mut renewed) = (Instant::now(), None::<Instant>, Instant::now());
    loop {
        let mut begin = |owed: Owed, ways: &mut HashMap<_, _>| {
            if let Entry::Vacant(new) = ways.entry(owed.id.clone()) {
                new.insert(Way { lane: owed.message.lane(), since: Instant::now(), is_delivered: false });
                let app = app.clone();
                under_way.spawn(async move { send(&app, owed).await });
            }
        };
        for lane in Lane::ALL {
            let handed = app.outbox.take(lane, room(&ways, lane));
            for owed in handed {
                begin(owed, &mut ways);
            }
        }
        if Instant::now() >= look_at {
            looked = Some(Instant::now());
            look_at = Instant::now() + LOOK_EVERY;
            for lane in Lane::ALL {
                match due_in(&app, lane, room(&ways, lane)).await {
                    Ok(found) => {
                        for owed in found {
                            begin(owed, &mut ways);
                        }
                    }
                    Err(e) => tracing::warn!(context = e.context, "the outbox could not be read"),
                }
            }
        }
        if renewed.elapsed() >= RENEW_EVERY {
            renewed = Instant::now();
            let old = ways.iter().filter(|(_, way)| way.since.elapsed() >= RENEW_EVERY).map(|(id, _)| id.clone());
            if let Err(e) = renew(&app, old.chain(app.outbox.waiting_long()).collect()).await {
                tracing::warn!(context = e.context, "leases could not be renewed; another replica may deliver, too");
            }
        }
        if forgetting.is_empty() && forget_at.is_some_and(|at| Instant::now() >= at) {
            let some: Vec<_> = delivered.drain(..delivered.len().min(FORGOTTEN_AT_ONCE)).collect();
            forget_at = (!delivered.is_empty()).then(Instant::now);
            let app = app.clone();
            forgetting.spawn(async move {
                let forgotten = forget(&app, &some).await;
                (some, forgotten)
            });
        }
        let after = |pause: Duration| looked.map_or_else(Instant::now, |at| at + pause);
        let wake_at = forget_at.filter(|_| forgetting.is_empty()).map_or(look_at, |at| at.min(look_at));
        tokio::select! {
            Some(first) = under_way.join_next() => {
                let mut next = Some(first);
                while let Some(done) = next {
                    let Sent { owed, result } = finished(done);
                    match result {
                        Ok(()) => {
                            app.outbox.delivered(&owed.id);
                            if let Some(way) = ways.get_mut(&owed.id) {
                                way.is_delivered = true;
                            }
                            forget_at.get_or_insert_with(|| Instant::now() + FORGET_WITHIN);
                            delivered.push(owed.id);
                        }
                        Err(reason) => {
                            ways.remove(&owed.id);
                            if let Err(e) = not_yet(&app, owed, &reason).await {
                                tracing::warn!(context = e.context, "when to try again could not be noted; its lease says");
                            }
                        }
                    }
                    next = under_way.try_join_next();
                }
            }
            Some(done) = forgetting.join_next() => match finished(done) {
                (some, Ok(())) => {
                    for id in &some {
                        ways.remove(id);
                        app.outbox.forgotten(id);
                    }
                    look_at = look_at.min(after(LOOK_AFTER));
                }
                (some, Err(e)) => {
                    tracing::warn!(context = e.context, "what was delivered could not be forgotten yet");
                    // In their order: nothing is forgotten before what it was behind.
                    delivered.splice(..0, some);
                    forget_at = Some(Instant::now() + FORGET_AGAIN);
                }
            },
            () = app.outbox.filled.notified() => look_at = look_at.min(after(LOOKS_APART)),
            () = app.outbox.handed.notified() => {}
            () = tokio::time::sleep_until(wake_at) => {}
            _ = stopping.changed() => break,
        }
    }
    while forgetting.join_next().await.is_some() {}
    if let Err(e) = forget(&app, &delivered).await {
        tracing::warn!(
            context = e.context,
            "what was delivered could not be noted; the next process delivers it again"
        );
    }
}

/// What came of a task. Its panic is this one's.
fn finished<T>(done: Result<T, JoinError>) -> T {
    done.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))
}

/// How many more of a lane may be on their way. None where too many wait to be forgotten.
fn room(ways: &HashMap<Vec<u8>, Way>, lane: Lane) -> usize {
    let many = |which: &dyn Fn(&Way) -> bool| ways.values().filter(|way| which(way)).count();
    if many(&|way| way.is_delivered) >= DELIVERED_MAX {
        return 0;
    }
    lane.at_once().saturating_sub(many(&|way| !way.is_delivered && way.lane == lane))
}

/// With SQLite no other process can have anything on its way: nothing waits for the lease of the one before.
async fn take_all_over(app: &Parts) -> Result<(), ApiError> {
    if app.db.is_sqlite() {
        let now = app.now().as_millis();
        let lanes = Lane::all_in_sql();
        let text = format!("UPDATE outbox SET next_at = ? WHERE lane IN ({lanes}) AND done_at IS NULL AND next_at > ?");
        sqlx::query(AssertSqlSafe(text)).bind(now).bind(now).execute(app.db.writes()).await?;
    }
    Ok(())
}

/// A message that is owed.
#[derive(Debug)]
pub struct Owed {
    id: Vec<u8>,
    /// What it is in order of.
    order: OrderId,
    message: Message,
    attempts: i64,
    trace_id: String,
}

/// A message with what came of sending it.
struct Sent {
    owed: Owed,
    result: Result<(), String>,
}

/// The messages that are due now: the first of each order, for later ones wait for it. Others leave them alone for a while.
pub async fn due(app: &Parts) -> Result<Vec<Owed>, ApiError> {
    let mut owed: Vec<Owed> = Vec::new();
    for lane in Lane::ALL {
        owed.extend(app.outbox.take(lane, usize::MAX));
        let found = due_in(app, lane, lane.at_once()).await?;
        let new = found.into_iter().filter(|found| !owed.iter().any(|owed| owed.id == found.id)).collect::<Vec<_>>();
        owed.extend(new);
    }
    Ok(owed)
}

/// The same of one lane, as many as it has room for.
async fn due_in(app: &Parts, lane: Lane, room: usize) -> Result<Vec<Owed>, ApiError> {
    if room == 0 {
        return Ok(Vec::new());
    }
    let room = i64::try_from(room).map_err(ApiError::internal)?;
    let now = app.now().as_millis();
    // Most looks find nothing, and cost one statement.
    let found = sqlx::query(
        "SELECT id FROM outbox o WHERE lane = ? AND done_at IS NULL AND next_at <= ? \
         AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.order_id = o.order_id AND e.done_at IS NULL \
         AND (e.place < o.place OR (e.place = o.place AND e.id < o.id))) ORDER BY next_at, id LIMIT ?",
    );
    let found = found.bind(lane as i64).bind(now).bind(room).fetch_all(app.db.pool()).await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let found = padded(&found.iter().map(|row| row.try_get("id")).collect::<Result<Vec<Vec<u8>>, _>>()?);
    // What another replica takes in this moment is its.
    let sql = format!(
        "SELECT id, order_id, body, attempts, trace_id FROM outbox WHERE done_at IS NULL AND next_at <= ? AND id IN {}{}",
        marks(found.len()),
        app.db.either(" FOR UPDATE SKIP LOCKED", "")
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(now);
    for id in found {
        query = query.bind(id);
    }
    let mut tx = app.db.begin_write().await?;
    let rows = query.fetch_all(&mut *tx).await?;
    let ids = rows.iter().map(|row| row.try_get("id")).collect::<Result<Vec<Vec<u8>>, _>>()?;
    lease(&mut tx, &ids, now + LEASE_MS).await?;
    tx.commit().await?;
    let mut owed = Vec::with_capacity(rows.len());
    for row in &rows {
        match read(row) {
            Ok(message) => owed.push(message),
            // What cannot be read will not be readable later: it keeps nobody waiting.
            Err(e) => park(app, row, &e.context.unwrap_or_default()).await?,
        }
    }
    Ok(owed)
}

/// Others leave these alone until then.
async fn lease(tx: &mut Tx, ids: &[Vec<u8>], until: i64) -> Result<(), ApiError> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids = padded(ids);
    let sql = format!("UPDATE outbox SET next_at = ? WHERE done_at IS NULL AND id IN {}", marks(ids.len()));
    let query = sqlx::query(AssertSqlSafe(sql)).bind(until);
    ids.iter().fold(query, |query, id| query.bind(id.clone())).execute(&mut **tx).await?;
    Ok(())
}

async fn renew(app: &Parts, ids: Vec<Vec<u8>>) -> Result<(), ApiError> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut tx = app.db.begin_write().await?;
    lease(&mut tx, &ids, app.now().as_millis() + LEASE_MS).await?;
    tx.commit().await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Owed, ApiError> {
    Ok(Owed {
        id: row.try_get("id")?,
        order: OrderId::from_bytes(&row.try_get::<Vec<u8>, _>("order_id")?)?,
        message: serde_json::from_str(&row.try_get::<String, _>("body")?)?,
        attempts: row.try_get("attempts")?,
        trace_id: row.try_get("trace_id")?,
    })
}

async fn park(app: &Parts, row: &AnyRow, reason: &str) -> Result<(), ApiError> {
    let (id, about): (Vec<u8>, Vec<u8>) = (row.try_get("id")?, row.try_get("order_id")?);
    let mut tx = app.db.begin_write().await?;
    put_aside(app, &mut tx, &id, &about, reason).await?;
    tx.commit().await?;
    Ok(())
}

/// Puts a message aside for a person; nothing waits for it any more.
async fn put_aside(app: &Parts, tx: &mut Tx, id: &[u8], about: &[u8], reason: &str) -> Result<(), ApiError> {
    parked::park(app, tx, Source::Outbox, &hex(id), about, reason).await?;
    sqlx::query("UPDATE outbox SET done_at = ? WHERE id = ?")
        .bind(app.now().as_millis())
        .bind(id.to_vec())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Delivers one message and notes it, or when to try again. True where it was delivered.
pub async fn deliver_one(app: &App, owed: Owed) -> Result<bool, ApiError> {
    let Sent { owed, result } = send(app, owed).await;
    nugul_points::point("outbox.sent").await;
    match &result {
        Ok(()) => {
            app.outbox.delivered(&owed.id);
            forget(app, std::slice::from_ref(&owed.id)).await?;
            app.outbox.forgotten(&owed.id);
        }
        Err(reason) => not_yet(app, owed, reason).await?,
    }
    Ok(result.is_ok())
}

/// A message that was not delivered is tried again later, and before those behind it.
async fn not_yet(app: &App, owed: Owed, reason: &str) -> Result<(), ApiError> {
    let behind = app.outbox.left(&owed.id);
    let doubled = PAUSE_FIRST_MS.saturating_mul(1 << owed.attempts.clamp(0, 16));
    let (attempts, trace_id) = (owed.attempts + 1, &owed.trace_id);
    tracing::warn!(order = %owed.order, attempts, trace_id, "a message is not delivered yet: {reason}");
    let now = app.now().as_millis();
    let mut tx = app.db.begin_write().await?;
    sqlx::query("UPDATE outbox SET attempts = attempts + 1, next_at = ? WHERE id = ?")
        .bind(now + doubled.min(PAUSE_MAX_MS))
        .bind(owed.id)
        .execute(&mut *tx)
        .await?;
    lease(&mut tx, &behind, now).await?;
    tx.commit().await?;
    Ok(())
}

/// One durable write for many that were delivered. Deleted rather than marked, because that costs a database half as much: the
/// indexes of what is owed get no entry for what is not.
async fn forget(app: &App, ids: &[Vec<u8>]) -> Result<(), ApiError> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids = padded(ids);
    let sql = format!("DELETE FROM outbox WHERE done_at IS NULL AND id IN {}", marks(ids.len()));
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for id in ids {
        query = query.bind(id);
    }
    query.execute(app.db.writes()).await?;
    Ok(())
}

fn told(e: ApiError) -> String {
    e.context.unwrap_or_else(|| e.code.as_str().to_owned())
}

async fn send(app: &App, owed: Owed) -> Sent {
    let request_id = hex(&owed.id);
    let result = match &owed.message {
        Message::Settle { performance, order, hold, user, seats, state } => {
            let settled = async {
                let settle = || app.seats.settle(*performance, *hold, *order, *user, seats, *state);
                crate::on_seats!(app, *performance, settle())?;
                if *state == SeatState::Sold {
                    rankings::service::booked(app, *order, *performance, *user).await;
                }
                Ok::<_, ApiError>(())
            };
            settled.await.map_err(told)
        }
        Message::Tell { user, notice } => notices::send(app, *user, notice).await.map_err(told),
        other => match app.payments.deliver(&request_id, &owed.trace_id, owed.order, other).await {
            Ok(Delivery::Taken) => Ok(()),
            Ok(Delivery::Refused { reason, nothing_was_done }) => {
                refused(app, &owed, &reason, nothing_was_done).await.map_err(told)
            }
            Err(e) => Err(e),
        },
    };
    Sent { owed, result }
}

/// The payment service will never take a command: a person is shown it, and an order that waited for its confirmation ends
/// at once, so that its seats wait for nothing.
async fn refused(app: &App, owed: &Owed, reason: &str, nothing_was_done: bool) -> Result<(), ApiError> {
    let mut tx = app.db.begin_write().await?;
    if nothing_was_done && matches!(owed.message, Message::Confirm { .. }) {
        let outcome = Outcome { event: OrderEvent::Declined, message: NOT_PAYABLE, request_id: "" };
        outcome::apply(app, &mut tx, owed.order, outcome).await?;
    }
    put_aside(app, &mut tx, &owed.id, &owed.order.to_bytes(), reason).await?;
    tx.commit().await?;
    app.outbox.filled.notify_one();
    app.news.announce(owed.order);
    Ok(())
}
