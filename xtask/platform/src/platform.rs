//! The running platform: started in order, killed and restarted one by one, stopped in reverse.
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::options::{Options, Profile, Service};
use crate::probe::wait_until;
use crate::process::{Process, Spec};
use crate::services::{PORTS, Plan};
use crate::{Artifacts, Error, TlsFiles, ports, servers, tls};

/// How long a service may take to become ready.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// `wrangler dev` builds the worker before it serves it.
const WRANGLER_READY_LIMIT: Duration = Duration::from_secs(900);
/// How long filling the database may take.
const SEED_LIMIT: Duration = Duration::from_secs(600);
/// How long a service may take to end after SIGTERM.
const STOP_GRACE: Duration = Duration::from_secs(8);
/// workerd does not always end on SIGTERM once it had load, and has nothing to lose.
const EDGE_STOP_GRACE: Duration = Duration::from_secs(2);
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
}

impl Platform {
    /// Starts everything, from what [`Artifacts::from_env`] names, and returns when all are ready.
    pub fn start(options: Options, progress: &mut dyn FnMut(&str)) -> Result<Self, Error> {
        Self::start_with(Artifacts::from_env()?, options, progress)
    }

    /// Starts everything from these artifacts, and returns when all are ready.
    pub fn start_with(artifacts: Artifacts, options: Options, progress: &mut dyn FnMut(&str)) -> Result<Self, Error> {
        let data_dir = absolute(&options.data_dir)?;
        let logs = data_dir.join("logs");
        fs::create_dir_all(&logs).map_err(|error| Error::io("cannot make", &logs, &error))?;
        let ports = ports::pick(&PORTS, &data_dir)?;
        let tls = tls::ensure(&data_dir.join("tls"))?;
        let mut plan =
            Plan { artifacts, edge: options.edge, ports, tls, mysql: None, payment_mysql: None, redis: None, data_dir };
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
            if plan.redis.is_none() {
                private.push(Service::Redis);
                plan.redis = Some(servers::redis_url(plan.port("redis")));
            }
        }
        let mut platform = Self { plan, processes: BTreeMap::new() };
        for service in Service::ALL {
            // Logs start anew with each run.
            let _ = fs::remove_file(platform.log(service));
        }
        platform.launch(&private, progress)?;
        platform.launch(&[Service::Mail, Service::Toss, Service::Payment], progress)?;
        if options.demo || options.catalogue.is_some() || options.events.is_some() {
            platform.seed(&options, progress)?;
        }
        platform.launch(&[Service::Coordinator], progress)?;
        if platform.plan.edge.is_some() {
            platform.launch(&[Service::Edge], progress)?;
        }
        Ok(platform)
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

    /// Where everything is kept.
    pub fn data_dir(&self) -> &Path {
        &self.plan.data_dir
    }

    /// A service's log file.
    pub fn log(&self, service: Service) -> PathBuf {
        self.plan.data_dir.join("logs").join(format!("{service}.log"))
    }

    /// A running service's process id.
    pub fn process_id(&self, service: Service) -> Option<u32> {
        self.processes.get(&service).map(Process::id)
    }

    /// SIGKILL for one service: no warning, nothing flushed.
    pub fn kill(&mut self, service: Service) -> Result<(), Error> {
        self.running(service)?.kill();
        Ok(())
    }

    /// Starts one service alone, on its old ports and data, and returns when it is ready. One that still runs is stopped first.
    pub fn restart(&mut self, service: Service) -> Result<(), Error> {
        if let Some(mut process) = self.processes.remove(&service) {
            process.stop(grace(service));
        } else {
            return Err(Error::new(format!("{service} is not part of this platform")));
        }
        self.launch(&[service], &mut |_| ())
    }

    /// Freezes a service (SIGSTOP): it holds its connections and answers nothing.
    pub fn pause(&mut self, service: Service) -> Result<(), Error> {
        self.running(service)?.signal(Signal::STOP);
        Ok(())
    }

    /// Lets a frozen service go on.
    pub fn resume(&mut self, service: Service) -> Result<(), Error> {
        self.running(service)?.signal(Signal::CONT);
        Ok(())
    }

    /// The first service that ended by itself, as an error with the end of its log.
    pub fn check(&mut self) -> Result<(), Error> {
        for process in self.processes.values_mut() {
            if let Some(status) = process.ended() {
                return Err(process.failure(&format!("ended ({status})")));
            }
        }
        Ok(())
    }

    /// Stops everything in reverse order: SIGTERM, a bounded wait, SIGKILL.
    pub fn stop(mut self) {
        while let Some((service, mut process)) = self.processes.pop_last() {
            process.stop(grace(service));
        }
    }

    fn running(&mut self, service: Service) -> Result<&mut Process, Error> {
        self.processes.get_mut(&service).ok_or_else(|| Error::new(format!("{service} is not part of this platform")))
    }

    /// Starts these together, then waits for each.
    fn launch(&mut self, services: &[Service], progress: &mut dyn FnMut(&str)) -> Result<(), Error> {
        for &service in services {
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
        let probe = self.plan.probe(service);
        let process = self.running(service)?;
        let what = format!("{service} getting ready");
        let mut ended = None;
        let ready = patiently(&what, limit, progress, || {
            ended = process.ended();
            ended.is_some() || probe.ready()
        });
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
        patiently("demo data", SEED_LIMIT, progress, || process.ended().is_some());
        match process.ended() {
            Some(status) if status.success() => Ok(()),
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
