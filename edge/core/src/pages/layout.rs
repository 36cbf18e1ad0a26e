//! The document around every page, and the pieces pages share.

use maud::{DOCTYPE, Markup, html};
use nugul_api::{Problem, booking::SeatInfo, problem::Language};

use super::{
    Chrome, assets,
    text::{self, words},
};

/// What a page adds to the document.
#[derive(Default)]
pub(super) struct Head<'a> {
    /// Its title, before the brand.
    pub(super) title: &'a str,
    /// Its modules under `/assets/`.
    pub(super) modules: &'a [&'a str],
    /// Styles besides the site's.
    pub(super) style: Option<&'a str>,
    /// A script of others, by address.
    pub(super) foreign_script: Option<&'a str>,
    /// Seconds after which the page asks again.
    pub(super) refresh_s: Option<u32>,
}

/// The whole document.
pub(super) fn document(c: &Chrome, head: &Head<'_>, main: &Markup) -> String {
    let w = words(c.lang);
    let title = if head.title.is_empty() { w.brand.to_owned() } else { format!("{} · {}", head.title, w.brand) };
    let other = if c.lang == Language::Korean { Language::English } else { Language::Korean };
    html! {
        (DOCTYPE)
        html lang=(text::code(c.lang)) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="description" content=(w.tagline);
                @if let Some(s) = head.refresh_s { noscript { meta http-equiv="refresh" content=(s); } }
                title { (title) }
                link rel="icon" type="image/svg+xml" href=(assets::url("mark.svg"));
                link rel="stylesheet" href=(assets::url("site.css"));
                @if let Some(style) = head.style { link rel="stylesheet" href=(assets::url(style)); }
                @if let Some(src) = head.foreign_script { script src=(src) defer {} }
                @if let Some(s) = head.refresh_s { script type="module" src=(assets::url("news.js")) data-every-s=(s) {} }
                @for m in head.modules { script type="module" src=(assets::url(m)) {} }
            }
            body {
                a.skip href="#main" { (w.skip) }
                header.top.full[c.account.as_ref().is_some_and(|user| user.may_sell)] {
                    a.brand href="/" {
                        img src=(assets::url("mark.svg")) width="28" height="28" alt="";
                        span { (w.brand) }
                    }
                    nav aria-label=(w.menu) {
                        a href="/search" { (w.search) }
                        @if let Some(user) = &c.account {
                            a href="/tickets" { (w.my_tickets) }
                            @if user.may_sell { a href="/seller/refund-requests" aria-label={ (w.seller) ": " (w.seller_refunds) } { (w.seller) } }
                            form method="post" action="/log-out" {
                                button.plain type="submit" title=(user.nickname) { (w.log_out) }
                            }
                        } @else {
                            a href={ "/log-in?next=" (encode(&c.path)) } { (w.log_in) }
                        }
                    }
                }
                main #main tabindex="-1" { (main) }
                footer {
                    form method="post" action="/language" {
                        input type="hidden" name="lang" value=(text::code(other));
                        input type="hidden" name="next" value=(c.path);
                        button.plain type="submit" lang=(text::code(other)) { (w.other_language) }
                    }
                    p { (w.footer) }
                    @if let Some(user) = &c.account { p { (user.nickname) } }
                }
            }
        }
    }
    .into_string()
}

/// A problem in words, with the fields and seats it names.
pub(super) fn problem_box(c: &Chrome, problem: Option<&Problem>) -> Markup {
    html! {
        @if let Some(p) = problem {
            div.problem role="alert" {
                p { (p.detail) }
                @if !p.errors.is_empty() { ul { @for e in &p.errors { li { (e.detail) } } } }
                @if !p.seats.is_empty() {
                    p { (words(c.lang).lost_many) }
                    ul { @for s in &p.seats { li { (text::seat(c.lang, &s.label)) } } }
                }
            }
        }
    }
}

/// What a problem says of one field.
pub(super) fn fault<'p>(problem: Option<&'p Problem>, field: &str) -> Option<&'p str> {
    let named = |pointer: &str| pointer.strip_prefix('/') == Some(field);
    problem.and_then(|p| p.errors.iter().find(|e| named(&e.pointer))).map(|e| e.detail.as_str())
}

/// The line below a field that says what is wrong with it, which the field names in `aria-describedby`.
pub(super) fn fault_line(problem: Option<&Problem>, field: &str) -> Markup {
    html! { @if let Some(detail) = fault(problem, field) { p.fault id={ (field) "-fault" } { (detail) } } }
}

/// The id of that line, where there is one.
pub(super) fn fault_id(problem: Option<&Problem>, field: &str) -> Option<String> {
    fault(problem, field).map(|_| format!("{field}-fault"))
}

/// Seats with their prices and the sum.
pub(super) fn seat_sum(c: &Chrome, seats: &[SeatInfo], total: nugul_domain::Krw) -> Markup {
    let w = words(c.lang);
    html! {
        table.sum {
            caption.quiet { (w.seats) " " (text::copies(c.lang, seats.len())) }
            tbody {
                @for s in seats {
                    tr { th scope="row" { (text::seat(c.lang, &s.label)) } td { (text::money(c.lang, s.price_krw)) } }
                }
            }
            tfoot { tr { th scope="row" { (w.sum) } td { (text::money(c.lang, total)) } } }
        }
    }
}

/// A text as a value of a query (RFC 3986, 2.1).
pub(super) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"-._~/".contains(&b) {
            out.push(char::from(b));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}
