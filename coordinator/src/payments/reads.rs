//! What is asked of the payment service that moves no money: payments, books, comparisons, cases. Under time-outs, and with
//! its refusals in words of this interface.

use std::time::Duration;

use futures_util::StreamExt;
use nugul_api::Code;
use nugul_proto::{
    ERROR_CODE_KEY,
    payment::v1::{
        Case, CloseCaseRequest, GetBalancesRequest, GetBalancesResponse, LedgerEntry, ListCasesRequest,
        ListLedgerEntriesRequest, ListLedgerEntriesResponse, ListPaymentsRequest, ListPaymentsResponse,
        ListReconciliationsRequest, Payment, ReconcileRequest, ReconcileResponse,
    },
};
use tonic::Status;

use super::client::{Answers, PaymentClient, newest, traced};
use crate::{error::ApiError, overload, trace};

/// How long a list or a look may take.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long comparing a day may take: it reads the provider's settlement.
const COMPARE_TIMEOUT: Duration = Duration::from_secs(25);

/// A refusal as a client of ours is told it.
fn refused(status: &Status) -> ApiError {
    let reason = status.metadata().get(ERROR_CODE_KEY).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match (status.code(), reason) {
        (tonic::Code::InvalidArgument, _) => Code::InvalidParameter.into(),
        (tonic::Code::NotFound, _) => Code::NotFound.into(),
        (tonic::Code::FailedPrecondition, "outcome_open") => Code::OutcomeOpen.into(),
        (tonic::Code::ResourceExhausted, _) => overload::refused(),
        (code, _) => ApiError::unavailable(format_args!("payment: {code:?}: {}", status.message())),
    }
}

async fn timely<T>(limit: Duration, asked: impl Future<Output = Result<T, Status>>) -> Result<T, ApiError> {
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer.map_err(|status| refused(&status)),
        Err(_) => Err(ApiError::unavailable("payment: no answer in time")),
    }
}

impl PaymentClient {
    /// Payments that match, newest first, and the cursor to go on from; empty on the last page.
    pub async fn payments(&self, ask: ListPaymentsRequest) -> Result<(Vec<Payment>, String), ApiError> {
        timely(READ_TIMEOUT, async {
            let ask = traced(ask, &trace::current());
            let mut pages: Answers<ListPaymentsResponse> = match self {
                Self::Grpc(current) => Box::pin(newest(current).list_payments(ask).await?.into_inner()),
                Self::Here(service) => service.list_payments(ask).await?.into_inner(),
            };
            let (mut payments, mut next_cursor) = (Vec::new(), String::new());
            while let Some(page) = pages.next().await {
                let page = page?;
                payments.extend(page.payments);
                next_cursor = page.next_cursor;
            }
            Ok((payments, next_cursor))
        })
        .await
    }

    /// The ledger's entries, in the order they were booked.
    pub async fn ledger_entries(&self, ask: ListLedgerEntriesRequest) -> Result<Vec<LedgerEntry>, ApiError> {
        timely(READ_TIMEOUT, async {
            let ask = traced(ask, &trace::current());
            let mut pages: Answers<ListLedgerEntriesResponse> = match self {
                Self::Grpc(current) => Box::pin(newest(current).list_ledger_entries(ask).await?.into_inner()),
                Self::Here(service) => service.list_ledger_entries(ask).await?.into_inner(),
            };
            let mut entries = Vec::new();
            while let Some(page) = pages.next().await {
                entries.extend(page?.entries);
            }
            Ok(entries)
        })
        .await
    }

    /// What every account held.
    pub async fn balances(&self, ask: GetBalancesRequest) -> Result<GetBalancesResponse, ApiError> {
        timely(READ_TIMEOUT, async {
            let ask = traced(ask, &trace::current());
            let answer = match self {
                Self::Grpc(current) => newest(current).get_balances(ask).await,
                Self::Here(service) => service.get_balances(ask).await,
            };
            Ok(answer?.into_inner())
        })
        .await
    }

    /// Compares a day now.
    pub async fn reconcile(&self, ask: ReconcileRequest) -> Result<ReconcileResponse, ApiError> {
        timely(COMPARE_TIMEOUT, async {
            let ask = traced(ask, &trace::current());
            let answer = match self {
                Self::Grpc(current) => newest(current).reconcile(ask).await,
                Self::Here(service) => service.reconcile(ask).await,
            };
            Ok(answer?.into_inner())
        })
        .await
    }

    /// What came of comparing each day, newest first; at most a hundred.
    pub async fn reconciliations(&self, ask: ListReconciliationsRequest) -> Result<Vec<ReconcileResponse>, ApiError> {
        timely(READ_TIMEOUT, async {
            let ask = traced(ask, &trace::current());
            let answer = match self {
                Self::Grpc(current) => newest(current).list_reconciliations(ask).await,
                Self::Here(service) => service.list_reconciliations(ask).await,
            };
            Ok(answer?.into_inner().reports)
        })
        .await
    }

    /// What a person has to look at, oldest first; at most a hundred.
    pub async fn cases(&self, ask: ListCasesRequest) -> Result<Vec<Case>, ApiError> {
        timely(READ_TIMEOUT, async {
            let ask = traced(ask, &trace::current());
            let answer = match self {
                Self::Grpc(current) => newest(current).list_cases(ask).await,
                Self::Here(service) => service.list_cases(ask).await,
            };
            Ok(answer?.into_inner().cases)
        })
        .await
    }

    /// A person has looked at a case.
    pub async fn close_case(&self, ask: CloseCaseRequest) -> Result<(), ApiError> {
        timely(READ_TIMEOUT, async {
            let ask = traced(ask, &trace::current());
            match self {
                Self::Grpc(current) => newest(current).close_case(ask).await.map(drop),
                Self::Here(service) => service.close_case(ask).await.map(drop),
            }
        })
        .await
    }
}
