//! Tickets, and giving one back: the terms, the form, and where a refund stands.

use maud::{Markup, html};
use nugul_api::{
    booking::{Order, Refund, RefundTerms, Ticket},
    limits::REASON_CHARS_MAX,
    problem::Language,
};
use nugul_domain::{
    order::OrderState,
    refund::{BY_RULE_DAYS_BEFORE_MIN, FEE_STEPS, RefundState},
};

use super::{
    Chrome, RefundView, TicketView, TicketsView,
    checkout::{called_off, what},
    layout::{Head, document, problem_box},
    text::{self, words},
};

/// After a performance began, its ticket stays among the coming ones this long.
const PAST_AFTER_MS: i64 = 6 * 60 * 60 * 1000;
/// How often a page that waits for the money asks again, in seconds.
const REFUNDING_REFRESH_S: u32 = 3;

/// Orders not paid, then every ticket by date, the coming ones first, and what was given back.
pub fn tickets(c: &Chrome, v: &TicketsView) -> String {
    let w = words(c.lang);
    let of_state =
        |wanted: &[RefundState]| -> Vec<&Refund> { v.refunds.iter().filter(|r| wanted.contains(&r.state)).collect() };
    let under_way = of_state(&[RefundState::Requested, RefundState::Refunding]);
    let done = of_state(&[RefundState::Refunded]);
    let is_leaving = |t: &Ticket| under_way.iter().any(|r| r.ticket_id == t.id);
    let mut sorted: Vec<&Ticket> = v.tickets.iter().filter(|t| !is_leaving(t)).collect();
    sorted.sort_by_key(|t| (t.performance.starts_at, t.seat.index));
    let is_past = |t: &&Ticket| t.performance.starts_at.plus_ms(PAST_AFTER_MS) <= c.now;
    let (past, coming): (Vec<&Ticket>, Vec<&Ticket>) = sorted.into_iter().partition(is_past);
    let main = html! {
        h1 { (w.my_tickets) }
        @if !v.orders.is_empty() { h2 { (w.unpaid_orders) } (order_list(c, &v.orders)) }
        @if v.orders.is_empty() && coming.is_empty() && past.is_empty() {
            div.empty {
                p { strong { (w.no_tickets) } }
                p { (w.no_tickets_next) }
                p { a.button.main href="/search" { (w.find_shows) } }
            }
        }
        (ticket_list(c, &coming))
        @if !under_way.is_empty() { h2 { (w.refunds_under_way) } (refund_list(c, &under_way)) }
        @if !past.is_empty() { h2 { (w.past) } (ticket_list(c, &past)) }
        @if !done.is_empty() { h2 { (w.refunds_done) } (refund_list(c, &done)) }
    };
    document(c, &Head { title: w.my_tickets, modules: &["offline.js"], ..Head::default() }, &main)
}

fn order_list(c: &Chrome, orders: &[Order]) -> Markup {
    let w = words(c.lang);
    html! {
        ul.tickets {
            @for o in orders {
                @let is_payable = o.state == OrderState::Pending && o.pay_before > c.now;
                li.ticket.unpaid data-state=(o.state.as_str()) {
                    a href={ "/orders/" (o.id) } {
                        (what(c, &o.performance))
                        div.seat {
                            b { (text::copies(c.lang, o.seats.len())) " " (text::money(c.lang, o.total_krw)) }
                            p.quiet {
                                @match o.state {
                                    OrderState::Pending if is_payable => { (text::time_left(c.lang, c.now, o.pay_before)) " · " (text::clock(c.lang, o.pay_before)) (w.pay_until) }
                                    OrderState::Declined => {
                                        (w.declined)
                                        @if let Some(reason) = &o.decline_reason { ": " span lang=[text::korean(c.lang)] { (reason) } }
                                    }
                                    OrderState::Confirming => (w.confirming),
                                    _ => (w.expired),
                                }
                            }
                        }
                    }
                    @if is_payable {
                        p.actions {
                            a.button.main href={ "/orders/" (o.id) } { (w.resume) }
                            form method="post" action={ "/orders/" (o.id) "/cancel" } {
                                button.plain type="submit" { (w.cancel_order) }
                            }
                        }
                    }
                }
            }
        }
    }
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

fn refund_list(c: &Chrome, refunds: &[&Refund]) -> Markup {
    let w = words(c.lang);
    html! {
        ul.tickets {
            @for r in refunds {
                li.ticket {
                    // Until its organiser has decided, the ticket is still of use.
                    a href=(if r.state == RefundState::Requested { format!("/tickets/{}", r.ticket_id) } else { refund_path(r) }) {
                        (what(c, &r.performance))
                        div.seat {
                            b { (text::seat(c.lang, &r.seat.label)) }
                            p.quiet { (state_words(c, r.state).0) " · " (w.gets_back) " " (text::money(c.lang, r.amount_krw)) }
                        }
                    }
                }
            }
        }
    }
}

fn refund_path(r: &Refund) -> String {
    format!("/refunds/{}", r.id)
}

/// A state's title, and what it means for the holder.
fn state_words(c: &Chrome, state: RefundState) -> (&'static str, &'static str) {
    let w = words(c.lang);
    match state {
        RefundState::Requested => (w.refund_requested, w.refund_requested_what),
        RefundState::Refunding => (w.refund_refunding, w.refund_refunding_what),
        RefundState::Refunded => (w.refund_refunded, w.refund_refunded_what),
        RefundState::Declined => (w.refund_declined, w.refund_declined_what),
    }
}

/// One ticket with its entry code, and what giving it back would mean.
pub fn ticket(c: &Chrome, v: &TicketView) -> String {
    let w = words(c.lang);
    let t = &v.ticket;
    let main = html! {
        div.narrow.pass {
            h1 lang=[text::korean(c.lang)] { (t.performance.event.title) }
            p.big { (text::seat(c.lang, &t.seat.label)) }
            p { (text::moment(c.lang, t.performance.starts_at)) }
            p.quiet lang=[text::korean(c.lang)] { (t.performance.event.place) }
            @if v.cancelled { (called_off(c)) }
            @if t.entry_token.is_empty() {
                p.no-qr { (w.no_qr) }
            } @else if !v.cancelled {
                img #qr src={ "/tickets/" (t.id) "/qr.svg" } width="320" height="320" alt=(w.qr_alt);
                p { (w.qr_hint) }
            }
            dl.facts {
                dt { (w.price) } dd { (text::money(c.lang, t.seat.price_krw)) }
                dt { (w.issued) } dd { (text::moment(c.lang, t.issued_at)) }
                dt { (w.order_number) } dd { a href={ "/orders/" (t.order_id) } { span.id { (t.order_id) } } }
            }
            section.refund aria-labelledby="refund" {
                h2 #refund { (w.refund) }
                (problem_box(c, v.problem.as_ref()))
                @if let Some(r) = &v.refund {
                    @let (title, means) = state_words(c, r.state);
                    div.outcome data-state=(r.state.as_str()) {
                        p { strong { (title) } }
                        p { (means) }
                        p { a href=(refund_path(r)) { (w.refund_look) } }
                    }
                }
                @match &t.refund_terms {
                    Some(terms) if !v.cancelled && v.refund.as_ref().is_none_or(|r| r.state == RefundState::Declined) => {
                        (refund_form(c, v, terms))
                    }
                    None if t.performance.starts_at <= c.now => p { (w.refund_over) },
                    _ => {}
                }
            }
            p { a href="/tickets" { (w.my_tickets) } }
        }
    };
    document(c, &Head { title: w.ticket, modules: &["offline.js"], ..Head::default() }, &main)
}

fn refund_form(c: &Chrome, v: &TicketView, terms: &RefundTerms) -> Markup {
    let w = words(c.lang);
    let t = &v.ticket;
    html! {
        table.sum {
            caption.quiet { (w.refund_now) }
            tbody {
                tr { th scope="row" { (w.paid_sum) } td { (text::money(c.lang, t.seat.price_krw)) } }
                tr { th scope="row" { (w.fee) } td { (fee(c, terms.fee_krw)) } }
            }
            tfoot { tr { th scope="row" { (w.gets_back) } td { (text::money(c.lang, terms.amount_krw)) } } }
        }
        p { (if terms.by_rule { w.by_rule } else { w.by_organiser }) }
        details { summary { (w.fee_table) } (fee_table(c)) }
        details.confirm open[v.problem.is_some()] {
            summary { (w.refund_ask) }
            form.fields method="post" action={ "/tickets/" (t.id) "/refund" } {
                input type="hidden" name="key" value=(v.idempotency_key);
                input type="hidden" name="amount" value=(terms.amount_krw.0);
                label for="reason" { (w.refund_reason) " " small { (w.optional) } }
                textarea #reason name="reason" rows="2" maxlength=(REASON_CHARS_MAX) { (v.reason) }
                @if terms.by_rule { p #refund-before { (w.refund_before) } }
                button.main.wide #refund-submit type="submit" aria-describedby=[terms.by_rule.then_some("refund-before")] {
                    (text::refund_button(c.lang, terms.amount_krw, terms.by_rule))
                }
            }
        }
    }
}

fn fee(c: &Chrome, fee: nugul_domain::Krw) -> String {
    if fee.0 == 0 { words(c.lang).no_fee.to_owned() } else { text::money(c.lang, fee) }
}

/// The fee by days before the performance.
pub(super) fn fee_table(c: &Chrome) -> Markup {
    let w = words(c.lang);
    let longer = std::iter::once(None).chain(FEE_STEPS.iter().map(|(from, _)| Some(*from)));
    html! {
        table.sum {
            thead { tr { th scope="col" { (w.fee_when) } th scope="col" { (w.fee_share) } } }
            tbody {
                @for (&(from, percent), longer) in FEE_STEPS.iter().zip(longer) {
                    tr {
                        th scope="row" { (text::days_before(c.lang, from, longer)) }
                        td {
                            @if percent == 0 { (w.no_fee) } @else { (percent) "%" }
                            @if from < BY_RULE_DAYS_BEFORE_MIN { " · " (w.organiser_decides) }
                        }
                    }
                }
            }
        }
        p.quiet { (text::free_after_buying(c.lang)) }
    }
}

/// That the fee is another than the one shown.
pub fn refund_changed(lang: Language) -> &'static str {
    words(lang).refund_changed
}

/// Where a refund stands.
pub fn refund(c: &Chrome, v: &RefundView) -> String {
    let w = words(c.lang);
    let r = &v.refund;
    let (title, means) = state_words(c, r.state);
    let steps = [
        (RefundState::Requested, w.step_requested),
        (RefundState::Refunding, w.step_refunding),
        (RefundState::Refunded, w.step_refunded),
    ];
    let at = steps.iter().position(|(state, _)| *state == r.state);
    let main = html! {
        h1 { (title) }
        div.outcome data-state=(r.state.as_str()) role="status" {
            @if v.cancelled { p { (w.called_off_what) } }
            p { (means) }
        }
        @if let Some(at) = at {
            ol.steps aria-label=(w.refund_steps) {
                @for (k, (_, name)) in steps.iter().enumerate() {
                    li data-done[k <= at] aria-current=[(k == at).then_some("step")] { (name) }
                }
            }
        }
        (what(c, &r.performance))
        table.sum {
            caption { b { (text::seat(c.lang, &r.seat.label)) } }
            tbody {
                tr { th scope="row" { (w.paid_sum) } td { (text::money(c.lang, r.seat.price_krw)) } }
                tr { th scope="row" { (w.fee) } td { (fee(c, r.fee_krw)) } }
            }
            tfoot { tr { th scope="row" { (w.gets_back) } td { (text::money(c.lang, r.amount_krw)) } } }
        }
        dl.facts {
            dt { (w.refund_asked_at) } dd { (text::moment(c.lang, r.requested_at)) }
            @if !r.reason.is_empty() { dt { (w.refund_reason) } dd { (r.reason) } }
            dt { (w.refund_number) } dd { span.id { (r.id) } }
        }
        p.actions {
            @if matches!(r.state, RefundState::Requested | RefundState::Declined) {
                a.button.main href={ "/tickets/" (r.ticket_id) } { (w.ticket) }
            }
            a.button href="/tickets" { (w.my_tickets) }
        }
    };
    let refresh_s = (r.state == RefundState::Refunding).then_some(REFUNDING_REFRESH_S);
    document(c, &Head { title, refresh_s, ..Head::default() }, &main)
}
