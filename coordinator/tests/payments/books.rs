//! What buyers and operators read of payments and books, with a real payment service behind it and a provider that the test
//! sets.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::http::Method;
use futures_util::future::BoxFuture;
use nugul_coordinator::{config::Config, payments::PaymentClient};
use nugul_domain::account::Role;
use nugul_payment::{
    cases::{self, NewCase},
    confirm::{Payments, Timings},
    db::Db,
    rpc::Rpc,
    toss::{Cancelled, Confirmed, Found, PaymentGateway, RefundAsk, SettlementRow},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::{BEGIN_MS, PATIENCE, POLL, PRICE, World};

/// The day of every test, in Seoul.
const TODAY: &str = "2026-03-01";
/// What the provider says of a card it does not take.
const DECLINED: &str = "한도를 넘었어요.";

/// A time that never stands still, so that the newest payment is known.
fn now() -> i64 {
    static PASSED: AtomicI64 = AtomicI64::new(0);
    BEGIN_MS + PASSED.fetch_add(1, Ordering::Relaxed)
}

/// What the provider's settlement is like.
#[derive(Clone, Copy)]
enum Settlement {
    Right,
    Empty,
    Away,
}

/// A provider that refuses payment keys with `no`, loses the answer to those with `lost` and takes the others.
struct Provider {
    taken: Mutex<Vec<SettlementRow>>,
    settlement: Mutex<Settlement>,
}

impl Provider {
    fn settles(&self, how: Settlement) {
        *self.settlement.lock().unwrap_or_else(PoisonError::into_inner) = how;
    }
}

impl PaymentGateway for Provider {
    fn confirm<'a>(&'a self, order: Uuid, key: &'a str, amount_krw: i64) -> BoxFuture<'a, Confirmed> {
        let confirmed = match key {
            key if key.starts_with("no") => Confirmed::Refused { code: "REJECT_CARD".into(), message: DECLINED.into() },
            key if key.starts_with("lost") => Confirmed::Unknown("no answer".into()),
            key => {
                self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(SettlementRow {
                    order_id: order.to_string(),
                    transaction_key: key.to_owned(),
                    refund_key: None,
                    amount_krw,
                    sold_date: TODAY.into(),
                });
                Confirmed::Taken
            }
        };
        Box::pin(async { confirmed })
    }

    fn find<'a>(&'a self, _: Uuid, _: &'a str) -> BoxFuture<'a, Found> {
        Box::pin(async { Found::Unknown("no answer".into()) })
    }

    fn cancel<'a>(&'a self, _: Uuid, _: &'a RefundAsk) -> BoxFuture<'a, Cancelled> {
        Box::pin(async { Cancelled::Unknown("no answer".into()) })
    }

    fn settlements<'a>(
        &'a self,
        from: &'a str,
        to: &'a str,
        _: usize,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<SettlementRow>, String>> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of = taken.iter().filter(|row| (from..=to).contains(&row.sold_date.as_str())).cloned().collect();
        let answer = match *self.settlement.lock().unwrap_or_else(PoisonError::into_inner) {
            Settlement::Right => Ok(of),
            Settlement::Empty => Ok(Vec::new()),
            Settlement::Away => Err("no answer".into()),
        };
        Box::pin(async { answer })
    }
}

struct Shop {
    world: World,
    provider: Arc<Provider>,
    db: Db,
    folder: PathBuf,
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Shop {
    async fn open() -> Self {
        let folder = World::new_folder();
        let db = nugul_payment::db::sqlite(&folder.join("payment.db")).await.unwrap();
        nugul_payment::db::migrate(&db).await.unwrap();
        let settlement = Mutex::new(Settlement::Right);
        let provider = Arc::new(Provider { taken: Mutex::default(), settlement });
        // A confirmation whose answer is lost is not waited for.
        let timings = Timings { wait: Duration::from_millis(50), ..Timings::default() };
        let payments = Payments::new(db.clone(), provider.clone(), now, timings);
        let world = World::on(PaymentClient::Here(Arc::new(Rpc::new(payments, CancellationToken::new())))).await;
        Self { world, provider, db, folder }
    }

    /// An order whose payment was confirmed with this key, once the payment is in this state.
    async fn bought(&self, person: u8, seat: u32, key: &str, state: &str) -> String {
        let order = self.world.order(person, seat).await;
        assert_eq!(self.world.confirm(person, &order, key).await.0, 200);
        self.world.deliver_all().await;
        let until = Instant::now() + PATIENCE;
        loop {
            let mine = self.payments(person, "").await;
            let mut items = mine["items"].as_array().unwrap().iter();
            if items.any(|payment| payment["order_id"] == order && payment["state"] == state) {
                return order;
            }
            assert!(Instant::now() < until, "not {state}: {mine}");
            tokio::time::sleep(POLL).await;
        }
    }

    async fn payments(&self, person: u8, query: &str) -> Value {
        let token = self.world.token(person, Role::User);
        let (status, page) = self.world.ask(&token, Method::GET, &format!("/me/payments{query}"), None).await;
        assert_eq!(status, 200, "{page}");
        page
    }

    async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.world.ask(&self.world.token(9, Role::Admin), method, path, body).await
    }

    async fn read(&self, path: &str) -> Value {
        let (status, answer) = self.admin(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn compare(&self, day: &str) -> Value {
        let (status, report) = self.admin(Method::POST, "/admin/reconciliation", Some(&json!({"day": day}))).await;
        assert_eq!(status, 200, "{report}");
        report
    }

    async fn close(&self, case: &str, note: &str) -> (u16, Value) {
        let path = format!("/admin/reconciliation/cases/{case}/close");
        self.admin(Method::POST, &path, Some(&json!({"note": note}))).await
    }
}

/// One field of all that is on a page.
fn all(page: &Value, name: &str) -> Value {
    page["items"].as_array().unwrap().iter().map(|item| item[name].clone()).collect()
}

/// The same, with where the next page begins.
fn shown(page: &Value, name: &str) -> (Value, Option<String>) {
    (all(page, name), page["next_cursor"].as_str().map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_sees_what_became_of_their_money_and_of_nobody_elses() {
    let shop = Shop::open().await;
    let paid = shop.bought(2, 0, "tsim_1", "approved").await;
    let declined = shop.bought(2, 1, "no", "declined").await;
    let lost = shop.bought(2, 2, "lost", "confirming").await;
    let others = shop.bought(3, 4, "tsim_2", "approved").await;

    let page = shop.payments(2, "").await;
    assert_eq!(shown(&page, "order_id"), (json!([lost, declined, paid]), None));
    assert_eq!(all(&page, "state"), json!(["confirming", "declined", "approved"]));
    assert_eq!(all(&page, "left_krw"), json!([0, 0, PRICE]));
    assert_eq!(all(&page, "decline_reason"), json!([null, DECLINED, null]));
    assert_eq!(all(&page, "amount_krw"), json!([PRICE, PRICE, PRICE]));
    assert!(!page.to_string().contains("tsim_1"), "the payment key is nobody's to read");

    // In pages, each exactly as long as asked for.
    let first = shop.payments(2, "?limit=2").await;
    assert_eq!(all(&first, "order_id"), json!([lost, declined]));
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = shop.payments(2, &format!("?limit=1&cursor={cursor}")).await;
    assert_eq!(shown(&second, "order_id"), (json!([paid]), None));
    assert_eq!(shop.payments(2, "?limit=3").await["next_cursor"], Value::Null);

    assert_eq!(all(&shop.payments(3, "").await, "order_id"), json!([others]));
    assert_eq!(shop.payments(4, "").await["items"], json!([]));
    // An admin's own are none: this is no way to others'.
    assert_eq!(shop.read("/me/payments").await["items"], json!([]));
    for bad in ["cursor=x", "cursor=1_x", "limit=0", "limit=101", "limit=x"] {
        let token = shop.world.token(2, Role::User);
        let (status, answer) = shop.world.ask(&token, Method::GET, &format!("/me/payments?{bad}"), None).await;
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_parameter")), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_are_read_entry_by_entry_and_by_account() {
    let shop = Shop::open().await;
    let first = shop.bought(2, 0, "tsim_1", "approved").await;
    let second = shop.bought(3, 1, "tsim_2", "approved").await;

    let page = shop.read("/admin/ledger").await;
    assert_eq!(all(&page, "entry"), json!([1, 2, 3, 4]));
    assert_eq!(all(&page, "order_id"), json!([first, first, second, second]));
    assert_eq!(all(&page, "movement"), json!(["capture", "capture", "capture", "capture"]));
    let amounts: Vec<i64> =
        all(&page, "amount").as_array().unwrap().iter().map(|amount| amount.as_i64().unwrap()).collect();
    assert_eq!((amounts.iter().sum::<i64>(), amounts.iter().map(|a| a.abs()).sum::<i64>()), (0, 4 * PRICE));

    let of_one = shop.read(&format!("/admin/ledger?order_id={second}")).await;
    assert_eq!(shown(&of_one, "entry"), (json!([3, 4]), None));
    let three = shop.read("/admin/ledger?limit=3").await;
    assert_eq!(shown(&three, "entry"), (json!([1, 2, 3]), Some("3".into())));
    let rest = shop.read("/admin/ledger?limit=3&cursor=3").await;
    assert_eq!(shown(&rest, "entry"), (json!([4]), None));

    let balances = shop.read("/admin/ledger/balances").await;
    assert_eq!(balances["sum_krw"], 0);
    let held = |balances: &Value| -> i64 {
        balances["accounts"].as_array().unwrap().iter().map(|a| a["balance"].as_i64().unwrap().max(0)).sum()
    };
    assert_eq!(held(&balances), 2 * PRICE);
    // As they were when the first order was booked, and before anything was.
    let at = page["items"][1]["booked_at"].as_str().unwrap().replace('+', "%2B");
    let then = shop.read(&format!("/admin/ledger/balances?at={at}")).await;
    assert_eq!((held(&then), &then["sum_krw"]), (PRICE, &json!(0)));
    let before = shop.read("/admin/ledger/balances?at=2020-01-01T00:00:00Z").await;
    assert_eq!((held(&before), &before["at"]), (0, &json!("2020-01-01T09:00:00+09:00")));

    for bad in ["ledger?cursor=x", "ledger?cursor=-1", "ledger?order_id=x", "ledger?limit=0", "ledger/balances?at=x"] {
        let (status, answer) = shop.admin(Method::GET, &format!("/admin/{bad}"), None).await;
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_parameter")), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_is_compared_and_its_difference_is_a_case_until_it_is_closed() {
    let shop = Shop::open().await;
    let order = shop.bought(2, 0, "tsim_1", "approved").await;
    shop.provider.settles(Settlement::Empty);
    let report = shop.compare(TODAY).await;
    let numbers = ["movements", "settlement_rows", "differences", "closed", "ledger_sum_krw", "new_entries"];
    assert_eq!(numbers.map(|name| report[name].as_i64().unwrap()), [1, 0, 1, 0, 0, 2]);

    let cases = shop.read("/admin/reconciliation/cases").await;
    assert_eq!(shown(&cases, "kind"), (json!(["difference"]), None));
    let case = &cases["items"][0];
    assert_eq!((&case["order_id"], &case["ours_krw"], &case["theirs_krw"]), (&json!(order), &json!(PRICE), &json!(0)));
    assert_eq!(
        (&case["payment"]["payment_key"], &case["payment"]["payment"]["state"]),
        (&json!("tsim_1"), &json!("approved"))
    );
    assert_eq!(case["closed_at"], Value::Null);

    let number = case["case"].to_string();
    for note in ["", "  ", "a\u{7}b", &"가".repeat(201)] {
        let (status, answer) = shop.close(&number, note).await;
        assert_eq!((status, &answer["errors"][0]["pointer"]), (422, &json!("/note")), "{note}");
    }
    for nobody in ["99", "-1", "x"] {
        assert_eq!(shop.close(nobody, "n").await.0, 404, "{nobody}");
    }
    assert_eq!(all(&shop.read("/admin/reconciliation/cases").await, "note"), json!([""]));
    // Twice is once.
    assert_eq!(shop.close(&number, "정산 파일이 늦었어요").await.0, 204);
    assert_eq!(shop.close(&number, "again").await.0, 204);
    assert_eq!(shop.read("/admin/reconciliation/cases").await["items"], json!([]));
    let closed = shop.read("/admin/reconciliation/cases?closed=true").await;
    assert_eq!(all(&closed, "note"), json!(["정산 파일이 늦었어요"]));
    assert!(closed["items"][0]["closed_at"].is_string());

    // It is right when it is compared again, and the report says so in the place of the earlier one.
    shop.provider.settles(Settlement::Right);
    assert_eq!(shop.compare(TODAY).await["differences"], 0);
    shop.compare("2026-02-28").await;
    let reports = shop.read("/admin/reconciliation").await;
    assert_eq!(shown(&reports, "day"), (json!([TODAY, "2026-02-28"]), None));
    assert_eq!(all(&reports, "differences"), json!([0, 0]));
    let first = shop.read("/admin/reconciliation?limit=1").await;
    assert_eq!(shown(&first, "day"), (json!([TODAY]), Some(TODAY.into())));
    let rest = shop.read(&format!("/admin/reconciliation?limit=1&cursor={TODAY}")).await;
    assert_eq!(shown(&rest, "day"), (json!(["2026-02-28"]), None));

    for day in ["2026-03-02", "2026-02-30", "2026-3-1", ""] {
        let (status, answer) = shop.admin(Method::POST, "/admin/reconciliation", Some(&json!({"day": day}))).await;
        assert_eq!((status, &answer["errors"][0]["pointer"]), (422, &json!("/day")), "{day}");
    }
    for bad in ["reconciliation?cursor=x", "reconciliation/cases?cursor=x", "reconciliation/cases?closed=x"] {
        let (status, answer) = shop.admin(Method::GET, &format!("/admin/{bad}"), None).await;
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_parameter")), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_with_a_key_is_one_comparison() {
    let shop = Shop::open().await;
    let admin = shop.world.token(9, Role::Admin);
    let compare = async |day: &str| {
        let body = json!({"day": day});
        shop.world.ask_as(&admin, Method::POST, "/admin/reconciliation", Some(&body), "one-key").await
    };
    shop.provider.settles(Settlement::Away);
    let (status, answer) = compare(TODAY).await;
    assert_eq!((status, &answer["code"]), (503, &json!("unavailable")));
    shop.provider.settles(Settlement::Right);
    let (status, first) = compare(TODAY).await;
    assert_eq!(status, 200, "a refusal is not kept: {first}");
    // Were it compared again, it would be at another time.
    assert_eq!(compare(TODAY).await, (200, first));
    let (status, answer) = compare("2026-02-28").await;
    assert_eq!((status, &answer["code"]), (422, &json!("idempotency_key_reused")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_nobody_knows_is_not_closed_by_hand() {
    let shop = Shop::open().await;
    let order = shop.bought(2, 0, "lost", "confirming").await;
    let new = NewCase::outcome(order.parse().unwrap(), "no usable answer");
    assert!(cases::open(&shop.db, &new, now()).await.unwrap());
    let case = shop.read("/admin/reconciliation/cases").await["items"][0]["case"].to_string();
    let (status, answer) = shop.close(&case, "seems fine").await;
    assert_eq!((status, &answer["code"]), (409, &json!("outcome_open")));
    assert_eq!(all(&shop.read("/admin/reconciliation/cases").await, "kind"), json!(["outcome"]));
}

/// Every operation on the books.
fn operations() -> Vec<(Method, &'static str, Option<Value>)> {
    vec![
        (Method::GET, "/admin/ledger", None),
        (Method::GET, "/admin/ledger/balances", None),
        (Method::GET, "/admin/reconciliation", None),
        (Method::POST, "/admin/reconciliation", Some(json!({"day": TODAY}))),
        (Method::GET, "/admin/reconciliation/cases", None),
        (Method::POST, "/admin/reconciliation/cases/1/close", Some(json!({"note": "n"}))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_are_an_admins_alone() {
    let shop = Shop::open().await;
    for (method, path, body) in operations() {
        for role in [Role::User, Role::Seller] {
            let token = shop.world.token(3, role);
            let (status, answer) = shop.world.ask(&token, method.clone(), path, body.as_ref()).await;
            assert_eq!((status, &answer["code"]), (403, &json!("forbidden")), "{method} {path} {role:?}");
        }
        let (status, answer) = shop.world.ask("nobody", method.clone(), path, body.as_ref()).await;
        assert_eq!((status, &answer["code"]), (401, &json!("token_invalid")), "{method} {path}");
    }
    assert_eq!(shop.world.ask("nobody", Method::GET, "/me/payments", None).await.0, 401);
    assert_eq!(shop.read("/admin/reconciliation").await["items"], json!([]), "nothing was compared");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_payment_service_is_away_people_are_told_to_come_back() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = Config::read(|name| (name == "NUGUL_PAYMENT_URL").then(|| format!("http://{nobody}"))).unwrap();
    let world = World::on(PaymentClient::new(&config).unwrap()).await;
    for (method, path, body) in operations().into_iter().chain([(Method::GET, "/me/payments", None)]) {
        let (status, answer) = world.ask(&world.token(9, Role::Admin), method.clone(), path, body.as_ref()).await;
        assert_eq!((status, &answer["code"]), (503, &json!("unavailable")), "{method} {path}");
    }
}
