//! Where the built programs and the tools that run the edges are: written by `cargo xtask build`, read by whoever runs the platform.
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;

/// Names the file to read instead of the one in the target directory.
const VARIABLE: &str = "NUGUL_TEST_ARTIFACTS";

/// Paths of everything that the platform runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Artifacts {
    /// The directory of the native programs.
    pub binaries: PathBuf,
    /// The directory with the worker's `index.js` and `index_bg.wasm`.
    pub worker_bundle: Option<PathBuf>,
    /// The workerd program.
    pub workerd: Option<PathBuf>,
    /// The wrangler program; when given, the worker runs on `wrangler dev` instead of workerd.
    pub wrangler: Option<PathBuf>,
    /// The project's root, where `wrangler.toml` and `spin.toml` are.
    pub root: PathBuf,
    /// The WASI component.
    pub component: Option<PathBuf>,
    /// The Spin program; when given, the component runs on it instead of wasmtime.
    pub spin: Option<PathBuf>,
    /// The wasmtime program.
    pub wasmtime: Option<PathBuf>,
    /// The Chromium program, for the browser tests.
    pub chromium: Option<PathBuf>,
    /// The chromedriver program, for the browser tests.
    pub chromedriver: Option<PathBuf>,
}

impl Artifacts {
    /// What the file named by `NUGUL_TEST_ARTIFACTS` says, or the last `cargo xtask build`.
    pub fn from_env() -> Result<Self, Error> {
        let path = env::var_os(VARIABLE).map_or_else(Self::default_file, PathBuf::from);
        let text = fs::read_to_string(&path).map_err(|error| {
            Error::new(format!("nothing is built yet ({}: {error}); run `cargo xtask build`", path.display()))
        })?;
        serde_json::from_str(&text).map_err(|error| Error::new(format!("{}: {error}", path.display())))
    }

    /// Where `cargo xtask build` leaves its list.
    pub fn default_file() -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("nugul-artifacts.json")
    }

    /// Writes the list, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::new(error.to_string()))?;
        let new = path.with_extension("new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, path))
            .map_err(|error| Error::io("cannot write", path, &error))
    }

    /// A native program by name.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }
}
