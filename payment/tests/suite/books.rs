//! The books: reading the ledger and the payments, and comparing them with the provider's settlement.
use nugul_proto::payment::v1::{
    CaseKind, CloseCaseRequest, GetBalancesRequest, GetPaymentRequest, LedgerEntry, LedgerMovement, ListCasesRequest,
    ListLedgerEntriesRequest, ListPaymentsRequest, Payment, PaymentState, PrepareRequest, ReconcileRequest,
    ReconcileResponse,
};
use serde_json::json;
use time::OffsetDateTime;
use tonic::Code;
use uuid::Uuid;

use crate::scratch::random_id;
use crate::world::{World, cancel, part, prepare, reason, script};

/// Whether a filter leaves a payment.
type Keep = Box<dyn Fn(&Payment) -> bool>;

fn today() -> String {
    OffsetDateTime::now_utc().to_offset(time::macros::offset!(+9)).date().to_string()
}

async fn compare(world: &World) -> ReconcileResponse {
    world.operator().await.reconcile(ReconcileRequest { day: today() }).await.unwrap().into_inner()
}

async fn entries(world: &World, ask: ListLedgerEntriesRequest) -> Vec<LedgerEntry> {
    let mut stream = world.operator().await.list_ledger_entries(ask).await.unwrap().into_inner();
    let mut all = Vec::new();
    while let Some(page) = stream.message().await.unwrap() {
        all.extend(page.entries);
    }
    all
}

async fn list(world: &World, ask: ListPaymentsRequest) -> (Vec<Payment>, String) {
    let mut stream = world.client().await.list_payments(ask).await.unwrap().into_inner();
    let (mut all, mut cursor) = (Vec::new(), String::new());
    while let Some(page) = stream.message().await.unwrap() {
        all.extend(page.payments);
        cursor = page.next_cursor;
    }
    (all, cursor)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_tells_every_movement_and_sums_to_zero() {
    let world = World::new().await;
    let order = world.approved(10_000).await;
    let between = nugul_payment::confirm::now_ms();
    // The clock has gone on before money moves again.
    while nugul_payment::confirm::now_ms() == between {
        tokio::task::yield_now().await;
    }
    world.client().await.cancel(part(order, 3_000)).await.unwrap();
    let other = world.approved(500).await;

    let all = entries(&world, ListLedgerEntriesRequest::default()).await;
    let seen: Vec<_> = all.iter().map(|e| (e.entry, e.movement(), e.number, e.account.as_str(), e.amount)).collect();
    let (capture, refund) = (LedgerMovement::Capture, LedgerMovement::Refund);
    assert_eq!(
        seen,
        [
            (1, capture, 0, "provider_receivable", 10_000),
            (2, capture, 0, "orders_payable", -10_000),
            (3, refund, 1, "provider_receivable", -3_000),
            (4, refund, 1, "orders_payable", 3_000),
            (5, capture, 0, "provider_receivable", 500),
            (6, capture, 0, "orders_payable", -500),
        ]
    );
    assert!(all.iter().all(|entry| entry.currency == "KRW"));
    let of_other = ListLedgerEntriesRequest { order_id: other.to_string(), ..ListLedgerEntriesRequest::default() };
    assert_eq!(entries(&world, of_other).await, all[4..]);
    let some = ListLedgerEntriesRequest { after_entry: 1, limit: 2, order_id: String::new() };
    assert_eq!(entries(&world, some).await, all[1..3]);

    let mut operator = world.operator().await;
    for (at_ms, held) in [(None, 7_500), (Some(between), 10_000), (Some(0), 0)] {
        let answer = operator.get_balances(GetBalancesRequest { at_ms }).await.unwrap().into_inner();
        let balances: Vec<_> = answer.balances.iter().map(|b| (b.account.as_str(), b.balance)).collect();
        let expected = [("orders_payable", -held), ("provider_receivable", held)];
        assert_eq!(balances, if held == 0 { &[][..] } else { &expected[..] }, "{at_ms:?}");
        assert_eq!(answer.sum_krw, 0);
    }
    assert_eq!(world.close().await, (0, 7_500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_are_listed_newest_first_filtered_and_in_pages() {
    const COUNT: usize = 120;
    let world = World::new().await;
    let mut client = world.client().await;
    let (one, two) = (random_id(), random_id());
    let mut orders: Vec<Uuid> = Vec::new();
    for i in 0..COUNT {
        let order = random_id();
        let user = if i % 3 == 0 { one } else { two };
        client.prepare(PrepareRequest { user_id: user.to_string(), ..prepare(order, 1_000) }).await.unwrap();
        if i % 10 == 0 {
            client.cancel(cancel(order)).await.unwrap();
        }
        orders.push(order);
    }
    let ids = |list: &[Payment]| list.iter().map(|payment| payment.order_id.clone()).collect::<Vec<_>>();
    let (all, end) = list(&world, ListPaymentsRequest::default()).await;
    assert_eq!((all.len(), end.as_str()), (COUNT, ""));
    let keys: Vec<_> = all.iter().map(|payment| (payment.created_at_ms, payment.order_id.clone())).collect();
    assert!(keys.is_sorted_by(|a, b| a > b));

    // A reader that stops and goes on sees each once.
    let (mut again, mut cursor) = (Vec::new(), String::new());
    loop {
        let (some, next) =
            list(&world, ListPaymentsRequest { limit: 7, cursor, ..ListPaymentsRequest::default() }).await;
        again.extend(some);
        cursor = next;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(ids(&again), ids(&all));

    let middle = all[COUNT / 2].created_at_ms;
    // (filter, which of all payments it leaves)
    let none = ListPaymentsRequest::default;
    let user = one.to_string();
    let (of_one, first) = (user.clone(), orders[0].to_string());
    let cases: Vec<(ListPaymentsRequest, Keep)> = vec![
        (ListPaymentsRequest { user_id: user.clone(), ..none() }, Box::new(move |p| p.user_id == of_one)),
        (ListPaymentsRequest { order_id: first.clone(), ..none() }, Box::new(move |p| p.order_id == first)),
        (
            ListPaymentsRequest { states: vec![PaymentState::Declined.into()], ..none() },
            Box::new(|p| p.state() == PaymentState::Declined),
        ),
        (ListPaymentsRequest { states: vec![1, 4], ..none() }, Box::new(|_| true)),
        (ListPaymentsRequest { from_ms: Some(middle), ..none() }, Box::new(move |p| p.created_at_ms >= middle)),
        (ListPaymentsRequest { before_ms: Some(middle), ..none() }, Box::new(move |p| p.created_at_ms < middle)),
        (
            ListPaymentsRequest { user_id: user.clone(), states: vec![1], before_ms: Some(middle), ..none() },
            Box::new(move |p| p.user_id == user && p.created_at_ms < middle && p.state() == PaymentState::Prepared),
        ),
    ];
    for (i, (ask, keep)) in cases.into_iter().enumerate() {
        let expected: Vec<_> = all.iter().filter(|payment| keep(payment)).map(|p| p.order_id.clone()).collect();
        assert_eq!(ids(&list(&world, ask).await.0), expected, "{i}");
    }
    for bad in [
        ListPaymentsRequest { cursor: "x".into(), ..none() },
        ListPaymentsRequest { user_id: "x".into(), ..none() },
        ListPaymentsRequest { limit: -1, ..none() },
        ListPaymentsRequest { states: vec![99], ..none() },
    ] {
        let status = client.list_payments(bad).await.unwrap_err();
        assert_eq!((status.code(), reason(&status)), (Code::InvalidArgument, "invalid_argument"));
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_many_pages_tells_each_payment_once_and_as_it_is() {
    // More than two pages beside the first, in groups that are prepared together, so that many have the same time.
    const GROUPS: usize = 12;
    const EACH: usize = 100;
    const NAMES: [&str; 4] =
        ["\"따옴표\" 2매", "빗금 \\ 과 [괄호], {중괄호}", "표 🎫 O'Neill", "  \u{ac00}\u{301} \t끝"];
    let world = World::new().await;
    let client = world.client().await;
    for group in 0..GROUPS {
        let prepared = (0..EACH).map(|i| {
            let order_name = NAMES[(group + i) % NAMES.len()].to_owned();
            let (mut client, ask) = (client.clone(), prepare(random_id(), 1_000));
            async move { client.prepare(PrepareRequest { order_name, ..ask }).await.unwrap() }
        });
        futures_util::future::join_all(prepared).await;
    }
    world.approved(2_000).await;
    let (mut all, end) = list(&world, ListPaymentsRequest::default()).await;
    assert_eq!((all.len(), end.as_str()), (GROUPS * EACH + 1, ""));
    assert!(all.is_sorted_by(|a, b| (a.created_at_ms, &a.order_id) > (b.created_at_ms, &b.order_id)));
    all.sort_unstable_by_key(|payment| payment.order_name.clone());
    all.dedup_by_key(|payment| payment.order_name.clone());
    assert_eq!(all.len(), NAMES.len() + 1);
    for listed in all {
        let ask = GetPaymentRequest { order_id: listed.order_id.clone() };
        assert_eq!(listed, client.clone().get_payment(ask).await.unwrap().into_inner());
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differences_with_the_settlement_become_cases_and_go_away() {
    let world = World::new().await;
    let orders = [world.approved(10_000).await, world.approved(2_000).await];
    world.client().await.cancel(part(orders[0], 3_000)).await.unwrap();
    world.prepared(1).await;
    let good = compare(&world).await;
    assert_eq!((good.movements, good.settlement_rows, good.differences, good.ledger_sum_krw), (3, 3, 0, 0));
    assert_eq!(good.new_entries, 6);
    // Only what is new is summed again.
    assert_eq!(compare(&world).await.new_entries, 0);

    let mut operator = world.operator().await;
    // (fault, differences)
    for (fault, reasons) in [
        ("wrong_amount", &["settled with another amount"][..]),
        ("missing_row", &["in the ledger, but not settled"]),
        ("extra_row", &["settled for an order that is not ours"]),
    ] {
        world.faults(script("settlements", fault, 1)).await;
        let report = compare(&world).await;
        assert_eq!(report.differences, 1, "{fault}");
        let cases = operator.list_cases(ListCasesRequest::default()).await.unwrap().into_inner().cases;
        let seen: Vec<_> = cases.iter().map(|case| (case.kind(), case.reason.as_str())).collect();
        assert_eq!(seen, reasons.iter().map(|why| (CaseKind::Difference, *why)).collect::<Vec<_>>(), "{fault}");
        if fault != "extra_row" {
            let payment = cases[0].payment.as_ref().unwrap();
            assert_eq!((&payment.order_id, payment.amount_krw), (&orders[0].to_string(), 10_000));
            assert_eq!(cases[0].ours_krw, 10_000);
        }
        let report = compare(&world).await;
        assert_eq!((report.differences, report.closed), (0, 1), "{fault}");
    }
    // No settlement is no difference.
    for fault in ["error_before", "no_json", "wrong_body"] {
        world.faults(script("settlements", fault, 1)).await;
        let status = operator.reconcile(ReconcileRequest { day: today() }).await.unwrap_err();
        assert_eq!((status.code(), reason(&status)), (Code::Unavailable, "provider_unavailable"), "{fault}");
    }
    let status = operator.reconcile(ReconcileRequest { day: "2026-13-01".into() }).await.unwrap_err();
    assert_eq!(reason(&status), "invalid_argument");

    // A person at the provider gives money back: found the same day, and closed by a person here.
    let key = world.look(orders[1]).await.payment_key;
    let ask = json!({"paymentKey": key, "cancelReason": "by hand", "cancelAmount": 500});
    assert_eq!(world.control("/control/refunds", ask).await, 200);
    world.wait_until(orders[1], "a case", |payment| payment.open_case).await;
    assert!(compare(&world).await.differences >= 1);
    let cases = operator.list_cases(ListCasesRequest::default()).await.unwrap().into_inner().cases;
    let reasons: Vec<_> = cases.iter().map(|case| case.reason.as_str()).collect();
    assert!(reasons.contains(&"settled, but not in the ledger"), "{reasons:?}");
    for case in &cases {
        for _ in 0..2 {
            let ask = CloseCaseRequest { case: case.case, note: "booked by hand".into() };
            operator.close_case(ask).await.unwrap();
        }
    }
    assert!(!world.look(orders[1]).await.open_case);
    let status = operator.close_case(CloseCaseRequest { case: 9_999, note: "x".into() }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::NotFound, "case_not_found"));
    assert_eq!(world.close().await, (0, 9_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_ledger_is_found() {
    let world = World::new().await;
    let order = world.approved(10_000).await;
    assert_eq!(compare(&world).await.differences, 0);
    let db = world.db().await;
    for text in [
        "UPDATE ledger_counter SET last_entry = last_entry + 1".to_owned(),
        format!(
            "INSERT INTO ledger SELECT 3, order_id, 2, 9, account, currency, -1, created_at_ms, moved_at_ms FROM ledger \
             WHERE entry_no = 1 AND order_id = x'{}'",
            order.simple()
        ),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(text)).execute(db.pool()).await.unwrap();
    }
    db.close().await;
    let report = compare(&world).await;
    assert_eq!((report.ledger_sum_krw, report.new_entries), (-1, 1));
    let cases = world.operator().await.list_cases(ListCasesRequest::default()).await.unwrap().into_inner().cases;
    let reasons: std::collections::BTreeSet<_> = cases.iter().map(|case| case.reason.as_str()).collect();
    for reason in ["the ledger does not sum to zero", "the payment and the ledger have different amounts left"] {
        assert!(reasons.contains(reason), "{reasons:?}");
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_without_a_ledger_and_currencies_that_make_up_for_one_another_are_found() {
    let world = World::new().await;
    let (booked, lost) = (world.approved(10_000).await, world.approved(2_000).await);
    assert_eq!(compare(&world).await.differences, 0);
    let db = world.db().await;
    for text in [
        format!("DELETE FROM ledger WHERE order_id = x'{}'", lost.simple()),
        "UPDATE ledger_counter SET last_entry = last_entry + 2".to_owned(),
        format!(
            "INSERT INTO ledger SELECT entry_no + 4, order_id, 2, 9, account, 'USD', -5, created_at_ms, moved_at_ms \
             FROM ledger WHERE entry_no = 1 AND order_id = x'{}'",
            booked.simple()
        ),
        format!(
            "INSERT INTO ledger SELECT entry_no + 4, order_id, 2, 9, account, 'KRW', 5, created_at_ms, moved_at_ms \
             FROM ledger WHERE entry_no = 2 AND order_id = x'{}'",
            booked.simple()
        ),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(text)).execute(db.pool()).await.unwrap();
    }
    db.close().await;
    assert_eq!(compare(&world).await.ledger_sum_krw, 5);
    let cases = world.operator().await.list_cases(ListCasesRequest::default()).await.unwrap().into_inner().cases;
    let has = |order: &str, subject: &str| cases.iter().any(|case| case.order_id == order && case.subject == subject);
    assert!(has(&lost.to_string(), "left") && has("", "sum KRW") && has("", "sum USD"), "{cases:?}");
    world.close().await;
}
