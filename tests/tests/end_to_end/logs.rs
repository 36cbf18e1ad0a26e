//! What the services log of a whole run: what happened, and nothing that names a person or moves money.

use nugul_api::{
    Page,
    accounts::Account,
    booking::{Order, Ticket},
};
use nugul_domain::order::OrderState;
use nugul_platform::{EDGE_KEY, Service, TOSS_SECRET_KEY};
use nugul_tests::{
    Buyer, Decision, Toss, World,
    people::{PASSWORD, email_code, log_in, new_email, new_performance},
};
use serde_json::json;

/// How the person is called.
const NICKNAME: &str = "비밀너굴";
/// Why they give a ticket back.
const REASON: &str = "이웃집 결혼식에 가요";

#[tokio::test]
async fn a_whole_run_logs_nobody_and_no_key() {
    let world = World::own_with("logs", &[("NUGUL_LOG", "debug")]);
    let api = world.api();
    let id = new_performance(&api, 2, 4).await;
    let email = new_email();
    let code = email_code(&world, &api, &email).await;
    let sign_up = json!({ "email": email, "code": code, "password": PASSWORD, "nickname": NICKNAME });
    let _: Account = api.post("auth/sign-up", &sign_up).await.expect(201);
    log_in(&api, &email, "not-the-password").await.expect_status(401);
    let buyer = Buyer::log_in(&api, &email).await;

    // Paid with an answer that was lost, then given back; declined; with an amount that is not the order's.
    let toss = Toss::new(&world);
    toss.faults(&json!({ "script": [{ "at": "confirm", "fault": "drop_after" }] })).await;
    let paid = buyer.buy(&world, id, &[0]).await;
    toss.no_faults().await;
    let tickets: Page<Ticket> = buyer.api.get("me/tickets").await.expect(200);
    let ticket = &tickets.items[0];
    let amount = ticket.refund_terms.as_ref().expect("terms").amount_krw;
    let refund = json!({ "reason": REASON, "amount_krw": amount });
    buyer.api.post(&format!("tickets/{}/refund-requests", ticket.id), &refund).await.expect_status(201);
    let order = buyer.order(&buyer.hold(id, &[1]).await).await;
    let key = toss.decide(&order.id.to_string(), order.total_krw.0, Decision::Decline).await;
    buyer
        .api
        .post(&format!("orders/{}/confirm", order.id), &json!({ "payment_key": key, "amount_krw": 1 }))
        .await
        .expect_status(409);
    let confirming: Order = buyer.confirm(&order, &key).await.expect(200);
    assert!(matches!(confirming.state, OrderState::Confirming | OrderState::Declined));
    assert_eq!(buyer.decided(&order).await.state, OrderState::Declined);
    buyer.api.get("me/payments").await.expect_status(200);

    let log = [Service::Coordinator, Service::Payment, Service::Edge].map(|service| world.log(service)).concat();
    // It is the log of this run: what went wrong with a payment is found by its order.
    assert!(log.lines().any(|line| line.contains(&paid.id.to_string())), "the lost answer is not told of");
    let secrets = [
        ("e-mail", email.as_str()),
        ("e-mailed code", &format!("\"{code}\"")),
        ("password", PASSWORD),
        ("nickname", NICKNAME),
        ("reason", REASON),
        ("access token", &buyer.tokens.access_token),
        ("refresh token", &buyer.tokens.refresh_token),
        ("entry token", &ticket.entry_token),
        ("payment key", &key),
        ("any payment key", "tsim_"),
        ("name of the order", &paid.name),
        ("the shop's key", TOSS_SECRET_KEY),
        ("the edge's key", EDGE_KEY),
    ];
    for (what, secret) in secrets {
        assert!(!secret.is_empty(), "{what} is there to be looked for");
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "the {what} was logged");
    }
}
