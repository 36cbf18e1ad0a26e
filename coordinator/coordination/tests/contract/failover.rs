//! A master dies, or hangs, while seats are held: what the store promises afterwards.
//!
//! The test plays the coordinator: it makes the book from its own list of orders whenever it is not loaded, and follows the
//! changes as a seat stream does.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use nugul_platform::{Redis, redis_command, wait_until};

use super::*;

const SEATS: u32 = 40_000;
const BUYERS: u32 = 8;
/// The pause of a buyer between two holds: the seats last for as long as a fail-over may take.
const BUYER_PAUSE: Duration = Duration::from_millis(15);
/// Holds that are made before something happens.
const HOLDS_BEFORE: usize = 200;
/// Holds that show that the store serves again.
const HOLDS_AFTER: usize = 200;
/// Every so many holds become an order.
const ORDERED_EVERY: u32 = 3;
/// How long the store may be away: noticing takes two seconds, electing one or two, and the machine may be busy.
const AWAY_MAX: Duration = Duration::from_secs(30);
/// How long the set may take until all of it is in step again.
const WHOLE_MAX: Duration = Duration::from_mins(1);

/// What the coordinator's SQL would know.
#[derive(Default)]
struct Sql {
    claims: Vec<Claim>,
    fence: i64,
}

struct Sale {
    seats: Seats,
    performance: PerformanceId,
    sql: Mutex<Sql>,
    /// Holds that were answered, in the order of their answers.
    holds: Mutex<Vec<Hold>>,
    next: AtomicU32,
    over: std::sync::atomic::AtomicBool,
}

/// The operation, on a book that is loaded first where it is not.
macro_rules! loaded {
    ($sale:expr, $operation:expr) => {
        match $operation.await {
            Err(Error::NotLoaded) => match $sale.load().await {
                Ok(()) => $operation.await,
                Err(e) => Err(e),
            },
            other => other,
        }
    };
}

/// What SQL has of an ordered seat.
fn claim(seat: u32, hold: &Hold, order: OrderId) -> Claim {
    Claim { seat, sold: false, order, hold: hold.id, user: hold.user, fence: hold.fence }
}

impl Sale {
    async fn load(&self) -> Result<(), Error> {
        let (claims, fence) = {
            let sql = self.sql.lock().unwrap();
            (sql.claims.clone(), sql.fence)
        };
        let load = Load { seat_count: SEATS, claims, blocked: Vec::new(), fence_floor: fence };
        self.seats.load(self.performance, load).await
    }

    fn over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn held(&self) -> usize {
        self.holds.lock().unwrap().len()
    }

    /// Holds seat after seat, and orders some.
    async fn buyer(self: Arc<Self>, buyer: u32) {
        while !self.over() {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let request = HoldRequest { limit: SEATS as usize, ..ask(n, buyer, &[n % SEATS]) };
            let hold = loop {
                match loaded!(self, self.seats.hold(self.performance, request.clone())) {
                    Ok(Ok(hold)) => break Some(hold),
                    Ok(Err(refusal)) => panic!("{refusal:?}"),
                    // As a client does: the same request with the same key, until there is an answer.
                    Err(Error::Unavailable(_) | Error::NotLoaded) if !self.over() => tokio::time::sleep(PAUSE).await,
                    Err(Error::Unavailable(_) | Error::NotLoaded) => break None,
                    Err(other) => panic!("{other}"),
                }
            };
            let Some(hold) = hold else { return };
            self.holds.lock().unwrap().push(hold.clone());
            tokio::time::sleep(BUYER_PAUSE).await;
            if n.is_multiple_of(ORDERED_EVERY) {
                let ordered = loaded!(self, self.seats.order(self.performance, hold.id, user(buyer), order_id(n)));
                if let Ok(Ok(ordered)) = ordered {
                    let mut sql = self.sql.lock().unwrap();
                    sql.claims.extend(ordered.seats.iter().map(|&seat| claim(seat, &ordered, order_id(n))));
                    sql.fence = sql.fence.max(ordered.fence);
                }
            }
        }
    }

    /// Follows the changes; what it has at the end, and its version.
    async fn reader(self: Arc<Self>) -> (i64, Vec<SeatState>) {
        let mut at: Option<(i64, Vec<SeatState>)> = None;
        loop {
            let over = self.over();
            let known = at.as_ref().map_or(0, |(version, _)| *version);
            match loaded!(self, self.seats.changes_after(self.performance, known)) {
                Ok(Some(changes)) => {
                    let (version, states) = at.as_mut().expect("a snapshot comes first");
                    for change in changes {
                        assert_eq!(change.version, *version + 1, "no gap");
                        *version = change.version;
                        change.seats.iter().for_each(|&(seat, state)| states[seat as usize] = state);
                    }
                    if over {
                        return at.unwrap();
                    }
                }
                Ok(None) => {
                    if let Ok(snapshot) = loaded!(self, self.seats.snapshot(self.performance)) {
                        assert!(snapshot.version >= known, "{} came after {known}", snapshot.version);
                        at = Some((snapshot.version, snapshot.seats));
                    }
                }
                Err(Error::Unavailable(_) | Error::NotLoaded) => {}
                Err(other) => panic!("{other}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn until_held(&self, count: usize, within: Duration) {
        let end = Instant::now() + within;
        while self.held() < count {
            assert!(Instant::now() < end, "{} of {count} holds within {within:?}", self.held());
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The server that has the performance's book.
fn master_of(server: &Server, p: PerformanceId) -> usize {
    let mut found = None;
    let has = |index: &usize| {
        let asked = redis_command(server.set.port(*index).unwrap(), &["EXISTS", &format!("nugul:{{{p}}}:meta")]);
        asked.is_ok_and(|answer| answer == ["1"])
    };
    assert!(wait_until(AWAY_MAX, || {
        found = server.set.masters().into_iter().find(has);
        found.is_some()
    }));
    found.unwrap()
}

enum Fault {
    Dies,
    Hangs,
}

async fn outlives(kind: Redis) {
    let mut server = Server::start(kind);
    for (n, fault) in [(1, Fault::Dies), (2, Fault::Hangs)] {
        let sale = Arc::new(Sale {
            seats: server.seats().await,
            performance: performance(n),
            sql: Mutex::default(),
            holds: Mutex::default(),
            next: AtomicU32::new(0),
            over: false.into(),
        });
        sale.load().await.unwrap();
        let reading = tokio::spawn(Arc::clone(&sale).reader());
        let buying: Vec<_> = (0..BUYERS).map(|buyer| tokio::spawn(Arc::clone(&sale).buyer(buyer))).collect();
        sale.until_held(HOLDS_BEFORE, BOUND).await;

        let master = master_of(&server, sale.performance);
        match fault {
            Fault::Dies => server.set.kill(master).unwrap(),
            Fault::Hangs => server.set.pause(master).unwrap(),
        }
        let (before, began) = (sale.held(), Instant::now());
        // Answers that were under way may still come in; those of the new master follow.
        sale.until_held(before + BUYERS as usize + 1, AWAY_MAX).await;
        eprintln!("{kind}: answered again after {:?}", began.elapsed());
        sale.until_held(before + BUYERS as usize + HOLDS_AFTER, AWAY_MAX).await;
        // A former master that comes back gives way, and nobody is answered by it.
        match fault {
            Fault::Dies => server.set.restart(master).unwrap(),
            Fault::Hangs => server.set.resume(master).unwrap(),
        }
        assert!(wait_until(WHOLE_MAX, || server.set.is_whole()), "{kind} is whole again");
        sale.over.store(true, Ordering::Relaxed);
        for one in buying {
            one.await.unwrap();
        }
        let (read_version, read) = reading.await.unwrap();

        // Fences: whatever was answered after the new master took over is above everything from before.
        let holds = sale.holds.lock().unwrap().clone();
        let highest = holds[..before].iter().map(|h| h.fence).max().unwrap();
        assert!(holds[before + BUYERS as usize..].iter().all(|h| h.fence > highest));
        let fences: BTreeSet<i64> = holds.iter().map(|h| h.fence).collect();
        assert_eq!(fences.len(), holds.len(), "no fence twice");

        // The reader has what the store has.
        let snapshot = loaded!(sale, sale.seats.snapshot(sale.performance)).unwrap();
        assert_eq!((read_version, &read), (snapshot.version, &snapshot.seats));

        // Each seat is as the holds that are still there, and SQL's orders, say.
        let mut taken: BTreeSet<SeatIndex> = sale.sql.lock().unwrap().claims.iter().map(|c| c.seat).collect();
        let mut there = BTreeSet::new();
        for hold in &holds {
            if let Some((p, found)) = sale.seats.find_hold(hold.id).await.unwrap() {
                assert_eq!((p, found.fence, &found.seats), (sale.performance, hold.fence, &hold.seats));
                assert!(found.seats.iter().all(|&seat| there.insert(seat)), "a seat is held twice");
            }
        }
        assert!(there.len() >= HOLDS_AFTER, "{}", there.len());
        taken.extend(there);
        let held: BTreeSet<SeatIndex> =
            (0..SEATS).filter(|&seat| snapshot.seats[seat as usize] == SeatState::Held).collect();
        assert_eq!(held, taken);

        // A reader from before starts anew rather than from changes of another history.
        for hold in holds[..before].iter().take(HOLDS_BEFORE) {
            assert_eq!(sale.seats.changes_after(sale.performance, hold.fence).await, Ok(None));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_master_behind_sentinels_is_replaced() {
    outlives(Redis::Sentinel).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_master_of_a_cluster_is_replaced() {
    outlives(Redis::Cluster).await;
}

/// A server that starts again with what it last wrote to disk lacks what came after.
#[tokio::test]
async fn a_server_that_comes_back_with_old_data_is_loaded_again() {
    let mut server = Server::start(Redis::Single);
    let port = server.set.port(0).unwrap();
    let seats = server.seats().await;
    let (p, base) = opened(&seats, 1, 4).await;
    seats.hold(p, ask(1, 1, &[0])).await.unwrap().unwrap();
    redis_command(port, &["SAVE"]).unwrap();
    let late = seats.hold(p, ask(2, 2, &[1])).await.unwrap().unwrap();
    server.set.restart(0).unwrap();
    assert_eq!(redis_command(port, &["EXISTS", &format!("nugul:{{{p}}}:meta")]).unwrap(), ["1"], "its data is old");
    assert_eq!(seats.snapshot(p).await, Err(Error::NotLoaded));
    let claims = vec![claim(1, &late, order_id(2))];
    let load = Load { seat_count: 4, claims, blocked: Vec::new(), fence_floor: late.fence };
    seats.load(p, load).await.unwrap();
    let after = seats.snapshot(p).await.unwrap();
    assert!(after.version > base + 2);
    assert_eq!(after.seats[..2], [SeatState::Available, SeatState::Held]);
    assert!(seats.hold(p, ask(3, 3, &[0])).await.unwrap().unwrap().fence > late.fence);
    assert_eq!(seats.changes_after(p, base + 1).await, Ok(None));
}

/// What a server found its history to be is believed for a moment and no longer.
#[tokio::test]
async fn a_master_that_was_a_replica_in_between_is_loaded_again() {
    let server = Server::start(Redis::Single);
    let port = server.set.port(0).unwrap();
    let seats = server.seats().await;
    let (p, _) = opened(&seats, 1, 4).await;
    // Of a server that is not there: it keeps its data.
    redis_command(port, &["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    redis_command(port, &["REPLICAOF", "NO", "ONE"]).unwrap();
    let end = Instant::now() + AWAY_MAX;
    while seats.snapshot(p).await != Err(Error::NotLoaded) {
        assert!(Instant::now() < end, "the book of another history is still there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_lost_our_functions_are_given_them_again() {
    for kind in [Redis::Single, Redis::Cluster] {
        let server = Server::shared(kind).await;
        let seats = server.seats().await;
        let (p, _) = opened(&seats, 1, 4).await;
        for index in 0..server.set.servers() {
            // Replicas refuse, and follow their masters.
            let _ = redis_command(server.set.port(index).unwrap(), &["FUNCTION", "FLUSH"]);
        }
        let (one, other) = tokio::join!(seats.hold(p, ask(1, 1, &[0])), seats.hold(p, ask(2, 2, &[1])));
        assert_eq!((one.unwrap().unwrap().seats, other.unwrap().unwrap().seats), (vec![0], vec![1]), "{kind}");
    }
}

/// However many wait, each is told, and may ask again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_for_a_server_that_hangs_is_told_soon() {
    const WAITING: u32 = 1_000;
    // Seconds for two functions; were all waited for in turn, it would be more than a minute.
    const TOLD_MAX: Duration = Duration::from_secs(20);
    let mut server = Server::start(Redis::Single);
    let seats = server.seats().await;
    let (p, _) = opened(&seats, 1, WAITING).await;
    server.set.pause(0).unwrap();
    let mut asked = JoinSet::new();
    for n in 0..WAITING {
        let seats = seats.clone();
        asked.spawn(async move { seats.hold(p, ask(n, n, &[n])).await });
    }
    let told = tokio::time::timeout(TOLD_MAX, asked.join_all()).await.expect("each is told");
    assert!(told.iter().all(|answer| matches!(answer, Err(Error::Unavailable(_)))));
    server.set.resume(0).unwrap();
    let end = Instant::now() + AWAY_MAX;
    let again = loop {
        match seats.hold(p, ask(7, 7, &[7])).await {
            Err(Error::Unavailable(_)) if Instant::now() < end => tokio::time::sleep(PAUSE).await,
            answer => break answer,
        }
    };
    assert_eq!(again.unwrap().unwrap().seats, [7]);
}

#[tokio::test]
async fn a_bad_url_is_refused_before_anything_is_tried() {
    for bad in ["redis+cluster://here", "redis+sentinel://here:1", "ftp://here:1"] {
        assert!(matches!(Seats::redis(bad).await, Err(Error::Url(_))), "{bad}");
    }
}
