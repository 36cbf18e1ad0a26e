//! Two regions behind one edge: whoever logged in in one buys in the other, and finds it all in one place.

use std::{env, fs, time::Duration};

use nugul_api::{
    Page,
    booking::{Order, Ticket},
};
use nugul_domain::{Region, order::OrderState};
use nugul_platform::{Edge, Options};
use nugul_tests::{Buyer, Toss, World, eventually, people::new_performance, world::EDGE};

/// How long a region may take to have the other's keys.
const KEYS_LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_buyer_of_one_region_buys_in_another_through_one_edge() {
    // The far region starts first, and is told where the keys will be.
    let keys = env::temp_dir().join(format!("nugul-test-{}-keys.json", std::process::id()));
    let settings = [("NUGUL_REGION", "1".to_owned()), ("NUGUL_REGION_KEYS", format!("0={}", keys.display()))];
    let far = World::start(
        "region-1",
        Options {
            events: Some(2),
            settings: settings.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            ..Options::default()
        },
    );
    let edge: Edge = env::var(EDGE).map_or(Edge::Cloudflare, |text| text.parse().expect(EDGE));
    let near = World::start(
        "region-0",
        Options {
            edge: Some(edge),
            events: Some(2),
            more_regions: vec![(1, far.addresses.coordinator.clone())],
            ..Options::default()
        },
    );
    let jwks = near.coordinator().get("/.well-known/jwks.json").await;
    jwks.expect_status(200);
    fs::write(&keys, &jwks.body).expect("the keys to be written");

    let api = near.api();
    let buyer = Buyer::sign_up(&near, &api).await;
    assert_eq!(buyer.account.id.region(), Region(0));
    let (here, there) = (new_performance(&api, 1, 4).await, new_performance(&far.coordinator(), 1, 4).await);
    assert_eq!((here.region(), there.region()), (Region(0), Region(1)));
    buyer.buy(&near, here, &[0]).await;
    let hold = eventually("the far region believes the near one", KEYS_LIMIT, async || {
        let answer = buyer.try_hold(there, &[0, 1]).await;
        (answer.status == 201).then(|| answer.expect::<nugul_api::booking::Hold>(201))
    })
    .await;
    let order = buyer.order(&hold).await;
    assert_eq!(order.id.region(), Region(1));
    let unpaid: Page<Order> = buyer.api.get("me/orders").await.expect(200);
    assert_eq!(unpaid.items.iter().map(|o| o.id).collect::<Vec<_>>(), [order.id]);
    let key = Toss::new(&far).pay(&order).await;
    buyer.confirm(&order, &key).await.expect_status(200);
    assert_eq!(buyer.decided(&order).await.state, OrderState::Paid);

    // Page by page, and all at once.
    let all: Page<Ticket> = buyer.api.get("me/tickets?limit=100").await.expect(200);
    let mut regions: Vec<u8> = all.items.iter().map(|t| t.id.region().0).collect();
    regions.sort_unstable();
    assert_eq!(regions, [0, 1, 1]);
    let (mut cursor, mut one_by_one) = (String::new(), Vec::new());
    loop {
        let page: Page<Ticket> = buyer.api.get(&format!("me/tickets?limit=1{cursor}")).await.expect(200);
        one_by_one.extend(page.items.iter().map(|t| t.id));
        match page.next_cursor {
            Some(next) if one_by_one.len() <= all.items.len() => cursor = format!("&cursor={next}"),
            _ => break,
        }
    }
    assert_eq!(one_by_one, all.items.iter().map(|t| t.id).collect::<Vec<_>>());
    for ticket in &all.items {
        let shown: Ticket = buyer.api.get(&format!("tickets/{}", ticket.id)).await.expect(200);
        assert!(!shown.entry_token.is_empty());
    }
    let _ = fs::remove_file(keys);
}
