//! What many operations share and none says by itself: who may ask, the idempotency key, the shape of refusals, and the
//! paths for machines.

use nugul_api::headers::{API, IDEMPOTENCY_KEY, PROBLEM_JSON};
use nugul_api::limits::IDEMPOTENCY_KEY_CHARS_MAX;
use utoipa::{
    Modify,
    openapi::{
        ContentBuilder, HttpMethod, ObjectBuilder, OpenApi, Ref, Required, ResponseBuilder, ResponsesBuilder, Type,
        path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

/// The name of the security scheme.
const ACCESS_TOKEN: &str = "access_token";
/// Reads that anyone may do, below `/api/v1`.
const PUBLIC_READS: [&str; 13] = [
    "/events",
    "/events/{id}",
    "/calendar",
    "/catalogue",
    "/catalogue/{version}",
    "/performances/{id}",
    "/performances/{id}/seats",
    "/performances/{id}/stream",
    "/search/events",
    "/search/listings",
    "/search/suggest",
    "/rankings/keywords",
    "/rankings/events",
];
/// Writes that take no key, below `/api/v1`: their answers hold tokens, which nobody keeps.
const KEYLESS: [&str; 4] = ["/auth/log-in", "/auth/refresh", "/auth/log-out", "/performances/{id}/stream-tickets"];
/// Writes of our own edges, below `/api/v1`: they show a key of their own, and number what they send.
const OF_EDGES: [&str; 1] = ["/rankings/votes"];
/// Path, what it answers with, in which media type.
const MACHINE_PATHS: [(&str, &str, &str); 4] = [
    ("/healthz", "The process runs", "text/plain"),
    ("/readyz", "Its database and its live state answer", "text/plain"),
    ("/openapi.json", "This document", "application/json"),
    ("/.well-known/jwks.json", "The keys that tokens and entry codes are verified with (RFC 7517)", "application/json"),
];

/// Adds all of it to the generated document.
pub(super) struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The `access_token` of `auth/log-in` or `auth/refresh`."))
            .build();
        if let Some(components) = &mut document.components {
            components.add_security_scheme(ACCESS_TOKEN, SecurityScheme::Http(scheme));
        }
        for (path, item) in &mut document.paths.paths {
            let below = path.strip_prefix(API).unwrap_or(path);
            if let Some(read) = &mut item.get {
                complete(read, !PUBLIC_READS.contains(&below), false);
            }
            for write in [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten() {
                let of_edges = OF_EDGES.contains(&below);
                complete(write, !below.starts_with("/auth/") && !of_edges, !KEYLESS.contains(&below) && !of_edges);
            }
        }
        for (path, answers, media_type) in MACHINE_PATHS {
            let content =
                ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(kind(media_type)))).build();
            let answer = ResponseBuilder::new().description(answers).content(media_type, content).build();
            let operation = OperationBuilder::new().tag("machines").response("200", answer).build();
            document.paths.add_path_operation(path, vec![HttpMethod::Get], operation);
        }
    }
}

fn kind(media_type: &str) -> Type {
    if media_type == "text/plain" { Type::String } else { Type::Object }
}

fn complete(operation: &mut Operation, guarded: bool, keyed: bool) {
    if guarded {
        operation.security = Some(vec![SecurityRequirement::new(ACCESS_TOKEN, Vec::<String>::new())]);
    }
    if keyed {
        let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(IDEMPOTENCY_KEY_CHARS_MAX)).build();
        let key = ParameterBuilder::new()
            .name(IDEMPOTENCY_KEY)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(
                "Made by the client: the same key and request get the same answer, however often they are sent.",
            ))
            .schema(Some(text))
            .build();
        operation.parameters.get_or_insert_default().push(key.into());
    }
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let refusal = ResponseBuilder::new().description("Why not (RFC 9457)").content(PROBLEM_JSON, problem).build();
    let refusals = ResponsesBuilder::new().response("default", refusal).build();
    operation.responses.responses.extend(refusals.responses);
}
