//! A private Redis on loopback: one server, a master with replicas and sentinels, or a cluster. Nothing is kept on disk but
//! who is who, so a restart empties a server, which the platform must survive.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::Error;
use crate::Interrupt;
use crate::options::Redis;
use crate::probe::wait_until;
use crate::process::{Process, Spec};
use crate::resp::redis_command;
use crate::servers::{find, missing};

/// The most servers of any kind, and the most sentinels.
pub(crate) const SERVERS_MAX: usize = 6;
pub(crate) const SENTINELS_MAX: usize = 3;
/// What the sentinels call the master.
const MASTER: &str = "nugul";
/// Sentinels that must agree that the master is away.
const QUORUM: &str = "2";
/// How long a master is silent before it is taken for away. Short, because fail-over is what these sets are for.
const AWAY_AFTER_MS: &str = "2000";
/// How long a fail-over may take before it is tried anew.
const FAILOVER_LIMIT_MS: &str = "10000";
/// How long servers may take to answer, and then to find each other.
const READY_LIMIT: Duration = Duration::from_mins(1);
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Ports of a set, as many as it needs.
#[derive(Clone, Debug, Default)]
pub struct RedisPorts {
    /// A port for each server: 1, 3 or 6.
    pub servers: Vec<u16>,
    /// Where the servers of a cluster talk among themselves: 6.
    pub buses: Vec<u16>,
    /// A port for each sentinel: 3.
    pub sentinels: Vec<u16>,
}

/// A running set of servers. Dropping it kills them; they also end with this program.
#[derive(Debug)]
pub struct RedisSet {
    kind: Redis,
    dir: PathBuf,
    logs: PathBuf,
    ports: RedisPorts,
    servers: Vec<Process>,
    sentinels: Vec<Process>,
    interrupt: Interrupt,
}

impl RedisSet {
    /// Starts a set that keeps its files in `dir`, on free ports, and returns when every part of it answers and knows the others.
    pub fn start(kind: Redis, dir: &Path) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(|error| Error::io("cannot make", dir, &error))?;
        let ports = crate::ports::redis(kind, dir)?;
        Self::start_on(kind, dir, dir, ports, Interrupt::default())
    }

    pub(crate) fn start_on(
        kind: Redis,
        dir: &Path,
        logs: &Path,
        ports: RedisPorts,
        interrupt: Interrupt,
    ) -> Result<Self, Error> {
        let mut set = Self {
            kind,
            dir: dir.to_owned(),
            logs: logs.to_owned(),
            ports,
            servers: Vec::new(),
            sentinels: Vec::new(),
            interrupt,
        };
        // Roles of an earlier run are of no use: nothing of its data is left.
        if dir.join("nodes").exists() {
            fs::remove_dir_all(dir.join("nodes")).map_err(|error| Error::io("cannot remove", dir, &error))?;
        }
        for index in 0..kind.servers() {
            let process = set.launch_server(index)?;
            set.servers.push(process);
        }
        for index in 0..kind.servers() {
            set.wait_for(set.ports.servers[index], &format!("redis-{index}"))?;
        }
        for index in 0..kind.sentinels() {
            let process = set.launch_sentinel(index)?;
            set.sentinels.push(process);
        }
        set.join()?;
        Ok(set)
    }

    /// How the platform's services are told of it.
    pub fn url(&self) -> String {
        let list = |ports: &[u16]| ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",");
        match self.kind {
            Redis::Single => format!("redis://{}", list(&self.ports.servers)),
            Redis::Sentinel => format!("redis+sentinel://{}/{MASTER}", list(&self.ports.sentinels)),
            Redis::Cluster => format!("redis+cluster://{}", list(&self.ports.servers)),
        }
    }

    /// How many servers there are.
    pub fn servers(&self) -> usize {
        self.servers.len()
    }

    /// A server's port.
    pub fn port(&self, index: usize) -> Option<u16> {
        self.ports.servers.get(index).copied()
    }

    /// The servers that are masters now and know it. Servers that do not answer are left out.
    pub fn masters(&self) -> Vec<usize> {
        let is_master = |port: &u16| redis_command(*port, &["ROLE"]).is_ok_and(|role| role[0] == "master");
        (0..self.servers()).filter(|&index| self.port(index).is_some_and(|port| is_master(&port))).collect()
    }

    /// Forgets everything that is kept, on every master.
    pub fn flush(&self) -> Result<(), Error> {
        for port in self.masters().into_iter().filter_map(|index| self.port(index)) {
            redis_command(port, &["FLUSHALL"]).map_err(|error| Error::new(format!("redis on {port}: {error}")))?;
        }
        Ok(())
    }

    /// Whether every part answers, has its replicas in step, and a fail-over could begin.
    pub fn is_whole(&self) -> bool {
        let joined = |port: &u16| match self.kind {
            Redis::Single => true,
            Redis::Sentinel | Redis::Cluster => redis_command(*port, &["INFO", "replication"]).is_ok_and(|info| {
                let has = |line: &str| info.iter().any(|text| text.contains(line));
                let in_step = info.iter().any(|text| text.contains("state=online"));
                has("master_link_status:up") || (has("role:master") && in_step)
            }),
        };
        let agreed = |port: &u16| match self.kind {
            Redis::Cluster => redis_command(*port, &["CLUSTER", "INFO"]).is_ok_and(|info| {
                info.iter().any(|text| text.contains("cluster_state:ok") && text.contains("cluster_known_nodes:6"))
            }),
            _ => true,
        };
        let watched = |port: &u16| {
            let replicas = redis_command(*port, &["SENTINEL", "REPLICAS", MASTER]);
            redis_command(*port, &["SENTINEL", "CKQUORUM", MASTER]).is_ok_and(|said| said[0].starts_with("OK 3 usable"))
                && replicas.is_ok_and(|list| {
                    list.windows(2).filter(|pair| pair[0] == "flags" && pair[1] == "slave").count()
                        == self.kind.servers() - 1
                })
        };
        self.ports.servers.iter().all(|port| joined(port) && agreed(port)) && self.ports.sentinels.iter().all(watched)
    }

    /// Waits until [`Self::is_whole`] holds.
    pub fn wait_whole(&self) -> Result<(), Error> {
        if self.wait(|| self.is_whole())? {
            return Ok(());
        }
        Err(Error::new(format!("the {} Redis was not whole within {} s", self.kind, READY_LIMIT.as_secs())))
    }

    /// SIGKILL for one server.
    pub fn kill(&mut self, index: usize) -> Result<(), Error> {
        self.server(index)?.kill();
        Ok(())
    }

    /// Freezes one server.
    pub fn pause(&mut self, index: usize) -> Result<(), Error> {
        self.server(index)?.signal(Signal::STOP);
        Ok(())
    }

    /// Lets a frozen server go on.
    pub fn resume(&mut self, index: usize) -> Result<(), Error> {
        self.server(index)?.signal(Signal::CONT);
        Ok(())
    }

    /// Starts one server anew, empty, with the role it had; returns when it answers.
    pub fn restart(&mut self, index: usize) -> Result<(), Error> {
        self.server(index)?.stop(STOP_GRACE);
        self.servers[index] = self.launch_server(index)?;
        self.wait_for(self.ports.servers[index], &format!("redis-{index}"))
    }

    pub(crate) fn process_id(&self) -> Option<u32> {
        self.servers.first().map(Process::id)
    }

    pub(crate) fn server(&mut self, index: usize) -> Result<&mut Process, Error> {
        self.servers.get_mut(index).ok_or_else(|| Error::new(format!("there is no redis-{index}")))
    }

    pub(crate) fn sentinel(&mut self, index: usize) -> Result<&mut Process, Error> {
        self.sentinels.get_mut(index).ok_or_else(|| Error::new(format!("there is no sentinel-{index}")))
    }

    pub(crate) fn restart_sentinel(&mut self, index: usize) -> Result<(), Error> {
        self.sentinel(index)?.stop(STOP_GRACE);
        self.sentinels[index] = self.launch_sentinel(index)?;
        self.wait_for(self.ports.sentinels[index], &format!("sentinel-{index}"))
    }

    /// Starts a server that ended anew, empty, with the role it had; does not wait for it.
    pub(crate) fn revive_server(&mut self, index: usize) -> Result<(), Error> {
        let process = self.launch_server(index)?;
        *self.server(index)? = process;
        Ok(())
    }

    /// Starts a sentinel that ended anew; does not wait for it.
    pub(crate) fn revive_sentinel(&mut self, index: usize) -> Result<(), Error> {
        let process = self.launch_sentinel(index)?;
        *self.sentinel(index)? = process;
        Ok(())
    }

    /// Whether a server answers.
    pub(crate) fn server_answers(&self, index: usize) -> bool {
        self.ports.servers.get(index).is_some_and(|&port| answers(port))
    }

    /// Whether a sentinel answers.
    pub(crate) fn sentinel_answers(&self, index: usize) -> bool {
        self.ports.sentinels.get(index).is_some_and(|&port| answers(port))
    }

    /// How many sentinels there are.
    pub(crate) fn sentinels(&self) -> usize {
        self.sentinels.len()
    }

    pub(crate) fn stop(&mut self) {
        for process in self.sentinels.iter_mut().chain(&mut self.servers) {
            process.stop(STOP_GRACE);
        }
    }

    fn launch_server(&self, index: usize) -> Result<Process, Error> {
        let program = find("redis-server").ok_or_else(|| missing("redis-server", "redis-server"))?;
        let name = format!("redis-{index}");
        let port = self.ports.servers[index];
        let config = format!(
            "bind 127.0.0.1\nport {port}\nappendonly no\nsave \"\"\ndaemonize no\nrepl-diskless-sync-delay 0\n\
             repl-diskless-load swapdb\n"
        );
        let role = match self.kind {
            Redis::Sentinel if index > 0 => format!("replicaof 127.0.0.1 {}\n", self.ports.servers[0]),
            Redis::Single | Redis::Sentinel => String::new(),
            Redis::Cluster => format!(
                "cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-node-timeout {AWAY_AFTER_MS}\n\
                 cluster-port {}\ncluster-require-full-coverage no\n",
                self.ports.buses[index]
            ),
        };
        let file = self.config(&name, &(config + &role))?;
        Process::start(&name, &Spec::new(program).arg(file), &self.logs.join(format!("{name}.log")))
    }

    fn launch_sentinel(&self, index: usize) -> Result<Process, Error> {
        let program = find("redis-server").ok_or_else(|| missing("redis-server", "redis-server"))?;
        let name = format!("sentinel-{index}");
        let config = format!(
            "bind 127.0.0.1\nport {}\ndaemonize no\nsentinel monitor {MASTER} 127.0.0.1 {} {QUORUM}\n\
             sentinel down-after-milliseconds {MASTER} {AWAY_AFTER_MS}\n\
             sentinel failover-timeout {MASTER} {FAILOVER_LIMIT_MS}\n",
            self.ports.sentinels[index], self.ports.servers[0]
        );
        let file = self.config(&name, &config)?;
        let spec = Spec::new(program).arg(file).arg("--sentinel");
        Process::start(&name, &spec, &self.logs.join(format!("{name}.log")))
    }

    /// Writes a configuration where there is none: servers and sentinels keep in it who is master.
    fn config(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let dir = self.dir.join("nodes").join(name);
        let file = dir.join("redis.conf");
        let text = format!("{text}dir {}\n", dir.display());
        let written =
            fs::create_dir_all(&dir).and_then(|()| if file.exists() { Ok(()) } else { fs::write(&file, text) });
        written.map_err(|error| Error::io("cannot write", &file, &error))?;
        Ok(file)
    }

    fn wait_for(&self, port: u16, name: &str) -> Result<(), Error> {
        if self.wait(|| answers(port))? {
            return Ok(());
        }
        let log = self.logs.join(format!("{name}.log"));
        Err(Error::new(format!("{name} did not answer within {} s; see {}", READY_LIMIT.as_secs(), log.display())))
    }

    /// Whether it came true in time; an error where nobody wants it any more.
    fn wait(&self, mut condition: impl FnMut() -> bool) -> Result<bool, Error> {
        let mut held = false;
        wait_until(READY_LIMIT, || {
            held = condition();
            held || self.interrupt.is_raised()
        });
        if self.interrupt.is_raised() { Err(Error::interrupted()) } else { Ok(held) }
    }

    /// Makes the servers one set.
    fn join(&self) -> Result<(), Error> {
        if self.kind == Redis::Cluster {
            let program = find("redis-cli").ok_or_else(|| missing("redis-cli", "redis-tools"))?;
            let mut command = Command::new(program);
            command.args(["--cluster", "create"]);
            command.args(self.ports.servers.iter().map(|port| format!("127.0.0.1:{port}")));
            command.args(["--cluster-replicas", "1", "--cluster-yes"]);
            let output: io::Result<_> = command.output();
            let output = output.map_err(|error| Error::new(format!("redis-cli: {error}")))?;
            if !output.status.success() {
                let said =
                    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
                return Err(Error::new(format!("redis-cli --cluster create failed ({}): {said}", output.status)));
            }
        }
        self.wait_whole()
    }
}

fn answers(port: u16) -> bool {
    redis_command(port, &["PING"]).is_ok_and(|said| said == ["PONG"])
}
