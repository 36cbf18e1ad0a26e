//! `cargo xtask chaos`: builds the services, then runs the chaos program, or the purchases of the payment service, on them.
use nugul_platform::{Edge, Redis};

use crate::args::Args;
use crate::build::{self, Optimised, Wanted};
use crate::run::{Failure, Fallible, cargo, shown};
use crate::tools;

/// How many purchases are made where nobody says.
const PURCHASES: u64 = 10_000;

/// Purchases while the payment service is killed again and again and the provider fails one request in five: the test that
/// always runs, at its full size.
fn payments(args: &Args) -> Fallible {
    let mut command = cargo();
    command.args(["test", "--quiet", "--package", "nugul-payment", "--test", "suite", "--"]);
    command.args(["--nocapture", "killed_again_and_again"]);
    command.env("NUGUL_TEST_PURCHASES", args.value::<u64>("purchases")?.unwrap_or(PURCHASES).to_string());
    if let Some(seed) = args.value::<u64>("seed")? {
        command.env("NUGUL_TEST_SEED", seed.to_string());
    }
    if let Some(file) = args.path("json") {
        command.env("NUGUL_TEST_TOTALS", std::path::absolute(file)?);
    }
    shown(&mut command)
}

/// The flags with a value that go to the program as they are.
pub(crate) const PASSED_ON: [&str; 4] = ["clients", "seats", "seed", "readers"];

pub(crate) fn chaos(args: &Args) -> Fallible {
    let name = args.words.first().ok_or_else(|| Failure::new("which chaos? `rush`, `streams`, `payments` or `sim`"))?;
    if name == "payments" {
        return payments(args);
    }
    tools::ensure(&[tools::DATABASES])?;
    let edges = if name == "streams" { vec![Edge::Cloudflare] } else { Vec::new() };
    // As they are deployed: thousands at once are too many for programs that were not optimised.
    build::build(&Wanted { native: Some(Optimised::Yes), edges, wrangler: false })?;
    let mut command = cargo();
    command.args(["run", "--release", "--quiet", "--package", "nugul-chaos", "--", name]);
    for flag in PASSED_ON {
        if let Some(number) = args.value::<u64>(flag)? {
            command.arg(format!("--{flag}")).arg(number.to_string());
        }
    }
    if let Some(redis) = args.value::<Redis>("redis")? {
        command.arg("--redis").arg(redis.to_string());
    }
    if let Some(file) = args.path("json") {
        command.arg("--json").arg(std::path::absolute(file)?);
    }
    shown(&mut command)
}
