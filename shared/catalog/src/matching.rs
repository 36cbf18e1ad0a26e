//! One word of a query in all texts of an index: which texts have it, and how well.

use crate::grams;
use crate::index::{Field, Index};
use crate::ranking::Weights;
use crate::text::pattern::{Fit, Pattern, Place};
use crate::text::typo::Typo;
use crate::text::{Letter, places};

/// Lists of candidates shorter than this are read rather than narrowed further.
const FEW: usize = 48;
/// How many lists narrow the candidates at most.
const MAX_NARROWING: usize = 4;
/// How many texts are compared for typing mistakes at most, those that have most in common with the word.
const MAX_NEAR: usize = 2_000;
/// Words with fewer pairs of letters are looked for by their first letter too, when mistakes are forgiven.
const FEW_PAIRS: usize = 3;

/// A text that has the word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Hit {
    pub(crate) text: u32,
    /// What the match is worth, the word's rarity aside.
    pub(crate) quality: f32,
}

/// Texts that nearly have the word: all with the fewest mistakes.
#[derive(Debug, Default)]
pub(crate) struct NearHits {
    pub(crate) hits: Vec<Hit>,
    pub(crate) mistakes: usize,
    /// What the best of them says instead.
    pub(crate) instead: String,
}

impl Index {
    /// The texts that match a pattern, in their order.
    pub(crate) fn hits(&self, pattern: &Pattern, weights: &Weights) -> Vec<Hit> {
        let mut letters = Vec::new();
        let mut hits = Vec::new();
        for text in self.candidates(pattern.chars()) {
            self.letters.read(&self.bytes, text, &mut letters);
            if let Some(found) = pattern.best(&letters) {
                hits.push(Hit { text, quality: self.quality(text, &letters, found.place, found.fit, weights) });
            }
        }
        hits
    }

    /// What a match in a text is worth.
    fn quality(&self, text: u32, letters: &[Letter], place: Place, fit: Fit, weights: &Weights) -> f32 {
        let field = self.field_of(text);
        weights.of_field(field)
            * weights.of_place(place)
            * weights.of_fit(fit)
            * weights.shortness(letters.len(), self.field(field).mean)
    }

    /// Texts that can match: those that have the pattern's rarest grams.
    fn candidates(&self, pattern: &[char]) -> Vec<u32> {
        let grams: Vec<u32> = match pattern {
            [] => return Vec::new(),
            [one] => vec![grams::start(*one)],
            many => many.iter().zip(many.iter().skip(1)).map(|(a, b)| grams::pair(*a, *b)).collect(),
        };
        let mut lists: Vec<usize> = Vec::with_capacity(grams.len());
        for gram in grams {
            // A pair that no text has: nothing matches.
            let Some(list) = self.gram(gram) else { return Vec::new() };
            if !lists.contains(&list) {
                lists.push(list);
            }
        }
        lists.sort_by_key(|list| self.texts_of.size(&self.bytes, *list));
        let mut lists = lists.into_iter().take(MAX_NARROWING);
        let Some(first) = lists.next() else { return Vec::new() };
        let mut candidates: Vec<u32> = self.texts_of.get(&self.bytes, first).collect();
        for list in lists {
            if candidates.len() <= FEW {
                break;
            }
            let mut other = self.texts_of.get(&self.bytes, list).peekable();
            candidates.retain(|text| {
                while other.next_if(|n| n < text).is_some() {}
                other.peek() == Some(text)
            });
        }
        candidates
    }

    /// The texts that have a word with the fewest typing mistakes that are forgiven; none where there are none.
    pub(crate) fn near(&self, word: &str, weights: &Weights) -> Option<NearHits> {
        let typo = Typo::new(word)?;
        let chars: Vec<char> = word.chars().collect();
        let mut near: Vec<(u32, usize, Hit)> = Vec::new();
        let mut letters = Vec::new();
        let mut fewest = typo.forgiven();
        let mut best: Option<(f32, String)> = None;
        for text in self.near_candidates(&chars, typo.forgiven()) {
            self.letters.read(&self.bytes, text, &mut letters);
            let Some(found) = typo.best_within(&letters, fewest) else { continue };
            let ends = letters.get(found.to).is_none_or(|next| next.start);
            let place = match (found.from == 0, found.to == letters.len()) {
                (true, true) => Place::Whole,
                (true, false) if ends => Place::FirstWord,
                (true, false) => Place::Beginning,
                (false, _) if ends => Place::Word,
                (false, _) => Place::WordStart,
            };
            let loss = (0..found.mistakes).fold(1.0, |loss, _| loss * weights.mistake);
            let quality = loss * self.quality(text, &letters, place, Fit::Exact, weights);
            if found.mistakes < fewest {
                fewest = found.mistakes;
                best = None;
            }
            near.push((text, found.mistakes, Hit { text, quality }));
            // Other names of a thing are no better spelling of it.
            let shown = self.field_of(text) != Field::Also;
            if shown && best.as_ref().is_none_or(|(known, _)| quality > *known) {
                best = Some((quality, slice(self.texts.get(&self.bytes, text), found.from, found.to)));
            }
        }
        near.retain(|(_, mistakes, _)| *mistakes == fewest);
        let instead = best.map(|(_, instead)| instead).unwrap_or_default();
        let hits: Vec<Hit> = near.into_iter().map(|(.., hit)| hit).collect();
        (!hits.is_empty()).then_some(NearHits { hits, mistakes: fewest, instead })
    }

    /// Whether one of these texts has the word as it is, where [`Index::near`] looks for it.
    pub(crate) fn is_among(&self, word: &str, hits: &[Hit]) -> bool {
        let mut letters = Vec::new();
        Typo::new(word).is_some_and(|typo| {
            hits.iter().any(|hit| {
                self.letters.read(&self.bytes, hit.text, &mut letters);
                typo.best_within(&letters, 0).is_some()
            })
        })
    }

    /// Texts that share enough pairs of letters with a word; a mistake spoils two of them.
    fn near_candidates(&self, word: &[char], forgiven: usize) -> Vec<u32> {
        let pairs = word.iter().zip(word.iter().skip(1)).map(|(a, b)| grams::pair(*a, *b));
        let mut wanted: Vec<u32> = pairs.collect();
        let mut enough = wanted.len().saturating_sub(2 * forgiven).max(1);
        if wanted.len() < FEW_PAIRS {
            wanted.extend(word.first().map(|first| grams::start(*first)));
        }
        let mut shared = vec![0_u8; self.events_of.count()];
        for list in wanted.iter().filter_map(|gram| self.gram(*gram)) {
            for text in self.texts_of.get(&self.bytes, list) {
                if let Some(count) = shared.get_mut(text as usize) {
                    *count = count.saturating_add(1);
                }
            }
        }
        let mut counts = [0_usize; 256];
        for count in &shared {
            if let Some(slot) = counts.get_mut(usize::from(*count)) {
                *slot += 1;
            }
        }
        while enough < wanted.len() && counts.iter().skip(enough).sum::<usize>() > MAX_NEAR {
            enough += 1;
        }
        let candidates = (0..).zip(&shared).filter(|(_, count)| usize::from(**count) >= enough);
        candidates.map(|(text, _)| text).take(MAX_NEAR).collect()
    }
}

/// A part of a text, as written, given in letters.
fn slice(written: &str, from: usize, to: usize) -> String {
    let (from, to) = span(written, &places(written), from, to);
    written.get(from..to).unwrap_or_default().to_owned()
}

/// The same as a range of bytes, where the places of the letters are known.
pub(crate) fn span(written: &str, places: &[usize], from: usize, to: usize) -> (usize, usize) {
    let start = places.get(from).copied().unwrap_or(written.len());
    let last = to.checked_sub(1).and_then(|last| places.get(last)).copied().unwrap_or(start);
    let width = written.get(last..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    (start, last + width)
}
