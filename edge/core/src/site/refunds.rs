//! Tickets, and their way back: what is read for each page, and the form that asks for a refund.

use futures_util::future::{join, join3};
use nugul_api::{
    Code, Page, Problem,
    booking::{NewRefund, Order, Refund, Ticket},
    limits,
};
use nugul_domain::Krw;

use super::{Shown, Visit};
use crate::{
    host::Host,
    http::{Method, Response, field},
    pages,
};

impl<H: Host> Visit<'_, H> {
    pub(super) async fn tickets(&self) -> Shown {
        self.logged_in()?;
        let tickets = format!("me/tickets?limit={}", limits::PAGE_ITEMS_MAX);
        let (tickets, refunds, orders) = join3(
            self.read_everywhere::<Page<Ticket>>(&tickets),
            self.own_refunds(),
            self.read_everywhere::<Page<Order>>("me/orders"),
        )
        .await;
        // Tickets are shown whatever becomes of the rest.
        let view = pages::TicketsView {
            tickets: tickets?.items,
            refunds: refunds.unwrap_or_default(),
            orders: orders.map(|page| page.items).unwrap_or_default(),
        };
        Ok(Self::html(200, pages::tickets(&self.chrome(), &view)))
    }

    /// The visitor's refunds, newest first, as many as one page of them has.
    async fn own_refunds(&self) -> Result<Vec<Refund>, Box<Problem>> {
        let page: Page<Refund> =
            self.read_everywhere(&format!("me/refund-requests?limit={}", limits::PAGE_ITEMS_MAX)).await?;
        Ok(page.items)
    }

    pub(super) async fn ticket(&self, id: &str, problem: Option<Problem>) -> Shown {
        self.id(id)?;
        self.logged_in()?;
        let path = format!("/tickets/{id}");
        let (ticket, refunds) = join(self.read::<Ticket>(&path), self.own_refunds()).await;
        let refund = refunds.unwrap_or_default().into_iter().find(|r| r.ticket_id.to_string() == id);
        let ticket = match (ticket, &refund) {
            (Ok(ticket), _) => ticket,
            // A ticket that was given back is no ticket any more.
            (Err(problem), Some(refund)) if problem.code == Code::NotFound => {
                return Ok(Response::see_other(&format!("/refunds/{}", refund.id)));
            }
            (Err(problem), _) => return Err(problem),
        };
        let view = pages::TicketView {
            cancelled: self.is_cancelled(ticket.performance.id).await,
            ticket,
            refund,
            reason: field(&self.form, "reason").unwrap_or_default().to_owned(),
            idempotency_key: self.key(),
            problem,
        };
        let status = view.problem.as_ref().map_or(200, |problem| problem.status);
        Ok(Self::html(status, pages::ticket(&self.chrome(), &view)))
    }

    pub(super) async fn qr(&self, id: &str) -> Shown {
        self.id(id)?;
        self.logged_in()?;
        self.ask(Method::Get, &format!("/tickets/{id}/qr.svg"), None, None).await
    }

    pub(super) async fn ask_for_refund(&self, id: &str) -> Shown {
        self.id(id)?;
        self.logged_in()?;
        let amount = field(&self.form, "amount").and_then(|amount| amount.parse().ok());
        let amount = amount.ok_or_else(|| self.trouble(Code::InvalidField))?;
        // A text field's line breaks are no part of a reason.
        let reason = field(&self.form, "reason").unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        let wanted = NewRefund { reason, amount_krw: Krw(amount) };
        match self.write::<Refund>(&format!("/tickets/{id}/refund-requests"), &wanted, self.form_key()).await {
            Ok(refund) => Ok(Response::see_other(&format!("/refunds/{}", refund.id))),
            Err(problem) if problem.status == 401 || problem.status >= 500 => Err(problem),
            Err(mut problem) => {
                if problem.code == Code::AmountMismatch {
                    pages::refund_changed(self.ctx.lang).clone_into(&mut problem.detail);
                }
                self.ticket(id, Some(*problem)).await
            }
        }
    }

    pub(super) async fn refund(&self, id: &str) -> Shown {
        self.id(id)?;
        self.logged_in()?;
        let refund: Refund = self.read(&format!("/refund-requests/{id}")).await?;
        let cancelled = self.is_cancelled(refund.performance.id).await;
        Ok(Self::html(200, pages::refund(&self.chrome(), &pages::RefundView { refund, cancelled })))
    }
}
