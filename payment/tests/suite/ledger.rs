//! Properties of the ledger: whatever is asked for in whatever order, it sums to zero and says what is left.
use nugul_payment::cancels::{self, Cancel, Plan, Step};
use nugul_payment::db::Db;
use nugul_payment::state::State;
use nugul_payment::store::{self, Verdict};
use nugul_payment::{ledger, outbox};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::scratch::{Scratch, new_payment, random_id};

/// How many made-up payments are tried.
const CASES: u32 = 64;

/// Takes the money and gives back what may be given back of `parts`; `None` asks for all that is left. Gives what is left.
async fn live(db: &Db, amount: i64, parts: &[Option<i64>]) -> Result<i64, TestCaseError> {
    let order = random_id();
    let mut tx = db.begin_write().await.unwrap();
    store::prepare(db, &mut tx, &new_payment(order, amount, 1), 1).await.unwrap();
    assert!(store::start_confirms(&mut tx, &[(order, "key")], 2, 2).await.unwrap());
    let payment = store::lock(db, &mut tx, order).await.unwrap().unwrap();
    let taken = Verdict::Taken { at_ms: None };
    assert!(store::settle(&mut tx, &payment, &taken, random_id(), 3).await.unwrap());
    // The same news again changes nothing.
    assert!(!store::settle(&mut tx, &payment, &taken, random_id(), 3).await.unwrap());
    tx.commit().await.unwrap();

    let mut left = amount;
    for (i, part) in parts.iter().enumerate() {
        let mut tx = db.begin_write().await.unwrap();
        let payment = store::lock(db, &mut tx, order).await.unwrap().unwrap();
        let mut all = cancels::of_order_in(&mut tx, order).await.unwrap();
        let id = format!("{order}-{i}");
        let wanted = part.unwrap_or(left);
        match cancels::plan(&payment, &all, &id, *part) {
            Ok(Plan::GiveBack(amount_krw)) => {
                prop_assert_eq!(amount_krw, wanted);
                let new = Cancel {
                    order,
                    number: i64::try_from(all.len()).unwrap() + 1,
                    request_id: id,
                    amount_krw,
                    reason: "why".into(),
                    step: Step::Waiting,
                    transaction_key: String::new(),
                };
                cancels::insert(&mut tx, &new, 4).await.unwrap();
                all.push(new);
                assert!(store::start_refund(&mut tx, &payment, &all, 4, 4).await.unwrap().is_some());
                let payment = store::lock(db, &mut tx, order).await.unwrap().unwrap();
                let number = i64::try_from(all.len()).unwrap();
                let verdict = |number| Verdict::GivenBack { number, transaction_key: format!("t{i}"), at_ms: None };
                // Late news of the one before changes nothing.
                assert!(!store::settle(&mut tx, &payment, &verdict(number - 1), random_id(), 5).await.unwrap());
                assert!(store::settle(&mut tx, &payment, &verdict(number), random_id(), 5).await.unwrap());
                left -= amount_krw;
            }
            Ok(Plan::Nothing) => prop_assert!(part.is_none() && left == 0),
            refused => prop_assert!(refused.is_err() && wanted > left, "{:?}", refused),
        }
        tx.commit().await.unwrap();
    }
    let payment = store::get(db, order).await.unwrap().unwrap();
    prop_assert_eq!(payment.left_krw, left);
    prop_assert_eq!(payment.state, if left == 0 { State::Refunded } else { State::Approved });
    let entries = ledger::after(db, 0, Some(order), 1_000).await.unwrap();
    let of = |account: &str| entries.iter().filter(|e| e.account == account).map(|e| e.amount).sum::<i64>();
    prop_assert_eq!((of(ledger::PROVIDER), of(ledger::ORDERS)), (left, -left));
    for pair in entries.chunks(2) {
        prop_assert_eq!(pair.iter().map(|entry| entry.amount).sum::<i64>(), 0);
        prop_assert_eq!((pair[0].movement, pair[0].number), (pair[1].movement, pair[1].number));
    }
    Ok(left)
}

#[test]
fn whatever_is_given_back_the_books_agree() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (scratch, db) = runtime.block_on(async {
        let scratch = Scratch::new().await;
        let db = scratch.db().await;
        nugul_payment::db::migrate(&db).await.unwrap();
        (scratch, db)
    });
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let parts = prop::collection::vec(prop::option::weighted(0.9, 1_i64..4_000), 0..12);
    let held = std::cell::Cell::new(0);
    let outcome = runner.run(&(1_i64..10_000, parts), |(amount, parts)| {
        held.set(held.get() + runtime.block_on(live(&db, amount, &parts))?);
        // The whole agrees after each.
        prop_assert_eq!(runtime.block_on(ledger::totals(&db)).unwrap(), (0, held.get()));
        Ok(())
    });
    outcome.unwrap();
    runtime.block_on(async {
        let entries = ledger::after(&db, 0, None, i64::MAX).await.unwrap();
        assert!(entries.iter().zip(1..).all(|(entry, number)| entry.entry == number), "a gap");
        let mut offset = 0;
        loop {
            let page = outbox::after(&db, offset).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.iter().zip(offset + 1..).all(|(result, number)| result.offset == number), "a gap");
            offset = last.offset;
        }
        // Each movement is two entries and one result.
        assert_eq!(offset * 2, i64::try_from(entries.len()).unwrap());
        db.close().await;
    });
    drop(scratch);
}
