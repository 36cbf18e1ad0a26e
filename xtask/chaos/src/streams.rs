//! `nugul-chaos streams`: thousands of readers of one performance's stream, at the edge and past it, while seats change and
//! edge, coordinator and Redis die; then those past the edge go home, and everyone at the edge is dropped at once. Every reader
//! must have seen the truth.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nugul_api::{booking::Hold, headers::IDEMPOTENCY_KEY, seats::SeatSnapshot};
use nugul_domain::PerformanceId;
use nugul_platform::{Edge, Options, Profile, Redis, Service};
use nugul_tests::{
    Api, World,
    checker::{Reader, Trouble, Watch},
    http::Method,
    new_key,
    people::{crowd, new_performance},
};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};

use crate::random::Random;

/// The hall.
const ROWS: u32 = 20;
const SEATS_PER_ROW: u32 = 20;
/// Clients that hold and give back.
const HOLDERS: usize = 8;
/// The pause between two of a client's holds.
const HOLD_EVERY: Duration = Duration::from_millis(50);
/// Readers that connect at the same moment.
const ARRIVALS: usize = 50;
const ARRIVE_EVERY: Duration = Duration::from_millis(25);
/// Faults before the storm.
const FAULTS: usize = 6;
/// How long everyone may take to be there, back, or right.
const PATIENCE: Duration = Duration::from_mins(2);
/// How soon all who were dropped at once are back.
const STORM_BACK_MAX: Duration = Duration::from_secs(10);
/// How often the coordinator is asked for its streams meanwhile.
const STREAMS_EVERY: Duration = Duration::from_millis(250);

/// What is asked for.
pub(crate) struct Wanted {
    /// Readers, half of them at the edge.
    pub(crate) readers: usize,
    /// Which faults.
    pub(crate) seed: u64,
    /// Which Redis.
    pub(crate) redis: Redis,
    /// Where the report goes.
    pub(crate) json: Option<PathBuf>,
}

/// How it is asked for.
pub(crate) const USAGE: &str =
    "usage: nugul-chaos streams [--readers N] [--seed N] [--redis single|sentinel|cluster] [--json FILE]";

/// Reads the flags.
pub(crate) fn wanted(given: impl IntoIterator<Item = String>) -> Result<Wanted, String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut wanted = Wanted { readers: 10_000, seed: since.as_secs(), redis: Redis::Single, json: None };
    let mut given = given.into_iter();
    while let Some(flag) = given.next() {
        let value = given.next().ok_or_else(|| format!("{flag} needs a value; {USAGE}"))?;
        let wrong = |_| format!("{flag} {value}: not a number; {USAGE}");
        match flag.as_str() {
            "--readers" => wanted.readers = value.parse().map_err(wrong)?,
            "--seed" => wanted.seed = value.parse().map_err(wrong)?,
            "--redis" => wanted.redis = value.parse().map_err(|e: nugul_platform::Error| e.to_string())?,
            "--json" => wanted.json = Some(PathBuf::from(value)),
            _ => return Err(format!("unknown flag {flag}; {USAGE}")),
        }
    }
    if wanted.readers < 2 { Err("--readers must be at least 2".to_owned()) } else { Ok(wanted) }
}

/// Runs it; the report says whether it passed.
pub(crate) async fn run(wanted: &Wanted) -> Result<Value, String> {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    // Where it stays low, readers that do not connect say so.
    let _ = setrlimit(Resource::Nofile, files);
    let options = Options {
        profile: Profile::Distributed,
        redis: wanted.redis,
        edge: Some(Edge::Cloudflare),
        events: Some(1),
        demo: true,
        settings: vec![("NUGUL_HOLD_TTL_MS".to_owned(), "5000".to_owned())],
        ..Options::default()
    };
    let world =
        tokio::task::spawn_blocking(|| World::start("chaos-streams", options)).await.map_err(|e| e.to_string())?;
    let world = Arc::new(world);
    let id = new_performance(&world.api(), ROWS, SEATS_PER_ROW).await;
    let trouble = Trouble { cut_in: 4, pause_in: 6, within: Duration::from_secs(20) };
    let (at_edge, holding) = (Watch::new(trouble), Watch::new(trouble));
    let past_edge = at_edge.beside();
    let path = format!("/api/v1/performances/{id}/stream");
    let [mut edge_readers, mut past_readers] = [JoinSet::new(), JoinSet::new()];
    for number in 0..wanted.readers {
        let (origin, watch, readers) = if number < wanted.readers / 2 {
            (&world.addresses.edge, &at_edge, &mut edge_readers)
        } else {
            (&world.addresses.coordinator, &past_edge, &mut past_readers)
        };
        readers.spawn(Reader::new(origin, &path, number as u64).run(Arc::clone(watch)));
        if number % ARRIVALS == 0 {
            tokio::time::sleep(ARRIVE_EVERY).await;
        }
    }
    let mut holders = JoinSet::new();
    for (number, (_, api)) in (0..).zip(crowd(&world, &world.coordinator(), HOLDERS)) {
        holders.spawn(hammer(api.fresh(), id, Random::part(wanted.seed, number + 1), Arc::clone(&holding)));
    }
    let all = i64::try_from(wanted.readers).map_err(|e| e.to_string())?;
    // Some are always on their way back from a cut of their own.
    let most = all * 9 / 10;
    let here = || at_edge.connected.load(Ordering::Relaxed) + past_edge.connected.load(Ordering::Relaxed);
    until("most readers are there", || here() >= most).await?;
    eprintln!("chaos: {} readers are there, seed {}", here(), wanted.seed);

    let record = Arc::clone(&at_edge.record);
    let mut random = Random::part(wanted.seed, 0);
    let mut happened = Vec::new();
    for _ in 0..FAULTS {
        let service = *random.one_of(&[Service::Edge, Service::Coordinator, Service::Redis]).ok_or("no fault")?;
        let seen = record.versions();
        let outage = Duration::from_millis(random.between(100, 4_000));
        eprintln!("chaos: {service} dies for {} ms", outage.as_millis());
        world.kill(service);
        tokio::time::sleep(outage).await;
        let begun = Instant::now();
        restart(&world, service).await.map_err(|e| e.to_string())?;
        until("readers are back and hear of changes", || here() >= most && record.versions() > seen + 20).await?;
        happened
            .push(json!({ "killed": service.to_string(), "outage_ms": outage.as_millis(), "back_s": seconds(begun) }));
    }

    // From here on readers trouble nobody.
    at_edge.calm();
    past_edge.calm();
    until("everyone is there", || here() >= all).await?;
    // The storm is the edge's: those past it would take from it the processors that they share here.
    let home = seats(&world, id).await.ok_or("the seats are not told")?.version;
    past_edge.last.store(home, Ordering::Relaxed);
    let past_behind = ended(past_readers, &past_edge, |version| version >= home).await;
    let edge_count = all / 2;
    let storm = storm(&world, &at_edge, edge_count).await?;

    holding.over.store(true, Ordering::Relaxed);
    while holders.join_next().await.is_some() {}
    let last = last(&world, id).await?;
    let states = last.unpack().ok_or("a damaged snapshot")?;
    record.note(&"the live state", last.version, &states);
    at_edge.last.store(last.version, Ordering::Relaxed);
    let behind = past_behind + ended(edge_readers, &at_edge, |version| version == last.version).await;
    let verdict = record.verdict();
    let checks = [
        ("every reader saw the truth at every version", verdict.is_empty(), format!("{verdict:?}")),
        ("every reader is at the last version", behind == 0, format!("{behind} are not")),
        (
            "all who were dropped at once are back in time",
            storm.all_back <= STORM_BACK_MAX,
            format!("{:.1} s", storm.all_back.as_secs_f64()),
        ),
        (
            "the coordinator sees one upstream of the edge all along",
            storm.upstreams == Some(1),
            format!("{:?} at most", storm.upstreams),
        ),
    ];
    let passed = checks.iter().all(|(_, ok, _)| *ok);
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Ok(json!({
        "name": "chaos streams",
        "redis": wanted.redis.to_string(),
        "seed": wanted.seed,
        "work": { "readers_at_the_edge": edge_count, "readers_past_it": all - edge_count, "seats": ROWS * SEATS_PER_ROW, "holders": HOLDERS },
        "versions": record.versions(),
        "frames": count(&record.frames),
        "snapshots": count(&record.snapshots),
        "resumes": count(&record.resumes),
        "storm_half_back_s": storm.half_back.as_secs_f64(),
        "storm_back_s": storm.all_back.as_secs_f64(),
        "faults": happened,
        "checks": checks.map(|(what, ok, detail)| json!({ "what": what, "ok": ok, "detail": detail })),
        "passed": passed,
    }))
}

/// Starts a service again, beside whoever watches meanwhile.
fn restart(world: &Arc<World>, service: Service) -> JoinHandle<()> {
    let world = Arc::clone(world);
    tokio::task::spawn_blocking(move || world.restart(service))
}

/// How everyone at the edge came back.
struct Storm {
    /// Until the half was there.
    half_back: Duration,
    /// Until all were.
    all_back: Duration,
    /// The most streams that the coordinator had meanwhile, where it said so.
    upstreams: Option<i64>,
}

/// Drops all `readers` at the edge at once, and waits until they are back. Nobody reads past the edge.
async fn storm(world: &Arc<World>, watch: &Watch, readers: i64) -> Result<Storm, String> {
    let here = || watch.connected.load(Ordering::Relaxed);
    world.kill(Service::Edge);
    until("all at the edge are dropped", || here() <= 0).await?;
    // From its start on: readers may all be back before a busy edge says that it is there.
    let begun = Instant::now();
    let restarted = restart(world, Service::Edge);
    let over = AtomicBool::new(false);
    let back = async {
        let half = until("the half is back", || here() >= readers / 2).await.map(|()| begun.elapsed());
        let all = until("everyone is back", || here() >= readers).await.map(|()| begun.elapsed());
        over.store(true, Ordering::Relaxed);
        Ok::<_, String>((half?, all?))
    };
    let watched = async {
        let mut upstreams = None;
        while !over.load(Ordering::Relaxed) {
            upstreams = upstreams.max(streams(world).await);
            tokio::time::sleep(STREAMS_EVERY).await;
        }
        upstreams.max(streams(world).await)
    };
    let (back, upstreams) = tokio::join!(back, watched);
    restarted.await.map_err(|e| e.to_string())?;
    let (half_back, all_back) = back?;
    Ok(Storm { half_back, all_back, upstreams })
}

/// How many readers did not end in time at a version that is right.
async fn ended(mut readers: JoinSet<i64>, watch: &Watch, right: impl Fn(i64) -> bool) -> usize {
    let all = readers.len();
    let mut good = 0;
    // What they did not reach in time they are not waited for.
    let _ = tokio::time::timeout(PATIENCE, async {
        while let Some(version) = readers.join_next().await {
            good += usize::from(version.is_ok_and(&right));
        }
    })
    .await;
    watch.over.store(true, Ordering::Relaxed);
    all - good
}

/// Holds and gives back until it is over; what is refused or away is tried again.
async fn hammer(api: Api, id: PerformanceId, mut random: Random, watch: Arc<Watch>) {
    while !watch.over.load(Ordering::Relaxed) {
        let seat = random.between(0, u64::from(ROWS * SEATS_PER_ROW - 2));
        let body = json!({ "seats": [seat, seat + 1] }).to_string().into_bytes();
        let key = new_key();
        let headers = [(IDEMPOTENCY_KEY, key.as_str()), ("content-type", "application/json")];
        let held = api.try_send(Method::POST, &format!("performances/{id}/holds"), &headers, Some(body)).await;
        if let Ok(answer) = held
            && let Ok(hold) = serde_json::from_slice::<Hold>(&answer.body)
        {
            let key = new_key();
            // A hold whose release is lost ends by itself, or is lost too.
            let _ = api.try_send(Method::DELETE, &format!("holds/{}", hold.id), &[(IDEMPOTENCY_KEY, &key)], None).await;
        }
        tokio::time::sleep(HOLD_EVERY).await;
    }
}

/// The seats as the coordinator tells them now, where it does.
async fn seats(world: &World, id: PerformanceId) -> Option<SeatSnapshot> {
    let answer =
        world.coordinator().try_send(Method::GET, &format!("performances/{id}/seats"), &[], None).await.ok()?;
    serde_json::from_slice(&answer.body).ok()
}

/// The seats once all are free again, twice the same.
async fn last(world: &World, id: PerformanceId) -> Result<SeatSnapshot, String> {
    let (end, mut before) = (Instant::now() + PATIENCE, None);
    while Instant::now() < end {
        if let Some(now) = seats(world, id).await {
            let free = now.unpack().is_some_and(|all| all.iter().all(|s| *s == nugul_domain::SeatState::Available));
            if free && before.as_ref() == Some(&now) {
                return Ok(now);
            }
            before = Some(now);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Err("the seats do not become free".to_owned())
}

/// Streams that the coordinator has open.
async fn streams(world: &World) -> Option<i64> {
    let answer = Api::new(&world.addresses.metrics).try_send(Method::GET, "/metrics", &[], None).await.ok()?;
    answer.text().lines().find_map(|line| line.strip_prefix("nugul_streams ")?.trim().parse().ok())
}

async fn until(what: &str, mut done: impl FnMut() -> bool) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    while !done() {
        if Instant::now() > end {
            return Err(format!("{what}: not within {} s", PATIENCE.as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn seconds(begun: Instant) -> f64 {
    (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0
}
