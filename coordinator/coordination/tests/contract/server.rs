//! A Redis of a test's own: on a socket in a folder of its own, gone with the test.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use nugul_coordination::Seats;
use tokio::time::Instant;

/// How long Redis may take to start.
const START: Duration = Duration::from_secs(20);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

pub(crate) struct Server {
    process: Child,
    folder: PathBuf,
}

impl Server {
    pub(crate) fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("nugul-redis-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let spawned = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(folder.join("redis.sock"))
            .arg("--dir")
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn();
        let Ok(process) = spawned else { panic!("redis-server is missing: apt-get install redis-server") };
        Self { process, folder }
    }

    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.folder.join("redis.sock").display())
    }

    /// A store on it, once it answers.
    pub(crate) async fn seats(&self) -> Seats {
        let end = Instant::now() + START;
        while !self.folder.join("redis.sock").exists() {
            assert!(Instant::now() < end, "redis-server did not start");
            tokio::time::sleep(PAUSE).await;
        }
        Seats::redis(&self.url()).await.unwrap()
    }

    /// Forgets everything.
    pub(crate) async fn flush(&self) {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
