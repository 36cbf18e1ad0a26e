//! What an organiser decides: the refunds that wait for them, and the forms of a performance.

use futures_util::future::join3;
use nugul_api::{
    Code, FieldError, Page, Problem,
    booking::Refund,
    catalogue::{BlockedSeats, Cancellation, NewCancellation, Performance, PerformanceChange},
    seats::SeatSnapshot,
};
use nugul_domain::{SeatMap, SeatState, Timestamp, refund::RefundState};

use super::{Shown, Visit};
use crate::{
    host::Host,
    http::{Method, Response, encode, field},
    pages::{self, SellerForm},
};

/// The names of the forms in addresses.
const FORMS: [(&str, SellerForm); 3] =
    [("window", SellerForm::Window), ("blocked", SellerForm::Blocked), ("cancel", SellerForm::Cancellation)];

impl<H: Host> Visit<'_, H> {
    pub(super) async fn seller_refunds(&self, problem: Option<Problem>) -> Shown {
        self.logged_in()?;
        let cursor = field(&self.params, "cursor").map(|cursor| format!("?cursor={}", encode(cursor)));
        let waiting: Page<Refund> =
            self.read(&format!("/seller/refund-requests{}", cursor.unwrap_or_default())).await?;
        let view = pages::SellerRefundsView {
            refunds: waiting.items,
            next: waiting.next_cursor.map(|cursor| format!("/seller/refund-requests?cursor={}", encode(&cursor))),
            said: match field(&self.params, "done") {
                Some("accept") => Some(RefundState::Refunding),
                Some("decline") => Some(RefundState::Declined),
                _ => None,
            },
            problem,
        };
        let status = view.problem.as_ref().map_or(200, |problem| problem.status);
        Ok(Self::html(status, pages::seller_refunds(&self.chrome(), &view)))
    }

    pub(super) async fn decide_refund(&self, id: &str, decision: &str) -> Shown {
        self.id(id)?;
        self.logged_in()?;
        // One refund is decided once, however often the button is pressed.
        let key = format!("{decision}-{id}");
        match self.ask(Method::Post, &format!("/refund-requests/{id}/{decision}"), None, Some(&key)).await {
            Ok(_) => Ok(Response::see_other(&format!("/seller/refund-requests?done={decision}"))),
            Err(mut problem) if problem.code == Code::RefundState => {
                pages::already_decided(self.ctx.lang).clone_into(&mut problem.detail);
                self.seller_refunds(Some(*problem)).await
            }
            Err(problem) => Err(problem),
        }
    }

    pub(super) async fn seller_performance(&self, id: &str, problem: Option<(SellerForm, Problem)>) -> Shown {
        self.id(id)?;
        self.logged_in()?;
        let paths = ["", "/seats", "/blocked-seats"].map(|part| format!("/performances/{id}{part}"));
        let [performance, seats, blocked] = &paths;
        let (performance, seats, blocked) = join3(
            self.read::<Performance>(performance),
            self.read::<SeatSnapshot>(seats),
            self.read::<BlockedSeats>(blocked),
        )
        .await;
        // Others than the organiser are refused here.
        let (blocked, performance, seats) = (blocked?, performance?, seats?);
        let cancellation = match self.read::<Cancellation>(&format!("/performances/{id}/cancellation")).await {
            Ok(cancellation) => Some(cancellation),
            Err(problem) if problem.code == Code::NotFound => None,
            Err(problem) => return Err(problem),
        };
        let states = seats.unpack().unwrap_or_default();
        let count = |of| u32::try_from(states.iter().filter(|state| **state == of).count()).unwrap_or(u32::MAX);
        let typed = |name: &str, is: String| field(&self.form, name).map_or(is, str::to_owned);
        let map = SeatMap::new(performance.grades.clone()).map_err(|_| self.trouble(Code::Internal))?;
        let saved = field(&self.params, "saved");
        let view = pages::SellerPerformanceView {
            counts: [SeatState::Available, SeatState::Held, SeatState::Sold, SeatState::Blocked].map(count),
            opens: typed("opens", pages::time_field(performance.summary.sales_open_at)),
            closes: typed("closes", pages::time_field(performance.summary.sales_close_at)),
            blocked: typed("seats", pages::seat_rows::write(self.ctx.lang, &map, &blocked.seats)),
            reason: field(&self.form, "reason").unwrap_or_default().to_owned(),
            cancellation,
            performance,
            saved: FORMS.iter().find(|(name, _)| Some(*name) == saved).map(|(_, form)| *form),
            problem,
            idempotency_key: self.key(),
        };
        let status = view.problem.as_ref().map_or(200, |(_, problem)| problem.status);
        Ok(Self::html(status, pages::seller_performance(&self.chrome(), &view)))
    }

    /// The page again: saved, or with what is wrong in the form's place.
    async fn after_form(&self, id: &str, form: SellerForm, outcome: Shown) -> Shown {
        let name = FORMS.iter().find(|(_, of)| *of == form).map_or("", |(name, _)| *name);
        match outcome {
            // Its form is gone; how far it is stands at the top.
            Ok(_) if form == SellerForm::Cancellation => Ok(Response::see_other(&format!("/seller/performances/{id}"))),
            Ok(_) => Ok(Response::see_other(&format!("/seller/performances/{id}?saved={name}#{name}"))),
            Err(problem) if matches!(problem.status, 401 | 403 | 404) || problem.status >= 500 => Err(problem),
            Err(problem) => self.seller_performance(id, Some((form, *problem))).await,
        }
    }

    fn wrong_field(&self, pointer: &str, detail: String) -> Box<Problem> {
        let mut problem = self.trouble(Code::InvalidField);
        problem.errors.push(FieldError { pointer: pointer.to_owned(), detail });
        problem
    }

    pub(super) async fn set_window(&self, id: &str) -> Shown {
        self.id(id)?;
        self.logged_in()?;
        let outcome = self.send_window(id).await;
        self.after_form(id, SellerForm::Window, outcome).await
    }

    async fn send_window(&self, id: &str) -> Shown {
        let performance: Performance = self.read(&format!("/performances/{id}")).await?;
        // The field knows no seconds: what was not touched stays as it is.
        let changed = |name: &str, is: Timestamp| match field(&self.form, name) {
            Some(text) if text == pages::time_field(is) => Ok(None),
            text => match text.and_then(pages::read_time_field) {
                Some(time) => Ok(Some(time)),
                None => Err(self.wrong_field(&format!("/{name}"), pages::not_a_time(self.ctx.lang).to_owned())),
            },
        };
        let change = PerformanceChange {
            sales_open_at: changed("opens", performance.summary.sales_open_at)?,
            sales_close_at: changed("closes", performance.summary.sales_close_at)?,
        };
        self.send(Method::Patch, &format!("/performances/{id}"), &change, self.form_key()).await
    }

    pub(super) async fn set_blocked(&self, id: &str) -> Shown {
        self.id(id)?;
        self.logged_in()?;
        let outcome = self.send_blocked(id).await;
        self.after_form(id, SellerForm::Blocked, outcome).await
    }

    async fn send_blocked(&self, id: &str) -> Shown {
        let performance: Performance = self.read(&format!("/performances/{id}")).await?;
        let map = SeatMap::new(performance.grades).map_err(|_| self.trouble(Code::Internal))?;
        let seats = pages::seat_rows::read(&map, field(&self.form, "seats").unwrap_or_default())
            .map_err(|line| self.wrong_field("/seats", pages::unknown_seats(self.ctx.lang, &line)))?;
        self.send(
            Method::Put,
            &format!("/performances/{id}/blocked-seats"),
            &BlockedSeats { seats, ranges: Vec::new() },
            self.form_key(),
        )
        .await
    }

    pub(super) async fn cancel_performance(&self, id: &str) -> Shown {
        self.id(id)?;
        self.logged_in()?;
        let reason = field(&self.form, "reason").unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        let outcome = if pages::is_cancel_word(field(&self.form, "confirm").unwrap_or_default()) {
            let path = format!("/performances/{id}/cancellation");
            self.send(Method::Post, &path, &NewCancellation { reason }, self.form_key()).await
        } else {
            Err(self.wrong_field("/confirm", pages::cancel_word_wrong(self.ctx.lang).to_owned()))
        };
        self.after_form(id, SellerForm::Cancellation, outcome).await
    }
}
