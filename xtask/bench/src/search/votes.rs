//! Votes counted in the rankings, each once a person, beside their exact numbers.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use nugul_api::{Page, catalogue::EventSummary, rankings::EventRanking};
use nugul_platform::EDGE_KEY;
use serde_json::json;

use super::CLIENTS;
use crate::{
    ground::{Ground, post},
    load::{Measured, count},
    report::Figure,
    wire::{Ask, Wire},
};

/// Events voted for: some more than a ranking shows.
const EVENTS: usize = 60;
/// Places that are compared.
const PLACES: usize = 50;
/// Votes of a batch, the most there may be.
const BATCH_VOTES: usize = 256;
/// Batches of each client.
const BATCHES_PER_CLIENT: usize = 25;
/// People who vote in batches.
const PEOPLE: u64 = 20_000;
/// Buyers who look at events through the edge, each at one.
const BUYERS: usize = 4_000;
/// How long the last looks may take to be counted.
const COUNTED_LIMIT: Duration = Duration::from_secs(30);
/// The pause between two looks at a ranking.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What was done, in words.
pub(super) const WORK: &str = "16 clients send 25 batches of 256 votes by 20,000 people for 60 events, the first wanted most; \
    4,000 buyers look at one event each through workerd; relative errors are of the first 50 places and 20 events";

/// Batches at the coordinator.
pub(super) async fn at_the_coordinator(ground: &Ground, kept_in: &str) -> Vec<Figure> {
    let events = events(&ground.origin, EVENTS).await;
    let mut random = Chance(1);
    let mut exact = vec![HashSet::new(); events.len()];
    let mut clients = Vec::with_capacity(CLIENTS);
    for client in 0..CLIENTS {
        let mut bodies = Vec::with_capacity(BATCHES_PER_CLIENT);
        for seq in 1..=BATCHES_PER_CLIENT {
            let mut votes = Vec::with_capacity(BATCH_VOTES);
            for _ in 0..BATCH_VOTES {
                let (event, person) = (random.favourite(events.len()), random.next() % PEOPLE);
                exact[event].insert(person);
                // Others than those who looked through the edge.
                let voter = format!("{:016x}", person | 1 << 63);
                votes.push(json!({ "deed": "looked", "event_id": events[event].id, "voter": voter }));
            }
            bodies.push(json!({ "source": format!("{client:032x}"), "seq": seq, "votes": votes }).to_string());
        }
        let origin = ground.origin.clone();
        clients.push(async move {
            let mut wire = Wire::open(&origin).await;
            let mut taken = Vec::with_capacity(bodies.len());
            for body in &bodies {
                let ask = Ask { edge_key: EDGE_KEY, ..post("/api/v1/rankings/votes", "", "", body) };
                let begun = Instant::now();
                wire.send(ask).await.expect_status(200);
                taken.push(begun.elapsed());
            }
            taken
        });
    }
    let before = scores(ground, &events, PLACES).await;
    let measured = Measured::of(clients).await;
    let after = scores(ground, &events, PLACES).await;
    let exact: Vec<f64> = exact.iter().map(|people| count(people.len())).collect();
    let gained: Vec<f64> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
    let mut most: Vec<usize> = (0..events.len()).collect();
    most.sort_by(|a, b| exact[*b].total_cmp(&exact[*a]));
    let shown: Vec<usize> = most.into_iter().filter(|n| after[*n] > 0.0).take(PLACES).collect();
    let votes = measured.operations() * count(BATCH_VOTES);
    vec![
        Figure::new(format!("rankings_{kept_in}_votes_per_s"), "1/s", votes / measured.whole().as_secs_f64()),
        Figure::new(format!("rankings_{kept_in}_batch_p50"), "ms", measured.p50_ms()),
        Figure::new(format!("rankings_{kept_in}_batch_p99"), "ms", measured.p99_ms()),
        Figure::new(format!("rankings_{kept_in}_mean_error"), "share", error(&shown, &gained, &exact)),
    ]
}

/// Looks through the edge, until the ranking has them all.
pub(super) async fn through_the_edge(ground: &Ground) -> Vec<Figure> {
    const LOOKED_AT: usize = 20;
    let events = events(&ground.edge, LOOKED_AT).await;
    let tokens = ground.tokens(BUYERS);
    let exact: Vec<f64> = (0..LOOKED_AT).map(|n| count((n..BUYERS).step_by(LOOKED_AT).count())).collect();
    let begun = Instant::now();
    let client = |number: usize| {
        let mine: Vec<(String, String)> = tokens
            .iter()
            .enumerate()
            .skip(number)
            .step_by(CLIENTS)
            .map(|(n, token)| (token.clone(), format!("/api/v1/events/{}", events[n % LOOKED_AT].id)))
            .collect();
        let edge = ground.edge.clone();
        async move {
            let mut wire = Wire::open(&edge).await;
            let mut taken = Vec::with_capacity(mine.len());
            for (token, path) in &mine {
                let begun = Instant::now();
                wire.send(Ask { method: "GET", path, token, ..Ask::default() }).await.expect_status(200);
                taken.push(begun.elapsed());
            }
            taken
        }
    };
    let measured = Measured::of((0..CLIENTS).map(client).collect()).await;
    // A vote that faded by a thousandth is still counted; what an instance dropped is not.
    let wanted = count(BUYERS) * 0.995;
    let mut scored = scores(ground, &events, PLACES).await;
    while scored.iter().sum::<f64>() < wanted && begun.elapsed() < measured.whole() + COUNTED_LIMIT {
        tokio::time::sleep(LOOK_EVERY).await;
        scored = scores(ground, &events, PLACES).await;
    }
    let all: Vec<usize> = (0..LOOKED_AT).collect();
    vec![
        Figure::new(
            "rankings_end_to_end_looks_per_s",
            "1/s",
            scored.iter().sum::<f64>() / begun.elapsed().as_secs_f64(),
        ),
        Figure::new("rankings_end_to_end_requests_per_s", "1/s", measured.per_second()),
        Figure::new("rankings_end_to_end_mean_error", "share", error(&all, &scored, &exact)),
    ]
}

/// The mean of what is missing or too much, as a share of the exact number.
fn error(of: &[usize], got: &[f64], exact: &[f64]) -> f64 {
    let shares = of.iter().filter(|n| exact[**n] > 0.0).map(|n| (got[*n] - exact[*n]).abs() / exact[*n]);
    let all: Vec<f64> = shares.collect();
    all.iter().sum::<f64>() / count(all.len().max(1))
}

async fn events(origin: &str, many: usize) -> Vec<EventSummary> {
    let mut wire = Wire::open(origin).await;
    let path = format!("/api/v1/events?limit={many}");
    let page: Page<EventSummary> = wire.send(Ask { method: "GET", path: &path, ..Ask::default() }).await.expect(200);
    page.items
}

/// The score of each of these events, of those in the first places; 0 for others.
async fn scores(ground: &Ground, events: &[EventSummary], places: usize) -> Vec<f64> {
    let mut wire = Wire::open(&ground.origin).await;
    let path = format!("/api/v1/rankings/events?window=hour&limit={places}");
    let ranking: EventRanking = wire.send(Ask { method: "GET", path: &path, ..Ask::default() }).await.expect(200);
    let score = |event: &EventSummary| ranking.items.iter().find(|item| item.event.id == event.id).map(|i| i.score);
    events.iter().map(|event| score(event).unwrap_or(0.0)).collect()
}

/// Numbers that look random and are the same in every run (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One of so many, the first most often: the lesser of two.
    fn favourite(&mut self, many: usize) -> usize {
        let many = many as u64;
        usize::try_from((self.next() % many).min(self.next() % many)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_a_share_of_the_exact_number() {
        assert!((error(&[0, 1], &[9.0, 5.0, 99.0], &[10.0, 5.0, 1.0]) - 0.05).abs() < 1e-9);
        assert!(error(&[], &[], &[]).abs() < 1e-9);
    }

    #[test]
    fn the_first_is_the_favourite() {
        let mut chance = Chance(1);
        let mut times = [0; 4];
        for _ in 0..4_000 {
            times[chance.favourite(4)] += 1;
        }
        assert!(times.windows(2).all(|two| two[0] > two[1]), "{times:?}");
    }
}
