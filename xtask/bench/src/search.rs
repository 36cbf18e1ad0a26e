//! `bench search`: the same searches at the edge on workerd and on wasmtime, in the coordinator's catalogue engine and in
//! OpenSearch through the coordinator, with 20,000 and 200,000 events; and votes counted in the rankings.

mod fresh;
mod index;
mod ngrams;
mod starts;
mod votes;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use nugul_catalog::Query;
use nugul_platform::{Edge, Options, Profile, Service};
use nugul_tests::people::in_days;
use serde_json::json;

use crate::{
    Arguments,
    ground::Ground,
    load::{Measured, median},
    peer::{CatalogueFile, FullText, search_path},
    relevance::judged,
    report::{Figure, Report, commit, machine},
    wire::{Ask, Wire},
};

/// Events in the catalogue: a country's, and ten times that.
const SIZES: [u32; 2] = [20_000, 200_000];
/// Clients at once, each on a connection of its own.
const CLIENTS: usize = 16;
/// Searches of each client where the catalogue engine answers.
const SEARCHES_PER_CLIENT: usize = 1_000;
/// Searches of each client where OpenSearch answers: as many as fit into about the same time.
const SEARCHES_PER_CLIENT_FULL_TEXT: usize = 120;
/// A load begins with a part of it that is not measured: one search of so many.
const WARM_UP_SHARE: usize = 4;
/// Results of a page, as people see them.
const PAGE: usize = 20;
const MB: f64 = 1_000_000.0;
/// Times that one client asks each query for the time it takes within the isolate.
const REPEATS: usize = 15;

/// Runs it.
pub(crate) async fn run(arguments: &Arguments) -> Result<Report, String> {
    let about = machine();
    let sizes = arguments.events.map_or(SIZES.to_vec(), |events| vec![events]);
    let paths: Vec<String> =
        judged::tune().iter().chain(&judged::holdout()).map(|j| search_path(&j.query, PAGE)).collect();
    let paths = Arc::new(paths);
    let mut results = Vec::new();
    for size in &sizes {
        results.extend(with(*size, &paths).await?);
    }
    Ok(Report {
        name: "search",
        commit: commit(),
        profile: "embedded behind workerd and behind wasmtime; distributed without an edge".to_owned(),
        work: json!({
            "events": sizes, "distinct_queries": paths.len(), "clients": CLIENTS, "results_per_page": PAGE,
            "searches_per_client": SEARCHES_PER_CLIENT, "searches_per_client_opensearch": SEARCHES_PER_CLIENT_FULL_TEXT,
            "in_isolate": "of each query the least of some requests by one client, less the least of a request that is refused \
                before it searches; the 99th hundredth of the queries; no answer is one from before",
            "alike": "clients ask the same questions in turn, and the edge gives an answer again for a second; where no two are \
                alike, each is worked out anew",
            "votes": votes::WORK, "machine": about,
        }),
        results,
        baseline: "OpenSearch with nori through the coordinator, with the same events and queries in the same run; exact counts of the votes",
    })
}

/// `20k` for 20,000.
fn short(size: u32) -> String {
    if size.is_multiple_of(1_000) { format!("{}k", size / 1_000) } else { size.to_string() }
}

async fn with(size: u32, paths: &Arc<Vec<String>>) -> Result<Vec<Figure>, String> {
    let label = short(size);
    let mut events = nugul_catalog::demo::events(in_days(0).seoul().date(), Some(size));
    // Searches do not look at performances, and a table of millions takes long to fill.
    for event in &mut events {
        event.performances.truncate(1);
    }
    let mut results = index::figures(&label, &events, paths)?;
    let file = CatalogueFile::write("search", &events)?;
    let embedded = |edge| Options {
        profile: Profile::Embedded,
        edge: Some(edge),
        catalogue: Some(file.0.clone()),
        ..Options::default()
    };

    eprintln!("{label} events behind workerd");
    let mut ground = Ground::start_with("search-workerd", embedded(Edge::Cloudflare)).await;
    let workerd = searches(&ground.edge, paths, SEARCHES_PER_CLIENT, Alike::Often).await;
    results.extend(workerd.figures(&format!("edge_workerd_{label}")));
    let workerd_anew = searches(&ground.edge, paths, SEARCHES_PER_CLIENT, Alike::Never).await;
    results.extend(workerd_anew.figures(&format!("edge_workerd_{label}_no_two_alike")));
    results.push(Figure::new(format!("edge_workerd_{label}_memory"), "MB", ground.memory_mb(Service::Edge)));
    let within = within_the_isolate(&ground.edge, paths).await;
    results.push(Figure::new(named("in_isolate_p50_ms", &label), "ms", quantile(&within, 50)));
    results.push(Figure::new(named("in_isolate_p99_ms", &label), "ms", quantile(&within, 99)));
    let coordinator = searches(&ground.origin, paths, SEARCHES_PER_CLIENT, Alike::Often).await;
    results.extend(coordinator.figures(&format!("coordinator_catalogue_{label}")));
    results.push(Figure::new(
        format!("coordinator_catalogue_{label}_memory"),
        "MB",
        ground.memory_mb(Service::Coordinator),
    ));
    results.extend(fresh::figures(&ground, &label).await?);
    if label == short(SIZES[0]) {
        results.extend(votes::through_the_edge(&ground).await);
        results.extend(votes::at_the_coordinator(&ground, "memory").await);
    }
    results.extend(starts::figures(&mut ground, &format!("edge_workerd_{label}"), paths).await);
    drop(ground);

    eprintln!("{label} events behind wasmtime");
    let mut ground = Ground::start_with("search-wasmtime", embedded(Edge::Spin)).await;
    for (alike, name) in [(Alike::Often, ""), (Alike::Never, "_no_two_alike")] {
        let wasmtime = searches(&ground.edge, paths, SEARCHES_PER_CLIENT, alike).await;
        results.extend(wasmtime.figures(&format!("edge_wasmtime_{label}{name}")));
    }
    results.push(Figure::new(format!("edge_wasmtime_{label}_memory"), "MB", ground.memory_mb(Service::Edge)));
    results.extend(starts::figures(&mut ground, &format!("edge_wasmtime_{label}"), paths).await);
    drop(ground);

    eprintln!("{label} events in OpenSearch");
    let full_text = FullText::start("search-opensearch", &events).await?;
    let opensearch = searches(&full_text.ground.origin, paths, SEARCHES_PER_CLIENT_FULL_TEXT, Alike::Often).await;
    results.extend(opensearch.figures(&format!("opensearch_{label}")));
    let memory = full_text.ground.memory_mb(Service::OpenSearch);
    results.push(Figure::new(format!("opensearch_{label}_memory"), "MB", memory));
    if label == short(SIZES[0]) {
        results.extend(votes::at_the_coordinator(&full_text.ground, "redis").await);
    }
    for (edge, name) in [(&workerd, ""), (&workerd_anew, "_no_two_alike")] {
        let faster = edge.per_second() / opensearch.per_second();
        results.push(Figure::new(named(&format!("edge_to_opensearch_rps_ratio{name}"), &label), "ratio", faster));
        let sooner = opensearch.p99_ms() / edge.p99_ms();
        results.push(Figure::new(named(&format!("opensearch_to_edge_p99_ratio{name}"), &label), "ratio", sooner));
    }
    let coordinator_to_opensearch = coordinator.per_second() / opensearch.per_second();
    results.push(Figure::new(
        named("coordinator_catalogue_to_opensearch_rps_ratio", &label),
        "ratio",
        coordinator_to_opensearch,
    ));
    Ok(results)
}

/// The figures that are spoken of are those of the smaller catalogue; the others carry their size.
fn named(what: &str, label: &str) -> String {
    if label == short(SIZES[0]) { what.to_owned() } else { format!("{what}_{label}") }
}

/// How often a question is asked that was asked a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alike {
    /// As people do: clients ask the same questions in turn.
    Often,
    /// Each has a parameter of its own that means nothing, so that no answer can be one from before.
    Never,
}

async fn searches(origin: &str, paths: &Arc<Vec<String>>, each: usize, alike: Alike) -> Measured {
    // Nobody measures a first time: every query once, and then some as they are measured, until the engine's compiler rests.
    let mut wire = Wire::open(origin).await;
    for path in paths.iter() {
        wire.send(Ask { method: "GET", path, ..Ask::default() }).await.expect_status(200);
    }
    load(origin, paths, each / WARM_UP_SHARE, alike, "before").await;
    load(origin, paths, each, alike, "measured").await
}

/// All clients at once.
async fn load(origin: &str, paths: &Arc<Vec<String>>, each: usize, alike: Alike, round: &'static str) -> Measured {
    let client = |number: usize| {
        let (origin, paths) = (origin.to_owned(), Arc::clone(paths));
        async move {
            let mut wire = Wire::open(&origin).await;
            let mut taken = Vec::with_capacity(each);
            // Each client begins elsewhere, so that not all ask the same at once.
            for (n, path) in paths.iter().cycle().skip(number * paths.len() / CLIENTS).take(each).enumerate() {
                let path = match alike {
                    Alike::Often => path.clone(),
                    Alike::Never => format!("{path}&asked={round}-{number}-{n}"),
                };
                let begun = Instant::now();
                wire.send(Ask { method: "GET", path: &path, ..Ask::default() }).await.expect_status(200);
                taken.push(begun.elapsed());
            }
            taken
        }
    };
    Measured::of((0..CLIENTS).map(client).collect()).await
}

/// How long each query takes besides what a request takes that does not search, in milliseconds, ascending.
async fn within_the_isolate(origin: &str, paths: &[String]) -> Vec<f64> {
    let mut wire = Wire::open(origin).await;
    let refused = search_path("", 0);
    let mut all = Vec::with_capacity(paths.len());
    let mut around = Vec::with_capacity(paths.len());
    for path in paths {
        around.push(least(&mut wire, &refused, 400).await);
        all.push(least(&mut wire, path, 200).await);
    }
    let around = median(around);
    let mut all: Vec<f64> = all.into_iter().map(|taken| (taken - around).max(0.0)).collect();
    all.sort_unstable_by(f64::total_cmp);
    all
}

async fn least(wire: &mut Wire, path: &str, status: u16) -> f64 {
    let mut least = Duration::MAX;
    for n in 0..REPEATS {
        // A parameter that means nothing, so that the answer is not the one from before.
        let path = format!("{path}&asked={n}");
        let begun = Instant::now();
        wire.send(Ask { method: "GET", path: &path, ..Ask::default() }).await.expect_status(status);
        least = least.min(begun.elapsed());
    }
    least.as_secs_f64() * 1_000.0
}

/// The least time of each query, in milliseconds, ascending.
fn times(queries: &[Query], ask: impl Fn(&Query)) -> Vec<f64> {
    let least = |query: &Query| {
        let time = || {
            let begun = Instant::now();
            ask(query);
            begun.elapsed()
        };
        (0..REPEATS).map(|_| time()).min().unwrap_or_default().as_secs_f64() * 1_000.0
    };
    let mut all: Vec<f64> = queries.iter().map(least).collect();
    all.sort_unstable_by(f64::total_cmp);
    all
}

fn real(n: usize) -> f64 {
    crate::load::count(n)
}

/// Of values in ascending order.
fn quantile(values: &[f64], hundredths: usize) -> f64 {
    values.get((values.len() * hundredths).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_the_smaller_catalogue_have_no_size() {
        assert_eq!(named("a", &short(20_000)), "a");
        assert_eq!(named("a", &short(200_000)), "a_200k");
        assert_eq!(short(512), "512");
    }

    #[test]
    fn quantiles_are_values_that_were_there() {
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        assert!(
            (quantile(&values, 50) - 5.0).abs() < f64::EPSILON && (quantile(&values, 99) - 10.0).abs() < f64::EPSILON
        );
        assert!(quantile(&[], 99).abs() < f64::EPSILON);
    }
}
