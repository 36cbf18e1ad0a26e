//! Names of headers and paths that both sides must spell the same.

/// The client's key that makes a repeated write one write.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Sent by our pages' scripts with every write; a foreign site cannot send it without our leave (CORS).
pub const PAGE_REQUEST: &str = "x-nugul-page";
/// Names a request in logs and problems, from the edge to the payment service.
pub const TRACE_ID: &str = "x-trace-id";
/// The resume point of an event stream (HTML Standard, 9.2).
pub const LAST_EVENT_ID: &str = "last-event-id";
/// An edge's proof that it is one, to its coordinators. Never copied from or to anyone else.
pub const EDGE_KEY: &str = "x-nugul-edge-key";
/// The media type of errors (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";
/// Before every path of the interface.
pub const API: &str = "/api/v1";
