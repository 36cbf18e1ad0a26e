//! Old data under new code: what an earlier version stored is brought over to the won, and can be gone on with.
//!
//! On SQLite, or with `NUGUL_TEST_MYSQL_URL` (a server, without a database name) on MySQL.
use nugul_payment::cancels::{self, Step};
use nugul_payment::listing::{self, Filter};
use nugul_payment::state::State;
use nugul_payment::store::{Command, Refusal, Verdict};
use nugul_payment::{cases, ledger, outbox, store};
use nugul_proto::payment::v1::CaseKind;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::scratch::Scratch;

/// What each payment of the first version cost, in won.
const AMOUNT: i64 = 5_000;

#[tokio::test]
async fn the_first_version_is_brought_over() {
    let scratch = Scratch::new().await;
    let db = scratch.db().await;
    nugul_payment::db::migrate_to(&db, 1).await.unwrap();
    let order = |n: u128| Uuid::from_u128(n);
    let hex = |n: u128| format!("x'{}'", order(n).simple());
    // (state, cancel wanted, captured, refunded)
    let old = [
        (State::Prepared, 0, false, false),
        (State::Confirming, 0, false, false),
        (State::Confirming, 1, false, false),
        (State::Approved, 0, true, false),
        (State::Declined, 0, false, false),
        (State::Refunding, 1, true, false),
        (State::Refunded, 1, true, true),
    ];
    let mut offset = 0;
    for (n, (state, wanted, captured, refunded)) in (1_u128..).zip(old) {
        let id = hex(n);
        let mut texts = vec![format!(
            "INSERT INTO payments VALUES ({id}, {id}, {AMOUNT}, 'x', {}, 'key', '', '', {wanted}, 'why', 0, 0, 0, 0, 7, 7)",
            state as i64
        )];
        for (booked, kind) in [(captured, 1), (refunded, 2)] {
            let sign = if kind == 1 { 1 } else { -1 };
            if booked {
                offset += 1;
                let event = hex(1_000 + offset);
                let result_kind = if kind == 1 { 1 } else { 3 };
                texts.push(format!(
                    "INSERT INTO ledger_entries VALUES ({id}, {kind}, 'provider_receivable', {}, {kind})",
                    sign * AMOUNT
                ));
                texts.push(format!(
                    "INSERT INTO ledger_entries VALUES ({id}, {kind}, 'orders_payable', {}, {kind})",
                    -sign * AMOUNT
                ));
                texts.push(format!(
                    "INSERT INTO results VALUES ({offset}, {event}, {id}, {result_kind}, {AMOUNT}, 'key', '', '', 7)"
                ));
                texts.push("UPDATE result_counter SET last_offset = last_offset + 1".into());
            }
        }
        for text in texts {
            sqlx::query(AssertSqlSafe(text)).execute(db.pool()).await.unwrap();
        }
    }
    // A case of a payment that is open, one that was closed, and a command that was received.
    for (n, closed) in [(2, 0), (4, 9)] {
        let text = format!("INSERT INTO open_cases VALUES ({}, 'nobody says', 8, {closed})", hex(n));
        sqlx::query(AssertSqlSafe(text)).execute(db.pool()).await.unwrap();
    }
    let command = ["confirm", "an order", "key", "5000"];
    let mut tx = db.begin_write().await.unwrap();
    assert!(store::receive(&mut tx, &Command::new("old", &command), 7).await.unwrap());
    tx.commit().await.unwrap();
    nugul_payment::db::migrate(&db).await.unwrap();

    for (n, (state, wanted, captured, refunded)) in (1_u128..).zip(old) {
        let payment = store::get(&db, order(n)).await.unwrap().unwrap();
        let left = if captured && !refunded { AMOUNT } else { 0 };
        assert_eq!((payment.state, payment.left_krw), (state, left), "{state:?}");
        let all = cancels::of_order(&db, order(n)).await.unwrap();
        let steps: Vec<_> = all.iter().map(|cancel| (cancel.number, cancel.amount_krw, cancel.step)).collect();
        let step = match state {
            State::Refunding => Step::Asking,
            State::Refunded => Step::Done,
            _ => Step::Waiting,
        };
        assert_eq!(steps, if wanted == 1 { vec![(1, AMOUNT, step)] } else { vec![] }, "{state:?}");
    }
    assert_eq!(ledger::totals(&db).await.unwrap(), (0, 2 * AMOUNT));
    let results = outbox::after(&db, 0).await.unwrap();
    let seen: Vec<_> = results.iter().map(|r| (r.offset, r.kind, r.amount_krw, r.left_krw)).collect();
    assert_eq!(seen, [(1, 1, AMOUNT, AMOUNT), (2, 1, AMOUNT, AMOUNT), (3, 1, AMOUNT, AMOUNT), (4, 3, AMOUNT, 0)]);
    let listed = cases::after(&db, 0, true).await.unwrap();
    let seen: Vec<_> = listed.iter().map(|(order, c)| (*order, c.kind(), c.opened_at_ms, c.closed_at_ms)).collect();
    assert_eq!(seen, [(order(2), CaseKind::Outcome, 8, 0), (order(4), CaseKind::Outcome, 8, 9)]);

    let page = listing::page(&db, &Filter::default(), 100).await.unwrap();
    let mut seen: Vec<_> =
        page.payments.iter().map(|p| (p.order_id.clone(), i64::from(p.state), p.open_case)).collect();
    seen.sort_unstable();
    let all = (1_u128..).zip(old).map(|(n, (state, ..))| (order(n).to_string(), state as i64, n == 2));
    assert_eq!(seen, all.collect::<Vec<_>>());

    // The new code goes on with all of it: a repeat is known, what is open is settled, and its case is closed.
    let mut tx = db.begin_write().await.unwrap();
    assert!(!store::receive(&mut tx, &Command::new("old", &command), 10).await.unwrap());
    assert!(matches!(
        store::receive(&mut tx, &Command::new("old", &["other"]), 10).await,
        Err(Refusal::RequestIdReused)
    ));
    drop(tx);
    let taken = || Verdict::Taken { at_ms: None };
    let back = Verdict::GivenBack { number: 1, transaction_key: "t1".into(), at_ms: None };
    for (n, verdict, then) in
        [(2, taken(), State::Approved), (3, taken(), State::Refunding), (6, back, State::Refunded)]
    {
        let mut tx = db.begin_write().await.unwrap();
        let payment = store::lock(&db, &mut tx, order(n)).await.unwrap().unwrap();
        assert!(store::settle(&mut tx, &payment, &verdict, order(2_000 + n), 11).await.unwrap(), "{n}");
        let all = cancels::of_order_in(&mut tx, order(n)).await.unwrap();
        let waiting = store::start_refund(&mut tx, &payment, &all, 12, 12).await.unwrap();
        assert_eq!(waiting.is_some(), then == State::Refunding, "{n}");
        tx.commit().await.unwrap();
        assert_eq!(store::get(&db, order(n)).await.unwrap().unwrap().state, then, "{n}");
    }
    assert_eq!(cases::count_open(&db, CaseKind::Outcome).await.unwrap(), 0);
    assert_eq!(ledger::totals(&db).await.unwrap(), (0, 3 * AMOUNT));
    assert_eq!(outbox::newest(&db).await.unwrap(), 7);
    db.close().await;
}
