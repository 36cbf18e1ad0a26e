//! The gRPC side: checks what came in, calls the saga, and streams results.
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use nugul_proto::ERROR_CODE_KEY;
use nugul_proto::payment::v1::payment_service_server::PaymentService;
use nugul_proto::payment::v1::{
    CancelOutcome, CancelRequest, CancelResponse, ConfirmRequest, ConfirmResponse, GetPaymentRequest,
    Payment as PaymentMessage, PaymentOutcome, PaymentResult, PrepareRequest, PrepareResponse, WatchResultsRequest,
};
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::confirm::Payments;
use crate::outbox;
use crate::state::State;
use crate::store::{self, Payment, Refusal};
use crate::toss::is_payment_key;

/// No more result streams are open at once.
pub const MAX_WATCHERS: usize = 64;
/// Results on their way to one reader; a slower reader is waited for.
pub const WATCH_BUFFER: usize = 256;
/// A stream looks for results of other replicas this often.
pub const WATCH_EVERY: Duration = Duration::from_millis(500);
/// An answer leaves this long before the caller's deadline.
pub const DEADLINE_MARGIN: Duration = Duration::from_millis(200);
/// No amount is higher (won).
pub const MAX_AMOUNT: i64 = 1_000_000_000;
/// No request id is longer.
pub const MAX_REQUEST_ID: usize = 128;

/// The service.
pub struct Rpc {
    payments: Arc<Payments>,
    watchers: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Rpc {
    /// A service whose streams end with `stop`.
    pub fn new(payments: Arc<Payments>, stop: CancellationToken) -> Self {
        Self { payments, watchers: Arc::new(Semaphore::new(MAX_WATCHERS)), stop }
    }
}

fn status(code: Code, reason: &'static str, text: &str) -> Status {
    let mut status = Status::new(code, text);
    status.metadata_mut().insert(ERROR_CODE_KEY, MetadataValue::from_static(reason));
    status
}

fn invalid(field: &str) -> Status {
    status(Code::InvalidArgument, "invalid_argument", &format!("{field} is not valid"))
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
    let far = now + Duration::from_secs(3600);
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

#[tonic::async_trait]
impl PaymentService for Rpc {
    async fn prepare(&self, request: Request<PrepareRequest>) -> Result<Response<PrepareResponse>, Status> {
        let ask = request.into_inner();
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
            cancel_wanted: false,
            cancel_reason: String::new(),
            attempts: 0,
            asked_at_ms: 0,
            next_check_ms: store::NEVER,
            expires_at_ms: ask.expires_at_ms,
            created_at_ms: now,
            updated_at_ms: now,
        };
        let state = self.payments.prepare(request_id(&ask.request_id)?, &new).await?;
        Ok(Response::new(PrepareResponse { state: state as i32 }))
    }

    async fn confirm(&self, request: Request<ConfirmRequest>) -> Result<Response<ConfirmResponse>, Status> {
        let by = answer_by(request.metadata());
        let ask = request.into_inner();
        if !is_payment_key(&ask.payment_key) {
            return Err(invalid("payment_key"));
        }
        let (id, order) = (request_id(&ask.request_id)?, order_id(&ask.order_id)?);
        let payment = self.payments.confirm(id, order, &ask.payment_key, ask.amount_krw, by).await?;
        let outcome = match payment.state {
            State::Approved => PaymentOutcome::Approved,
            State::Declined => PaymentOutcome::Declined,
            State::Prepared | State::Confirming => PaymentOutcome::Unknown,
            State::Refunding | State::Refunded => return Err(Refusal::AlreadyRefunded.into()),
        };
        Ok(Response::new(ConfirmResponse { outcome: outcome.into(), code: payment.code, message: payment.message }))
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<CancelResponse>, Status> {
        let by = answer_by(request.metadata());
        let ask = request.into_inner();
        if !(1..=200).contains(&ask.reason.chars().count()) {
            return Err(invalid("reason"));
        }
        let (id, order) = (request_id(&ask.request_id)?, order_id(&ask.order_id)?);
        let payment = self.payments.cancel(id, order, &ask.reason, by).await?;
        let outcome = match payment.state {
            State::Refunded => CancelOutcome::Refunded,
            State::Declined => CancelOutcome::NotCharged,
            _ => CancelOutcome::Unknown,
        };
        Ok(Response::new(CancelResponse { outcome: outcome.into(), code: payment.code, message: payment.message }))
    }

    async fn get_payment(&self, request: Request<GetPaymentRequest>) -> Result<Response<PaymentMessage>, Status> {
        let order = order_id(&request.into_inner().order_id)?;
        let payment = store::get(&self.payments.db, order).await.map_err(Refusal::from)?.ok_or(Refusal::NotFound)?;
        let open_case = store::has_open_case(&self.payments.db, order).await.map_err(Refusal::from)?;
        Ok(Response::new(PaymentMessage {
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
        }))
    }

    type WatchResultsStream = Pin<Box<dyn Stream<Item = Result<PaymentResult, Status>> + Send>>;

    async fn watch_results(
        &self,
        request: Request<WatchResultsRequest>,
    ) -> Result<Response<Self::WatchResultsStream>, Status> {
        let mut offset = request.into_inner().after_offset;
        if offset < 0 {
            return Err(invalid("after_offset"));
        }
        let permit = Arc::clone(&self.watchers)
            .try_acquire_owned()
            .map_err(|_| status(Code::ResourceExhausted, "busy", "too many result streams are open"))?;
        let (payments, stop) = (Arc::clone(&self.payments), self.stop.clone());
        let mut settled = payments.settled.subscribe();
        let (send, receive) = mpsc::channel(WATCH_BUFFER);
        tokio::spawn(async move {
            let _permit = permit;
            let reading = async {
                loop {
                    match outbox::after(&payments.db, offset).await {
                        Ok(results) if results.is_empty() => wait_for_news(&mut settled).await,
                        Ok(results) => {
                            for result in results {
                                offset = result.offset;
                                if send.send(Ok(result)).await.is_err() {
                                    return;
                                }
                            }
                        }
                        Err(error) => {
                            let _ = send.send(Err(Refusal::Storage(error).into())).await;
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
}

async fn wait_for_news(settled: &mut broadcast::Receiver<Uuid>) {
    // Missed announcements, a closed channel and a time-out all mean the same: look.
    let _ = tokio::time::timeout(WATCH_EVERY, settled.recv()).await;
}
