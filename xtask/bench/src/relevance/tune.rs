//! A search for better weights on the queries for tuning: one weight at a time, up and down, as long as something gains.

use nugul_catalog::Weights;

use super::{
    Ours,
    judged::Judged,
    metrics::{mean, quality},
};

/// Factors that are tried on each weight.
const FACTORS: [f32; 6] = [0.5, 0.8, 0.93, 1.07, 1.25, 2.0];
/// Rounds over all weights at most.
const ROUNDS_MAX: usize = 4;
/// A gain below this is chance.
const GAIN_MIN: f64 = 0.0005;

/// A weight by its name.
type Weight = (&'static str, fn(&mut Weights) -> &mut f32);

/// Every weight.
const WEIGHTS: [Weight; 23] = [
    ("title", |w| &mut w.title),
    ("english", |w| &mut w.english),
    ("cast", |w| &mut w.cast),
    ("category", |w| &mut w.category),
    ("place", |w| &mut w.place),
    ("region", |w| &mut w.region),
    ("also", |w| &mut w.also),
    ("whole", |w| &mut w.whole),
    ("first_word", |w| &mut w.first_word),
    ("beginning", |w| &mut w.beginning),
    ("word", |w| &mut w.word),
    ("word_start", |w| &mut w.word_start),
    ("inside", |w| &mut w.inside),
    ("partial", |w| &mut w.partial),
    ("mistake", |w| &mut w.mistake),
    ("rewritten", |w| &mut w.rewritten),
    ("dated", |w| &mut w.dated),
    ("k1", |w| &mut w.k1),
    ("b", |w| &mut w.b),
    ("joined", |w| &mut w.joined),
    ("popularity", |w| &mut w.popularity),
    ("nearness", |w| &mut w.nearness),
    ("over", |w| &mut w.over),
];

/// Says which weights answer these queries best, as far as it finds out.
pub(super) fn search(engine: &Ours, queries: &[Judged]) {
    let score = |weights: &Weights| {
        let all: Vec<_> = queries.iter().map(|j| quality(&engine.titles(&j.query, weights), &j.relevant)).collect();
        mean(&all).ndcg
    };
    let mut best = Weights::default();
    let mut reached = score(&best);
    eprintln!("tuning from NDCG@10 {reached:.4} on {} queries", queries.len());
    for round in 1..=ROUNDS_MAX {
        let before = reached;
        for (name, weight) in WEIGHTS {
            for factor in FACTORS {
                let mut tried = best;
                *weight(&mut tried) *= factor;
                let got = score(&tried);
                if got > reached + GAIN_MIN {
                    eprintln!("round {round}: {name} × {factor} gives {got:.4}");
                    (best, reached) = (tried, got);
                }
            }
        }
        if reached <= before {
            break;
        }
    }
    eprintln!("NDCG@10 {reached:.4} with {best:?}");
}
