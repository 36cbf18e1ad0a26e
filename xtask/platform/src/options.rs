//! What to run: profile, edge, data; and the names of the services.
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Interrupt};

/// What the services keep their state in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// `SQLite` files and in-process coordination: nothing but our own programs.
    #[default]
    Embedded,
    /// `MariaDB` and Redis.
    Distributed,
}

/// Which Redis the distributed profile runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Redis {
    /// One server.
    #[default]
    Single,
    /// A master with two replicas, and three sentinels that fail over.
    Sentinel,
    /// A cluster of three masters with a replica each.
    Cluster,
}

impl Redis {
    /// How many servers it has.
    pub const fn servers(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Sentinel => 3,
            Self::Cluster => 6,
        }
    }

    /// How many sentinels it has.
    pub const fn sentinels(self) -> usize {
        match self {
            Self::Sentinel => 3,
            Self::Single | Self::Cluster => 0,
        }
    }
}

/// Which OpenSearch the distributed profile has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SearchServer {
    /// None: the coordinator searches its catalogue itself.
    #[default]
    None,
    /// The one that `NUGUL_OPENSEARCH_URL` names, else one of the platform's own.
    Private,
    /// One that is there, with indexes named after this platform alone.
    Shared {
        /// Its address.
        url: String,
        /// What the names of its indexes begin with.
        prefix: String,
    },
}

/// Which edge stands in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edge {
    /// The Cloudflare Worker, on workerd (or on `wrangler dev`).
    Cloudflare,
    /// The WASI component, on Spin (or on wasmtime).
    Spin,
}

/// One process of the platform, in the order they start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// The private `MariaDB` of the distributed profile.
    MariaDb,
    /// The private Redis of the distributed profile.
    Redis,
    /// The sentinels of that Redis, where it has any.
    Sentinel,
    /// The private OpenSearch of the distributed profile.
    OpenSearch,
    /// The mail outbox.
    Mail,
    /// The Toss simulator.
    Toss,
    /// The payment service.
    Payment,
    /// The coordinator.
    Coordinator,
    /// The edge.
    Edge,
}

impl Service {
    /// Every service, in the order they start.
    pub const ALL: [Self; 9] = [
        Self::MariaDb,
        Self::Redis,
        Self::Sentinel,
        Self::OpenSearch,
        Self::Mail,
        Self::Toss,
        Self::Payment,
        Self::Coordinator,
        Self::Edge,
    ];
}

/// One process of a service that may have several; a [`Service`] alone means its first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The service.
    pub service: Service,
    /// Which of its processes, from 0.
    pub index: usize,
}

impl From<Service> for Member {
    fn from(service: Service) -> Self {
        Self { service, index: 0 }
    }
}

impl From<(Service, usize)> for Member {
    fn from((service, index): (Service, usize)) -> Self {
        Self { service, index }
    }
}

/// What to run, and where its data lives.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What the services keep their state in.
    pub profile: Profile,
    /// Which Redis the distributed profile runs.
    pub redis: Redis,
    /// Which OpenSearch the distributed profile has.
    pub opensearch: SearchServer,
    /// The edge in front; none leaves the coordinator alone.
    pub edge: Option<Edge>,
    /// Everything the run writes: databases, mail, certificates, logs. Made when absent.
    pub data_dir: PathBuf,
    /// A catalogue file to fill an empty database with.
    pub catalogue: Option<PathBuf>,
    /// How many events the demo catalogue grows to.
    pub events: Option<u32>,
    /// Fill an empty database with demo accounts, whose password everyone knows, and events. Also done when `catalogue` or
    /// `events` is given.
    pub demo: bool,
    /// More settings of the coordinator and the payment service, by name, as their `--help` lists them.
    pub settings: Vec<(String, String)>,
    /// More settings of the edge.
    pub edge_settings: Vec<(String, String)>,
    /// Regions besides this one that the edge asks: number and coordinator.
    pub more_regions: Vec<(u8, String)>,
    /// Raised by whoever no longer wants it: a start then ends with an error, and leaves nothing running.
    pub interrupt: Interrupt,
}

macro_rules! names {
    ($type:ident, $what:literal, $($variant:ident = $name:literal),+) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $name),+ })
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(Error::new(format!(concat!("unknown ", $what, " {:?}: one of ", $($name, " "),+), text))),
                }
            }
        }
    };
}

names!(Profile, "profile", Embedded = "embedded", Distributed = "distributed");
names!(Redis, "redis", Single = "single", Sentinel = "sentinel", Cluster = "cluster");
names!(Edge, "edge", Cloudflare = "cloudflare", Spin = "spin");
names!(
    Service,
    "service",
    MariaDb = "mariadb",
    Redis = "redis",
    Sentinel = "sentinel",
    OpenSearch = "opensearch",
    Mail = "mail",
    Toss = "toss",
    Payment = "payment",
    Coordinator = "coordinator",
    Edge = "edge"
);
