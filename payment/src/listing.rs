//! Payments as lists: filtered, newest first, read page by page, so that memory does not grow with the number of rows.
//!
//! The database gives a page as one value, a JSON array of its rows: row by row and column by column the driver takes three
//! times as long as the database itself. Each row keeps its part of that, the column `listed`, which the database alone writes.
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashSet;
use std::pin::Pin;

use futures_util::future::{BoxFuture, FutureExt as _, MaybeDone, maybe_done};
use futures_util::poll;
use nugul_proto::payment::v1::Payment;
use serde::Deserialize;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::cases;
use crate::db::{Db, marks};
use crate::state::State;

/// Rows of the first page: few, so that it is there at once.
const FIRST_PAGE: i64 = 50;
/// Rows of each further page: with every column full they stay below what MariaDB puts together (see `nugul_sql`) and what a
/// gRPC message may have, both 4 MiB.
const PAGE: i64 = 500;
/// No more open cases are looked through for one page.
const MAX_CASES: i64 = 10_000;

/// Where a list goes on: behind this payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    created_at_ms: i64,
    order: Uuid,
}

impl Cursor {
    /// As the reader keeps it.
    pub fn text(self) -> String {
        format!("{}_{}", self.created_at_ms, self.order.simple())
    }

    /// Read back.
    pub fn parse(text: &str) -> Option<Self> {
        let (time, order) = text.split_once('_')?;
        Some(Self { created_at_ms: time.parse().ok()?, order: Uuid::try_parse(order).ok()? })
    }
}

/// What is listed.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of one buyer.
    pub user: Option<Uuid>,
    /// Of one order.
    pub order: Option<Uuid>,
    /// In one of these states; none: in any.
    pub states: Vec<State>,
    /// Prepared at or after.
    pub from_ms: Option<i64>,
    /// Prepared before.
    pub before_ms: Option<i64>,
    /// Behind this payment.
    pub cursor: Option<Cursor>,
}

/// Some payments, and where to go on where there are more.
#[derive(Debug)]
pub struct Page {
    /// The payments, as they are sent.
    pub payments: Vec<Payment>,
    /// Behind the last of them; nothing where it is the last of all.
    pub next: Option<Cursor>,
}

/// A payment as the column `listed` has it: an array of these, in their order.
#[derive(Deserialize)]
struct Row<'a> {
    order: &'a str,
    user: &'a str,
    amount_krw: i64,
    #[serde(borrow)]
    order_name: Cow<'a, str>,
    state: i32,
    #[serde(borrow)]
    payment_key: Cow<'a, str>,
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
    left_krw: i64,
    expires_at_ms: i64,
    created_at_ms: i64,
    updated_at_ms: i64,
}

/// What the database gave, each part a JSON array.
#[derive(Debug)]
struct Read {
    rows: String,
    /// Creation and order of the last row, and of the one behind it.
    end: String,
    open: String,
}

impl Read {
    /// Where to go on, where there is more: known before the rows are looked at.
    fn next(&self) -> Result<Option<Cursor>, sqlx::Error> {
        let mut end: Vec<(i64, &str)> = parsed(&self.end)?;
        // Not every database keeps the order of what it puts together.
        end.sort_unstable();
        let [_, (created_at_ms, order)] = end[..] else { return Ok(None) };
        Ok(Some(Cursor { created_at_ms, order: id(order)? }))
    }

    /// The payments as they are sent, newest first.
    fn payments(&self) -> Result<Vec<Payment>, sqlx::Error> {
        let open = parsed::<Vec<&str>>(&self.open)?.into_iter().map(id).collect::<Result<_, _>>()?;
        let mut rows: Vec<Row<'_>> = parsed(&self.rows)?;
        rows.sort_unstable_by_key(|row| Reverse((row.created_at_ms, row.order)));
        rows.into_iter().map(|row| payment(row, &open)).collect()
    }
}

/// The next payments, at most `limit`.
pub async fn page(db: &Db, filter: &Filter, limit: i64) -> Result<Page, sqlx::Error> {
    let read = read(db, filter, limit).await?;
    Ok(Page { payments: read.payments()?, next: read.next()? })
}

/// Page after page; while one is sent, the next is read.
pub struct Pages {
    db: Db,
    filter: Filter,
    left: i64,
    ahead: Option<Ahead>,
}

/// A page on its way.
type Ahead = MaybeDone<BoxFuture<'static, Result<Read, sqlx::Error>>>;

impl Pages {
    /// At most `left` payments.
    pub fn new(db: &Db, filter: Filter, left: i64) -> Self {
        let mut pages = Self { db: db.clone(), filter, left, ahead: None };
        pages.ahead = Some(pages.question(FIRST_PAGE));
        pages
    }

    /// Asks for the page that comes next, as soon as it is looked at.
    fn question(&mut self, limit: i64) -> Ahead {
        let (db, filter, limit) = (self.db.clone(), self.filter.clone(), limit.min(self.left));
        self.left -= limit;
        maybe_done(async move { read(&db, &filter, limit).await }.boxed())
    }

    /// The next page; nothing behind the last.
    pub async fn next(&mut self) -> Result<Option<Page>, sqlx::Error> {
        let Some(mut ahead) = self.ahead.take() else { return Ok(None) };
        (&mut ahead).await;
        let Some(read) = Pin::new(&mut ahead).take_output().transpose()? else { return Ok(None) };
        let next = read.next()?;
        self.filter.cursor = next;
        if next.is_some() && self.left > 0 {
            let mut ahead = self.question(PAGE);
            // The first look sends the question, so that the database works while this page is made and sent. (A task of its
            // own would cost more than it brings.)
            let _ = poll!(&mut ahead);
            self.ahead = Some(ahead);
        }
        Ok(Some(Page { payments: read.payments()?, next }))
    }
}

fn parsed<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, sqlx::Error> {
    serde_json::from_str(json).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn id(hex: &str) -> Result<Uuid, sqlx::Error> {
    Uuid::try_parse(hex).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn payment(row: Row<'_>, open: &HashSet<Uuid>) -> Result<Payment, sqlx::Error> {
    let order = id(row.order)?;
    Ok(Payment {
        order_id: order.to_string(),
        user_id: id(row.user)?.to_string(),
        amount_krw: row.amount_krw,
        order_name: row.order_name.into_owned(),
        state: row.state,
        payment_key: row.payment_key.into_owned(),
        code: row.code.into_owned(),
        message: row.message.into_owned(),
        left_krw: row.left_krw,
        expires_at_ms: row.expires_at_ms,
        created_at_ms: row.created_at_ms,
        updated_at_ms: row.updated_at_ms,
        open_case: open.contains(&order),
    })
}

/// The next rows, at most `limit`, where they end, and the orders that a person has to look at.
async fn read(db: &Db, filter: &Filter, limit: i64) -> Result<Read, sqlx::Error> {
    let limit = limit.clamp(1, PAGE);
    let mut conditions = vec!["1 = 1".to_owned()];
    if filter.user.is_some() {
        conditions.push("user_id = ?".into());
    }
    if filter.order.is_some() {
        conditions.push("order_id = ?".into());
    }
    if !filter.states.is_empty() {
        conditions.push(format!("state IN {}", marks(filter.states.len())));
    }
    if filter.from_ms.is_some() {
        conditions.push("created_at_ms >= ?".into());
    }
    if filter.before_ms.is_some() {
        conditions.push("created_at_ms < ?".into());
    }
    if filter.cursor.is_some() {
        conditions.push("created_at_ms <= ? AND (created_at_ms < ? OR order_id < ?)".into());
    }
    let from = format!("FROM payments WHERE {} ORDER BY created_at_ms DESC, order_id DESC", conditions.join(" AND "));
    let rows = array_of("listed", &format!("SELECT listed {from} LIMIT ?"));
    let end = array_of(
        "CONCAT('[', created_at_ms, ',\"', HEX(order_id), '\"]')",
        &format!("SELECT created_at_ms, order_id {from} LIMIT 2 OFFSET ?"),
    );
    let open = array_of(
        "CONCAT('\"', HEX(order_id), '\"')",
        &format!("SELECT order_id FROM cases WHERE {} LIMIT ?", cases::waiting()),
    );
    // Both are of the rows that the filter leaves: its values stand twice.
    let mut query = sqlx::query(AssertSqlSafe(format!("SELECT ({rows}), ({end}), ({open})")));
    for bound in [limit, limit - 1] {
        for id in [filter.user, filter.order].into_iter().flatten() {
            query = query.bind(id.as_bytes().to_vec());
        }
        for state in &filter.states {
            query = query.bind(*state as i64);
        }
        for time in [filter.from_ms, filter.before_ms].into_iter().flatten() {
            query = query.bind(time);
        }
        if let Some(cursor) = filter.cursor {
            query = query.bind(cursor.created_at_ms).bind(cursor.created_at_ms).bind(cursor.order.as_bytes().to_vec());
        }
        query = query.bind(bound);
    }
    let row = query.bind(MAX_CASES).fetch_one(db.pool()).await?;
    Ok(Read { rows: row.try_get(0)?, end: row.try_get(1)?, open: row.try_get(2)? })
}

/// A query that gives one value: what `each` is of every row of `rows`, as a JSON array.
fn array_of(each: &str, rows: &str) -> String {
    format!("SELECT CONCAT('[', COALESCE(GROUP_CONCAT({each}), ''), ']') FROM ({rows}) AS some")
}
