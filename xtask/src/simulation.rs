//! `cargo xtask chaos sim`: builds the simulation and runs its seeds.
use crate::args::Args;
use crate::run::{Fallible, cargo, shown};

/// The flags with a number that go to the program as they are.
const NUMBERS: [&str; 4] = ["seeds", "from", "threads", "seed"];

pub(crate) fn simulation(given: Vec<String>) -> Fallible {
    let args = Args::read(given, &[], &[&NUMBERS[..], &["plant"]].concat(), 1)?;
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "nugul-simulation", "--"]);
    for flag in NUMBERS {
        if let Some(number) = args.value::<u64>(flag)? {
            command.arg(format!("--{flag}")).arg(number.to_string());
        }
    }
    if let Some(bug) = args.value::<String>("plant")? {
        command.args(["--plant", &bug]);
    }
    shown(&mut command)
}
