//! Do the books agree? One day's ledger beside the provider's settlement, beside the payments, and its sum.
//!
//! The work grows with the day, not with the ledger: the sum goes on from the entry it was last checked up to.
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use nugul_proto::payment::v1::{CaseKind, ReconcileResponse};
use sqlx::Row;
use time::{Date, Time};
use uuid::Uuid;

use crate::cases::{self, NewCase};
use crate::confirm::Payments;
use crate::db::Db;
use crate::ledger::{self, Movement};
use crate::reports;
use crate::store::{self, Payment};
use crate::toss::{Found, SettlementRow};

/// Rows of a settlement page.
pub const SETTLEMENT_PAGE: usize = 1_000;
/// No settlement has more pages.
pub const MAX_PAGES: usize = 5_000;
/// Ledger rows read at once.
const LEDGER_PAGE: i64 = 2_000;
/// No more differences of one day become cases; so many have one reason.
pub const MAX_DIFFERENCES: usize = 1_000;

/// Why a day could not be compared. Nothing has changed then.
#[derive(Debug)]
pub enum AuditError {
    /// The provider gave no settlement. The text says why.
    Provider(String),
    /// The database did not do it.
    Storage(sqlx::Error),
}

impl From<sqlx::Error> for AuditError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error)
    }
}

/// A day as `YYYY-MM-DD`.
pub fn day(text: &str) -> Option<Date> {
    Date::parse(text, time::macros::format_description!("[year]-[month]-[day]")).ok()
}

/// When a day starts in Seoul, in UTC milliseconds.
pub(crate) fn start_ms(day: Date) -> i64 {
    day.with_time(Time::MIDNIGHT).assume_offset(time::macros::offset!(+9)).unix_timestamp() * 1000
}

/// One movement of money: of an order, and for a refund under the provider's name of it.
type Key = (Uuid, Option<Box<str>>);

/// A settlement row that waits for its ledger movement.
struct Settled {
    amount: i64,
    of_day: bool,
    seen: bool,
}

struct Difference {
    order: Uuid,
    subject: String,
    reason: &'static str,
    ours: i64,
    theirs: i64,
}

/// Compares one day in Seoul, one after the other: opens a case for each difference, closes those of the day that are gone, and
/// keeps the report.
pub async fn reconcile(payments: &Payments, day: Date) -> Result<ReconcileResponse, AuditError> {
    let _one = payments.auditing.lock().await;
    let mut found = Vec::new();
    // What was taken just before midnight may have become known here just after it, and the other way round.
    let (start, end) = (start_ms(day), start_ms(day.next_day().unwrap_or(day)));
    let mut rows = settlement(payments, day, &mut found).await?;
    let settlement_rows = rows.values().filter(|row| row.of_day).count();
    let late = end.saturating_add(end - start);
    let movements = compare(&payments.db, &mut rows, (start, end, late), &mut found).await?;
    for ((order, name), row) in rows.iter().filter(|(_, row)| row.of_day && !row.seen) {
        match booked(&payments.db, *order, name.as_deref()).await? {
            Some(amount) if amount == row.amount => {}
            ours => found.push(Difference {
                order: *order,
                subject: name.as_deref().unwrap_or("capture").to_owned(),
                reason: if ours.is_some() { "settled with another amount" } else { "settled, but not in the ledger" },
                ours: ours.unwrap_or(0),
                theirs: row.amount,
            }),
        }
    }
    found.extend(payments_beside_ledger(&payments.db, start, end).await?);
    let (sums, new_entries) = check_sums(&payments.db).await?;
    for (currency, sum) in sums.iter().filter(|(_, sum)| **sum != 0) {
        let reason = "the ledger does not sum to zero";
        found.push(Difference {
            order: Uuid::nil(),
            subject: format!("sum {currency}"),
            reason,
            ours: *sum,
            theirs: 0,
        });
    }
    let (name, now) = (day.to_string(), (payments.now)());
    for difference in found.iter().take(MAX_DIFFERENCES) {
        let new = NewCase {
            kind: CaseKind::Difference,
            order: difference.order,
            subject: &difference.subject,
            reason: difference.reason,
            ours_krw: difference.ours,
            theirs_krw: difference.theirs,
            day: &name,
        };
        if cases::open(&payments.db, &new, now).await? {
            tracing::error!(order = %difference.order, reason = difference.reason, day = name, "the books differ");
        }
    }
    let still: Vec<_> = found.iter().map(|difference| (difference.order, difference.subject.clone())).collect();
    let closed = cases::close_gone(&payments.db, &name, &still, now).await?;
    let report = ReconcileResponse {
        day: name,
        movements,
        settlement_rows: i64::try_from(settlement_rows).unwrap_or(i64::MAX),
        differences: i64::try_from(found.len()).unwrap_or(i64::MAX),
        closed,
        ledger_sum_krw: sums.get(ledger::CURRENCY).copied().unwrap_or(0),
        new_entries,
        compared_at_ms: now,
    };
    reports::keep(&payments.db, &report).await?;
    Ok(report)
}

/// The settlement rows of a day and the day before it, by movement.
async fn settlement(
    payments: &Payments,
    day: Date,
    found: &mut Vec<Difference>,
) -> Result<HashMap<Key, Settled>, AuditError> {
    let (from, to) = (day.previous_day().unwrap_or(day).to_string(), day.to_string());
    let mut rows = HashMap::new();
    for page in 1..=MAX_PAGES {
        let next =
            payments.gateway.settlements(&from, &to, page, SETTLEMENT_PAGE).await.map_err(AuditError::Provider)?;
        let is_last = next.len() < SETTLEMENT_PAGE;
        for SettlementRow { order_id, transaction_key, refund_key, amount_krw, sold_date } in next {
            let of_day = sold_date == to;
            let Ok(order) = Uuid::try_parse(&order_id) else {
                if of_day {
                    let reason = "settled for an order that is not ours";
                    found.push(Difference {
                        order: Uuid::nil(),
                        subject: transaction_key,
                        reason,
                        ours: 0,
                        theirs: amount_krw,
                    });
                }
                continue;
            };
            match rows.entry((order, refund_key.map(String::into_boxed_str))) {
                Entry::Vacant(vacant) => {
                    vacant.insert(Settled { amount: amount_krw, of_day, seen: false });
                }
                Entry::Occupied(_) => {
                    let reason = "settled twice";
                    found.push(Difference { order, subject: transaction_key, reason, ours: 0, theirs: amount_krw });
                }
            }
        }
        if is_last {
            return Ok(rows);
        }
    }
    Err(AuditError::Provider("the settlement has too many pages".into()))
}

/// Walks what moved, by the provider's clock, on the day and on the day after it, whenever it became known here. Gives the number of the day's movements.
async fn compare(
    db: &Db,
    rows: &mut HashMap<Key, Settled>,
    (start, end, late): (i64, i64, i64),
    found: &mut Vec<Difference>,
) -> Result<i64, sqlx::Error> {
    let (mut time, mut entry, mut movements) = (start, 0_i64, 0);
    loop {
        let page = sqlx::query(
            "SELECT l.entry_no, l.moved_at_ms, l.order_id, l.amount, c.transaction_key FROM ledger l \
             LEFT JOIN cancels c ON c.order_id = l.order_id AND c.number = l.number AND l.movement = ? \
             WHERE l.account = ? AND l.moved_at_ms >= ? AND l.moved_at_ms < ? \
             AND (l.moved_at_ms > ? OR l.entry_no > ?) ORDER BY l.moved_at_ms, l.entry_no LIMIT ?",
        )
        .bind(Movement::Refund as i64)
        .bind(ledger::PROVIDER)
        .bind(time)
        .bind(late)
        .bind(time)
        .bind(entry)
        .bind(LEDGER_PAGE)
        .fetch_all(db.pool())
        .await?;
        for row in &page {
            (entry, time) = (row.try_get("entry_no")?, row.try_get("moved_at_ms")?);
            let (order, amount): (Uuid, i64) = (store::uuid(row, "order_id")?, row.try_get("amount")?);
            let name: Option<String> = row.try_get("transaction_key")?;
            let is_of_day = time < end;
            movements += i64::from(is_of_day);
            let key = (order, name.map(String::into_boxed_str));
            let theirs = rows.get_mut(&key).map(|row| {
                row.seen = true;
                row.amount
            });
            let reason = match theirs {
                Some(theirs) if theirs == amount => continue,
                Some(_) => "settled with another amount",
                None if is_of_day => "in the ledger, but not settled",
                None => continue,
            };
            let subject = key.1.as_deref().unwrap_or("capture").to_owned();
            found.push(Difference { order, subject, reason, ours: amount, theirs: theirs.unwrap_or(0) });
        }
        if page.len() < usize::try_from(LEDGER_PAGE).unwrap_or_default() {
            return Ok(movements);
        }
    }
}

/// What the ledger has for one movement, whenever it was booked.
async fn booked(db: &Db, order: Uuid, name: Option<&str>) -> Result<Option<i64>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT l.amount, c.transaction_key FROM ledger l \
         LEFT JOIN cancels c ON c.order_id = l.order_id AND c.number = l.number AND l.movement = ? \
         WHERE l.order_id = ? AND l.account = ?",
    )
    .bind(Movement::Refund as i64)
    .bind(order.as_bytes().to_vec())
    .bind(ledger::PROVIDER)
    .fetch_all(db.pool())
    .await?;
    for row in &rows {
        if row.try_get::<Option<String>, _>("transaction_key")?.as_deref() == name {
            return row.try_get("amount").map(Some);
        }
    }
    Ok(None)
}

/// Payments whose money left is not what the ledger says: those the ledger was booked for on the day, and those prepared
/// on it, for which it may have nothing at all.
async fn payments_beside_ledger(db: &Db, start: i64, end: i64) -> Result<Vec<Difference>, sqlx::Error> {
    const FROM_LEDGER: &str = "SELECT p.order_id AS order_id, p.left_krw AS left_krw, \
        CAST(SUM(l.amount) AS SIGNED) AS held FROM ledger l JOIN payments p ON p.order_id = l.order_id \
        WHERE l.account = ? AND l.order_id IN (SELECT order_id FROM ledger WHERE created_at_ms >= ? AND created_at_ms < ?) \
        GROUP BY p.order_id, p.left_krw HAVING SUM(l.amount) <> p.left_krw LIMIT ?";
    const FROM_PAYMENTS: &str = "SELECT order_id, left_krw, held FROM (SELECT p.order_id AS order_id, p.left_krw AS left_krw, \
        CAST(COALESCE((SELECT SUM(l.amount) FROM ledger l WHERE l.order_id = p.order_id AND l.account = ?), 0) AS SIGNED) AS held \
        FROM payments p WHERE p.created_at_ms >= ? AND p.created_at_ms < ?) AS prepared WHERE held <> left_krw LIMIT ?";
    let mut found: HashMap<Uuid, Difference> = HashMap::new();
    for text in [FROM_LEDGER, FROM_PAYMENTS] {
        let rows = sqlx::query(text)
            .bind(ledger::PROVIDER)
            .bind(start)
            .bind(end)
            .bind(i64::try_from(MAX_DIFFERENCES).unwrap_or(i64::MAX))
            .fetch_all(db.pool())
            .await?;
        for row in &rows {
            let order = store::uuid(row, "order_id")?;
            found.insert(
                order,
                Difference {
                    order,
                    subject: "left".into(),
                    reason: "the payment and the ledger have different amounts left",
                    ours: row.try_get("left_krw")?,
                    theirs: row.try_get("held")?,
                },
            );
        }
    }
    Ok(found.into_values().collect())
}

/// The sum of the whole ledger by currency, from what was checked before and the entries since; and how many those are.
async fn check_sums(db: &Db) -> Result<(BTreeMap<String, i64>, i64), sqlx::Error> {
    let mut tx = db.begin_write().await?;
    // The counter's lock keeps other checks and bookings out, so that the sums are of one moment.
    sqlx::query("UPDATE ledger_counter SET last_entry = last_entry WHERE id = 1").execute(&mut *tx).await?;
    let newest: i64 =
        sqlx::query("SELECT last_entry FROM ledger_counter WHERE id = 1").fetch_one(&mut *tx).await?.try_get(0)?;
    let mut balances: HashMap<(String, String), i64> = HashMap::new();
    let mut checked = 0;
    let before = "SELECT account, currency, up_to_entry, balance FROM ledger_checked_sums";
    for row in sqlx::query(before).fetch_all(&mut *tx).await? {
        checked = row.try_get::<i64, _>("up_to_entry")?.max(checked);
        balances.insert((row.try_get("account")?, row.try_get("currency")?), row.try_get("balance")?);
    }
    let rows = sqlx::query(
        "SELECT account, currency, CAST(SUM(amount) AS SIGNED) AS moved FROM ledger \
         WHERE entry_no > ? AND entry_no <= ? GROUP BY account, currency",
    )
    .bind(checked)
    .bind(newest)
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        let balance = balances.entry((row.try_get("account")?, row.try_get("currency")?)).or_insert(0);
        *balance = balance.saturating_add(row.try_get("moved")?);
    }
    sqlx::query("DELETE FROM ledger_checked_sums").execute(&mut *tx).await?;
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for ((account, currency), balance) in balances {
        sqlx::query("INSERT INTO ledger_checked_sums (account, currency, up_to_entry, balance) VALUES (?, ?, ?, ?)")
            .bind(account)
            .bind(currency.as_str())
            .bind(newest)
            .bind(balance)
            .execute(&mut *tx)
            .await?;
        let sum = sums.entry(currency).or_insert(0);
        *sum = sum.saturating_add(balance);
    }
    tx.commit().await?;
    Ok((sums, newest - checked))
}

/// How a settled payment differs from what the provider says now: what we have, what they have, and in which way.
pub fn difference(payment: &Payment, found: &Found) -> Option<(i64, i64, &'static str)> {
    let theirs = match found {
        Found::Taken(taken) => taken.left_krw,
        // That a payment is not found once says nothing; the settlement tells.
        Found::Unknown(_) | Found::Nothing => return None,
        Found::Refused { .. } | Found::Waiting | Found::Deposit => 0,
    };
    (theirs != payment.left_krw).then_some((
        payment.left_krw,
        theirs,
        "the provider and the payment have different amounts left",
    ))
}
