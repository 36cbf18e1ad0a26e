//! The `OpenAPI` document, generated from the handlers and frozen by a golden file.

mod common;

use utoipa::OpenApi;

use common::Common;

/// What is documented.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Nugul Ticket",
        description = "Errors are application/problem+json (RFC 9457). Writes take an Idempotency-Key."
    ),
    modifiers(&Common),
    components(schemas(nugul_api::Problem, nugul_api::Code)),
    paths(
        crate::accounts::routes::email_codes,
        crate::accounts::routes::sign_up,
        crate::accounts::routes::log_in,
        crate::accounts::routes::refresh,
        crate::accounts::routes::log_out,
        crate::accounts::routes::me,
        crate::catalogue::routes::list,
        crate::catalogue::routes::create,
        crate::catalogue::routes::read,
        crate::catalogue::routes::create_performance,
        crate::catalogue::routes::performance,
        crate::catalogue::routes::suggest,
        crate::catalogue::routes::calendar,
        crate::catalogue::routes::version,
        crate::catalogue::routes::file,
        crate::streams::routes::snapshot,
        crate::streams::routes::stream,
        crate::streams::tickets::create,
        crate::holds::routes::create,
        crate::holds::routes::read,
        crate::holds::routes::release,
        crate::holds::routes::extend,
        crate::holds::routes::swap,
        crate::orders::routes::create,
        crate::orders::routes::read,
        crate::orders::routes::confirm,
        crate::orders::routes::cancel,
        crate::orders::routes::unpaid,
        crate::tickets::routes::list,
        crate::tickets::routes::read,
        crate::tickets::routes::qr,
        crate::refunds::routes::request,
        crate::refunds::routes::read,
        crate::refunds::routes::accept,
        crate::refunds::routes::decline,
        crate::refunds::routes::of_holder,
        crate::refunds::routes::of_organiser,
        crate::performances::routes::change,
        crate::performances::routes::blocked,
        crate::performances::routes::block,
        crate::performances::routes::cancel,
        crate::performances::routes::progress,
        crate::corrections::list,
        crate::parked::routes::list,
        crate::payments::history::list,
        crate::payments::ledger::entries,
        crate::payments::ledger::balances,
        crate::payments::reconciliation::reports,
        crate::payments::reconciliation::run,
        crate::payments::reconciliation::cases,
        crate::payments::reconciliation::close,
        crate::rankings::routes::keywords,
        crate::rankings::routes::events,
        crate::rankings::routes::votes,
        crate::search::routes::events,
        crate::search::routes::listings,
        crate::search::admin::begin,
        crate::search::admin::job,
        crate::search::admin::state,
    )
)]
struct Document;

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[cfg(test)]
mod tests {
    /// Set `UPDATE_GOLDEN=1` to accept a change of the contract.
    #[test]
    fn the_contract_is_the_golden_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let now = super::document().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        let golden = std::fs::read_to_string(path).unwrap_or_default();
        assert!(golden == now, "the contract changed: run with UPDATE_GOLDEN=1 and review openapi.json");
    }
}
