//! Which parts of a text that is shown have matched.

use crate::find::{Term, terms};
use crate::matching::span;
use crate::query::{Highlight, Highlighted};
use crate::text::{Letter, letters, places};

/// The parts of a title and a place that have the words of a text, where another engine found them: as letters, 초성 or
/// half-typed, and if `forgiving` with typing mistakes. Ascending, without overlap.
pub fn marks(q: &str, forgiving: bool, title: &str, place: Option<&str>) -> Vec<Highlight> {
    highlights(&terms(q, forgiving), title, place)
}

/// The parts of a title, and of a place, that matched: ascending, without overlap.
pub(crate) fn highlights(terms: &[Term], title: &str, place: Option<&str>) -> Vec<Highlight> {
    let mut all = in_text(terms, title, Highlighted::Title);
    if let Some(place) = place {
        all.extend(in_text(terms, place, Highlighted::Place));
    }
    all
}

fn in_text(terms: &[Term], text: &str, field: Highlighted) -> Vec<Highlight> {
    let letters = letters(text);
    let places = places(text);
    let mut found: Vec<(usize, usize)> = terms.iter().filter_map(|term| find(term, &letters)).collect();
    found.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::with_capacity(found.len());
    for (from, to) in found {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    let characters = |bytes: usize| {
        let count = text.get(..bytes).map_or(0, |before| before.chars().count());
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    let highlight = |(from, to)| {
        let (from, to) = span(text, &places, from, to);
        Highlight { field, from: characters(from), to: characters(to) }
    };
    merged.into_iter().map(highlight).collect()
}

fn find(term: &Term, letters: &[Letter]) -> Option<(usize, usize)> {
    match term {
        Term::Pattern(pattern) => pattern.best(letters).map(|found| (found.from, found.to)),
        Term::Typo(typo) => typo.best(letters).map(|near| (near.from, near.to)),
    }
}
