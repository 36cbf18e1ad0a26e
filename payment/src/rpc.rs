//! The gRPC side: checks what came in, calls the saga, and streams results.
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nugul_domain::payment_key::is_payment_key;
use nugul_proto::payment::v1::payment_service_server::PaymentService;
use nugul_proto::payment::v1::{
    AckResultsRequest, AckResultsResponse, CancelOutcome, CancelRequest, CancelResponse, CaseKind, CloseCaseRequest,
    CloseCaseResponse, ConfirmRequest, ConfirmResponse, GetBalancesRequest, GetBalancesResponse, GetPaymentRequest,
    ListCasesRequest, ListCasesResponse, ListLedgerEntriesRequest, ListLedgerEntriesResponse, ListPaymentsRequest,
    ListPaymentsResponse, ListReconciliationsRequest, ListReconciliationsResponse, Payment as PaymentMessage,
    PaymentOutcome, PaymentResult, PrepareRequest, PrepareResponse, ReconcileRequest, ReconcileResponse,
    WatchResultsRequest,
};
use nugul_proto::{ERROR_CODE_KEY, ERROR_DOMAIN, TRACE_ID_KEY};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tracing::Instrument;
use uuid::Uuid;

use crate::callers::{Callers, Denied, Right, common_name};
use crate::cancels::Step;
use crate::cases;
use crate::confirm::Payments;
use crate::listing::{Cursor, Filter, Pages};
use crate::state::State;
use crate::store::{self, Payment, Refusal};
use crate::{audit, ledger, outbox, reports};

/// No more result streams are open at once.
pub const MAX_WATCHERS: usize = 64;
/// Results on their way to one reader; a slower reader is waited for.
pub const WATCH_BUFFER: usize = 256;
/// A stream looks for results of other replicas this often.
pub const WATCH_EVERY: Duration = Duration::from_millis(500);
/// No more lists are read at once.
pub const MAX_LISTS: usize = 16;
/// Pages on their way to one reader; a slower reader is waited for.
pub const LIST_BUFFER: usize = 2;
/// Ledger entries of one page.
pub const ENTRIES_PAGE: i64 = 500;
/// An answer leaves this long before the caller's deadline.
pub const DEADLINE_MARGIN: Duration = Duration::from_millis(200);
/// No amount is higher (won).
pub const MAX_AMOUNT: i64 = 1_000_000_000;
/// No trace id is longer; a longer one is none.
pub const MAX_TRACE_ID: usize = 64;
/// No request id is longer.
pub const MAX_REQUEST_ID: usize = 128;

/// The service.
pub struct Rpc {
    payments: Arc<Payments>,
    callers: Option<Callers>,
    watchers: Arc<Semaphore>,
    lists: Arc<Semaphore>,
    stop: CancellationToken,
}

/// A stream of messages.
type Stream<T> = Pin<Box<dyn futures_util::Stream<Item = Result<T, Status>> + Send>>;

impl Rpc {
    /// A service whose streams end with `stop`. Whoever can reach it may do everything: it is in the caller's process.
    pub fn new(payments: Arc<Payments>, stop: CancellationToken) -> Self {
        Self {
            payments,
            callers: None,
            watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
            lists: Arc::new(Semaphore::new(MAX_LISTS)),
            stop,
        }
    }

    /// The same service for callers over the network: each may do what the name in its certificate may.
    #[must_use]
    pub fn for_callers(mut self, callers: Callers) -> Self {
        self.callers = Some(callers);
        self
    }

    /// Lets the caller pass who may do this.
    fn allow<T>(&self, request: &Request<T>, right: Right) -> Result<(), Status> {
        let Some(callers) = &self.callers else { return Ok(()) };
        let certificates = request.peer_certs();
        let name = certificates.as_ref().and_then(|all| all.first()).and_then(|first| common_name(first));
        match callers.check(&name.unwrap_or_default(), right, std::time::Instant::now()) {
            Ok(()) => Ok(()),
            Err(Denied::NotAllowed) => {
                Err(status(Code::PermissionDenied, "not_allowed", "the certificate's name may not do this"))
            }
            Err(Denied::TooMany) => Err(status(Code::ResourceExhausted, "rate_limited", "too many calls; slow down")),
        }
    }

    /// A refusal on its way out. A command that would be refused for ever is put aside for a person.
    async fn park(&self, what: &str, order: &str, request_id: &str, refused: Status) -> Status {
        let is_final = matches!(
            refused.code(),
            Code::InvalidArgument | Code::FailedPrecondition | Code::AlreadyExists | Code::NotFound
        );
        if is_final {
            let code = refused.metadata().get(ERROR_CODE_KEY).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let order = Uuid::try_parse(order).unwrap_or_default();
            tracing::warn!(what, %order, request_id, code, "command refused for good");
            let (reason, now) = (format!("{what}: {code}: {}", refused.message()), (self.payments.now)());
            if let Err(error) = cases::park(&self.payments.db, order, request_id, &reason, now).await {
                tracing::error!(%order, %error, "refused command not stored");
            }
        }
        refused
    }

    /// The reader of results has stored them up to an offset.
    async fn acknowledge(&self, offset: i64) -> Result<(), Status> {
        let newest = outbox::newest(&self.payments.db).await.map_err(Refusal::from)?;
        if offset > newest {
            let text = "the offset was never given out";
            return Err(status(Code::FailedPrecondition, "offset_unknown", text));
        }
        self.payments.counters.acknowledged.fetch_max(offset, Ordering::Relaxed);
        Ok(())
    }

    /// Runs a reader that sends pages until it is done, the reader has gone, or the program stops.
    fn pages<T: Send + 'static, F: Future<Output = ()> + Send + 'static>(
        &self,
        read: impl FnOnce(Arc<Payments>, mpsc::Sender<Result<T, Status>>) -> F + Send + 'static,
    ) -> Result<Response<Stream<T>>, Status> {
        let permit = Arc::clone(&self.lists)
            .try_acquire_owned()
            .map_err(|_| status(Code::ResourceExhausted, "busy", "too many lists are read"))?;
        let (payments, stop) = (Arc::clone(&self.payments), self.stop.clone());
        let (send, receive) = mpsc::channel(LIST_BUFFER);
        tokio::spawn(async move {
            let _permit = permit;
            let gone = send.clone();
            tokio::select! {
                () = read(payments, send) => {}
                () = gone.closed() => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receive))))
    }
}

fn status(code: Code, reason: &'static str, text: &str) -> Status {
    detailed(code, reason, text, ErrorDetails::new())
}

fn detailed(code: Code, reason: &'static str, text: &str, mut details: ErrorDetails) -> Status {
    details.set_error_info(reason, ERROR_DOMAIN, HashMap::<String, String>::new());
    let mut metadata = MetadataMap::new();
    metadata.insert(ERROR_CODE_KEY, MetadataValue::from_static(reason));
    Status::with_error_details_and_metadata(code, text, details, metadata)
}

fn invalid(field: &str) -> Status {
    let text = format!("{field} is not valid");
    let details = ErrorDetails::with_bad_request_violation(field, text.as_str());
    detailed(Code::InvalidArgument, "invalid_argument", &text, details)
}

/// What the logs of a command are found by: the id of the request it came from, if it is one.
fn span(metadata: &MetadataMap) -> tracing::Span {
    let plain = |id: &&str| id.len() <= MAX_TRACE_ID && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let id = metadata.get(TRACE_ID_KEY).and_then(|id| id.to_str().ok()).filter(plain).unwrap_or_default();
    tracing::info_span!("command", trace_id = id)
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => status(Code::NotFound, "payment_not_found", "no such payment was prepared"),
            Refusal::AmountMismatch => {
                status(Code::FailedPrecondition, "amount_mismatch", "the amount is not the one prepared")
            }
            Refusal::PrepareConflict => {
                status(Code::AlreadyExists, "amount_conflict", "the order was prepared with another amount or buyer")
            }
            Refusal::RequestIdReused => {
                status(Code::AlreadyExists, "request_id_reused", "the request id was used for another request")
            }
            Refusal::AlreadyRefunded => {
                status(Code::FailedPrecondition, "payment_refunded", "the money was given back already")
            }
            Refusal::NotTaken => status(Code::FailedPrecondition, "payment_not_taken", "the money was not taken"),
            Refusal::ExceedsLeft => {
                status(Code::FailedPrecondition, "amount_exceeds_left", "more than is left cannot be given back")
            }
            Refusal::TooManyCancels => {
                status(Code::FailedPrecondition, "too_many_cancels", "the payment was given back in too many parts")
            }
            Refusal::Busy => status(Code::ResourceExhausted, "busy", "too many payments are under way"),
            Refusal::Storage(error) => {
                tracing::error!(%error, "database");
                status(Code::Unavailable, "storage_unavailable", "the database did not answer")
            }
        }
    }
}

fn order_id(text: &str) -> Result<Uuid, Status> {
    Uuid::try_parse(text).map_err(|_| invalid("order_id"))
}

fn request_id(text: &str) -> Result<&str, Status> {
    if (1..=MAX_REQUEST_ID).contains(&text.len()) { Ok(text) } else { Err(invalid("request_id")) }
}

/// When to answer at the latest: shortly before the caller stops listening.
fn answer_by(metadata: &MetadataMap) -> Instant {
    let now = Instant::now();
    let far = now + Duration::from_hours(1);
    let Some(text) = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()) else { return far };
    let Some((digits, unit)) = text.split_at_checked(text.len().saturating_sub(1)) else { return far };
    let Ok(count) = digits.parse::<u64>() else { return far };
    let timeout = match unit {
        "H" => Duration::from_secs(count.saturating_mul(3600)),
        "M" => Duration::from_secs(count.saturating_mul(60)),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return far,
    };
    now.checked_add(timeout.saturating_sub(DEADLINE_MARGIN)).map_or(far, |by| by.min(far))
}

/// The commands, without who may send them and what becomes of refused ones.
impl Rpc {
    async fn do_prepare(&self, ask: PrepareRequest) -> Result<PrepareResponse, Status> {
        let now = (self.payments.now)();
        if !(1..=MAX_AMOUNT).contains(&ask.amount_krw) {
            return Err(invalid("amount_krw"));
        }
        if !(1..=100).contains(&ask.order_name.chars().count()) {
            return Err(invalid("order_name"));
        }
        if ask.expires_at_ms <= 0 {
            return Err(invalid("expires_at_ms"));
        }
        let new = Payment {
            order: order_id(&ask.order_id)?,
            user: Uuid::try_parse(&ask.user_id).map_err(|_| invalid("user_id"))?,
            amount_krw: ask.amount_krw,
            order_name: ask.order_name,
            state: State::Prepared,
            payment_key: String::new(),
            code: String::new(),
            message: String::new(),
            left_krw: 0,
            attempts: 0,
            asked_at_ms: 0,
            next_check_ms: store::NEVER,
            expires_at_ms: ask.expires_at_ms,
            created_at_ms: now,
            updated_at_ms: now,
        };
        let state = self.payments.prepare(request_id(&ask.request_id)?, &new).await?;
        Ok(PrepareResponse { state: state as i32 })
    }

    async fn do_confirm(&self, ask: ConfirmRequest, by: Instant) -> Result<ConfirmResponse, Status> {
        if !is_payment_key(&ask.payment_key) {
            return Err(invalid("payment_key"));
        }
        let (id, order) = (request_id(&ask.request_id)?, order_id(&ask.order_id)?);
        let payment = self.payments.confirm(id, order, &ask.payment_key, ask.amount_krw, by).await?;
        let outcome = match payment.state {
            // Whatever of it is on its way back, or went back since.
            State::Approved | State::Refunding | State::Refunded => PaymentOutcome::Approved,
            State::Declined => PaymentOutcome::Declined,
            State::Prepared | State::Confirming => PaymentOutcome::Unknown,
        };
        Ok(ConfirmResponse { outcome: outcome.into(), code: payment.code, message: payment.message })
    }

    async fn do_cancel(&self, ask: CancelRequest, by: Instant) -> Result<CancelResponse, Status> {
        if !(1..=200).contains(&ask.reason.chars().count()) {
            return Err(invalid("reason"));
        }
        let (id, order) = (request_id(&ask.request_id)?, order_id(&ask.order_id)?);
        if ask.amount_krw.is_some_and(|part| !(1..=MAX_AMOUNT).contains(&part)) {
            return Err(invalid("amount_krw"));
        }
        let (payment, cancel) = self.payments.cancel(id, order, &ask.reason, ask.amount_krw, by).await?;
        let outcome = match (cancel.as_ref().map(|cancel| cancel.step), payment.state) {
            (Some(Step::Done), _) | (None, State::Approved | State::Refunded) => CancelOutcome::Refunded,
            (Some(Step::Dropped), _) | (None, State::Declined) => CancelOutcome::NotCharged,
            _ => CancelOutcome::Unknown,
        };
        let amount_krw = cancel.filter(|cancel| cancel.step != Step::Dropped).map_or(0, |cancel| cancel.amount_krw);
        Ok(CancelResponse {
            outcome: outcome.into(),
            code: payment.code,
            message: payment.message,
            amount_krw,
            left_krw: payment.left_krw,
        })
    }
}

#[tonic::async_trait]
impl PaymentService for Rpc {
    async fn prepare(&self, request: Request<PrepareRequest>) -> Result<Response<PrepareResponse>, Status> {
        self.allow(&request, Right::Command)?;
        let span = span(request.metadata());
        let ask = request.into_inner();
        let (order, id) = (ask.order_id.clone(), ask.request_id.clone());
        match self.do_prepare(ask).instrument(span).await {
            Ok(answer) => Ok(Response::new(answer)),
            Err(refused) => Err(self.park("prepare", &order, &id, refused).await),
        }
    }

    async fn confirm(&self, request: Request<ConfirmRequest>) -> Result<Response<ConfirmResponse>, Status> {
        self.allow(&request, Right::Command)?;
        let (by, span) = (answer_by(request.metadata()), span(request.metadata()));
        let ask = request.into_inner();
        let (order, id) = (ask.order_id.clone(), ask.request_id.clone());
        match self.do_confirm(ask, by).instrument(span).await {
            Ok(answer) => Ok(Response::new(answer)),
            Err(refused) => Err(self.park("confirm", &order, &id, refused).await),
        }
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<CancelResponse>, Status> {
        self.allow(&request, Right::Command)?;
        let (by, span) = (answer_by(request.metadata()), span(request.metadata()));
        let ask = request.into_inner();
        let (order, id) = (ask.order_id.clone(), ask.request_id.clone());
        match self.do_cancel(ask, by).instrument(span).await {
            Ok(answer) => Ok(Response::new(answer)),
            Err(refused) => Err(self.park("cancel", &order, &id, refused).await),
        }
    }

    async fn get_payment(&self, request: Request<GetPaymentRequest>) -> Result<Response<PaymentMessage>, Status> {
        self.allow(&request, Right::Read)?;
        let order = order_id(&request.into_inner().order_id)?;
        let payment = store::get(&self.payments.db, order).await.map_err(Refusal::from)?.ok_or(Refusal::NotFound)?;
        let open_case = cases::has_open(&self.payments.db, order).await.map_err(Refusal::from)?;
        Ok(Response::new(message(payment, open_case)))
    }

    type WatchResultsStream = Stream<PaymentResult>;

    async fn watch_results(
        &self,
        request: Request<WatchResultsRequest>,
    ) -> Result<Response<Self::WatchResultsStream>, Status> {
        self.allow(&request, Right::Command)?;
        let mut offset = request.into_inner().after_offset;
        if offset < 0 {
            return Err(invalid("after_offset"));
        }
        self.acknowledge(offset).await?;
        let permit = Arc::clone(&self.watchers)
            .try_acquire_owned()
            .map_err(|_| status(Code::ResourceExhausted, "busy", "too many result streams are open"))?;
        let (payments, stop) = (Arc::clone(&self.payments), self.stop.clone());
        let mut news = payments.results.subscribe();
        let (send, receive) = mpsc::channel(WATCH_BUFFER);
        tokio::spawn(async move {
            let _permit = permit;
            let reading = async {
                loop {
                    match outbox::after(&payments.db, offset).await {
                        Ok(results) if results.is_empty() => wait_for_news(&mut news).await,
                        Ok(results) => {
                            for result in results {
                                offset = result.offset;
                                if send.send(Ok(result)).await.is_err() {
                                    return;
                                }
                            }
                        }
                        Err(error) => {
                            let _ = send.send(Err(Refusal::from(error).into())).await;
                            return;
                        }
                    }
                }
            };
            tokio::select! {
                () = reading => {}
                () = send.closed() => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receive))))
    }

    async fn ack_results(&self, request: Request<AckResultsRequest>) -> Result<Response<AckResultsResponse>, Status> {
        self.allow(&request, Right::Command)?;
        let offset = request.into_inner().offset;
        if offset < 0 {
            return Err(invalid("offset"));
        }
        self.acknowledge(offset).await?;
        Ok(Response::new(AckResultsResponse {}))
    }

    type ListPaymentsStream = Stream<ListPaymentsResponse>;

    async fn list_payments(
        &self,
        request: Request<ListPaymentsRequest>,
    ) -> Result<Response<Self::ListPaymentsStream>, Status> {
        self.allow(&request, Right::Read)?;
        let ask = request.into_inner();
        let filter = filter(&ask)?;
        let left = limit(ask.limit)?;
        self.pages(move |payments, send| list_payments(Pages::new(&payments.db, filter, left), send))
    }

    async fn get_balances(
        &self,
        request: Request<GetBalancesRequest>,
    ) -> Result<Response<GetBalancesResponse>, Status> {
        self.allow(&request, Right::Operate)?;
        let at = request.into_inner().at_ms.unwrap_or(i64::MAX);
        let balances = ledger::balances(&self.payments.db, at).await.map_err(Refusal::from)?;
        let won = balances.iter().filter(|account| account.currency == ledger::CURRENCY);
        let sum_krw = won.fold(0_i64, |sum, account| sum.saturating_add(account.balance));
        Ok(Response::new(GetBalancesResponse { balances, sum_krw }))
    }

    type ListLedgerEntriesStream = Stream<ListLedgerEntriesResponse>;

    async fn list_ledger_entries(
        &self,
        request: Request<ListLedgerEntriesRequest>,
    ) -> Result<Response<Self::ListLedgerEntriesStream>, Status> {
        self.allow(&request, Right::Operate)?;
        let ask = request.into_inner();
        if ask.after_entry < 0 {
            return Err(invalid("after_entry"));
        }
        let order = optional(&ask.order_id).map(order_id).transpose()?;
        let (after, left) = (ask.after_entry, limit(ask.limit)?);
        self.pages(move |payments, send| list_entries(payments, after, order, left, send))
    }

    async fn reconcile(&self, request: Request<ReconcileRequest>) -> Result<Response<ReconcileResponse>, Status> {
        self.allow(&request, Right::Operate)?;
        let day = audit::day(&request.into_inner().day).ok_or_else(|| invalid("day"))?;
        if self.payments.auditing.try_lock().is_err() {
            return Err(status(Code::ResourceExhausted, "busy", "a day is compared"));
        }
        match audit::reconcile(&self.payments, day).await {
            Ok(report) => Ok(Response::new(report)),
            Err(audit::AuditError::Storage(error)) => Err(Refusal::from(error).into()),
            Err(audit::AuditError::Provider(why)) => {
                tracing::error!(why, "no settlement");
                Err(status(Code::Unavailable, "provider_unavailable", "the provider gave no settlement"))
            }
        }
    }

    async fn list_reconciliations(
        &self,
        request: Request<ListReconciliationsRequest>,
    ) -> Result<Response<ListReconciliationsResponse>, Status> {
        self.allow(&request, Right::Operate)?;
        let before = request.into_inner().before_day;
        if !before.is_empty() && audit::day(&before).is_none() {
            return Err(invalid("before_day"));
        }
        let reports = reports::before(&self.payments.db, &before).await.map_err(Refusal::from)?;
        Ok(Response::new(ListReconciliationsResponse { reports }))
    }

    async fn list_cases(&self, request: Request<ListCasesRequest>) -> Result<Response<ListCasesResponse>, Status> {
        self.allow(&request, Right::Operate)?;
        let ask = request.into_inner();
        let db = &self.payments.db;
        let mut list = Vec::new();
        for (order, mut case) in cases::after(db, ask.after_case, ask.closed).await.map_err(Refusal::from)? {
            let payment = store::get(db, order).await.map_err(Refusal::from)?;
            case.payment = payment.map(|payment| message(payment, case.closed_at_ms == 0));
            list.push(case);
        }
        Ok(Response::new(ListCasesResponse { cases: list }))
    }

    async fn close_case(&self, request: Request<CloseCaseRequest>) -> Result<Response<CloseCaseResponse>, Status> {
        self.allow(&request, Right::Operate)?;
        let ask = request.into_inner();
        if !(1..=200).contains(&ask.note.chars().count()) {
            return Err(invalid("note"));
        }
        let (db, now) = (&self.payments.db, (self.payments.now)());
        let Some((kind, order)) = cases::find(db, ask.case).await.map_err(Refusal::from)? else {
            return Err(status(Code::NotFound, "case_not_found", "no such case"));
        };
        // Where nobody knows what became of money, no note ends the question: it is asked again.
        if kind == CaseKind::Outcome && store::start_over(db, order, now).await.map_err(Refusal::from)? {
            self.payments.work.notify_one();
            let text = "the outcome is still open; the provider is asked again";
            return Err(status(Code::FailedPrecondition, "outcome_open", text));
        }
        cases::close(db, ask.case, &ask.note, now).await.map_err(Refusal::from)?;
        Ok(Response::new(CloseCaseResponse {}))
    }
}

/// A payment as it is sent.
fn message(payment: Payment, open_case: bool) -> PaymentMessage {
    PaymentMessage {
        order_id: payment.order.to_string(),
        user_id: payment.user.to_string(),
        amount_krw: payment.amount_krw,
        order_name: payment.order_name,
        state: payment.state as i32,
        payment_key: payment.payment_key,
        code: payment.code,
        message: payment.message,
        expires_at_ms: payment.expires_at_ms,
        created_at_ms: payment.created_at_ms,
        updated_at_ms: payment.updated_at_ms,
        open_case,
        left_krw: payment.left_krw,
    }
}

fn optional(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn limit(limit: i64) -> Result<i64, Status> {
    match limit {
        0 => Ok(i64::MAX),
        1.. => Ok(limit),
        _ => Err(invalid("limit")),
    }
}

fn filter(ask: &ListPaymentsRequest) -> Result<Filter, Status> {
    let state = |number: &i32| State::from_number(i64::from(*number)).ok_or_else(|| invalid("states"));
    if ask.states.len() > State::ALL.len() {
        return Err(invalid("states"));
    }
    Ok(Filter {
        user: optional(&ask.user_id).map(Uuid::try_parse).transpose().map_err(|_| invalid("user_id"))?,
        order: optional(&ask.order_id).map(order_id).transpose()?,
        states: ask.states.iter().map(state).collect::<Result<_, _>>()?,
        from_ms: ask.from_ms,
        before_ms: ask.before_ms,
        cursor: optional(&ask.cursor).map(|text| Cursor::parse(text).ok_or_else(|| invalid("cursor"))).transpose()?,
    })
}

async fn list_payments(mut pages: Pages, send: mpsc::Sender<Result<ListPaymentsResponse, Status>>) {
    while let Some(page) = pages.next().await.transpose() {
        let response = page.map_err(|error| Refusal::from(error).into()).map(|page| ListPaymentsResponse {
            payments: page.payments,
            next_cursor: page.next.map(Cursor::text).unwrap_or_default(),
        });
        if send.send(response).await.is_err() {
            return;
        }
    }
}

async fn list_entries(
    payments: Arc<Payments>,
    mut after: i64,
    order: Option<Uuid>,
    mut left: i64,
    send: mpsc::Sender<Result<ListLedgerEntriesResponse, Status>>,
) {
    loop {
        let wanted = ENTRIES_PAGE.min(left);
        let entries = match ledger::after(&payments.db, after, order, wanted).await {
            Ok(entries) => entries,
            Err(error) => {
                let _ = send.send(Err(Refusal::from(error).into())).await;
                return;
            }
        };
        let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
        after = entries.last().map_or(after, |entry| entry.entry);
        left -= count;
        let response = ListLedgerEntriesResponse { entries };
        if send.send(Ok(response)).await.is_err() || count < wanted || left == 0 {
            return;
        }
    }
}

async fn wait_for_news(news: &mut watch::Receiver<()>) {
    // A closed channel and a time-out both mean: look.
    let _ = tokio::time::timeout(WATCH_EVERY, news.changed()).await;
}
