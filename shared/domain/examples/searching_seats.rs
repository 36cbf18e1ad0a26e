//! What the searches for seats cost in a full stadium, where nothing ends them early:
//! `cargo run --release -p nugul-domain --example searching_seats`.

use std::time::Instant;

use nugul_domain::{FreeSeats, Grade, Krw, SeatIndex, SeatMap, seat_map::nearest_alternative};

const ROUNDS: u32 = 20;

fn main() {
    let grade = Grade { grade: "R".into(), price_krw: Krw(1), rows: 150, seats_per_row: 400 };
    let Ok(stadium) = SeatMap::new(vec![grade]) else { return eprintln!("no such hall") };
    let last_four = stadium.seat_count() - 4;
    // Every second seat is free, and four together in the last corner.
    let is_free = |i: SeatIndex| i.is_multiple_of(2) || i >= last_four;
    // Ten pairs where only nine fit: all placings are tried in vain.
    let pairs: Vec<_> = (0..10).flat_map(|k| [k * 4, k * 4 + 1]).collect();
    timed("best adjacent, in the last corner", || stadium.best_adjacent("R", 4, is_free));
    let free = FreeSeats::new(stadium.seat_count(), is_free);
    timed("nearest alternative, in the last corner", || nearest_alternative(&stadium, &[0, 1, 2, 3], &free));
    let half = FreeSeats::new(stadium.seat_count(), |i| i >= stadium.seat_count() / 2);
    timed("nearest alternative, half a hall away", || nearest_alternative(&stadium, &[0, 1, 2, 3], &half));
    let nine = FreeSeats::new(stadium.seat_count(), |i| i < 27 && i % 3 != 2);
    timed("nearest alternative, in vain", || nearest_alternative(&stadium, &pairs, &nine));
}

fn timed(what: &str, search: impl Fn() -> Option<Vec<SeatIndex>>) {
    let began = Instant::now();
    let found = (0..ROUNDS).filter(|_| search().is_some()).count();
    println!("{what}: {:?} each, found {found} of {ROUNDS} times", began.elapsed() / ROUNDS);
}
