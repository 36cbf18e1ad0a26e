//! Logging in, signing up, tickets, and what could not be shown.

use maud::{Markup, html};
use nugul_api::booking::Ticket;

use super::{
    Chrome, LogInView, ProblemView, SignUpStep, SignUpView, TicketView, TicketsView,
    checkout::what,
    layout::{Head, document, encode, problem_box},
    text::{self, words},
};

/// After a performance began, its ticket stays among the coming ones this long.
const PAST_AFTER_MS: i64 = 6 * 60 * 60 * 1000;

/// Logging in.
pub fn log_in(c: &Chrome, v: &LogInView) -> String {
    let w = words(c.lang);
    let main = html! {
        div.narrow {
            h1 { (w.log_in) }
            (problem_box(c, v.problem.as_ref()))
            form.fields method="post" action="/log-in" {
                input type="hidden" name="next" value=(v.next);
                label for="email" { (w.email) }
                input #email name="email" type="email" value=(v.email) autocomplete="username" inputmode="email" required;
                label for="password" { (w.password) }
                input #password name="password" type="password" autocomplete="current-password" required;
                button.main.wide #log-in type="submit" { (w.log_in) }
            }
            p { (w.new_here) " " a href={ "/sign-up?next=" (encode(&v.next)) } { (w.sign_up) } }
        }
    };
    document(c, &Head { title: w.log_in, ..Head::default() }, &main)
}

/// Signing up.
pub fn sign_up(c: &Chrome, v: &SignUpView) -> String {
    let w = words(c.lang);
    let main = html! {
        div.narrow {
            h1 { (w.sign_up) }
            (problem_box(c, v.problem.as_ref()))
            @match v.step {
                SignUpStep::Email => {
                    p { (w.sign_up_what) }
                    form.fields method="post" action="/sign-up" {
                        input type="hidden" name="step" value="email";
                        input type="hidden" name="next" value=(v.next);
                        label for="email" { (w.email) }
                        input #email name="email" type="email" value=(v.email) autocomplete="email" inputmode="email" required;
                        button.main.wide type="submit" { (w.send_code) }
                    }
                }
                SignUpStep::Code => {
                    p { (w.code_sent) " " b { (v.email) } " " a href={ "/sign-up?next=" (encode(&v.next)) } { (w.code_other) } }
                    form.fields method="post" action="/sign-up" {
                        input type="hidden" name="step" value="code";
                        input type="hidden" name="next" value=(v.next);
                        input type="hidden" name="key" value=(v.idempotency_key);
                        input type="hidden" name="email" value=(v.email) autocomplete="username";
                        label for="code" { (w.code) }
                        input #code name="code" inputmode="numeric" autocomplete="one-time-code" required;
                        label for="password" { (w.password) " " small { (w.password_hint) } }
                        input #password name="password" type="password" minlength="8" maxlength="128" autocomplete="new-password" required;
                        label for="nickname" { (w.nickname) " " small { (w.nickname_hint) } }
                        input #nickname name="nickname" value=(v.nickname) maxlength="20" autocomplete="nickname" required;
                        button.main.wide #sign-up type="submit" { (w.sign_up) }
                    }
                }
            }
            p { (w.have_account) " " a href={ "/log-in?next=" (encode(&v.next)) } { (w.log_in) } }
        }
    };
    document(c, &Head { title: w.sign_up, ..Head::default() }, &main)
}

/// Every ticket by date, the coming ones first.
pub fn tickets(c: &Chrome, v: &TicketsView) -> String {
    let w = words(c.lang);
    let mut sorted: Vec<&Ticket> = v.tickets.iter().collect();
    sorted.sort_by_key(|t| (t.performance.starts_at, t.seat.index));
    let is_past = |t: &&Ticket| t.performance.starts_at.plus_ms(PAST_AFTER_MS) <= c.now;
    let (past, coming): (Vec<&Ticket>, Vec<&Ticket>) = sorted.into_iter().partition(is_past);
    let main = html! {
        h1 { (w.my_tickets) }
        @if v.tickets.is_empty() {
            div.empty {
                p { strong { (w.no_tickets) } }
                p { (w.no_tickets_next) }
                p { a.button.main href="/search" { (w.find_shows) } }
            }
        }
        (ticket_list(c, &coming))
        @if !past.is_empty() { h2 { (w.past) } (ticket_list(c, &past)) }
    };
    document(c, &Head { title: w.my_tickets, ..Head::default() }, &main)
}

fn ticket_list(c: &Chrome, tickets: &[&Ticket]) -> Markup {
    html! {
        @if !tickets.is_empty() {
            ul.tickets {
                @for t in tickets {
                    li.ticket {
                        a href={ "/tickets/" (t.id) } {
                            (what(c, &t.performance))
                            b.seat { (text::seat(c.lang, &t.seat.label)) }
                        }
                    }
                }
            }
        }
    }
}

/// One ticket with its entry code.
pub fn ticket(c: &Chrome, v: &TicketView) -> String {
    let w = words(c.lang);
    let t = &v.ticket;
    let main = html! {
        div.narrow.pass {
            h1 { (t.performance.event.title) }
            p.big { (text::seat(c.lang, &t.seat.label)) }
            p { (text::moment(c.lang, t.performance.starts_at)) }
            p.quiet { (t.performance.event.place) }
            img #qr src={ "/tickets/" (t.id) "/qr.svg" } width="320" height="320" alt=(w.qr_alt);
            p { (w.qr_hint) }
            dl.facts {
                dt { (w.price) } dd { (text::money(c.lang, t.seat.price_krw)) }
                dt { (w.issued) } dd { (text::moment(c.lang, t.issued_at)) }
                dt { (w.order_number) } dd { a href={ "/orders/" (t.order_id) } { span.id { (t.order_id) } } }
            }
            p { a href="/tickets" { (w.my_tickets) } }
        }
    };
    document(c, &Head { title: w.ticket, ..Head::default() }, &main)
}

/// A page that could not be shown: what happened, what was not changed, what to do next.
pub fn problem(c: &Chrome, v: &ProblemView) -> String {
    let w = words(c.lang);
    let p = &v.problem;
    let (title, says) = match p.status {
        404 => (w.not_found, Some(w.not_found_what)),
        429 | 503 => (w.away, Some(w.away_what)),
        500.. => (w.broken, Some(w.broken_what)),
        _ => (w.refused, None),
    };
    let main = html! {
        div.narrow {
            h1 { (title) }
            @match says {
                Some(says) => p { (says) },
                None => (problem_box(c, Some(p))),
            }
            p.actions {
                @if p.status != 404 { a.button.main href=(c.path) { (w.try_again) } }
                @else { a.button.main href="/search" { (w.find_shows) } }
                a.button href="/" { (w.to_home) }
            }
            @if !p.trace_id.is_empty() { p.quiet.id { (w.trace) ": " (p.trace_id) } }
        }
    };
    document(c, &Head { title, ..Head::default() }, &main)
}
