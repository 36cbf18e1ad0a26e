//! The addresses of the pages: what each asks the coordinator, and where each form leads.

mod refunds;
mod seller;

use futures_util::future::{join, join_all};
use nugul_api::{
    Code, Problem,
    accounts::{EmailCodeRequest, EmailCodeSent, LogIn, RefreshToken, SignUp, Tokens},
    booking::{BestSeats, ConfirmOrder, Hold, NewHold, NewOrder, Order},
    catalogue::{BlockedSeats, Event, Performance},
    headers::{API, IDEMPOTENCY_KEY},
    limits,
    problem::Language,
    seats::SeatSnapshot,
};
use nugul_catalog::{CatalogEvent, Item, Query, Sort, params::search_query};
use nugul_domain::{Krw, PerformanceId, SeatIndex, SeatState, Timestamp, UserId};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{
    catalogue, everywhere,
    host::{Host, settings},
    http::{Body, Method, Request, Response, encode, field, parse_form},
    pages, rankings,
    session::{self, Session, hex, safe_next},
    upstream::{ANSWER_BYTES_MAX, Ctx, Got, language_tag, region_of},
};

/// Events on the first page.
const HOME_ON_SALE: usize = 24;
/// Coming events on the first page.
const HOME_SOON: usize = 8;
/// Performances of an event whose seats are counted.
const COUNTED_PERFORMANCES: usize = 6;
/// Seats that a form may name; the coordinator knows the real limit.
const FORM_SEATS_MAX: usize = 100;

/// Seats that an address to come back to carries: as many as leave it short enough to be taken.
const NEXT_SEATS_MAX: usize = 50;

type Shown = Result<Response, Box<Problem>>;

/// A visit of a page.
struct Visit<'a, H> {
    ctx: &'a Ctx<'a, H>,
    request: Request,
    session: Session,
    params: Vec<(String, String)>,
    form: Vec<(String, String)>,
}

/// Answers with a page, or with where to go.
pub(crate) async fn handle<H: Host>(ctx: &Ctx<'_, H>, mut request: Request) -> Response {
    let form = match request.method {
        Method::Get => Vec::new(),
        Method::Post => {
            let body = std::mem::replace(&mut request.body, Body::Empty).collect(limits::BODY_BYTES_MAX).await;
            match body {
                Ok(body) => parse_form(&String::from_utf8_lossy(&body)),
                Err(_) => return ctx.refuse(Code::BodyTooLarge),
            }
        }
        _ => return ctx.refuse(Code::MethodNotAllowed),
    };
    let public_origin = ctx.host.setting(settings::PUBLIC_ORIGIN);
    let own = request.method == Method::Get || session::is_own_form(&request, public_origin.as_deref());
    let session = if own { session::from_cookies(ctx, &request).await } else { Session::default() };
    let params = parse_form(&request.query);
    let mut visit = Visit { ctx, request, session, params, form };
    let shown = if own { visit.route().await } else { Err(visit.trouble(Code::CrossSite)) };
    let response = shown.unwrap_or_else(|problem| visit.problem(*problem));
    visit.finish(response)
}

impl<H: Host> Visit<'_, H> {
    async fn route(&mut self) -> Shown {
        let path = self.request.path.clone();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (self.request.method, parts.as_slice()) {
            (Method::Get, [""]) => self.home().await,
            (Method::Get, ["search"]) => self.search().await,
            (Method::Get, ["events", id]) => self.event(id).await,
            (Method::Get, ["performances", id]) => self.seats(id, Self::chosen(&self.params), None).await,
            (Method::Post, ["performances", id, "hold"]) => self.hold_seats(id).await,
            (Method::Get, ["holds", id]) => self.hold(id, None).await,
            (Method::Post, ["holds", id, "extend"]) => self.extend(id).await,
            (Method::Post, ["holds", id, "release"]) => self.release(id).await,
            (Method::Post, ["holds", id, "order"]) => self.order_hold(id).await,
            (Method::Get, ["orders", id]) => self.order(id).await,
            (Method::Get, ["orders", id, "paid"]) => self.paid(id).await,
            (Method::Get, ["orders", id, "failed"]) => self.failed(id),
            (Method::Post, ["orders", id, "cancel"]) => self.cancel(id).await,
            (Method::Get, ["tickets"]) => self.tickets().await,
            (Method::Get, ["tickets", id]) => self.ticket(id, None).await,
            (Method::Get, ["tickets", id, "qr.svg"]) => self.qr(id).await,
            (Method::Post, ["tickets", id, "refund"]) => self.ask_for_refund(id).await,
            (Method::Get, ["refunds", id]) => self.refund(id).await,
            (Method::Get, ["seller", "refund-requests"]) => self.seller_refunds(None).await,
            (Method::Post, ["seller", "refund-requests", id, "accept"]) => self.decide_refund(id, "accept").await,
            (Method::Post, ["seller", "refund-requests", id, "decline"]) => self.decide_refund(id, "decline").await,
            (Method::Get, ["seller", "performances", id]) => self.seller_performance(id, None).await,
            (Method::Post, ["seller", "performances", id, "window"]) => self.set_window(id).await,
            (Method::Post, ["seller", "performances", id, "blocked"]) => self.set_blocked(id).await,
            (Method::Post, ["seller", "performances", id, "cancel"]) => self.cancel_performance(id).await,
            // Where a form leads, opened again or reloaded in another language: the page it is on.
            (Method::Get, ["seller", "refund-requests", ..]) => Ok(Response::see_other("/seller/refund-requests")),
            (
                Method::Get,
                ["performances", _, "hold"]
                | ["holds", _, "extend" | "release" | "order"]
                | ["orders", _, "cancel"]
                | ["tickets", _, "refund"]
                | ["seller", "performances", _, _],
            ) => Ok(Response::see_other(&self.before_form())),
            (Method::Get, ["log-in"]) => Ok(self.log_in_page()),
            (Method::Post, ["log-in"]) => self.log_in().await,
            (Method::Get, ["sign-up"]) => Ok(self.sign_up_page()),
            (Method::Post, ["sign-up"]) => self.sign_up().await,
            (Method::Post, ["log-out"]) => self.log_out().await,
            (Method::Post, ["language"]) => Ok(self.language()),
            _ => Err(self.trouble(Code::NotFound)),
        }
    }

    // What every page needs.

    fn trouble(&self, code: Code) -> Box<Problem> {
        Box::new(Problem::new(code, self.ctx.lang, &self.ctx.trace))
    }

    fn chrome(&self) -> pages::Chrome {
        let user = self.session.user.as_ref().map(|user| &user.claims);
        pages::Chrome {
            lang: self.ctx.lang,
            account: user.map(|claims| pages::SessionUser {
                nickname: claims.nickname.clone(),
                may_sell: claims.role.may_sell(),
            }),
            path: self.page_address(),
            now: self.now(),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.ctx.host.now_ms())
    }

    fn html(status: u16, html: String) -> Response {
        Response::new(status, "text/html; charset=utf-8", html)
    }

    /// A page that says what went wrong; the log-in page where that is what is missing.
    fn problem(&mut self, problem: Problem) -> Response {
        if matches!(problem.code, Code::NotLoggedIn | Code::TokenExpired | Code::TokenInvalid) {
            return Response::see_other(&format!("/log-in?next={}", encode(&self.page_address())));
        }
        let (status, away) = (problem.status, problem.code == Code::Unavailable);
        let page = Self::html(status, pages::problem(&self.chrome(), &pages::ProblemView { problem }));
        if away { page.with("retry-after", "2") } else { page }
    }

    /// Where this page can be had again with GET.
    fn page_address(&self) -> String {
        match (self.request.method, self.request.path.as_str()) {
            (Method::Get, _) => self.request.target(),
            (_, page @ ("/log-in" | "/sign-up")) => format!("{page}?next={}", encode(&self.next())),
            _ => self.before_form(),
        }
    }

    /// The page that a form was on, by the form's address; with the seats that the form had.
    fn before_form(&self) -> String {
        let page = self.request.path.rsplit_once('/').map(|(page, _)| page).filter(|page| !page.is_empty());
        let mut seats = Self::chosen(&self.form);
        seats.truncate(NEXT_SEATS_MAX);
        let block = field(&self.form, "block").filter(|block| block.parse::<usize>().is_ok());
        let kept = block.map(|block| format!("block={block}"));
        let kept: Vec<String> = kept.into_iter().chain(seats.iter().map(|seat| format!("seat={seat}"))).collect();
        let question = if kept.is_empty() { "" } else { "?" };
        format!("{}{question}{}", page.unwrap_or("/"), kept.join("&"))
    }

    fn finish(self, mut response: Response) -> Response {
        let private = self.session.user.is_some() || !self.session.set_cookies.is_empty();
        response.headers.retain(|(name, _)| name != "cache-control");
        let caching = if private { "private, no-store" } else { "private, no-cache" };
        let cookies = self.session.set_cookies.into_iter().map(|cookie| ("set-cookie".to_owned(), cookie));
        response.headers.extend(cookies);
        let is_page = response.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        let response = response.with("cache-control", caching);
        if !is_page || response.header("content-security-policy").is_some() {
            return response;
        }
        response.with("content-security-policy", &policy(""))
    }

    fn logged_in(&self) -> Result<&session::User, Box<Problem>> {
        match &self.session.user {
            Some(user) => Ok(user),
            None if self.session.unknown => Err(self.trouble(Code::Unavailable)),
            None => Err(self.trouble(Code::NotLoggedIn)),
        }
    }

    /// Who reads, as votes are counted.
    fn reader(&self) -> Option<UserId> {
        self.session.user.as_ref().map(|user| user.claims.sub)
    }

    /// Asks the interface as the visitor.
    async fn ask(&self, method: Method, path: &str, body: Option<Vec<u8>>, key: Option<&str>) -> Shown {
        let mut headers = self.ctx.request_headers(&[], self.session.user.as_ref().map(|user| user.token.as_str()));
        if body.is_some() {
            headers.push(("content-type".into(), "application/json".into()));
        }
        if !method.is_read() {
            headers.push((IDEMPOTENCY_KEY.into(), key.map_or_else(|| self.key(), str::to_owned)));
        }
        let region = path
            .split(['/', '?'])
            .find_map(region_of)
            .or_else(|| self.session.user.as_ref().map(|user| user.claims.sub.region().0));
        self.ask_region(region, method, path, headers, body.unwrap_or_default()).await
    }

    async fn ask_region(
        &self,
        region: Option<u8>,
        method: Method,
        path: &str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Shown {
        let answer = self.ctx.ask(region, method, &format!("{API}{path}"), headers, body).await;
        let answer = answer.map_err(|code| self.trouble(code))?;
        self.good(answer).await
    }

    /// A good answer (or where it is instead), or the problem in it.
    async fn good(&self, answer: Response) -> Shown {
        if (200..300).contains(&answer.status) || answer.status == 303 {
            return Ok(answer);
        }
        let fallback = match answer.status {
            404 => Code::NotFound,
            502..=504 => Code::Unavailable,
            _ => Code::Internal,
        };
        let body = answer.body.collect(ANSWER_BYTES_MAX).await.unwrap_or_default();
        Err(serde_json::from_slice(&body).map_or_else(|_| self.trouble(fallback), Box::new))
    }

    /// A list of the visitor that every region has a part of; `path` may have a query.
    async fn read_everywhere<T: DeserializeOwned>(&self, path: &str) -> Result<T, Box<Problem>> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let token = self.session.user.as_ref().map(|user| user.token.as_str());
        let answer = everywhere::list(self.ctx, path, &parse_form(query), token).await;
        let answer = answer.map_err(|code| self.trouble(code))?;
        self.parse(self.good(answer).await?).await
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Box<Problem>> {
        self.parse(self.ask(Method::Get, path, None, None).await?).await
    }

    async fn write<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        key: Option<&str>,
    ) -> Result<T, Box<Problem>> {
        self.parse(self.send(Method::Post, path, body, key).await?).await
    }

    async fn send(&self, method: Method, path: &str, body: &impl Serialize, key: Option<&str>) -> Shown {
        let body = serde_json::to_vec(body).map_err(|_| self.trouble(Code::Internal))?;
        self.ask(method, path, Some(body), key).await
    }

    async fn parse<T: DeserializeOwned>(&self, answer: Response) -> Result<T, Box<Problem>> {
        let body = answer.body.collect(ANSWER_BYTES_MAX).await.map_err(|_| self.trouble(Code::Internal))?;
        serde_json::from_slice(&body).map_err(|_| self.trouble(Code::Internal))
    }

    /// Reads what is the same for everyone.
    async fn read_cached<T: DeserializeOwned>(&self, id: &str, path: &str) -> Result<T, Box<Problem>> {
        let region = region_of(id).ok_or_else(|| self.trouble(Code::NotFound))?;
        let got = self.ctx.ask_cached(Some(region), &format!("{API}{path}")).await;
        match got.map_err(|code| self.trouble(code))? {
            Got::Kept(kept) => serde_json::from_slice(&kept.body).map_err(|_| self.trouble(Code::Internal)),
            Got::Answer(answer) => Err(match self.good(answer).await {
                Err(problem) => problem,
                Ok(_) => self.trouble(Code::Internal),
            }),
        }
    }

    /// The key of a form's write: the form's own, so that a form sent twice is one write.
    fn form_key(&self) -> Option<&str> {
        let visible =
            |key: &&str| key.len() <= limits::IDEMPOTENCY_KEY_CHARS_MAX && key.bytes().all(|b| b.is_ascii_graphic());
        field(&self.form, "key").filter(visible)
    }

    /// A new key.
    fn key(&self) -> String {
        let mut bytes = [0; 16];
        self.ctx.host.random(&mut bytes);
        hex(&bytes)
    }

    /// An id as it appears in a path; anything else names nothing.
    fn id<'i>(&self, id: &'i str) -> Result<&'i str, Box<Problem>> {
        region_of(id).map(|_| id).ok_or_else(|| self.trouble(Code::NotFound))
    }

    // Finding.

    async fn home(&mut self) -> Shown {
        let (index, (keywords, events)) = join(catalogue::index(self.ctx), rankings::of_the_day(self.ctx)).await;
        let index = index.map_err(|code| self.trouble(code))?;
        let now = self.now();
        let today = now.seoul_date();
        let from = nugul_catalog::import::parse_date(&today);
        let list = |sort, limit| Query { date_from: from, sort, limit, now: Some(now), ..Query::default() };
        let on_sale = Query { on_sale: true, ..list(Sort::Popularity, HOME_ON_SALE) };
        let on_sale = index.search(&on_sale).items.into_iter().map(card).collect();
        let soon = catalogue::opening(self.ctx, now).into_iter().take(HOME_SOON).map(card_of).collect();
        let this_month = today.get(..7).unwrap_or_default();
        let month = field(&self.params, "month").unwrap_or(this_month);
        let (month, days) = match catalogue::calendar_days(self.ctx, &index, month) {
            Some(days) => (month, days),
            None => (this_month, catalogue::calendar_days(self.ctx, &index, this_month).unwrap_or_default()),
        };
        let view = pages::HomeView {
            on_sale,
            soon,
            calendar: days.to_vec(),
            month: month.to_owned(),
            categories: catalogue::categories(self.ctx).to_vec(),
            ranked_keywords: keywords.map(|ranking| ranking.items).unwrap_or_default(),
            ranked_events: events.map(|ranking| ranking.items).unwrap_or_default(),
        };
        Ok(Self::html(200, pages::home(&self.chrome(), &view)))
    }

    async fn search(&mut self) -> Shown {
        let index = catalogue::index(self.ctx).await.map_err(|code| self.trouble(code))?;
        let now = self.now();
        let query = search_query(&self.params, now).unwrap_or_else(|_| {
            let q = field(&self.params, "q").unwrap_or_default();
            Query { now: Some(now), ..Query::text(q.chars().take(limits::QUERY_CHARS_MAX).collect::<String>()) }
        });
        if field(&self.params, "cursor").is_none() {
            rankings::searched(self.ctx, &self.request, self.reader(), &query.q);
        }
        let found = index.search(&Query { facets: true, ..query.clone() });
        let next = found.next_cursor.map(|cursor| {
            let kept = self.params.iter().filter(|(name, value)| name != "cursor" && !value.is_empty());
            let kept: String = kept.map(|(name, value)| format!("{}={}&", encode(name), encode(value))).collect();
            format!("/search?{kept}cursor={cursor}")
        });
        let view = pages::SearchView {
            choice: pages::Choice {
                category: query.category.first().cloned(),
                region: query.region.first().cloned(),
                date: field(&self.params, "date").filter(|_| query.date_from.is_some()).map(str::to_owned),
                on_sale: query.on_sale,
                transferable: query.transferable,
                sort: query.sort,
                q: query.q,
            },
            results: found.items.into_iter().map(card).collect(),
            total: found.total,
            matched: found.matched,
            did_you_mean: found.did_you_mean,
            facets: found.facets.unwrap_or_default(),
            next,
        };
        Ok(Self::html(200, pages::search(&self.chrome(), &view)))
    }

    async fn event(&mut self, id: &str) -> Shown {
        let event: Event = self.read_cached(id, &format!("/events/{id}")).await?;
        let now = self.now();
        let coming = event.performances.iter().filter(|p| p.is_on_sale(now));
        let counted = if event.members_only && self.session.user.is_none() { 0 } else { COUNTED_PERFORMANCES };
        let remaining = coming.take(counted).map(|performance| async {
            let id = performance.id.to_string();
            let seats = self.seats_now(&id, event.members_only).await.ok()?;
            let free = seats.unpack()?.into_iter().filter(|s| *s == SeatState::Available).count();
            Some((performance.id, u32::try_from(free).ok()?))
        });
        let remaining = join_all(remaining).await.into_iter().flatten().collect();
        rankings::looked(self.ctx, &self.request, self.reader(), id);
        Ok(Self::html(200, pages::event(&self.chrome(), &pages::EventView { event, remaining })))
    }

    // Booking.

    fn chosen(from: &[(String, String)]) -> Vec<SeatIndex> {
        let seats = from.iter().filter(|(name, _)| name == "seat").filter_map(|(_, value)| value.trim().parse().ok());
        let mut seats: Vec<SeatIndex> = seats.take(FORM_SEATS_MAX).collect();
        seats.sort_unstable();
        seats.dedup();
        seats
    }

    /// Whether the organiser cancelled it, as far as is known.
    async fn is_cancelled(&self, id: PerformanceId) -> bool {
        let id = id.to_string();
        let performance = self.read_cached::<Performance>(&id, &format!("/performances/{id}")).await;
        performance.is_ok_and(|p| p.summary.cancelled)
    }

    /// The seats now, as everyone sees them; those of a members-only event as the visitor does.
    async fn seats_now(&self, id: &str, members_only: bool) -> Result<SeatSnapshot, Box<Problem>> {
        let path = format!("/performances/{id}/seats");
        if members_only { self.read(&path).await } else { self.read_cached(id, &path).await }
    }

    /// Whether the visitor runs this performance: others are refused its blocked seats.
    async fn is_organiser(&self, id: &str) -> bool {
        self.session.user.as_ref().is_some_and(|user| user.claims.role.may_sell())
            && self.read::<BlockedSeats>(&format!("/performances/{id}/blocked-seats")).await.is_ok()
    }

    async fn seats(&self, id: &str, mut selected: Vec<SeatIndex>, problem: Option<Problem>) -> Shown {
        let performance: Performance = self.read_cached(id, &format!("/performances/{id}")).await?;
        if performance.members_only {
            self.logged_in()?;
        }
        let snapshot = self.seats_now(id, performance.members_only).await?;
        let block = field(&self.form, "block").or(field(&self.params, "block"));
        let status = problem.as_ref().map_or(200, |problem| problem.status);
        // The snapshot may be older than the refusal.
        let taken = problem.as_ref().map_or(&[][..], |problem| problem.seats.as_slice());
        selected.retain(|seat| taken.iter().all(|taken| taken.index != *seat));
        let view = pages::SeatsView {
            is_organiser: self.is_organiser(id).await,
            performance,
            snapshot,
            block: block.and_then(|block| block.parse().ok()).unwrap_or(0),
            selected,
            problem,
            idempotency_key: self.key(),
        };
        Ok(Self::html(status, pages::seats(&self.chrome(), &view)))
    }

    async fn hold_seats(&self, id: &str) -> Shown {
        self.id(id)?;
        self.logged_in()?;
        let seats = Self::chosen(&self.form);
        let best = field(&self.form, "best_grade").zip(field(&self.form, "best_count").and_then(|n| n.parse().ok()));
        let wanted = match best {
            Some((grade, count)) if seats.is_empty() => {
                NewHold { best: Some(BestSeats { grade: grade.to_owned(), count }), ..NewHold::default() }
            }
            _ => NewHold {
                seats: Some(seats.clone()),
                seat_map_version: field(&self.form, "map").map(str::to_owned),
                ..NewHold::default()
            },
        };
        match self.write::<Hold>(&format!("/performances/{id}/holds"), &wanted, self.form_key()).await {
            Ok(hold) => Ok(Response::see_other(&format!("/holds/{}", hold.id))),
            Err(problem) if problem.status == 401 || problem.status >= 500 => Err(problem),
            Err(problem) => self.seats(id, seats, Some(*problem)).await,
        }
    }

    async fn hold(&self, id: &str, problem: Option<Problem>) -> Shown {
        self.id(id)?;
        self.logged_in()?;
        let answer = match self.ask(Method::Get, &format!("/holds/{id}"), None, None).await {
            Err(problem) if problem.code == Code::NotFound => {
                return Ok(Self::html(problem.status, pages::hold_ended(&self.chrome())));
            }
            answer => answer?,
        };
        if let Some(order) = answer.header("location").and_then(|at| at.rsplit('/').next()) {
            return Ok(Response::see_other(&format!("/orders/{}", self.id(order)?)));
        }
        let hold: Hold = self.parse(answer).await?;
        let status = problem.as_ref().map_or(200, |problem| problem.status);
        // One hold becomes one order, however often its form is sent.
        let view = pages::HoldView { hold, problem, idempotency_key: format!("order-{id}") };
        Ok(Self::html(status, pages::hold(&self.chrome(), &view)))
    }

    async fn extend(&self, id: &str) -> Shown {
        self.id(id)?;
        self.logged_in()?;
        match self.ask(Method::Post, &format!("/holds/{id}/extend"), None, self.form_key()).await {
            Err(problem) if problem.code != Code::HoldExtended => {
                let first = problem.clone();
                self.hold(id, Some(*problem)).await.map_err(|_| first)
            }
            // Pressed twice is pressed once.
            _ => Ok(Response::see_other(&format!("/holds/{id}"))),
        }
    }

    async fn release(&self, id: &str) -> Shown {
        self.id(id)?;
        self.logged_in()?;
        let hold = self.read::<Hold>(&format!("/holds/{id}")).await;
        match self.ask(Method::Delete, &format!("/holds/{id}"), None, self.form_key()).await {
            Err(problem) if problem.code != Code::NotFound && problem.code != Code::HoldExpired => return Err(problem),
            _ => {}
        }
        Ok(Response::see_other(&hold.map_or("/".to_owned(), |hold| format!("/performances/{}", hold.performance.id))))
    }

    async fn order_hold(&self, id: &str) -> Shown {
        self.logged_in()?;
        let hold_id = id.parse().map_err(|_| self.trouble(Code::NotFound))?;
        let own = format!("order-{id}");
        let key = self.form_key().unwrap_or(&own);
        let body = serde_json::to_vec(&NewOrder { hold_id }).map_err(|_| self.trouble(Code::Internal))?;
        let mut headers = self.ctx.request_headers(&[], self.session.user.as_ref().map(|user| user.token.as_str()));
        headers.push(("content-type".into(), "application/json".into()));
        headers.push((IDEMPOTENCY_KEY.into(), key.to_owned()));
        let made = match self.ask_region(region_of(id), Method::Post, "/orders", headers, body).await {
            Ok(answer) => self.parse::<Order>(answer).await,
            Err(problem) => Err(problem),
        };
        match made {
            Ok(order) => Ok(Response::see_other(&format!("/orders/{}", order.id))),
            Err(problem) if problem.status == 401 || problem.status >= 500 => Err(problem),
            Err(problem) => {
                let first = problem.clone();
                self.hold(id, Some(*problem)).await.map_err(|_| first)
            }
        }
    }

    /// Where this site is: as set, else as asked for. Empty where neither is known; the page's script then takes its own
    /// address.
    fn origin(&self) -> String {
        if let Some(origin) = self.ctx.host.setting(settings::PUBLIC_ORIGIN) {
            return origin.trim_end_matches('/').to_owned();
        }
        let scheme = if self.request.https { "https" } else { "http" };
        let host = self.request.header("host").filter(|host| !host.is_empty());
        host.map(|host| format!("{scheme}://{host}")).unwrap_or_default()
    }

    /// What is said after the payment window gave up.
    fn payment_failed(&self) -> Option<Problem> {
        field(&self.params, "failed")?;
        let mut problem = *self.trouble(Code::OrderState);
        let detail = match self.ctx.lang {
            Language::Korean => "결제가 끝나지 않았어요. 빠져나간 돈은 없어요. 다시 결제할 수 있어요.",
            Language::English => "The payment did not go through. Nothing was charged. You can try again.",
        };
        detail.clone_into(&mut problem.detail);
        Some(problem)
    }

    async fn order(&self, id: &str) -> Shown {
        self.id(id)?;
        let customer_key = self.logged_in()?.claims.sub.to_string();
        let order: Order = self.read(&format!("/orders/{id}")).await?;
        let setting = |name| self.ctx.host.setting(name).unwrap_or_default();
        let code = field(&self.params, "problem");
        let code = Code::ALL.iter().find(|known| Some(known.as_str()) == code);
        let view = pages::OrderView {
            cancelled: self.is_cancelled(order.performance.id).await,
            order,
            customer_key,
            toss_client_key: setting(settings::TOSS_CLIENT_KEY),
            toss_sdk_url: setting(settings::TOSS_SDK_URL),
            success_url: format!("{}/orders/{id}/paid", self.origin()),
            fail_url: format!("{}/orders/{id}/failed", self.origin()),
            problem: code.map(|code| *self.trouble(*code)).or_else(|| self.payment_failed()),
        };
        let page = Self::html(200, pages::order(&self.chrome(), &view));
        Ok(page.with("content-security-policy", &policy(&origin_of(&view.toss_sdk_url))))
    }

    /// Where the payment window comes back to: the coordinator confirms, once, however often the page is loaded.
    async fn paid(&self, id: &str) -> Shown {
        self.id(id)?;
        self.logged_in()?;
        let wrong = || self.trouble(Code::InvalidParameter);
        let payment_key = field(&self.params, "paymentKey").filter(|key| key.len() <= 200).ok_or_else(wrong)?;
        let amount = field(&self.params, "amount").and_then(|amount| amount.parse().ok()).ok_or_else(wrong)?;
        if field(&self.params, "orderId").is_some_and(|order| order != id) {
            return Err(wrong());
        }
        let digest = Sha256::digest(format!("{id}/{payment_key}/{amount}").as_bytes());
        let key = format!("paid-{}", hex(digest.get(..16).unwrap_or_default()));
        let confirm = ConfirmOrder { payment_key: payment_key.to_owned(), amount_krw: Krw(amount) };
        let confirmed = self.write::<Order>(&format!("/orders/{id}/confirm"), &confirm, Some(&key)).await;
        match confirmed {
            Ok(_) => Ok(Response::see_other(&format!("/orders/{id}"))),
            // The payment's key is in this address alone: whoever tries again has to come back to it.
            Err(problem) if matches!(problem.status, 401 | 404 | 429 | 500..) => Err(problem),
            Err(problem) => Ok(Response::see_other(&format!("/orders/{id}?problem={}", problem.code.as_str()))),
        }
    }

    /// Where a failed payment comes back to. The words in the address are not shown: anyone can write an address.
    fn failed(&self, id: &str) -> Shown {
        self.id(id)?;
        let given_up = matches!(field(&self.params, "code"), Some("PAY_PROCESS_CANCELED" | "USER_CANCEL"));
        let problem = if given_up { "" } else { "?failed=1" };
        Ok(Response::see_other(&format!("/orders/{id}{problem}")))
    }

    async fn cancel(&self, id: &str) -> Shown {
        self.id(id)?;
        self.logged_in()?;
        match self.ask(Method::Delete, &format!("/orders/{id}"), None, self.form_key()).await {
            Ok(_) => Ok(Response::see_other(&format!("/orders/{id}"))),
            Err(problem) if problem.status == 409 => {
                Ok(Response::see_other(&format!("/orders/{id}?problem={}", problem.code.as_str())))
            }
            Err(problem) => Err(problem),
        }
    }

    // Accounts.

    fn next(&self) -> String {
        safe_next(field(&self.form, "next").or(field(&self.params, "next"))).to_owned()
    }

    fn log_in_page(&self) -> Response {
        if self.session.user.is_some() {
            return Response::see_other(&self.next());
        }
        let view = pages::LogInView { next: self.next(), ..pages::LogInView::default() };
        Self::html(200, pages::log_in(&self.chrome(), &view))
    }

    async fn log_in(&mut self) -> Shown {
        let email = field(&self.form, "email").unwrap_or_default().to_owned();
        let wanted = LogIn { email: email.clone(), password: self.password() };
        self.session = Session::default();
        match self.write::<Tokens>("/auth/log-in", &wanted, None).await {
            Ok(tokens) => Ok(self.enter(&tokens)),
            Err(problem) => {
                let status = problem.status;
                let view = pages::LogInView { next: self.next(), email, problem: Some(*problem) };
                Ok(Self::html(status, pages::log_in(&self.chrome(), &view)))
            }
        }
    }

    /// As typed: spaces are part of a password.
    fn password(&self) -> String {
        self.form.iter().find(|(name, _)| name == "password").map(|(_, value)| value.clone()).unwrap_or_default()
    }

    fn enter(&mut self, tokens: &Tokens) -> Response {
        self.session.set_cookies = session::cookies(tokens, &self.request);
        Response::see_other(&self.next())
    }

    fn sign_up_page(&self) -> Response {
        let view = pages::SignUpView { next: self.next(), idempotency_key: self.key(), ..pages::SignUpView::default() };
        Self::html(200, pages::sign_up(&self.chrome(), &view))
    }

    async fn sign_up(&mut self) -> Shown {
        let typed = |name| field(&self.form, name).unwrap_or_default().to_owned();
        let (email, nickname, code) = (typed("email"), typed("nickname"), typed("code"));
        let password = self.password();
        self.session = Session::default();
        let step = field(&self.form, "step");
        let (asks_for_code, had_one) = (step != Some("code"), step == Some("again"));
        let outcome = if asks_for_code {
            let request = EmailCodeRequest { email: email.clone() };
            self.write::<EmailCodeSent>("/auth/email-codes", &request, self.form_key()).await.map(|_| None)
        } else {
            let sign_up = SignUp { email: email.clone(), code, password: password.clone(), nickname: nickname.clone() };
            match self.write::<serde_json::Value>("/auth/sign-up", &sign_up, self.form_key()).await {
                Err(problem) => Err(problem),
                Ok(answer) => match serde_json::from_value::<Tokens>(answer) {
                    Ok(tokens) => Ok(Some(tokens)),
                    Err(_) => {
                        self.write("/auth/log-in", &LogIn { email: email.clone(), password }, None).await.map(Some)
                    }
                },
            }
        };
        let problem = match outcome {
            Ok(Some(tokens)) => return Ok(self.enter(&tokens)),
            Ok(None) => None,
            Err(problem) => Some(*problem),
        };
        let step = if asks_for_code && !had_one && problem.is_some() {
            pages::SignUpStep::Email
        } else {
            pages::SignUpStep::Code
        };
        let status = problem.as_ref().map_or(200, |problem| problem.status);
        let (next, idempotency_key) = (self.next(), self.key());
        let view = pages::SignUpView { step, email, nickname, next, problem, idempotency_key };
        Ok(Self::html(status, pages::sign_up(&self.chrome(), &view)))
    }

    async fn log_out(&mut self) -> Shown {
        // The session may have been renewed by this very request.
        let mut cookies = self.session.set_cookies.iter().filter_map(|c| c.strip_prefix(session::REFRESH_COOKIE));
        let renewed = cookies.find_map(|c| c.strip_prefix('=')?.split(';').next());
        let refresh = renewed.or(self.request.cookie(session::REFRESH_COOKIE)).filter(|token| !token.is_empty());
        if let Some(token) = refresh {
            let body = RefreshToken { refresh_token: token.to_owned() };
            // The cookies go whatever the coordinator says.
            let body = serde_json::to_vec(&body).unwrap_or_default();
            let _ = self.ask(Method::Post, "/auth/log-out", Some(body), None).await;
        }
        self.session = Session { set_cookies: session::no_cookies(&self.request), ..Session::default() };
        // Nor what was kept for a time without a network (W3C Clear Site Data).
        Ok(Response::see_other("/").with("clear-site-data", "\"storage\""))
    }

    fn language(&mut self) -> Response {
        let language = if field(&self.form, "lang") == Some("en") { Language::English } else { Language::Korean };
        self.session.set_cookies.push(session::language_cookie(language_tag(language), &self.request));
        Response::see_other(&self.next())
    }
}

fn card(item: Item) -> pages::EventCard {
    pages::EventCard { highlights: item.highlights, ..card_of(item.event) }
}

fn card_of(event: CatalogEvent) -> pages::EventCard {
    pages::EventCard {
        id: event.id,
        title: event.title,
        title_en: event.title_en,
        category: event.category,
        place: event.place,
        starts_on: event.starts_on,
        ends_on: event.ends_on,
        min_price_krw: Krw(event.min_price_krw),
        max_price_krw: Krw(event.max_price_krw),
        sales_open_at: event.sales_open_at,
        highlights: Vec::new(),
    }
}

/// What a page may load (CSP Level 3), with the origin of the payment window's script on the page that has it.
fn policy(payment: &str) -> String {
    if payment.is_empty() {
        return "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
                frame-ancestors 'none'"
            .to_owned();
    }
    // Toss's script loads the rest of the window from its own hosts.
    let more = if payment.ends_with(".tosspayments.com") { " https://*.tosspayments.com" } else { "" };
    let from = format!("'self' {payment}{more}");
    format!(
        "default-src 'self'; script-src {from}; connect-src {from}; frame-src {from}; img-src {from} data:; \
         object-src 'none'; base-uri 'none'; form-action {from}; frame-ancestors 'none'"
    )
}

/// `https://host:port` of an address; empty where it is none, so that no setting can widen a policy.
fn origin_of(url: &str) -> String {
    let Some((scheme @ ("http" | "https"), rest)) = url.split_once("://") else { return String::new() };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    if plain { format!("{scheme}://{host}") } else { String::new() }
}
