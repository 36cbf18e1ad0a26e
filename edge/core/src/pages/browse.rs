//! Finding something to see: the first page, an event.

use maud::{Markup, html};
use nugul_api::{
    catalogue::{CalendarDay, PerformanceSummary},
    problem::Language,
    rankings::{Movement, RankedEvent, RankedKeyword},
};
use nugul_catalog::query::{Highlight, Highlighted};
use nugul_domain::time::{iso_date, parse_date};
use time::{Date, Duration, Month};

use super::{
    Chrome, EventCard, EventView, HomeView,
    layout::{Head, document, encode},
    poster::poster,
    text::{self, words},
    tickets::fee_table,
};

/// The first page.
pub fn home(c: &Chrome, v: &HomeView) -> String {
    let w = words(c.lang);
    let main = html! {
        h1.hero { (w.tagline) }
        (search_form(c, "", &[]))
        (category_links(c, &v.categories, None))
        section aria-labelledby="on-sale" {
            h2 #on-sale { (w.on_sale) }
            @if v.on_sale.is_empty() { p.quiet { (w.nothing_on_sale) } }
            (cards(c, &v.on_sale))
        }
        @if !v.soon.is_empty() {
            section aria-labelledby="soon" { h2 #soon { (w.soon) } (cards(c, &v.soon)) }
        }
        (rankings(c, &v.ranked_keywords, &v.ranked_events))
        (calendar(c, &v.month, &v.calendar))
    };
    document(c, &Head { modules: &["suggest.js"], ..Head::default() }, &main)
}

/// One event.
pub fn event(c: &Chrome, v: &EventView) -> String {
    let w = words(c.lang);
    let (e, summary) = (&v.event, &v.event.summary);
    let main = html! {
        div.event {
            div.event-poster { (poster(&summary.title, &summary.category)) }
            div {
                p.quiet { (text::category(c.lang, &summary.category)) }
                h1 lang=[text::korean(c.lang)] { (summary.title) }
                @if let Some(english) = &e.title_en { p.quiet lang="en" { (english) } }
                dl.facts {
                    dt { (w.place) } dd lang=[text::korean(c.lang)] { (summary.place) }
                    dt { (w.period) } dd { (text::period(c.lang, &summary.starts_on, &summary.ends_on)) }
                    dt { (w.runtime) } dd { (text::minutes(c.lang, e.runtime_min)) }
                    dt { (w.rating) } dd { (text::rating(c.lang, &e.rating)) }
                    @if !e.cast.is_empty() { dt { (w.cast) } dd lang=[text::korean(c.lang)] { (e.cast.join(", ")) } }
                    @if e.members_only { dt { (w.members_only) } dd { (w.members_only_what) } }
                }
            }
        }
        section #dates aria-labelledby="dates-h" {
            h2 #dates-h { (w.choose_date) }
            @if e.performances.is_empty() { p.quiet { (w.no_performances) } }
            ul.dates {
                @for p in &e.performances {
                    li { (performance(c, p, v.remaining.iter().find(|(id, _)| *id == p.id).map(|r| r.1))) }
                }
            }
        }
        section aria-labelledby="prices-h" {
            h2 #prices-h { (w.prices) }
            table.sum {
                thead { tr { th scope="col" { (w.grade) } th scope="col" { (w.price) } } }
                tbody {
                    @for grade in &e.grades {
                        tr { th scope="row" { (text::grade(c.lang, &grade.grade)) } td { (text::money(c.lang, grade.price_krw)) } }
                    }
                }
            }
        }
        @if !e.description.trim().is_empty() {
            section aria-labelledby="about-h" {
                h2 #about-h { (w.about) }
                @for p in e.description.split('\n').filter(|p| !p.trim().is_empty()) { p.prose lang=[text::korean(c.lang)] { (p) } }
            }
        }
        section aria-labelledby="refund-h" {
            h2 #refund-h { (w.refunds) }
            ul { li { (w.refunds_pay) } li { (w.refunds_one) } }
            (fee_table(c))
        }
    };
    document(c, &Head { title: &summary.title, ..Head::default() }, &main)
}

fn performance(c: &Chrome, p: &PerformanceSummary, left: Option<u32>) -> Markup {
    let w = words(c.lang);
    let when = text::moment(c.lang, p.starts_at);
    html! {
        span.when { (when) }
        @if p.cancelled {
            span.quiet { (w.called_off) }
        } @else if p.starts_at <= c.now {
            span.quiet { (w.ended) }
        } @else if p.sales_open_at > c.now {
            span.quiet { (text::opens_in(c.lang, c.now, p.sales_open_at)) " · " (w.opens) " " (text::moment(c.lang, p.sales_open_at)) }
        } @else if p.sales_close_at <= c.now {
            span.quiet { (w.closed) }
        } @else if left == Some(0) {
            span.quiet { (w.sold_out) }
        } @else {
            @if let Some(left) = left { span.quiet { (text::left(c.lang, left)) } }
            a.button.main href={ "/performances/" (p.id) } aria-label={ (when) " " (w.choose_seats) } { (w.choose_seats) }
        }
    }
}

/// The field to search with; a search keeps what else was chosen.
pub(super) fn search_form(c: &Chrome, q: &str, kept: &[(&str, String)]) -> Markup {
    let w = words(c.lang);
    html! {
        form.search role="search" action="/search" method="get" {
            label.hidden for="q" { (w.search_label) }
            input #q type="search" name="q" value=(q) maxlength=(nugul_api::limits::QUERY_CHARS_MAX) placeholder=(w.search_hint)
                autocomplete="off" enterkeyhint="search" data-label=(w.suggestions) data-count=(w.suggestion_count);
            @for (name, value) in kept { input type="hidden" name=(name) value=(value); }
            button.main type="submit" { (w.search) }
        }
    }
}

fn category_links(c: &Chrome, categories: &[String], chosen: Option<&str>) -> Markup {
    let w = words(c.lang);
    html! {
        nav.chips aria-label=(w.categories) {
            a.chip href="/search" { (w.all) }
            @for name in categories {
                a.chip href=(search_url("", Some(name), None)) aria-current=[(chosen == Some(name)).then_some("true")] { (text::category(c.lang, name)) }
            }
        }
    }
}

fn search_url(q: &str, category: Option<&str>, date: Option<&str>) -> String {
    let fields = [("q", (!q.is_empty()).then_some(q)), ("category", category), ("date", date)];
    let query: Vec<_> = fields.iter().filter_map(|(k, v)| v.map(|v| format!("{k}={}", encode(v)))).collect();
    if query.is_empty() { "/search".to_owned() } else { format!("/search?{}", query.join("&")) }
}

pub(super) fn cards(c: &Chrome, events: &[EventCard]) -> Markup {
    let w = words(c.lang);
    html! {
        @if !events.is_empty() {
            ul.cards {
                @for e in events {
                    li {
                        a.card href={ "/events/" (e.id) } {
                            (poster(&e.title, &e.category))
                            strong lang=[text::korean(c.lang)] { (marked(&e.title, &e.highlights, Highlighted::Title)) }
                            @if let (Language::English, Some(english)) = (c.lang, &e.title_en) { span lang="en" { (english) } }
                            span.quiet lang=[text::korean(c.lang)] { (marked(&e.place, &e.highlights, Highlighted::Place)) }
                            span.quiet { (text::period(c.lang, &e.starts_on, &e.ends_on)) }
                            @if let Some(at) = e.sales_open_at.filter(|at| *at > c.now) {
                                span.price { (text::opens_in(c.lang, c.now, at)) }
                                span.quiet { (w.opens) " " (text::moment(c.lang, at)) }
                            } @else {
                                span.price { (text::prices(c.lang, e.min_price_krw, e.max_price_krw)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A text with what matched of it marked.
fn marked(text: &str, highlights: &[Highlight], field: Highlighted) -> Markup {
    let at = |n: u32| text.char_indices().nth(n as usize).map_or(text.len(), |(at, _)| at);
    let mut parts = Vec::new();
    let mut end = 0;
    for highlight in highlights.iter().filter(|highlight| highlight.field == field) {
        let (from, to) = (at(highlight.from).max(end), at(highlight.to));
        parts.push((text.get(end..from).unwrap_or_default(), text.get(from..to).unwrap_or_default()));
        end = to.max(from);
    }
    html! {
        @for (before, found) in parts { (before) mark { (found) } }
        (text.get(end..).unwrap_or_default())
    }
}

fn rankings(c: &Chrome, keywords: &[RankedKeyword], events: &[RankedEvent]) -> Markup {
    let w = words(c.lang);
    html! {
        @if !keywords.is_empty() || !events.is_empty() {
            div.rankings {
                @if !keywords.is_empty() {
                    section aria-labelledby="top-keywords" {
                        h2 #top-keywords { (w.top_keywords) }
                        ol.ranking {
                            @for k in keywords {
                                li { b { (k.rank) } a href=(search_url(&k.keyword, None, None)) { (k.keyword) } (movement(c, k.movement)) }
                            }
                        }
                    }
                }
                @if !events.is_empty() {
                    section aria-labelledby="top-events" {
                        h2 #top-events { (w.top_events) }
                        ol.ranking {
                            @for e in events {
                                li { b { (e.rank) } a href={ "/events/" (e.event.id) } { (e.event.title) } (movement(c, e.movement)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn movement(c: &Chrome, movement: Movement) -> Markup {
    let (sign, class) = match movement {
        Movement::New => ("NEW".to_owned(), "new"),
        Movement::Same => ("–".to_owned(), "same"),
        Movement::Up { places } => (format!("▲{places}"), "up"),
        Movement::Down { places } => (format!("▼{places}"), "down"),
    };
    html! { span.moved.(class) { span aria-hidden="true" { (sign) } span.hidden { (text::moved(c.lang, movement)) } } }
}

fn calendar(c: &Chrome, month: &str, days: &[CalendarDay]) -> Markup {
    let w = words(c.lang);
    let first = parse_date(&format!("{month}-01"));
    html! {
        @if let Some(first) = first {
            section aria-labelledby="calendar-h" {
                h2 #calendar-h { (w.calendar) }
                p.quiet { (w.calendar_hint) }
                div.month {
                    a.plain href=(month_url(first - Duration::DAY)) rel="prev" aria-label=(w.prev_month) { "‹" }
                    strong { (text::month(c.lang, first)) }
                    a.plain href=(month_url(first + Duration::days(i64::from(first.month().length(first.year()))))) rel="next" aria-label=(w.next_month) { "›" }
                }
                table.calendar aria-labelledby="calendar-h" {
                    thead { tr { @for d in text::weekdays(c.lang) { th scope="col" { (d) } } } }
                    tbody {
                        @for week in weeks(first) {
                            tr { @for day in week { td { (calendar_day(c, day, days)) } } }
                        }
                    }
                }
            }
        }
    }
}

fn calendar_day(c: &Chrome, day: Option<Date>, days: &[CalendarDay]) -> Markup {
    let found = day.map(|d| (d, iso_date(d)));
    html! {
        @if let Some((date, iso)) = found {
            @let today = iso == c.now.seoul_date();
            @match days.iter().find(|d| d.date == iso && d.count > 0) {
                Some(d) => {
                    a href={ "/search?date=" (iso) } aria-current=[today.then_some("date")]
                        aria-label={ (text::day(c.lang, date)) " " (text::shows(c.lang, d.count as usize)) } {
                        b { (date.day()) } small { (d.count) }
                    }
                }
                None => span { (date.day()) }
            }
        }
    }
}

fn month_url(in_month: Date) -> String {
    format!("/?month={:04}-{:02}#calendar-h", in_month.year(), u8::from(in_month.month()))
}

/// The weeks of a month from Sunday, with gaps before its first and after its last day.
fn weeks(first: Date) -> Vec<Vec<Option<Date>>> {
    let gap = usize::from(first.weekday().number_days_from_sunday());
    let length: u8 = Month::length(first.month(), first.year());
    let mut cells: Vec<Option<Date>> = vec![None; gap];
    cells.extend((1..=length).map(|d| first.replace_day(d).ok()));
    cells.resize(cells.len().next_multiple_of(7), None);
    cells.chunks(7).map(<[_]>::to_vec).collect()
}
