//! The OpenAPI document, generated from the handlers and frozen by a golden file.

use utoipa::OpenApi;

/// What is documented.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Nugul Ticket",
        description = "Errors are application/problem+json (RFC 9457). Writes take an Idempotency-Key."
    ),
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
        crate::catalogue::routes::calendar,
        crate::catalogue::routes::version,
        crate::catalogue::routes::file,
        crate::seats::snapshot,
        crate::seats::stream,
        crate::holds::routes::create,
        crate::holds::routes::read,
        crate::holds::routes::release,
        crate::orders::routes::create,
        crate::orders::routes::read,
        crate::orders::routes::confirm,
        crate::orders::routes::cancel,
        crate::orders::routes::open,
        crate::tickets::routes::list,
        crate::tickets::routes::read,
        crate::tickets::routes::qr,
    )
)]
struct Document;

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[cfg(test)]
mod tests {
    /// Set UPDATE_GOLDEN=1 to accept a change of the contract.
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
