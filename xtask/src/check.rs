//! `cargo xtask check`: format, lints, the contracts' golden files, WASM builds, dependency policy. Everything runs; the failures are named at the end.
use crate::build::{self, Wanted};
use crate::run::{Failure, Fallible, cargo, find, say, shown, step};
use nugul_platform::Edge;

pub(crate) fn check() -> Fallible {
    let mut failed = Vec::new();
    let mut run = |name: &'static str, work: &mut dyn FnMut() -> Fallible| {
        if let Err(failure) = step(name, work) {
            say(&format!("{name}: {failure}"));
            failed.push(name);
        }
    };
    run("format", &mut || shown(cargo().args(["fmt", "--all", "--", "--check"])));
    run("lints", &mut || {
        let mut command = cargo();
        command.args(["clippy", "--quiet", "--all-targets"]);
        build::all_but(&mut command, build::WASM_ONLY);
        shown(command.args(["--", "--deny", "warnings"]))
    });
    run("contracts", &mut || {
        shown(cargo().args(["test", "--quiet", "-p", "nugul-coordinator", "-p", "nugul-proto", "--lib", "--tests"]))
    });
    run("edges", &mut || {
        build::build(&Wanted { native: None, edges: vec![Edge::Cloudflare, Edge::Spin], wrangler: false }).map(|_| ())
    });
    if find("cargo-deny").is_some() {
        run("dependency policy", &mut || shown(cargo().args(["deny", "check", "bans", "licenses", "sources"])));
    } else {
        say("dependency policy: not checked, cargo-deny is not installed (cargo install --locked cargo-deny)");
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(format!("failed: {}", failed.join(", ")))) }
}
