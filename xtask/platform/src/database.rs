//! A private MariaDB alone, for tests that make databases of their own.
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::Error;
use crate::ports;
use crate::probe::{Probe, wait_until};
use crate::process::Process;
use crate::servers;

/// Longest wait for a new server to be ready.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How long it may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// A server that stops when it is dropped.
#[derive(Debug)]
pub struct Database {
    process: Process,
    port: u16,
}

impl Database {
    /// Starts a server with its data in `folder`, made when absent.
    pub fn start(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(|error| Error::io("cannot make", folder, &error))?;
        let picked = ports::pick(&["mariadb"], folder)?;
        let port = picked.get("mariadb").copied().ok_or_else(|| Error::new("no port for MariaDB"))?;
        let spec = servers::mariadb(folder, port, "*.*")?;
        let mut process = Process::start("mariadb", &spec, &folder.join("mariadb.log"))?;
        let mut ended = None;
        let ready = wait_until(READY_WITHIN, || {
            ended = process.ended();
            ended.is_some() || Probe::MariaDb(port).ready()
        });
        match ended {
            Some(status) => Err(process.failure(&format!("ended before it was ready ({status})"))),
            None if ready => Ok(Self { process, port }),
            None => Err(process.failure("was not ready in time")),
        }
    }

    /// Where it is, without the name of a database.
    pub fn url(&self) -> String {
        servers::server_url(self.port)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.process.stop(STOP_WITHIN);
    }
}
