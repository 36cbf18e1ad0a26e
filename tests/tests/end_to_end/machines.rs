//! What programs look for first: health, keys, the interface's description, and errors in two languages.

use nugul_api::{Code, headers};
use nugul_tests::{World, http::Method};
use serde_json::Value;

#[tokio::test]
async fn health_keys_and_description_are_served() {
    let api = World::shared().api();
    api.get("/healthz").await.expect_status(200);

    let keys: Value = api.get("/.well-known/jwks.json").await.expect(200);
    let key = &keys["keys"][0];
    assert_eq!((key["kty"].as_str(), key["crv"].as_str()), (Some("OKP"), Some("Ed25519")));
    assert!(key["d"].is_null(), "the private half stays private");

    let description: Value = api.get("/openapi.json").await.expect(200);
    assert!(description["openapi"].as_str().is_some_and(|v| v.starts_with("3.")));
    for path in
        ["/api/v1/performances/{id}/holds", "/api/v1/orders", "/api/v1/orders/{id}/confirm", "/api/v1/auth/sign-up"]
    {
        assert!(description["paths"][path]["post"].is_object(), "{path}");
    }
}

#[tokio::test]
async fn errors_have_a_code_a_sentence_and_a_name_in_the_logs() {
    let api = World::shared().api();
    let unknown = api.get("nothing/here").await.refused(Code::NotFound);
    assert_eq!(unknown.detail, "찾는 것이 없어요.");

    let sent = [("accept-language", "en-GB,en;q=0.9"), (headers::TRACE_ID, "0123456789abcdef")];
    let answer = api.send(Method::GET, "performances/0198aaaa-0000-7000-8000-000000000000", &sent, None).await;
    let problem = answer.refused(Code::NotFound);
    assert_eq!((problem.detail.as_str(), problem.trace_id.as_str()), ("There is no such thing.", "0123456789abcdef"));
    assert_eq!(answer.header(headers::TRACE_ID), Some("0123456789abcdef"));

    api.send(Method::DELETE, "orders", &[], None).await.refused(Code::MethodNotAllowed);
}

#[tokio::test]
async fn metrics_are_not_public() {
    let world = World::shared();
    for api in [world.api(), world.coordinator()] {
        assert_ne!(api.get("/metrics").await.status, 200, "{}", api.origin());
    }
}
