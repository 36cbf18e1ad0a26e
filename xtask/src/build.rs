//! `cargo xtask build`: the native programs, both edges, and the list of where everything is.
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nugul_platform::{Artifacts, Edge};

use crate::paths;
use crate::run::{Failure, Fallible, captured, cargo, find, say, shown, step};
use crate::tools::{self, Npm};
use crate::wasm::Toolchain;

/// The platform's native programs: package and program.
const PROGRAMS: [(&str, &str); 4] = [
    ("nugul-coordinator", "nugul-coordinator"),
    ("nugul-payment", "nugul-payment"),
    ("nugul-toss-simulator", "toss-simulator"),
    ("nugul-mail-outbox", "nugul-mail-outbox"),
];

/// The edges, which are built for WASM alone.
pub(crate) const WASM_ONLY: [&str; 2] = ["nugul-edge-cloudflare", "nugul-edge-spin"];
/// The simulation, which compiles switches into the services that nothing else may have.
pub(crate) const SIMULATION: &str = "nugul-simulation";

/// What the compiler may assume of a WASM engine; `--all-features` would let wasm-opt use what workerd lacks.
const WASM_FEATURES: [&str; 8] = [
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-multivalue",
    "--enable-exception-handling",
];

/// What to build.
pub(crate) struct Wanted {
    /// The native programs; optimised or not.
    pub(crate) native: Option<Optimised>,
    /// Which edges.
    pub(crate) edges: Vec<Edge>,
    /// Run the worker on `wrangler dev`, which builds it itself.
    pub(crate) wrangler: bool,
}

/// How the native programs are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Optimised {
    /// Quick to compile.
    No,
    /// Quick to run.
    Yes,
}

/// Builds, and writes the list for whoever runs the platform.
pub(crate) fn build(wanted: &Wanted) -> Fallible<Artifacts> {
    let optimised = wanted.native.unwrap_or(Optimised::No);
    let file = Artifacts::default_file();
    let mut artifacts: Artifacts =
        fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    artifacts.root = paths::root();
    artifacts.binaries = paths::target().join(if optimised == Optimised::Yes { "release" } else { "debug" });
    artifacts.chromium = tools::system("chromium");
    artifacts.chromedriver = tools::system("chromedriver");
    artifacts.wrangler = None;
    if wanted.native.is_some() {
        native(optimised)?;
    }
    for edge in &wanted.edges {
        match edge {
            Edge::Cloudflare if wanted.wrangler => artifacts.wrangler = Some(Npm::wrangler()?.bin("wrangler")),
            Edge::Cloudflare => cloudflare(&mut artifacts)?,
            Edge::Spin => spin(&mut artifacts)?,
        }
    }
    // Which runner of the worker was asked for concerns this run alone.
    Artifacts { wrangler: None, ..artifacts.clone() }.write(&file)?;
    Ok(artifacts)
}

/// Chooses all packages but these. cargo settles the features of what is chosen together, so commands that choose alike compile
/// their dependencies once; the targets they want are named besides.
pub(crate) fn all_but<'a>(command: &mut Command, left_out: impl IntoIterator<Item = &'a str>) {
    command.arg("--workspace");
    for package in left_out {
        command.args(["--exclude", package]);
    }
}

/// Chooses what the services, their tests and the tools are built from.
pub(crate) fn all_native(command: &mut Command) {
    all_but(command, WASM_ONLY.into_iter().chain([SIMULATION]));
}

fn native(optimised: Optimised) -> Fallible {
    let mut command = cargo();
    command.arg("build");
    match optimised {
        // With the features of the tests, so that both are compiled once.
        Optimised::No => {
            all_native(&mut command);
            for (_, program) in PROGRAMS {
                command.args(["--bin", program]);
            }
        }
        // With its own features and nothing more, as it is deployed.
        Optimised::Yes => {
            command.args(["--release", "--bins"]);
            for (package, _) in PROGRAMS {
                command.args(["--package", package]);
            }
        }
    }
    step("building the services", || shown(&mut command))
}

fn spin(artifacts: &mut Artifacts) -> Fallible {
    artifacts.component = Some(Toolchain::ensure()?.build("nugul-edge-spin", "wasm32-wasip2")?);
    artifacts.spin = find("spin");
    if artifacts.spin.is_some() {
        say("the component runs on the installed Spin");
    } else {
        artifacts.wasmtime = Some(tools::wasmtime()?);
        say("Spin is not installed: the component runs on wasmtime");
    }
    Ok(())
}

fn cloudflare(artifacts: &mut Artifacts) -> Fallible {
    let npm = Npm::edge_tools()?;
    let module = Toolchain::ensure()?.build("nugul-edge-cloudflare", "wasm32-unknown-unknown")?;
    let bindgen = paths::target().join("debug/nugul-bindgen");
    step("building nugul-bindgen", || {
        let mut command = cargo();
        command.args(["build", "--quiet", "--bin", "nugul-bindgen"]);
        all_native(&mut command);
        shown(&mut command)
    })?;
    artifacts.worker_bundle = Some(bundle(&npm, &module, &bindgen)?);
    artifacts.workerd = Some(npm.native("@cloudflare", "workerd")?);
    Ok(())
}

/// Glue code, optimisation and bundling; skipped when the module and the tool are those of the last bundle.
fn bundle(npm: &Npm, module: &PathBuf, bindgen: &PathBuf) -> Fallible<PathBuf> {
    let dir = paths::target().join("edge/cloudflare");
    let stamp = dir.join("made-from");
    let times = [module, bindgen].map(|path| fs::metadata(path).and_then(|data| data.modified()));
    let made_from = format!("{times:?} {}", fs::metadata(module)?.len());
    if fs::read_to_string(&stamp).is_ok_and(|old| old == made_from) {
        return Ok(dir);
    }
    let work = paths::target().join("edge/cloudflare.work");
    for path in [&work, &dir] {
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
        fs::create_dir_all(path)?;
    }
    step("bundling the worker", || {
        captured(Command::new(bindgen).arg(module).arg(&work))?;
        let plain = work.join("index_bg.wasm");
        let small = dir.join("index_bg.wasm");
        let optimised = captured(
            Command::new(npm.bin("wasm-opt")).arg("-O3").args(WASM_FEATURES).arg(&plain).arg("-o").arg(&small),
        );
        if let Err(failure) = optimised {
            say(&format!("the worker is not optimised: {failure}"));
            fs::copy(&plain, &small)?;
        }
        let mut esbuild = Command::new(npm.native("@esbuild", "esbuild")?);
        esbuild
            .args(["--bundle", "./shim.js", "--format=esm", "--minify", "--log-level=warning"])
            .args(["--external:./index_bg.wasm", "--external:cloudflare:*"])
            .arg(format!("--outfile={}", work.join("bundle.js").display()));
        captured(esbuild.current_dir(&work))?;
        // Source-phase imports are written as plain ones: workerd gives a module either way.
        let text = fs::read_to_string(work.join("bundle.js"))?.replace("import source ", "import ");
        fs::write(dir.join("index.js"), text)?;
        Ok(())
    })?;
    fs::remove_dir_all(&work)?;
    fs::write(stamp, made_from)?;
    let size = fs::metadata(dir.join("index_bg.wasm"))?.len();
    say(&format!("the worker: {} KB of WASM", size / 1024));
    if size == 0 {
        return Err(Failure::new("the worker's bundle is empty"));
    }
    Ok(dir)
}
