//! Buyers who close the connection in the middle of a request: what they began is finished or undone, not left in between.

use std::time::Duration;

use futures_util::future::join_all;
use nugul_api::{headers::IDEMPOTENCY_KEY, seats::SeatSnapshot};
use nugul_domain::{SeatIndex, SeatState};
use nugul_tests::{Buyer, World, eventually, http::Method, new_key, people::new_performance};
use serde_json::json;

const ROWS: u32 = 5;
const SEATS_PER_ROW: u32 = 20;
/// Buyers, and orders that each begins, one a seat.
const BUYERS: usize = 25;
const ORDERS_PER_BUYER: usize = 4;
/// Each hangs up this much later than the one before: the first before its order was begun, the last after it was made.
const STEP: Duration = Duration::from_micros(400);
/// How long holds and unpaid orders last here.
const TTL_MS: &str = "2000";
/// How long seats may take to be free again: the hold or the order ends, and is looked for.
const FREE_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn seats_of_buyers_who_hang_up_while_ordering_are_free_again() {
    let world = World::own_with("hang-up", &[("NUGUL_HOLD_TTL_MS", TTL_MS), ("NUGUL_PAY_WINDOW_MS", TTL_MS)]);
    // Past the edge, which finishes what it forwarded.
    let api = world.coordinator();
    let id = new_performance(&api, ROWS, SEATS_PER_ROW).await;
    let mut buyers = Vec::new();
    for _ in 0..BUYERS {
        buyers.push(Buyer::sign_up(&world, &api).await);
    }
    for (number, buyer) in buyers.iter().enumerate() {
        join_all((0..ORDERS_PER_BUYER).map(async |k| {
            let place = number * ORDERS_PER_BUYER + k;
            let hold = buyer.hold(id, &[SeatIndex::try_from(place).expect("a seat")]).await;
            let (key, body) = (new_key(), json!({ "hold_id": hold.id }).to_string().into_bytes());
            let headers = [(IDEMPOTENCY_KEY, key.as_str()), ("content-type", "application/json")];
            let own = buyer.api.fresh();
            // Connected already, so that the time is the order's.
            own.get("/healthz").await.expect_status(200);
            let asked = own.try_send(Method::POST, "orders", &headers, Some(body));
            let patience = STEP * u32::try_from(place).expect("a number");
            // An answer in time is one of the ways it may go.
            let _ = tokio::time::timeout(patience, asked).await;
        }))
        .await;
    }
    eventually("every seat is free again", FREE_LIMIT, async || {
        let snapshot: SeatSnapshot = api.get(&format!("performances/{id}/seats")).await.expect(200);
        snapshot.unpack()?.iter().all(|state| *state == SeatState::Available).then_some(())
    })
    .await;
}
