//! `cargo xtask bench`: builds what the bench needs, optimised, then runs the bench program.
use nugul_platform::Edge;

use crate::args::Args;
use crate::build::{self, Optimised, Wanted};
use crate::run::{Failure, Fallible, cargo, shown};
use crate::tools;

/// Benches of the services alone.
const WITHOUT_EDGE: [&str; 4] = ["relevance", "holds", "orders", "payments"];

pub(crate) fn bench(args: &Args) -> Fallible {
    let name = args.words.first().ok_or_else(|| Failure::new("which bench? NAME or `all`"))?;
    let edges = if WITHOUT_EDGE.contains(&name.as_str()) { Vec::new() } else { vec![Edge::Cloudflare, Edge::Spin] };
    tools::ensure(&[tools::DATABASES])?;
    if ["search", "relevance", "all"].contains(&name.as_str()) {
        tools::ensure(&[tools::OPENSEARCH])?;
    }
    build::build(&Wanted { native: Some(Optimised::Yes), edges, wrangler: false })?;
    if ["fanout", "all"].contains(&name.as_str()) {
        tools::ensure_nchan();
    }
    let mut command = cargo();
    command.args(["run", "--release", "--quiet", "--package", "nugul-bench", "--", name]);
    for flag in ["json", "catalogue", "queries"] {
        if let Some(file) = args.path(flag) {
            command.arg(format!("--{flag}")).arg(std::path::absolute(file)?);
        }
    }
    if let Some(events) = args.value::<u32>("events")? {
        command.arg("--events").arg(events.to_string());
    }
    if args.has("tune") {
        command.arg("--tune");
    }
    shown(&mut command)
}
