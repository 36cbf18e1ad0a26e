//! What our holds are compared with, on the same servers in the same run, each without HTTP in its way.
//!
//! - [`Rivals::bare_script`]: the least a script can do: four bits checked and set, and one entry on a stream.
//! - [`Rivals::seed_protocol`]: a fair distributed lock for each seat, the row read, the row updated, the lock given back.
//! - [`Rivals::conditional_updates`]: four `UPDATE … WHERE holder IS NULL` in one transaction.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use redis::{Script, aio::MultiplexedConnection};
use sqlx::{AssertSqlSafe, MySqlPool, mysql::MySqlPoolOptions};
use tokio::{process::Command, time::timeout};

use crate::{holds::SEATS, load::Measured};

/// Calls of the bare script in one go.
pub(crate) const BARE_CALLS: usize = 100_000;
/// Groups of four bits the bare script chooses from: so many that few calls find theirs taken, which is less work.
const BARE_GROUPS: usize = 10_000_000;
/// How long redis-benchmark may take.
const BARE_LIMIT: Duration = Duration::from_mins(2);
/// Rows written at once when the tables are filled.
const FILL_ROWS: usize = 1_000;
/// How long the fair lock is leased, as in Redisson's `tryLock(wait, lease)`; in milliseconds.
const LEASE_MS: u64 = 3_000;
/// How long a waiter may be silent before those behind it go on (Redisson's `threadWaitTime`); in milliseconds.
const WAITER_MS: u64 = 5_000;
/// How often a lock is asked for again before the bench gives up.
const LOCK_TRIES: usize = 1_000;

/// KEYS: seats, changes. ARGV: which four bits.
const BARE: &str = "\
local four = '#' .. tonumber(ARGV[1])
if redis.call('BITFIELD', KEYS[1], 'GET', 'u4', four)[1] ~= 0 then
  return 0
end
redis.call('BITFIELD', KEYS[1], 'SET', 'u4', four, 15)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', 'seats', four)
return 1";

/// Redisson's fair lock. KEYS: lock, queue, time-outs. ARGV: lease, owner, waiter's time, now.
const FAIR_LOCK: &str = "\
while true do
  local first = redis.call('LINDEX', KEYS[2], 0)
  if first == false then break end
  local ends = redis.call('ZSCORE', KEYS[3], first)
  if ends ~= false and tonumber(ends) <= tonumber(ARGV[4]) then
    redis.call('ZREM', KEYS[3], first)
    redis.call('LPOP', KEYS[2])
  else
    break
  end
end
if redis.call('EXISTS', KEYS[1]) == 0 and (redis.call('EXISTS', KEYS[2]) == 0 or redis.call('LINDEX', KEYS[2], 0) == ARGV[2]) then
  redis.call('LPOP', KEYS[2])
  redis.call('ZREM', KEYS[3], ARGV[2])
  for _, waiter in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
    redis.call('ZINCRBY', KEYS[3], -tonumber(ARGV[3]), waiter)
  end
  redis.call('HSET', KEYS[1], ARGV[2], 1)
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  return 1
end
if redis.call('ZSCORE', KEYS[3], ARGV[2]) == false then
  redis.call('ZADD', KEYS[3], tonumber(ARGV[4]) + tonumber(ARGV[3]) + redis.call('PTTL', KEYS[1]), ARGV[2])
  redis.call('RPUSH', KEYS[2], ARGV[2])
end
return 0";

/// KEYS: lock, queue, time-outs. ARGV: owner, now.
const FAIR_UNLOCK: &str = "\
while true do
  local first = redis.call('LINDEX', KEYS[2], 0)
  if first == false then break end
  local ends = redis.call('ZSCORE', KEYS[3], first)
  if ends ~= false and tonumber(ends) <= tonumber(ARGV[2]) then
    redis.call('ZREM', KEYS[3], first)
    redis.call('LPOP', KEYS[2])
  else
    break
  end
end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call('DEL', KEYS[1])
local next = redis.call('LINDEX', KEYS[2], 0)
if next ~= false then
  redis.call('PUBLISH', KEYS[1] .. ':' .. next, 0)
end
return 1";

/// The servers, and a table of seats.
#[derive(Clone)]
pub(crate) struct Rivals {
    redis_port: String,
    redis: MultiplexedConnection,
    sql: MySqlPool,
    /// The next seat nobody has.
    next: Arc<AtomicUsize>,
    seats: usize,
}

impl Rivals {
    /// Makes a table of `seats` rows, for at most `clients` connections.
    pub(crate) async fn prepare(redis_url: &str, mysql_url: &str, clients: usize, seats: usize) -> Self {
        let redis_port = redis_url.trim_end_matches('/').rsplit(':').next().unwrap_or_default().to_owned();
        let client = redis::Client::open(redis_url).expect("Redis' address");
        let redis = client.get_multiplexed_async_connection().await.expect("Redis");
        let clients = u32::try_from(clients).expect("a handful");
        let sql = MySqlPoolOptions::new().max_connections(clients).connect(mysql_url).await.expect("MariaDB");
        let make = "CREATE TABLE bench_seats (seat BIGINT NOT NULL PRIMARY KEY, holder BIGINT NULL)";
        sqlx::query(make).execute(&sql).await.expect("a table");
        let all: Vec<usize> = (0..seats).collect();
        for some in all.chunks(FILL_ROWS) {
            let rows: Vec<String> = some.iter().map(|seat| format!("({seat}, NULL)")).collect();
            let fill = format!("INSERT INTO bench_seats (seat, holder) VALUES {}", rows.join(","));
            sqlx::query(AssertSqlSafe(fill)).execute(&sql).await.expect("rows");
        }
        Self { redis_port, redis, sql, next: Arc::default(), seats }
    }

    /// Calls of the bare script a second, as redis-benchmark counts them.
    pub(crate) async fn bare_script(&self, clients: usize) -> f64 {
        let mut redis = self.redis.clone();
        let sha: String = redis::cmd("SCRIPT").arg("LOAD").arg(BARE).query_async(&mut redis).await.expect("a script");
        let _: () =
            redis::cmd("DEL").arg("bare:seats").arg("bare:changes").query_async(&mut redis).await.expect("Redis");
        let mut command = Command::new("redis-benchmark");
        command.args(["-p", &self.redis_port, "--csv", "-c", &clients.to_string(), "-n", &BARE_CALLS.to_string()]);
        command.args(["-r", &BARE_GROUPS.to_string()]);
        command.args(["EVALSHA", &sha, "2", "bare:seats", "bare:changes", "__rand_int__"]).kill_on_drop(true);
        let out = timeout(BARE_LIMIT, command.output()).await.expect("redis-benchmark in time");
        let out = out.expect("redis-benchmark, which comes with redis-server");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let rate = text.lines().last().and_then(|line| line.rsplit("\",\"").nth(6)?.parse().ok());
        rate.unwrap_or_else(|| panic!("redis-benchmark said: {text}{}", String::from_utf8_lossy(&out.stderr)))
    }

    /// Bookings of four seats, each seat as the seed books it. Nobody wants another's seats: its best case.
    pub(crate) async fn seed_protocol(&self, clients: usize, bookings: usize) -> Measured {
        let (lock, unlock) = (Arc::new(Script::new(FAIR_LOCK)), Arc::new(Script::new(FAIR_UNLOCK)));
        self.run(clients, bookings, move |this, seats, owner| {
            let (lock, unlock) = (Arc::clone(&lock), Arc::clone(&unlock));
            async move {
                for seat in seats {
                    this.locked(&lock, seat, owner).await;
                    let held: (Option<i64>,) = sqlx::query_as("SELECT holder FROM bench_seats WHERE seat = ?")
                        .bind(seat)
                        .fetch_one(&this.sql)
                        .await
                        .expect("a row");
                    assert_eq!(held.0, None, "seat {seat} is nobody's");
                    let update = sqlx::query("UPDATE bench_seats SET holder = ? WHERE seat = ?").bind(owner).bind(seat);
                    update.execute(&this.sql).await.expect("an update");
                    let mut redis = this.redis.clone();
                    let mut call = unlock.prepare_invoke();
                    keyed(&mut call, seat).arg(owner).arg(now_ms());
                    let done: i64 = call.invoke_async(&mut redis).await.expect("Redis");
                    assert_eq!(done, 1, "the lock was ours");
                }
            }
        })
        .await
    }

    /// Bookings of four seats by four conditional updates in one transaction.
    pub(crate) async fn conditional_updates(&self, clients: usize, bookings: usize) -> Measured {
        self.run(clients, bookings, |this, seats, owner| async move {
            let mut tx = this.sql.begin().await.expect("a transaction");
            for seat in seats {
                let update = sqlx::query("UPDATE bench_seats SET holder = ? WHERE seat = ? AND holder IS NULL");
                let done = update.bind(owner).bind(seat).execute(&mut *tx).await.expect("an update");
                assert_eq!(done.rows_affected(), 1, "seat {seat} is nobody's");
            }
            tx.commit().await.expect("a commit");
        })
        .await
    }

    /// So many bookings, each of the next four seats by another owner.
    async fn run<F>(
        &self,
        clients: usize,
        bookings: usize,
        book: impl Fn(Self, Vec<i64>, i64) -> F + Clone + Send + 'static,
    ) -> Measured
    where
        F: Future<Output = ()> + Send,
    {
        let left = Arc::new(AtomicUsize::new(bookings));
        let client = |_| {
            let (this, left, book) = (self.clone(), Arc::clone(&left), book.clone());
            async move {
                let mut taken = Vec::new();
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                    let first = this.next.fetch_add(SEATS, Ordering::Relaxed);
                    assert!(first + SEATS <= this.seats, "the table has seats enough");
                    let first = i64::try_from(first).expect("a seat");
                    let begun = Instant::now();
                    book(this.clone(), (0..4).map(|n| first + n).collect(), first + 1).await;
                    taken.push(begun.elapsed());
                }
                taken
            }
        };
        Measured::of((0..clients).map(client).collect()).await
    }

    async fn locked(&self, lock: &Script, seat: i64, owner: i64) {
        for _ in 0..LOCK_TRIES {
            let mut redis = self.redis.clone();
            let mut call = lock.prepare_invoke();
            keyed(&mut call, seat).arg(LEASE_MS).arg(owner).arg(WAITER_MS).arg(now_ms());
            if call.invoke_async::<i64>(&mut redis).await.expect("Redis") == 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("seat {seat} is locked for ever");
    }
}

fn keyed<'a, 'b>(call: &'b mut redis::ScriptInvocation<'a>, seat: i64) -> &'b mut redis::ScriptInvocation<'a> {
    call.key(format!("lock:{{{seat}}}")).key(format!("lock_queue:{{{seat}}}")).key(format!("lock_timeout:{{{seat}}}"))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
