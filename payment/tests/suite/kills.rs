//! Purchases while the service is killed at random moments and the provider fails one request in five.
//!
//! `NUGUL_TEST_PURCHASES` says how many (300), `NUGUL_TEST_SEED` which ones, `NUGUL_TEST_TOTALS` where the totals are written.
use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use nugul_proto::payment::v1::{
    CancelRequest, ListCasesRequest, ListPaymentsRequest, PaymentResult, PaymentState, ReconcileRequest, ResultKind,
    WatchResultsRequest,
};
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::Instant;
use tonic::Code;
use uuid::Uuid;

use crate::scratch::random_id;
use crate::world::{Client, SECRET, World, cancel, confirm, prepare};

const AMOUNT: i64 = 10_000;
const PART: i64 = 3_000;
/// Buyers at once.
const AT_ONCE: usize = 24;
/// Everything is settled so long after the last purchase.
const SETTLED_WITHIN: Duration = Duration::from_mins(4);
/// The pause of a caller whose call was lost.
const AGAIN: Duration = Duration::from_millis(100);

/// The service as a process that is killed and started again.
struct Victim {
    command: Command,
    child: Child,
}

impl Victim {
    fn start(mut command: Command) -> Self {
        let child = command.spawn().unwrap();
        Self { command, child }
    }

    /// SIGKILL, and a new one on the same data.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = self.command.spawn().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next number of a seed.
fn draw(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// What a buyer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Pay,
    BeDeclined,
    PayAndGiveBack,
    PayAndGiveBackPart,
}

impl Wish {
    fn end(self) -> (PaymentState, i64) {
        match self {
            Self::Pay => (PaymentState::Approved, AMOUNT),
            Self::BeDeclined => (PaymentState::Declined, 0),
            Self::PayAndGiveBack => (PaymentState::Refunded, 0),
            Self::PayAndGiveBackPart => (PaymentState::Approved, AMOUNT - PART),
        }
    }

    fn results(self) -> &'static [(ResultKind, i64)] {
        match self {
            Self::Pay => &[(ResultKind::Approved, AMOUNT)],
            Self::BeDeclined => &[(ResultKind::Declined, 0)],
            Self::PayAndGiveBack => &[(ResultKind::Approved, AMOUNT), (ResultKind::Refunded, AMOUNT)],
            Self::PayAndGiveBackPart => &[(ResultKind::Approved, AMOUNT), (ResultKind::Refunded, PART)],
        }
    }
}

/// Calls until there is an answer, as an outbox does; a refusal is a bug.
async fn deliver<T>(client: &Client, mut call: impl AsyncFnMut(Client) -> Result<T, tonic::Status>) -> T {
    loop {
        match tokio::time::timeout(Duration::from_secs(10), call(client.clone())).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(status)) => {
                let lost = [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::Internal, Code::ResourceExhausted];
                assert!(lost.contains(&status.code()), "{status:?}");
            }
            Err(_) => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn buy(world: &World, client: &Client, results: &Seen, wish: Wish) -> Uuid {
    let order = random_id();
    let first = prepare(order, AMOUNT);
    deliver(client, async |mut client| client.prepare(first.clone()).await).await;
    let key = world.decide(order, AMOUNT, if wish == Wish::BeDeclined { "decline" } else { "pay" }).await;
    let ask = confirm(order, &key, AMOUNT);
    deliver(client, async |mut client| client.confirm(ask.clone()).await).await;
    let part = match wish {
        Wish::PayAndGiveBack => None,
        Wish::PayAndGiveBackPart => Some(PART),
        _ => return order,
    };
    // A refund is asked for when the money is known to be there.
    while !results.has(order, ResultKind::Approved) {
        tokio::time::sleep(AGAIN).await;
    }
    let ask = CancelRequest { amount_krw: part, ..cancel(order) };
    deliver(client, async |mut client| client.cancel(ask.clone()).await).await;
    order
}

/// The results as a coordinator stores them: in order, each once.
#[derive(Default)]
struct Seen {
    all: Mutex<Vec<PaymentResult>>,
    by_order: Mutex<HashMap<(String, i32), usize>>,
}

impl Seen {
    fn has(&self, order: Uuid, kind: ResultKind) -> bool {
        let by_order = self.by_order.lock().unwrap_or_else(PoisonError::into_inner);
        by_order.contains_key(&(order.to_string(), kind.into()))
    }

    fn store(&self, result: PaymentResult) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(usize::try_from(result.offset).unwrap(), all.len() + 1, "a gap or a repeat");
        let mut by_order = self.by_order.lock().unwrap_or_else(PoisonError::into_inner);
        *by_order.entry((result.order_id.clone(), result.kind)).or_default() += 1;
        all.push(result);
    }

    async fn follow(&self, mut client: Client) {
        loop {
            let after_offset = self.all.lock().unwrap_or_else(PoisonError::into_inner).len();
            let ask = WatchResultsRequest { after_offset: i64::try_from(after_offset).unwrap() };
            if let Ok(stream) = client.watch_results(ask).await {
                let mut stream = stream.into_inner();
                while let Ok(Some(result)) = stream.message().await {
                    self.store(result);
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

fn number(name: &str, or: u64) -> u64 {
    std::env::var(name).ok().map_or(or, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_nothing_is_lost_or_doubled() {
    let purchases = usize::try_from(number("NUGUL_TEST_PURCHASES", 300)).unwrap();
    let mut seed = number("NUGUL_TEST_SEED", 7);
    let mut world = World::new().await;
    world.halt().await;
    let (address, admin) = (World::reserve().await, World::reserve().await);
    let mut command = Command::new(env!("CARGO_BIN_EXE_nugul-payment"));
    let files = world.scratch.files();
    command
        .env("NUGUL_PAYMENT_LISTEN", address.to_string())
        .env("NUGUL_PAYMENT_ADMIN_LISTEN", admin.to_string())
        .env("NUGUL_PAYMENT_WEBHOOK_LISTEN", world.webhooks.to_string())
        .env("NUGUL_PAYMENT_DATA", &world.scratch.folder)
        .env("NUGUL_PAYMENT_MYSQL_URL", world.scratch.mysql_url.clone().unwrap_or_default())
        .env("NUGUL_TLS_CA", files.ca)
        .env("NUGUL_TLS_CERT", files.cert)
        .env("NUGUL_TLS_KEY", files.key)
        .env("NUGUL_TOSS_URL", world.toss(""))
        .env("NUGUL_TOSS_SECRET_KEY", SECRET)
        .env("NUGUL_LOG", "off")
        .stderr(Stdio::null());
    let mut victim = Victim::start(command);
    world.faults(json!({"random": {"percent": 20, "seed": seed, "ms": 30}})).await;
    let wishes: Vec<_> = (0..purchases)
        .map(|_| match draw(&mut seed) % 10 {
            0 => Wish::BeDeclined,
            1 => Wish::PayAndGiveBack,
            2 => Wish::PayAndGiveBackPart,
            _ => Wish::Pay,
        })
        .collect();

    let client = World::lazy_client(address, "coordinator");
    let results = Arc::new(Seen::default());
    let (following, reader) = (Arc::clone(&results), client.clone());
    let follower = tokio::spawn(async move { following.follow(reader).await });
    let kills = AtomicUsize::new(0);
    let killing = async {
        loop {
            tokio::time::sleep(Duration::from_millis(200 + draw(&mut seed) % 1_200)).await;
            victim.kill();
            kills.fetch_add(1, Ordering::Relaxed);
        }
    };
    let started = Instant::now();
    let buying = stream::iter(wishes)
        .map(|wish| {
            let (world, client, results) = (&world, &client, &results);
            async move { (buy(world, client, results, wish).await, wish) }
        })
        .buffer_unordered(AT_ONCE)
        .collect::<HashMap<Uuid, Wish>>();
    let bought = tokio::select! {
        bought = buying => bought,
        () = killing => unreachable!("it never ends"),
    };
    let bought_in = started.elapsed();

    // Nobody is killed any more; the provider still fails. Everything is settled all the same.
    let expected: usize = bought.values().map(|wish| wish.results().len()).sum();
    let until = Instant::now() + SETTLED_WITHIN;
    while results.all.lock().unwrap_or_else(PoisonError::into_inner).len() < expected {
        assert!(Instant::now() < until, "not everything is settled");
        assert!(!follower.is_finished());
        tokio::time::sleep(AGAIN).await;
    }
    let settled_in = started.elapsed();
    world.faults(json!({})).await;
    let mut told: HashMap<String, Vec<(ResultKind, i64)>> = HashMap::new();
    for result in results.all.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        told.entry(result.order_id.clone()).or_default().push((result.kind(), result.amount_krw));
    }
    let charged = world.charged_all().await;
    let mut listed = HashMap::new();
    let mut pages = client.clone().list_payments(ListPaymentsRequest::default()).await.unwrap().into_inner();
    while let Some(page) = pages.message().await.unwrap() {
        listed.extend(page.payments.into_iter().map(|payment| (payment.order_id.clone(), payment)));
    }
    assert_eq!((listed.len(), bought.len(), told.len()), (purchases, purchases, purchases));
    let mut held = 0;
    for (order, wish) in &bought {
        let order = order.to_string();
        let (state, left) = wish.end();
        let payment = &listed[&order];
        assert_eq!((payment.state(), payment.left_krw, payment.open_case), (state, left, false), "{wish:?}");
        assert_eq!(told[&order], wish.results(), "{wish:?}");
        let taken = i64::from(*wish != Wish::BeDeclined) * AMOUNT;
        assert_eq!(charged[&order], (taken / AMOUNT, taken, taken - left), "{wish:?}");
        held += left;
    }
    let mut operator = World::lazy_client(address, "operator");
    let day = OffsetDateTime::now_utc().to_offset(time::macros::offset!(+9)).date().to_string();
    let report = operator.reconcile(ReconcileRequest { day }).await.unwrap().into_inner();
    assert_eq!((report.differences, report.ledger_sum_krw), (0, 0));
    let open = operator.list_cases(ListCasesRequest::default()).await.unwrap().into_inner().cases;
    assert_eq!(open.len(), 0, "{open:?}");
    let metrics = world.http.get(format!("http://{admin}/metrics")).send().await.unwrap().text().await.unwrap();
    let hooks = metrics.lines().find_map(|line| line.strip_prefix("nugul_payment_webhooks_total ")).unwrap();
    let hooks: u64 = hooks.parse().unwrap();
    follower.abort();
    drop(victim);
    let lost = bought.keys().filter(|order| !told.contains_key(&order.to_string())).count();
    let doubled = charged.values().filter(|(effects, ..)| *effects > 1).count();
    let totals = json!({
        "purchases": purchases, "bought_in_s": bought_in.as_secs_f64(), "settled_in_s": settled_in.as_secs_f64(),
        "kills": kills.into_inner(), "webhooks_since_last_kill": hooks, "results": expected, "held_krw": held, "lost": lost, "doubled": doubled,
        "ledger_sum_krw": report.ledger_sum_krw, "differences": report.differences, "open_cases": open.len(),
    });
    println!("{totals}");
    if let Ok(file) = std::env::var("NUGUL_TEST_TOTALS") {
        std::fs::write(file, totals.to_string()).unwrap();
    }
    world.start().await;
    assert_eq!(world.close().await, (0, held));
}
