//! Payments as lists: filtered, newest first, read page by page, so that memory does not grow with the number of rows.
use std::collections::HashSet;

use nugul_proto::payment::v1::CaseKind;
use uuid::Uuid;

use crate::db::Db;
use crate::state::State;
use crate::store::{self, Payment};

/// Rows of the first page: few, so that it is there at once.
pub const FIRST_PAGE: i64 = 50;
/// Rows of each further page.
pub const PAGE: i64 = 500;
/// No more open cases are looked through for one page.
const MAX_CASES: i64 = 10_000;

/// Where a list goes on: behind this payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    created_at_ms: i64,
    order: Uuid,
}

impl Cursor {
    /// Behind a payment.
    pub fn behind(payment: &Payment) -> Self {
        Self { created_at_ms: payment.created_at_ms, order: payment.order }
    }

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

/// The next payments, at most `limit`.
pub async fn page(db: &Db, filter: &Filter, limit: i64) -> Result<Vec<Payment>, sqlx::Error> {
    let mut conditions = vec!["1 = 1".to_owned()];
    if filter.user.is_some() {
        conditions.push("user_id = ?".into());
    }
    if filter.order.is_some() {
        conditions.push("order_id = ?".into());
    }
    if !filter.states.is_empty() {
        conditions.push(format!("state IN ({})", vec!["?"; filter.states.len()].join(", ")));
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
    let rest = format!("WHERE {} ORDER BY created_at_ms DESC, order_id DESC LIMIT ?", conditions.join(" AND "));
    let mut query = sqlx::query(store::select(&rest));
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
    query.bind(limit).fetch_all(db.pool()).await?.iter().map(store::read).collect()
}

/// The orders a person has to look at.
pub async fn with_open_case(db: &Db) -> Result<HashSet<Uuid>, sqlx::Error> {
    let rows = sqlx::query("SELECT order_id FROM cases WHERE closed_at_ms = 0 AND kind <> ? LIMIT ?")
        .bind(i64::from(CaseKind::Command as i32))
        .bind(MAX_CASES)
        .fetch_all(db.pool())
        .await?;
    rows.iter().map(|row| store::uuid(row, "order_id")).collect()
}
