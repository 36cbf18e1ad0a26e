//! cargo, as a shell starts it.

use std::{env, process::Command};

/// What cargo tells programs that it runs of their own package.
const OF_A_PACKAGE: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

/// cargo, without what the cargo that runs this program says of its package. Build scripts that read such variables (ring's
/// does) would run again, and all that depends on them be built again, whenever it is another package that starts cargo.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| OF_A_PACKAGE.iter().any(|of| name.starts_with(of))) {
            command.env_remove(name);
        }
    }
    command
}
