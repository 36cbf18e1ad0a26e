//! Orders from the hold to the ticket through all three services, durable, beside the number of bare durable commits that the
//! same database makes at the same concurrency in the same run.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use nugul_api::booking::{Hold, Order};
use nugul_domain::{PerformanceId, order::OrderState};
use nugul_platform::{Profile, Service, TOSS_CLIENT_KEY};
use serde_json::json;
use sqlx::{
    MySqlPool, SqlitePool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    cpu::Cpu,
    ground::{Ground, post},
    load::{Measured, median},
    report::{Figure, Report, commit, machine},
    wire::{Ask, Wire},
};

/// Buyers at once: the figures without a number are of the first, the others have it in their names.
const BUYERS: [usize; 2] = [256, 64];
/// Connections of the bare commits at most: a server has not many more.
const CONNECTIONS_MAX: usize = 64;
/// How often each side is measured; the middle one counts.
const ROUNDS: usize = 3;
/// Orders of a round.
const ORDERS: usize = 4_096;
/// Seats of an order.
const SEATS: usize = 1;
/// The hall, as rows and seats of each: seats enough for every round.
const HALL: (u32, u32) = (100, 150);
/// Single-row commits of a round.
const COMMITS: usize = 5_000;
/// How often a late outcome is asked for, and how many times.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKS_MAX: usize = 100;
/// What a bare commit writes, in bytes: about as much as an order's row.
const ROW_BYTES: usize = 150;

/// Runs it.
pub(crate) async fn run() -> Report {
    let machine = machine();
    let mut results = Vec::new();
    let mut toss_in_memory = true;
    for (name, profile) in [("mariadb", Profile::Distributed), ("sqlite", Profile::Embedded)] {
        let ground = Ground::start(&format!("orders-{name}"), profile).await;
        toss_in_memory &= ground.toss_in_memory();
        let database = Database::open(&ground).await;
        for buyers in BUYERS {
            let figures = orders_on(name, &ground, &database, buyers).await;
            for figure in &figures {
                eprintln!("{}: {} {}", figure.what, figure.value, figure.unit);
            }
            results.extend(figures);
        }
        database.close().await;
    }
    Report {
        name: "orders",
        commit: commit(),
        profile: format!("{} and {}", Profile::Distributed, Profile::Embedded),
        work: json!({
            "machine": machine, "buyers": BUYERS, "rounds": ROUNDS, "orders_per_round": ORDERS, "seats_per_order": SEATS,
            "commits_per_round": COMMITS, "toss_delay_ms": 0, "toss_file_in_memory": toss_in_memory,
            "an_order": "hold, order, the buyer's decision at the provider, confirm until paid with its ticket; times are of all that",
        }),
        results,
        baseline: "single-row inserts, each a transaction that is fsynced, by as many clients into the same database server (SQLite: \
                   a file of its own beside the coordinator's, through one connection, which is its fastest)",
    }
}

async fn orders_on(name: &str, ground: &Ground, database: &Database, buyers: usize) -> Vec<Figure> {
    let named = |what: &str| {
        if buyers == BUYERS[0] { what.to_owned() } else { format!("{what}_{buyers}_buyers") }
    };
    let performance = ground.performances(HALL.0, HALL.1, 1).await.remove(0);
    let next = Arc::new(AtomicUsize::new(0));
    // Warm: connections of the pools made, statements prepared.
    buy(ground, performance, &next, buyers, buyers).await;
    let services = [
        ("coordinator", Service::Coordinator),
        ("payment", Service::Payment),
        ("toss", Service::Toss),
        ("redis", Service::Redis),
        ("mariadb", Service::MariaDb),
    ];
    let (mut bought, mut limits, mut commits) = (Vec::new(), Vec::new(), Vec::new());
    let mut used = vec![Vec::new(); services.len() + 1];
    let cpu = || services.iter().map(|(_, s)| ground.cpu(*s)).chain([Cpu::own()]).collect::<Vec<_>>();
    for round in 1..=ROUNDS {
        eprintln!("orders on {name}, {buyers} buyers: round {round} of {ROUNDS}");
        limits.push(database.bare_commits(buyers).await.per_second());
        let (before, committed) = (cpu(), database.commits().await);
        let measured = buy(ground, performance, &next, buyers, ORDERS).await;
        for ((used, after), before) in used.iter_mut().zip(cpu()).zip(before) {
            used.push((after - before).us_per(measured.operations()));
        }
        if let Some((after, before)) = database.commits().await.zip(committed) {
            commits.push((after - before) / measured.operations());
        }
        bought.push(measured);
    }
    let of = |figure: fn(&Measured) -> f64| median(bought.iter().map(figure).collect());
    let ratios = bought.iter().zip(&limits).map(|(orders, limit)| orders.per_second() / limit).collect();
    let mut results = vec![
        Figure::new(named(&format!("{name}_orders_per_s")), "1/s", of(Measured::per_second)),
        Figure::new(named(&format!("{name}_order_p50")), "ms", of(Measured::p50_ms)),
        Figure::new(named(&format!("{name}_order_p99")), "ms", of(Measured::p99_ms)),
        Figure::new(named(&format!("{name}_commit_limit_per_s")), "1/s", median(limits.clone())),
        Figure::new(named(&format!("{name}_ratio_to_commit_limit")), "ratio", median(ratios)),
    ];
    for ((service, _), used) in services.iter().zip(&used).filter(|(_, used)| used.iter().any(|us| *us > 0.0)) {
        results.push(Figure::new(named(&format!("{name}_order_{service}_cpu")), "us", median(used.clone())));
    }
    results.push(Figure::new(
        named(&format!("{name}_order_client_cpu")),
        "us",
        median(used.last().cloned().unwrap_or_default()),
    ));
    if commits.is_empty() {
        eprintln!("orders on {name}: its commits are not counted, because the server does not tell");
    } else {
        results.push(Figure::new(named("commits_per_order"), "commits", median(commits)));
    }
    results
}

/// So many orders, by as many buyers.
async fn buy(
    ground: &Ground,
    performance: PerformanceId,
    next: &Arc<AtomicUsize>,
    buyers: usize,
    orders: usize,
) -> Measured {
    let tokens = Arc::new(ground.tokens(orders));
    let begins = next.load(Ordering::Relaxed);
    let toss = ground.platform().addresses().toss;
    let mut clients = Vec::with_capacity(buyers);
    for _ in 0..buyers {
        let buyer = Buyer { shop: Wire::open(&ground.origin).await, toss: Wire::open(&toss).await, performance };
        clients.push(buying(buyer, Arc::clone(&tokens), Arc::clone(next), begins));
    }
    let measured = Measured::of(clients).await;
    next.store(begins + orders, Ordering::Relaxed);
    measured
}

async fn buying(mut buyer: Buyer, tokens: Arc<Vec<String>>, next: Arc<AtomicUsize>, begins: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    loop {
        let k = next.fetch_add(1, Ordering::Relaxed);
        let Some(token) = tokens.get(k - begins) else { return times };
        let begun = Instant::now();
        buyer.buy(token, k).await;
        times.push(begun.elapsed());
    }
}

/// Someone with a connection to the shop and one to the payment provider.
struct Buyer {
    shop: Wire,
    toss: Wire,
    performance: PerformanceId,
}

impl Buyer {
    async fn buy(&mut self, token: &str, seat: usize) {
        let key = nugul_tests::new_key();
        let path = format!("/api/v1/performances/{}/holds", self.performance);
        let body = json!({ "seats": [seat] }).to_string();
        let hold: Hold = self.shop.send(post(&path, token, &key, &body)).await.expect(201);
        let body = json!({ "hold_id": hold.id }).to_string();
        let order: Order = self.shop.send(post("/api/v1/orders", token, &key, &body)).await.expect(201);
        let payment_key = self.pay(&order).await;
        let path = format!("/api/v1/orders/{}/confirm", order.id);
        let body = json!({ "payment_key": payment_key, "amount_krw": order.total_krw }).to_string();
        let key = nugul_tests::new_key();
        let mut paid: Order = self.shop.send(post(&path, token, &key, &body)).await.expect(200);
        // An outcome that is late is asked for, as a page would; all of the wait counts.
        let path = format!("/api/v1/orders/{}", order.id);
        for _ in 0..LOOKS_MAX {
            if paid.state != OrderState::Confirming {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            let ask = Ask { method: "GET", path: &path, token, ..Ask::default() };
            paid = self.shop.send(ask).await.expect(200);
        }
        assert_eq!((paid.state, paid.tickets.len()), (OrderState::Paid, SEATS), "{:?}", paid.decline_reason);
    }

    /// What the buyer's browser sends when its owner agrees; the answer sends it back with the payment's key.
    async fn pay(&mut self, order: &Order) -> String {
        let form = format!(
            "clientKey={TOSS_CLIENT_KEY}&orderId={}&amount={}&orderName=bench&successUrl=http://shop/paid&failUrl=http://shop/failed&decision=pay",
            order.id, order.total_krw.0
        );
        let ask = Ask {
            method: "POST",
            path: "/checkout/pay",
            kind: "application/x-www-form-urlencoded",
            body: form.as_bytes(),
            ..Ask::default()
        };
        let reply = self.toss.send(ask).await;
        reply.expect_status(303);
        let back = reply.header("location").unwrap_or_default();
        let key = back.split(['?', '&']).find_map(|pair| pair.strip_prefix("paymentKey="));
        key.unwrap_or_else(|| panic!("no payment key: {back}")).to_owned()
    }
}

/// The database under the services, for the other side.
enum Database {
    MariaDb(MySqlPool, Option<MySqlPool>),
    Sqlite(SqlitePool),
}

impl Database {
    async fn open(ground: &Ground) -> Self {
        if let Some(url) = ground.platform().mysql_url() {
            let connections = u32::try_from(CONNECTIONS_MAX).expect("a handful");
            let pool = MySqlPoolOptions::new().max_connections(connections).connect(url).await.expect("MariaDB");
            let make = "CREATE TABLE bench_commits (id BIGINT NOT NULL PRIMARY KEY AUTO_INCREMENT, body VARBINARY(200) NOT NULL)";
            sqlx::query(make).execute(&pool).await.expect("a table");
            return Self::MariaDb(pool, administrator(ground.data_dir()).await);
        }
        let pool = sqlite(&ground.data_dir().join("coordinator/bench.db")).await;
        let make = "CREATE TABLE bench_commits (id INTEGER PRIMARY KEY, body BLOB NOT NULL)";
        sqlx::query(make).execute(&pool).await.expect("a table");
        Self::Sqlite(pool)
    }

    async fn close(self) {
        match self {
            Self::MariaDb(pool, _) => pool.close().await,
            Self::Sqlite(pool) => pool.close().await,
        }
    }

    /// Single-row inserts, each durable by itself, by as many clients.
    async fn bare_commits(&self, clients: usize) -> Measured {
        const INSERT: &str = "INSERT INTO bench_commits (body) VALUES (?)";
        let left = Arc::new(AtomicUsize::new(COMMITS));
        let client = |_| {
            let left = Arc::clone(&left);
            let (mariadb, sqlite) = match self {
                Self::MariaDb(pool, _) => (Some(pool.clone()), None),
                Self::Sqlite(pool) => (None, Some(pool.clone())),
            };
            async move {
                let (row, mut taken) = (vec![7_u8; ROW_BYTES], Vec::new());
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                    let begun = Instant::now();
                    if let Some(pool) = &mariadb {
                        sqlx::query(INSERT).bind(&row).execute(pool).await.expect("an insert");
                    }
                    if let Some(pool) = &sqlite {
                        sqlx::query(INSERT).bind(&row).execute(pool).await.expect("an insert");
                    }
                    taken.push(begun.elapsed());
                }
                taken
            }
        };
        Measured::of((0..clients).map(client).collect()).await
    }

    /// Transactions that wrote, committed by the whole server so far; `SQLite` does not tell.
    async fn commits(&self) -> Option<f64> {
        const COUNT: &str =
            "SELECT CAST(COUNT AS SIGNED) FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rw_commits'";
        let Self::MariaDb(_, Some(root)) = self else { return None };
        let count: i64 = sqlx::query_scalar(COUNT).fetch_one(root).await.ok()?;
        Some(f64::from(i32::try_from(count).ok()?))
    }
}

/// The server's own administrator, who may look at its counters: whoever started it, on its local socket.
async fn administrator(data_dir: &Path) -> Option<MySqlPool> {
    let options = MySqlConnectOptions::new().socket(data_dir.join("mariadb/data/mariadb.sock")).username("root");
    let pool = MySqlPoolOptions::new().max_connections(1).connect_with(options).await.ok()?;
    sqlx::query("SET GLOBAL innodb_monitor_enable = 'trx_rw_commits'").execute(&pool).await.ok()?;
    Some(pool)
}

async fn sqlite(file: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await.expect("SQLite")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hall_has_seats_enough() {
        let most = BUYERS.iter().max().expect("some");
        assert!((HALL.0 * HALL.1) as usize >= (most + ROUNDS * ORDERS) * SEATS);
    }
}
