//! Where things are: the project, its build output, and the cache outside the project.
use std::env;
use std::path::{Path, PathBuf};

/// The project's root.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Native build output.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// WASM build output: apart, so that the two compilers never invalidate each other's work.
pub(crate) fn target_wasm() -> PathBuf {
    root().join("target-wasm")
}

/// Tools that are fetched once for all checkouts.
pub(crate) fn cache() -> PathBuf {
    nugul_platform::cache_dir()
}
