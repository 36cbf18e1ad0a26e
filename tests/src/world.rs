//! The platform under test: one for the whole run, or one of its own for a test that kills processes.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use nugul_platform::{Addresses, Edge, Options, Platform, Profile, Service, TlsFiles};

use crate::http::Api;

/// Which profile to test: `embedded` (the default) or `distributed`.
pub const PROFILE: &str = "NUGUL_TEST_PROFILE";
/// Which edge to test: `cloudflare` (the default), `spin`, or `none` for the coordinator alone.
pub const EDGE: &str = "NUGUL_TEST_EDGE";
/// How large the demo catalogue is: enough for searches, quick to fill.
const EVENTS: u32 = 40;
/// Where the data of a run lies, with the number of the process that made it.
const DATA_PREFIX: &str = "nugul-test-";

/// A running platform with an empty history but for the demo accounts and events. Dropping it ends and removes it.
#[derive(Debug)]
pub struct World {
    /// Where everything is.
    pub addresses: Addresses,
    /// Where the payment service listens.
    pub payment_grpc: String,
    /// The certificates it asks for.
    pub tls: TlsFiles,
    /// Everything the run writes.
    pub data_dir: PathBuf,
    platform: Mutex<Option<Platform>>,
}

impl World {
    /// The platform that most tests share. Its processes end with the test program.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<World> = OnceLock::new();
        SHARED.get_or_init(|| Self::own("shared"))
    }

    /// A platform for one test.
    pub fn own(name: &str) -> Self {
        let profile = env::var(PROFILE).map_or(Profile::Embedded, |text| text.parse().expect(PROFILE));
        let edge = match env::var(EDGE).as_deref() {
            Err(_) => Some(Edge::Cloudflare),
            Ok("none") => None,
            Ok(text) => Some(text.parse().expect(EDGE)),
        };
        Self::start(name, profile, edge, EVENTS)
    }

    /// A platform of this kind with this many events.
    pub fn start(name: &str, profile: Profile, edge: Option<Edge>, events: u32) -> Self {
        // Fails only where it is installed already, by the world before this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        remove_what_is_left();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let data_dir = env::temp_dir().join(format!("{DATA_PREFIX}{}-{name}-{since}", std::process::id()));
        let options =
            Options { profile, edge, data_dir: data_dir.clone(), events: Some(events), demo: true, catalogue: None };
        let platform = Platform::start(options, &mut |line| eprintln!("{name}: {line}"))
            .unwrap_or_else(|error| panic!("the platform does not start: {error}"));
        Self {
            addresses: platform.addresses(),
            payment_grpc: platform.payment_grpc(),
            tls: platform.tls().clone(),
            data_dir,
            platform: Mutex::new(Some(platform)),
        }
    }

    /// A client of the edge. Each test has its own: a connection lives and ends with the runtime that made it.
    pub fn api(&self) -> Api {
        Api::new(&self.addresses.edge)
    }

    /// A client of the coordinator, past the edge.
    pub fn coordinator(&self) -> Api {
        Api::new(&self.addresses.coordinator)
    }

    /// Whether there is an edge; its searches and pages are nowhere else.
    pub fn has_edge(&self) -> bool {
        self.addresses.edge != self.addresses.coordinator
    }

    /// SIGKILL for one service.
    pub fn kill(&self, service: Service) {
        self.platform().as_mut().map(|p| p.kill(service)).expect("running").expect("a service to kill");
    }

    /// Starts one service alone and waits until it is ready.
    pub fn restart(&self, service: Service) {
        self.platform()
            .as_mut()
            .map(|p| p.restart(service))
            .expect("running")
            .unwrap_or_else(|error| panic!("{service} does not come back: {error}"));
    }

    /// The end of a service's log, for a failure's sake.
    pub fn log(&self, service: Service) -> String {
        let path = self.platform().as_ref().map(|p| p.log(service)).expect("running");
        fs::read_to_string(path).unwrap_or_default()
    }

    fn platform(&self) -> MutexGuard<'_, Option<Platform>> {
        self.platform.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.platform().take());
        // What stays is removed by the next run.
        let _ = fs::remove_dir_all(&self.data_dir);
    }
}

/// Removes the data of runs whose process is gone: a shared world is never dropped.
fn remove_what_is_left() {
    let Ok(entries) = fs::read_dir(env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let made_by = name.to_str().and_then(|n| n.strip_prefix(DATA_PREFIX)).and_then(|n| n.split('-').next());
        if made_by.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
