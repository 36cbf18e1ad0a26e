//! Every process dies once, without a warning, and comes back alone.

use nugul_api::{Page, booking::Ticket};
use nugul_platform::Service;
use nugul_tests::{
    Buyer, World, eventually,
    people::{OUTCOME_LIMIT, new_performance},
};

async fn tickets(buyer: &Buyer) -> usize {
    let page: Page<Ticket> = buyer.api.get("me/tickets?limit=100").await.expect(200);
    page.items.len()
}

#[tokio::test]
async fn after_each_death_purchases_go_on_and_tickets_are_there() {
    let world = World::own("deaths");
    let api = world.api();
    let id = new_performance(&api, 4, 8).await;
    let first = Buyer::sign_up(&world, &api).await;
    first.buy(&world, id, &[0, 1]).await;

    let services = [Service::Coordinator, Service::Payment, Service::Toss, Service::Mail, Service::Edge];
    for (service, seat) in services.into_iter().zip((2..).step_by(2)) {
        world.kill(service);
        world.restart(service);
        // Connections to the dead process are of no use any more.
        let api = world.api();
        eventually(&format!("{service}: requests are answered"), OUTCOME_LIMIT, async || {
            let answer =
                api.try_send(nugul_tests::http::Method::GET, &format!("performances/{id}/seats"), &[], None).await;
            answer.is_ok_and(|a| a.status == 200).then_some(())
        })
        .await;
        let back = Buyer { api: first.api.fresh(), ..first.clone() };
        assert_eq!(tickets(&back).await, 2, "after {service} died");
        let late = Buyer::sign_up(&world, &api).await;
        late.try_hold(id, &[0, seat]).await.refused(nugul_api::Code::SeatsTaken);
        late.buy(&world, id, &[seat, seat + 1]).await;
        assert_eq!(tickets(&late).await, 2, "after {service} died");
    }
}

#[tokio::test]
async fn what_is_held_when_payment_is_away_is_paid_when_it_is_back() {
    let world = World::own("payment-away");
    let api = world.api();
    let id = new_performance(&api, 2, 4).await;
    let buyer = Buyer::sign_up(&world, &api).await;
    world.kill(Service::Payment);
    let order = buyer.order(&buyer.hold(id, &[0, 1]).await).await;
    let key = nugul_tests::Toss::new(&world).pay(&order).await;
    let confirming = {
        let (buyer, order) = (buyer.clone(), order.clone());
        tokio::spawn(async move { buyer.confirm(&order, &key).await })
    };
    world.restart(Service::Payment);
    confirming.await.expect("an answer").expect_status(200);
    let paid = buyer.decided(&order).await;
    assert_eq!(paid.tickets.len(), 2, "{paid:?}");
}
