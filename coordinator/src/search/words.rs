//! The administrator's words as the full-text engine takes them; the next reindex makes them its own.

use std::collections::BTreeSet;

use nugul_catalog::Words;

/// The longest word that is taken, in characters.
const WORD_CHARS_MAX: usize = 40;

/// The words of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexWords {
    /// Rules of nori's user dictionary: a word, with its parts behind it where it has some.
    pub rules: Vec<String>,
    /// What finds something else too, in Solr's form: `축제 => 축제, 페스티벌`.
    pub synonyms: Vec<String>,
}

impl IndexWords {
    /// From the files' words, as far as an engine that takes texts apart can use them: a Korean word with spaces in it would
    /// never be met as one.
    pub fn new(words: &Words) -> Self {
        let mut known = BTreeSet::new();
        let mut rules = Vec::new();
        for (word, parts) in words.dictionary().filter(|(word, _)| is_one(word)) {
            known.insert(word.to_owned());
            let parts = filled(word, parts);
            rules.push(if parts.len() > 1 { format!("{word} {}", parts.join(" ")) } else { word.to_owned() });
        }
        let mut synonyms = Vec::new();
        for (word, others) in words.finds() {
            let word = word.to_lowercase();
            let others: Vec<String> = others.iter().map(|other| other.to_lowercase()).filter(|w| is_one(w)).collect();
            if !is_one(&word) || others.is_empty() {
                continue;
            }
            // A word taken apart could not be told from its parts: what has synonyms is kept whole.
            for word in others.iter().chain([&word]).filter(|word| !word.is_ascii()) {
                if known.insert(word.clone()) {
                    rules.push(word.clone());
                }
            }
            synonyms.push(format!("{word} => {word}, {}", others.join(", ")));
        }
        Self { rules, synonyms }
    }
}

fn is_one(word: &str) -> bool {
    !word.is_empty() && word.chars().count() <= WORD_CHARS_MAX && word.chars().all(char::is_alphanumeric)
}

/// Parts that are the whole word together, with what the file leaves out between them: nori takes them by their lengths. None
/// where they are not in the word in their order.
fn filled<'w>(word: &'w str, parts: &[String]) -> Vec<&'w str> {
    let mut rest = word;
    let mut all = Vec::new();
    for part in parts {
        let Some((between, after)) = rest.split_once(part.as_str()) else { return Vec::new() };
        let (before, found) = rest.split_at(rest.len() - after.len()).0.split_at(between.len());
        all.extend([before, found]);
        rest = after;
    }
    all.push(rest);
    all.retain(|part| !part.is_empty());
    all
}

#[cfg(test)]
mod tests {
    use nugul_catalog::words::{Files, SHIPPED};

    use super::*;

    fn of(dictionary: &str, synonyms: &str) -> IndexWords {
        IndexWords::new(&Words::parse(&Files { dictionary, synonyms, names: "", stop: "", places: "" }).unwrap())
    }

    #[test]
    fn parts_are_the_whole_word_together() {
        assert_eq!(of("예술의전당 예술 전당", "").rules, ["예술의전당 예술 의 전당"]);
        assert_eq!(of("세종문화회관 세종 문화 회관", "").rules, ["세종문화회관 세종 문화 회관"]);
        // Neither is a compound to nori.
        assert_eq!(of("명성황후", "").rules, ["명성황후"]);
        assert_eq!(of("서울시향 서울 교향악단", "").rules, ["서울시향"]);
    }

    #[test]
    fn what_finds_something_else_is_kept_whole_and_finds_itself_too() {
        let words = of("", "축제, 페스티벌, Festival\n크리스마스 => 캐럴, 호두까기 인형");
        assert_eq!(
            words.synonyms,
            [
                "festival => festival, 축제, 페스티벌",
                "축제 => 축제, festival, 페스티벌",
                "크리스마스 => 크리스마스, 캐럴",
                "페스티벌 => 페스티벌, festival, 축제",
            ]
        );
        assert_eq!(words.rules, ["축제", "페스티벌", "캐럴", "크리스마스"]);
    }

    #[test]
    fn the_shipped_words_have_no_rule_twice() {
        let words = IndexWords::new(&Words::parse(&SHIPPED).unwrap());
        let first = |rule: &String| rule.split(' ').next().unwrap_or_default().to_owned();
        let distinct: BTreeSet<String> = words.rules.iter().map(first).collect();
        assert_eq!(distinct.len(), words.rules.len());
        assert!(words.synonyms.iter().any(|s| s.starts_with("축제 => 축제, ")));
    }
}
