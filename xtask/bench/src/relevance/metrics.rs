//! How good a list of answers is, beside what a judge wanted.
//!
//! Every wanted title has a gain: 2 for the first, falling evenly to a little over 1 for the last, so that being there
//! counts more than the order among those that are good.

use std::collections::HashSet;

/// Answers that are looked at.
pub(crate) const DEPTH: usize = 10;

/// The quality of one list, or the mean of several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Quality {
    /// Normalised discounted cumulative gain of the first ten (Järvelin and Kekäläinen, TOIS 2002).
    pub(crate) ndcg: f64,
    /// One over the place of the first wanted answer among the first ten; 0 where there is none.
    pub(crate) mrr: f64,
    /// The share of the wanted answers among the first ten; of more than ten wanted, ten are all.
    pub(crate) recall: f64,
}

/// The quality of answers, the best first, beside what is wanted, the best first. An answer given twice counts once.
pub(crate) fn quality(answers: &[String], wanted: &[String]) -> Quality {
    let mut seen = HashSet::new();
    let first: Vec<&String> = answers.iter().filter(|a| seen.insert(*a)).take(DEPTH).collect();
    let places: Vec<Option<usize>> = first.iter().map(|a| wanted.iter().position(|w| w == *a)).collect();
    let gain = |at: usize| 2.0 - real(at) / real(wanted.len());
    let found = places.iter().flatten().count();
    Quality {
        ndcg: ratio(
            discounted(places.iter().map(|at| at.map_or(0.0, gain))),
            discounted((0..wanted.len().min(DEPTH)).map(gain)),
        ),
        mrr: places.iter().position(Option::is_some).map_or(0.0, |at| 1.0 / real(at + 1)),
        recall: ratio(real(found), real(wanted.len().min(DEPTH))),
    }
}

/// The mean; of nothing, nothing.
pub(crate) fn mean(all: &[Quality]) -> Quality {
    let of = |part: fn(&Quality) -> f64| ratio(all.iter().map(part).sum(), real(all.len()));
    Quality { ndcg: of(|q| q.ndcg), mrr: of(|q| q.mrr), recall: of(|q| q.recall) }
}

fn discounted(gains: impl Iterator<Item = f64>) -> f64 {
    gains.enumerate().map(|(at, gain)| gain / real(at + 2).log2()).sum()
}

/// 0 where there is nothing to compare with.
pub(crate) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn real(n: usize) -> f64 {
    crate::load::count(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn the_wanted_order_is_perfect_and_nothing_is_nothing() {
        let best = quality(&list("a b c x y"), &list("a b c"));
        assert!(close(best.ndcg, 1.0) && close(best.mrr, 1.0) && close(best.recall, 1.0));
        assert_eq!(quality(&list("x y"), &list("a")), Quality::default());
        assert_eq!(quality(&[], &list("a")), Quality::default());
    }

    #[test]
    fn a_later_place_is_worth_less() {
        // One wanted answer in the third place: log2(2) / log2(4).
        let third = quality(&list("x y a"), &list("a"));
        assert!(close(third.ndcg, 0.5) && close(third.mrr, 1.0 / 3.0) && close(third.recall, 1.0));
        // Gains 2 and 1.5, in the wrong order.
        let swapped = quality(&list("b a"), &list("a b"));
        let expected = (1.5 + 2.0 / 3f64.log2()) / (2.0 + 1.5 / 3f64.log2());
        assert!(close(swapped.ndcg, expected), "{} {expected}", swapped.ndcg);
    }

    #[test]
    fn only_ten_are_looked_at_and_ten_are_enough() {
        let many: Vec<String> = (0..30).map(|n| n.to_string()).collect();
        let all = quality(&many, &many);
        assert!(close(all.ndcg, 1.0) && close(all.recall, 1.0));
        let late: Vec<String> = (0..10).map(|n| format!("x{n}")).chain(["a".to_owned()]).collect();
        assert_eq!(quality(&late, &list("a")), Quality::default());
    }

    #[test]
    fn an_answer_given_twice_counts_once() {
        assert_eq!(quality(&list("a a b"), &list("a b")), quality(&list("a b"), &list("a b")));
    }

    #[test]
    fn means_are_of_each_part() {
        let one = Quality { ndcg: 1.0, mrr: 1.0, recall: 0.5 };
        assert_eq!(mean(&[one, Quality::default()]), Quality { ndcg: 0.5, mrr: 0.5, recall: 0.25 });
        assert_eq!(mean(&[]), Quality::default());
    }
}
