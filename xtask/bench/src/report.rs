//! What a bench says: one JSON object, the same for each.

use std::process::Command;

use serde::Serialize;
use serde_json::json;

/// One figure.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) what: String,
    /// In which unit.
    pub(crate) unit: &'static str,
    /// The figure.
    pub(crate) value: f64,
}

impl Figure {
    /// A figure, kept to three digits after the point.
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self { what: what.into(), unit, value: (value * 1000.0).round() / 1000.0 }
    }
}

/// A whole report.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The bench.
    pub(crate) name: &'static str,
    /// What was measured of the source: its commit, with a `+` where files differ from it.
    pub(crate) commit: String,
    /// The profile of the platform.
    pub(crate) profile: String,
    /// What was done, in numbers.
    pub(crate) work: serde_json::Value,
    /// The figures.
    pub(crate) results: Vec<Figure>,
    /// What they were compared with, in the same run.
    pub(crate) baseline: &'static str,
}

/// The machine and how busy it was with other things: processors, and the load averages before the bench began.
pub(crate) fn machine() -> serde_json::Value {
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    eprintln!("{processors} processors, load averages before the run: {load}");
    json!({ "processors": processors, "load_averages_before": load })
}

/// The commit of the source; `unknown` outside a repository.
pub(crate) fn commit() -> String {
    let git = |args: &[&str]| {
        let out = Command::new("git").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    let differs = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|files| !files.is_empty());
    if differs { commit + "+" } else { commit }
}
