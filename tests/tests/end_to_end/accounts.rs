//! Accounts: codes by e-mail, log-in, tokens that turn over, and tokens that were stolen.

use std::time::Duration;

use nugul_api::{
    Code,
    accounts::{Account, Tokens},
};
use nugul_domain::account::EMAIL_CODE_TRIES_MAX;
use nugul_tests::{
    Api, Buyer, World, eventually, new_key,
    people::{PASSWORD, email_code, log_in, new_email},
};
use serde_json::{Value, json};

/// A rotated token still answers a little while, for those whose answer was lost; then it counts as stolen.
const REUSE_LIMIT: Duration = Duration::from_secs(20);

fn sign_up_body(email: &str, code: &str) -> Value {
    json!({ "email": email, "code": code, "password": PASSWORD, "nickname": "너굴" })
}

async fn refresh(api: &Api, token: &str) -> nugul_tests::Answer {
    api.post("auth/refresh", &json!({ "refresh_token": token })).await
}

#[tokio::test]
async fn a_code_makes_an_account_once() {
    let world = World::shared();
    let api = world.api();
    let email = new_email();
    let code = email_code(world, &api, &email).await;
    let again = api.post("auth/email-codes", &json!({ "email": email })).await;
    again.refused(Code::TooManyRequests);
    assert!(again.header("retry-after").and_then(|s| s.parse::<u32>().ok()).is_some_and(|s| (1..=30).contains(&s)));

    let key = new_key();
    let first: Account = api.post_as("auth/sign-up", &key, &sign_up_body(&email, &code)).await.expect(201);
    let repeated: Account = api.post_as("auth/sign-up", &key, &sign_up_body(&email, &code)).await.expect(201);
    assert_eq!(first, repeated, "the same key is the same sign-up");
    api.post("auth/sign-up", &sign_up_body(&email, &code)).await.refused(Code::EmailCodeWrong);

    let tokens: Tokens = log_in(&api, &email.to_uppercase(), PASSWORD).await.expect(200);
    assert_eq!((tokens.account, tokens.token_type.as_str()), (first.clone(), "Bearer"));
    let me: Account = api.with_token(&tokens.access_token).get("me").await.expect(200);
    assert_eq!(me, first);
    let answer = log_in(&api, &email, "another-password").await;
    answer.refused(Code::WrongCredentials);
    log_in(&api, &new_email(), PASSWORD).await.refused(Code::WrongCredentials);
}

#[tokio::test]
async fn five_wrong_codes_void_it() {
    let world = World::shared();
    let api = world.api();
    let email = new_email();
    let code = email_code(world, &api, &email).await;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for _ in 0..EMAIL_CODE_TRIES_MAX {
        api.post("auth/sign-up", &sign_up_body(&email, wrong)).await.refused(Code::EmailCodeWrong);
    }
    api.post("auth/sign-up", &sign_up_body(&email, &code)).await.refused(Code::EmailCodeWrong);
    log_in(&api, &email, PASSWORD).await.refused(Code::WrongCredentials);
}

#[tokio::test]
async fn tokens_turn_over_and_a_stolen_one_ends_the_session() {
    let world = World::shared();
    let api = world.api();
    let buyer = Buyer::sign_up(world, &api).await;
    let second: Tokens = refresh(&api, &buyer.tokens.refresh_token).await.expect(200);
    assert_ne!(second.refresh_token, buyer.tokens.refresh_token);
    api.with_token(&second.access_token).get("me").await.expect_status(200);

    eventually("the first token counts as stolen", REUSE_LIMIT, async || {
        let answer = refresh(&api, &buyer.tokens.refresh_token).await;
        (answer.status != 200).then(|| answer.refused(Code::RefreshTokenReused))
    })
    .await;
    refresh(&api, &second.refresh_token).await.refused(Code::TokenInvalid);
}

#[tokio::test]
async fn logging_out_ends_one_session() {
    let world = World::shared();
    let api = world.api();
    let here = Buyer::sign_up(world, &api).await;
    let there = Buyer::log_in(&api, &here.account.email).await;
    for _ in 0..2 {
        api.post("auth/log-out", &json!({ "refresh_token": here.tokens.refresh_token })).await.expect_status(204);
    }
    refresh(&api, &here.tokens.refresh_token).await.refused(Code::TokenInvalid);
    refresh(&api, &there.tokens.refresh_token).await.expect_status(200);
    refresh(&api, "nonsense").await.refused(Code::TokenInvalid);
}
