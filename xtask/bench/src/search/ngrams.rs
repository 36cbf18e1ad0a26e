//! The same events in tantivy, a native engine, by n-grams of keystrokes: how large, how soon built, how fast asked.

use std::time::Instant;

use nugul_catalog::{
    CatalogEvent, Query,
    text::{decompose, normalise},
};
use tantivy::{
    Index, IndexWriter, Searcher, TantivyDocument, Term,
    collector::TopDocs,
    query::{BooleanQuery, Occur, TermQuery},
    schema::{Field, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions},
    tokenizer::{NgramTokenizer, TextAnalyzer},
};

use super::{MB, PAGE, quantile, real, times};
use crate::report::Figure;

/// The name of its tokenizer.
const GRAMS: &str = "grams";
/// The longest gram, in keystrokes; shorter ones are indexed too, so that what was just begun is found.
const GRAM_MAX: usize = 3;
/// Memory for building, in bytes.
const BUILD_BYTES: usize = 64 * 1024 * 1024;

/// Its figures.
pub(super) fn figures(label: &str, entries: &[CatalogEvent], queries: &[Query]) -> Result<Vec<Figure>, String> {
    let begun = Instant::now();
    let peer = Peer::build(entries).map_err(|e| format!("tantivy: {e}"))?;
    let built = begun.elapsed();
    let size = peer.searcher.space_usage().map_err(|e| format!("tantivy: {e}"))?.total().get_bytes();
    for query in queries {
        peer.search(&query.q).map_err(|e| format!("tantivy: {}: {e}", query.q))?;
    }
    let searched = times(queries, |query| drop(peer.search(&query.q)));
    let of = |what: &str| format!("tantivy_{label}_{what}");
    Ok(vec![
        Figure::new(of("mb"), "MB", real(usize::try_from(size).unwrap_or(usize::MAX)) / MB),
        Figure::new(of("build"), "ms", built.as_secs_f64() * 1_000.0),
        Figure::new(of("query_p50"), "ms", quantile(&searched, 50)),
        Figure::new(of("query_p99"), "ms", quantile(&searched, 99)),
    ])
}

struct Peer {
    searcher: Searcher,
    searched: [Field; 3],
}

impl Peer {
    fn build(entries: &[CatalogEvent]) -> tantivy::Result<Self> {
        let indexing = TextFieldIndexing::default().set_tokenizer(GRAMS).set_index_option(IndexRecordOption::WithFreqs);
        let grams = TextOptions::default().set_indexing_options(indexing);
        let mut schema = Schema::builder();
        let searched = ["title", "category", "place"].map(|name| schema.add_text_field(name, grams.clone()));
        let shown =
            ["id", "title_shown", "category_shown", "place_shown"].map(|name| schema.add_text_field(name, STORED));
        let index = Index::create_in_ram(schema.build());
        index.tokenizers().register(GRAMS, TextAnalyzer::from(NgramTokenizer::new(1, GRAM_MAX, false)?));
        let mut writer: IndexWriter = index.writer_with_num_threads(1, BUILD_BYTES)?;
        for e in entries {
            let mut document = TantivyDocument::default();
            for (field, text) in searched.into_iter().zip([&e.title, &e.category, &e.place]) {
                document.add_text(field, decompose(&normalise(text)));
            }
            for (field, text) in shown.into_iter().zip([&e.id, &e.title, &e.category, &e.place]) {
                document.add_text(field, text);
            }
            writer.add_document(document)?;
        }
        writer.commit()?;
        let segments = index.searchable_segment_ids()?;
        if segments.len() > 1 {
            writer.merge(&segments).wait()?;
        }
        writer.wait_merging_threads()?;
        let reader = index.reader()?;
        Ok(Self { searcher: reader.searcher(), searched })
    }

    /// The documents of a page: every word in one of the fields, by all of its grams.
    fn search(&self, q: &str) -> tantivy::Result<Vec<TantivyDocument>> {
        let words = q.split_whitespace().map(|word| decompose(&normalise(word))).filter(|word| !word.is_empty());
        let all = words.map(|word| {
            let fields = self.searched.iter().map(|field| {
                let terms = grams(&word).into_iter().map(|gram| {
                    let term = TermQuery::new(Term::from_field_text(*field, &gram), IndexRecordOption::WithFreqs);
                    (Occur::Must, Box::new(term) as Box<dyn tantivy::query::Query>)
                });
                (Occur::Should, Box::new(BooleanQuery::new(terms.collect())) as Box<dyn tantivy::query::Query>)
            });
            (Occur::Must, Box::new(BooleanQuery::new(fields.collect())) as Box<dyn tantivy::query::Query>)
        });
        let found =
            self.searcher.search(&BooleanQuery::new(all.collect()), &TopDocs::with_limit(PAGE).order_by_score())?;
        found.into_iter().map(|(_, at)| self.searcher.doc(at)).collect()
    }
}

/// The longest grams of a word.
fn grams(word: &str) -> Vec<String> {
    let keys: Vec<char> = word.chars().collect();
    keys.windows(keys.len().clamp(1, GRAM_MAX)).map(|gram| gram.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_was_begun() {
        let event = |id: &str, title: &str| CatalogEvent {
            id: id.into(),
            title: title.into(),
            category: "뮤지컬".into(),
            place: "블루스퀘어".into(),
            ..CatalogEvent::default()
        };
        let peer = Peer::build(&[event("1", "레미제라블"), event("2", "시카고")]).unwrap();
        for (q, found) in [("레밎", 1), ("뮤ㅈ", 2), ("뮤지컬 시", 1), ("ㅅ", 2), ("없는 말", 0)] {
            assert_eq!(peer.search(q).unwrap().len(), found, "{q}");
        }
        assert_eq!(grams("ㅁㅠㅈㅣ"), ["ㅁㅠㅈ", "ㅠㅈㅣ"]);
        assert_eq!(grams("ㅁ"), ["ㅁ"]);
    }
}
