//! What makes one event a better answer than another: every constant of the ranking, named and explained.
//!
//! The score of an event is
//!
//! ```text
//! Σ over words ( rarity × best over the event's texts ( field × place × fit × shortness ) ) + joined
//! × ( 1 + popularity × demand + nearness × soon ) × over
//! ```
//!
//! `rarity` and `shortness` are those of BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009) for
//! texts in which a word stands once, which in titles and names is all there is. `place` and `fit` stand for what grams
//! have in common: a whole word more than its beginning, letters more than 초성, both more than a word with a mistake.

use crate::index::Field;
use crate::text::pattern::{Fit, Place};

/// The constants, so that a tuning program can vary them; the shipped ones are [`Weights::default`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// A match in the title.
    pub title: f32,
    /// A match in the English title.
    pub english: f32,
    /// A match in the name of a performer.
    pub cast: f32,
    /// A match in the category.
    pub category: f32,
    /// A match in the name of the hall.
    pub place: f32,
    /// A match in the region.
    pub region: f32,
    /// A match in a synonym, a name in other letters, a number read out.
    pub also: f32,
    /// The word is the whole text.
    pub whole: f32,
    /// The word is the first of the text, or the first few.
    pub first_word: f32,
    /// The text begins with it, and its last word goes on.
    pub beginning: f32,
    /// It is a later word of the text.
    pub word: f32,
    /// A later word begins with it.
    pub word_start: f32,
    /// It is inside a word.
    pub inside: f32,
    /// 초성, or a last syllable that is still being typed, instead of the letters themselves.
    pub partial: f32,
    /// For each mistake that was forgiven.
    pub mistake: f32,
    /// Typed in the other keyboard layout, read from Latin letters, or cut in two.
    pub rewritten: f32,
    /// A year or a month instead of a word: the event runs then.
    pub dated: f32,
    /// BM25's k1: how much a short text is worth over a long one at most.
    pub k1: f32,
    /// BM25's b: how far a text's length counts at all, 0 to 1.
    pub b: f32,
    /// The words of a query next to each other in one text, besides what each is worth.
    pub joined: f32,
    /// What demand adds at most, as a share of the text's score. Demand counts by its logarithm.
    pub popularity: f32,
    /// What a near date adds at most, as a share of the text's score.
    pub nearness: f32,
    /// After so many days until the first day, nearness has halved.
    pub nearness_days: f32,
    /// What is left of the score of an event that is over.
    pub over: f32,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            title: 1.0,
            english: 0.95,
            cast: 0.8,
            category: 0.35,
            place: 0.4,
            region: 0.35,
            also: 0.8,
            whole: 1.0,
            first_word: 0.85,
            beginning: 0.75,
            word: 0.75,
            word_start: 0.6,
            inside: 0.3,
            partial: 0.85,
            mistake: 0.6,
            rewritten: 0.9,
            dated: 0.2,
            k1: 1.2,
            b: 0.35,
            joined: 0.5,
            popularity: 0.25,
            nearness: 0.1,
            nearness_days: 45.0,
            over: 0.3,
        }
    }
}

impl Weights {
    pub(crate) fn of_field(&self, field: Field) -> f32 {
        match field {
            Field::Title => self.title,
            Field::English => self.english,
            Field::Cast => self.cast,
            Field::Category => self.category,
            Field::Place => self.place,
            Field::Region => self.region,
            Field::Also => self.also,
            Field::Rating => 0.0,
        }
    }

    pub(crate) fn of_place(&self, place: Place) -> f32 {
        match place {
            Place::Whole => self.whole,
            Place::FirstWord => self.first_word,
            Place::Beginning => self.beginning,
            Place::Word => self.word,
            Place::WordStart => self.word_start,
            Place::Inside => self.inside,
        }
    }

    pub(crate) fn of_fit(&self, fit: Fit) -> f32 {
        if fit == Fit::Exact { 1.0 } else { self.partial }
    }

    /// What a text of so many letters is worth where the mean of its field is `mean`.
    pub(crate) fn shortness(&self, letters: usize, mean: f32) -> f32 {
        let relative = small(letters) / mean;
        (self.k1 + 1.0) / (1.0 + self.k1 * (1.0 - self.b + self.b * relative))
    }

    /// What demand and date make of a score: `demand` and `soon` are between 0 and 1.
    pub(crate) fn boost(&self, demand: f32, soon: f32, is_over: bool) -> f32 {
        let boost = 1.0 + self.popularity * demand + self.nearness * soon;
        if is_over { boost * self.over } else { boost }
    }

    /// How near a first day is: 1 today, half after [`Weights::nearness_days`].
    pub(crate) fn soon(&self, days: i64) -> f32 {
        let days = small(usize::try_from(days.max(0)).unwrap_or(usize::MAX));
        self.nearness_days / (self.nearness_days + days)
    }
}

/// How much a word says that `found` of `all` events have.
pub(crate) fn rarity(all: usize, found: usize) -> f32 {
    let (all, found) = (small(all), small(found));
    (1.0 + (all - found + 0.5) / (found + 0.5)).ln()
}

/// Demand on a scale from 0 to 1.
pub(crate) fn demand(popularity: i64, most: i64) -> f32 {
    let log = |n: i64| (small(usize::try_from(n.max(0)).unwrap_or(0)) + 1.0).ln();
    if most <= 0 { 0.0 } else { log(popularity) / log(most) }
}

/// Counts as numbers to reckon with; beyond 2^24 they lose what nobody would see.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn small(n: usize) -> f32 {
    n as f32
}
