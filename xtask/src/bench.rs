//! `cargo xtask bench`: builds everything optimised, then runs the bench program.
use nugul_platform::Edge;

use crate::args::Args;
use crate::build::{self, Optimised, Wanted, cargo};
use crate::run::{Failure, Fallible, shown};

pub(crate) fn bench(args: &Args) -> Fallible {
    let name = args.words.first().ok_or_else(|| Failure::new("which bench? NAME or `all`"))?;
    build::build(&Wanted { native: Some(Optimised::Yes), edges: vec![Edge::Cloudflare, Edge::Spin], wrangler: false })?;
    let mut command = cargo();
    command.args(["run", "--release", "--quiet", "--package", "nugul-bench", "--", name]);
    if let Some(file) = args.path("json") {
        command.arg("--json").arg(std::path::absolute(file)?);
    }
    shown(&mut command)
}
