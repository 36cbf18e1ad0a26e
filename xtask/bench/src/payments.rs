//! The payment service: its history as a gRPC stream beside the same rows as REST/JSON, confirms with a provider that takes its
//! time, and a day's books compared.
//!
//! Service and client are in this process, over real sockets without TLS on both sides; the provider is a function. The database
//! is `SQLite`, or with `NUGUL_PAYMENT_MYSQL_URL` that server's.

use std::{
    collections::HashSet,
    env, fs,
    io::Write as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Query, State},
    response::IntoResponse,
    routing::get,
};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use futures_util::future::BoxFuture;
use nugul_api::limits;
use nugul_payment::{
    audit, cases,
    confirm::{Payments, Timings},
    db::{self, Db},
    listing::{self, Cursor, Filter},
    rpc::Rpc,
    state::State as PaymentState,
    store,
    toss::{Cancelled, Confirmed, Found, PaymentGateway, RefundAsk, SettlementRow},
};
use nugul_proto::payment::v1::{
    ListPaymentsRequest, Payment, payment_service_client::PaymentServiceClient,
    payment_service_server::PaymentServiceServer,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{Row as _, any::AnyRow};
use tokio::{
    net::TcpListener,
    time::{Instant as Soon, sleep},
};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Endpoint, Server};
use uuid::Uuid;

use crate::{
    load::{Measured, count, median},
    report::{Figure, Report, commit, machine},
    wire::{Ask, Wire},
};

/// Rows of the history.
const HISTORY: usize = 100_000;
/// Rows of the short history that memory is compared with.
const SHORT: usize = 10_000;
/// How often each side is measured; the middle one counts. Threads that hand pages on land on one processor or on two, which
/// makes a stream half as fast or not from one time to the next.
const ROUNDS: usize = 15;
/// Rows of a REST page: the most that a list of the contract gives at once.
const PAGE: i64 = limits::PAGE_ITEMS_MAX as i64;
/// How much a reader of streams takes before it says that it has read, in bytes: a few pages.
const WINDOW: u32 = 1024 * 1024;
/// Confirms of one load.
const CONFIRMS: usize = 1_000;
/// Callers at once.
const CALLERS: [usize; 4] = [1, 16, 128, 512];
/// How long the provider takes, in milliseconds.
const DELAYS_MS: [u64; 2] = [0, 150];
/// Ledger entries of the day that is compared: two for each payment.
const ENTRIES: usize = 1_000_000;
/// Rows of one insert.
const ROWS: usize = 500;
/// How often memory is looked at.
const LOOK_AT_MEMORY_EVERY: Duration = Duration::from_millis(2);
/// What each payment costs.
const AMOUNT: i64 = 12_000;
/// The day the entries are of, in Seoul, and its start in UTC milliseconds.
const DAY: (&str, i64) = ("2026-03-02", 1_772_377_200_000);

/// A provider that says yes after a while, and settles what it is told to.
struct Provider {
    delay: Duration,
    settled: usize,
}

impl PaymentGateway for Provider {
    fn confirm<'a>(&'a self, _: Uuid, _: &'a str, _: i64) -> BoxFuture<'a, Confirmed> {
        Box::pin(async {
            if !self.delay.is_zero() {
                sleep(self.delay).await;
            }
            Confirmed::Taken
        })
    }

    fn find<'a>(&'a self, _: Uuid, _: &'a str) -> BoxFuture<'a, Found> {
        Box::pin(async { Found::Unknown("the bench does not ask".into()) })
    }

    fn cancel<'a>(&'a self, _: Uuid, _: &'a RefundAsk) -> BoxFuture<'a, Cancelled> {
        Box::pin(async { Cancelled::Unknown("the bench does not ask".into()) })
    }

    fn settlements<'a>(
        &'a self,
        _: &'a str,
        to: &'a str,
        page: usize,
        size: usize,
    ) -> BoxFuture<'a, Result<Vec<SettlementRow>, String>> {
        let row = move |k: usize| SettlementRow {
            order_id: order(k).to_string(),
            transaction_key: format!("t{k}"),
            refund_key: None,
            amount_krw: AMOUNT,
            sold_date: to.to_owned(),
        };
        let first = ((page - 1) * size).min(self.settled);
        let last = (first + size).min(self.settled);
        let rows = if to == DAY.0 { (first..last).map(row).collect() } else { Vec::new() };
        Box::pin(async { Ok(rows) })
    }
}

fn order(k: usize) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + k as u128)
}

/// A database of its own, removed in the end where it is a file.
struct Books {
    db: Db,
    folder: PathBuf,
    status: Option<sqlx::MySqlPool>,
}

impl Books {
    async fn open(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("nugul-bench-payments-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let (db, status) = if let Ok(server) = env::var("NUGUL_PAYMENT_MYSQL_URL") {
            let pool = sqlx::MySqlPool::connect(&server).await.expect("the server");
            let schema = format!("bench_{}_{name}", std::process::id());
            let make = sqlx::AssertSqlSafe(format!("CREATE DATABASE {schema} CHARACTER SET utf8mb4"));
            sqlx::query(make).execute(&pool).await.expect("a database");
            (db::mysql(&format!("{}/{schema}", server.trim_end_matches('/'))).await.expect("MariaDB"), Some(pool))
        } else {
            (db::sqlite(&folder.join("payment.db")).await.expect("SQLite"), None)
        };
        db::migrate(&db).await.expect("the schema");
        Self { db, folder, status }
    }

    fn payments(&self, provider: Provider) -> Arc<Payments> {
        Payments::new(self.db.clone(), Arc::new(provider), nugul_payment::confirm::now_ms, Timings::default())
    }

    /// So many approved payments, a second apart at most, all on [`DAY`].
    async fn fill(&self, payments: usize, with_ledger: bool) {
        for first in (0..payments).step_by(ROWS) {
            let range = first..(first + ROWS).min(payments);
            let (mut rows, mut entries) = (Vec::new(), Vec::new());
            for k in range {
                let id = order(k).simple().to_string();
                let at = DAY.1 + i64::try_from(k * 86_399_000 / payments).expect("a day");
                rows.push(format!(
                    "(x'{id}', x'{}', {AMOUNT}, '레미제라블 R석 2매', {}, 'tviva20260302{k:010}', '', '', {AMOUNT}, 0, {at}, {}, {at}, {at}, {at})",
                    order(k % 97).simple(),
                    PaymentState::Approved as i64,
                    store::NEVER,
                ));
                for (n, (account, sign)) in [("provider_receivable", 1), ("orders_payable", -1)].into_iter().enumerate()
                {
                    let entry = 2 * k + n + 1;
                    entries
                        .push(format!("({entry}, x'{id}', 1, 0, '{account}', 'KRW', {}, {at}, {at})", sign * AMOUNT));
                }
            }
            let mut texts = vec![format!(
                "INSERT INTO payments (order_id, user_id, amount_krw, order_name, state, payment_key, code, message, left_krw, \
                 attempts, asked_at_ms, next_check_ms, expires_at_ms, created_at_ms, updated_at_ms) VALUES {}",
                rows.join(", ")
            )];
            if with_ledger {
                texts.push(format!(
                    "INSERT INTO ledger (entry_no, order_id, movement, number, account, currency, amount, created_at_ms, moved_at_ms) \
                     VALUES {}",
                    entries.join(", ")
                ));
            }
            let mut tx = self.db.begin_write().await.expect("a transaction");
            for text in texts {
                sqlx::query(sqlx::AssertSqlSafe(text)).execute(&mut *tx).await.expect("rows");
            }
            tx.commit().await.expect("a commit");
        }
        if with_ledger {
            let text = format!("UPDATE ledger_counter SET last_entry = {}", 2 * payments);
            sqlx::query(sqlx::AssertSqlSafe(text)).execute(self.db.pool()).await.expect("a counter");
        }
    }

    /// How often the server has synced a file, its log above all; `SQLite` does not tell.
    async fn fsyncs(&self) -> Option<f64> {
        let row = sqlx::query("SHOW GLOBAL STATUS LIKE 'Innodb_data_fsyncs'").fetch_one(self.status.as_ref()?).await;
        row.ok()?.try_get::<String, _>(1).ok()?.parse().ok()
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        // What stays is in the system's folder for passing things.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Runs it.
pub(crate) async fn run() -> Report {
    let machine = machine();
    let database = if env::var_os("NUGUL_PAYMENT_MYSQL_URL").is_some() { "MySQL" } else { "SQLite" };
    let mut results = Vec::new();
    results.extend(history().await);
    results.extend(confirms().await);
    results.extend(books().await);
    for figure in &results {
        eprintln!("{}: {} {}", figure.what, figure.value, figure.unit);
    }
    Report {
        name: "payments",
        commit: commit(),
        profile: format!("in process, {database}"),
        work: json!({
            "machine": machine, "history_rows": HISTORY, "rounds": ROUNDS, "rest_page": PAGE,
            "confirms_per_load": CONFIRMS, "ledger_entries": ENTRIES,
            "client": "in the same process: both sides' work is in every time and in the memory",
        }),
        results,
        baseline: "the same rows of the same table and pool, read page by page as a handler reads rows, as JSON of the same fields over \
                   HTTP/1.1: the next page is asked for when the one before has been read; that_reads_as_the_stream: each page read as \
                   one value, as the stream reads it",
    }
}

/// One payment as JSON: the fields of the gRPC message.
#[derive(Debug, Serialize, Deserialize)]
struct Item {
    order_id: String,
    user_id: String,
    amount_krw: i64,
    order_name: String,
    state: i64,
    payment_key: String,
    code: String,
    message: String,
    expires_at_ms: i64,
    created_at_ms: i64,
    updated_at_ms: i64,
    open_case: bool,
    left_krw: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Page {
    items: Vec<Item>,
    next_cursor: String,
}

/// How a page is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Way {
    /// From rows, each with its columns.
    Plain,
    /// The same, compressed.
    Gzip,
    /// From what the stream reads.
    AsStream,
}

/// Where a page begins, and how it is made.
#[derive(Deserialize)]
struct Want {
    cursor: String,
    way: Way,
}

/// The rows as a handler reads them, each with its columns.
const ROWS_OF_A_PAGE: &str = "SELECT order_id, user_id, amount_krw, order_name, state, payment_key, code, message, expires_at_ms, \
    created_at_ms, updated_at_ms, left_krw FROM payments WHERE created_at_ms <= ? AND (created_at_ms < ? OR order_id < ?) \
    ORDER BY created_at_ms DESC, order_id DESC LIMIT ?";

fn id_of(row: &AnyRow, name: &str) -> Uuid {
    Uuid::from_slice(&row.get::<Vec<u8>, _>(name)).expect("an id")
}

async fn read_rows(db: &Db, cursor: &str) -> Page {
    let (time, order) = cursor.split_once('_').unwrap_or(("9223372036854775807", "ffffffffffffffffffffffffffffffff"));
    let (time, order): (i64, Uuid) = (time.parse().expect("a time"), order.parse().expect("an id"));
    let rows = sqlx::query(ROWS_OF_A_PAGE).bind(time).bind(time).bind(order.as_bytes().to_vec()).bind(PAGE);
    let rows = rows.fetch_all(db.pool()).await.expect("rows");
    let open = sqlx::AssertSqlSafe(format!("SELECT order_id FROM cases WHERE {}", cases::waiting()));
    let open = sqlx::query(open).fetch_all(db.pool()).await.expect("cases");
    let open: HashSet<Uuid> = open.iter().map(|row| id_of(row, "order_id")).collect();
    let item = |row: &AnyRow| {
        let order = id_of(row, "order_id");
        Item {
            open_case: open.contains(&order),
            order_id: order.to_string(),
            user_id: id_of(row, "user_id").to_string(),
            amount_krw: row.get("amount_krw"),
            order_name: row.get("order_name"),
            state: row.get("state"),
            payment_key: row.get("payment_key"),
            code: row.get("code"),
            message: row.get("message"),
            expires_at_ms: row.get("expires_at_ms"),
            created_at_ms: row.get("created_at_ms"),
            updated_at_ms: row.get("updated_at_ms"),
            left_krw: row.get("left_krw"),
        }
    };
    let more = rows.last().filter(|_| i64::try_from(rows.len()).is_ok_and(|n| n == PAGE));
    let next_cursor =
        more.map(|row| format!("{}_{}", row.get::<i64, _>("created_at_ms"), id_of(row, "order_id").simple()));
    Page { items: rows.iter().map(item).collect(), next_cursor: next_cursor.unwrap_or_default() }
}

/// The same as the stream reads it, a page as one value.
async fn read_page(db: &Db, cursor: &str) -> Page {
    let filter = Filter { cursor: Cursor::parse(cursor), ..Filter::default() };
    let listing::Page { payments, next } = listing::page(db, &filter, PAGE).await.expect("a page");
    let item = |p: Payment| Item {
        order_id: p.order_id,
        user_id: p.user_id,
        amount_krw: p.amount_krw,
        order_name: p.order_name,
        state: i64::from(p.state),
        payment_key: p.payment_key,
        code: p.code,
        message: p.message,
        expires_at_ms: p.expires_at_ms,
        created_at_ms: p.created_at_ms,
        updated_at_ms: p.updated_at_ms,
        open_case: p.open_case,
        left_krw: p.left_krw,
    };
    Page { items: payments.into_iter().map(item).collect(), next_cursor: next.map(Cursor::text).unwrap_or_default() }
}

async fn page(State(payments): State<Arc<Payments>>, Query(want): Query<Want>) -> impl IntoResponse {
    let page = match want.way {
        Way::AsStream => read_page(&payments.db, &want.cursor).await,
        Way::Plain | Way::Gzip => read_rows(&payments.db, &want.cursor).await,
    };
    let text = serde_json::to_vec(&page).expect("JSON");
    if want.way != Way::Gzip {
        return text;
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&text).expect("memory takes everything");
    gzip.finish().expect("memory takes everything")
}

/// Both sides over one pool: gRPC and REST.
struct Sides {
    grpc: String,
    rest: String,
    stop: CancellationToken,
}

impl Sides {
    async fn start(payments: Arc<Payments>) -> Self {
        let stop = CancellationToken::new();
        let (one, two) = (listen().await, listen().await);
        let origin = |listener: &TcpListener| format!("http://{}", listener.local_addr().expect("an address"));
        let sides = Self { grpc: origin(&one), rest: origin(&two), stop: stop.clone() };
        let service = PaymentServiceServer::new(Rpc::new(Arc::clone(&payments), stop.clone()));
        let server = Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming_shutdown(TcpListenerStream::new(one), stop.clone().cancelled_owned()));
        let router = Router::new().route("/payments", get(page)).with_state(payments);
        tokio::spawn(async move { axum::serve(two, router).with_graceful_shutdown(stop.cancelled_owned()).await });
        sides
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("an address")
}

/// So many rows as a stream: how long for all and for the first page.
async fn stream_rows(sides: &Sides, rows: usize) -> (Duration, Duration) {
    let endpoint = Endpoint::from_shared(sides.grpc.clone())
        .expect("an address")
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let mut client = PaymentServiceClient::new(endpoint.connect().await.expect("a connection"));
    let (begun, mut first, mut seen) = (Instant::now(), None, 0);
    let ask = ListPaymentsRequest { limit: i64::try_from(rows).expect("a count"), ..ListPaymentsRequest::default() };
    let mut pages = client.list_payments(ask).await.expect("a stream").into_inner();
    while let Some(page) = pages.message().await.expect("a page") {
        first.get_or_insert_with(|| begun.elapsed());
        seen += page.payments.len();
    }
    assert_eq!(seen, rows);
    (begun.elapsed(), first.unwrap_or_default())
}

/// The same rows from the database alone, page by page: what a side that reads so cannot be faster than.
async fn read_alone<R: Future<Output = Page>>(rows: usize, read: impl Fn(String) -> R) -> Duration {
    let (begun, mut cursor, mut seen) = (Instant::now(), String::new(), 0);
    while seen < rows {
        let page = read(cursor).await;
        seen += page.items.len();
        cursor = page.next_cursor;
    }
    begun.elapsed()
}

/// The same rows as REST/JSON.
async fn get_rows(sides: &Sides, rows: usize, way: Way) -> Duration {
    let mut wire = Wire::open(&sides.rest).await;
    let (begun, mut cursor, mut seen) = (Instant::now(), String::new(), 0);
    while seen < rows {
        let path = format!("/payments?cursor={cursor}&way={way:?}");
        let reply = wire.send(Ask { method: "GET", path: &path, ..Ask::default() }).await;
        reply.expect_status(200);
        let page: Page = if way == Way::Gzip {
            serde_json::from_reader(std::io::BufReader::new(GzDecoder::new(reply.body))).expect("a page")
        } else {
            reply.expect(200)
        };
        seen += page.items.len();
        cursor = page.next_cursor;
    }
    assert_eq!(seen, rows);
    begun.elapsed()
}

/// The most memory this process holds of its own while it is watched: what is mapped of files is the system's.
struct Peak {
    most_kib: Arc<AtomicUsize>,
    watching: tokio::task::JoinHandle<()>,
}

impl Peak {
    fn watch() -> Self {
        let most_kib = Arc::new(AtomicUsize::new(own_kib()));
        let most = Arc::clone(&most_kib);
        let watching = tokio::spawn(async move {
            loop {
                most.fetch_max(own_kib(), Ordering::Relaxed);
                sleep(LOOK_AT_MEMORY_EVERY).await;
            }
        });
        Self { most_kib, watching }
    }

    /// In MiB.
    fn end(self) -> f64 {
        self.watching.abort();
        count(self.most_kib.load(Ordering::Relaxed)) / 1024.0
    }
}

/// What this process holds of its own, in KiB; nothing where the system does not tell (proc(5), `RssAnon`).
fn own_kib() -> usize {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

async fn history() -> Vec<Figure> {
    let books = Books::open("history").await;
    books.fill(HISTORY, false).await;
    let payments = books.payments(Provider { delay: Duration::ZERO, settled: 0 });
    let sides = Sides::start(Arc::clone(&payments)).await;
    // Warm: pages of the file in memory, connections made.
    stream_rows(&sides, SHORT).await;
    get_rows(&sides, SHORT, Way::Plain).await;
    let (mut grpc, mut first) = (Vec::new(), Vec::new());
    let (mut rest, mut packed, mut as_stream) = (Vec::new(), Vec::new(), Vec::new());
    let (mut pages_alone, mut rows_alone) = (Vec::new(), Vec::new());
    let db = &payments.db;
    for round in 1..=ROUNDS {
        eprintln!("history: round {round} of {ROUNDS}");
        let (whole, to_first) = stream_rows(&sides, HISTORY).await;
        grpc.push(whole.as_secs_f64());
        first.push(to_first.as_secs_f64() * 1000.0);
        rest.push(get_rows(&sides, HISTORY, Way::Plain).await.as_secs_f64());
        packed.push(get_rows(&sides, HISTORY, Way::Gzip).await.as_secs_f64());
        as_stream.push(get_rows(&sides, HISTORY, Way::AsStream).await.as_secs_f64());
        pages_alone.push(read_alone(HISTORY, async |cursor| read_page(db, &cursor).await).await.as_secs_f64());
        rows_alone.push(read_alone(HISTORY, async |cursor| read_rows(db, &cursor).await).await.as_secs_f64());
    }
    let mut peaks = Vec::new();
    for rows in [SHORT, HISTORY] {
        let peak = Peak::watch();
        stream_rows(&sides, rows).await;
        peaks.push(Figure::new(format!("history_peak_memory_{rows}"), "MiB", peak.end()));
        let peak = Peak::watch();
        get_rows(&sides, rows, Way::Plain).await;
        peaks.push(Figure::new(format!("history_rest_peak_memory_{rows}"), "MiB", peak.end()));
    }
    sides.stop.cancel();
    let ratios = |other: &[f64]| median(other.iter().zip(&grpc).map(|(other, grpc)| other / grpc).collect());
    let mut results = vec![
        Figure::new("history_grpc_to_rest_ratio", "ratio", ratios(&rest)),
        Figure::new("history_grpc_to_rest_gzip_ratio", "ratio", ratios(&packed)),
        Figure::new("history_grpc_to_rest_that_reads_as_the_stream_ratio", "ratio", ratios(&as_stream)),
        Figure::new("history_grpc_rows_per_s", "1/s", count(HISTORY) / median(grpc.clone())),
        Figure::new("history_rest_rows_per_s", "1/s", count(HISTORY) / median(rest)),
        Figure::new("history_pages_alone_rows_per_s", "1/s", count(HISTORY) / median(pages_alone)),
        Figure::new("history_rows_alone_rows_per_s", "1/s", count(HISTORY) / median(rows_alone)),
        Figure::new("history_first_byte_ms", "ms", median(first)),
    ];
    results.extend(peaks);
    results
}

async fn confirms() -> Vec<Figure> {
    let books = Books::open("confirms").await;
    let mut results = Vec::new();
    let next = Arc::new(AtomicUsize::new(0));
    for delay in DELAYS_MS {
        let payments = books.payments(Provider { delay: Duration::from_millis(delay), settled: 0 });
        for callers in CALLERS {
            // One caller with a slow provider would take minutes and say what a hundred say.
            let confirms = CONFIRMS.min(callers * 100);
            eprintln!("confirms: {callers} at once, the provider takes {delay} ms");
            let orders: Vec<_> = (0..confirms).map(|_| order(next.fetch_add(1, Ordering::Relaxed))).collect();
            for order in &orders {
                prepare(&payments, *order).await;
            }
            let before = books.fsyncs().await;
            let measured = confirm_all(&payments, orders, callers).await;
            let after = books.fsyncs().await;
            let name = format!("confirm_{callers}_at_once_toss_{delay}_ms");
            results.extend([
                Figure::new(format!("{name}_per_s"), "1/s", measured.per_second()),
                Figure::new(format!("{name}_p50"), "ms", measured.p50_ms()),
                Figure::new(format!("{name}_p99"), "ms", measured.p99_ms()),
            ]);
            if let Some((after, before)) = after.zip(before) {
                let each = (after - before) / measured.operations();
                results.push(Figure::new(format!("{name}_fsyncs"), "fsyncs", each));
            }
        }
    }
    results
}

async fn prepare(payments: &Payments, order: Uuid) {
    let now = nugul_payment::confirm::now_ms();
    let new = store::Payment {
        order,
        user: order,
        amount_krw: AMOUNT,
        order_name: "bench".into(),
        state: PaymentState::Prepared,
        payment_key: String::new(),
        code: String::new(),
        message: String::new(),
        left_krw: 0,
        attempts: 0,
        asked_at_ms: 0,
        next_check_ms: store::NEVER,
        expires_at_ms: now + 3_600_000,
        created_at_ms: now,
        updated_at_ms: now,
    };
    payments.prepare(&format!("prepare-{order}"), &new).await.expect("prepared");
}

async fn confirm_all(payments: &Arc<Payments>, orders: Vec<Uuid>, callers: usize) -> Measured {
    let orders = Arc::new(orders);
    let next = Arc::new(AtomicUsize::new(0));
    let caller = |_| {
        let (payments, orders, next) = (Arc::clone(payments), Arc::clone(&orders), Arc::clone(&next));
        async move {
            let mut times = Vec::new();
            while let Some(order) = orders.get(next.fetch_add(1, Ordering::Relaxed)) {
                let begun = Instant::now();
                let (id, until) = (format!("confirm-{order}"), Soon::now() + Duration::from_secs(30));
                loop {
                    match payments.confirm(&id, *order, "bench", AMOUNT, until).await {
                        Ok(payment) => {
                            assert_eq!(payment.state, PaymentState::Approved);
                            break;
                        }
                        // No more calls than the bound are under way: the caller comes back, as an outbox does.
                        Err(store::Refusal::Busy) => sleep(Duration::from_millis(2)).await,
                        Err(refusal) => panic!("{refusal:?}"),
                    }
                }
                times.push(begun.elapsed());
            }
            times
        }
    };
    Measured::of((0..callers).map(caller).collect()).await
}

async fn books() -> Vec<Figure> {
    let books = Books::open("books").await;
    eprintln!("books: {ENTRIES} ledger entries are made");
    books.fill(ENTRIES / 2, true).await;
    let payments = books.payments(Provider { delay: Duration::ZERO, settled: ENTRIES / 2 });
    let mut results = Vec::new();
    // The whole as one day, then a day with nothing: what was summed is not summed again.
    for (name, day) in [("reconcile_1000000_entries", DAY.0), ("reconcile_next_day", "2026-03-04")] {
        let (before, peak) = (count(own_kib()) / 1024.0, Peak::watch());
        let begun = Instant::now();
        let day = audit::day(day).expect("a day");
        eprintln!("books: {name}");
        let report = audit::reconcile(&payments, day).await.unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!((report.differences, report.ledger_sum_krw), (0, 0), "{report:?}");
        assert_eq!(report.movements, report.settlement_rows, "{report:?}");
        results.push(Figure::new(format!("{name}_s"), "s", begun.elapsed().as_secs_f64()));
        results.push(Figure::new(format!("{name}_memory"), "MiB", peak.end() - before));
    }
    results
}
