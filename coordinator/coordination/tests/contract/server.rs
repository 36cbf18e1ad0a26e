//! Real servers of the tests' own: one Redis, one behind sentinels, one cluster. Gone with the test program.

use std::{
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use nugul_coordination::Seats;
use nugul_platform::{Redis, RedisSet};
use tokio::sync::{Mutex, MutexGuard};

/// Where the servers' files lie, with the number of the process that made them.
const FOLDER_PREFIX: &str = "nugul-redis-";

pub(crate) struct Server {
    pub(crate) set: RedisSet,
    folder: PathBuf,
}

impl Server {
    /// Servers for one test.
    pub(crate) fn start(kind: Redis) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("{FOLDER_PREFIX}{}-{n}", std::process::id()));
        let set = RedisSet::start(kind, &folder).unwrap_or_else(|error| panic!("{error}"));
        Self { set, folder }
    }

    /// The servers of this kind that tests share one after another, empty.
    pub(crate) async fn shared(kind: Redis) -> MutexGuard<'static, Self> {
        static SHARED: [OnceLock<Mutex<Server>>; 3] = [const { OnceLock::new() }; 3];
        let start = || {
            remove_what_is_left();
            Mutex::new(Self::start(kind))
        };
        let server = SHARED[kind as usize].get_or_init(start).lock().await;
        server.set.flush().unwrap();
        server
    }

    /// A store on them.
    pub(crate) async fn seats(&self) -> Seats {
        Seats::redis(&self.set.url()).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for index in 0..self.set.servers() {
            let _ = self.set.kill(index);
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Removes the files of test programs that are gone: shared servers are never dropped.
fn remove_what_is_left() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let made_by = name.to_str().and_then(|n| n.strip_prefix(FOLDER_PREFIX)).and_then(|n| n.split('-').next());
        if made_by.is_some_and(|pid| !PathBuf::from("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
