//! What a search found: how it was read, counts to narrow it by, the order, the events.

use maud::{Markup, html};
use nugul_catalog::{
    Matched, Sort,
    query::{Count, Facets},
};
use nugul_domain::time::parse_date;

use super::{
    Chrome, EventCard,
    browse::{cards, search_form},
    layout::{Head, document, encode},
    text::{self, words},
};

/// What a search was narrowed by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The text.
    pub q: String,
    /// The category.
    pub category: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The day, `YYYY-MM-DD`.
    pub date: Option<String>,
    /// Only what can be bought now.
    pub on_sale: bool,
    /// Only what tickets are offered for transfer.
    pub transferable: bool,
    /// The order.
    pub sort: Sort,
}

impl Choice {
    /// What is chosen besides the text, as fields of a form.
    fn fields(&self) -> Vec<(&'static str, String)> {
        let flag = |set: bool| set.then(|| "true".to_owned());
        let sort = (self.sort != Sort::default()).then(|| self.sort.name().to_owned());
        let fields = [
            ("category", self.category.clone()),
            ("region", self.region.clone()),
            ("date", self.date.clone()),
            ("on_sale", flag(self.on_sale)),
            ("transferable", flag(self.transferable)),
            ("sort", sort),
        ];
        fields.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect()
    }

    /// The address of a search narrowed like this.
    fn url(&self) -> String {
        let q = (!self.q.is_empty()).then(|| ("q", self.q.clone()));
        let fields: Vec<String> =
            q.into_iter().chain(self.fields()).map(|(name, value)| format!("{name}={}", encode(&value))).collect();
        if fields.is_empty() { "/search".to_owned() } else { format!("/search?{}", fields.join("&")) }
    }

    /// The same search of the same text, narrowed by nothing.
    fn of_text(&self) -> Self {
        Self { q: self.q.clone(), ..Self::default() }
    }
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct SearchView {
    /// What was asked for.
    pub choice: Choice,
    /// The events on this page.
    pub results: Vec<EventCard>,
    /// How many there are in all.
    pub total: usize,
    /// How the text was found.
    pub matched: Matched,
    /// The text as it was read, where that is not as it was typed.
    pub did_you_mean: Option<String>,
    /// What other choices would find.
    pub facets: Facets,
    /// The address of the next page.
    pub next: Option<String>,
}

/// The page.
pub fn search(c: &Chrome, v: &SearchView) -> String {
    let w = words(c.lang);
    let (choice, q) = (&v.choice, &v.choice.q);
    let title = if q.is_empty() { w.all_shows.to_owned() } else { format!("‘{q}’ {}", w.search_results) };
    let count = text::shows(c.lang, v.total);
    let main = html! {
        h1 { (title) }
        (search_form(c, q, &choice.fields()))
        // In the page when it arrives, before the events: nothing moves, and a reader hears it first.
        p.quiet role="status" {
            (count)
            @if let Some(instead) = &v.did_you_mean { " · " (text::read_as(c.lang, instead)) }
            @if v.matched == Matched::Most && v.total > 0 { " · " (w.most_words) }
        }
        (narrowing(c, v))
        @if v.results.is_empty() {
            div.empty {
                p { strong { (w.empty_result) } }
                p { (w.empty_hint) }
                @if *choice != choice.of_text() { p { a href=(choice.of_text().url()) { (w.clear_filters) } } }
                p { a href="/search" { (w.all_shows) } }
            }
        }
        (cards(c, &v.results))
        @if let Some(next) = &v.next { p.center { a.button href=(next) rel="next" { (w.more) } } }
    };
    document(c, &Head { title: &format!("{title} ({count})"), modules: &["suggest.js"], ..Head::default() }, &main)
}

fn narrowing(c: &Chrome, v: &SearchView) -> Markup {
    let w = words(c.lang);
    let choice = &v.choice;
    let category = |name: &str| text::category(c.lang, name).to_owned();
    let day = choice.date.as_deref().and_then(parse_date).map(|day| text::day(c.lang, day));
    let sorts = Sort::ALL.into_iter().map(|sort| {
        let name = match sort {
            Sort::Relevance => w.by_relevance,
            Sort::Popularity => w.by_popularity,
            Sort::Date => w.by_date,
            Sort::Price => w.by_price,
        };
        (sort, name)
    });
    html! {
        @if let Some(date) = &choice.date {
            p.chips {
                a.chip href=(Choice { date: None, ..choice.clone() }.url()) {
                    (day.as_deref().unwrap_or(date)) " " span aria-hidden="true" { "×" } span.hidden { (w.clear) }
                }
            }
        }
        (group(w.categories, &v.facets.category, choice.category.as_deref(), category, |category| Choice { category, ..choice.clone() }))
        (group(w.region, &v.facets.region, choice.region.as_deref(), str::to_owned, |region| Choice { region, ..choice.clone() }))
        nav.chips aria-label=(w.narrow) {
            (toggle(w.only_on_sale, v.facets.on_sale, choice.on_sale, &Choice { on_sale: !choice.on_sale, ..choice.clone() }))
            (toggle(w.only_transferable, v.facets.transferable, choice.transferable, &Choice { transferable: !choice.transferable, ..choice.clone() }))
        }
        nav.chips aria-label=(w.order) {
            @for (sort, name) in sorts {
                a.chip href=(Choice { sort, ..choice.clone() }.url()) aria-current=[(sort == choice.sort).then_some("true")] { (name) }
            }
        }
    }
}

/// The values of one count, each a link that chooses it, or gives it up where it is chosen.
fn group(
    label: &str,
    counts: &[Count],
    chosen: Option<&str>,
    shown: impl Fn(&str) -> String,
    with: impl Fn(Option<String>) -> Choice,
) -> Markup {
    html! {
        @if !counts.is_empty() || chosen.is_some() {
            nav.chips aria-label=(label) {
                // What is chosen stays in sight though it finds nothing.
                @if let Some(chosen) = chosen.filter(|chosen| counts.iter().all(|count| count.value != **chosen)) {
                    (toggle(&shown(chosen), 0, true, &with(None)))
                }
                @for count in counts {
                    @let is_chosen = chosen == Some(count.value.as_str());
                    (toggle(&shown(&count.value), count.count, is_chosen, &with((!is_chosen).then(|| count.value.clone()))))
                }
            }
        }
    }
}

fn toggle(name: &str, count: usize, is_chosen: bool, to: &Choice) -> Markup {
    html! {
        @if count > 0 || is_chosen {
            a.chip href=(to.url()) aria-current=[is_chosen.then_some("true")] { (name) " " small { (count) } }
        }
    }
}
