//! From held seats to a paid order, and a page for every outcome.

use maud::{Markup, html};
use nugul_api::booking::PerformanceRef;
use nugul_domain::order::OrderState;

use super::{
    Chrome, HoldView, OrderView,
    layout::{Head, document, problem_box, seat_sum},
    poster::poster,
    text::{self, words},
};

/// How often a page that waits for the payment asks again, in seconds.
const CONFIRMING_REFRESH_S: u32 = 2;

/// Seats held: time left, the sum, the terms.
pub fn hold(c: &Chrome, v: &HoldView) -> String {
    let w = words(c.lang);
    let h = &v.hold;
    let main = html! {
        h1 { (w.checkout) }
        (problem_box(c, v.problem.as_ref()))
        p.clock #countdown data-until=(h.expires_at.as_millis()) data-now=(c.now.as_millis()) data-left=(w.left) data-over=(w.time_over) {
            @if h.expires_at <= c.now { (w.time_over) }
            @else { b { (text::clock(c.lang, h.expires_at)) } (w.held_until) }
        }
        p.hidden #countdown-said aria-live="polite" {}
        @if v.hold.extended {
            p.quiet role="status" { (w.extended) }
        } @else if h.expires_at > c.now {
            form.more-time method="post" action={ "/holds/" (h.id) "/extend" } {
                button #extend type="submit" aria-describedby="extend-note" { (w.extend) }
                small #extend-note { (w.extend_note) }
            }
        }
        (what(c, &h.performance))
        (seat_sum(c, &h.seats, h.total_krw))
        section aria-labelledby="terms" {
            h2 #terms { (w.terms) }
            ul { li { (w.terms_price) } li { (w.terms_seat) } li { (w.terms_stop) } }
            p.quiet { (w.agree) }
        }
        div.bar {
            form method="post" action={ "/holds/" (h.id) "/order" } {
                input type="hidden" name="key" value=(v.idempotency_key);
                button.main.wide #order type="submit" { (text::money(c.lang, h.total_krw)) " " (w.pay) }
            }
            form method="post" action={ "/holds/" (h.id) "/release" } {
                button.plain type="submit" { (w.release) }
            }
        }
    };
    document(c, &Head { title: w.checkout, modules: &["countdown.js"], ..Head::default() }, &main)
}

/// A hold that is no more, and became no order.
pub fn hold_ended(c: &Chrome) -> String {
    let w = words(c.lang);
    let main = html! {
        div.narrow {
            h1 { (w.hold_ended) }
            p { (w.hold_ended_what) }
            p.actions {
                a.button.main href="/search" { (w.find_shows) }
                a.button href="/tickets" { (w.to_tickets) }
            }
        }
    };
    document(c, &Head { title: w.hold_ended, ..Head::default() }, &main)
}

/// An order: paying while it is pending, its outcome after.
pub fn order(c: &Chrome, v: &OrderView) -> String {
    match v.order.state {
        OrderState::Pending if !v.cancelled => pay(c, v),
        _ => outcome(c, v),
    }
}

fn pay(c: &Chrome, v: &OrderView) -> String {
    let w = words(c.lang);
    let o = &v.order;
    let main = html! {
        h1 { (w.pay_title) }
        (problem_box(c, v.problem.as_ref()))
        p.clock #countdown data-until=(o.pay_before.as_millis()) data-now=(c.now.as_millis()) data-left=(w.left) data-over=(w.time_over) {
            b { (text::clock(c.lang, o.pay_before)) } (w.pay_until)
        }
        p.hidden #countdown-said aria-live="polite" {}
        (what(c, &o.performance))
        (seat_sum(c, &o.seats, o.total_krw))
        p.quiet { (w.pay_note) }
        div.bar {
            p #pay-said role="status" data-failed=(w.pay_failed_load) data-stopped=(w.pay_stopped) { span.js-only { (w.pay_loading) } }
            noscript { p { (w.pay_noscript) } }
            button.main.wide #pay type="button" disabled
                data-client-key=(v.toss_client_key) data-customer-key=(v.customer_key) data-amount=(o.total_krw.0)
                data-order-id=(o.id) data-order-name=(o.name) data-success-url=(v.success_url) data-fail-url=(v.fail_url) {
                (text::money(c.lang, o.total_krw)) " " (w.pay)
            }
            form method="post" action={ "/orders/" (o.id) "/cancel" } {
                button.plain type="submit" { (w.cancel_order) }
            }
        }
    };
    let head = Head {
        title: w.pay_title,
        modules: &["pay.js", "countdown.js"],
        foreign_script: Some(&v.toss_sdk_url),
        ..Head::default()
    };
    document(c, &head, &main)
}

fn outcome(c: &Chrome, v: &OrderView) -> String {
    let w = words(c.lang);
    let o = &v.order;
    let (title, what_happened) = match o.state {
        OrderState::Pending if v.cancelled => (w.called_off, w.called_off_unpaid),
        OrderState::Paid if v.cancelled => (w.called_off, w.called_off_what),
        OrderState::Paid => (w.paid, w.paid_what),
        OrderState::Pending | OrderState::Confirming => (w.confirming, w.confirming_what),
        OrderState::Declined => (w.declined, w.declined_what),
        OrderState::Expired => (w.expired, w.expired_what),
        OrderState::Cancelled => (w.cancelled, w.cancelled_what),
        OrderState::Refunded => (w.refunded, w.refunded_what),
    };
    let is_confirming = o.state == OrderState::Confirming;
    let is_unpaid = matches!(o.state, OrderState::Declined | OrderState::Expired | OrderState::Cancelled);
    let may_book_again = is_unpaid && !v.cancelled;
    let main = html! {
        h1 { (title) }
        (problem_box(c, v.problem.as_ref()))
        div.outcome data-state=(o.state.as_str()) role="status" {
            p { (what_happened) }
            @if is_confirming { p { (w.confirming_safe) } }
            @if v.cancelled && matches!(o.state, OrderState::Confirming | OrderState::Refunded) { p { (w.called_off_what) } }
            @if v.cancelled && is_unpaid { p { (w.called_off) "." } }
            @if o.state == OrderState::Declined {
                @if let Some(reason) = &o.decline_reason { p { (w.declined_reason) ": " b lang=[text::korean(c.lang)] { (reason) } } }
                p { (w.declined_next) }
            }
        }
        (what(c, &o.performance))
        (seat_sum(c, &o.seats, o.total_krw))
        p.quiet.id { (w.order_number) " " (o.id) }
        p.actions {
            @if o.state == OrderState::Paid || is_confirming {
                a.button.main href="/tickets" { (w.to_tickets) }
            } @else if may_book_again {
                a.button.main href={ "/performances/" (o.performance.id) } { (w.choose_again) }
            }
            a.button href="/" { (w.to_home) }
        }
    };
    let refresh_s = is_confirming.then_some(CONFIRMING_REFRESH_S);
    document(c, &Head { title, refresh_s, ..Head::default() }, &main)
}

/// That the organiser cancelled the performance, and what becomes of the money.
pub(super) fn called_off(c: &Chrome) -> Markup {
    html! { div.outcome.called-off role="status" { p { (words(c.lang).called_off_what) } } }
}

/// Which performance, in one line with its poster.
pub(super) fn what(c: &Chrome, p: &PerformanceRef) -> Markup {
    html! {
        div.what {
            (poster(&p.event.title, &p.event.category))
            div {
                strong lang=[text::korean(c.lang)] { (p.event.title) }
                p { (text::moment(c.lang, p.starts_at)) }
                p.quiet lang=[text::korean(c.lang)] { (p.event.place) }
            }
        }
    }
}
