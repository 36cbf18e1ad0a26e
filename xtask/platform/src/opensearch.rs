//! A private OpenSearch with Korean morphology: fetched from Maven, compiled once, started on a free port of loopback.
//!
//! There is no server program to install: Maven has its parts as jars, and two small Java files of ours (beside `pom.xml`)
//! put them together. Jars and classes are kept outside the project, so only the first start on a machine fetches them.
use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::probe::{Probe, get, wait_until};
use crate::process::{Process, Spec};
use crate::servers::{find, missing};
use crate::{Error, ports};

/// The name of its port.
pub(crate) const PORT: &str = "opensearch";
/// The server's address, where another than a private one is to be used.
pub(crate) const URL_VARIABLE: &str = "NUGUL_OPENSEARCH_URL";
/// What the names of our indexes begin with there.
pub(crate) const PREFIX_VARIABLE: &str = "NUGUL_OPENSEARCH_PREFIX";

const POM: &str = include_str!("../opensearch/pom.xml");
const SOURCES: [(&str, &str); 2] = [
    ("NoriPlugin.java", include_str!("../opensearch/NoriPlugin.java")),
    ("Server.java", include_str!("../opensearch/Server.java")),
];
/// A small heap, quick to start: the catalogue of a demo or a test.
const JVM: [&str; 4] = ["-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
const READY_LIMIT: Duration = Duration::from_mins(2);
const STOP_GRACE: Duration = Duration::from_secs(8);

/// Files that are fetched or made once for all checkouts: `nugul` in the user's cache directory.
pub fn cache_dir() -> PathBuf {
    let base = env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = base.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    base.unwrap_or_else(env::temp_dir).join("nugul")
}

/// A running server of its own, apart from any platform. Dropping it kills it.
#[derive(Debug)]
pub struct OpenSearch {
    spec: Spec,
    port: u16,
    log: PathBuf,
    process: Process,
}

impl OpenSearch {
    /// Starts one with its data in `dir`, and returns when it answers.
    pub fn start(dir: &Path, progress: &mut dyn FnMut(&str)) -> Result<Self, Error> {
        let dir = std::path::absolute(dir).map_err(|error| Error::io("cannot find", dir, &error))?;
        fs::create_dir_all(&dir).map_err(|error| Error::io("cannot make", &dir, &error))?;
        prepare(progress)?;
        let port = ports::pick(&[PORT], &dir)?.get(PORT).copied().unwrap_or_default();
        let spec = spec(&dir, port)?;
        let log = dir.join("opensearch.log");
        let process = Process::start("opensearch", &spec, &log)?;
        let mut server = Self { spec, port, log, process };
        server.wait_ready()?;
        Ok(server)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on its port and data, and returns when it answers.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.process.stop(STOP_GRACE);
        self.process = Process::start("opensearch", &self.spec, &self.log)?;
        self.wait_ready()
    }

    /// Freezes it: it takes connections and answers nothing.
    pub fn pause(&mut self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// Removes every index whose name begins with `prefix`.
    pub fn forget(&self, prefix: &str) -> Result<(), Error> {
        let path = format!("/_cat/indices/{prefix}*?h=index");
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let said = |error: std::io::Error| Error::new(format!("opensearch: {error}"));
        let (_, names) = get(address, &path).map_err(said)?;
        for name in names.split_whitespace() {
            crate::probe::delete(address, &format!("/{name}")).map_err(said)?;
        }
        Ok(())
    }

    fn wait_ready(&mut self) -> Result<(), Error> {
        let probe = probe(self.port);
        let mut ended = None;
        let ready = wait_until(READY_LIMIT, || {
            ended = self.process.ended();
            ended.is_some() || probe.ready()
        });
        match ended {
            Some(status) => Err(self.process.failure(&format!("ended before it was ready ({status})"))),
            None if ready => Ok(()),
            None => Err(self.process.failure(&format!("was not ready within {} s", READY_LIMIT.as_secs()))),
        }
    }
}

/// How it shows that it is ready.
pub(crate) const fn probe(port: u16) -> Probe {
    Probe::Http(port, "/_cluster/health")
}

/// How to start it, once [`prepare`]d.
pub(crate) fn spec(dir: &Path, port: u16) -> Result<Spec, Error> {
    let home = made();
    for name in ["config", "data", "logs"] {
        let path = dir.join(name);
        fs::create_dir_all(&path).map_err(|error| Error::io("cannot make", &path, &error))?;
    }
    let classes = format!("{}:{}", home.join("classes").display(), home.join("jars/*").display());
    Ok(Spec::new(java()?)
        .args(JVM)
        .arg("-cp")
        .arg(classes)
        .arg("nugul.Server")
        .arg(dir)
        .arg(port.to_string())
        .until_input_closes())
}

fn java() -> Result<PathBuf, Error> {
    find("java").ok_or_else(|| without("java", "openjdk-17-jdk-headless"))
}

fn without(program: &str, package: &str) -> Error {
    let reason = missing(program, package);
    Error::new(format!("a private OpenSearch cannot start: {reason}; or name a server in {URL_VARIABLE}"))
}

/// Where jars and classes are; another set of sources has another folder.
fn made() -> PathBuf {
    let mut hash = DefaultHasher::new();
    (POM, SOURCES).hash(&mut hash);
    cache_dir().join(format!("opensearch-{:016x}", hash.finish()))
}

/// Fetches and compiles what is not there yet. Programs that do so at the same time do it once.
pub(crate) fn prepare(progress: &mut dyn FnMut(&str)) -> Result<(), Error> {
    let home = made();
    if home.exists() {
        return Ok(());
    }
    let java = java()?;
    let maven = find("mvn").ok_or_else(|| without("mvn", "maven"))?;
    let cache = cache_dir();
    fs::create_dir_all(&cache).map_err(|error| Error::io("cannot make", &cache, &error))?;
    let lock = cache.join("opensearch.lock");
    let lock = File::create(&lock).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.map_err(|error| Error::io("cannot lock", &cache, &error))?;
    if home.exists() {
        return Ok(());
    }
    // In a folder of another name first: a half-made one is never taken for a whole one.
    let new = home.with_extension("new");
    if new.exists() {
        fs::remove_dir_all(&new).map_err(|error| Error::io("cannot remove", &new, &error))?;
    }
    let classes = new.join("classes");
    fs::create_dir_all(&classes).map_err(|error| Error::io("cannot make", &classes, &error))?;
    for (name, text) in [("pom.xml", POM)].iter().chain(&SOURCES) {
        fs::write(new.join(name), text).map_err(|error| Error::io("cannot write", &new.join(name), &error))?;
    }
    progress("fetching OpenSearch from Maven");
    let mut fetch = Command::new(maven);
    fetch.args(["-B", "-q", "-C", "-f", "pom.xml", "dependency:copy-dependencies", "-DoutputDirectory=jars"]);
    run("mvn", fetch.current_dir(&new))?;
    // Spelled out: a wildcard class path is the launcher's, not the compiler's.
    let jars: Vec<String> = fs::read_dir(new.join("jars"))
        .map_err(|error| Error::io("cannot read", &new.join("jars"), &error))?
        .filter_map(|entry| Some(entry.ok()?.path().display().to_string()))
        .collect();
    let mut compile = Command::new(java);
    compile.args(["-m", "jdk.compiler/com.sun.tools.javac.Main", "-proc:none", "-nowarn", "-d", "classes", "-cp"]);
    compile.arg(jars.join(":")).args(SOURCES.map(|(name, _)| name));
    run("javac (Debian: openjdk-17-jdk-headless)", compile.current_dir(&new))?;
    fs::rename(&new, &home).map_err(|error| Error::io("cannot make", &home, &error))
}

fn run(name: &str, command: &mut Command) -> Result<(), Error> {
    const SAID_MAX_CHARS: usize = 2_000;
    let output = command.stdin(Stdio::null()).output().map_err(|error| Error::new(format!("{name}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].concat();
    let said: String = String::from_utf8_lossy(&said).trim().chars().take(SAID_MAX_CHARS).collect();
    Err(Error::new(format!("{name} failed ({}): {said}", output.status)))
}
