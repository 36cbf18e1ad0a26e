//! One change to many readers: how late it is at each, what a stream costs, beside nginx with nchan and the Centrifuge library
//! in the same run.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use nugul_api::{booking::Hold, seats::SeatSnapshot};
use nugul_domain::PerformanceId;
use nugul_platform::{Edge, Options, Profile, Service};
use nugul_tests::new_key;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;

use crate::{
    centrifuge::Centrifuge,
    cpu::Cpu,
    crowd::{Crowd, Heard},
    ground::{Ground, post},
    load::count,
    nchan::Nchan,
    report::{Figure, Report, commit, machine},
    wire::{Ask, Wire},
};

/// Readers past the edge, and of the peers.
const READERS: [usize; 3] = [1_000, 5_000, 10_000];
/// Readers of a Durable Object, in one room and in shards.
const OBJECT_READERS: [usize; 3] = [1_000, 2_000, 5_000];
/// Readers of the component on wasmtime.
const COMPONENT_READERS: [usize; 2] = [1_000, 2_000];
/// Changes that are measured, and before them those that are not.
const CHANGES: usize = 60;
const WARM_UP: usize = 6;
/// The pause between two.
const EVERY: Duration = Duration::from_millis(200);
/// How long the last change may be on its way; what comes later counts as lost.
const LAST_WITHIN: Duration = Duration::from_secs(8);
/// How long servers are left alone before their memory is looked at.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// Seats of a hold: a frame of about 130 bytes.
const SEATS: [u32; 4] = [0, 1, 2, 3];
/// The burst: so many changes a second, for so long, before so many readers, by so many clients.
const BURST_PER_S: u32 = 500;
const BURST_S: u32 = 6;
const BURST_READERS: usize = 2_000;
const BURST_CLIENTS: usize = 4;
/// No limit on readers of a room but its own.
const ONE_ROOM: &str = "5000";

/// Runs it.
pub(crate) async fn run() -> Report {
    let machine = machine();
    let files = raise_files();
    let mut results = Vec::new();
    let ground = Ground::start("fanout", Profile::Embedded).await;
    let mut ours = Vec::new();
    for readers in READERS {
        let measured = one(&ground, &ground.origin.clone(), Service::Coordinator, readers).await;
        results.extend(measured.figures("coordinator", readers));
        ours.push(measured);
    }
    results.push(Figure::new("coordinator_lost", "frames", ours.iter().map(|m| m.lost).sum()));
    let widest = ours.last().expect("measured");
    results.push(Figure::new("coordinator_kb_per_stream", "KB", widest.kb_per_stream));
    results.extend(burst(&ground).await);
    drop(ground);

    if let Some(nchan) = Nchan::start() {
        results.extend(peer("nchan", &nchan.origin, &nchan.processes(), &ours).await);
    }
    if let Some(centrifuge) = Centrifuge::start() {
        results.extend(peer("centrifuge", &centrifuge.origin, &centrifuge.processes(), &ours).await);
    }

    for (edge, name, settings, sizes) in [
        (Edge::Cloudflare, "durable_object", &[("NUGUL_ROOM_READERS", ONE_ROOM)][..], &OBJECT_READERS[..]),
        (Edge::Cloudflare, "durable_object_sharded", &[], &OBJECT_READERS[..]),
        (Edge::Spin, "component", &[], &COMPONENT_READERS[..]),
    ] {
        let edge_settings = settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let options = Options {
            profile: Profile::Embedded,
            edge: Some(edge),
            edge_settings,
            events: Some(1),
            ..Options::default()
        };
        let ground = Ground::start_with(name, options).await;
        let origin = ground.platform().addresses().edge;
        for &readers in sizes {
            let measured = one(&ground, &origin, Service::Edge, readers).await;
            results.extend(measured.figures(name, readers));
        }
    }

    Report {
        name: "fanout",
        commit: commit(),
        profile: Profile::Embedded.to_string(),
        work: json!({
            "machine": machine, "files_max": files, "changes": CHANGES, "pause_ms": EVERY.as_millis(),
            "seats_per_change": SEATS.len(), "burst_readers": BURST_READERS, "burst_changes_per_s": BURST_PER_S, "burst_s": BURST_S,
        }),
        results,
        baseline: "nginx with nchan and the Centrifuge library, the same frames to the same client; delays are from before the change was asked for to a reader's read, on the same processors as the readers",
    }
}

/// As many open files as the system lets this program have.
fn raise_files() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // What cannot be raised shows as readers that do not connect.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current
}

/// What was measured with some number of readers.
struct Measured {
    /// Of every change at every reader, sorted.
    delays: Vec<Duration>,
    lost: f64,
    kb_per_stream: f64,
    cpu_s_per_million: f64,
}

impl Measured {
    fn of(heard: &Heard, sent: &HashMap<i64, Instant>, readers: usize, kb_per_stream: f64, cpu: Cpu) -> Self {
        let mut delays = Vec::with_capacity(sent.len() * readers);
        for frame in &heard.frames {
            let told = (frame.from + 1..=frame.to).filter_map(|version| sent.get(&version));
            delays.extend(told.map(|sent| frame.at.duration_since(*sent)));
        }
        delays.sort_unstable();
        let deliveries = count(delays.len());
        let lost = count(sent.len() * readers) - deliveries;
        Self { lost, kb_per_stream, cpu_s_per_million: cpu.us_per(deliveries.max(1.0)), delays }
    }

    fn quantile(&self, hundredths: usize) -> f64 {
        let at = (self.delays.len() * hundredths).div_ceil(100).saturating_sub(1);
        self.delays.get(at).map_or(f64::NAN, |delay| delay.as_secs_f64() * 1_000.0)
    }

    fn figures(&self, name: &str, readers: usize) -> Vec<Figure> {
        let figure = |what: &str, unit, value| Figure::new(format!("{name}_{what}_{readers}"), unit, value);
        let all = vec![
            figure("p50_ms", "ms", self.quantile(50)),
            figure("p99_ms", "ms", self.quantile(99)),
            figure("max_ms", "ms", self.quantile(100)),
            figure("lost", "frames", self.lost),
            figure("kb_per_stream", "KB", self.kb_per_stream),
            figure("cpu_s_per_million", "s", self.cpu_s_per_million),
        ];
        let said: Vec<_> = all.iter().map(|f| format!("{} {}", f.what, f.value)).collect();
        eprintln!("{}", said.join("  "));
        all
    }
}

/// Changes at the coordinator, read at `origin`, whose process is the service's.
async fn one(ground: &Ground, origin: &str, service: Service, readers: usize) -> Measured {
    let performance = ground.performances(2, 20, 1).await[0];
    let token = ground.tokens(1).remove(0);
    let mut wire = Wire::open(&ground.origin).await;
    let process = ground.platform().process_id(service).into_iter().collect::<Vec<_>>();
    let crowd_at = gather(origin, format!("/api/v1/performances/{performance}/stream"), readers, &process).await;
    let (crowd, kb_per_stream) = crowd_at;
    let mut changes = Changes { performance, token, held: None };
    for _ in 0..WARM_UP {
        changes.next(&mut wire).await;
        tokio::time::sleep(EVERY).await;
    }
    let mut version = version(&mut wire, performance).await;
    let before = ground.cpu(service);
    let mut sent = HashMap::new();
    for _ in 0..CHANGES {
        version += 1;
        sent.insert(version, Instant::now());
        changes.next(&mut wire).await;
        tokio::time::sleep(EVERY).await;
    }
    tokio::time::sleep(LAST_WITHIN).await;
    let cpu = ground.cpu(service) - before;
    Measured::of(&dismissed(crowd).await, &sent, readers, kb_per_stream, cpu)
}

/// A peer with as many readers as ours had, and how much later than there a change was at ours.
async fn peer(name: &str, origin: &str, processes: &[u32], ours: &[Measured]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (readers, ours) in READERS.into_iter().zip(ours) {
        let measured = beside(origin, processes, readers).await;
        figures.extend(measured.figures(name, readers));
        let ratio = ours.quantile(99) / measured.quantile(99);
        figures.push(Figure::new(format!("coordinator_to_{name}_p99_ratio_{readers}"), "ratio", ratio));
    }
    figures
}

/// The same frames through a peer, which takes them at `/pub` and has its streams at `/sub`.
async fn beside(origin: &str, processes: &[u32], readers: usize) -> Measured {
    let mut wire = Wire::open(origin).await;
    let first = 1_790_000_000_000_000_i64;
    let payload =
        |version: i64| format!("{{\"from\":{},\"to\":{version},\"changes\":[[[0,1],[1,1],[2,1],[3,1]]]}}", version - 1);
    // Whoever joins gets the newest message at once, as with a snapshot.
    publish(&mut wire, &payload(first)).await;
    let (crowd, kb_per_stream) = gather(origin, "/sub".to_owned(), readers, processes).await;
    let mut version = first;
    for _ in 0..WARM_UP {
        version += 1;
        publish(&mut wire, &payload(version)).await;
        tokio::time::sleep(EVERY).await;
    }
    let cpu = || processes.iter().map(|id| Cpu::of(*id)).fold(Cpu::default(), |all, one| all + one);
    let before = cpu();
    let mut sent = HashMap::new();
    for _ in 0..CHANGES {
        version += 1;
        sent.insert(version, Instant::now());
        publish(&mut wire, &payload(version)).await;
        tokio::time::sleep(EVERY).await;
    }
    tokio::time::sleep(LAST_WITHIN).await;
    let cpu = cpu() - before;
    Measured::of(&dismissed(crowd).await, &sent, readers, kb_per_stream, cpu)
}

async fn publish(wire: &mut Wire, payload: &str) {
    let ask = Ask { method: "POST", path: "/pub", kind: "text/plain", body: payload.as_bytes(), ..Ask::default() };
    let status = wire.send(ask).await.status;
    assert!((200..300).contains(&status), "the peer answered {status}");
}

/// A crowd, and the kilobytes that each of its streams costs these processes.
async fn gather(origin: &str, path: String, readers: usize, processes: &[u32]) -> (Crowd, f64) {
    let before: f64 = processes.iter().map(|id| resident_kb(*id)).sum();
    let origin = origin.to_owned();
    let crowd = tokio::task::spawn_blocking(move || Crowd::gather(&origin, &path, readers)).await;
    let crowd = crowd.expect("a crowd");
    tokio::time::sleep(AFTERWARDS).await;
    let after: f64 = processes.iter().map(|id| resident_kb(*id)).sum();
    (crowd, (after - before).max(0.0) / count(readers))
}

async fn dismissed(crowd: Crowd) -> Heard {
    let heard = tokio::task::spawn_blocking(move || crowd.dismiss()).await.expect("a crowd that ends");
    assert_eq!(heard.ended, 0, "no stream ends early");
    // The servers see that everyone left.
    tokio::time::sleep(AFTERWARDS).await;
    heard
}

/// proc(5): the resident set, in kilobytes.
fn resident_kb(process: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

async fn version(wire: &mut Wire, performance: PerformanceId) -> i64 {
    let path = format!("/api/v1/performances/{performance}/seats");
    let snapshot: SeatSnapshot = wire.send(Ask { method: "GET", path: &path, ..Ask::default() }).await.expect(200);
    snapshot.version
}

/// Changes one after another: seats are held, and given back.
struct Changes {
    performance: PerformanceId,
    token: String,
    held: Option<Hold>,
}

impl Changes {
    async fn next(&mut self, wire: &mut Wire) {
        self.change(wire, &SEATS).await;
    }

    async fn change(&mut self, wire: &mut Wire, seats: &[u32]) {
        if let Some(hold) = self.held.take() {
            let path = format!("/api/v1/holds/{}", hold.id);
            let ask = Ask { method: "DELETE", path: &path, token: &self.token, key: &new_key(), ..Ask::default() };
            wire.send(ask).await.expect_status(204);
        } else {
            let path = format!("/api/v1/performances/{}/holds", self.performance);
            let body = json!({ "seats": seats }).to_string();
            self.held = Some(wire.send(post(&path, &self.token, &new_key(), &body)).await.expect(201));
        }
    }
}

/// Many changes a second: how late they are, and what merging saves.
async fn burst(ground: &Ground) -> Vec<Figure> {
    let performance = ground.performances(2, 20, 1).await[0];
    let mut wire = Wire::open(&ground.origin).await;
    let (crowd, _) =
        gather(&ground.origin, format!("/api/v1/performances/{performance}/stream"), BURST_READERS, &[]).await;
    let first = version(&mut wire, performance).await;
    let bytes_before = crowd.bytes();
    let begun = Instant::now();
    let all = (BURST_PER_S * BURST_S) as usize;
    let (next, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::with_capacity(all))));
    let mut clients = Vec::new();
    for (number, token) in (0u32..).zip(ground.tokens(BURST_CLIENTS)) {
        let mut wire = Wire::open(&ground.origin).await;
        let (next, done) = (Arc::clone(&next), Arc::clone(&done));
        let seats: Vec<u32> = SEATS.iter().map(|seat| seat + 4 * number).collect();
        clients.push(tokio::spawn(async move {
            let mut changes = Changes { performance, token, held: None };
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= all {
                    return;
                }
                let due = Duration::from_secs(1) * u32::try_from(n).expect("few") / BURST_PER_S;
                tokio::time::sleep_until((begun + due).into()).await;
                let sent = Instant::now();
                changes.change(&mut wire, &seats).await;
                done.lock().expect("whole").push((Instant::now(), sent));
            }
        }));
    }
    for client in clients {
        client.await.expect("a client that ends well");
    }
    let took = begun.elapsed();
    tokio::time::sleep(LAST_WITHIN).await;
    let bytes = crowd.bytes() - bytes_before;
    let heard = dismissed(crowd).await;
    // Versions are in the order in which the changes were answered, but for those that were at work at the same time.
    let mut done = std::mem::take(&mut *done.lock().expect("whole"));
    done.sort_unstable();
    let sent: HashMap<i64, Instant> = (first + 1..).zip(done.iter().map(|(_, sent)| *sent)).collect();
    let measured = Measured::of(&heard, &sent, BURST_READERS, 0.0, Cpu::default());
    let frames = heard.frames.iter().filter(|frame| frame.to > first).count();
    let per_reader = count(frames) / count(BURST_READERS);
    let readers = u32::try_from(BURST_READERS).expect("few");
    let bytes = f64::from(u32::try_from(bytes / u64::from(readers)).unwrap_or(u32::MAX));
    let figures = vec![
        Figure::new("burst_changes_per_s", "1/s", count(all) / took.as_secs_f64()),
        Figure::new("burst_p50_ms", "ms", measured.quantile(50)),
        Figure::new("burst_p99_ms", "ms", measured.quantile(99)),
        Figure::new("burst_max_ms", "ms", measured.quantile(100)),
        Figure::new("burst_lost", "changes", measured.lost),
        Figure::new("burst_frames_per_s", "1/s", per_reader / took.as_secs_f64()),
        Figure::new("burst_changes_per_frame", "changes", count(all) / per_reader),
        Figure::new("burst_bytes_per_reader_and_change", "bytes", bytes / count(all)),
    ];
    let said: Vec<_> = figures.iter().map(|f| format!("{} {}", f.what, f.value)).collect();
    eprintln!("{}", said.join("  "));
    figures
}
