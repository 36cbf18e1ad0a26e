//! The index by itself, in this process: how large, how soon built and opened, how fast asked.

use std::{io::Write, time::Instant};

use flate2::{Compression, write::GzEncoder};
use nugul_catalog::{Index, Query, Weights, import::ImportEvent};
use nugul_tests::people::in_days;

use super::{MB, PAGE, ngrams, quantile, real, times};
use crate::{
    relevance::{entries, judged},
    report::Figure,
};

/// Its figures.
pub(super) fn figures(label: &str, events: &[ImportEvent], paths: &[String]) -> Result<Vec<Figure>, String> {
    let entries = entries(events);
    let begun = Instant::now();
    let bytes = nugul_catalog::build(&entries);
    let built = begun.elapsed();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let compressed = gzip.write_all(&bytes).and_then(|()| gzip.finish()).map_err(|e| e.to_string())?;
    let size = bytes.len();
    let begun = Instant::now();
    let index = Index::open(bytes).map_err(|e| format!("the index: {e}"))?;
    let opened = begun.elapsed();
    let queries: Vec<Query> = judged::tune()
        .iter()
        .chain(&judged::holdout())
        .map(|j| Query { limit: PAGE, now: Some(in_days(0)), ..Query::text(j.query.as_str()) })
        .collect();
    debug_assert_eq!(queries.len(), paths.len(), "the same queries as over the wire");
    let search = |query: &Query| drop(nugul_catalog::search(&[&index], query, &Weights::default()));
    let suggest = |query: &Query| drop(nugul_catalog::suggest(&[&index], &query.q, 8, query.now, &Weights::default()));
    let (searched, suggested) = (times(&queries, search), times(&queries, suggest));
    let of = |what: &str| format!("index_{label}_{what}");
    let mut figures = vec![
        Figure::new(of("mb"), "MB", real(size) / MB),
        Figure::new(of("compressed_mb"), "MB", real(compressed.len()) / MB),
        Figure::new(of("build"), "ms", built.as_secs_f64() * 1_000.0),
        Figure::new(of("open"), "ms", opened.as_secs_f64() * 1_000.0),
        Figure::new(of("query_p50"), "ms", quantile(&searched, 50)),
        Figure::new(of("query_p99"), "ms", quantile(&searched, 99)),
        Figure::new(of("suggest_p50"), "ms", quantile(&suggested, 50)),
        Figure::new(of("suggest_p99"), "ms", quantile(&suggested, 99)),
    ];
    figures.extend(ngrams::figures(label, &entries, &queries)?);
    Ok(figures)
}
