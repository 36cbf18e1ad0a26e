//! One server for all tests of this program; each test has indexes under a name of its own.

use std::{
    ops::{Deref, DerefMut},
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use nugul_platform::OpenSearch;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Where the files of a test program lie, with the number of the process that made them.
const FOLDER_PREFIX: &str = "nugul-search-";

/// The server; one who kills it has it alone.
fn shared() -> &'static RwLock<OpenSearch> {
    static SHARED: OnceLock<RwLock<OpenSearch>> = OnceLock::new();
    SHARED.get_or_init(|| {
        remove_what_is_left();
        let server = OpenSearch::start(&folder("server"), &mut |line| eprintln!("{line}"));
        RwLock::new(server.unwrap_or_else(|error| panic!("{error}")))
    })
}

/// The server as it is.
pub(crate) async fn running() -> RwLockReadGuard<'static, OpenSearch> {
    // Starting it takes seconds.
    tokio::task::spawn_blocking(shared).await.unwrap().read().await
}

/// The server alone, to kill it. Whatever becomes of the test, the next one finds it running.
pub(crate) async fn alone() -> Alone {
    Alone(tokio::task::spawn_blocking(shared).await.unwrap().write().await)
}

/// The server of one test.
pub(crate) struct Alone(RwLockWriteGuard<'static, OpenSearch>);

impl Deref for Alone {
    type Target = OpenSearch;

    fn deref(&self) -> &OpenSearch {
        &self.0
    }
}

impl DerefMut for Alone {
    fn deref_mut(&mut self) -> &mut OpenSearch {
        &mut self.0
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.kill();
            let _ = self.0.restart();
        }
    }
}

/// A folder of this test program.
pub(crate) fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{FOLDER_PREFIX}{}-{name}", std::process::id()))
}

/// A name nobody had before.
pub(crate) fn new_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Removes the files of test programs that are gone: the shared server is never dropped.
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
