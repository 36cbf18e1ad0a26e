//! The way from a coordinator to the payment service: real requests and real handlers, without a wire, on which calls and
//! answers get lost, come twice and come late.

use std::{
    cell::RefCell,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{Stream, stream};
use nugul_payment::rpc::Rpc;
use nugul_points::{point, simulated::Work};
use nugul_proto::payment::v1::{
    AckResultsRequest, AckResultsResponse, CancelRequest, CancelResponse, CloseCaseRequest, CloseCaseResponse,
    ConfirmRequest, ConfirmResponse, GetBalancesRequest, GetBalancesResponse, GetPaymentRequest, ListCasesRequest,
    ListCasesResponse, ListLedgerEntriesRequest, ListLedgerEntriesResponse, ListPaymentsRequest, ListPaymentsResponse,
    ListReconciliationsRequest, ListReconciliationsResponse, Payment, PaymentResult, PrepareRequest, PrepareResponse,
    ReconcileRequest, ReconcileResponse, WatchResultsRequest, payment_service_server::PaymentService,
};
use tonic::{Request, Response, Status};

use crate::world::{self, with};

/// A call is lost, comes twice, or its answer is lost so many times in a hundred each.
const FAULT_PERCENT: u64 = 8;

/// Where work runs. A process that crashes takes its work along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// A coordinator.
    Coordinator(usize),
    /// The payment service.
    Payment,
}

/// Work that is to begin.
pub struct Begun {
    /// Where.
    pub home: Home,
    /// What it is called in the trace.
    pub name: &'static str,
    /// The work.
    pub work: Work,
    /// Whether it is kept on the way for a while.
    pub late: bool,
}

thread_local! {
    static BEGUN: RefCell<Vec<Begun>> = const { RefCell::new(Vec::new()) };
    static AWAITED: RefCell<Option<Arc<dyn Awaited>>> = const { RefCell::new(None) };
}

/// Begins work as an actor of its own.
pub fn start(home: Home, name: &'static str, late: bool, work: impl Future<Output = ()> + Send + 'static) {
    BEGUN.with_borrow_mut(|all| all.push(Begun { home, name, work: Box::pin(work), late }));
}

/// The work begun since it was last asked for.
pub fn take_begun() -> Vec<Begun> {
    BEGUN.take()
}

/// Something an actor waits for.
pub trait Awaited: Send + Sync {
    /// Whether it has come, or never will.
    fn has_come(&self) -> bool;
}

/// What the actor polled last waits for, if it is something of another actor.
pub fn take_awaited() -> Option<Arc<dyn Awaited>> {
    AWAITED.take()
}

enum Slot<T> {
    Empty,
    Full(T),
    Closed,
}

struct Answer<T>(Mutex<Slot<T>>);

impl<T: Send> Awaited for Answer<T> {
    fn has_come(&self) -> bool {
        !matches!(*self.0.lock().unwrap_or_else(PoisonError::into_inner), Slot::Empty)
    }
}

/// Dropped without an answer, it says that none will come.
struct Answering<T>(Arc<Answer<T>>);

impl<T> Answering<T> {
    fn put(&self, value: Slot<T>) {
        let mut slot = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*slot, Slot::Empty) {
            *slot = value;
        }
    }
}

impl<T> Drop for Answering<T> {
    fn drop(&mut self) {
        self.put(Slot::Closed);
    }
}

async fn answer<T: Send + 'static>(slot: Arc<Answer<T>>) -> Option<T> {
    while !slot.has_come() {
        AWAITED.set(Some(slot.clone()));
        point("net.waits").await;
    }
    match std::mem::replace(&mut *slot.0.lock().unwrap_or_else(PoisonError::into_inner), Slot::Closed) {
        Slot::Full(value) => Some(value),
        Slot::Empty | Slot::Closed => None,
    }
}

/// The payment service as a coordinator reaches it; empty while it is down.
#[derive(Clone, Default)]
pub struct Network(Arc<Mutex<Option<Arc<Rpc>>>>, Arc<Mutex<Option<nugul_payment::db::Db>>>);

fn away() -> Status {
    Status::unavailable("no answer")
}

impl Network {
    /// The service is up.
    pub fn connect(&self, service: Rpc, db: nugul_payment::db::Db) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(service));
        *self.1.lock().unwrap_or_else(PoisonError::into_inner) = Some(db);
    }

    /// The service is down.
    pub fn disconnect(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.1.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn service(&self) -> Result<Arc<Rpc>, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(away)
    }

    fn db(&self) -> Result<nugul_payment::db::Db, Status> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(away)
    }

    async fn call<Q, A, F>(
        &self,
        name: &'static str,
        request: Request<Q>,
        handle: fn(Arc<Rpc>, Q) -> F,
    ) -> Result<A, Status>
    where
        Q: Clone + Send + 'static,
        A: Send + 'static,
        F: Future<Output = Result<A, Status>> + Send + 'static,
    {
        let request = request.into_inner();
        point("net.sends").await;
        let service = self.service()?;
        if with(|w| w.fault(FAULT_PERCENT)) {
            world::note(&format!("  {name}: the call is lost"));
            return Err(away());
        }
        if with(|w| w.fault(FAULT_PERCENT)) {
            world::note(&format!("  {name}: the call comes twice"));
            let (service, request) = (service.clone(), request.clone());
            start(Home::Payment, name, true, async move { drop(handle(service, request).await) });
        }
        let slot = Arc::new(Answer(Mutex::new(Slot::Empty)));
        let answering = Answering(slot.clone());
        start(Home::Payment, name, false, async move {
            let out = handle(service, request).await;
            answering.put(Slot::Full(out));
        });
        let out = answer(slot).await.unwrap_or_else(|| Err(away()));
        if with(|w| w.fault(FAULT_PERCENT)) {
            world::note(&format!("  {name}: the answer is lost"));
            return Err(Status::deadline_exceeded("no answer"));
        }
        out
    }
}

/// A call that is answered once, over the network.
macro_rules! call {
    ($network:ident, $name:ident, $request:ident) => {{
        let handle = |service: Arc<Rpc>, ask| async move { service.$name(Request::new(ask)).await };
        $network.call(stringify!($name), $request, handle).await
    }};
}

/// Answers as they come.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl PaymentService for Network {
    async fn prepare(&self, request: Request<PrepareRequest>) -> Result<Response<PrepareResponse>, Status> {
        call!(self, prepare, request)
    }

    async fn confirm(&self, request: Request<ConfirmRequest>) -> Result<Response<ConfirmResponse>, Status> {
        call!(self, confirm, request)
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<CancelResponse>, Status> {
        call!(self, cancel, request)
    }

    async fn get_payment(&self, request: Request<GetPaymentRequest>) -> Result<Response<Payment>, Status> {
        call!(self, get_payment, request)
    }

    async fn ack_results(&self, request: Request<AckResultsRequest>) -> Result<Response<AckResultsResponse>, Status> {
        call!(self, ack_results, request)
    }

    async fn get_balances(
        &self,
        request: Request<GetBalancesRequest>,
    ) -> Result<Response<GetBalancesResponse>, Status> {
        call!(self, get_balances, request)
    }

    async fn reconcile(&self, request: Request<ReconcileRequest>) -> Result<Response<ReconcileResponse>, Status> {
        call!(self, reconcile, request)
    }

    async fn list_reconciliations(
        &self,
        request: Request<ListReconciliationsRequest>,
    ) -> Result<Response<ListReconciliationsResponse>, Status> {
        call!(self, list_reconciliations, request)
    }

    async fn list_cases(&self, request: Request<ListCasesRequest>) -> Result<Response<ListCasesResponse>, Status> {
        call!(self, list_cases, request)
    }

    async fn close_case(&self, request: Request<CloseCaseRequest>) -> Result<Response<CloseCaseResponse>, Status> {
        call!(self, close_case, request)
    }

    type WatchResultsStream = Answers<PaymentResult>;
    type ListPaymentsStream = Answers<ListPaymentsResponse>;
    type ListLedgerEntriesStream = Answers<ListLedgerEntriesResponse>;

    /// Some of the results there are now, then the end of the stream, or its break: the reader asks again.
    async fn watch_results(
        &self,
        request: Request<WatchResultsRequest>,
    ) -> Result<Response<Self::WatchResultsStream>, Status> {
        point("net.watches").await;
        let db = self.db()?;
        let results = nugul_payment::outbox::after(&db, request.into_inner().after_offset).await;
        let mut told: Vec<_> = results.map_err(|e| Status::unavailable(e.to_string()))?.into_iter().map(Ok).collect();
        if !told.is_empty() {
            point("net.results").await;
            self.service()?;
            told.truncate(with(|w| 1 + w.chance.index(told.len())));
            if with(|w| w.fault(FAULT_PERCENT)) {
                world::note("  the stream of results breaks");
                told.pop();
                told.push(Err(away()));
            }
        }
        Ok(Response::new(Box::pin(stream::iter(told))))
    }

    async fn list_payments(
        &self,
        request: Request<ListPaymentsRequest>,
    ) -> Result<Response<Self::ListPaymentsStream>, Status> {
        self.service()?.list_payments(request).await
    }

    async fn list_ledger_entries(
        &self,
        request: Request<ListLedgerEntriesRequest>,
    ) -> Result<Response<Self::ListLedgerEntriesStream>, Status> {
        self.service()?.list_ledger_entries(request).await
    }
}
