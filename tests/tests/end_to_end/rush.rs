//! Sales open: two hundred clients after the same fifty seats at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use nugul_api::{Code, Problem, booking::Hold, seats::SeatSnapshot};
use nugul_domain::{PerformanceId, SeatIndex, SeatState, UserId};
use nugul_tests::{
    Api, SeatLog, World,
    people::{crowd, new_performance},
};
use serde_json::json;

const ROWS: u32 = 5;
const SEATS_PER_ROW: u32 = 10;
const SEATS: u32 = ROWS * SEATS_PER_ROW;
const CLIENTS: usize = 200;
/// Some buyers come with two clients, as people do who have several tabs open.
const BUYERS: usize = 150;
/// The most seats a buyer may have of a performance.
const SEATS_PER_BUYER_MAX: usize = 4;
const FRAME_LIMIT: Duration = Duration::from_secs(30);

/// Tries its favourite pair first, then single seats it does not know to be taken, until it has some or none are left.
async fn client(
    (user, api): (UserId, Api),
    id: PerformanceId,
    number: u32,
    taken: Arc<Mutex<BTreeSet<SeatIndex>>>,
) -> Option<(UserId, Hold)> {
    let favourite = (number * 13) % (SEATS - 1);
    let mut wanted = vec![favourite, favourite + 1];
    loop {
        let answer = api.post(&format!("performances/{id}/holds"), &json!({ "seats": wanted })).await;
        if answer.status == 201 {
            let hold: Hold = answer.expect(201);
            assert_eq!(hold.seats.iter().map(|s| s.index).collect::<Vec<_>>(), wanted);
            taken.lock().expect("whole").extend(&wanted);
            return Some((user, hold));
        }
        let problem: Problem = answer.expect(Code::SeatsTaken.status());
        if problem.code == Code::SeatLimit {
            return None;
        }
        let conflict: Vec<_> = answer.refused(Code::SeatsTaken).seats.iter().map(|s| s.index).collect();
        assert!(!conflict.is_empty() && conflict.iter().all(|i| wanted.contains(i)), "{conflict:?} of {wanted:?}");
        let mut known = taken.lock().expect("whole");
        known.extend(&conflict);
        let next = (0..SEATS).map(|k| (favourite + k) % SEATS).find(|i| !known.contains(i))?;
        wanted = vec![next];
    }
}

#[tokio::test]
async fn every_seat_goes_to_one_buyer_and_the_stream_tells_in_which_order() {
    let world = World::shared();
    let api = world.api();
    let id = new_performance(&api, ROWS, SEATS_PER_ROW).await;
    let buyers = crowd(world, &api, BUYERS);
    let mut log = SeatLog::begin(world.api().seat_stream(id, None).await, FRAME_LIMIT).await;
    let taken = Arc::default();
    let everyone: Vec<_> = (buyers.iter().cycle().take(CLIENTS).zip(0..))
        .map(|(buyer, number)| tokio::spawn(client(buyer.clone(), id, number, Arc::clone(&taken))))
        .collect();
    let mut holds = Vec::new();
    for one in everyone {
        holds.extend(one.await.expect("a client"));
    }

    // Every seat once, nobody over the limit.
    let mut of_seat = BTreeMap::new();
    let mut of_user = BTreeMap::<UserId, usize>::new();
    for (user, hold) in &holds {
        *of_user.entry(*user).or_default() += hold.seats.len();
        for seat in &hold.seats {
            assert_eq!(of_seat.insert(seat.index, hold.id), None, "seat {} went to two", seat.index);
        }
    }
    assert_eq!(of_seat.len(), SEATS as usize, "every seat is held");
    assert!(of_user.values().all(|&n| n <= SEATS_PER_BUYER_MAX), "{of_user:?}");
    let snapshot: SeatSnapshot = api.get(&format!("performances/{id}/seats")).await.expect(200);
    assert_eq!(snapshot.unpack(), Some(vec![SeatState::Held; SEATS as usize]));

    // The stream: every hold whole, in the order of their fencing numbers, without a gap. Those made together are one step.
    log.until(FRAME_LIMIT, |log| log.seats.iter().all(|s| *s == SeatState::Held)).await;
    holds.sort_by_key(|(_, hold)| hold.fence);
    let mut granted = holds.iter().map(|(_, hold)| hold.seats.iter().map(|s| s.index).collect::<Vec<_>>());
    for (version, step) in &log.changes {
        let told: Vec<SeatIndex> = step.iter().map(|(seat, _)| *seat).collect();
        let mut whole = Vec::new();
        while whole.len() < told.len() {
            whole.extend(granted.next().expect("no more is told than was held"));
        }
        assert_eq!(told, whole, "the step to {version}");
    }
    assert_eq!(granted.next(), None, "a hold was not told");
    assert_eq!(log.version, snapshot.version);
}
