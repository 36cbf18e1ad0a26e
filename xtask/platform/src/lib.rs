//! The whole platform as processes on this machine: what `cargo xtask up`, the end-to-end tests and the benches run.
//!
//! - `options`: what to run. `artifacts`: where the built programs are. `platform`: start, kill, restart, stop.
//! - `services`: each service's command line and settings. `servers`, `database`: a private MariaDB. `redis`, `resp`: private Redis sets.
//! - `restarts`: when what ended by itself is started again. `interrupt`: the wish to stop, seen by everything that waits.
//! - `opensearch`: a private OpenSearch. `cargo`: cargo as a shell starts it.
//! - `process`: a child process with its log. `probe`: asking whether one is ready. `ports`, `tls`: what they need first.

mod artifacts;
mod cargo;
mod database;
mod error;
mod interrupt;
mod opensearch;
mod options;
mod platform;
mod ports;
mod probe;
mod process;
mod redis;
mod resp;
mod restarts;
mod servers;
mod services;
mod tls;

pub use artifacts::Artifacts;
pub use cargo::cargo;
pub use database::Database;
pub use error::Error;
pub use interrupt::Interrupt;
pub use opensearch::{OpenSearch, cache_dir};
pub use options::{Edge, Member, Options, Profile, Redis, SearchServer, Service};
pub use platform::{Addresses, Platform};
pub use probe::{get, wait_until};
pub use redis::{RedisPorts, RedisSet};
pub use resp::redis_command;
pub use services::{EDGE_KEY, TOSS_CLIENT_KEY, TOSS_SECRET_KEY};
pub use tls::TlsFiles;
