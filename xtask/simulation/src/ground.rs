//! What every seed begins with: empty stores with one event, made once by the real services and copied for each seed.

use std::{
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::http::Method;
use nugul_coordination::Seats;
use nugul_coordinator::{db, keys::Keys};
use nugul_domain::{PerformanceId, account::Role};
use serde_json::{Value, json};

use crate::{
    network::Network,
    process::{Coordinator, Person, Stores, person, request},
    world,
};

/// The hall: grades as (name, price in won, rows, seats in a row), from the stage back.
const HALL: [(&str, i64, u32, u32); 2] = [("R", 50_000, 1, 3), ("S", 30_000, 1, 2)];
/// How many seats a buyer may have: in a performance, and in the event, which is less than its performances together.
pub const SEATS_MAX: (i64, i64) = (3, 5);
/// The performances of the event, by when they begin and what is kept of a ticket's price that is given back, in percent:
/// on the day itself, where the organiser decides; two days off; far off.
const PERFORMANCES: [(&str, i64); 3] =
    [("2026-03-01T14:00:00Z", 90), ("2026-03-03T10:00:00Z", 30), ("2026-06-10T10:00:00Z", 0)];

/// A folder of our own, removed when dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// Made in memory where the system has such a place.
    pub fn new() -> Result<Self, String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let memory = Path::new("/dev/shm");
        let above = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = above.join(format!("nugul-simulation-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|e| format!("{} cannot be made: {e}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind is small and named after this process.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What every seed begins with.
pub struct Ground {
    coordinator: Vec<u8>,
    payment: Vec<u8>,
    /// The region's signing key.
    pub keys: Keys,
    /// What is on sale, and what is kept of a ticket's price that is given back, in percent.
    pub performances: Vec<(PerformanceId, i64)>,
    /// Who runs it.
    pub seller: Person,
    /// The price of each seat of a performance, in won.
    pub prices: Vec<i64>,
}

const COORDINATOR_FILE: &str = "coordinator.db";
const PAYMENT_FILE: &str = "payment.db";

impl Ground {
    /// Made when first asked for.
    pub fn get() -> Result<&'static Self, String> {
        static GROUND: OnceLock<Result<Ground, String>> = OnceLock::new();
        let made = GROUND.get_or_init(|| {
            let made = std::thread::spawn(|| {
                world::begin(0, false);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map_err(|e| e.to_string())?.block_on(make())
            });
            made.join().unwrap_or_else(|_| Err("making the ground panicked".into()))
        });
        made.as_ref().map_err(Clone::clone)
    }

    /// Puts the stores of a seed into a folder.
    pub fn copy_to(&self, folder: &Path) -> Result<(), String> {
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).map_err(|e| e.to_string());
        write(COORDINATOR_FILE, &self.coordinator)?;
        write(PAYMENT_FILE, &self.payment)
    }
}

/// Opens the stores in a folder, bringing them up to date.
pub async fn open(folder: &Path) -> Result<Stores, String> {
    let payment = nugul_payment::db::sqlite(&folder.join(PAYMENT_FILE)).await.map_err(|e| e.to_string())?;
    nugul_payment::db::migrate(&payment).await.map_err(|e| e.to_string())?;
    let coordinator = db::open(None, folder).await?;
    Ok(Stores { coordinator, payment, seats: Seats::memory(std::sync::Arc::new(world::now)) })
}

async fn make() -> Result<Ground, String> {
    let folder = Folder::new()?;
    let keys = Keys::load(&folder.path().join("key.pem"))?;
    let stores = open(folder.path()).await?;
    let coordinator = Coordinator::start(&stores, &keys, &Network::default())?;
    let seller = person(0, Role::Seller);
    let token = seller.token(&keys)?;
    let grades: Vec<Value> = HALL
        .iter()
        .map(|(grade, price, rows, seats)| {
            json!({ "grade": grade, "price_krw": price, "rows": rows, "seats_per_row": seats })
        })
        .collect();
    let event = json!({
        "title": "시험", "category": "뮤지컬", "place": "서울", "description": "", "starts_on": "2026-03-01",
        "ends_on": "2026-06-30", "runtime_min": 100, "rating": "전체관람가", "grades": grades,
        "limits": { "hold_seats_max": 2, "performance_seats_max": SEATS_MAX.0, "event_seats_max": SEATS_MAX.1 },
    });
    let event = made(&coordinator, &token, "/events", "event", &event).await?;
    let mut performances = Vec::new();
    for (n, (starts_at, kept)) in PERFORMANCES.iter().enumerate() {
        let performance = json!({ "starts_at": starts_at, "sales_open_at": null });
        let path = format!("/events/{event}/performances");
        let id = made(&coordinator, &token, &path, &format!("performance-{n}"), &performance).await?;
        performances.push((id.parse().map_err(|_| format!("{id} is no performance"))?, *kept));
    }
    drop(coordinator);
    let read = |name: &str| std::fs::read(folder.path().join(name)).map_err(|e| e.to_string());
    // The last connection to close moves everything from the log into the file.
    stores.close().await;
    let each = |(_, price, rows, seats): &(&str, i64, u32, u32)| vec![*price; (rows * seats) as usize];
    Ok(Ground {
        coordinator: read(COORDINATOR_FILE)?,
        payment: read(PAYMENT_FILE)?,
        keys,
        performances,
        seller,
        prices: HALL.iter().flat_map(each).collect(),
    })
}

/// Makes something and gives its id.
async fn made(coordinator: &Coordinator, token: &str, path: &str, key: &str, body: &Value) -> Result<String, String> {
    let request = request(&Method::POST, path, token, key, Some(&body.to_string()))?;
    let (status, text) = coordinator.answer(request).await;
    let answer: Value = serde_json::from_str(&text).map_err(|e| format!("{path}: {status} {text}: {e}"))?;
    answer["id"].as_str().map(str::to_owned).ok_or_else(|| format!("{path}: {status} {text}"))
}
