//! Every way to be believed, and many not to be.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use nugul_domain::{PerformanceId, Region, TicketId, Timestamp, UserId, account::Role};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::*;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const NOW_S: i64 = 1_790_000_000;

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed([n; SEED_BYTES]).unwrap()
}

fn jwks(keys: &[&SigningKey]) -> Value {
    json!({ "keys": keys.iter().map(|k| k.jwk()).collect::<Vec<_>>() })
}

fn access() -> AccessClaims {
    let sub = UserId::new(Region(3), NOW, [7; 9]);
    AccessClaims { sub, role: Role::Seller, nickname: "너굴".into(), iat: NOW_S, exp: NOW_S + 900 }
}

fn entry() -> EntryClaims {
    let (ticket, performance) = (TicketId::new(Region(3), NOW, [8; 9]), PerformanceId::new(Region(3), NOW, [9; 9]));
    EntryClaims { ticket, performance, seat: 42, version: 1 }
}

fn stream() -> StreamClaims {
    let (sub, performance) = (UserId::new(Region(3), NOW, [7; 9]), PerformanceId::new(Region(3), NOW, [9; 9]));
    StreamClaims { sub, performance, exp: NOW_S + 60 }
}

fn stream_verifier(k: &SigningKey) -> StreamVerifier {
    StreamVerifier::from_jwks(&jwks(&[k])).unwrap()
}

/// Whoever has the public half, and who has the key: they must agree on every text.
struct Everyone {
    public: AccessVerifier,
    own: AccessVerifier,
}

impl Everyone {
    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError> {
        let said = self.public.verify(token, now);
        assert_eq!(self.own.verify(token, now), said);
        said
    }
}

fn access_verifier(k: &SigningKey) -> Everyone {
    Everyone { public: AccessVerifier::from_jwks(&jwks(&[k])).unwrap(), own: AccessVerifier::of(k) }
}

/// A token of any header and payload with the signature of another.
fn forged(header: &Value, payload: &Value, signature: &str) -> String {
    format!("{}.{}.{signature}", B64.encode(header.to_string()), B64.encode(payload.to_string()))
}

#[test]
fn what_is_signed_is_read_back() {
    let k = key(1);
    let token = k.sign_access(access()).unwrap();
    assert_eq!(access_verifier(&k).verify(&token, NOW), Ok(access()));
    let text = k.sign_entry(entry()).unwrap();
    assert_eq!(EntryVerifier::from_jwks(&jwks(&[&k])).unwrap().verify(&text, NOW), Ok(entry()));
    assert!(text.len() < 420, "{} characters make a dense QR code", text.len());
}

#[test]
fn one_kind_is_never_taken_for_the_other() {
    let k = key(1);
    let (a, e) = (k.sign_access(access()).unwrap(), k.sign_entry(entry()).unwrap());
    let s = k.sign_stream(stream()).unwrap();
    let performance = stream().performance;
    for other in [&e, &s] {
        assert_eq!(access_verifier(&k).verify(other, NOW), Err(TokenError::Invalid));
    }
    for other in [&a, &e] {
        assert_eq!(stream_verifier(&k).verify(other, performance, NOW), Err(TokenError::Invalid));
    }
    for other in [&a, &s] {
        assert_eq!(EntryVerifier::from_jwks(&jwks(&[&k])).unwrap().verify(other, NOW), Err(TokenError::Invalid));
    }
}

#[test]
fn a_stream_ticket_opens_one_performances_stream_until_it_ends() {
    let k = key(1);
    let ticket = k.sign_stream(stream()).unwrap();
    let (v, performance) = (stream_verifier(&k), stream().performance);
    assert_eq!(v.verify(&ticket, performance, NOW.plus_ms(59_999)), Ok(stream()));
    assert_eq!(v.verify(&ticket, performance, NOW.plus_ms(60_000)), Err(TokenError::Expired));
    let another = PerformanceId::new(Region(3), NOW, [1; 9]);
    assert_eq!(v.verify(&ticket, another, NOW), Err(TokenError::Invalid));
    let forged = key(2).sign_stream(stream()).unwrap();
    assert_eq!(v.verify(&forged, performance, NOW), Err(TokenError::UnknownKey(key(2).kid().to_owned())));
}

#[test]
fn a_token_ends_at_its_second_by_the_time_passed_in() {
    let k = key(1);
    let token = k.sign_access(access()).unwrap();
    let v = access_verifier(&k);
    assert!(v.verify(&token, NOW.plus_ms(899_999)).is_ok());
    assert_eq!(v.verify(&token, NOW.plus_ms(900_000)), Err(TokenError::Expired));
    assert!(v.verify(&token, Timestamp::from_millis(i64::MIN)).is_ok());
    assert_eq!(v.verify(&token, Timestamp::from_millis(i64::MAX)), Err(TokenError::Expired));
}

#[test]
fn a_known_token_is_believed_to_its_end_and_no_longer() {
    let k = key(1);
    let known = KnownTokens::new(AccessVerifier::of(&k));
    let token = k.sign_access(access()).unwrap();
    for _ in 0..2 {
        assert_eq!(known.verify(&token, NOW).as_deref(), Ok(&access()));
        assert!(known.verify(&token, NOW.plus_ms(899_999)).is_ok());
        assert_eq!(known.verify(&token, NOW.plus_ms(900_000)), Err(TokenError::Expired));
    }
}

#[test]
fn what_is_not_believed_is_not_remembered() {
    let k = key(1);
    let known = KnownTokens::new(AccessVerifier::of(&k));
    let (ours, ended) = (k.sign_access(access()).unwrap(), AccessClaims { exp: NOW_S, ..access() });
    let theirs = key(2).sign_access(access()).unwrap();
    assert!(known.verify(&ours, NOW).is_ok());
    for _ in 0..2 {
        assert_eq!(known.verify(&k.sign_access(ended.clone()).unwrap(), NOW), Err(TokenError::Expired));
        assert_eq!(known.verify(&theirs, NOW), Err(TokenError::UnknownKey(key(2).kid().to_owned())));
        assert_eq!(known.verify(&ours[..ours.len() - 2], NOW), Err(TokenError::Invalid));
        assert_eq!(known.verify(&format!("{ours}x"), NOW), Err(TokenError::Invalid));
    }
    assert_eq!(known.count(), 1);
}

#[test]
fn known_tokens_have_a_bound() {
    let k = key(1);
    let known = KnownTokens::with_room(AccessVerifier::of(&k), 3);
    let token = |n: i64| k.sign_access(AccessClaims { exp: NOW_S + n, ..access() }).unwrap();
    for n in 1..=3 {
        assert!(known.verify(&token(n), NOW).is_ok());
    }
    // The first two have ended by then and make room.
    assert!(known.verify(&token(9), NOW.plus_ms(2_000)).is_ok());
    assert_eq!(known.count(), 2);
    for n in 10..20 {
        assert!(known.verify(&token(n), NOW.plus_ms(2_000)).is_ok());
        assert!(known.count() <= 3);
    }
}

#[test]
fn keys_are_told_apart_and_rotated() {
    let (old, new) = (key(1), key(2));
    assert_ne!(old.kid(), new.kid());
    let token = new.sign_access(access()).unwrap();
    assert_eq!(access_verifier(&old).verify(&token, NOW), Err(TokenError::UnknownKey(new.kid().to_owned())));
    let both = AccessVerifier::from_jwks(&jwks(&[&old, &new])).unwrap();
    assert!(both.verify(&token, NOW).is_ok());
    // The other's name with one's own signature.
    let mut named = old.jwk();
    named["x"] = new.jwk()["x"].clone();
    let wrong = AccessVerifier::from_jwks(&json!({ "keys": [named] })).unwrap();
    assert_eq!(wrong.verify(&old.sign_access(access()).unwrap(), NOW), Err(TokenError::Invalid));
}

#[test]
fn the_public_half_is_all_a_key_set_tells() {
    let jwk = key(1).jwk();
    assert_eq!(jwk["kty"], "OKP");
    assert_eq!(jwk["crv"], "Ed25519");
    assert_eq!(jwk["alg"], "EdDSA");
    assert_eq!(jwk["use"], "sig");
    assert!(jwk.get("d").is_none());
    assert!(!format!("{:?}", key(1)).contains("AQEBAQ"));
}

#[test]
fn a_published_key_and_its_thumbprint() {
    // RFC 8037, A.1 to A.3.
    let seed = B64.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let k = SigningKey::from_seed(seed.try_into().unwrap()).unwrap();
    assert_eq!(k.jwk()["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert!("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".starts_with(k.kid()));
}

#[test]
fn pem_is_read_back_and_other_keys_are_refused() {
    let pem = SigningKey::seed_to_pem([1; SEED_BYTES]);
    assert_eq!(SigningKey::from_pem(&pem).unwrap().kid(), key(1).kid());
    for bad in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "nonsense"] {
        assert!(SigningKey::from_pem(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn other_algorithms_are_refused() {
    let k = key(1);
    let token = k.sign_access(access()).unwrap();
    let signature = token.rsplit('.').next().unwrap();
    let mut payload = serde_json::to_value(access()).unwrap();
    payload["iss"] = "nugul".into();
    payload["aud"] = "nugul".into();
    let v = access_verifier(&k);
    for alg in ["none", "None", "HS256", "HS512", "RS256", "ES256", "PS256", "EDDSA", ""] {
        let header = json!({ "alg": alg, "typ": "at+jwt", "kid": k.kid() });
        for signature in ["", signature] {
            assert_eq!(v.verify(&forged(&header, &payload, signature), NOW), Err(TokenError::Invalid), "{alg}");
        }
    }
    // The classic: an HMAC whose secret is the public key.
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    header.typ = Some("at+jwt".into());
    header.kid = Some(k.kid().into());
    let secret = B64.decode(k.jwk()["x"].as_str().unwrap()).unwrap();
    let token = jsonwebtoken::encode(&header, &payload, &jsonwebtoken::EncodingKey::from_secret(&secret)).unwrap();
    assert_eq!(v.verify(&token, NOW), Err(TokenError::Invalid));
}

#[test]
fn another_service_is_not_believed_even_with_our_key() {
    let k = key(1);
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
    header.typ = Some("at+jwt".into());
    header.kid = Some(k.kid().into());
    let secret = jsonwebtoken::EncodingKey::from_ed_pem(SigningKey::seed_to_pem([1; SEED_BYTES]).as_bytes()).unwrap();
    let good = json!({ "iss": "nugul", "aud": "nugul", "sub": access().sub, "role": "user", "nickname": "n", "iat": 0,
        "exp": NOW_S + 1 });
    let sign = |claims: &Value| jsonwebtoken::encode(&header, claims, &secret).unwrap();
    let v = access_verifier(&k);
    assert!(v.verify(&sign(&good), NOW).is_ok());
    for (field, value) in [
        ("iss", json!("other")),
        ("aud", json!("nugul-gate")),
        ("aud", json!(["nugul"])),
        ("role", json!("root")),
        ("sub", json!("1")),
        ("exp", json!("soon")),
        ("exp", Value::Null),
    ] {
        let mut claims = good.clone();
        claims[field] = value;
        assert_eq!(v.verify(&sign(&claims), NOW), Err(TokenError::Invalid), "{claims}");
    }
}

#[test]
fn odd_key_sets_are_refused_and_odd_keys_passed_over() {
    for bad in [json!(null), json!({}), json!({ "keys": [] }), json!({ "keys": 3 }), json!({ "keys": [1, {}] })] {
        assert_eq!(AccessVerifier::from_jwks(&bad).unwrap_err(), JwksError, "{bad}");
    }
    let short = json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "short" });
    let nameless = json!({ "kty": "OKP", "crv": "Ed25519", "x": key(1).jwk()["x"] });
    assert!(AccessVerifier::from_jwks(&json!({ "keys": [short, nameless] })).is_err());
    let k = key(1);
    let v =
        AccessVerifier::from_jwks(&json!({ "keys": [short, { "kty": "AKP", "alg": "ML-DSA-44" }, k.jwk()] })).unwrap();
    assert!(v.verify(&k.sign_access(access()).unwrap(), NOW).is_ok());
}

proptest! {
    #[test]
    fn no_text_is_believed_and_none_panics(text in "\\PC{0,200}", a in "[A-Za-z0-9_-]{0,80}", b in "[A-Za-z0-9_-]{0,80}") {
        let v = access_verifier(&key(1));
        prop_assert!(v.verify(&text, NOW).is_err());
        let dotted = format!("{a}.{b}.{a}");
        prop_assert!(v.verify(&dotted, NOW).is_err());
    }

    #[test]
    fn any_header_and_payload_without_our_signature_is_refused(
        alg in "none|EdDSA|HS256|[a-zA-Z]{0,6}", typ in "at.jwt|JWT|", payload in "\\PC{0,80}", signature: Vec<u8>,
    ) {
        let k = key(1);
        let header = json!({ "alg": alg, "typ": typ.replace('.', "+"), "kid": k.kid() });
        let token = format!("{}.{}.{}", B64.encode(header.to_string()), B64.encode(payload), B64.encode(signature));
        prop_assert!(access_verifier(&k).verify(&token, NOW).is_err());
    }

    #[test]
    fn one_changed_character_is_noticed(at: prop::sample::Index, with in "[A-Za-z0-9_.-]") {
        let k = key(1);
        let token = k.sign_access(access()).unwrap();
        let at = at.index(token.len());
        let changed = format!("{}{with}{}", &token[..at], &token[at + 1..]);
        prop_assume!(changed != token);
        prop_assert!(access_verifier(&k).verify(&changed, NOW).is_err());
    }

    #[test]
    fn no_key_set_panics(x in "\\PC{0,60}", kid in "\\PC{0,8}", crv in "Ed25519|P-256|X25519") {
        let jwks = json!({ "keys": [{ "kty": "OKP", "crv": crv, "x": x, "kid": kid }] });
        if let Ok(v) = AccessVerifier::from_jwks(&jwks) {
            prop_assert!(v.verify(&key(1).sign_access(access()).unwrap(), NOW).is_err());
        }
    }
}
