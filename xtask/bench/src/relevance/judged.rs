//! Queries with the titles a person wants to see for each: JSON lines `{"kind","query","relevant":[titles, best first]}`.
//!
//! The shipped set is about the shipped catalogue. Half of each kind is for tuning, the other half is held out: nothing is
//! chosen by it.

use serde::Deserialize;

/// Queries of one set.
const QUERIES_MAX: usize = 10_000;

const TUNE: &str = include_str!("../../queries/tune.jsonl");
const HOLDOUT: &str = include_str!("../../queries/holdout.jsonl");

/// A judged query.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Judged {
    /// What makes it hard.
    pub(crate) kind: String,
    /// The text typed.
    pub(crate) query: String,
    /// The titles wanted, the best first.
    pub(crate) relevant: Vec<String>,
}

/// The shipped queries for tuning.
pub(crate) fn tune() -> Vec<Judged> {
    parse(TUNE).expect("the shipped queries")
}

/// The shipped queries that are held out.
pub(crate) fn holdout() -> Vec<Judged> {
    parse(HOLDOUT).expect("the shipped queries")
}

/// Reads a set; the error names the line. A set has at least one query.
pub(crate) fn parse(text: &str) -> Result<Vec<Judged>, String> {
    let mut all = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if line.trim().is_empty() {
            continue;
        }
        let judged: Judged = serde_json::from_str(line).map_err(|e| format!("line {number}: {e}"))?;
        if judged.query.trim().is_empty() || judged.relevant.is_empty() {
            return Err(format!("line {number}: a query and at least one title are needed"));
        }
        all.push(judged);
        if all.len() > QUERIES_MAX {
            return Err(format!("line {number}: there are more than {QUERIES_MAX} queries"));
        }
    }
    if all.is_empty() { Err("there are no queries".to_owned()) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;

    #[test]
    fn the_shipped_queries_are_about_the_shipped_titles() {
        let date = time::Date::from_calendar_date(2026, time::Month::December, 1).unwrap();
        let titles: HashSet<String> = nugul_catalog::demo::events(date, None).into_iter().map(|e| e.title).collect();
        let all: Vec<Judged> = tune().into_iter().chain(holdout()).collect();
        assert!(all.len() >= 200, "{}", all.len());
        for judged in &all {
            for title in &judged.relevant {
                assert!(titles.contains(title), "{title}");
            }
            assert_eq!(judged.relevant.iter().collect::<HashSet<_>>().len(), judged.relevant.len(), "{judged:?}");
        }
    }

    #[test]
    fn every_kind_is_in_both_halves_and_no_query_is() {
        let kinds = |set: &[Judged]| {
            set.iter().fold(BTreeMap::new(), |mut kinds: BTreeMap<String, usize>, j| {
                *kinds.entry(j.kind.clone()).or_default() += 1;
                kinds
            })
        };
        let (tune, holdout) = (tune(), holdout());
        let (of_tune, of_holdout) = (kinds(&tune), kinds(&holdout));
        assert!(of_tune.keys().eq(of_holdout.keys()));
        assert!(of_tune.iter().zip(&of_holdout).all(|((_, a), (_, b))| a.abs_diff(*b) <= 1 && *b >= 6));
        let texts: HashSet<&str> = tune.iter().map(|j| j.query.as_str()).collect();
        assert!(holdout.iter().all(|j| !texts.contains(j.query.as_str())));
    }

    #[test]
    fn a_bad_line_is_named() {
        let good = r#"{"kind":"exact","query":"캣츠","relevant":["캣츠"]}"#;
        assert_eq!(parse(&format!("{good}\n\n{good}\n")).map(|all| all.len()), Ok(2));
        for bad in [
            "{",
            r#"{"kind":"exact","query":" ","relevant":["캣츠"]}"#,
            r#"{"kind":"exact","query":"캣츠","relevant":[]}"#,
            r#"{"kind":"exact","query":"캣츠","relevant":["캣츠"],"more":1}"#,
        ] {
            assert!(parse(&format!("{good}\n{bad}")).unwrap_err().contains("line 2"), "{bad}");
        }
        assert!(parse("\n").is_err());
    }
}
