//! Finding something to see: the first page, search, an event.

use maud::{Markup, html};
use nugul_api::catalogue::{CalendarDay, PerformanceSummary};
use nugul_domain::time::{iso_date, parse_date};
use time::{Date, Duration, Month};

use super::{
    Chrome, EventCard, EventView, HomeView, SearchView,
    layout::{Head, document, encode},
    poster::poster,
    text::{self, words},
};

/// The first page.
pub fn home(c: &Chrome, v: &HomeView) -> String {
    let w = words(c.lang);
    let main = html! {
        h1.hero { (w.tagline) }
        (search_form(c, "", None, None))
        (category_links(c, &v.categories, None))
        section aria-labelledby="on-sale" {
            h2 #on-sale { (w.on_sale) }
            @if v.on_sale.is_empty() { p.quiet { (w.nothing_on_sale) } }
            (cards(c, &v.on_sale))
        }
        @if !v.soon.is_empty() {
            section aria-labelledby="soon" { h2 #soon { (w.soon) } (cards(c, &v.soon)) }
        }
        (calendar(c, &v.month, &v.calendar))
    };
    document(c, &Head { modules: &["suggest.js"], ..Head::default() }, &main)
}

/// What a search found.
pub fn search(c: &Chrome, v: &SearchView) -> String {
    let w = words(c.lang);
    let title = if v.q.is_empty() { w.all_shows.to_owned() } else { format!("‘{}’ {}", v.q, w.search_results) };
    let day = v.date.as_deref().and_then(parse_date).map(|d| text::day(c.lang, d));
    let main = html! {
        h1 { (title) }
        (search_form(c, &v.q, v.category.as_deref(), v.date.as_deref()))
        @if v.category.is_some() || v.date.is_some() {
            p.chips {
                @if let Some(category) = &v.category {
                    a.chip href=(search_url(&v.q, None, v.date.as_deref())) {
                        (text::category(c.lang, category)) " " span aria-hidden="true" { "×" } span.hidden { (w.clear) }
                    }
                }
                @if let Some(date) = &v.date {
                    a.chip href=(search_url(&v.q, v.category.as_deref(), None)) {
                        (day.as_deref().unwrap_or(date)) " " span aria-hidden="true" { "×" } span.hidden { (w.clear) }
                    }
                }
            }
        }
        p.quiet role="status" { (text::shows(c.lang, v.total)) }
        @if v.results.is_empty() {
            div.empty { p { strong { (w.empty_result) } } p { (w.empty_hint) } p { a href="/search" { (w.all_shows) } } }
        }
        (cards(c, &v.results))
        @if let Some(next) = &v.next { p.center { a.button href=(next) rel="next" { (w.more) } } }
    };
    document(c, &Head { title: &title, modules: &["suggest.js"], ..Head::default() }, &main)
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
                h1 { (summary.title) }
                dl.facts {
                    dt { (w.place) } dd { (summary.place) }
                    dt { (w.period) } dd { (text::period(c.lang, &summary.starts_on, &summary.ends_on)) }
                    dt { (w.runtime) } dd { (text::minutes(c.lang, e.runtime_min)) }
                    dt { (w.rating) } dd { (e.rating) }
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
                @for p in e.description.split('\n').filter(|p| !p.trim().is_empty()) { p.prose { (p) } }
            }
        }
        section aria-labelledby="refund-h" {
            h2 #refund-h { (w.refunds) }
            ul { li { (w.refunds_pay) } li { (w.refunds_one) } }
        }
    };
    document(c, &Head { title: &summary.title, ..Head::default() }, &main)
}

fn performance(c: &Chrome, p: &PerformanceSummary, left: Option<u32>) -> Markup {
    let w = words(c.lang);
    let when = text::moment(c.lang, p.starts_at);
    html! {
        span.when { (when) }
        @if p.starts_at <= c.now {
            span.quiet { (w.ended) }
        } @else if p.sales_open_at > c.now {
            span.quiet { (w.opens) " " (text::moment(c.lang, p.sales_open_at)) }
        } @else if left == Some(0) {
            span.quiet { (w.sold_out) }
        } @else {
            @if let Some(left) = left { span.quiet { (text::left(c.lang, left)) } }
            a.button.main href={ "/performances/" (p.id) } aria-label={ (when) " " (w.choose_seats) } { (w.choose_seats) }
        }
    }
}

fn search_form(c: &Chrome, q: &str, category: Option<&str>, date: Option<&str>) -> Markup {
    let w = words(c.lang);
    html! {
        form.search role="search" action="/search" method="get" {
            label.hidden for="q" { (w.search_label) }
            input #q type="search" name="q" value=(q) maxlength=(nugul_api::limits::QUERY_CHARS_MAX) placeholder=(w.search_hint)
                autocomplete="off" enterkeyhint="search" data-label=(w.suggestions);
            @if let Some(category) = category { input type="hidden" name="category" value=(category); }
            @if let Some(date) = date { input type="hidden" name="date" value=(date); }
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

fn cards(c: &Chrome, events: &[EventCard]) -> Markup {
    let w = words(c.lang);
    html! {
        @if !events.is_empty() {
            ul.cards {
                @for e in events {
                    li {
                        a.card href={ "/events/" (e.id) } {
                            (poster(&e.title, &e.category))
                            strong { (e.title) }
                            span.quiet { (e.place) }
                            span.quiet { (text::period(c.lang, &e.starts_on, &e.ends_on)) }
                            @if let Some(at) = e.sales_open_at.filter(|at| *at > c.now) {
                                span.price { (w.opens) " " (text::moment(c.lang, at)) }
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
