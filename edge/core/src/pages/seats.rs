//! Choosing seats: a map drawn on the server in blocks of whole rows, the same seats as a list in a plain form, and
//! the best seats in one press. The script mirrors map and list and follows the stream; nothing needs it.

use maud::{Markup, html};
use nugul_domain::{Grade, Krw, PerformanceId, SeatIndex, SeatMap, SeatState};

use super::{
    Chrome, SeatsView,
    checkout::called_off,
    layout::{Head, document, problem_box},
    text::{self, words},
};

/// The most seats drawn on one page; halls beyond it are cut into blocks.
pub const BLOCK_SEATS_MAX: u32 = 1_200;
/// From one seat to the next on the map.
const PITCH: u32 = 24;
/// The seat itself.
const SEAT: u32 = 20;
/// Room for a row's name at either side.
const MARGIN: u32 = 64;
/// Room for the stage.
const STAGE: u32 = 56;
/// More room where a grade begins.
const AISLE: u32 = 16;
/// Colours of grades the style sheet has.
const GRADE_COLOURS: usize = 6;

/// A row of the hall.
struct Row<'a> {
    grade_at: usize,
    grade: &'a Grade,
    number: u32,
    first: SeatIndex,
}

/// The hall as this page cuts it.
struct Hall<'a> {
    blocks: Vec<Vec<Row<'a>>>,
    states: Vec<SeatState>,
    selected: &'a [SeatIndex],
}

impl Hall<'_> {
    fn state(&self, index: SeatIndex) -> SeatState {
        self.states.get(index as usize).copied().unwrap_or(SeatState::Blocked)
    }

    fn is_selected(&self, index: SeatIndex) -> bool {
        self.selected.contains(&index) && self.state(index) == SeatState::Available
    }

    fn block(&self, at: usize) -> &[Row<'_>] {
        self.blocks.get(at).map_or(&[], Vec::as_slice)
    }

    fn free_in(&self, rows: &[Row<'_>]) -> u32 {
        let seats = rows.iter().flat_map(|r| r.first..r.first + r.grade.seats_per_row);
        u32::try_from(seats.filter(|&i| self.state(i) == SeatState::Available).count()).unwrap_or(u32::MAX)
    }
}

/// Whole rows in as few blocks as they need, of about the same size.
fn blocks(map: &SeatMap) -> Vec<Vec<Row<'_>>> {
    let longest = map.grades().iter().map(|g| g.seats_per_row).max().unwrap_or(0);
    let even = map.seat_count().div_ceil(map.seat_count().div_ceil(BLOCK_SEATS_MAX).max(1));
    let full = (even + longest).min(BLOCK_SEATS_MAX);
    let mut blocks: Vec<Vec<Row<'_>>> = Vec::new();
    let mut in_block = u32::MAX;
    let (mut grade_at, mut last) = (0usize, None);
    for (grade, number, first) in map.rows() {
        if last.is_some_and(|l: &Grade| l.grade != grade.grade) {
            grade_at += 1;
        }
        last = Some(grade);
        let row = Row { grade_at, grade, number, first };
        in_block = in_block.saturating_add(grade.seats_per_row);
        match blocks.last_mut() {
            Some(block) if in_block <= full => block.push(row),
            _ => {
                in_block = grade.seats_per_row;
                blocks.push(vec![row]);
            }
        }
    }
    blocks
}

/// Choosing seats.
pub fn seats(c: &Chrome, v: &SeatsView) -> String {
    let w = words(c.lang);
    let p = &v.performance;
    if p.summary.cancelled {
        return cancelled(c, v);
    }
    let id = p.summary.id;
    let map = SeatMap::new(p.grades.clone()).ok();
    let hall = Hall {
        blocks: map.as_ref().map(blocks).unwrap_or_default(),
        states: v.snapshot.unpack().unwrap_or_default(),
        selected: &v.selected,
    };
    let at = v.block.min(hall.blocks.len().saturating_sub(1));
    let rows = hall.block(at);
    let max = p.limits.hold_seats_max;
    let main = html! {
        div.seats-head {
            div {
                h1 { a.quiet-link href={ "/events/" (p.event.id) } lang=[text::korean(c.lang)] { (p.event.title) } }
                p.quiet { (text::moment(c.lang, p.summary.starts_at)) " · " span lang=[text::korean(c.lang)] { (p.event.place) } }
            }
            p #live role="status" data-live="catching-up" data-words-live=(w.live) data-words-catching-up=(w.catching_up)
                data-words-offline=(w.offline) data-words-log-in=(w.log_in_to_see) { span.js-only { (w.catching_up) } }
        }
        (organiser_link(c, v))
        (problem_box(c, v.problem.as_ref()))
        (instead(c, v, &hall))
        (best(c, v))
        (legend(c, p.grades.as_slice(), &hall))
        @if hall.blocks.len() > 1 { (block_links(c, id, &hall, at)) }
        form #seats method="post" action={ "/performances/" (id) "/hold" }
            data-performance=(id) data-version=(v.snapshot.version) data-states=(v.snapshot.states) data-count=(v.snapshot.seat_count)
            data-tickets=[p.members_only.then(|| format!("/api/v1/performances/{id}/stream-tickets"))]
            data-max=(max) data-lost=(w.lost_one) data-none=(w.none_chosen) data-limit=(text::limit(c.lang, p.limits))
            data-held=(w.held) data-sold=(w.sold) data-blocked=(w.blocked) data-available=(w.available) {
            input type="hidden" name="key" value=(v.idempotency_key);
            input type="hidden" name="map" value=(p.seat_map_version);
            @if at > 0 { input type="hidden" name="block" value=(at); }
            div.map-head {
                p #limit { (text::limit(c.lang, p.limits)) " " span.js-only.keys { (w.map_hint) } }
                div.zoom.js-only {
                    button type="button" data-zoom="out" aria-label=(w.zoom_out) { "−" }
                    button type="button" data-zoom="fit" { (w.zoom_fit) }
                    button type="button" data-zoom="in" aria-label=(w.zoom_in) { "+" }
                }
            }
            div #map-box { (svg(c, &hall, rows, at == 0)) }
            (chosen_elsewhere(c, map.as_ref(), &hall, rows))
            details #list {
                summary { (w.list) }
                p.quiet { (w.list_hint) }
                @for row in rows { (row_list(c, &hall, row)) }
            }
            div.bar {
                div #chosen aria-live="polite" { p.quiet { (w.your_seats) ": " span #chosen-names { (chosen_names(c, map.as_ref(), &hall)) } } }
                p #said role="status" {}
                button.main.wide #hold type="submit" { (w.hold_submit) " " b #chosen-sum { (chosen_sum(c, map.as_ref(), &hall)) } }
            }
        }
    };
    let head = Head { title: &p.event.title, modules: &["seats.js"], style: Some("seats.css"), ..Head::default() };
    document(c, &head, &main)
}

/// A performance that does not take place: nothing to choose.
fn cancelled(c: &Chrome, v: &SeatsView) -> String {
    let w = words(c.lang);
    let p = &v.performance;
    let main = html! {
        h1 lang=[text::korean(c.lang)] { (p.event.title) }
        p.quiet { (text::moment(c.lang, p.summary.starts_at)) " · " span lang=[text::korean(c.lang)] { (p.event.place) } }
        (organiser_link(c, v))
        (called_off(c))
        p.actions { a.button.main href={ "/events/" (p.event.id) "#dates" } { (w.other_dates) } }
    };
    document(c, &Head { title: &p.event.title, ..Head::default() }, &main)
}

fn organiser_link(c: &Chrome, v: &SeatsView) -> Markup {
    html! {
        @if v.is_organiser {
            p { a href={ "/seller/performances/" (v.performance.summary.id) } { (words(c.lang).manage) } }
        }
    }
}

/// The nearest free seats where those wanted were taken: one press chooses them.
fn instead(c: &Chrome, v: &SeatsView, hall: &Hall<'_>) -> Markup {
    let w = words(c.lang);
    let seats = v.problem.as_ref().map_or(&[][..], |p| p.alternative.as_slice());
    let with_first = |rows: &Vec<Row<'_>>| {
        let first = seats.first().map(|s| s.index);
        rows.iter().any(|r| first.is_some_and(|i| (r.first..r.first + r.grade.seats_per_row).contains(&i)))
    };
    let block = hall.blocks.iter().position(with_first).unwrap_or(0);
    let chosen = seats.iter().fold(String::new(), |all, s| format!("{all}&seat={}", s.index));
    let sum = Krw::checked_sum(seats.iter().map(|s| s.price_krw));
    html! {
        @if !seats.is_empty() {
            div.instead {
                p { (w.instead) }
                ul { @for s in seats { li { b { (text::seat(c.lang, &s.label)) } } } }
                a.button.main #instead href={ "/performances/" (v.performance.summary.id) "?block=" (block) (chosen) "#map-box" } {
                    (w.instead_choose)
                    @if let Some(sum) = sum { " " (text::money(c.lang, sum)) }
                }
            }
        }
    }
}

fn best(c: &Chrome, v: &SeatsView) -> Markup {
    let w = words(c.lang);
    let p = &v.performance;
    html! {
        form.best method="post" action={ "/performances/" (p.summary.id) "/hold" } {
            input type="hidden" name="key" value={ (v.idempotency_key) "-b" };
            fieldset {
                legend { (w.best) }
                p.quiet { (w.best_hint) }
                div.best-row {
                    label { span { (w.grade) }
                        select name="best_grade" {
                            @for g in &p.grades {
                                option value=(g.grade) { (text::grade(c.lang, &g.grade)) " " (text::money(c.lang, g.price_krw)) }
                            }
                        }
                    }
                    label { span { (w.count) }
                        select name="best_count" {
                            @for n in 1..=p.limits.hold_seats_max { option value=(n) selected[n == 2] { (n) } }
                        }
                    }
                    button #best type="submit" { (w.best_submit) }
                }
            }
        }
    }
}

fn free_of(hall: &Hall<'_>, grade_at: usize) -> u32 {
    hall.blocks.iter().flatten().filter(|r| r.grade_at == grade_at).map(|r| hall.free_in(std::slice::from_ref(r))).sum()
}

fn legend(c: &Chrome, grades: &[Grade], hall: &Hall<'_>) -> Markup {
    let w = words(c.lang);
    html! {
        ul.grades aria-label=(w.grade) {
            @for (at, g) in grades.iter().enumerate() {
                @let rows = hall.blocks.iter().flatten().filter(|r| r.grade_at == at);
                @let from = rows.clone().map(|r| r.first).min().unwrap_or(0);
                @let to = rows.map(|r| r.first + r.grade.seats_per_row).max().unwrap_or(0);
                @let said = html! {
                    svg.key width="14" height="14" viewBox="0 0 20 20" aria-hidden="true" { rect.(colour(at)) width="20" height="20" rx="5" {} }
                    (text::grade(c.lang, &g.grade)) " " (text::money(c.lang, g.price_krw)) " "
                    small { (left_words(c, free_of(hall, at))) }
                };
                li {
                    button.chip.js-only type="button" title=(w.filter) data-grade=(at) data-from=(from) data-to=(to) aria-pressed="false" { (said) }
                    noscript { (said) }
                }
            }
        }
        ul.legend aria-label=(w.legend) {
            @for (state, words) in [("available", w.available), ("chosen", w.chosen), ("held", w.held), ("sold", w.sold)] {
                li {
                    svg.key width="16" height="16" viewBox="0 0 20 20" aria-hidden="true" {
                        rect.g0 width="20" height="20" rx="5" data-state=(if state == "chosen" { "available" } else { state }) aria-checked=[(state == "chosen").then_some("true")] {}
                        @if state == "chosen" { path.tick d="m5 10.5 3.5 3.5 7-7.5" {} }
                    }
                    (words)
                }
            }
        }
    }
}

/// What is left of a grade, cut so the script can replace the number alone.
fn left_words(c: &Chrome, count: u32) -> Markup {
    let said = text::left(c.lang, count);
    let digits: String = said.chars().take_while(|ch| ch.is_ascii_digit() || *ch == ',').collect();
    let rest = said.get(digits.len()..).unwrap_or_default().to_owned();
    html! { span data-free { (digits) } (rest) }
}

fn block_links(c: &Chrome, id: PerformanceId, hall: &Hall<'_>, at: usize) -> Markup {
    let w = words(c.lang);
    let chosen = hall.selected.iter().fold(String::new(), |all, i| format!("{all}&seat={i}"));
    html! {
        nav.blocks aria-label=(w.blocks) {
            @for (n, rows) in hall.blocks.iter().enumerate() {
                @if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
                    @let names = if first.grade.grade == last.grade.grade { first.grade.grade.clone() } else { format!("{}–{}", first.grade.grade, last.grade.grade) };
                    a.chip href={ "/performances/" (id) "?block=" (n) (chosen) } aria-current=[(n == at).then_some("true")] {
                        (names) " " (first.number) "–" (last.number)
                        @if c.lang == nugul_api::problem::Language::Korean { "열" }
                        " " small { (text::left(c.lang, hall.free_in(rows))) }
                    }
                }
            }
        }
    }
}

const fn state_name(state: SeatState) -> &'static str {
    match state {
        SeatState::Available => "available",
        SeatState::Held => "held",
        SeatState::Sold => "sold",
        SeatState::Blocked => "blocked",
    }
}

fn colour(grade_at: usize) -> String {
    format!("g{}", grade_at % GRADE_COLOURS)
}

fn svg(c: &Chrome, hall: &Hall<'_>, rows: &[Row<'_>], has_stage: bool) -> Markup {
    let w = words(c.lang);
    let widest = rows.iter().map(|r| r.grade.seats_per_row).max().unwrap_or(1);
    let width = widest * PITCH + 2 * MARGIN;
    let top = if has_stage { STAGE } else { AISLE };
    let mut y = top;
    let mut last = None;
    let placed: Vec<(u32, u32, &Row<'_>)> = rows
        .iter()
        .map(|r| {
            if last.is_some_and(|l| l != r.grade_at) {
                y += AISLE;
            }
            last = Some(r.grade_at);
            let at = y;
            y += PITCH;
            (MARGIN + (widest - r.grade.seats_per_row) * PITCH / 2, at, r)
        })
        .collect();
    let height = y + AISLE;
    html! {
        svg #map role="group" aria-label=(w.map) width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } {
            defs {
                pattern #hatch width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" { rect.hatch width="2" height="5" {} }
            }
            @if has_stage {
                rect.stage x=(width / 4) y="4" width=(width / 2) height="32" rx="8" {}
                text.stage-word x=(width / 2) y="25" text-anchor="middle" { (w.stage) }
            }
            @for (x, y, r) in &placed {
                g.(colour(r.grade_at)) data-grade=(r.grade_at) data-row=(text::row(c.lang, &r.grade.grade, r.number)) data-price=(r.grade.price_krw.0)
                    transform={ "translate(" (x) " " (y) ")" } {
                    text x="-12" y="15" text-anchor="end" { (r.grade.grade) " " (r.number) }
                    @for k in 0..r.grade.seats_per_row {
                        @let i = r.first + k;
                        @let state = hall.state(i);
                        rect x=(k * PITCH) width=(SEAT) height=(SEAT) rx="5" data-seat=(i) data-state=(state_name(state)) aria-checked=(hall.is_selected(i)) {}
                    }
                }
            }
            g #ticks {}
        }
    }
}

fn row_list(c: &Chrome, hall: &Hall<'_>, row: &Row<'_>) -> Markup {
    let free = hall.free_in(std::slice::from_ref(row));
    let name = text::row(c.lang, &row.grade.grade, row.number);
    html! {
        details.row {
            summary { (name) " · " (text::money(c.lang, row.grade.price_krw)) " · " span data-row-free { (text::left(c.lang, free)) } }
            fieldset {
                legend.hidden { (name) " " (text::money(c.lang, row.grade.price_krw)) }
                @for k in 0..row.grade.seats_per_row {
                    @let i = row.first + k;
                    label {
                        input type="checkbox" name="seat" value=(i) checked[hall.is_selected(i)] disabled[hall.state(i) != SeatState::Available];
                        (k + 1)
                        @if c.lang == nugul_api::problem::Language::Korean { "번" }
                    }
                }
            }
        }
    }
}

/// Seats chosen in other blocks stay in the form, and can be taken out of it.
fn chosen_elsewhere(c: &Chrome, map: Option<&SeatMap>, hall: &Hall<'_>, rows: &[Row<'_>]) -> Markup {
    let is_here = |i: SeatIndex| rows.iter().any(|r| (r.first..r.first + r.grade.seats_per_row).contains(&i));
    html! {
        div.elsewhere {
            @for &i in hall.selected.iter().filter(|&&i| !is_here(i) && hall.is_selected(i)) {
                @if let Some(seat) = map.and_then(|m| m.seat(i)) {
                    label.chip {
                        input type="checkbox" name="seat" value=(i) checked data-name=(text::seat(c.lang, &seat.label())) data-price=(seat.grade.price_krw.0);
                        (text::seat(c.lang, &seat.label())) " " (text::money(c.lang, seat.grade.price_krw))
                    }
                }
            }
        }
    }
}

fn chosen_names(c: &Chrome, map: Option<&SeatMap>, hall: &Hall<'_>) -> String {
    let chosen = hall.selected.iter().filter(|&&i| hall.is_selected(i));
    let names: Vec<_> = chosen.filter_map(|&i| map?.seat(i)).map(|s| text::seat(c.lang, &s.label())).collect();
    if names.is_empty() { words(c.lang).none_chosen.to_owned() } else { names.join(" · ") }
}

fn chosen_sum(c: &Chrome, map: Option<&SeatMap>, hall: &Hall<'_>) -> String {
    let chosen = hall.selected.iter().filter(|&&i| hall.is_selected(i));
    let sum = Krw::checked_sum(chosen.filter_map(|&i| map?.seat(i)).map(|s| s.grade.price_krw));
    sum.filter(|s| s.0 > 0).map(|s| text::money(c.lang, s)).unwrap_or_default()
}
