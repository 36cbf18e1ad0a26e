//! A payment service that does what a test says.

use std::{
    pin::Pin,
    sync::{Mutex, PoisonError},
};

use futures_util::{Stream, stream};
use nugul_proto::payment::v1::{
    AckResultsRequest, AckResultsResponse, CancelRequest, CancelResponse, CloseCaseRequest, CloseCaseResponse,
    ConfirmRequest, ConfirmResponse, GetBalancesRequest, GetBalancesResponse, GetPaymentRequest, ListCasesRequest,
    ListCasesResponse, ListLedgerEntriesRequest, ListLedgerEntriesResponse, ListPaymentsRequest, ListPaymentsResponse,
    ListReconciliationsRequest, ListReconciliationsResponse, Payment, PaymentResult, PrepareRequest, PrepareResponse,
    ReconcileRequest, ReconcileResponse, WatchResultsRequest, payment_service_server::PaymentService,
};
use tonic::{Code, Request, Response, Status};

/// What it does with commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It takes them.
    Takes,
    /// It never answers.
    Hangs,
    /// It takes all but this command.
    Refuses(&'static str, Code),
}

#[derive(Debug)]
struct Seen {
    mood: Mood,
    results: Vec<PaymentResult>,
    acknowledged: i64,
    commands: Vec<(String, Option<String>)>,
}

/// The service.
#[derive(Debug)]
pub(crate) struct Fake(Mutex<Seen>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Fake {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Seen { mood: Mood::Takes, results: Vec::new(), acknowledged: 0, commands: Vec::new() }))
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.seen().mood = mood;
    }

    /// Adds a result at the next offset.
    pub(crate) fn tell(&self, result: PaymentResult) {
        let mut seen = self.seen();
        let offset = i64::try_from(seen.results.len()).unwrap() + 1;
        seen.results.push(PaymentResult { offset, ..result });
    }

    /// How far the coordinator says it has come.
    pub(crate) fn acknowledged(&self) -> i64 {
        self.seen().acknowledged
    }

    /// The commands that came, each with the trace id it came with.
    pub(crate) fn commands(&self) -> Vec<(String, Option<String>)> {
        self.seen().commands.clone()
    }

    async fn take<T>(&self, name: &str, request: &Request<T>) -> Result<(), Status> {
        let trace = request.metadata().get(nugul_proto::TRACE_ID_KEY).map(|v| v.to_str().unwrap().to_owned());
        let mood = {
            let mut seen = self.seen();
            seen.commands.push((name.to_owned(), trace));
            seen.mood
        };
        match mood {
            Mood::Hangs => std::future::pending().await,
            Mood::Refuses(refused, code) if name == refused => Err(Status::new(code, "no")),
            Mood::Takes | Mood::Refuses(..) => Ok(()),
        }
    }
}

fn unused<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("no test asks"))
}

#[tonic::async_trait]
impl PaymentService for Fake {
    async fn prepare(&self, request: Request<PrepareRequest>) -> Result<Response<PrepareResponse>, Status> {
        self.take("prepare", &request).await?;
        Ok(Response::new(PrepareResponse::default()))
    }

    async fn confirm(&self, request: Request<ConfirmRequest>) -> Result<Response<ConfirmResponse>, Status> {
        self.take("confirm", &request).await?;
        Ok(Response::new(ConfirmResponse::default()))
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<CancelResponse>, Status> {
        self.take("cancel", &request).await?;
        Ok(Response::new(CancelResponse::default()))
    }

    type WatchResultsStream = Answers<PaymentResult>;
    type ListPaymentsStream = Answers<ListPaymentsResponse>;
    type ListLedgerEntriesStream = Answers<ListLedgerEntriesResponse>;

    /// What there is now, then the end.
    async fn watch_results(
        &self,
        request: Request<WatchResultsRequest>,
    ) -> Result<Response<Self::WatchResultsStream>, Status> {
        let after = request.into_inner().after_offset;
        let some: Vec<_> = self.seen().results.iter().filter(|r| r.offset > after).cloned().map(Ok).collect();
        Ok(Response::new(Box::pin(stream::iter(some))))
    }

    async fn ack_results(&self, request: Request<AckResultsRequest>) -> Result<Response<AckResultsResponse>, Status> {
        self.seen().acknowledged = request.into_inner().offset;
        Ok(Response::new(AckResultsResponse {}))
    }

    async fn get_payment(&self, _: Request<GetPaymentRequest>) -> Result<Response<Payment>, Status> {
        unused()
    }

    async fn list_payments(
        &self,
        _: Request<ListPaymentsRequest>,
    ) -> Result<Response<Self::ListPaymentsStream>, Status> {
        unused()
    }

    async fn get_balances(&self, _: Request<GetBalancesRequest>) -> Result<Response<GetBalancesResponse>, Status> {
        unused()
    }

    async fn list_ledger_entries(
        &self,
        _: Request<ListLedgerEntriesRequest>,
    ) -> Result<Response<Self::ListLedgerEntriesStream>, Status> {
        unused()
    }

    async fn reconcile(&self, _: Request<ReconcileRequest>) -> Result<Response<ReconcileResponse>, Status> {
        unused()
    }

    async fn list_reconciliations(
        &self,
        _: Request<ListReconciliationsRequest>,
    ) -> Result<Response<ListReconciliationsResponse>, Status> {
        unused()
    }

    async fn list_cases(&self, _: Request<ListCasesRequest>) -> Result<Response<ListCasesResponse>, Status> {
        unused()
    }

    async fn close_case(&self, _: Request<CloseCaseRequest>) -> Result<Response<CloseCaseResponse>, Status> {
        unused()
    }
}
