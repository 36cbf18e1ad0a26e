//! `bench relevance`: how well the catalogue engine answers judged queries, beside OpenSearch with nori in the same run.

pub(crate) mod judged;
mod metrics;
mod tune;

use std::{collections::BTreeMap, path::Path};

use nugul_api::catalogue::CatalogueVersion;
use nugul_catalog::{CatalogEvent, Index, Query, Weights, import::ImportEvent};
use nugul_domain::Timestamp;
use nugul_tests::Api;
use serde_json::json;

use self::{
    judged::Judged,
    metrics::{DEPTH, Quality, mean, quality, ratio},
};
use crate::{
    Arguments,
    peer::FullText,
    report::{Figure, Report, commit, machine},
};

/// Answers asked for, so that ten titles are left where some events have the same.
const ANSWERS: usize = 3 * DEPTH;

/// Runs it.
pub(crate) async fn run(arguments: &Arguments) -> Result<Report, String> {
    let now = nugul_tests::people::in_days(0);
    let events = match &arguments.catalogue {
        None => nugul_catalog::demo::events(now.seoul().date(), None),
        Some(file) => nugul_catalog::parse_jsonl(&read(file)?).map_err(|e| format!("{}: {e}", file.display()))?,
    };
    let given = match &arguments.queries {
        None => None,
        Some(file) => Some(judged::parse(&read(file)?).map_err(|e| format!("{}: {e}", file.display()))?),
    };
    let full_text = FullText::start("relevance", &events).await?;
    let engine = Ours::served(&full_text.ground.origin, now).await?;
    if arguments.tune {
        tune::search(&engine, &given.clone().unwrap_or_else(judged::tune));
    }
    let about = machine();
    // Another's queries were not tuned by, so all are as good as held out.
    let sets = match given {
        None => vec![("tune", judged::tune()), ("holdout", judged::holdout())],
        Some(set) => vec![("holdout", set)],
    };
    let mut results = Vec::new();
    let mut queries = BTreeMap::new();
    for (name, set) in &sets {
        let ours: Vec<Quality> =
            set.iter().map(|j| quality(&engine.titles(&j.query, &Weights::default()), &j.relevant)).collect();
        let mut theirs = Vec::with_capacity(set.len());
        for judged in set {
            theirs.push(quality(&full_text.titles(&judged.query, ANSWERS).await, &judged.relevant));
        }
        results.extend(figures(name, set, &ours, &theirs));
        queries.insert(*name, set.len());
        shown(set, &ours, &theirs, |j| engine.titles(&j.query, &Weights::default()));
    }
    Ok(Report {
        name: "relevance",
        commit: commit(),
        profile: "in process, and OpenSearch through the coordinator".to_owned(),
        work: json!({ "events": events.len(), "queries": queries, "depth": DEPTH, "machine": about }),
        results,
        baseline: "OpenSearch with nori, asked through the coordinator, with the same events and queries in the same run",
    })
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|e| format!("{} cannot be read: {e}", file.display()))
}

/// The catalogue engine with the index file that edges get.
struct Ours {
    index: Index,
    now: Timestamp,
}

impl Ours {
    /// Fetches it from a coordinator.
    async fn served(origin: &str, now: Timestamp) -> Result<Self, String> {
        let api = Api::new(origin);
        let CatalogueVersion { version } = api.get("catalogue").await.expect(200);
        let file = api.get(&format!("catalogue/{version}")).await;
        file.expect_status(200);
        Ok(Self { index: Index::open(file.body.to_vec()).map_err(|e| format!("the index: {e}"))?, now })
    }

    /// The titles found, the best first.
    fn titles(&self, q: &str, weights: &Weights) -> Vec<String> {
        let query = Query { limit: ANSWERS, now: Some(self.now), ..Query::text(q) };
        let page = nugul_catalog::search(&[&self.index], &query, weights);
        page.items.into_iter().map(|item| item.event.title).collect()
    }
}

/// Events as an index has them; nobody has asked for any yet, as in a coordinator that was just filled.
pub(crate) fn entries(events: &[ImportEvent]) -> Vec<CatalogEvent> {
    (0_u128..).zip(events).map(|(n, e)| CatalogEvent::from_import(uuid::Uuid::from_u128(n).to_string(), e, 0)).collect()
}

fn figures(name: &str, set: &[Judged], ours: &[Quality], theirs: &[Quality]) -> Vec<Figure> {
    let (our, their) = (mean(ours), mean(theirs));
    let mut all = Vec::new();
    for (engine, q) in [("", our), ("_opensearch", their)] {
        all.push(Figure::new(format!("ndcg10_{name}{engine}"), "0..1", q.ndcg));
        all.push(Figure::new(format!("mrr_{name}{engine}"), "0..1", q.mrr));
        all.push(Figure::new(format!("recall10_{name}{engine}"), "0..1", q.recall));
    }
    all.push(Figure::new(format!("ndcg10_{name}_ratio_to_opensearch"), "ratio", ratio(our.ndcg, their.ndcg)));
    let mut kinds: BTreeMap<&str, (Vec<Quality>, Vec<Quality>)> = BTreeMap::new();
    for ((judged, our), their) in set.iter().zip(ours).zip(theirs) {
        let kind = kinds.entry(&judged.kind).or_default();
        kind.0.push(*our);
        kind.1.push(*their);
    }
    for (kind, (ours, theirs)) in kinds {
        all.push(Figure::new(format!("ndcg10_{name}_{kind}"), "0..1", mean(&ours).ndcg));
        all.push(Figure::new(format!("ndcg10_{name}_{kind}_opensearch"), "0..1", mean(&theirs).ndcg));
    }
    all
}

/// Says of each query that ours answers worse than well what it answered.
fn shown(set: &[Judged], ours: &[Quality], theirs: &[Quality], titles: impl Fn(&Judged) -> Vec<String>) {
    const GOOD: f64 = 0.7;
    for ((judged, our), their) in set.iter().zip(ours).zip(theirs).filter(|((_, our), _)| our.ndcg < GOOD) {
        let first: Vec<String> = titles(judged).into_iter().take(3).collect();
        eprintln!(
            "{} {:?}: {:.2} (OpenSearch {:.2}); wanted {:?}, got {first:?}",
            judged.kind, judged.query, our.ndcg, their.ndcg, judged.relevant[0],
        );
    }
}
