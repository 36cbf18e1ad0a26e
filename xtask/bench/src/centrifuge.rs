//! The Centrifuge library in a small server of event streams (`xtask/bench/centrifuge`), in one run with what is measured
//! beside it. It is built where Go is there.

use std::{
    env,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Centrifuge {
    child: Child,
    program: PathBuf,
    /// Its address.
    pub(crate) origin: String,
}

impl Centrifuge {
    /// Builds and starts one; nothing where Go is not there or has not got the module.
    pub(crate) fn start() -> Option<Self> {
        let program = env::temp_dir().join(format!("nugul-bench-centrifuge-{}", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/centrifuge");
        let built = Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(source).output();
        match built {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                eprintln!("Centrifuge is not built: {}", String::from_utf8_lossy(&output.stderr));
                return None;
            }
            Err(e) => {
                eprintln!("Go is not there (Debian: golang-go), so Centrifuge is not beside: {e}");
                return None;
            }
        }
        let mut child = Command::new(&program).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut origin = String::new();
        let said = child.stdout.take().expect("piped");
        BufReader::new(said).read_line(&mut origin).expect("an address");
        Some(Self { child, program, origin: origin.trim().to_owned() })
    }

    /// Its process.
    pub(crate) fn processes(&self) -> Vec<u32> {
        vec![self.child.id()]
    }
}

impl Drop for Centrifuge {
    fn drop(&mut self) {
        // What is gone already is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.program);
    }
}
