//! The platform under test: one for the whole run, or one of its own for a test that kills processes.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use nugul_platform::{
    Addresses, Edge, Member, OpenSearch, Options, Platform, Profile, Redis, RedisSet, SearchServer, Service, TlsFiles,
};

use crate::http::Api;

/// Which profile to test: `embedded` (the default) or `distributed`.
pub const PROFILE: &str = "NUGUL_TEST_PROFILE";
/// Which Redis the distributed profile is tested on: `single` (the default), `sentinel` or `cluster`.
pub const REDIS: &str = "NUGUL_TEST_REDIS";
/// Which edge to test: `cloudflare` (the default) or `spin`.
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
    /// The platform that most tests share. Its processes end with the test program. It alone has an `OpenSearch` in the
    /// distributed profile: others are started often, and search is not what they are for.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<World> = OnceLock::new();
        SHARED.get_or_init(|| {
            let options = options(&[]);
            let opensearch =
                if options.profile == Profile::Distributed { search_server("shared") } else { SearchServer::None };
            Self::start("shared", Options { opensearch, ..options })
        })
    }

    /// A platform for one test.
    pub fn own(name: &str) -> Self {
        Self::own_with(name, &[])
    }

    /// A platform for one test whose services have these settings.
    pub fn own_with(name: &str, settings: &[(&str, &str)]) -> Self {
        Self::own_with_edge(name, settings, &[])
    }

    /// The same, whose edge has settings, too.
    pub fn own_with_edge(name: &str, settings: &[(&str, &str)], edge: &[(&str, &str)]) -> Self {
        Self::start(name, Options { edge_settings: edge.iter().map(owned).collect(), ..options(settings) })
    }

    /// A platform of this kind in a new folder, with the demo accounts.
    pub fn start(name: &str, options: Options) -> Self {
        // Fails only where it is installed already, by the world before this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        remove_what_is_left();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let data_dir = env::temp_dir().join(format!("{DATA_PREFIX}{}-{name}-{since}", std::process::id()));
        let options = Options { data_dir: data_dir.clone(), demo: true, ..options };
        let platform = Platform::start(&options, &mut |line| eprintln!("{name}: {line}"))
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

    /// SIGKILL for one process.
    pub fn kill(&self, which: impl Into<Member>) {
        self.platform().as_mut().map(|p| p.kill(which)).expect("running").expect("a process to kill");
    }

    /// Starts one process alone and waits until it is ready.
    pub fn restart(&self, which: impl Into<Member>) {
        let which = which.into();
        self.platform()
            .as_mut()
            .map(|p| p.restart(which))
            .expect("running")
            .unwrap_or_else(|error| panic!("{which:?} does not come back: {error}"));
    }

    /// The same, where it may find what it needs away.
    pub fn try_restart(&self, which: impl Into<Member>) -> Result<(), nugul_platform::Error> {
        self.platform().as_mut().map(|p| p.restart(which)).expect("running")
    }

    /// Freezes one process.
    pub fn pause(&self, which: impl Into<Member>) {
        self.platform().as_mut().map(|p| p.pause(which)).expect("running").expect("a process to freeze");
    }

    /// Lets a frozen process go on.
    pub fn resume(&self, which: impl Into<Member>) {
        self.platform().as_mut().map(|p| p.resume(which)).expect("running").expect("a frozen process");
    }

    /// What the private Redis of the distributed profile says; `None` in the embedded profile.
    pub fn redis<T>(&self, ask: impl FnOnce(&RedisSet) -> T) -> Option<T> {
        self.platform().as_ref().and_then(|p| p.redis().map(ask))
    }

    /// The databases of coordinator and payment in the distributed profile.
    pub fn mysql_urls(&self) -> Option<(String, String)> {
        let platform = self.platform();
        let platform = platform.as_ref()?;
        Some((platform.mysql_url()?.to_owned(), platform.payment_mysql_url()?.to_owned()))
    }

    /// Where the coordinator's `OpenSearch` is, if it has one.
    pub fn opensearch_url(&self) -> Option<String> {
        self.platform().as_ref().and_then(|p| p.opensearch_url().map(str::to_owned))
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

fn owned((name, value): &(&str, &str)) -> (String, String) {
    ((*name).to_owned(), (*value).to_owned())
}

/// What the environment says of this run.
fn options(settings: &[(&str, &str)]) -> Options {
    let profile = env::var(PROFILE).map_or(Profile::Embedded, |text| text.parse().expect(PROFILE));
    let edge = match env::var(EDGE).as_deref() {
        Err(_) => Edge::Cloudflare,
        Ok(text) => text.parse().expect(EDGE),
    };
    let redis = env::var(REDIS).map_or(Redis::Single, |text| text.parse().expect(REDIS));
    Options {
        profile,
        redis,
        edge: Some(edge),
        events: Some(EVENTS),
        settings: settings.iter().map(owned).collect(),
        ..Options::default()
    }
}

/// One `OpenSearch` for every world of this run that has one, each with indexes of its own. It ends with the test program.
pub fn search_server(name: &str) -> SearchServer {
    static SERVER: OnceLock<OpenSearch> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        remove_what_is_left();
        let dir = env::temp_dir().join(format!("{DATA_PREFIX}{}-opensearch", std::process::id()));
        OpenSearch::start(&dir, &mut |line| eprintln!("{line}")).unwrap_or_else(|error| panic!("{error}"))
    });
    SearchServer::Shared { url: server.url(), prefix: name.to_owned() }
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
