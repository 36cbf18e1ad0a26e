//! Seats kept in Redis, which all replicas share: each step of the domain's seat book is one function there, one round trip.
//!
//! The keys of a performance share its hash tag, so a function touches one slot:
//!
//! | key                         | what                                                                 | a full stadium |
//! |-----------------------------|----------------------------------------------------------------------|----------------|
//! | `nugul:{P}:meta`            | hash: version, fence, soonest, history; buyer → seats held, ordered or bought |        1331512 |
//! | `nugul:{P}:seats`           | string: a byte a seat, `0`–`3` as [`SeatState`]                      |          65640 |
//! | `nugul:{P}:holds`           | hash: hold → `user\|fence\|until\|extended\|order\|since\|seats`      |        2851232 |
//! | `nugul:{P}:ends`            | sorted set: hold by its end; orders are not in it                    |        2012224 |
//! | `nugul:{P}:sales`           | hash: order → `user\|seats` it has bought                            |              - |
//! | `nugul:{P}:changes`         | stream: one entry a change, id `version-0`, `c` = `state:seats;…`    |         471540 |
//! | `nugul:{P}:key:USER:KEY`    | string: digest and answer for an idempotency key, with a time to live |        5872000 |
//! | `nugul:hold:HOLD`           | string: the performance of a hold, with a time to live               |        2280000 |
//! | `nugul:held:{E}:USER`       | sorted set: `hold\|seats` of a buyer in an event by end, where its limit is less than its performances' | - |
//!
//! `soonest` is a time before which no hold ends: until then no function looks for ended ones. The last column is bytes as
//! `MEMORY USAGE` of Redis 7.0 tells them for 60,000 seats held in 15,000 holds of four by as many buyers
//! (`examples/stadium.rs`); 14.9 MB in all.
//!
//! A server that starts, and a replica that becomes master, begin a history with a name of its own. A book remembers the
//! history it was loaded in, and in another one it counts as not loaded: a new master may lack what the former one did
//! last, and a server that restarted from its disk what it had not written. So the book is made anew from SQL, with versions
//! and fences above all earlier ones: who watches gets a snapshot, holds not yet ordered are lost, and what was ordered is
//! SQL's. A former master that does not know yet that it was replaced still takes holds; they are never orders that SQL
//! takes together with those of the new master, because a seat is claimed there once and never with a lower fence.

pub(crate) mod text;

use std::{
    collections::{HashMap, HashSet},
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nugul_batch::{Batch, NotDone};
use nugul_domain::{
    EventId, HoldId, OrderId, PerformanceId, SeatIndex, SeatState, Timestamp, UserId,
    seat_book::{
        Audit, BlockRefusal, Change, Claim, Correction, ExtendRefusal, ExtendRequest, HISTORY_MAX, Hold, HoldGone,
        HoldRefusal, HoldRequest, IDEMPOTENCY_TTL_MS, Load, ReleaseRefusal, ReleaseRequest, SeatBook, Snapshot,
        SwapRefusal, SwapRequest, VERSIONS_PER_MS,
    },
};
use redis::Cmd;
use tokio::{task::JoinSet, time::Instant};

use self::connection::{CALL_TIMEOUT, Call, Connection, Function, Library};
use crate::{Error, ORDERED_POINTER_TTL_MS, POINTER_SPARE_MS};
use text::{change, commas, digit, done, gone, hold, indexes, nonsense, pairs, parse, refused, states, texts};

pub(crate) mod connection;

pub use connection::url_error;

/// How long a server believes what it found its history to be, in milliseconds: less than it can become a replica and master
/// again in.
const HISTORY_FOR_MS: i64 = 10;
/// Holds one function frees; more wait for the next one. Some milliseconds of Redis' time.
const SWEEP_MAX: usize = 1_000;
/// Holds of one performance that one function makes or turns into orders, or orders that it settles: those that came while the one
/// before was under way.
/// A millisecond or two of Redis' time; each costs it little more than half of what it costs alone.
const AT_ONCE: usize = 32;
/// Those of one performance that wait for such a function; one more is refused. More than its requests that are let in.
const WAITING_MAX: usize = 4_096;
/// Times one is asked for whose function's caller left in the middle of it.
const ABANDONED_MAX: u32 = 4;
/// How long one may take: what is under way before it, and its own function.
const TOGETHER_TIMEOUT: Duration = CALL_TIMEOUT.saturating_mul(2);
/// Arguments of one hold.
const HOLD_ARGUMENTS: usize = 6;
/// Arguments of one hold that becomes an order.
const ORDER_ARGUMENTS: usize = 3;
/// Arguments of one order that is settled.
const SETTLE_ARGUMENTS: usize = 5;
/// Seats this near each other are read in one call.
const SPAN_MAX: usize = 1_024;
/// Arguments a function passes to one call; Lua's stack takes some thousands.
const ARGUMENTS_MAX: usize = 1_000;
/// How soon another replica's hold is known of, so that it ends in time should that replica not be there any more.
const RECHECK: Duration = Duration::from_secs(5);
/// How long a performance without holds is looked after once nobody asks about it.
const IDLE: Duration = Duration::from_mins(10);
/// Performances whose holds are expired at the same time.
const EXPIRE_CONCURRENCY: usize = 32;
/// Pointers written at the same time.
const POINT_CONCURRENCY: usize = 256;
/// The pause between two looks at a version.
const POLL: Duration = Duration::from_millis(25);
/// The shortest time to live there is, in milliseconds.
const AT_ONCE_MS: i64 = 1;
/// More changes and holds of one performance than a master makes before its replicas have them; as many as a clock's second
/// has room for, so that a later load is above them.
const LOST_MAX: i64 = 1_000 * VERSIONS_PER_MS;
/// The largest whole number that Lua, which counts in doubles, tells from the next.
const EXACT_MAX: i64 = 1 << 53;

/// Seats kept in Redis. Clones share one connection, which carries concurrent calls and mends itself.
#[derive(Clone)]
pub struct RedisSeats {
    connection: Connection,
    library: Arc<Library>,
    known: Arc<Mutex<HashMap<PerformanceId, Known>>>,
}

/// A performance this process looks after.
struct Known {
    due: Instant,
    asked: Instant,
    waiting: Arc<Waiting>,
}

/// What waits for the next function on one performance.
struct Waiting {
    holds: Batch<Wanted, Result<Result<Hold, HoldRefusal>, Error>>,
    orders: Batch<ToOrder, Result<Result<Hold, HoldGone>, Error>>,
    settled: Batch<Settled, Result<(), Error>>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            holds: Batch::new(AT_ONCE, WAITING_MAX),
            orders: Batch::new(AT_ONCE, WAITING_MAX),
            settled: Batch::new(AT_ONCE, WAITING_MAX),
        }
    }
}

/// A hold that is asked for.
#[derive(Clone)]
struct Wanted {
    request: HoldRequest,
    /// What is written with it.
    pointer: Option<Cmd>,
}

/// A hold that is to become an order.
#[derive(Clone)]
struct ToOrder {
    hold: HoldId,
    user: UserId,
    order: OrderId,
}

/// What became of seats of an order.
#[derive(Clone)]
struct Settled {
    hold: HoldId,
    order: OrderId,
    user: UserId,
    seats: Vec<SeatIndex>,
    state: SeatState,
}

/// The functions on seats.
fn library() -> Library {
    // What stands in quotation marks is an argument of every hold.
    let names = format!(
        "local HISTORY_MAX, IDEMPOTENCY_TTL_MS = '{HISTORY_MAX}', '{IDEMPOTENCY_TTL_MS}'\n\
         local SWEEP_MAX, SPAN_MAX, ARGUMENTS_MAX = {SWEEP_MAX}, {SPAN_MAX}, {ARGUMENTS_MAX}\n\
         local VERSIONS_PER_MS, LOST_MAX, HISTORY_FOR_MS = {VERSIONS_PER_MS}, {LOST_MAX}, {HISTORY_FOR_MS}\n\
         local NEVER, HOLD_ARGUMENTS = {EXACT_MAX}, {HOLD_ARGUMENTS}\n\
         local ORDER_ARGUMENTS, SETTLE_ARGUMENTS = {ORDER_ARGUMENTS}, {SETTLE_ARGUMENTS}\n",
    );
    let reads = |name, body| Function { name, body, writes: false };
    let writes = |name, body| Function { name, body, writes: true };
    Library::new(
        &format!("{names}{}", include_str!("functions/prelude.lua")),
        &[
            writes("load", include_str!("functions/load.lua")),
            reads("snapshot", include_str!("functions/snapshot.lua")),
            reads("changes", include_str!("functions/changes.lua")),
            writes("hold", include_str!("functions/hold.lua")),
            reads("find", include_str!("functions/find.lua")),
            writes("swap", include_str!("functions/swap.lua")),
            writes("extend", include_str!("functions/extend.lua")),
            reads("answered", include_str!("functions/answered.lua")),
            writes("count", include_str!("functions/count.lua")),
            writes("order", include_str!("functions/order.lua")),
            writes("undo_order", include_str!("functions/undo_order.lua")),
            writes("release", include_str!("functions/release.lua")),
            writes("settle", include_str!("functions/settle.lua")),
            writes("block", include_str!("functions/block.lua")),
            writes("unblock", include_str!("functions/unblock.lua")),
            reads("audit", include_str!("functions/audit.lua")),
            writes("correct", include_str!("functions/correct.lua")),
            writes("expire", include_str!("functions/expire.lua")),
            reads("version", include_str!("functions/version.lua")),
        ],
    )
}

impl RedisSeats {
    pub(crate) async fn connect(url: &str) -> Result<Self, Error> {
        let connection = Connection::open(url).await?;
        Ok(Self { connection, library: Arc::new(library()), known: Arc::default() })
    }

    pub(crate) async fn load(&self, performance: PerformanceId, load: &Load) -> Result<(), Error> {
        // The domain says what the claims make of the book; only the clock is Redis' own.
        let book = SeatBook::load(load, Timestamp::from_millis(0));
        if book.fence() >= EXACT_MAX {
            return Err(Error::Answer(format!("fence {}", book.fence())));
        }
        let Audit { seats, holds, .. } = book.audit();
        let seats: Vec<u8> = seats.into_iter().map(digit).collect();
        let mut call = self.call("load", performance);
        call.arg(seats).arg(book.fence()).arg(holds.len()).arg(book.sales().len()).arg(book.counts().len());
        for hold in &holds {
            call.arg(hold.id.to_string()).arg(format!("{}|{}", hold.user, hold.fence));
            call.arg(hold.order_id().map(|o| o.to_string()).unwrap_or_default()).arg(commas(&hold.seats));
        }
        for (order, sale) in book.sales() {
            call.arg(order.to_string()).arg(format!("{}|{}", sale.user, commas(&sale.seats)));
        }
        for (user, count) in book.counts() {
            call.arg(user.to_string()).arg(count);
        }
        let answer = self.run(&call).await?;
        match texts(&answer).as_slice() {
            // Orders are found by their holds as before.
            ["ok"] => self.point_all(performance, holds.iter().map(|h| h.id).collect()).await,
            ["there"] => Ok(()),
            _ => Err(nonsense(&answer)),
        }
    }

    /// Writes which performance these orders' holds are of.
    async fn point_all(&self, performance: PerformanceId, holds: Vec<HoldId>) -> Result<(), Error> {
        for some in holds.chunks(POINT_CONCURRENCY) {
            let mut running = JoinSet::new();
            for &id in some {
                let seats = self.clone();
                running.spawn(async move { seats.point(id, performance, ORDERED_POINTER_TTL_MS).await });
            }
            while let Some(done) = running.join_next().await {
                done.map_err(unavailable)??;
            }
        }
        Ok(())
    }

    pub(crate) async fn snapshot(&self, performance: PerformanceId) -> Result<Snapshot, Error> {
        let answer = self.run(&self.call("snapshot", performance)).await?;
        match texts(&answer).as_slice() {
            ["ok", version, seats] => Ok(Snapshot { version: parse(version)?, seats: states(seats)? }),
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
        let mut call = self.call("changes", performance);
        let answer = self.run(call.arg(version)).await?;
        match texts(&answer).as_slice() {
            ["snapshot"] => Ok(None),
            ["ok", entries @ ..] => entries.chunks(2).map(change).collect::<Result<_, _>>().map(Some),
            _ => Err(nonsense(&answer)),
        }
    }

    pub(crate) async fn hold(
        &self,
        performance: PerformanceId,
        request: HoldRequest,
        is_doubtful: bool,
    ) -> Result<Result<Hold, HoldRefusal>, Error> {
        let (id, ttl) = (request.id, pointer_ttl(request.ttl_ms));
        let hold_ttl = Duration::from_millis(u64::try_from(request.ttl_ms).unwrap_or_default());
        // The pointer is in another slot, so not in the function. One server is sent it with the function; in a cluster it may be a
        // server that is away, and keeps no other hold waiting. Either way a hold is one round trip. Where it is doubtful, the
        // pointer would most likely have to be taken back.
        let pointer = (!is_doubtful).then(|| pointing(id, performance, ttl));
        let (pointer, apart) = if self.connection.is_cluster() { (None, pointer) } else { (pointer, None) };
        let held = self.hold_together(performance, Wanted { request, pointer });
        let point = async { if let Some(cmd) = &apart { self.connection.ask(cmd).await } else { Ok(()) } };
        let (answer, pointed) = tokio::join!(held, point);
        let hold = match answer? {
            Ok(hold) => hold,
            Err(refusal) => {
                if !is_doubtful {
                    // Waited for, because the id may be asked with again. Should it be lost, the pointer ends by itself.
                    let _ = self.point(id, performance, AT_ONCE_MS).await;
                }
                return Ok(Err(refusal));
            }
        };
        pointed?;
        if is_doubtful || hold.id != id {
            // Not written yet; or this is the answer the key got before, and its pointer may have been lost.
            self.point(hold.id, performance, ttl).await?;
        }
        self.look_after(performance, hold_ttl);
        Ok(Ok(hold))
    }

    /// Makes a hold, with those of this performance that wait meanwhile in one function.
    async fn hold_together(
        &self,
        performance: PerformanceId,
        wanted: Wanted,
    ) -> Result<Result<Hold, HoldRefusal>, Error> {
        let waiting = self.look_after(performance, RECHECK);
        together(&waiting.holds, wanted, async |some: Vec<Wanted>| self.hold_all(performance, &some).await).await
    }

    /// Makes holds in one function; a result for each, in their order.
    async fn hold_all(
        &self,
        performance: PerformanceId,
        all: &[Wanted],
    ) -> Result<Vec<Result<Result<Hold, HoldRefusal>, Error>>, Error> {
        let mut call = self.keyed("hold", performance);
        for Wanted { request, .. } in all {
            call.key(answer_key(performance, request.user, &request.key))
                .arg(request.id.to_string())
                .arg(request.user.to_string())
                .arg(&request.digest)
                .arg(request.ttl_ms)
                .arg(request.limit)
                .arg(commas(&request.seats));
        }
        let pointers: Vec<Cmd> = all.iter().filter_map(|wanted| wanted.pointer.clone()).collect();
        let answer = self.run_with(&call, &pointers).await?;
        let pairs = pairs(&answer, all.len())?;
        let held = |pair: &[String; 2]| match pair {
            [ok, text] if ok == "ok" => hold(text).map(Ok),
            [refusal, seats] => refused(&[refusal, seats]).ok_or_else(|| nonsense(&answer))?.map(Err),
        };
        Ok(pairs.iter().map(held).collect())
    }

    pub(crate) async fn swap(
        &self,
        performance: PerformanceId,
        request: SwapRequest,
    ) -> Result<Result<Hold, SwapRefusal>, Error> {
        let mut call = self.call("swap", performance);
        call.key(answer_key(performance, request.user, &request.key))
            .arg(request.hold.to_string())
            .arg(request.user.to_string())
            .arg(&request.digest)
            .arg(request.limit)
            .arg(request.hold_limit)
            .arg(commas(&request.give))
            .arg(commas(&request.take));
        let answer = self.run(&call).await?;
        match texts(&answer).as_slice() {
            ["ok", text] => Ok(Ok(hold(text)?)),
            ["not held", seats] => Ok(Err(SwapRefusal::NotHeld(indexes(seats)?))),
            other => match gone(other) {
                Some(gone) => Ok(Err(SwapRefusal::Gone(gone?))),
                None => Ok(Err(SwapRefusal::Seats(refused(other).ok_or_else(|| nonsense(&answer))??))),
            },
        }
    }

    pub(crate) async fn extend(
        &self,
        performance: PerformanceId,
        request: ExtendRequest,
    ) -> Result<Result<Hold, ExtendRefusal>, Error> {
        let mut call = self.call("extend", performance);
        call.key(answer_key(performance, request.user, &request.key))
            .arg(request.hold.to_string())
            .arg(request.user.to_string())
            .arg(&request.digest)
            .arg(request.ttl_ms);
        let answer = self.run(&call).await?;
        match texts(&answer).as_slice() {
            ["ok", text] => {
                self.point(request.hold, performance, pointer_ttl(request.ttl_ms)).await?;
                Ok(Ok(hold(text)?))
            }
            ["already"] => Ok(Err(ExtendRefusal::Already)),
            ["key reused"] => Ok(Err(ExtendRefusal::KeyReused)),
            other => Ok(Err(ExtendRefusal::Gone(gone(other).ok_or_else(|| nonsense(&answer))??))),
        }
    }

    pub(crate) async fn answered(
        &self,
        performance: PerformanceId,
        user: UserId,
        key: &str,
        digest: &str,
    ) -> Result<Option<Result<Hold, HoldRefusal>>, Error> {
        let mut call = self.call("answered", performance);
        let answer = self.run(call.key(answer_key(performance, user, key)).arg(digest)).await?;
        match texts(&answer).as_slice() {
            ["nothing"] => Ok(None),
            ["ok", text] => Ok(Some(Ok(hold(text)?))),
            ["key reused"] => Ok(Some(Err(HoldRefusal::KeyReused))),
            _ => Err(nonsense(&answer)),
        }
    }

    pub(crate) async fn count_held(
        &self,
        event: EventId,
        user: UserId,
        hold: HoldId,
        seats: usize,
        ttl_ms: i64,
        limit: usize,
    ) -> Result<Option<usize>, Error> {
        let mut call = self.library.call("count");
        call.key(format!("nugul:held:{{{event}}}:{user}")).arg(hold.to_string()).arg(seats).arg(ttl_ms).arg(limit);
        let answer = self.connection.run(&call).await?;
        match texts(&answer).as_slice() {
            ["ok", others] => Ok(Some(parse(others)?)),
            ["over limit"] => Ok(None),
            _ => Err(nonsense(&answer)),
        }
    }

    pub(crate) async fn performance_of(&self, id: HoldId) -> Result<Option<PerformanceId>, Error> {
        let pointer: Option<String> = self.connection.ask(&Cmd::get(pointer(id))).await?;
        pointer.as_deref().map(parse).transpose()
    }

    pub(crate) async fn find_hold(&self, id: HoldId) -> Result<Option<(PerformanceId, Hold)>, Error> {
        let Some(performance) = self.performance_of(id).await? else { return Ok(None) };
        let mut call = self.call("find", performance);
        let answer = match self.run(call.arg(id.to_string())).await {
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
        let waiting = self.look_after(performance, RECHECK);
        let work = async |some: Vec<ToOrder>| self.order_all(performance, &some).await;
        let ordered = together(&waiting.orders, ToOrder { hold: id, user, order }, work).await?;
        if ordered.is_ok() {
            self.point(id, performance, ORDERED_POINTER_TTL_MS).await?;
        }
        Ok(ordered)
    }

    /// Turns holds into orders in one function; a result for each, in their order.
    async fn order_all(
        &self,
        performance: PerformanceId,
        all: &[ToOrder],
    ) -> Result<Vec<Result<Result<Hold, HoldGone>, Error>>, Error> {
        let mut call = self.keyed("order", performance);
        for ToOrder { hold, user, order } in all {
            call.arg(hold.to_string()).arg(user.to_string()).arg(order.to_string());
        }
        let answer = self.run(&call).await?;
        let pairs = pairs(&answer, all.len())?;
        let ordered = |[what, text]: &[String; 2]| match what.as_str() {
            "ok" => hold(text).map(Ok),
            what => gone(&[what, text]).ok_or_else(|| nonsense(&answer))?.map(Err),
        };
        Ok(pairs.iter().map(ordered).collect())
    }

    pub(crate) async fn undo_order(
        &self,
        performance: PerformanceId,
        hold: HoldId,
        order: OrderId,
    ) -> Result<(), Error> {
        let mut call = self.call("undo_order", performance);
        call.arg(hold.to_string()).arg(order.to_string());
        done(&self.run(&call).await?)
    }

    pub(crate) async fn release(
        &self,
        performance: PerformanceId,
        request: ReleaseRequest,
    ) -> Result<Result<(), ReleaseRefusal>, Error> {
        let mut call = self.call("release", performance);
        call.key(answer_key(performance, request.user, &request.key))
            .arg(request.hold.to_string())
            .arg(request.user.to_string())
            .arg(&request.digest);
        let answer = self.run(&call).await?;
        match texts(&answer).as_slice() {
            ["ok", _] => Ok(Ok(())),
            ["key reused"] => Ok(Err(ReleaseRefusal::KeyReused)),
            other => Ok(Err(ReleaseRefusal::Gone(gone(other).ok_or_else(|| nonsense(&answer))??))),
        }
    }

    pub(crate) async fn settle(
        &self,
        performance: PerformanceId,
        hold: HoldId,
        order: OrderId,
        user: UserId,
        seats: &[SeatIndex],
        state: SeatState,
    ) -> Result<(), Error> {
        // Other states are no outcome, and of no seats nothing comes.
        if seats.is_empty() || !matches!(state, SeatState::Sold | SeatState::Available) {
            return Ok(());
        }
        let waiting = self.look_after(performance, RECHECK);
        let work = async |some: Vec<Settled>| {
            self.settle_all(performance, &some).await?;
            Ok(vec![Ok(()); some.len()])
        };
        together(&waiting.settled, Settled { hold, order, user, seats: seats.to_vec(), state }, work).await
    }

    /// Settles orders in one function.
    async fn settle_all(&self, performance: PerformanceId, all: &[Settled]) -> Result<(), Error> {
        let mut call = self.keyed("settle", performance);
        for Settled { hold, order, user, seats, state } in all {
            call.arg(hold.to_string()).arg(order.to_string()).arg(user.to_string());
            call.arg(&[digit(*state)][..]).arg(commas(seats));
        }
        done(&self.run(&call).await?)
    }

    pub(crate) async fn block(
        &self,
        performance: PerformanceId,
        seats: &[SeatIndex],
    ) -> Result<Result<(), BlockRefusal>, Error> {
        let mut call = self.call("block", performance);
        let answer = self.run(call.arg(commas(seats))).await?;
        match texts(&answer).as_slice() {
            ["ok"] => Ok(Ok(())),
            ["taken", seats] => Ok(Err(BlockRefusal::Taken(indexes(seats)?))),
            ["no such seat"] => Ok(Err(BlockRefusal::NoSuchSeat)),
            _ => Err(nonsense(&answer)),
        }
    }

    pub(crate) async fn unblock(&self, performance: PerformanceId, seats: &[SeatIndex]) -> Result<(), Error> {
        let mut call = self.call("unblock", performance);
        done(&self.run(call.arg(commas(seats))).await?)
    }

    pub(crate) async fn audit(&self, performance: PerformanceId) -> Result<Audit, Error> {
        let answer = self.run(&self.call("audit", performance)).await?;
        match texts(&answer).as_slice() {
            ["ok", version, seats, holds @ ..] => {
                let mut holds: Vec<Hold> = holds.iter().map(|h| hold(h)).collect::<Result<_, _>>()?;
                holds.sort_by_key(|h| h.id);
                Ok(Audit { version: parse(version)?, seats: states(seats)?, holds })
            }
            _ => Err(nonsense(&answer)),
        }
    }

    pub(crate) async fn correct(
        &self,
        performance: PerformanceId,
        since: Option<i64>,
        corrections: &[Correction],
    ) -> Result<Vec<SeatIndex>, Error> {
        let mut call = self.call("correct", performance);
        call.arg(since.map(|v| v.clamp(-EXACT_MAX, EXACT_MAX).to_string()).unwrap_or_default());
        for correction in corrections {
            call.arg(match correction {
                Correction::Free(seat) => format!("free|{seat}"),
                Correction::Block(seat) => format!("block|{seat}"),
                Correction::Claim(Claim { fence, .. }) if !(0..EXACT_MAX).contains(fence) => {
                    return Err(Error::Answer(format!("fence {fence}")));
                }
                Correction::Claim(Claim { seat, sold, order, hold, user, fence }) => {
                    format!("{}|{seat}|{order}|{hold}|{user}|{fence}", if *sold { "sold" } else { "held" })
                }
            });
        }
        let answer = self.run(&call).await?;
        let corrected = match texts(&answer).as_slice() {
            ["ok", seats] => indexes(seats)?,
            _ => return Err(nonsense(&answer)),
        };
        let done: HashSet<SeatIndex> = corrected.iter().copied().collect();
        let mut holds: Vec<HoldId> = corrections
            .iter()
            .filter_map(|c| match c {
                Correction::Claim(claim) if !claim.sold && done.contains(&claim.seat) => Some(claim.hold),
                _ => None,
            })
            .collect();
        holds.dedup();
        self.point_all(performance, holds).await?;
        Ok(corrected)
    }

    pub(crate) fn performances(&self) -> Vec<PerformanceId> {
        self.known().keys().copied().collect()
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
            let answer = match self.run(&self.keyed("expire", performance)).await {
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

    pub(crate) async fn forget(&self, performance: PerformanceId) -> Result<(), Error> {
        self.known().remove(&performance);
        let mut unlink = redis::cmd("UNLINK");
        for key in keys_of(performance) {
            unlink.arg(key);
        }
        let _: i64 = self.connection.ask(&unlink).await?;
        Ok(())
    }

    pub(crate) async fn ping(&self) -> Result<(), Error> {
        self.connection.ping().await
    }

    pub(crate) async fn wait_change(
        &self,
        performance: PerformanceId,
        after: i64,
        timeout: Duration,
    ) -> Result<(), Error> {
        let end = Instant::now() + timeout;
        loop {
            let answer = self.run(&self.call("version", performance)).await?;
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

    /// A function on a performance somebody asks about, whose holds this process expires from now on.
    fn call(&self, function: &str, performance: PerformanceId) -> Call<'_> {
        self.look_after(performance, RECHECK);
        self.keyed(function, performance)
    }

    /// The same with the keys of the performance alone.
    fn keyed(&self, function: &str, performance: PerformanceId) -> Call<'_> {
        let mut call = self.library.call(function);
        for key in keys_of(performance) {
            call.key(key);
        }
        call
    }

    async fn run(&self, call: &Call<'_>) -> Result<Vec<String>, Error> {
        self.run_with(call, &[]).await
    }

    async fn run_with(&self, call: &Call<'_>, with: &[Cmd]) -> Result<Vec<String>, Error> {
        let answer = self.connection.run_with(call, with).await?;
        if answer == ["not loaded"] { Err(Error::NotLoaded) } else { Ok(answer) }
    }

    /// Writes which performance a hold is of.
    async fn point(&self, hold: HoldId, performance: PerformanceId, ttl_ms: i64) -> Result<(), Error> {
        self.connection.ask(&pointing(hold, performance, ttl_ms)).await
    }

    fn known(&self) -> MutexGuard<'_, HashMap<PerformanceId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Expires this performance's holds from now on: at once where this process did not do so before, for then it does
    /// not know when the next ends; else no later than when `soonest` has passed.
    fn look_after(&self, performance: PerformanceId, soonest: Duration) -> Arc<Waiting> {
        let now = Instant::now();
        let mut known = self.known();
        let entry = known.entry(performance).or_insert_with(|| Known { due: now, asked: now, waiting: Arc::default() });
        entry.asked = now;
        entry.due = entry.due.min(now + soonest);
        Arc::clone(&entry.waiting)
    }
}

/// Has one done with those that wait meanwhile, within [`TOGETHER_TIMEOUT`]. `work` gives a result for each, or why none was done.
async fn together<T: Clone, R: Clone, W>(
    batch: &Batch<T, Result<R, Error>>,
    one: T,
    work: impl Fn(Vec<T>) -> W,
) -> Result<R, Error>
where
    W: Future<Output = Result<Vec<Result<R, Error>>, Error>>,
{
    let each = async |some: Vec<T>| {
        let many = some.len();
        work(some).await.unwrap_or_else(|e| vec![Err(e); many])
    };
    let asked = async {
        for _ in 1..ABANDONED_MAX {
            match batch.join(one.clone(), &each).await {
                // Asked again, because what was done already is answered or left as it is.
                Err(NotDone::Abandoned) => {}
                done => return done.map_err(not_done)?,
            }
        }
        batch.join(one.clone(), &each).await.map_err(not_done)?
    };
    tokio::time::timeout(TOGETHER_TIMEOUT, asked).await.map_err(unavailable)?
}

/// The keys of a performance's book.
fn keys_of(performance: PerformanceId) -> [String; 6] {
    let base = base(performance);
    ["meta", "seats", "holds", "ends", "sales", "changes"].map(|name| format!("{base}:{name}"))
}

fn unavailable(why: impl Display) -> Error {
    Error::Unavailable(why.to_string())
}

fn not_done(why: NotDone) -> Error {
    unavailable(match why {
        NotDone::TooMany => "too many wait",
        NotDone::Abandoned => "whoever did the work of all has left",
    })
}

fn base(performance: PerformanceId) -> String {
    format!("nugul:{{{performance}}}")
}

fn pointer(hold: HoldId) -> String {
    format!("nugul:hold:{hold}")
}

/// The command that writes which performance a hold is of.
fn pointing(hold: HoldId, performance: PerformanceId, ttl_ms: i64) -> Cmd {
    let ttl_ms = u64::try_from(ttl_ms.max(AT_ONCE_MS)).unwrap_or_default();
    Cmd::pset_ex(pointer(hold), performance.to_string(), ttl_ms)
}

fn answer_key(performance: PerformanceId, user: UserId, key: &str) -> String {
    format!("{}:key:{user}:{key}", base(performance))
}

const fn pointer_ttl(hold_ms: i64) -> i64 {
    hold_ms.saturating_add(POINTER_SPARE_MS)
}
