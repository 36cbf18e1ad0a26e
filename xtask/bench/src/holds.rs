//! Holds of four seats, all or none, through the coordinator's HTTP with signed tokens, on Redis and `MariaDB`; beside them, in
//! the same run, what the same servers do for the same seats without HTTP and by other protocols (`rivals`).
//!
//! Unless said otherwise every hold is another buyer's, whose token the coordinator has never seen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use nugul_api::booking::Hold;
use nugul_domain::PerformanceId;
use nugul_platform::{Profile, Service};
use serde_json::json;

use crate::{
    cpu::Cpu,
    ground::{Ground, post},
    load::{Measured, median},
    report::{Figure, Report, commit, machine},
    rivals::{BARE_CALLS, Rivals},
    wire::{Ask, Wire},
};

/// Seats of a hold.
pub(crate) const SEATS: usize = 4;
/// Clients at once; the middle one is compared.
const CLIENTS: [usize; 3] = [1, 64, 512];
/// The clients of everything that is compared.
const COMPARED: usize = 64;
/// How often each compared figure is taken; the middle one counts.
const ROUNDS: usize = 3;
/// The hot performance's hall, as rows and seats of each: the largest there may be.
const HOT_HALL: (u32, u32) = (150, 400);
/// Holds that sell the hot performance out.
const HOT_HOLDS: usize = 15_000;
/// Holds that sell half of it: who is refused then is told what is nearest.
const HALF_HOLDS: usize = HOT_HOLDS / 2;
/// Holds of a single client: it takes its time.
const SINGLE_HOLDS: usize = 3_000;
/// Performances of the other load, and their hall.
const MANY: usize = 200;
const MANY_HALL: (u32, u32) = (10, 30);
/// Bookings by the seed's protocol in a round.
const SEED_BOOKINGS: usize = 1_000;
/// Bookings by conditional updates in a round.
const UPDATE_BOOKINGS: usize = 4_000;
/// Halls whose cost is compared, from small to large.
const HALLS: [(u32, u32); 4] = [(10, 10), (25, 40), (50, 200), (150, 400)];
/// Numbers of performances whose cost is compared, each with a hall that has seats enough for the load.
const PERFORMANCES: [(usize, (u32, u32)); 3] = [(1, HOT_HALL), (100, (20, 30)), (10_000, (10, 10))];
/// Holds of a round of these comparisons.
const GROWTH_HOLDS: usize = 5_000;
/// Holds of one client in one hall, each given back.
const HALL_HOLDS: usize = 1_000;

/// Who holds what: hold `k` is the `k / performances`th of its performance.
struct Plan {
    paths: Vec<String>,
    tokens: Vec<String>,
    holds: usize,
    status: u16,
    next: AtomicUsize,
}

impl Plan {
    /// Holds in turn over these performances, each by the next of the buyers.
    fn new(performances: &[PerformanceId], tokens: Vec<String>, holds: usize) -> Self {
        Self {
            paths: performances.iter().map(holds_path).collect(),
            tokens,
            holds,
            status: 201,
            next: AtomicUsize::new(0),
        }
    }

    /// The same seats again, which are all taken, by others.
    fn refused(performances: &[PerformanceId], tokens: Vec<String>, holds: usize) -> Self {
        Self { status: 409, ..Self::new(performances, tokens, holds) }
    }
}

/// What a load came to, with the processor time each hold took where.
struct Load {
    measured: Measured,
    coordinator_us: f64,
    redis_us: f64,
    client_us: f64,
    /// Cost of a hold in the last fifth of the load by that in the first: more than 1 where a fuller hall is dearer.
    last_to_first: f64,
}

/// Runs it.
pub(crate) async fn run() -> Report {
    let machine = machine();
    let ground = Ground::start("holds", Profile::Distributed).await;
    let platform = ground.platform();
    let (redis, mysql) = (platform.redis_url().expect("Redis"), platform.mysql_url().expect("MariaDB"));
    let seats = ROUNDS * (SEED_BOOKINGS + UPDATE_BOOKINGS) * SEATS;
    let rivals = Rivals::prepare(redis, mysql, COMPARED, seats).await;
    let mut results = Vec::new();

    // Warm: code paged in, connections of the pools made.
    load(&ground, Plan::new(&hot(&ground).await, ground.tokens(HOT_HOLDS), HOT_HOLDS), COMPARED).await;

    let mut bare = Vec::new();
    let (mut ours, mut over_many, mut known) = (Vec::new(), Vec::new(), Vec::new());
    let (mut refusals, mut sold_out) = (Vec::new(), Vec::new());
    let (mut seed, mut updates) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        eprintln!("holds: round {round} of {ROUNDS}");
        bare.push(rivals.bare_script(COMPARED).await);
        let performance = hot(&ground).await;
        let tokens = ground.tokens(HOT_HOLDS);
        ours.push(load(&ground, Plan::new(&performance, tokens.clone(), HOT_HOLDS), COMPARED).await);
        sold_out.push(load(&ground, Plan::refused(&performance, ground.tokens(HOT_HOLDS), HOT_HOLDS), COMPARED).await);
        let half = hot(&ground).await;
        load(&ground, Plan::new(&half, ground.tokens(HALF_HOLDS), HALF_HOLDS), COMPARED).await;
        refusals.push(load(&ground, Plan::refused(&half, ground.tokens(HALF_HOLDS), HALF_HOLDS), COMPARED).await);
        known.push(load(&ground, Plan::new(&hot(&ground).await, tokens, HOT_HOLDS), COMPARED).await);
        let many = ground.performances(MANY_HALL.0, MANY_HALL.1, MANY).await;
        over_many.push(load(&ground, Plan::new(&many, ground.tokens(HOT_HOLDS), HOT_HOLDS), COMPARED).await);
        seed.push(rivals.seed_protocol(COMPARED, SEED_BOOKINGS).await.per_second());
        updates.push(rivals.conditional_updates(COMPARED, UPDATE_BOOKINGS).await.per_second());
    }
    for clients in CLIENTS.into_iter().filter(|&n| n != COMPARED) {
        eprintln!("holds: {clients} clients");
        let holds = if clients == 1 { SINGLE_HOLDS } else { HOT_HOLDS };
        let alone = load(&ground, Plan::new(&hot(&ground).await, ground.tokens(holds), holds), clients).await;
        results.extend(alone.measured.figures(&format!("hold_hot_{clients}_clients")));
        let many = ground.performances(MANY_HALL.0, MANY_HALL.1, MANY).await;
        let wide = load(&ground, Plan::new(&many, ground.tokens(holds), holds), clients).await;
        results.extend(wide.measured.figures(&format!("hold_over_{MANY}_{clients}_clients")));
    }

    let of = |loads: &[Load], figure: fn(&Load) -> f64| median(loads.iter().map(figure).collect());
    let rate = |loads: &[Load]| of(loads, |l| l.measured.per_second());
    let mut add = |what: String, unit, value| results.push(Figure::new(what, unit, value));
    for (name, loads) in [("hot", &ours), ("hot_known_tokens", &known), (&*format!("over_{MANY}"), &over_many)] {
        add(format!("hold_{name}_{COMPARED}_clients_rps"), "1/s", rate(loads));
        add(format!("hold_{name}_{COMPARED}_clients_p50"), "ms", of(loads, |l| l.measured.p50_ms()));
        add(format!("hold_{name}_{COMPARED}_clients_p99"), "ms", of(loads, |l| l.measured.p99_ms()));
        add(format!("hold_{name}_coordinator_cpu"), "us", of(loads, |l| l.coordinator_us));
        add(format!("hold_{name}_redis_cpu"), "us", of(loads, |l| l.redis_us));
        add(format!("hold_{name}_client_cpu"), "us", of(loads, |l| l.client_us));
    }
    add("hold_hot_last_to_first_fifth_cost".to_owned(), "ratio", of(&ours, |l| l.last_to_first));
    add("refusal_rps".to_owned(), "1/s", rate(&refusals));
    add("refusal_p99".to_owned(), "ms", of(&refusals, |l| l.measured.p99_ms()));
    add("refusal_sold_out_rps".to_owned(), "1/s", rate(&sold_out));
    add("refusal_coordinator_cpu".to_owned(), "us", of(&refusals, |l| l.coordinator_us));
    add("refusal_redis_cpu".to_owned(), "us", of(&refusals, |l| l.redis_us));
    add("bare_script_rps".to_owned(), "1/s", median(bare.clone()));
    add("seed_protocol_rps".to_owned(), "1/s", median(seed.clone()));
    add("conditional_update_rps".to_owned(), "1/s", median(updates.clone()));
    let ratio = |ours: &[Load], others: &[f64]| {
        median(ours.iter().zip(others).map(|(load, other)| load.measured.per_second() / other).collect())
    };
    add("ratio_to_bare_script".to_owned(), "ratio", ratio(&ours, &bare));
    add("ratio_to_bare_script_known_tokens".to_owned(), "ratio", ratio(&known, &bare));
    add("ratio_to_seed_protocol".to_owned(), "ratio", ratio(&ours, &seed));
    add("ratio_to_conditional_update".to_owned(), "ratio", ratio(&ours, &updates));
    add(format!("p99_ms_{COMPARED}_clients"), "ms", of(&ours, |l| l.measured.p99_ms()));
    for (name, refusals) in [("refusal_to_success_cost", &refusals), ("refusal_sold_out_to_success_cost", &sold_out)] {
        let cost = ours.iter().zip(refusals).map(|(ours, no)| ours.measured.per_second() / no.measured.per_second());
        add(name.to_owned(), "ratio", median(cost.collect()));
    }

    results.extend(growth(&ground).await);
    drop(ground);
    results.extend(growth_in_memory().await);

    Report {
        name: "holds",
        commit: commit(),
        profile: Profile::Distributed.to_string(),
        work: json!({
            "machine": machine, "seats_per_hold": SEATS, "rounds": ROUNDS, "hot_performance_seats": HOT_HALL.0 * HOT_HALL.1,
            "holds_per_load": HOT_HOLDS, "holds_of_a_single_client": SINGLE_HOLDS, "clients": CLIENTS,
            "performances_of_the_other_load": MANY, "bare_script_calls": BARE_CALLS, "seed_protocol_bookings": SEED_BOOKINGS,
            "conditional_update_bookings": UPDATE_BOOKINGS,
            "tokens": "each hold another buyer's, never seen before; known_tokens: each seen once before",
            "medians": "each compared figure is the middle one of the rounds; a round takes all sides one after the other",
        }),
        results,
        baseline: "the same Redis and MariaDB at the same number of clients without HTTP: a script that checks and sets four bits and adds to \
                   a stream, under redis-benchmark; a fair lock, a read and an update for each seat; four conditional updates in a transaction",
    }
}

/// The cost of a hold by the size of the hall and by the number of performances.
async fn growth(ground: &Ground) -> Vec<Figure> {
    let mut results = Vec::new();
    let mut halls = Vec::new();
    for (rows, seats_per_row) in HALLS {
        halls.push((rows * seats_per_row, ground.performances(rows, seats_per_row, 1).await));
    }
    let mut costs = vec![Vec::new(); halls.len()];
    for _ in 0..ROUNDS {
        for ((_, performance), costs) in halls.iter().zip(&mut costs) {
            let token = ground.tokens(1).remove(0);
            costs.push(held_and_given_back(&ground.origin, &performance[0], &token, false).await.p50_ms() * 1000.0);
        }
    }
    let costs: Vec<f64> = costs.into_iter().map(median).collect();
    for ((seats, _), cost) in halls.iter().zip(&costs) {
        results.push(Figure::new(format!("growth_{seats}_seats_p50"), "us", *cost));
    }
    let ends = |costs: &[f64]| costs.last().zip(costs.first()).map_or(0.0, |(last, first)| last / first);
    results.push(Figure::new("growth_60000_to_100_seats_cost", "ratio", ends(&costs)));

    let mut costs = Vec::new();
    for (many, hall) in PERFORMANCES {
        eprintln!("holds: over {many} performances");
        let all = ground.performances(hall.0, hall.1, many).await;
        let mut rounds = Vec::new();
        for round in 0..ROUNDS {
            let from = round * GROWTH_HOLDS;
            let plan = Plan::new(&all, ground.tokens(GROWTH_HOLDS), from + GROWTH_HOLDS);
            rounds.push(load(ground, Plan { next: AtomicUsize::new(from), ..plan }, COMPARED).await);
        }
        let name = format!("growth_{many}_performances");
        let of = |figure: fn(&Load) -> f64| median(rounds.iter().map(figure).collect());
        costs.push(1_000_000.0 / of(|l| l.measured.per_second()));
        results.push(Figure::new(format!("{name}_cost"), "us", costs.last().copied().unwrap_or(0.0)));
        results.push(Figure::new(format!("{name}_p99"), "ms", of(|l| l.measured.p99_ms())));
        results.push(Figure::new(format!("{name}_coordinator_cpu"), "us", of(|l| l.coordinator_us)));
        results.push(Figure::new(format!("{name}_redis_cpu"), "us", of(|l| l.redis_us)));
    }
    results.push(Figure::new("growth_10000_to_1_performances_cost", "ratio", ends(&costs)));
    results
}

/// The cost of a hold that is given back, in memory, by the number of performances the process has.
async fn growth_in_memory() -> Vec<Figure> {
    let ground = Ground::start("holds-memory", Profile::Embedded).await;
    let (mut results, mut costs, mut performances) = (Vec::new(), Vec::new(), Vec::new());
    for (many, _) in PERFORMANCES {
        let (rows, seats_per_row) = HALLS[0];
        performances.extend(ground.performances(rows, seats_per_row, many - performances.len()).await);
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let token = ground.tokens(1).remove(0);
            rounds.push(held_and_given_back(&ground.origin, &performances[0], &token, true).await.p50_ms() * 1000.0);
        }
        costs.push(median(rounds));
        let name = format!("growth_in_memory_{many}_performances_p50");
        results.push(Figure::new(name, "us", costs.last().copied().unwrap_or(0.0)));
    }
    let ends = costs.last().zip(costs.first()).map_or(0.0, |(last, first)| last / first);
    results.push(Figure::new("growth_in_memory_10000_to_1_performances_cost", "ratio", ends));
    results
}

/// A new performance in the hot hall.
async fn hot(ground: &Ground) -> Vec<PerformanceId> {
    ground.performances(HOT_HALL.0, HOT_HALL.1, 1).await
}

fn holds_path(id: &PerformanceId) -> String {
    format!("/api/v1/performances/{id}/holds")
}

/// All the plan's holds by this many clients at once.
async fn load(ground: &Ground, plan: Plan, clients: usize) -> Load {
    let begins = plan.next.load(Ordering::Relaxed);
    let plan = Arc::new(plan);
    let mut wires = Vec::with_capacity(clients);
    for _ in 0..clients {
        wires.push(Wire::open(&ground.origin).await);
    }
    let cpu = || (ground.cpu(Service::Coordinator), ground.cpu(Service::Redis), Cpu::own());
    let before = cpu();
    let begun = Instant::now();
    let ends = Arc::new(std::sync::Mutex::new(vec![Duration::ZERO; plan.holds - begins]));
    let running = wires.into_iter().enumerate().map(|(number, wire)| {
        let (plan, ends) = (Arc::clone(&plan), Arc::clone(&ends));
        client(number, wire, plan, move |k| {
            ends.lock().expect("no client panics with it")[k - begins] = begun.elapsed();
        })
    });
    let measured = Measured::of(running.collect()).await;
    let after = cpu();
    let mut ends = std::mem::take(&mut *ends.lock().expect("no client panics with it"));
    ends.sort_unstable();
    let fifth = ends.len() / 5;
    let first = ends.get(fifth).copied().unwrap_or_default();
    let last = measured.whole().saturating_sub(ends.get(ends.len() - 1 - fifth).copied().unwrap_or_default());
    let n = measured.operations();
    Load {
        coordinator_us: (after.0 - before.0).us_per(n),
        redis_us: (after.1 - before.1).us_per(n),
        client_us: (after.2 - before.2).us_per(n),
        last_to_first: last.as_secs_f64() / first.as_secs_f64(),
        measured,
    }
}

async fn client(number: usize, mut wire: Wire, plan: Arc<Plan>, done: impl Fn(usize)) -> Vec<Duration> {
    let mut taken = Vec::with_capacity(plan.holds);
    loop {
        let k = plan.next.fetch_add(1, Ordering::Relaxed);
        if k >= plan.holds {
            return taken;
        }
        let first = k / plan.paths.len() * SEATS;
        let body = format!("{{\"seats\":[{first},{},{},{}]}}", first + 1, first + 2, first + 3);
        let key = format!("bench-{}-{number}-{k}", plan.status);
        let begun = Instant::now();
        let ask = post(&plan.paths[k % plan.paths.len()], &plan.tokens[k % plan.tokens.len()], &key, &body);
        wire.send(ask).await.expect_status(plan.status);
        taken.push(begun.elapsed());
        done(k);
    }
}

/// One client that holds the same seats again and again; the giving back is timed too where `both` says so.
async fn held_and_given_back(origin: &str, performance: &PerformanceId, token: &str, both: bool) -> Measured {
    let (mut wire, path, token) = (Wire::open(origin).await, holds_path(performance), token.to_owned());
    let client = async move {
        let mut times = Vec::with_capacity(HALL_HOLDS);
        for _ in 0..HALL_HOLDS {
            let key = nugul_tests::new_key();
            let begun = Instant::now();
            let hold: Hold = wire.send(post(&path, &token, &key, r#"{"seats":[0,1,2,3]}"#)).await.expect(201);
            let held = begun.elapsed();
            let (path, key) = (format!("/api/v1/holds/{}", hold.id), nugul_tests::new_key());
            let ask = Ask { method: "DELETE", path: &path, token: &token, key: &key, ..Ask::default() };
            wire.send(ask).await.expect_status(204);
            times.push(if both { begun.elapsed() } else { held });
        }
        times
    };
    Measured::of(vec![client]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_has_seats_enough() {
        let seats = |hall: (u32, u32)| (hall.0 * hall.1) as usize;
        assert_eq!(seats(HOT_HALL), HOT_HOLDS * SEATS);
        assert_eq!(seats(MANY_HALL) * MANY, HOT_HOLDS * SEATS);
        for (many, hall) in PERFORMANCES {
            let blocks = (GROWTH_HOLDS * ROUNDS).div_ceil(many);
            assert!(blocks * SEATS <= seats(hall), "{many} performances");
        }
    }
}
