//! `/metrics` on a listener of its own, in Prometheus's text format.

use std::{fmt::Write, sync::atomic::Ordering};

use axum::{Router, extract::State, routing::get};
use sqlx::{AssertSqlSafe, Row};

use crate::{app::App, error::ApiError, messages::Lane, parked};

/// The private routes.
pub fn router(app: App) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(app)
}

async fn metrics(State(app): State<App>) -> Result<String, ApiError> {
    let owed = format!("SELECT COUNT(*) AS n FROM outbox WHERE lane IN ({}) AND done_at IS NULL", Lane::all_in_sql());
    let owed: i64 = sqlx::query(AssertSqlSafe(owed)).fetch_one(app.db.pool()).await?.try_get("n")?;
    let mut text =
        String::from("# HELP nugul_outbox_pending Messages owed to others.\n# TYPE nugul_outbox_pending gauge\n");
    // Writing to a String does not fail.
    let _ = writeln!(text, "nugul_outbox_pending {owed}");
    text.push_str("# HELP nugul_parked What a person has to look at.\n# TYPE nugul_parked gauge\n");
    let _ = writeln!(text, "nugul_parked {}", parked::store::count(&app.db).await?);
    text.push_str("# HELP nugul_search_pending Changed events the full-text engine was not told of yet.\n# TYPE nugul_search_pending gauge\n");
    let _ = writeln!(text, "nugul_search_pending {}", crate::search::feed::pending(&app.db).await?);
    text.push_str("# HELP nugul_orders Orders by state.\n# TYPE nugul_orders gauge\n");
    let states = sqlx::query("SELECT state, COUNT(*) AS n FROM orders GROUP BY state ORDER BY state");
    for row in states.fetch_all(app.db.pool()).await? {
        let (state, n): (String, i64) = (row.try_get("state")?, row.try_get("n")?);
        let _ = writeln!(text, "nugul_orders{{state=\"{state}\"}} {n}");
    }
    for (name, help, count) in [
        ("nugul_seats_corrected_total", "Live seats made what SQL says.", &app.corrected),
        ("nugul_orders_undone_total", "Orders in the live state undone or settled because SQL says so.", &app.undone),
    ] {
        let count = count.load(Ordering::Relaxed);
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}");
    }
    app.streams.counters.write(&mut text);
    Ok(text)
}
