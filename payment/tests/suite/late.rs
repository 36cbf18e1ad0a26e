//! What became known days after the provider did it is no difference, on either day.
use std::sync::Arc;

use futures_util::future::BoxFuture;
use nugul_payment::audit;
use nugul_payment::cases::{self, NewCase};
use nugul_payment::confirm::{Payments, Timings, now_ms};
use nugul_payment::state::State;
use nugul_payment::store;
use nugul_payment::toss::{Cancelled, Confirmed, Found, PaymentGateway, Refund, RefundAsk, SettlementRow, Taken};
use nugul_payment::{reconcile, reports, schedule};
use nugul_proto::payment::v1::CaseKind;
use time::{Date, OffsetDateTime};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::scratch::{Scratch, new_payment, random_id};

const AMOUNT: i64 = 10_000;
const DAY_MS: i64 = 24 * 3600 * 1000;

fn day_of(ms: i64) -> Date {
    let at = OffsetDateTime::from_unix_timestamp(ms / 1000).unwrap();
    at.to_offset(time::macros::offset!(+9)).date()
}

/// A provider that took money some days ago and gave it all back a day later, and says so only now.
struct Late {
    order: Uuid,
    taken_at_ms: i64,
}

impl Late {
    fn back_at_ms(&self) -> i64 {
        self.taken_at_ms + DAY_MS
    }
}

impl PaymentGateway for Late {
    fn confirm<'a>(&'a self, _: Uuid, _: &'a str, _: i64) -> BoxFuture<'a, Confirmed> {
        Box::pin(async { Confirmed::Unknown("it was asked days ago".into()) })
    }

    fn find<'a>(&'a self, _: Uuid, key: &'a str) -> BoxFuture<'a, Found> {
        let refund = Refund {
            transaction_key: "t1".into(),
            amount_krw: AMOUNT,
            reason: "by hand".into(),
            at_ms: Some(self.back_at_ms()),
        };
        let taken = Taken {
            amount_krw: AMOUNT,
            payment_key: key.into(),
            at_ms: Some(self.taken_at_ms),
            left_krw: 0,
            refunds: vec![refund],
        };
        Box::pin(async { Found::Taken(taken) })
    }

    fn cancel<'a>(&'a self, _: Uuid, _: &'a RefundAsk) -> BoxFuture<'a, Cancelled> {
        Box::pin(async { Cancelled::Unknown("nobody asks".into()) })
    }

    fn settlements<'a>(
        &'a self,
        from: &'a str,
        to: &'a str,
        _: usize,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<SettlementRow>, String>> {
        let row = |at_ms, refund_key: Option<&str>, amount_krw| SettlementRow {
            order_id: self.order.to_string(),
            transaction_key: refund_key.unwrap_or("k").to_owned(),
            refund_key: refund_key.map(str::to_owned),
            amount_krw,
            sold_date: day_of(at_ms).to_string(),
        };
        let rows = [row(self.taken_at_ms, None, AMOUNT), row(self.back_at_ms(), Some("t1"), -AMOUNT)];
        let of = rows.into_iter().filter(|row| (from..=to).contains(&row.sold_date.as_str())).collect();
        Box::pin(async { Ok(of) })
    }
}

#[tokio::test]
async fn what_is_learnt_days_later_is_no_difference() {
    let scratch = Scratch::new().await;
    let db = scratch.db().await;
    nugul_payment::db::migrate(&db).await.unwrap();
    let order = random_id();
    let taken_at_ms = now_ms() - 5 * DAY_MS;
    let mut tx = db.begin_write().await.unwrap();
    store::prepare(&db, &mut tx, &new_payment(order, AMOUNT, taken_at_ms), 1).await.unwrap();
    assert!(store::start_confirms(&mut tx, &[(order, "k")], taken_at_ms, taken_at_ms).await.unwrap());
    tx.commit().await.unwrap();
    let payments = Payments::new(db.clone(), Arc::new(Late { order, taken_at_ms }), now_ms, Timings::default());
    reconcile::once(&payments, &CancellationToken::new()).await.unwrap();
    assert_eq!(store::get(&db, order).await.unwrap().unwrap().state, State::Refunded);
    // (days ago, movements the ledger has on that day)
    for (ago, movements) in [(6, 0), (5, 1), (4, 1), (3, 0), (1, 0), (0, 0)] {
        let report = audit::reconcile(&payments, day_of(now_ms() - ago * DAY_MS)).await.unwrap();
        assert_eq!((report.movements, report.differences), (movements, 0), "{ago} days ago");
    }
    // Nobody has to ask: the day that is over is compared, and those that differed; once a day.
    let case = NewCase {
        kind: CaseKind::Difference,
        order,
        subject: "capture",
        reason: "settled, but not in the ledger",
        ours_krw: 0,
        theirs_krw: AMOUNT,
        day: &day_of(taken_at_ms).to_string(),
    };
    assert!(cases::open(&db, &case, now_ms()).await.unwrap());
    for text in ["DELETE FROM reconciliations WHERE 1 = 1", "DELETE FROM ledger_checked_sums WHERE 1 = 1"] {
        sqlx::query(text).execute(db.pool()).await.unwrap();
    }
    assert_eq!(schedule::once(&payments).await.unwrap(), 2);
    assert_eq!(cases::count_open(&db, CaseKind::Difference).await.unwrap(), 0);
    assert_eq!(schedule::once(&payments).await.unwrap(), 0);
    let kept = reports::before(&db, "").await.unwrap();
    assert_eq!((kept.len(), kept[1].day.as_str(), kept[1].closed), (2, case.day, 1));
    assert_eq!(reports::before(&db, &kept[0].day).await.unwrap(), kept[1..]);
    db.close().await;
}
