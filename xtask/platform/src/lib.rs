//! The whole platform as processes on this machine: what `cargo xtask up`, the end-to-end tests and the benches run.
//!
//! - `options`: what to run. `artifacts`: where the built programs are. `platform`: start, kill, restart, stop.
//! - `services`: each service's command line and settings. `servers`: private MariaDB and Redis.
//! - `process`: a child process with its log. `probe`: asking whether one is ready. `ports`, `tls`: what they need first.

mod artifacts;
mod error;
mod options;
mod platform;
mod ports;
mod probe;
mod process;
mod servers;
mod services;
mod tls;

pub use artifacts::Artifacts;
pub use error::Error;
pub use options::{Edge, Options, Profile, Service};
pub use platform::{Addresses, Platform};
pub use probe::{get, wait_until};
pub use services::{TOSS_CLIENT_KEY, TOSS_SECRET_KEY};
pub use tls::TlsFiles;
