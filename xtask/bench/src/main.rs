//! `nugul-bench`: how fast the platform answers, in figures that are compared within one run.
//!
//! `smoke`: searches and pages at the edge, and holds through the edge and past it, on the embedded profile behind workerd.

mod load;
mod report;
mod smoke;

use std::{env, path::PathBuf, process::ExitCode};

const USAGE: &str = "usage: nugul-bench smoke|all [--json FILE]";

#[tokio::main]
async fn main() -> ExitCode {
    let Some((name, file)) = arguments(env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let report = match name.as_str() {
        "smoke" | "all" => smoke::run().await,
        _ => {
            eprintln!("no bench {name:?}; {USAGE}");
            return ExitCode::from(2);
        }
    };
    let text = match serde_json::to_string_pretty(&report) {
        Ok(text) => text + "\n",
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    print!("{text}");
    match file.map(|file| std::fs::write(&file, &text).map_err(|error| format!("{}: {error}", file.display()))) {
        Some(Err(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// The bench's name and where its report goes.
fn arguments(mut args: impl Iterator<Item = String>) -> Option<(String, Option<PathBuf>)> {
    let (mut name, mut file) = (None, None);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => file = Some(PathBuf::from(args.next()?)),
            _ if name.is_none() && !arg.starts_with('-') => name = Some(arg),
            _ => return None,
        }
    }
    name.map(|name| (name, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_perhaps_a_file() {
        let parse = |text: &str| arguments(text.split_whitespace().map(str::to_owned));
        assert_eq!(parse("smoke"), Some(("smoke".into(), None)));
        assert_eq!(parse("smoke --json a.json"), Some(("smoke".into(), Some("a.json".into()))));
        assert!(parse("").is_none() && parse("smoke --json").is_none() && parse("smoke more").is_none());
    }
}
