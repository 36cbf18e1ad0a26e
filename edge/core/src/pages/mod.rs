//! The pages as HTML: pure functions from what is known to a whole document, and the files the documents link to.
//!
//! Addresses they link to: `/`, `/search`, `/events/{id}`, `/performances/{id}` (seats; `?block=n&seat=i&seat=j`),
//! `/holds/{id}`, `/orders/{id}`, `/tickets`, `/tickets/{id}`, `/refunds/{id}`, `/log-in`, `/sign-up`,
//! `/seller/refund-requests`, `/seller/performances/{id}`.
//! Nothing here asks, waits or fails. Text is escaped by `maud`; no page carries an inline script or style.

mod account;
mod assets;
mod browse;
mod checkout;
mod layout;
mod poster;
mod search;
pub(crate) mod seat_rows;
mod seats;
mod seller;
mod text;
mod tickets;

use nugul_api::{Problem, booking, catalogue, problem::Language, rankings, seats::SeatSnapshot};
use nugul_catalog::query::Highlight;
use nugul_domain::{Krw, PerformanceId, SeatIndex, Timestamp, refund::RefundState};

pub use account::{log_in, problem, sign_up};
pub use assets::asset;
pub use browse::{event, home};
pub use checkout::{hold, hold_ended, order};
pub use search::{Choice, SearchView, search};
pub use seats::{BLOCK_SEATS_MAX, seats};
pub use seller::{
    already_decided, cancel_word_wrong, is_cancel_word, not_a_time, read_time_field, seller_performance,
    seller_refunds, time_field, unknown_seats,
};
pub use tickets::{refund, refund_changed, ticket, tickets};

/// What is around every page.
#[derive(Clone, Debug)]
pub struct Chrome {
    /// The language of the words.
    pub lang: Language,
    /// Who is logged in.
    pub account: Option<SessionUser>,
    /// The page's own path and query, to come back to.
    pub path: String,
    /// The time the page is made.
    pub now: Timestamp,
}

/// A person logged in, as the head of a page shows them.
#[derive(Clone, Debug)]
pub struct SessionUser {
    /// What they are called.
    pub nickname: String,
    /// Whether they may run events.
    pub may_sell: bool,
}

/// An event in a list.
#[derive(Clone, Debug)]
pub struct EventCard {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its title in English or in Latin letters, shown to who reads English.
    pub title_en: Option<String>,
    /// 뮤지컬, 연극, 콘서트 …
    pub category: String,
    /// Where.
    pub place: String,
    /// The first day, `YYYY-MM-DD`.
    pub starts_on: String,
    /// The last day, `YYYY-MM-DD`.
    pub ends_on: String,
    /// The cheapest seat.
    pub min_price_krw: Krw,
    /// The dearest seat.
    pub max_price_krw: Krw,
    /// When sales open, where they have not and it is known.
    pub sales_open_at: Option<Timestamp>,
    /// What a search matched of the title and the place.
    pub highlights: Vec<Highlight>,
}

/// The first page.
#[derive(Clone, Debug)]
pub struct HomeView {
    /// On sale now.
    pub on_sale: Vec<EventCard>,
    /// Opening soon.
    pub soon: Vec<EventCard>,
    /// The days of `month` on which something runs.
    pub calendar: Vec<catalogue::CalendarDay>,
    /// The month shown, `YYYY-MM`.
    pub month: String,
    /// The categories there are.
    pub categories: Vec<String>,
    /// What people search for most today.
    pub ranked_keywords: Vec<rankings::RankedKeyword>,
    /// What people look at and book most today.
    pub ranked_events: Vec<rankings::RankedEvent>,
}

/// One event.
#[derive(Clone, Debug)]
pub struct EventView {
    /// The event.
    pub event: catalogue::Event,
    /// Seats left by performance, where known.
    pub remaining: Vec<(PerformanceId, u32)>,
}

/// Choosing seats.
#[derive(Clone, Debug)]
pub struct SeatsView {
    /// The performance.
    pub performance: catalogue::Performance,
    /// Its seats' states.
    pub snapshot: SeatSnapshot,
    /// Which block of rows is shown, from 0.
    pub block: usize,
    /// The seats chosen so far, in any block.
    pub selected: Vec<SeatIndex>,
    /// Whether the reader runs this performance.
    pub is_organiser: bool,
    /// Why the last try failed.
    pub problem: Option<Problem>,
    /// The key of the form's write.
    pub idempotency_key: String,
}

/// Seats held: the first step of the checkout.
#[derive(Clone, Debug)]
pub struct HoldView {
    /// The hold.
    pub hold: booking::Hold,
    /// Why the last try failed.
    pub problem: Option<Problem>,
    /// The key of the form's write.
    pub idempotency_key: String,
}

/// An order: paying while it is pending, its outcome after.
#[derive(Clone, Debug)]
pub struct OrderView {
    /// The order.
    pub order: booking::Order,
    /// Whether the performance was cancelled by its organiser.
    pub cancelled: bool,
    /// The buyer as Toss knows them.
    pub customer_key: String,
    /// The public key of the payment window.
    pub toss_client_key: String,
    /// Where the payment window's script is.
    pub toss_sdk_url: String,
    /// Where a payment comes back to.
    pub success_url: String,
    /// Where a failed payment comes back to.
    pub fail_url: String,
    /// Why the last try failed.
    pub problem: Option<Problem>,
}

/// One ticket.
#[derive(Clone, Debug)]
pub struct TicketView {
    /// The ticket.
    pub ticket: booking::Ticket,
    /// The last time its money was asked back.
    pub refund: Option<booking::Refund>,
    /// Whether the performance was cancelled by its organiser.
    pub cancelled: bool,
    /// The reason typed before.
    pub reason: String,
    /// Why the last try failed.
    pub problem: Option<Problem>,
    /// The key of the form's write.
    pub idempotency_key: String,
}

/// Money on its way back.
#[derive(Clone, Debug)]
pub struct RefundView {
    /// The refund.
    pub refund: booking::Refund,
    /// Whether the performance was cancelled by its organiser.
    pub cancelled: bool,
}

/// Every ticket of the person.
#[derive(Clone, Debug)]
pub struct TicketsView {
    /// In any order; the page sorts them by date.
    pub tickets: Vec<booking::Ticket>,
    /// Newest first.
    pub refunds: Vec<booking::Refund>,
    /// Orders that are not paid: open ones, and those that ended lately. Newest first.
    pub orders: Vec<booking::Order>,
}

/// Refunds that wait for the organiser who reads them.
#[derive(Clone, Debug, Default)]
pub struct SellerRefundsView {
    /// Oldest first.
    pub refunds: Vec<booking::Refund>,
    /// The address of the next page.
    pub next: Option<String>,
    /// What was just decided.
    pub said: Option<RefundState>,
    /// Why the last try failed.
    pub problem: Option<Problem>,
}

/// The forms of an organiser's performance page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SellerForm {
    /// When sales open and close.
    Window,
    /// Which seats are not for sale.
    Blocked,
    /// That it does not take place.
    Cancellation,
}

/// A performance for its organiser.
#[derive(Clone, Debug)]
pub struct SellerPerformanceView {
    /// The performance.
    pub performance: catalogue::Performance,
    /// How many seats are free, held, sold and blocked.
    pub counts: [u32; 4],
    /// When sales open, as its field has it.
    pub opens: String,
    /// When sales close, as its field has it.
    pub closes: String,
    /// The seats not for sale, one row a line.
    pub blocked: String,
    /// The reason of a cancellation, typed before.
    pub reason: String,
    /// How far its cancellation is.
    pub cancellation: Option<catalogue::Cancellation>,
    /// The form that was just saved.
    pub saved: Option<SellerForm>,
    /// The form whose last try failed, and why.
    pub problem: Option<(SellerForm, Problem)>,
    /// The key of the forms' writes.
    pub idempotency_key: String,
}

/// Logging in.
#[derive(Clone, Debug, Default)]
pub struct LogInView {
    /// Where to go after.
    pub next: String,
    /// The address typed before.
    pub email: String,
    /// Why the last try failed.
    pub problem: Option<Problem>,
}

/// Where a sign-up stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignUpStep {
    /// The address is asked for.
    #[default]
    Email,
    /// The code was sent; it, a password and a nickname are asked for.
    Code,
}

/// Signing up.
#[derive(Clone, Debug, Default)]
pub struct SignUpView {
    /// Where it stands.
    pub step: SignUpStep,
    /// The address.
    pub email: String,
    /// The nickname typed before.
    pub nickname: String,
    /// Where to go after.
    pub next: String,
    /// Why the last try failed.
    pub problem: Option<Problem>,
    /// The key of the form's write.
    pub idempotency_key: String,
}

/// A page that could not be shown.
#[derive(Clone, Debug)]
pub struct ProblemView {
    /// What went wrong.
    pub problem: Problem,
}

/// A file under `edge/web`.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its bytes.
    pub bytes: &'static [u8],
    /// Its media type.
    pub content_type: &'static str,
}

#[cfg(test)]
mod tests;
