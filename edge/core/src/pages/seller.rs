//! What an organiser decides: refunds asked for on the day, and a performance's sales window, blocked seats and end.

use maud::{Markup, html};
use nugul_api::{booking::Refund, catalogue::Cancellation, limits::REASON_CHARS_MAX, problem::Language};
use nugul_domain::{Timestamp, refund::RefundState};

use super::{
    Chrome, SellerForm, SellerPerformanceView, SellerRefundsView,
    checkout::what,
    layout::{Head, document, problem_box},
    text::{self, words},
};

/// How often a page that waits for a cancellation asks again, in seconds.
const CANCELLING_REFRESH_S: u32 = 3;

/// Refunds that wait for the organiser.
pub fn seller_refunds(c: &Chrome, v: &SellerRefundsView) -> String {
    let w = words(c.lang);
    let said = match v.said {
        Some(RefundState::Declined) => w.declined_said,
        Some(_) => w.accepted_said,
        None => "",
    };
    let main = html! {
        h1 { (w.seller_refunds) }
        (problem_box(c, v.problem.as_ref()))
        p.said role="status" { (said) }
        @if v.refunds.is_empty() {
            div.empty { p { strong { (w.seller_refunds_none) } } p { (w.seller_refunds_none_next) } }
        } @else {
            p.quiet { (w.seller_refunds_what) }
            ul.requests { @for r in &v.refunds { (request(c, r)) } }
        }
        @if let Some(next) = &v.next { p.center { a.button href=(next) rel="next" { (w.more) } } }
    };
    document(c, &Head { title: w.seller_refunds, ..Head::default() }, &main)
}

fn request(c: &Chrome, r: &Refund) -> Markup {
    let w = words(c.lang);
    let seat = text::seat(c.lang, &r.seat.label);
    let decide = |to: &str, class: &str, word: &str| {
        html! {
            form method="post" action={ "/seller/refund-requests/" (r.id) "/" (to) } {
                button class=(class) type="submit" aria-label={ (seat) " " (word) } { (word) }
            }
        }
    };
    html! {
        li {
            (what(c, &r.performance))
            dl.facts {
                dt { (w.seats) } dd { b { (seat) } }
                dt { (w.refund_asked_at) } dd { (text::moment(c.lang, r.requested_at)) }
                dt { (w.refund_reason) } dd { @if r.reason.is_empty() { span.quiet { (w.no_reason) } } @else { (r.reason) } }
                dt { (w.paid_sum) } dd { (text::money(c.lang, r.seat.price_krw)) }
                dt { (w.fee) } dd { (text::money(c.lang, r.fee_krw)) }
                dt { (w.gives_back) } dd { b { (text::money(c.lang, r.amount_krw)) } }
            }
            div.actions { (decide("accept", "main", w.accept)) (decide("decline", "", w.decline)) }
        }
    }
}

/// A time as a `datetime-local` field has it, on Seoul's clocks.
pub fn time_field(t: Timestamp) -> String {
    t.to_string().chars().take("2026-12-24T19:30".len()).collect()
}

/// Reads what a `datetime-local` field sends, with or without seconds.
pub fn read_time_field(text: &str) -> Option<Timestamp> {
    let seconds = if text.len() == "2026-12-24T19:30".len() { ":00" } else { "" };
    Timestamp::parse(&format!("{text}{seconds}+09:00")).ok()
}

/// That a refund was decided before.
pub fn already_decided(lang: Language) -> &'static str {
    words(lang).already_decided
}

/// That a field holds no time.
pub fn not_a_time(lang: Language) -> &'static str {
    words(lang).not_a_time
}

/// That a line names no seats.
pub fn unknown_seats(lang: Language, line: &str) -> String {
    format!("{} {line}", words(lang).block_unknown)
}

/// Whether a person typed that they mean it, in either language.
pub fn is_cancel_word(typed: &str) -> bool {
    [Language::Korean, Language::English].iter().any(|lang| typed.eq_ignore_ascii_case(words(*lang).cancel_word))
}

/// That they did not.
pub fn cancel_word_wrong(lang: Language) -> &'static str {
    words(lang).cancel_word_wrong
}

/// A performance for its organiser.
pub fn seller_performance(c: &Chrome, v: &SellerPerformanceView) -> String {
    let w = words(c.lang);
    let p = &v.performance;
    let id = p.summary.id;
    let [left, held, sold, blocked] = v.counts;
    let problem = |form| problem_box(c, v.problem.as_ref().filter(|(of, _)| *of == form).map(|(_, p)| p));
    let saved = |form| {
        html! { p.said role="status" { (if v.saved == Some(form) { w.saved } else { "" }) } }
    };
    let open = !p.summary.cancelled && c.now < p.summary.starts_at;
    let main = html! {
        h1 lang=[text::korean(c.lang)] { (p.event.title) }
        p { b { (text::moment(c.lang, p.summary.starts_at)) } " · " span lang=[text::korean(c.lang)] { (p.event.place) } }
        @if p.members_only { p.quiet { (w.members_only) } }
        @if let Some(cancellation) = &v.cancellation { (progress(c, cancellation)) }
        section aria-labelledby="counts" {
            h2 #counts { (w.seats_now) }
            dl.counts {
                @for (name, n) in [(w.n_sold, sold), (w.n_held, held), (w.n_left, left), (w.n_blocked, blocked)] {
                    div { dt { (name) } dd { (text::number(n)) } }
                }
            }
            p { a href={ "/performances/" (id) } { (w.to_seats) } }
        }
        @if open {
            section #window aria-labelledby="window-h" {
                h2 #window-h { (w.window) }
                p.quiet { (w.window_what) }
                (problem(SellerForm::Window))
                (saved(SellerForm::Window))
                form.fields.short method="post" action={ "/seller/performances/" (id) "/window" } {
                    input type="hidden" name="key" value={ (v.idempotency_key) "-w" };
                    label for="opens" { (w.window_open) }
                    input #opens name="opens" type="datetime-local" value=(v.opens) required;
                    label for="closes" { (w.window_close) }
                    input #closes name="closes" type="datetime-local" value=(v.closes) max=(time_field(p.summary.starts_at)) required;
                    button type="submit" { (w.save) }
                }
            }
            section #blocked aria-labelledby="blocked-h" {
                h2 #blocked-h { (w.block) }
                p.quiet #blocked-what { (w.block_what) " " (w.block_example) }
                (problem(SellerForm::Blocked))
                (saved(SellerForm::Blocked))
                form.fields.short method="post" action={ "/seller/performances/" (id) "/blocked" } {
                    input type="hidden" name="key" value={ (v.idempotency_key) "-b" };
                    textarea name="seats" rows="6" spellcheck="false" aria-labelledby="blocked-h" aria-describedby="blocked-what" { (v.blocked) }
                    button type="submit" { (w.save) }
                }
            }
            section #cancel aria-labelledby="cancel-h" {
                h2 #cancel-h { (w.cancel_it) }
                (problem(SellerForm::Cancellation))
                details.confirm open[v.problem.as_ref().is_some_and(|(of, _)| *of == SellerForm::Cancellation)] {
                    summary { (w.cancel_open) }
                    p { (w.cancel_what) }
                    form.fields.short method="post" action={ "/seller/performances/" (id) "/cancel" } {
                        input type="hidden" name="key" value={ (v.idempotency_key) "-c" };
                        label for="reason" { (w.cancel_reason) }
                        textarea #reason name="reason" rows="2" maxlength=(REASON_CHARS_MAX) required { (v.reason) }
                        label for="confirm" { (w.cancel_confirm) }
                        input #confirm name="confirm" autocomplete="off" required;
                        button.danger type="submit" { (w.cancel_submit) }
                    }
                }
            }
        }
    };
    let is_running = v.cancellation.as_ref().is_some_and(|c| c.finished_at.is_none());
    let refresh_s = is_running.then_some(CANCELLING_REFRESH_S);
    document(c, &Head { title: w.manage, refresh_s, ..Head::default() }, &main)
}

/// How far a cancellation is.
fn progress(c: &Chrome, v: &Cancellation) -> Markup {
    let w = words(c.lang);
    html! {
        div.outcome #progress data-state=(if v.finished_at.is_some() { "refunded" } else { "refunding" }) role="status" {
            p { strong { (if v.finished_at.is_some() { w.cancel_done } else { w.cancelling }) } }
            dl.facts {
                dt { (w.cancel_reason) } dd { (v.reason) }
                dt { (w.cancelled_on) } dd { (text::moment(c.lang, v.cancelled_at)) }
                dt { (w.cancel_refunded) } dd { (v.refunded) }
                dt { (w.cancel_remaining) } dd { (v.remaining) }
                @if let Some(at) = v.finished_at { dt { (w.cancel_finished) } dd { (text::moment(c.lang, at)) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_through_the_field_and_back() {
        let t = Timestamp::parse("2026-12-24T19:30:00+09:00").unwrap();
        assert_eq!(time_field(t), "2026-12-24T19:30");
        assert_eq!(read_time_field("2026-12-24T19:30"), Some(t));
        assert_eq!(read_time_field("2026-12-24T19:30:15"), Some(t.plus_ms(15_000)));
        for text in ["", "2026-12-24", "2026-12-24T19:3", "2026-12-24T19:30Z", "너굴"] {
            assert_eq!(read_time_field(text), None, "{text}");
        }
    }
}
