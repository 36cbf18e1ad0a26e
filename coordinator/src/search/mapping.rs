//! What an index is made of: the analysis of Korean text and the fields.
//!
//! A text is indexed three ways. By morphology (nori): 예술의전당에서 is found by 예술의전당. By the keystrokes of its beginnings (edge
//! n-grams over jamo): 뮤ㅈ and 뮤지 find 뮤지컬. By the initial consonants of its beginnings (초성): ㄹㅁㅈ finds 레미제라블. Beginnings are
//! those of every word, and the spaces behind do not matter.

use serde_json::{Value, json};

use super::words::IndexWords;

/// The fields a text is looked for in, and what a match in each is worth beside one in the others.
pub const FIELDS: [(&str, f64); 6] =
    [("title", 4.0), ("title_en", 3.8), ("cast", 3.2), ("category", 1.0), ("place", 1.5), ("region", 1.0)];
/// The longest beginning that is indexed, in keystrokes or initial consonants.
pub const BEGINNING_CHARS_MAX: usize = 40;
/// How soon a write is seen by searches.
const REFRESH_EVERY: &str = "500ms";
/// Parts of speech that say nothing: endings (E), particles (J), marks (S), affixes (X), interjections, unknown letters. Numbers, foreign
/// words and hanja stay, for titles have them.
const STOP_TAGS: [&str; 19] = [
    "E", "IC", "J", "MAJ", "SC", "SE", "SF", "SP", "SSC", "SSO", "SY", "UNA", "VCN", "VCP", "VSV", "VX", "XPN", "XSA",
    "XSV",
];

/// The settings and fields of an index. Both indexes have the same ones: a listing is found as its event is.
pub fn template(words: &IndexWords) -> Value {
    json!({
        "settings": {
            "index": { "number_of_shards": 1, "auto_expand_replicas": "0-1", "refresh_interval": REFRESH_EVERY },
            "analysis": analysis(words),
        },
        // A newer program may write fields that an older version of the index has no use for.
        "mappings": { "dynamic": false, "properties": fields() },
    })
}

fn analysis(words: &IndexWords) -> Value {
    let mut korean_search = vec!["lowercase", "nori_stop"];
    if !words.synonyms.is_empty() {
        korean_search.push("same");
    }
    json!({
        "tokenizer": {
            "nori_mixed": { "type": "nori_tokenizer", "decompound_mode": "mixed", "user_dictionary_rules": words.rules },
            "pairs": { "type": "ngram", "min_gram": 2, "max_gram": 2 },
        },
        "filter": {
            "nori_stop": { "type": "nori_part_of_speech", "stoptags": STOP_TAGS },
            // A word that the analysis leaves nothing of has no synonym; the others have theirs.
            "same": { "type": "synonym_graph", "synonyms": words.synonyms, "lenient": true },
            "beginnings": { "type": "edge_ngram", "min_gram": 1, "max_gram": BEGINNING_CHARS_MAX },
        },
        "analyzer": {
            "korean": { "tokenizer": "nori_mixed", "filter": ["lowercase", "nori_stop"] },
            "korean_search": { "tokenizer": "nori_mixed", "filter": korean_search },
            "beginning": { "tokenizer": "keyword", "filter": ["beginnings"] },
            "pairs": { "tokenizer": "pairs" },
        },
    })
}

fn korean() -> Value {
    json!({ "type": "text", "analyzer": "korean", "search_analyzer": "korean_search" })
}

/// A text that is found by its beginnings. How often and in how long a text says nothing here.
fn beginnings() -> Value {
    json!({ "type": "text", "analyzer": "beginning", "search_analyzer": "keyword", "norms": false, "index_options": "docs" })
}

fn fields() -> Value {
    let mut fields = json!({
        "id": { "type": "keyword" },
        "digest": { "type": "keyword", "index": false },
        "title_pairs": { "type": "text", "analyzer": "pairs" },
        "category_is": { "type": "keyword" },
        "region_is": { "type": "keyword" },
        "place_is": { "type": "keyword" },
        // As they are shown, to be counted.
        "category_name": { "type": "keyword" },
        "region_name": { "type": "keyword" },
        "place_name": { "type": "keyword" },
        "starts_on": { "type": "date", "format": "strict_date" },
        "ends_on": { "type": "date", "format": "strict_date" },
        "min_price_krw": { "type": "long" },
        "max_price_krw": { "type": "long" },
        "sales_open_ms": { "type": "long" },
        "sales_close_ms": { "type": "long" },
        "transferable": { "type": "long" },
        "popularity": { "type": "long" },
        // What is answered, as it is.
        "entry": { "type": "object", "enabled": false },
    });
    for (name, _) in FIELDS {
        fields[name] = korean();
        fields[format!("{name}_keys")] = beginnings();
        fields[format!("{name}_initials")] = beginnings();
    }
    fields
}
