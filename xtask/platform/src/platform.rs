//! The running platform: started in order, killed and restarted one by one, stopped in reverse.
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::options::{Member, Options, Profile, SearchServer, Service};
use crate::probe::wait_until;
use crate::process::{Process, Spec};
use crate::redis::{RedisSet, SERVERS_MAX};
use crate::restarts::{self, Restarts, Verdict};
use crate::services::{PORTS, Plan};
use crate::{Artifacts, Error, Interrupt, TlsFiles, opensearch, ports, servers, tls};

/// How long a service may take to become ready.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// `wrangler dev` builds the worker before it serves it.
const WRANGLER_READY_LIMIT: Duration = Duration::from_mins(15);
/// How long filling the database may take.
const SEED_LIMIT: Duration = Duration::from_mins(10);
/// How long a service may take to end after SIGTERM.
const STOP_GRACE: Duration = Duration::from_secs(8);
/// workerd does not always end on SIGTERM once it had load, and has nothing to lose.
const EDGE_STOP_GRACE: Duration = Duration::from_secs(2);
/// What filling says of a database that is not empty.
const THERE_ALREADY: &str = "are there already";
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Where everything is: `http://127.0.0.1:PORT` each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Where browsers and clients go: the edge, or the coordinator when there is no edge.
    pub edge: String,
    /// The coordinator.
    pub coordinator: String,
    /// The payment service's health and metrics.
    pub payment_admin: String,
    /// The Toss simulator.
    pub toss: String,
    /// The mail outbox's page.
    pub mail: String,
    /// The coordinator's metrics.
    pub metrics: String,
}

/// A running platform. Dropping it kills every process.
#[derive(Debug)]
pub struct Platform {
    plan: Plan,
    processes: BTreeMap<Service, Process>,
    redis: Option<RedisSet>,
    restarts: Restarts,
    /// What was started again and does not answer yet.
    returning: BTreeMap<Member, Instant>,
    interrupt: Interrupt,
}

impl Platform {
    /// Says what these options need and this machine lacks, before anything is built or started.
    pub fn check_machine(options: &Options) -> Result<(), Error> {
        if options.profile != Profile::Distributed {
            return Ok(());
        }
        let named = |name: &str| env::var(name).is_ok();
        let mut needed = Vec::new();
        if !(named("NUGUL_MYSQL_URL") && named("NUGUL_PAYMENT_MYSQL_URL")) {
            needed.extend([("mariadbd", "mariadb-server"), ("mariadb-install-db", "mariadb-server")]);
        }
        if !named("NUGUL_REDIS_URL") {
            needed.push(("redis-server", "redis-server"));
        }
        let lacking = needed.into_iter().find(|(program, _)| servers::find(program).is_none());
        lacking.map_or(Ok(()), |(program, package)| Err(servers::missing(program, package)))
    }

    /// Starts everything, from what [`Artifacts::from_env`] names, and returns when all are ready.
    pub fn start(options: &Options, progress: &mut dyn FnMut(&str)) -> Result<Self, Error> {
        Self::start_with(Artifacts::from_env()?, options, progress)
    }

    /// Starts everything from these artifacts, and returns when all are ready.
    pub fn start_with(artifacts: Artifacts, options: &Options, progress: &mut dyn FnMut(&str)) -> Result<Self, Error> {
        let data_dir = absolute(&options.data_dir)?;
        let logs = data_dir.join("logs");
        fs::create_dir_all(&logs).map_err(|error| Error::io("cannot make", &logs, &error))?;
        let redis_ports =
            if options.profile == Profile::Distributed { ports::redis_names(options.redis) } else { Vec::new() };
        let ports = ports::pick(&[&PORTS[..], &[opensearch::PORT], &redis_ports].concat(), &data_dir)?;
        let tls = tls::ensure(&data_dir.join("tls"))?;
        let mut plan = Plan {
            artifacts,
            data_dir,
            edge: options.edge,
            ports,
            tls,
            mysql: None,
            payment_mysql: None,
            redis: None,
            opensearch: None,
            settings: options.settings.clone(),
            edge_settings: options.edge_settings.clone(),
            more_regions: options.more_regions.clone(),
        };
        let mut private = Vec::new();
        if options.profile == Profile::Distributed {
            plan.mysql = env::var("NUGUL_MYSQL_URL").ok();
            plan.payment_mysql = env::var("NUGUL_PAYMENT_MYSQL_URL").ok();
            plan.redis = env::var("NUGUL_REDIS_URL").ok();
            if plan.mysql.is_none() || plan.payment_mysql.is_none() {
                private.push(Service::MariaDb);
                let port = plan.port("mariadb");
                plan.mysql.get_or_insert_with(|| servers::mysql_url(port, servers::DATABASES[0]));
                plan.payment_mysql.get_or_insert_with(|| servers::mysql_url(port, servers::DATABASES[1]));
            }
            plan.opensearch = match &options.opensearch {
                SearchServer::None => None,
                SearchServer::Shared { url, prefix } => Some((url.clone(), Some(prefix.clone()))),
                SearchServer::Private => {
                    let given = env::var(opensearch::URL_VARIABLE).ok().filter(|url| !url.is_empty());
                    if given.is_none() {
                        opensearch::prepare(progress)?;
                        private.push(Service::OpenSearch);
                    }
                    let url = given.unwrap_or_else(|| plan.url(opensearch::PORT));
                    Some((url, env::var(opensearch::PREFIX_VARIABLE).ok()))
                }
            };
        }
        let mut platform = Self {
            plan,
            processes: BTreeMap::new(),
            redis: None,
            restarts: Restarts::default(),
            returning: BTreeMap::new(),
            interrupt: options.interrupt.clone(),
        };
        for service in Service::ALL {
            // Logs start anew with each run.
            for index in 0..SERVERS_MAX {
                let _ = fs::remove_file(platform.log((service, index)));
            }
        }
        match platform.launch_all(options, &private, progress) {
            Ok(()) => Ok(platform),
            Err(error) => {
                platform.stop();
                Err(error)
            }
        }
    }

    fn launch_all(
        &mut self,
        options: &Options,
        private: &[Service],
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), Error> {
        if options.profile == Profile::Distributed && self.plan.redis.is_none() {
            let set = RedisSet::start_on(
                options.redis,
                &self.plan.dir("redis")?,
                &self.plan.data_dir.join("logs"),
                ports::redis_of(&self.plan.ports),
                self.interrupt.clone(),
            )?;
            self.plan.redis = Some(set.url());
            self.redis = Some(set);
        }
        self.launch(private, progress)?;
        self.launch(&[Service::Mail, Service::Toss, Service::Payment], progress)?;
        if options.demo || options.catalogue.is_some() || options.events.is_some() {
            self.seed(options, progress)?;
        }
        self.launch(&[Service::Coordinator], progress)?;
        if self.plan.edge.is_some() {
            self.launch(&[Service::Edge], progress)?;
        }
        Ok(())
    }

    /// Where everything is.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            edge: self.plan.public_origin(),
            coordinator: self.plan.url("coordinator"),
            payment_admin: self.plan.url("payment_admin"),
            toss: self.plan.url("toss"),
            mail: self.plan.url("mail"),
            metrics: self.plan.url("metrics"),
        }
    }

    /// Payment's gRPC address, `https://localhost:PORT`; it asks for a client certificate.
    pub fn payment_grpc(&self) -> String {
        self.plan.payment_url()
    }

    /// The certificates between coordinator and payment.
    pub fn tls(&self) -> &TlsFiles {
        &self.plan.tls
    }

    /// The directory of those certificates.
    pub fn tls_dir(&self) -> PathBuf {
        self.plan.data_dir.join("tls")
    }

    /// The coordinator's database in the distributed profile.
    pub fn mysql_url(&self) -> Option<&str> {
        self.plan.mysql.as_deref()
    }

    /// Payment's database in the distributed profile.
    pub fn payment_mysql_url(&self) -> Option<&str> {
        self.plan.payment_mysql.as_deref()
    }

    /// Redis in the distributed profile.
    pub fn redis_url(&self) -> Option<&str> {
        self.plan.redis.as_deref()
    }

    /// OpenSearch in the distributed profile, where it has one.
    pub fn opensearch_url(&self) -> Option<&str> {
        self.plan.opensearch.as_ref().map(|(url, _)| url.as_str())
    }

    /// Where everything is kept.
    pub fn data_dir(&self) -> &Path {
        &self.plan.data_dir
    }

    /// The private Redis of the distributed profile.
    pub const fn redis(&self) -> Option<&RedisSet> {
        self.redis.as_ref()
    }

    /// A process' log file.
    pub fn log(&self, of: impl Into<Member>) -> PathBuf {
        let Member { service, index } = of.into();
        let name = match service {
            Service::Redis | Service::Sentinel => format!("{service}-{index}.log"),
            _ => format!("{service}.log"),
        };
        self.plan.data_dir.join("logs").join(name)
    }

    /// The process id of a service; of Redis, the first server's.
    pub fn process_id(&self, service: Service) -> Option<u32> {
        match (service, &self.redis) {
            (Service::Redis, Some(set)) => set.process_id(),
            _ => self.processes.get(&service).map(Process::id),
        }
    }

    /// SIGKILL for one process: no warning, nothing flushed.
    pub fn kill(&mut self, which: impl Into<Member>) -> Result<(), Error> {
        self.running(which.into())?.kill();
        Ok(())
    }

    /// Starts one process alone, on its old ports and data, and returns when it is ready. One that still runs is stopped first.
    pub fn restart(&mut self, which: impl Into<Member>) -> Result<(), Error> {
        let Member { service, index } = which.into();
        match (service, &mut self.redis) {
            (Service::Redis, Some(set)) => return set.restart(index),
            (Service::Sentinel, Some(set)) => return set.restart_sentinel(index),
            _ => {}
        }
        if let Some(mut process) = self.processes.remove(&service) {
            process.stop(grace(service));
        } else {
            return Err(Error::new(format!("{service} is not part of this platform")));
        }
        self.launch(&[service], &mut |_| ())
    }

    /// Freezes a process (SIGSTOP): it holds its connections and answers nothing.
    pub fn pause(&mut self, which: impl Into<Member>) -> Result<(), Error> {
        self.running(which.into())?.signal(Signal::STOP);
        Ok(())
    }

    /// Lets a frozen process go on.
    pub fn resume(&mut self, which: impl Into<Member>) -> Result<(), Error> {
        self.running(which.into())?.signal(Signal::CONT);
        Ok(())
    }

    /// Starts each process again that ended by itself, on its old ports and data, and says so; an error, with the end of its
    /// log, where one ends too often. Returns at once: call it every moment.
    pub fn supervise(&mut self, progress: &mut dyn FnMut(&str)) -> Result<(), Error> {
        for member in self.members() {
            let process = self.running(member)?;
            let Some(status) = process.ended() else { continue };
            let name = process.name().to_owned();
            match self.restarts.judge(member, Instant::now()) {
                Verdict::Later => {}
                Verdict::Never => {
                    let (max, within) = (restarts::RESTARTS_MAX, restarts::WITHIN.as_secs());
                    let what = format!("ended ({status}) after {max} restarts within {within} s; giving up");
                    return Err(self.running(member)?.failure(&what));
                }
                Verdict::Now => {
                    progress(&format!("{name} ended ({status}): starting it again"));
                    self.returning.insert(member, Instant::now());
                    // What cannot be started counts as ended once more.
                    if let Err(error) = self.revive(member) {
                        progress(&error.to_string());
                    }
                }
            }
        }
        for (member, since) in std::mem::take(&mut self.returning) {
            let name = self.running(member)?.name().to_owned();
            if self.answers(member) {
                progress(&format!("{name} answers again after {:.1} s", since.elapsed().as_secs_f64()));
            } else if since.elapsed() < READY_LIMIT {
                self.returning.insert(member, since);
            } else {
                let log = self.log(member);
                progress(&format!("{name} still does not answer; see {}", log.display()));
            }
        }
        Ok(())
    }

    /// Every process there is, in the order they start.
    fn members(&self) -> Vec<Member> {
        let (servers, sentinels) = self.redis.as_ref().map_or((0, 0), |set| (set.servers(), set.sentinels()));
        let redis = (0..servers).map(|index| Member { service: Service::Redis, index });
        let sentinels = (0..sentinels).map(|index| Member { service: Service::Sentinel, index });
        redis.chain(sentinels).chain(self.processes.keys().map(|&service| service.into())).collect()
    }

    fn revive(&mut self, member: Member) -> Result<(), Error> {
        self.running(member)?.end_the_rest();
        match (member.service, &mut self.redis) {
            (Service::Redis, Some(set)) => set.revive_server(member.index),
            (Service::Sentinel, Some(set)) => set.revive_sentinel(member.index),
            (service, _) => {
                let spec = self.plan.spec(service)?;
                let process = Process::start(&service.to_string(), &spec, &self.log(service))?;
                self.processes.insert(service, process);
                Ok(())
            }
        }
    }

    fn answers(&self, member: Member) -> bool {
        match (member.service, &self.redis) {
            (Service::Redis, Some(set)) => set.server_answers(member.index),
            (Service::Sentinel, Some(set)) => set.sentinel_answers(member.index),
            (service, _) => self.plan.probe(service).is_none_or(|probe| probe.ready()),
        }
    }

    /// Stops everything in reverse order: SIGTERM, a bounded wait, SIGKILL.
    pub fn stop(mut self) {
        while let Some((service, mut process)) = self.processes.pop_last() {
            process.stop(grace(service));
        }
        if let Some(redis) = &mut self.redis {
            redis.stop();
        }
    }

    fn running(&mut self, Member { service, index }: Member) -> Result<&mut Process, Error> {
        match (service, &mut self.redis) {
            (Service::Redis, Some(set)) => set.server(index),
            (Service::Sentinel, Some(set)) => set.sentinel(index),
            _ => self
                .processes
                .get_mut(&service)
                .filter(|_| index == 0)
                .ok_or_else(|| Error::new(format!("{service} {index} is not part of this platform"))),
        }
    }

    /// Starts these together, then waits for each.
    fn launch(&mut self, services: &[Service], progress: &mut dyn FnMut(&str)) -> Result<(), Error> {
        for &service in services {
            if self.interrupt.is_raised() {
                return Err(Error::interrupted());
            }
            if service == Service::MariaDb && !self.plan.data_dir.join("mariadb/data").exists() {
                progress("making a private MariaDB");
            }
            let spec = self.plan.spec(service)?;
            let process = Process::start(&service.to_string(), &spec, &self.log(service))?;
            self.processes.insert(service, process);
        }
        for &service in services {
            self.wait_ready(service, progress)?;
        }
        Ok(())
    }

    fn wait_ready(&mut self, service: Service, progress: &mut dyn FnMut(&str)) -> Result<(), Error> {
        let wrangler = service == Service::Edge && self.plan.artifacts.wrangler.is_some();
        let limit = if wrangler { WRANGLER_READY_LIMIT } else { READY_LIMIT };
        let Some(probe) = self.plan.probe(service) else { return Ok(()) };
        let interrupt = self.interrupt.clone();
        let process = self.running(service.into())?;
        let what = format!("{service} getting ready");
        let mut ended = None;
        let ready = patiently(&what, limit, progress, || {
            ended = process.ended();
            ended.is_some() || interrupt.is_raised() || probe.ready()
        });
        if interrupt.is_raised() {
            return Err(Error::interrupted());
        }
        match ended {
            Some(status) => Err(process.failure(&format!("ended before it was ready ({status})"))),
            None if ready => Ok(()),
            None => Err(process.failure(&format!("was not ready within {} s", limit.as_secs()))),
        }
    }

    /// Fills an empty database; one with events stays as it is.
    fn seed(&self, options: &Options, progress: &mut dyn FnMut(&str)) -> Result<(), Error> {
        let mut spec: Spec = self.plan.coordinator()?.arg("seed-demo");
        if let Some(catalogue) = &options.catalogue {
            spec = spec.arg("--catalogue").arg(absolute(catalogue)?);
        }
        if let Some(events) = options.events {
            spec = spec.arg("--events").arg(events.to_string());
        }
        let log = self.plan.data_dir.join("logs/seed-demo.log");
        let _ = fs::remove_file(&log);
        let mut process = Process::start("seed-demo", &spec, &log)?;
        patiently("demo data", SEED_LIMIT, progress, || process.ended().is_some() || self.interrupt.is_raised());
        match process.ended() {
            _ if self.interrupt.is_raised() => Err(Error::interrupted()),
            Some(status) if status.success() => {
                let said = fs::read_to_string(&log).unwrap_or_default();
                if said.contains(THERE_ALREADY) && (options.catalogue.is_some() || options.events.is_some()) {
                    progress(&format!("{}: --catalogue and --events change nothing; use another --data", said.trim()));
                }
                Ok(())
            }
            Some(status) => Err(process.failure(&format!("failed ({status})"))),
            None => Err(process.failure(&format!("took more than {} s", SEED_LIMIT.as_secs()))),
        }
    }
}

/// Waits like [`wait_until`], and says every few seconds that it still does.
fn patiently(what: &str, limit: Duration, progress: &mut dyn FnMut(&str), mut done: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    let mut told = begun;
    wait_until(limit, || {
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            progress(&format!("{what} … {} s", begun.elapsed().as_secs()));
        }
        done()
    })
}

fn grace(service: Service) -> Duration {
    if service == Service::Edge { EDGE_STOP_GRACE } else { STOP_GRACE }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|error| Error::io("cannot find", path, &error))
}
