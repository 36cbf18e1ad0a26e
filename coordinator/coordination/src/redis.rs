//! Seats kept in Redis, which all replicas share: each step of the domain's seat book is one script, one round trip.
//!
//! The keys of a performance share its hash tag, so a script touches one slot:
//!
//! | key                         | what                                                        |
//! |-----------------------------|-------------------------------------------------------------|
//! | `nugul:{P}:meta`            | hash: version, fence; there exactly while the book is       |
//! | `nugul:{P}:seats`           | string: a byte a seat, `0`–`3` as [`SeatState`]             |
//! | `nugul:{P}:holds`           | hash: hold → `id\|user\|fence\|until\|order\|seats`         |
//! | `nugul:{P}:ends`            | sorted set: hold by its end; orders are not in it           |
//! | `nugul:{P}:users`           | hash: user → seats held or ordered                          |
//! | `nugul:{P}:changes`         | stream: one entry a change, its id `version-0`              |
//! | `nugul:{P}:key:USER:KEY`    | hash: the answer to an idempotency key, with a time to live |
//! | `nugul:hold:HOLD`           | string: the performance of a hold, with a time to live      |

use std::{
    collections::HashMap,
    fmt::Display,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nugul_domain::{
    HoldId, OrderId, PerformanceId, SeatIndex, SeatState, Timestamp, UserId,
    seat_book::{
        Change, Claim, HISTORY_MAX, Hold, HoldGone, HoldRefusal, HoldRequest, IDEMPOTENCY_TTL_MS, SeatBook, Snapshot,
        VERSIONS_PER_MS,
    },
};
use redis::{
    AsyncCommands, Client, RedisResult, Script, ScriptInvocation,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::{task::JoinSet, time::Instant};

use crate::Error;

/// How long any call to Redis may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Holds one script frees; more wait for the next one. Some milliseconds of Redis' time.
const SWEEP_MAX: usize = 1_000;
/// How soon another replica's hold is noticed to have ended should that replica not be there any more.
const RECHECK: Duration = Duration::from_secs(1);
/// How long a performance without holds is looked after once nobody asks about it.
const IDLE: Duration = Duration::from_mins(10);
/// Performances whose holds are expired at the same time.
const EXPIRE_CONCURRENCY: usize = 32;
/// The pause between two looks at a version.
const POLL: Duration = Duration::from_millis(25);
/// How long a hold's performance is found once it is an order: longer than any order waits for its payment.
const ORDERED_POINTER_TTL_MS: u64 = 24 * 60 * 60 * 1000;
/// The largest whole number that scripts, which count in doubles, tell from the next.
const EXACT_MAX: i64 = 1 << 53;

/// Seats kept in Redis. Clones share one connection, which carries concurrent calls and mends itself.
#[derive(Clone)]
pub struct RedisSeats {
    connection: ConnectionManager,
    scripts: Arc<Scripts>,
    known: Arc<Mutex<HashMap<PerformanceId, Known>>>,
}

/// A performance this process looks after.
#[derive(Clone, Copy)]
struct Known {
    due: Instant,
    asked: Instant,
}

struct Scripts {
    load: Script,
    snapshot: Script,
    changes: Script,
    hold: Script,
    find: Script,
    order: Script,
    undo_order: Script,
    release: Script,
    settle: Script,
    expire: Script,
    version: Script,
}

impl Scripts {
    fn new() -> Self {
        let step = |body: &str| {
            Script::new(&format!(
                "local HISTORY_MAX, SWEEP_MAX, IDEMPOTENCY_TTL_MS = {HISTORY_MAX}, {SWEEP_MAX}, {IDEMPOTENCY_TTL_MS}\n{}\n{body}",
                include_str!("scripts/prelude.lua"),
            ))
        };
        let load = include_str!("scripts/load.lua");
        Self {
            load: Script::new(&format!("local VERSIONS_PER_MS = {VERSIONS_PER_MS}\n{load}")),
            snapshot: step(include_str!("scripts/snapshot.lua")),
            changes: step(include_str!("scripts/changes.lua")),
            hold: step(include_str!("scripts/hold.lua")),
            find: step(include_str!("scripts/find.lua")),
            order: step(include_str!("scripts/order.lua")),
            undo_order: step(include_str!("scripts/undo_order.lua")),
            release: step(include_str!("scripts/release.lua")),
            settle: step(include_str!("scripts/settle.lua")),
            expire: step(include_str!("scripts/expire.lua")),
            version: step(include_str!("scripts/version.lua")),
        }
    }
}

impl RedisSeats {
    pub(crate) async fn connect(url: &str) -> Result<Self, Error> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(CALL_TIMEOUT));
        let client = Client::open(url).map_err(unavailable)?;
        let connection = within(CONNECT_TIMEOUT, client.get_connection_manager_with_config(config)).await?;
        Ok(Self { connection, scripts: Arc::new(Scripts::new()), known: Arc::default() })
    }

    pub(crate) async fn load(
        &self,
        performance: PerformanceId,
        seat_count: u32,
        claims: &[Claim],
        fence_floor: i64,
    ) -> Result<(), Error> {
        if fence_floor >= EXACT_MAX {
            return Err(Error::Answer(format!("fence floor {fence_floor}")));
        }
        // The domain says what the claims make of the seats; only the clock is Redis' own.
        let book = SeatBook::load(seat_count, claims, fence_floor, Timestamp::from_millis(0)).snapshot();
        let seats: Vec<u8> = book.seats.into_iter().map(digit).collect();
        let mut script = self.script(&self.scripts.load, performance);
        script.arg(seats).arg(fence_floor);
        done(&self.run(&script).await?)
    }

    pub(crate) async fn snapshot(&self, performance: PerformanceId) -> Result<Snapshot, Error> {
        let answer = self.run(&self.script(&self.scripts.snapshot, performance)).await?;
        match texts(&answer).as_slice() {
            ["ok", version, seats] => {
                Ok(Snapshot { version: parse(version)?, seats: seats.bytes().map(state).collect::<Result<_, _>>()? })
            }
            _ => Err(nonsense(&answer)),
        }
    }

    pub(crate) async fn changes_after(
        &self,
        performance: PerformanceId,
        version: i64,
    ) -> Result<Option<Vec<Change>>, Error> {
        // No version is as high or as low: the answer is the same, and exact.
        let version = version.clamp(-EXACT_MAX, EXACT_MAX);
        let mut script = self.script(&self.scripts.changes, performance);
        let answer = self.run(script.arg(version)).await?;
        match texts(&answer).as_slice() {
            ["snapshot"] => Ok(None),
            ["ok", entries @ ..] => entries.chunks(3).map(change).collect::<Result<_, _>>().map(Some),
            _ => Err(nonsense(&answer)),
        }
    }

    pub(crate) async fn hold(
        &self,
        performance: PerformanceId,
        request: HoldRequest,
    ) -> Result<Result<Hold, HoldRefusal>, Error> {
        let mut script = self.script(&self.scripts.hold, performance);
        script
            .key(format!("{}:key:{}:{}", base(performance), request.user, request.key))
            .arg(request.id.to_string())
            .arg(request.user.to_string())
            .arg(&request.digest)
            .arg(request.ttl_ms)
            .arg(request.limit)
            .arg(commas(&request.seats));
        let answer = self.run(&script).await?;
        let hold = match texts(&answer).as_slice() {
            ["ok", text] => hold(text)?,
            ["taken", seats] => return Ok(Err(HoldRefusal::Taken(indexes(seats)?))),
            ["over limit"] => return Ok(Err(HoldRefusal::OverLimit)),
            ["key reused"] => return Ok(Err(HoldRefusal::KeyReused)),
            ["no such seat"] => return Ok(Err(HoldRefusal::NoSuchSeat)),
            _ => return Err(nonsense(&answer)),
        };
        // In another slot, so not in the script. Lost between the two, it is written when the client asks again.
        let ttl = u64::try_from(request.ttl_ms.max(IDEMPOTENCY_TTL_MS)).unwrap_or_default();
        self.point(hold.id, performance, ttl).await?;
        self.look_after(performance, Duration::from_millis(u64::try_from(request.ttl_ms).unwrap_or_default()));
        Ok(Ok(hold))
    }

    pub(crate) async fn find_hold(&self, id: HoldId) -> Result<Option<(PerformanceId, Hold)>, Error> {
        let mut connection = self.connection.clone();
        let pointer: Option<String> = within(CALL_TIMEOUT, connection.get(pointer(id))).await?;
        let Some(performance) = pointer.as_deref().map(parse).transpose()? else { return Ok(None) };
        let mut script = self.script(&self.scripts.find, performance);
        let answer = match self.run(script.arg(id.to_string())).await {
            Err(Error::NotLoaded) => return Ok(None),
            answer => answer?,
        };
        match texts(&answer).as_slice() {
            ["ok", text] => Ok(Some((performance, hold(text)?))),
            ["not found"] => Ok(None),
            _ => Err(nonsense(&answer)),
        }
    }

    pub(crate) async fn order(
        &self,
        performance: PerformanceId,
        id: HoldId,
        user: UserId,
        order: OrderId,
    ) -> Result<Result<Hold, HoldGone>, Error> {
        let mut script = self.script(&self.scripts.order, performance);
        script.arg(id.to_string()).arg(user.to_string()).arg(order.to_string());
        let answer = self.run(&script).await?;
        match texts(&answer).as_slice() {
            ["ok", text] => {
                self.point(id, performance, ORDERED_POINTER_TTL_MS).await?;
                Ok(Ok(hold(text)?))
            }
            other => Ok(Err(gone(other).ok_or_else(|| nonsense(&answer))??)),
        }
    }

    pub(crate) async fn undo_order(
        &self,
        performance: PerformanceId,
        hold: HoldId,
        order: OrderId,
    ) -> Result<(), Error> {
        let mut script = self.script(&self.scripts.undo_order, performance);
        script.arg(hold.to_string()).arg(order.to_string());
        done(&self.run(&script).await?)
    }

    pub(crate) async fn release(
        &self,
        performance: PerformanceId,
        hold: HoldId,
        user: UserId,
    ) -> Result<Result<(), HoldGone>, Error> {
        let mut script = self.script(&self.scripts.release, performance);
        script.arg(hold.to_string()).arg(user.to_string());
        let answer = self.run(&script).await?;
        match texts(&answer).as_slice() {
            ["ok"] => Ok(Ok(())),
            other => Ok(Err(gone(other).ok_or_else(|| nonsense(&answer))??)),
        }
    }

    pub(crate) async fn settle(
        &self,
        performance: PerformanceId,
        hold: HoldId,
        seats: &[SeatIndex],
        state: SeatState,
    ) -> Result<(), Error> {
        let mut script = self.script(&self.scripts.settle, performance);
        script.arg(hold.to_string()).arg(&[digit(state)][..]).arg(commas(seats));
        done(&self.run(&script).await?)
    }

    pub(crate) async fn expire_due(&self) -> Result<usize, Error> {
        let now = Instant::now();
        let mut due = Vec::new();
        for (performance, known) in self.known().iter_mut().filter(|(_, k)| k.due <= now) {
            known.due = now + RECHECK;
            due.push(*performance);
        }
        let (mut freed, mut first_error) = (0, None);
        for some in due.chunks(EXPIRE_CONCURRENCY) {
            let mut running = JoinSet::new();
            for &performance in some {
                let seats = self.clone();
                running.spawn(async move { seats.expire(performance).await });
            }
            while let Some(done) = running.join_next().await {
                match done {
                    Ok(Ok(count)) => freed += count,
                    Ok(Err(error)) => first_error = first_error.or(Some(error)),
                    Err(panic) => first_error = first_error.or(Some(unavailable(panic))),
                }
            }
        }
        first_error.map_or(Ok(freed), Err)
    }

    /// Frees what has ended in one performance.
    async fn expire(&self, performance: PerformanceId) -> Result<usize, Error> {
        let mut all = 0;
        loop {
            let answer = match self.run(&keyed(&self.scripts.expire, performance)).await {
                Err(Error::NotLoaded) => {
                    self.known().remove(&performance);
                    return Ok(all);
                }
                answer => answer?,
            };
            let (freed, next): (usize, Option<u64>) = match texts(&answer).as_slice() {
                ["ok", freed] => (parse(freed)?, None),
                ["ok", freed, next] => (parse(freed)?, Some(parse(next)?)),
                _ => return Err(nonsense(&answer)),
            };
            all += freed;
            if freed >= SWEEP_MAX {
                continue;
            }
            let now = Instant::now();
            let mut known = self.known();
            match (next, known.get_mut(&performance)) {
                (Some(ms), Some(k)) => k.due = k.due.min(now + Duration::from_millis(ms)),
                (None, Some(k)) if now.duration_since(k.asked) > IDLE => {
                    known.remove(&performance);
                }
                _ => {}
            }
            return Ok(all);
        }
    }

    pub(crate) async fn ping(&self) -> Result<(), Error> {
        let mut connection = self.connection.clone();
        within(CALL_TIMEOUT, connection.ping()).await
    }

    pub(crate) async fn wait_change(
        &self,
        performance: PerformanceId,
        after: i64,
        timeout: Duration,
    ) -> Result<(), Error> {
        let end = Instant::now() + timeout;
        loop {
            let answer = self.run(&self.script(&self.scripts.version, performance)).await?;
            let version: i64 = match texts(&answer).as_slice() {
                ["ok", version] => parse(version)?,
                _ => return Err(nonsense(&answer)),
            };
            let now = Instant::now();
            if version != after || now >= end {
                return Ok(());
            }
            tokio::time::sleep_until((now + POLL).min(end)).await;
        }
    }

    /// A script on a performance somebody asks about, whose holds this process expires from now on.
    fn script<'a>(&self, script: &'a Script, performance: PerformanceId) -> ScriptInvocation<'a> {
        self.look_after(performance, RECHECK);
        keyed(script, performance)
    }

    async fn run(&self, script: &ScriptInvocation<'_>) -> Result<Vec<String>, Error> {
        let mut connection = self.connection.clone();
        // One round trip; more only where Redis does not have the script yet.
        let answer: Vec<String> = within(CALL_TIMEOUT, script.invoke_async(&mut connection)).await?;
        if answer == ["not loaded"] { Err(Error::NotLoaded) } else { Ok(answer) }
    }

    /// Writes which performance a hold is of.
    async fn point(&self, hold: HoldId, performance: PerformanceId, ttl_ms: u64) -> Result<(), Error> {
        let mut connection = self.connection.clone();
        within(CALL_TIMEOUT, connection.pset_ex(pointer(hold), performance.to_string(), ttl_ms)).await
    }

    fn known(&self) -> MutexGuard<'_, HashMap<PerformanceId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Expires this performance's holds from now on, next when `soonest` has passed.
    fn look_after(&self, performance: PerformanceId, soonest: Duration) {
        let now = Instant::now();
        let due = now + soonest.min(RECHECK);
        let mut known = self.known();
        let entry = known.entry(performance).or_insert(Known { due, asked: now });
        entry.asked = now;
        entry.due = entry.due.min(due);
    }
}

/// A script with the keys of one performance.
fn keyed(script: &Script, performance: PerformanceId) -> ScriptInvocation<'_> {
    let base = base(performance);
    let mut out = script.prepare_invoke();
    for name in ["meta", "seats", "holds", "ends", "users", "changes"] {
        out.key(format!("{base}:{name}"));
    }
    out
}

async fn within<T>(limit: Duration, call: impl Future<Output = RedisResult<T>>) -> Result<T, Error> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(unavailable),
        Err(late) => Err(unavailable(late)),
    }
}

fn unavailable(why: impl Display) -> Error {
    Error::Unavailable(why.to_string())
}

fn nonsense(answer: &[String]) -> Error {
    Error::Answer(format!("{answer:?}"))
}

fn base(performance: PerformanceId) -> String {
    format!("nugul:{{{performance}}}")
}

fn pointer(hold: HoldId) -> String {
    format!("nugul:hold:{hold}")
}

fn texts(answer: &[String]) -> Vec<&str> {
    answer.iter().map(String::as_str).collect()
}

fn done(answer: &[String]) -> Result<(), Error> {
    if answer == ["ok"] { Ok(()) } else { Err(nonsense(answer)) }
}

fn parse<T: FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Answer(text.to_owned()))
}

const fn digit(state: SeatState) -> u8 {
    b'0' + state as u8
}

fn state(byte: u8) -> Result<SeatState, Error> {
    match byte {
        b'0'..=b'3' => Ok(SeatState::from_bits(byte - b'0')),
        _ => Err(Error::Answer(format!("seat state {byte}"))),
    }
}

fn commas(seats: &[SeatIndex]) -> String {
    seats.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn indexes(text: &str) -> Result<Vec<SeatIndex>, Error> {
    text.split(',').filter(|t| !t.is_empty()).map(parse).collect()
}

/// From version, state, seats.
fn change(entry: &[&str]) -> Result<Change, Error> {
    let [version, to, seats] = entry else { return Err(Error::Answer(format!("{entry:?}"))) };
    let to = match to.as_bytes() {
        [byte] => state(*byte)?,
        _ => return Err(Error::Answer(format!("{entry:?}"))),
    };
    Ok(Change { version: parse(version)?, seats: indexes(seats)?.into_iter().map(|i| (i, to)).collect() })
}

/// From `id|user|fence|until|order|seats`.
fn hold(text: &str) -> Result<Hold, Error> {
    let parts: Vec<&str> = text.split('|').collect();
    let [id, user, fence, until, order, seats] = parts.as_slice() else { return Err(Error::Answer(text.to_owned())) };
    Ok(Hold {
        id: parse(id)?,
        user: parse(user)?,
        seats: indexes(seats)?,
        fence: parse(fence)?,
        until: Timestamp::from_millis(parse(until)?),
        order: if order.is_empty() { None } else { Some(parse(order)?) },
    })
}

/// Why a hold is gone; `None` where the answer says something else.
fn gone(answer: &[&str]) -> Option<Result<HoldGone, Error>> {
    match answer {
        ["not found"] => Some(Ok(HoldGone::NotFound)),
        ["ordered", order] => Some(parse(order).map(HoldGone::Ordered)),
        _ => None,
    }
}
