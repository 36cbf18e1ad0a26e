//! A search as the full-text engine is asked it, and what its answer says.
//!
//! Every word must be found, in one of [`FIELDS`]: as a beginning of what is typed there
//! (keystrokes, or initial consonants where the word is nothing else), or all of them by morphology. A search that finds
//! nothing is asked again: as typed in the other keyboard layout, with typing errors forgiven, and at last with most words.

use nugul_catalog::{
    CatalogEvent, Cursor, Facets, Item, Matched, Page, Query, Words, marks,
    query::{MAX_QUERY_CHARS, MAX_WORDS},
    text::{decompose, from_qwerty, normalise, to_qwerty},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    client::{Client, ClientError, SEARCH_WITHIN_THERE},
    counts, filters,
    mapping::{BEGINNING_CHARS_MAX, FIELDS},
    order,
};

/// A title that begins with the whole text, however it is spaced.
const WHOLE_BOOST: f64 = 2.0;
/// A word found as a beginning.
const BEGINNING_BOOST: f64 = 1.0;
/// A text found inside words.
const INSIDE_BOOST: f64 = 0.3;
/// How many of the pairs of characters must agree where typing errors are forgiven.
const FORGIVEN_PAIRS: &str = "60%";
/// A word of so many keystrokes may have one wrong; of twice as many, two.
const FORGIVEN_KEYS: usize = 6;
/// The most words tried for a wrong one.
const EXPANSIONS_MAX: u32 = 50;

/// How a text is read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reading {
    /// As it was typed.
    Typed,
    /// As it would be in the other keyboard layout.
    Layout(String),
    /// With typing errors forgiven.
    Forgiving,
    /// As most of its words.
    Most,
}

/// A way to ask for a text.
#[derive(Clone, Debug, PartialEq)]
struct Attempt {
    reading: Reading,
    clause: Value,
}

/// What the first attempt that finds something finds; what the last one says where none does.
struct Answer<T> {
    reading: Reading,
    entries: Vec<T>,
    total: usize,
    next_cursor: Option<Cursor>,
    facets: Option<Facets>,
}

/// One page of events.
pub async fn events(client: &Client, index: &str, query: &Query, words: &Words) -> Result<Page, ClientError> {
    let answer: Answer<CatalogEvent> = ask(client, index, query, words).await?;
    let forgiving = answer.reading == Reading::Forgiving;
    let (matched, did_you_mean) = match &answer.reading {
        _ if answer.total == 0 => (Matched::All, None),
        Reading::Typed => (Matched::All, None),
        Reading::Layout(other) => (Matched::Corrected, Some(other.clone())),
        Reading::Forgiving => (Matched::Corrected, answer.entries.first().map(|event| event.title.clone())),
        Reading::Most => (Matched::Most, None),
    };
    let read = if let Reading::Layout(other) = &answer.reading { other } else { &query.q };
    let item = |event: CatalogEvent| {
        let highlights = marks(read, forgiving, &event.title, Some(&event.place));
        Item { event, highlights }
    };
    Ok(Page {
        items: answer.entries.into_iter().map(item).collect(),
        next_cursor: answer.next_cursor,
        total: answer.total,
        matched,
        did_you_mean,
        facets: answer.facets,
    })
}

/// One page of what is not events: with what it is, how many there are, where the next page begins.
pub async fn others<T: DeserializeOwned>(
    client: &Client,
    index: &str,
    query: &Query,
    words: &Words,
) -> Result<(Vec<T>, usize, Option<Cursor>), ClientError> {
    let answer = ask(client, index, query, words).await?;
    Ok((answer.entries, answer.total, answer.next_cursor))
}

async fn ask<T: DeserializeOwned>(
    client: &Client,
    index: &str,
    query: &Query,
    words: &Words,
) -> Result<Answer<T>, ClientError> {
    let mut attempts = attempts(&words.without_stop(&query.q)).into_iter();
    loop {
        let Some(Attempt { reading, clause }) = attempts.next() else {
            return Err(ClientError::Away("nothing to ask".into()));
        };
        let answer = client.search(index, &body(query, &clause)).await?;
        let answer = read(&answer, query, reading);
        if answer.total > 0 || attempts.len() == 0 {
            return Ok(answer);
        }
    }
}

/// The clauses to try, one after another; at least one.
fn attempts(q: &str) -> Vec<Attempt> {
    let q: String = q.chars().take(MAX_QUERY_CHARS).collect();
    if q.trim().is_empty() {
        return vec![Attempt { reading: Reading::Typed, clause: json!({ "match_all": {} }) }];
    }
    let mut attempts = vec![Attempt { reading: Reading::Typed, clause: text(&q) }];
    let other = if q.is_ascii() { from_qwerty(&q) } else { to_qwerty(&q) };
    if other != q {
        let clause = text(&other);
        attempts.push(Attempt { reading: Reading::Layout(other), clause });
    }
    attempts.push(Attempt { reading: Reading::Forgiving, clause: forgiving(&q) });
    attempts.extend(most(&q).map(|clause| Attempt { reading: Reading::Most, clause }));
    attempts
}

/// The clause of a text that is not blank.
pub fn text(q: &str) -> Value {
    let words = words_of(q);
    if words.is_empty() {
        return json!({ "match_none": {} });
    }
    let joined = words.concat();
    let fields: Vec<String> = FIELDS.iter().map(|(field, weight)| format!("{field}^{weight}")).collect();
    let beginnings: Vec<Value> = words.iter().map(|word| in_any_field(word)).collect();
    json!({ "dis_max": {
        "tie_breaker": 0.3,
        "queries": [
            { "multi_match": { "query": q, "fields": fields, "type": "cross_fields", "operator": "and" } },
            { "bool": { "must": beginnings, "boost": BEGINNING_BOOST } },
            { "bool": { "must": beginning("title", &joined), "boost": WHOLE_BOOST } },
            { "match": { "title_pairs": { "query": joined, "operator": "and", "boost": INSIDE_BOOST } } },
        ],
    } })
}

/// A word as a beginning in any of the fields.
fn in_any_field(word: &str) -> Value {
    let queries: Vec<Value> = FIELDS
        .iter()
        .map(|(field, weight)| json!({ "bool": { "must": beginning(field, word), "boost": weight } }))
        .collect();
    json!({ "dis_max": { "queries": queries } })
}

/// A text as a beginning in a field: by its initial consonants where it is nothing else, by its keystrokes otherwise.
fn beginning(field: &str, text: &str) -> Value {
    let keys: String = decompose(text).chars().take(BEGINNING_CHARS_MAX).collect();
    let name = if is_initials(&keys) { format!("{field}_initials") } else { format!("{field}_keys") };
    json!({ "term": { name: keys } })
}

fn is_initials(keys: &str) -> bool {
    keys.chars().any(is_consonant) && keys.chars().all(|c| is_consonant(c) || c.is_ascii_alphanumeric())
}

fn is_consonant(c: char) -> bool {
    ('ㄱ'..='ㅎ').contains(&c)
}

/// A clause that finds titles nearly like the text.
fn forgiving(q: &str) -> Value {
    let joined = normalise(q);
    let keys: String = decompose(&joined).chars().take(BEGINNING_CHARS_MAX).collect();
    let wrong = (keys.chars().count() / FORGIVEN_KEYS).min(2);
    json!({ "bool": { "minimum_should_match": 1, "should": [
        { "match": { "title_pairs": { "query": joined, "minimum_should_match": FORGIVEN_PAIRS } } },
        { "fuzzy": { "title_keys": {
            "value": keys, "fuzziness": wrong, "prefix_length": 1, "max_expansions": EXPANSIONS_MAX,
        } } },
    ] } })
}

/// A clause that finds what has at least half of the words; none for a single word.
fn most(q: &str) -> Option<Value> {
    let words = words_of(q);
    let half: Vec<Value> = words.iter().map(|word| in_any_field(word)).collect();
    let enough = words.len().div_ceil(2);
    (words.len() > 1).then(|| json!({ "bool": { "should": half, "minimum_should_match": enough } }))
}

fn words_of(q: &str) -> Vec<String> {
    q.split_whitespace().map(normalise).filter(|word| !word.is_empty()).take(MAX_WORDS).collect()
}

fn body(query: &Query, clause: &Value) -> Value {
    let filters = filters::of(query);
    let all: Vec<&Value> = filters.iter().map(|(_, clause)| clause).collect();
    // Counts look past the filter they are about, so there the filters come after.
    let (before, after) = if query.facets { (Vec::new(), all) } else { (all, Vec::new()) };
    let mut body = json!({
        "query": { "bool": { "must": clause, "filter": before } },
        "sort": order::by(query.sort),
        // One more than is shown tells whether there is a next page.
        "size": query.limit + 1,
        "_source": ["entry", "id", "popularity", "starts_on", "min_price_krw"],
        "track_total_hits": true,
        "timeout": SEARCH_WITHIN_THERE,
    });
    if query.facets {
        body["post_filter"] = json!({ "bool": { "filter": after } });
        body["aggs"] = counts::wanted(query, &filters);
    }
    if let Some(cursor) = &query.cursor {
        body["search_after"] = order::after(query.sort, cursor);
    }
    body
}

fn read<T: DeserializeOwned>(answer: &Value, query: &Query, reading: Reading) -> Answer<T> {
    let total = answer["hits"]["total"]["value"].as_u64().unwrap_or_default();
    let hits = answer["hits"]["hits"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = &hits[..hits.len().min(query.limit)];
    let last = shown.last().filter(|_| hits.len() > query.limit);
    Answer {
        reading,
        entries: shown.iter().filter_map(|hit| T::deserialize(&hit["_source"]["entry"]).ok()).collect(),
        total: usize::try_from(total).unwrap_or(usize::MAX),
        next_cursor: last.and_then(|hit| order::cursor(query.sort, hit)),
        facets: query.facets.then(|| counts::read(&answer["aggregations"])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_consonants_are_told_from_half_typed_syllables() {
        assert_eq!(beginning("title", "ㄹㅁㅈ"), json!({ "term": { "title_initials": "ㄹㅁㅈ" } }));
        assert_eq!(beginning("title", "뮤ㅈ"), json!({ "term": { "title_keys": "ㅁㅠㅈ" } }));
        assert_eq!(beginning("title", "les"), json!({ "term": { "title_keys": "les" } }));
        // A cluster is what the keys ㄱ and ㅅ leave on the screen.
        assert_eq!(beginning("title", "ㄳ"), json!({ "term": { "title_initials": "ㄱㅅ" } }));
    }

    #[test]
    fn what_is_blank_is_asked_once_and_what_is_typed_in_the_other_layout_too() {
        let readings = |q: &str| attempts(q).into_iter().map(|a| a.reading).collect::<Vec<_>>();
        assert_eq!(attempts("  ")[0].clause, json!({ "match_all": {} }));
        assert_eq!(readings("  "), [Reading::Typed]);
        let layout = Reading::Layout("뮤지컬".into());
        assert_eq!(readings("abwlzjf"), [Reading::Typed, layout, Reading::Forgiving]);
        assert_eq!(attempts("abwlzjf")[1].clause, text("뮤지컬"));
        assert_eq!(readings("2026"), [Reading::Typed, Reading::Forgiving]);
        assert_eq!(readings("2026 12"), [Reading::Typed, Reading::Forgiving, Reading::Most]);
        assert_eq!(text("!?"), json!({ "match_none": {} }));
    }

    #[test]
    fn filters_come_after_where_there_are_counts() {
        let query = Query { category: vec!["뮤지컬".into()], ..Query::text("레미") };
        let plain = body(&query, &text("레미"));
        assert_eq!(plain["query"]["bool"]["filter"].as_array().map(Vec::len), Some(1));
        assert!(plain.get("post_filter").is_none() && plain.get("aggs").is_none());
        let counted = body(&Query { facets: true, ..query }, &text("레미"));
        assert_eq!(counted["query"]["bool"]["filter"].as_array().map(Vec::len), Some(0));
        assert_eq!(counted["post_filter"]["bool"]["filter"].as_array().map(Vec::len), Some(1));
        // Another category is counted as it would be without this one.
        assert_eq!(counted["aggs"]["category"]["filter"]["bool"]["filter"].as_array().map(Vec::len), Some(0));
        assert_eq!(counted["aggs"]["place"]["filter"]["bool"]["filter"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_page_that_is_full_ends_with_a_cursor_where_there_is_more() {
        let hit = |n: u32| {
            json!({
            "sort": [1.5, 0, 0], "_source": { "id": format!("00000000-0000-7000-8000-{n:012x}"), "popularity": 0,
                "starts_on": "2026-12-01", "min_price_krw": 1000, "entry": { "n": n } } })
        };
        let query = Query { limit: 2, ..Query::default() };
        let of = |hits: Vec<Value>| {
            let answer = json!({ "hits": { "total": { "value": 9 }, "hits": hits } });
            let page = read::<Value>(&answer, &query, Reading::Typed);
            (page.entries.len(), page.total, page.next_cursor.map(|c| c.last().id))
        };
        assert_eq!(of(vec![hit(1), hit(2), hit(3)]), (2, 9, Some("00000000-0000-7000-8000-000000000002".to_owned())));
        assert_eq!(of(vec![hit(1), hit(2)]), (2, 9, None));
        assert_eq!(of(vec![]), (0, 9, None));
    }
}
