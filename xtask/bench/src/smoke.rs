//! The bench that shows in a minute whether something became slow.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use nugul_api::{Page, booking::Hold, catalogue::EventSummary};
use nugul_domain::{PerformanceId, SeatIndex};
use nugul_platform::{Edge, Options, Profile};
use nugul_tests::{
    Api, Buyer, World,
    people::{DEMO_SELLER, new_event, performance_of},
};
use serde_json::json;

use crate::{
    load::Measured,
    report::{Figure, Report, commit},
};

/// Events in the catalogue.
const EVENTS: u32 = 1_000;
/// Clients at once, each on a connection of its own.
const CLIENTS: usize = 32;
/// Requests each client makes of searches and of pages.
const READS_PER_CLIENT: usize = 100;
/// Holds each client makes and gives back.
const HOLDS_PER_CLIENT: usize = 25;
/// Requests of each kind before anything is measured.
const WARM_UP: usize = 50;
/// Seats of a hold.
const HOLD_SEATS: [SeatIndex; 2] = [0, 1];
/// What is searched for: words, a half-typed syllable, initial consonants, nothing that is there.
const QUERIES: [&str; 6] = ["뮤지컬", "콘서트", "서울", "ㅇㅍㄹ", "페스티벌", "없는말"];

/// Runs it.
pub(crate) async fn run() -> Report {
    let world = World::start(
        "bench",
        Options {
            profile: Profile::Embedded,
            edge: Some(Edge::Cloudflare),
            events: Some(EVENTS),
            ..Options::default()
        },
    );
    let mut results = Vec::new();

    let searches = Arc::new(QUERIES.map(|query| format!("search/events?q={}", percent(query))).to_vec());
    results.extend(reads(&world, searches).await.figures("edge_search"));
    let events: Page<EventSummary> = world.api().get("search/events?limit=100").await.expect(200);
    let pages = Arc::new(events.items.iter().map(|event| format!("/events/{}", event.id)).collect());
    results.extend(reads(&world, pages).await.figures("edge_page"));

    // The pairs that are compared are made alike: a buyer and a performance for each client.
    let api = world.api();
    let seller = Buyer::log_in(&api, DEMO_SELLER).await;
    let event = new_event(&seller, 5, 10).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push((Buyer::sign_up(&world, &api).await, performance_of(&seller, &event).await));
    }
    let (edge, coordinator) = (world.addresses.edge.clone(), world.addresses.coordinator.clone());
    holds(&clients, &edge, 2).await;
    holds(&clients, &coordinator, 2).await;
    let through = holds(&clients, &edge, HOLDS_PER_CLIENT).await;
    let direct = holds(&clients, &coordinator, HOLDS_PER_CLIENT).await;
    results.extend(through.figures("hold_edge"));
    results.extend(direct.figures("hold_coordinator"));
    results.push(Figure::new("hold_edge_to_coordinator_ratio", "ratio", through.per_second() / direct.per_second()));

    Report {
        name: "smoke",
        commit: commit(),
        profile: Profile::Embedded.to_string(),
        work: json!({
            "events": EVENTS, "clients": CLIENTS, "searches": CLIENTS * READS_PER_CLIENT, "pages": CLIENTS * READS_PER_CLIENT,
            "holds_through_the_edge": CLIENTS * HOLDS_PER_CLIENT, "holds_at_the_coordinator": CLIENTS * HOLDS_PER_CLIENT,
            "seats_per_hold": HOLD_SEATS.len(),
        }),
        results,
        baseline: "the same holds at the coordinator, without the edge; rates count holds that are given back each time, times are of the hold alone",
    }
}

async fn reads(world: &World, paths: Arc<Vec<String>>) -> Measured {
    let warm = world.api();
    for path in paths.iter().cycle().take(WARM_UP) {
        warm.get(path).await.expect_status(200);
    }
    let client = |number: usize| {
        let (api, paths) = (world.api(), Arc::clone(&paths));
        async move {
            let mut taken = Vec::with_capacity(READS_PER_CLIENT);
            for path in paths.iter().cycle().skip(number % paths.len()).take(READS_PER_CLIENT) {
                let begun = Instant::now();
                api.get(path).await.expect_status(200);
                taken.push(begun.elapsed());
            }
            taken
        }
    };
    Measured::of((0..CLIENTS).map(client).collect()).await
}

async fn holds(clients: &[(Buyer, PerformanceId)], origin: &str, times: usize) -> Measured {
    let all = clients.iter().map(|(buyer, id)| client(buyer.api.fresh().at(origin), *id, times)).collect();
    Measured::of(all).await
}

async fn client(api: Api, id: PerformanceId, times: usize) -> Vec<Duration> {
    let (path, body) = (format!("performances/{id}/holds"), json!({ "seats": HOLD_SEATS }));
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        let begun = Instant::now();
        let answer = api.post(&path, &body).await;
        taken.push(begun.elapsed());
        let hold: Hold = answer.expect(201);
        api.delete(&format!("holds/{}", hold.id)).await.expect_status(204);
    }
    taken
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
