//! `cargo xtask test`: unit tests, then the end-to-end tests in every profile behind every edge, and one line of totals.
use nugul_platform::{Artifacts, Database, Edge, Profile, Redis};

use crate::args::Args;
use crate::build::{self, Optimised, Wanted};
use crate::run::{Failure, Fallible, cargo, say, step, watched};
use crate::tools;

/// The package of the end-to-end tests, and its test program.
const END_TO_END: (&str, &str) = ("nugul-tests", "end_to_end");
/// The test program of the simulation.
const SIMULATED: &str = "simulation";

/// How many tests ended how.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Totals {
    /// Counts one line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn count(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else { return };
        for part in counts.split([';', '.']) {
            let mut words = part.split_whitespace();
            if let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse::<u64>), words.next()) {
                match what {
                    "passed" => self.passed += number,
                    "failed" => self.failed += number,
                    "ignored" => self.skipped += number,
                    _ => {}
                }
            }
        }
    }

    /// Something that kept tests from running is a failure too.
    fn broken(&mut self, what: &str) {
        say(what);
        self.failed += 1;
    }
}

pub(crate) fn test(args: &Args) -> Fallible {
    let filter = args.words.first().map(String::as_str);
    let profiles =
        args.value::<Profile>("profile")?.map_or(vec![Profile::Embedded, Profile::Distributed], |one| vec![one]);
    let edges = args.value::<Edge>("edge")?.map_or(vec![Edge::Cloudflare, Edge::Spin], |one| vec![one]);
    let redis = args.value::<Redis>("redis")?;
    let mut totals = Totals::default();

    if let Err(failure) = tools::ensure(&[tools::DATABASES, tools::OPENSEARCH, tools::BROWSER]) {
        totals.broken(&failure.to_string());
    }
    let mut built = Vec::new();
    if let Err(failure) = build_one(Some(Optimised::No), None) {
        totals.broken(&format!("the services do not build: {failure}"));
    }
    for &edge in &edges {
        match build_one(None, Some(edge)) {
            Ok(()) => built.push(edge),
            Err(failure) => totals.broken(&format!("the {edge} edge does not build: {failure}")),
        }
    }

    cargo_test("unit tests", &mut totals, &[], filter, |command| {
        build::all_native(command);
        command.args(["--exclude", END_TO_END.0]);
    });
    cargo_test("simulation", &mut totals, &[], filter, |command| {
        build::all_but(command, build::WASM_ONLY);
        command.args(["--test", SIMULATED]);
    });
    if profiles.contains(&Profile::Distributed) {
        on_mariadb(&mut totals, filter);
    }
    for &profile in &profiles {
        for &edge in &built {
            let redis = redis.unwrap_or_else(|| redis_behind(edge));
            let settings = [
                ("NUGUL_TEST_PROFILE", profile.to_string()),
                ("NUGUL_TEST_REDIS", redis.to_string()),
                ("NUGUL_TEST_EDGE", edge.to_string()),
            ];
            let kept = if profile == Profile::Distributed {
                format!("{profile} ({redis} Redis)")
            } else {
                profile.to_string()
            };
            let name = format!("end-to-end tests, {kept}, {edge}");
            cargo_test(&name, &mut totals, &settings, filter, |command| {
                build::all_native(command);
                command.args(["--test", END_TO_END.1]);
            });
        }
    }

    println!("{} passed, {} failed, {} skipped", totals.passed, totals.failed, totals.skipped);
    if totals.failed > 0 {
        Err(Failure::new("tests failed"))
    } else if totals.passed == 0 {
        Err(Failure::new("no test ran"))
    } else {
        Ok(())
    }
}

/// The payment service's test program, which takes a database server: a database of its own for each test.
const ON_MARIADB: &str = "suite";

/// The same tests once more, on a private MariaDB.
fn on_mariadb(totals: &mut Totals, filter: Option<&str>) {
    let folder = std::env::temp_dir().join(format!("nugul-test-mariadb-{}", std::process::id()));
    match Database::start(&folder) {
        Ok(database) => {
            let settings = [("NUGUL_TEST_MYSQL_URL", database.url())];
            cargo_test("unit tests on MariaDB", totals, &settings, filter, |command| {
                build::all_native(command);
                command.args(["--test", ON_MARIADB]);
            });
        }
        Err(error) => totals.broken(&format!("unit tests on MariaDB: {error}")),
    }
    // What stays behind is in the system's folder for such things.
    let _ = std::fs::remove_dir_all(&folder);
}

/// One run of the distributed profile has one Redis, the other a cluster: both are tested, and nothing runs twice.
const fn redis_behind(edge: Edge) -> Redis {
    match edge {
        Edge::Cloudflare => Redis::Single,
        Edge::Spin => Redis::Cluster,
    }
}

fn build_one(native: Option<Optimised>, edge: Option<Edge>) -> Fallible {
    build::build(&Wanted { native, edges: edge.into_iter().collect(), wrangler: false }).map(|_| ())
}

fn cargo_test(
    name: &str,
    totals: &mut Totals,
    settings: &[(&str, String)],
    filter: Option<&str>,
    choose: impl FnOnce(&mut std::process::Command),
) {
    let failed_before = totals.failed;
    let mut command = cargo();
    command.args(["test", "--no-fail-fast"]);
    choose(&mut command);
    command.args(filter);
    command.env("NUGUL_TEST_ARTIFACTS", Artifacts::default_file());
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    let ended = step(name, || watched(&mut command, |line| totals.count(line)));
    match ended {
        Ok(true) => {}
        Ok(false) if totals.failed > failed_before => say(&format!("{name}: failed")),
        Ok(false) => totals.broken(&format!("{name}: did not build or did not finish")),
        Err(failure) => totals.broken(&format!("{name}: {failure}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_added_up() {
        let mut totals = Totals::default();
        totals.count("running 4 tests");
        totals.count("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.02s");
        totals
            .count("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s");
        assert_eq!(totals, Totals { passed: 5, failed: 1, skipped: 1 });
    }
}
