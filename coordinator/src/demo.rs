//! Fills an empty database with a catalogue and demo accounts.

use std::path::Path;

use nugul_api::catalogue::{NewEvent, PerformanceSummary};
use nugul_catalog::import::{ImportEvent, parse_jsonl};
use nugul_domain::{EventId, Grade, Krw, PerformanceId, Timestamp, account::Role, event::BuyerLimits, time::iso_date};
use sqlx::Row;

use crate::{
    accounts,
    app::App,
    catalogue::{service::new_event, store},
};

/// The password of every demo account.
pub const DEMO_PASSWORD: &str = "nugul-demo-2026";

/// Who can log in to a demo.
pub const DEMO_ACCOUNTS: [(&str, &str, Role); 3] = [
    ("buyer@nugul.test", "너굴이", Role::User),
    ("seller@nugul.test", "너굴기획", Role::Seller),
    ("admin@nugul.test", "관리자", Role::Admin),
];

/// Of so many events of the shipped catalogue, one opens its sales later.
const OPENS_LATER_EVERY: usize = 9;
/// Those sales open within so many days, at two in the afternoon as is the custom.
const OPENS_WITHIN_DAYS: usize = 6;
const OPENS_AT_HOUR: u8 = 14;

/// Events stored in one transaction.
const BATCH: usize = 200;

/// Fills the database from `catalogue`, or from the catalogue that is shipped, grown to `events`. Does nothing where
/// there are events already. Says what it did.
pub async fn seed(app: &App, catalogue: Option<&Path>, events: Option<u32>) -> Result<String, String> {
    let db = &app.db;
    let row = sqlx::query("SELECT COUNT(*) AS n FROM events").fetch_one(db.pool()).await.map_err(|e| e.to_string())?;
    let present: i64 = row.try_get("n").map_err(|e| e.to_string())?;
    if present > 0 {
        return Ok(format!("{present} events are there already"));
    }
    let imported = match catalogue {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
            parse_jsonl(&text).map_err(|e| format!("{}: {e}", path.display()))?
        }
        None => nugul_catalog::demo::events(app.now().seoul().date(), events),
    };
    let mut seller = None;
    for (email, nickname, role) in DEMO_ACCOUNTS {
        let id =
            accounts::seed_account(app, email, nickname, role, DEMO_PASSWORD).await.map_err(|e| format!("{e:?}"))?;
        if role == Role::Seller {
            seller = Some(id);
        }
    }
    let seller = seller.ok_or("no demo seller")?;
    let (mut event_count, mut performance_count) = (0, 0);
    let now = app.now();
    for batch in imported.chunks(BATCH) {
        let mut tx = db.begin_write().await.map_err(|e| e.to_string())?;
        for import in batch {
            let (event, times) = converted(app, import)?;
            let opens = if catalogue.is_none() { opens_at(now, event_count, &times) } else { now };
            store::insert_event(&mut tx, &event, seller).await.map_err(|e| format!("{e:?}"))?;
            for starts_at in times {
                let id = PerformanceId::new(app.config.region, app.now(), app.random_id());
                let p = PerformanceSummary {
                    id,
                    starts_at,
                    sales_open_at: opens,
                    sales_close_at: starts_at,
                    cancelled: false,
                };
                store::insert_performance(&mut tx, event.summary.id, &p).await.map_err(|e| format!("{e:?}"))?;
                performance_count += 1;
            }
            event_count += 1;
        }
        store::mark_changed(&mut tx).await.map_err(|e| format!("{e:?}"))?;
        tx.commit().await.map_err(|e| e.to_string())?;
    }
    Ok(format!("{event_count} events with {performance_count} performances are ready"))
}

/// When the sales of the `n`th event open: now, or in some days where its run leaves time for it.
fn opens_at(now: Timestamp, n: usize, times: &[Timestamp]) -> Timestamp {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    if n % OPENS_LATER_EVERY != OPENS_LATER_EVERY - 1 {
        return now;
    }
    let days = i64::try_from(1 + n / OPENS_LATER_EVERY % OPENS_WITHIN_DAYS).unwrap_or(1);
    let day = now.plus_ms(days * DAY_MS).seoul();
    let opens = day.replace_time(time::Time::MIDNIGHT).unix_timestamp() + i64::from(OPENS_AT_HOUR) * 60 * 60;
    let opens = Timestamp::from_millis(opens * 1000);
    // A day to buy is the least.
    if times.iter().all(|&starts| opens.plus_ms(DAY_MS) < starts) { opens } else { now }
}

fn converted(app: &App, e: &ImportEvent) -> Result<(nugul_api::catalogue::Event, Vec<Timestamp>), String> {
    let grades = e.grades.iter().map(|g| Grade {
        grade: g.grade.clone(),
        price_krw: Krw(g.price_krw),
        rows: g.rows,
        seats_per_row: g.seats_per_row,
    });
    let new = NewEvent {
        title: e.title.clone(),
        title_en: e.title_en.clone(),
        category: e.category.clone(),
        place: e.place.clone(),
        cast: e.cast.clone(),
        description: e.description.clone(),
        starts_on: iso_date(e.starts_on),
        ends_on: iso_date(e.ends_on),
        runtime_min: e.runtime_min,
        rating: e.rating.clone(),
        grades: grades.collect(),
        limits: BuyerLimits::default(),
        members_only: false,
    };
    let event = new_event(EventId::new(app.config.region, app.now(), app.random_id()), new).map_err(|error| {
        let fields: Vec<_> = error.errors.iter().map(|f| format!("{} {}", f.pointer, f.english)).collect();
        format!("{} is refused: {}", e.title, fields.join(", "))
    })?;
    let times =
        e.performances.iter().map(|t| i64::try_from(t.unix_timestamp_nanos() / 1_000_000).map(Timestamp::from_millis));
    Ok((event, times.collect::<Result<_, _>>().map_err(|_| format!("{}: a time is out of range", e.title))?))
}
