//! `admin/reconciliation`: what came of comparing each day, comparing one now, and the cases a person has to look at.

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use nugul_api::{
    Page,
    limits::REASON_CHARS_MAX,
    payments::{Case, CaseKind, CasePayment, CloseCase, NewReconciliation, Reconciliation},
};
use nugul_domain::{Krw, Timestamp, time::parse_date};
use nugul_proto::payment::v1 as proto;
use serde::{Deserialize, Serialize};

use super::history;
use crate::{
    app::App,
    error::ApiError,
    extract::{Auth, Id, Parameters, Write},
    idempotency::{self, Answer, Key},
    paging::Paging,
};

/// The routes, below `/api/v1`.
pub fn router() -> Router<App> {
    Router::new()
        .route("/admin/reconciliation", get(reports).post(run))
        .route("/admin/reconciliation/cases", get(cases))
        .route("/admin/reconciliation/cases/{case}/close", post(close))
}

#[utoipa::path(get, path = "/api/v1/admin/reconciliation", tag = "money", responses((status = 200, body = Page<Reconciliation>)),
    params(("cursor" = Option<String>, Query), ("limit" = Option<u32>, Query)))]
async fn reports(
    State(app): State<App>,
    auth: Auth,
    paging: Result<Paging<String>, ApiError>,
) -> Result<Json<Page<Reconciliation>>, ApiError> {
    auth.operates()?;
    let paging = paging?;
    let mut read = Vec::new();
    let mut before_day = paging.cursor.clone().unwrap_or_default();
    while read.len() < paging.to_read() as usize {
        let some = app.payments.reconciliations(proto::ListReconciliationsRequest { before_day }).await?;
        let Some(last) = some.last().map(|report| report.day.clone()) else { break };
        before_day = last;
        read.extend(some.into_iter().map(report));
    }
    let (items, next_cursor) = paging.cut(read, |report| report.day.clone());
    Ok(Json(Page { items, next_cursor }))
}

/// Keeps the answer to a write whose work is done by the payment service, where doing it twice does no harm.
async fn answer(
    app: &App,
    key: Key<'_>,
    status: StatusCode,
    body: &(impl Serialize + Sync),
) -> Result<Response, ApiError> {
    let mut tx = app.db.begin_write().await?;
    let answer = Answer::to(&key, status, body)?;
    if idempotency::record(&mut tx, &[&answer], app.now()).await? {
        tx.commit().await?;
        return Ok(answer.into_response());
    }
    tx.rollback().await?;
    let first = idempotency::replay(&app.db, key.scope, key.key, key.digest).await?;
    first.ok_or_else(|| ApiError::unavailable("the key's first request was rolled back"))
}

#[utoipa::path(post, path = "/api/v1/admin/reconciliation", tag = "money", request_body = NewReconciliation, responses((status = 200, body = Reconciliation)))]
async fn run(State(app): State<App>, auth: Auth, write: Write<NewReconciliation>) -> Result<Response, ApiError> {
    auth.operates()?;
    if let Some(response) = idempotency::replay(&app.db, auth.scope(), &write.key, &write.digest).await? {
        return Ok(response);
    }
    let day = write.body.day;
    // Days of this form compare as texts do.
    if parse_date(&day).is_none() || day > app.now().seoul_date() {
        let said = ("오늘까지의 날짜를 2026-12-24처럼 적어 주세요.", "A day up to today, such as 2026-12-24.");
        return Err(ApiError::field("/day", said));
    }
    let compared = report(app.payments.reconcile(proto::ReconcileRequest { day }).await?);
    let key = Key { scope: auth.scope(), key: &write.key, digest: &write.digest };
    answer(&app, key, StatusCode::OK, &compared).await
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    closed: bool,
}

#[utoipa::path(get, path = "/api/v1/admin/reconciliation/cases", tag = "money", responses((status = 200, body = Page<Case>)),
    params(("closed" = Option<bool>, Query, description = "Closed ones too."), ("cursor" = Option<i64>, Query), ("limit" = Option<u32>, Query)))]
async fn cases(
    State(app): State<App>,
    auth: Auth,
    paging: Result<Paging<i64>, ApiError>,
    which: Result<Parameters<Which>, ApiError>,
) -> Result<Json<Page<Case>>, ApiError> {
    auth.operates()?;
    let (paging, Parameters(Which { closed })) = (paging?, which?);
    let mut read = Vec::new();
    let mut after_case = paging.cursor.unwrap_or(0);
    while read.len() < paging.to_read() as usize {
        let some = app.payments.cases(proto::ListCasesRequest { closed, after_case }).await?;
        let Some(last) = some.last() else { break };
        after_case = last.case;
        for case in some {
            read.push(to_api(case)?);
        }
    }
    let (items, next_cursor) = paging.cut(read, |case: &Case| case.case.to_string());
    Ok(Json(Page { items, next_cursor }))
}

#[utoipa::path(post, path = "/api/v1/admin/reconciliation/cases/{case}/close", tag = "money", request_body = CloseCase, responses((status = 204)),
    params(("case" = i64, Path)))]
async fn close(
    State(app): State<App>,
    auth: Auth,
    case: Result<Id<i64>, ApiError>,
    write: Write<CloseCase>,
) -> Result<Response, ApiError> {
    auth.operates()?;
    let Id(case) = case?;
    if let Some(response) = idempotency::replay(&app.db, auth.scope(), &write.key, &write.digest).await? {
        return Ok(response);
    }
    let note = write.body.note.trim();
    if !(1..=REASON_CHARS_MAX).contains(&note.chars().count()) || note.chars().any(char::is_control) {
        let said =
            (format!("1자에서 {REASON_CHARS_MAX}자까지 적어 주세요."), format!("1 to {REASON_CHARS_MAX} characters."));
        return Err(ApiError::field("/note", said));
    }
    app.payments.close_case(proto::CloseCaseRequest { case, note: note.to_owned() }).await?;
    let key = Key { scope: auth.scope(), key: &write.key, digest: &write.digest };
    answer(&app, key, StatusCode::NO_CONTENT, &()).await
}

fn report(of: proto::ReconcileResponse) -> Reconciliation {
    Reconciliation {
        day: of.day,
        movements: of.movements,
        settlement_rows: of.settlement_rows,
        differences: of.differences,
        closed: of.closed,
        ledger_sum_krw: of.ledger_sum_krw,
        new_entries: of.new_entries,
        compared_at: Timestamp::from_millis(of.compared_at_ms),
    }
}

fn to_api(case: proto::Case) -> Result<Case, ApiError> {
    let kind = match case.kind() {
        proto::CaseKind::Outcome => CaseKind::Outcome,
        proto::CaseKind::Difference => CaseKind::Difference,
        proto::CaseKind::Command => CaseKind::Command,
        proto::CaseKind::Unspecified => return Err(ApiError::internal("a case of no kind")),
    };
    Ok(Case {
        case: case.case,
        kind,
        order_id: case.order_id,
        subject: case.subject,
        reason: case.reason,
        ours_krw: Krw(case.ours_krw),
        theirs_krw: Krw(case.theirs_krw),
        opened_at: Timestamp::from_millis(case.opened_at_ms),
        closed_at: (case.closed_at_ms != 0).then(|| Timestamp::from_millis(case.closed_at_ms)),
        note: case.note,
        payment: case.payment.map(case_payment).transpose()?,
    })
}

fn case_payment(payment: proto::Payment) -> Result<CasePayment, ApiError> {
    Ok(CasePayment {
        user_id: payment.user_id.parse()?,
        payment_key: payment.payment_key.clone(),
        decline_code: payment.code.clone(),
        pay_before: Timestamp::from_millis(payment.expires_at_ms),
        payment: history::to_api(payment)?,
    })
}
