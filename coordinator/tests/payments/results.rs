//! Results that can be applied, and results that cannot.

use axum::http::Method;
use nugul_coordinator::payments::watch_once;
use nugul_domain::account::Role;
use nugul_proto::payment::v1::{PaymentResult, ResultKind};

use crate::world::World;

#[tokio::test]
async fn a_result_that_cannot_be_applied_is_put_aside_and_the_next_one_counts() {
    let world = World::new().await;
    let order = world.order(2, 0).await;
    assert_eq!(world.confirm(2, &order, "tsim_1").await.0, 200);
    let approved = PaymentResult {
        order_id: order.clone(),
        kind: ResultKind::Approved.into(),
        amount_krw: 50_000,
        ..PaymentResult::default()
    };
    let nobody = "018f0000-0000-7000-8000-000000000000";
    // Of no kind; of an order that is not here; of no order.
    world.fake.tell(PaymentResult { kind: 99, ..approved.clone() });
    world.fake.tell(PaymentResult { order_id: nobody.into(), ..approved.clone() });
    world.fake.tell(PaymentResult { order_id: "x".into(), ..approved.clone() });
    world.fake.tell(approved);
    watch_once(&world.app).await.unwrap();
    assert_eq!(world.state(2, &order).await, "paid");
    assert_eq!(world.fake.acknowledged(), 4);
    let mut about: Vec<_> = world.parked().await;
    about.sort();
    let results = |about: &str| ("results".to_owned(), about.to_owned());
    let mut expected = vec![results(&order), results(nobody), results("")];
    expected.sort();
    assert_eq!(about, expected);
    // Read again, nothing is applied or put aside again.
    watch_once(&world.app).await.unwrap();
    assert_eq!(world.parked().await.len(), 3);
    // It is an admin's to see.
    for (role, status) in [(Role::User, 403), (Role::Seller, 403), (Role::Admin, 200)] {
        assert_eq!(world.ask(&world.token(3, role), Method::GET, "/admin/parked", None).await.0, status, "{role:?}");
    }
}
