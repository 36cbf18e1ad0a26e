//! `admin/ledger`: the entries as they were booked, and what every account held.

use axum::{Json, Router, extract::State, routing::get};
use nugul_api::{
    Page,
    payments::{AccountBalance, Balances, LedgerEntry, Movement},
};
use nugul_domain::{OrderId, Timestamp};
use nugul_proto::payment::v1 as proto;
use serde::Deserialize;

use crate::{
    app::App,
    error::ApiError,
    extract::{Auth, Parameters},
    paging::Paging,
};

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new().route("/admin/ledger", get(entries)).route("/admin/ledger/balances", get(balances))
}

#[derive(Deserialize)]
struct OfOrder {
    order_id: Option<OrderId>,
}

#[derive(Deserialize)]
struct AtTime {
    at: Option<Timestamp>,
}

#[utoipa::path(get, path = "/api/v1/admin/ledger", tag = "money", responses((status = 200, body = Page<LedgerEntry>)),
    params(("order_id" = Option<String>, Query), ("cursor" = Option<i64>, Query), ("limit" = Option<u32>, Query)))]
async fn entries(
    State(app): State<App>,
    auth: Auth,
    paging: Result<Paging<i64>, ApiError>,
    of: Result<Parameters<OfOrder>, ApiError>,
) -> Result<Json<Page<LedgerEntry>>, ApiError> {
    auth.operates()?;
    let (paging, Parameters(of)) = (paging?, of?);
    let ask = proto::ListLedgerEntriesRequest {
        after_entry: paging.cursor.unwrap_or(0),
        order_id: of.order_id.map(|id| id.to_string()).unwrap_or_default(),
        limit: i64::from(paging.to_read()),
    };
    let read = app.payments.ledger_entries(ask).await?;
    let read = read.into_iter().map(to_api).collect::<Result<_, _>>()?;
    let (items, next_cursor) = paging.cut(read, |entry: &LedgerEntry| entry.entry.to_string());
    Ok(Json(Page { items, next_cursor }))
}

#[utoipa::path(get, path = "/api/v1/admin/ledger/balances", tag = "money", responses((status = 200, body = Balances)),
    params(("at" = Option<String>, Query, description = "RFC 3339; entries booked up to and at this time count. Absent: all.")))]
async fn balances(
    State(app): State<App>,
    auth: Auth,
    at: Result<Parameters<AtTime>, ApiError>,
) -> Result<Json<Balances>, ApiError> {
    auth.operates()?;
    let Parameters(AtTime { at }) = at?;
    let held = app.payments.balances(proto::GetBalancesRequest { at_ms: at.map(Timestamp::as_millis) }).await?;
    let account =
        |of: proto::AccountBalance| AccountBalance { account: of.account, currency: of.currency, balance: of.balance };
    Ok(Json(Balances { at, accounts: held.balances.into_iter().map(account).collect(), sum_krw: held.sum_krw }))
}

fn to_api(entry: proto::LedgerEntry) -> Result<LedgerEntry, ApiError> {
    let movement = match entry.movement() {
        proto::LedgerMovement::Capture => Movement::Capture,
        proto::LedgerMovement::Refund => Movement::Refund,
        proto::LedgerMovement::Unspecified => return Err(ApiError::internal("an entry of no movement")),
    };
    Ok(LedgerEntry {
        entry: entry.entry,
        order_id: entry.order_id,
        movement,
        number: entry.number,
        account: entry.account,
        currency: entry.currency,
        amount: entry.amount,
        booked_at: Timestamp::from_millis(entry.created_at_ms),
    })
}
