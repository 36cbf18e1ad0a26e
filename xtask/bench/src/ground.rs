//! What a bench stands on: a platform, most often without an edge, a seller's performances, and buyers with tokens.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use nugul_api::{
    accounts::Tokens,
    catalogue::{Event, PerformanceSummary},
};
use nugul_domain::{PerformanceId, UserId, account::Role, event::PERFORMANCES_MAX, id::Region};
use nugul_platform::{Addresses, Options, Platform, Profile, Service};
use nugul_tests::{
    new_key,
    people::{DEMO_SELLER, PASSWORD, event_body, in_days},
};
use nugul_token::{AccessClaims, SigningKey};
use serde_json::json;

use crate::{
    cpu::Cpu,
    wire::{Ask, Wire},
};

/// How long the made-up buyers' tokens are good for, in seconds.
const TOKEN_TTL_S: i64 = 60 * 60;
/// Connections that prepare things.
const PREPARING: usize = 16;
/// Where the simulated payment provider, which is not ours to measure, keeps its file when there is such a place: in memory.
const MEMORY_DIR: &str = "/dev/shm";

/// A running platform. Dropping it ends and removes it.
#[derive(Debug)]
pub(crate) struct Ground {
    platform: Option<Platform>,
    data_dir: PathBuf,
    toss_dir: Option<PathBuf>,
    key: SigningKey,
    seller: String,
    /// The coordinator.
    pub(crate) origin: String,
    /// The edge; the coordinator where there is none.
    pub(crate) edge: String,
}

impl Ground {
    /// Starts one without an edge, with one event.
    pub(crate) async fn start(name: &str, profile: Profile) -> Self {
        Self::start_with(name, Options { profile, events: Some(1), ..Options::default() }).await
    }

    /// Starts one of this kind.
    pub(crate) async fn start_with(name: &str, options: Options) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let data_dir = env::temp_dir().join(format!("nugul-bench-{}-{name}-{since}", std::process::id()));
        fs::create_dir_all(&data_dir).unwrap_or_else(|e| panic!("{}: {e}", data_dir.display()));
        let toss_dir = in_memory(&data_dir.join("toss"), &format!("nugul-bench-{}-{since}", std::process::id()));
        let options = Options { data_dir: data_dir.clone(), demo: true, ..options };
        let platform = Platform::start(&options, &mut |line| eprintln!("{name}: {line}"))
            .unwrap_or_else(|error| panic!("the platform does not start: {error}"));
        let Addresses { coordinator: origin, edge, .. } = platform.addresses();
        let pem = fs::read_to_string(data_dir.join("coordinator/signing-key.pem")).expect("the signing key");
        let key = SigningKey::from_pem(&pem).expect("the signing key");
        let body = json!({ "email": DEMO_SELLER, "password": PASSWORD }).to_string();
        let mut wire = Wire::open(&origin).await;
        let seller: Tokens = wire.send(post("/api/v1/auth/log-in", "", &new_key(), &body)).await.expect(200);
        let seller = seller.access_token;
        Self { platform: Some(platform), data_dir, toss_dir, key, seller, origin, edge }
    }

    /// The platform.
    pub(crate) fn platform(&self) -> &Platform {
        self.platform.as_ref().expect("running until dropped")
    }

    /// Kills this service and starts it again; returns when it is ready.
    pub(crate) fn restart(&mut self, service: Service) {
        let platform = self.platform.as_mut().expect("running until dropped");
        platform.kill(service).and_then(|()| platform.restart(service)).unwrap_or_else(|e| panic!("{service}: {e}"));
    }

    /// Where everything is kept.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Whether the payment provider's file is in memory.
    pub(crate) const fn toss_in_memory(&self) -> bool {
        self.toss_dir.is_some()
    }

    /// Tokens of this many buyers nobody has seen yet, signed with the coordinator's key.
    pub(crate) fn tokens(&self, count: usize) -> Vec<String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let now = in_days(0);
        let iat = now.as_millis() / 1000;
        let token = |_| {
            let mut unique = [0; nugul_domain::id::RANDOM_BYTES];
            unique[1..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            let sub = UserId::new(Region(0), now, unique);
            let claims =
                AccessClaims {
                    sub, role: Role::User, nickname: "너굴 친구".to_owned(), iat, exp: iat + TOKEN_TTL_S
                };
            self.key.sign_access(claims).expect("a token")
        };
        (0..count).map(token).collect()
    }

    /// This many new performances in a hall of this shape, on sale, their seats loaded.
    pub(crate) async fn performances(&self, rows: u32, seats_per_row: u32, count: usize) -> Vec<PerformanceId> {
        let body = Arc::new(json!({ "starts_at": in_days(30) }).to_string());
        let hall = event_body(rows, seats_per_row).to_string();
        let mut wire = Wire::open(&self.origin).await;
        let mut made = Vec::with_capacity(count);
        while made.len() < count {
            let some = (count - made.len()).min(PERFORMANCES_MAX);
            let event: Event = wire.send(post("/api/v1/events", &self.seller, &new_key(), &hall)).await.expect(201);
            let event = event.summary.id;
            let left = Arc::new(AtomicUsize::new(0));
            let makers: Vec<_> = (0..PREPARING.min(some))
                .map(|_| {
                    let (left, body) = (Arc::clone(&left), Arc::clone(&body));
                    let (origin, token) = (self.origin.clone(), self.seller.clone());
                    tokio::spawn(async move {
                        let mut wire = Wire::open(&origin).await;
                        let path = format!("/api/v1/events/{event}/performances");
                        let mut ids = Vec::new();
                        while left.fetch_add(1, Ordering::Relaxed) < some {
                            let new: PerformanceSummary =
                                wire.send(post(&path, &token, &new_key(), &body)).await.expect(201);
                            let path = format!("/api/v1/performances/{}/seats", new.id);
                            wire.send(Ask { method: "GET", path: &path, ..Ask::default() }).await.expect_status(200);
                            ids.push(new.id);
                        }
                        ids
                    })
                })
                .collect();
            for maker in makers {
                made.extend(maker.await.expect("a performance made"));
            }
        }
        made
    }

    /// The seller's token.
    pub(crate) fn seller(&self) -> &str {
        &self.seller
    }

    /// The memory of a service that is its own and in use (resident set), in megabytes; 0 where the system does not tell.
    pub(crate) fn memory_mb(&self, service: Service) -> f64 {
        let id = self.platform().process_id(service).unwrap_or(0);
        let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let kb = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        kb.map_or(0.0, |kb: u32| f64::from(kb) / 1024.0)
    }

    /// What this service and what it started have used of the processors.
    pub(crate) fn cpu(&self, service: Service) -> Cpu {
        self.platform().process_id(service).map_or(Cpu::default(), Cpu::of)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        drop(self.platform.take());
        if std::thread::panicking() {
            eprintln!("what the services wrote stays in {}", self.data_dir.display());
            return;
        }
        // What stays is in the system's folder for passing things.
        for dir in [Some(&self.data_dir), self.toss_dir.as_ref()].into_iter().flatten() {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// A write with a JSON body.
pub(crate) fn post<'a>(path: &'a str, token: &'a str, key: &'a str, body: &'a str) -> Ask<'a> {
    Ask { method: "POST", path, token, key, kind: "application/json", body: body.as_bytes(), ..Ask::default() }
}

/// Puts a link at `place` to a new folder in memory, where there is memory to put it.
fn in_memory(place: &Path, name: &str) -> Option<PathBuf> {
    let folder = Path::new(MEMORY_DIR).join(name);
    fs::create_dir(&folder).ok()?;
    std::os::unix::fs::symlink(&folder, place).ok().map(|()| folder)
}
