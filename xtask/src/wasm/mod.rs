//! A Rust compiler with the WASM targets: rustup's where it can be had, Debian's where rustup's server is out of reach.
mod debian;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths;
use crate::run::{Failure, Fallible, captured, cargo, find, say, shown, step};

/// The worker's target and the component's.
pub(crate) const TARGETS: [&str; 2] = ["wasm32-unknown-unknown", "wasm32-wasip2"];

/// Settings under which cargo builds for WASM.
#[derive(Debug, Default)]
pub(crate) struct Toolchain {
    env: Vec<(String, OsString)>,
}

impl Toolchain {
    /// Finds one, or makes one. `NUGUL_WASM_STD=debian` goes the Debian way without asking rustup.
    pub(crate) fn ensure() -> Fallible<Self> {
        let native = native_rustc();
        if env::var_os("NUGUL_WASM_STD").is_some_and(|value| value == "debian") {
            return debian::ensure(&native);
        }
        if has_targets(&native) {
            return Ok(Self::default());
        }
        if find("rustup").is_some() {
            let added = step("asking rustup for the WASM targets", || {
                let mut command = Command::new("timeout");
                command.args(["120", "rustup", "target", "add"]).args(TARGETS).env("RUSTUP_MAX_RETRIES", "1");
                captured(command.current_dir(paths::root()))
            });
            match added {
                Ok(_) if has_targets(&native) => return Ok(Self::default()),
                Ok(_) => say("rustup added the WASM targets to another toolchain than the one in use"),
                Err(_) => {
                    say("rustup cannot fetch the WASM targets here; taking Debian's compiler for WASM builds only");
                }
            }
        }
        debian::ensure(&native).map_err(|failure| {
            Failure::new(format!("no compiler for WASM: {failure}. Install the targets {} by hand", TARGETS.join(" ")))
        })
    }

    /// Builds one edge crate; returns the path of its module.
    pub(crate) fn build(&self, package: &str, target: &str) -> Fallible<PathBuf> {
        let mut command = cargo();
        command
            .args(["build", "--quiet", "--profile", "edge", "--package", package, "--target", target, "--target-dir"])
            .arg(paths::target_wasm())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env_remove("RUSTFLAGS");
        step(&format!("building {package}"), || shown(&mut command))?;
        Ok(paths::target_wasm().join(target).join("edge").join(package.replace('-', "_")).with_extension("wasm"))
    }
}

/// rustup's own compiler, whatever `RUSTC` says.
fn native_rustc() -> PathBuf {
    captured(Command::new("rustup").args(["which", "rustc"]).current_dir(paths::root()))
        .map_or_else(|_| PathBuf::from("rustc"), |path| PathBuf::from(path.trim()))
}

/// Whether this compiler has the standard library of every target.
fn has_targets(rustc: &Path) -> bool {
    TARGETS.iter().all(|target| {
        captured(Command::new(rustc).args(["--print", "target-libdir", "--target", target]))
            .ok()
            .and_then(|dir| fs::read_dir(dir.trim()).ok())
            .is_some_and(|mut files| {
                files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libstd-")))
            })
    })
}
