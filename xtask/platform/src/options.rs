//! What to run: profile, edge, data; and the names of the services.
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

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
    pub const ALL: [Self; 7] =
        [Self::MariaDb, Self::Redis, Self::Mail, Self::Toss, Self::Payment, Self::Coordinator, Self::Edge];
}

/// What to run, and where its data lives.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What the services keep their state in.
    pub profile: Profile,
    /// The edge in front; none leaves the coordinator alone.
    pub edge: Option<Edge>,
    /// Everything the run writes: databases, mail, certificates, logs. Made when absent.
    pub data_dir: PathBuf,
    /// A catalogue file to fill an empty database with.
    pub catalogue: Option<PathBuf>,
    /// How many events the demo catalogue grows to.
    pub events: Option<u32>,
    /// Fill an empty database with demo accounts and events. Also done when `catalogue` or `events` is given.
    pub demo: bool,
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
names!(Edge, "edge", Cloudflare = "cloudflare", Spin = "spin");
names!(
    Service,
    "service",
    MariaDb = "mariadb",
    Redis = "redis",
    Mail = "mail",
    Toss = "toss",
    Payment = "payment",
    Coordinator = "coordinator",
    Edge = "edge"
);
