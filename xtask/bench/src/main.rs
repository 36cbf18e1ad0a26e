//! `nugul-bench`: how fast the platform answers, and how well, in figures that are compared within one run.
//!
//! - `smoke`: searches and pages at the edge, and holds through the edge and past it, on the embedded profile behind workerd.
//! - `search`: the same searches at both edges, at the coordinator and in OpenSearch, with 20,000 and 200,000 events; and
//!   votes counted in the rankings.
//! - `relevance`: how well judged queries are answered, beside OpenSearch.
//! - `holds`: four seats at a time through the coordinator, on Redis and `MariaDB`, beside other ways to do it (`rivals`).
//! - `orders`: from the hold to the ticket through all services, on `MariaDB` and on `SQLite`, beside bare commits.
//! - `fanout`: one seat change to thousands of readers, at the coordinator and at the edges, beside nchan and Centrifuge.
//! - `payments`: the payment service alone: its history as a stream beside REST, its confirms, its books compared.
//!
//! `crowd` is thousands of readers, `nchan` and `centrifuge` their other servers.
//! `ground` is the platform under a bench and its buyers, `wire` the client, `peer` OpenSearch to compare with, `load` and
//! `cpu` what is measured, `report` what is said.

mod centrifuge;
mod cpu;
mod crowd;
mod fanout;
mod ground;
mod holds;
mod load;
mod nchan;
mod orders;
mod payments;
mod peer;
mod relevance;
mod report;
mod rivals;
mod search;
mod smoke;
mod wire;

use std::{env, path::PathBuf, process::ExitCode};

const USAGE: &str = "usage: nugul-bench smoke|search|relevance|holds|orders|payments|fanout|all [--json FILE]
  relevance: [--catalogue FILE] [--queries FILE] [--tune]
  search: [--events N]";

/// Every bench, in the order `all` runs them.
const BENCHES: [&str; 7] = ["smoke", "search", "relevance", "holds", "orders", "payments", "fanout"];

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    name: String,
    /// Where the report goes.
    json: Option<PathBuf>,
    /// Events to search in, JSON lines; the shipped ones where absent.
    pub(crate) catalogue: Option<PathBuf>,
    /// Judged queries, JSON lines; the shipped ones where absent.
    pub(crate) queries: Option<PathBuf>,
    /// Whether better weights are looked for.
    pub(crate) tune: bool,
    /// One size of the catalogue to search; both where absent.
    pub(crate) events: Option<u32>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(arguments) = Arguments::read(env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut reports = Vec::new();
    for bench in BENCHES.into_iter().filter(|bench| arguments.name == "all" || arguments.name == *bench) {
        let report = match bench {
            "fanout" => Ok(fanout::run().await),
            "holds" => Ok(holds::run().await),
            "orders" => Ok(orders::run().await),
            "payments" => Ok(payments::run().await),
            "search" => search::run(&arguments).await,
            "relevance" => relevance::run(&arguments).await,
            _ => Ok(smoke::run().await),
        };
        match report {
            Ok(report) => reports.push(report),
            Err(why) => {
                eprintln!("{bench}: {why}");
                return ExitCode::FAILURE;
            }
        }
    }
    // One bench is one object; all of them are an array of such.
    let text = match reports.as_slice() {
        [] => {
            eprintln!("no bench {:?}; {USAGE}", arguments.name);
            return ExitCode::from(2);
        }
        [report] => serde_json::to_string_pretty(report),
        reports => serde_json::to_string_pretty(reports),
    };
    let text = match text {
        Ok(text) => text + "\n",
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    print!("{text}");
    match arguments.json.map(|file| std::fs::write(&file, &text).map_err(|e| format!("{}: {e}", file.display()))) {
        Some(Err(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

impl Arguments {
    fn read(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut all = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--json" => all.json = Some(PathBuf::from(words.next()?)),
                "--catalogue" => all.catalogue = Some(PathBuf::from(words.next()?)),
                "--queries" => all.queries = Some(PathBuf::from(words.next()?)),
                "--events" => all.events = Some(words.next()?.parse().ok()?),
                "--tune" => all.tune = true,
                _ if all.name.is_empty() && !word.starts_with('-') => all.name = word,
                _ => return None,
            }
        }
        (!all.name.is_empty()).then_some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_what_goes_with_it() {
        let read = |text: &str| Arguments::read(text.split_whitespace().map(str::to_owned));
        let named = |name: &str| Arguments { name: name.into(), ..Arguments::default() };
        assert_eq!(read("smoke"), Some(named("smoke")));
        assert_eq!(read("smoke --json a.json"), Some(Arguments { json: Some("a.json".into()), ..named("smoke") }));
        let own = read("relevance --catalogue c --queries q --tune");
        let expected =
            Arguments { catalogue: Some("c".into()), queries: Some("q".into()), tune: true, ..named("relevance") };
        assert_eq!(own, Some(expected));
        assert_eq!(read("search --events 500").and_then(|a| a.events), Some(500));
        for bad in ["", "smoke --json", "smoke more", "--tune", "search --events many"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
