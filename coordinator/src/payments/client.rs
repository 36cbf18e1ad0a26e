//! The payment service as it is reached: each command by its own call, under time-outs.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::Stream;
use nugul_domain::OrderId;
use nugul_proto::{
    TRACE_ID_KEY,
    payment::v1::{
        AckResultsRequest, CancelRequest, ConfirmRequest, ListLedgerEntriesResponse, ListPaymentsResponse,
        PaymentOutcome, PaymentResult, PrepareRequest, WatchResultsRequest, payment_service_server::PaymentService,
    },
};
use tokio::sync::watch;
use tonic::{Code, Request, Status};

use super::connection::{self, Client};
use crate::{config::Config, messages::Message};

/// How long a command may take. Toss's own time-out is inside it.
const CALL_TIMEOUT: Duration = Duration::from_secs(40);
/// How often the files of the certificates are looked at.
const RELOAD_EVERY: Duration = Duration::from_secs(10);
/// How long anyone waits to have said what is stored; the next time says it again.
const ACK_TIMEOUT: Duration = Duration::from_secs(2);

/// Answers as they come.
pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
/// Results as they come.
pub type Results = Answers<PaymentResult>;
/// The payment service in this process.
pub type Service = dyn PaymentService<
        WatchResultsStream = Results,
        ListPaymentsStream = Answers<ListPaymentsResponse>,
        ListLedgerEntriesStream = Answers<ListLedgerEntriesResponse>,
    >;

/// What came of a command that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It was taken.
    Taken,
    /// It was refused, and would be each time.
    Refused {
        /// Why, for our records.
        reason: String,
        /// Whether it is certain that it has led to nothing.
        nothing_was_done: bool,
    },
}

/// A command with the id of the request it came from.
pub(super) fn traced<T>(message: T, trace_id: &str) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(id) = Some(trace_id).filter(|id| !id.is_empty()).and_then(|id| id.parse().ok()) {
        request.metadata_mut().insert(TRACE_ID_KEY, id);
    }
    request
}

/// The client on the newest connection.
pub(super) fn newest(current: &watch::Receiver<Client>) -> Client {
    current.borrow().clone()
}

/// The payment service as it is reached.
#[derive(Clone)]
pub enum PaymentClient {
    /// Over the newest connection.
    Grpc(watch::Receiver<Client>),
    /// In this process, without a wire.
    Here(Arc<Service>),
}

impl PaymentClient {
    /// Reads the certificates; the connection itself is made later.
    pub fn new(config: &Config) -> Result<Self, String> {
        Self::reloading(config, RELOAD_EVERY)
    }

    /// The same, with files of certificates that are looked at every so often.
    pub fn reloading(config: &Config, every: Duration) -> Result<Self, String> {
        connection::open(config, every).map(Self::Grpc)
    }

    async fn prepare(&self, request: Request<PrepareRequest>) -> Result<(), Status> {
        match self {
            Self::Grpc(current) => newest(current).prepare(request).await.map(drop),
            Self::Here(service) => service.prepare(request).await.map(drop),
        }
    }

    async fn confirm(&self, request: Request<ConfirmRequest>) -> Result<PaymentOutcome, Status> {
        let answer = match self {
            Self::Grpc(current) => newest(current).confirm(request).await,
            Self::Here(service) => service.confirm(request).await,
        };
        Ok(answer?.get_ref().outcome())
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<(), Status> {
        match self {
            Self::Grpc(current) => newest(current).cancel(request).await.map(drop),
            Self::Here(service) => service.cancel(request).await.map(drop),
        }
    }

    /// The results after an offset, as they come.
    pub async fn watch(&self, request: WatchResultsRequest) -> Result<Results, Status> {
        match self {
            Self::Grpc(current) => Ok(Box::pin(newest(current).watch_results(request).await?.into_inner())),
            Self::Here(service) => Ok(service.watch_results(Request::new(request)).await?.into_inner()),
        }
    }

    /// Says that every result up to an offset is stored here.
    pub async fn acknowledge(&self, offset: i64) -> Result<(), Status> {
        let ask = AckResultsRequest { offset };
        let acknowledged = async {
            match self {
                Self::Grpc(current) => newest(current).ack_results(ask).await.map(drop),
                Self::Here(service) => service.ack_results(Request::new(ask)).await.map(drop),
            }
        };
        let timely = tokio::time::timeout(ACK_TIMEOUT, acknowledged).await;
        timely.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
    }

    /// Delivers one command, with the id of the request it came from. An error means it is to be delivered again.
    pub async fn deliver(
        &self,
        request_id: &str,
        trace_id: &str,
        order: OrderId,
        message: &Message,
    ) -> Result<Delivery, String> {
        let (request_id, order_id) = (request_id.to_owned(), order.to_string());
        let sent = tokio::time::timeout(CALL_TIMEOUT, async {
            match message {
                Message::Prepare { user_id, amount_krw, order_name, expires_at } => {
                    let request = PrepareRequest {
                        request_id,
                        order_id,
                        user_id: user_id.to_string(),
                        amount_krw: amount_krw.0,
                        order_name: order_name.clone(),
                        expires_at_ms: expires_at.as_millis(),
                    };
                    self.prepare(traced(request, trace_id)).await
                }
                Message::Confirm { payment_key, amount_krw } => {
                    let request = ConfirmRequest {
                        request_id,
                        order_id,
                        payment_key: payment_key.clone(),
                        amount_krw: amount_krw.0,
                    };
                    // Approved and declined arrive on the result stream; unknown is the payment service's to find out.
                    if self.confirm(traced(request, trace_id)).await? == PaymentOutcome::Unknown {
                        tracing::info!(order = %order, "the outcome of a payment is not known yet");
                    }
                    Ok(())
                }
                Message::Cancel { reason } => {
                    let all = CancelRequest { request_id, order_id, reason: reason.clone(), amount_krw: None };
                    self.cancel(traced(all, trace_id)).await
                }
                Message::Refund { refund, amount_krw, reason } => {
                    let part = CancelRequest {
                        request_id: refund.to_string(),
                        order_id,
                        reason: reason.clone(),
                        amount_krw: Some(amount_krw.0),
                    };
                    self.cancel(traced(part, trace_id)).await
                }
                Message::Settle { .. } | Message::Tell { .. } => Ok(()),
            }
        })
        .await;
        match sent {
            Ok(Ok(())) => Ok(Delivery::Taken),
            Ok(Err(status)) if is_final(&status) => {
                // Where a request id came with another body, what it named first may have taken money.
                let nothing_was_done = status.code() != Code::AlreadyExists;
                let reason = format!("refused: {:?}: {}", status.code(), status.message());
                Ok(Delivery::Refused { reason, nothing_was_done })
            }
            Ok(Err(status)) => Err(format!("{:?}: {}", status.code(), status.message())),
            Err(_) => Err("no answer in time".into()),
        }
    }
}

/// Whether the same message would be refused for ever.
fn is_final(status: &Status) -> bool {
    matches!(status.code(), Code::InvalidArgument | Code::FailedPrecondition | Code::AlreadyExists | Code::NotFound)
}
