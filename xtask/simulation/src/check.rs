//! What must hold: after every step, and at the end when everything has come to rest.

use std::collections::BTreeMap;

use nugul_coordination::{Error, Seats};
use nugul_coordinator::db::Db;
use nugul_domain::{HoldId, PerformanceId, SeatState};
use sqlx::{AnyPool, Row};
use uuid::Uuid;

use crate::{
    ground::{Ground, SEATS_MAX},
    process::Stores,
    toss,
    world::{now_ms, reach, with},
};

/// What is wrong, as a sentence.
pub type Checked = Result<(), String>;

/// A reader of a performance's change stream.
struct Reader {
    performance: PerformanceId,
    /// The version it has, and the seats.
    seen: Option<(i64, Vec<SeatState>)>,
    /// The live state was lost since it last looked.
    lost: bool,
}

/// A performance and a seat of it, as SQL has them.
type SeatKey = (Vec<u8>, i64);
/// The fence of a seat's claim, and whose it is.
type LastClaim = (i64, Option<Vec<u8>>);

/// Everything that is watched from step to step.
pub struct Checks {
    readers: Vec<Reader>,
    /// Holds by whether they were seen before they became an order.
    holds: BTreeMap<HoldId, bool>,
    claims: BTreeMap<SeatKey, LastClaim>,
}

fn sql(e: &sqlx::Error) -> String {
    format!("the check's own query failed: {e}")
}

async fn rows<T>(
    pool: &AnyPool,
    query: &'static str,
    read: impl Fn(&sqlx::any::AnyRow) -> Result<T, sqlx::Error>,
) -> Result<Vec<T>, String> {
    let rows = sqlx::query(query).fetch_all(pool).await.map_err(|e| sql(&e))?;
    rows.iter().map(read).collect::<Result<_, _>>().map_err(|e| sql(&e))
}

impl Checks {
    /// Nothing seen yet.
    pub fn new(performances: &[PerformanceId]) -> Self {
        let readers = performances.iter().map(|&performance| Reader { performance, seen: None, lost: false });
        Self { readers: readers.collect(), holds: BTreeMap::new(), claims: BTreeMap::new() }
    }

    /// The live state was lost.
    pub fn lost(&mut self) {
        for reader in &mut self.readers {
            reader.lost = true;
        }
        self.holds.clear();
    }

    /// A hold was made.
    pub fn held(&mut self, hold: HoldId) {
        self.holds.entry(hold).or_default();
    }

    /// After every step.
    pub async fn step(&mut self, seats: &Seats) -> Checked {
        for reader in &mut self.readers {
            reader.follow(seats).await?;
        }
        let mut over = Vec::new();
        for (&id, seen) in &mut self.holds {
            match seats.find_hold(id).await.map_err(|e| e.to_string())? {
                Some((_, hold)) if hold.order.is_none() => *seen = true,
                Some((_, hold)) if *seen && hold.until.as_millis() <= now_ms() => {
                    return Err(format!("hold {id} became an order after its end"));
                }
                Some(_) | None => over.push(id),
            }
        }
        for id in over {
            self.holds.remove(&id);
        }
        Ok(())
    }

    /// After every step that wrote to the coordinators' SQL.
    pub async fn claims(&mut self, db: &Db) -> Checked {
        let query = "SELECT performance_id, seat, fence, order_id FROM seat_claims";
        let all = rows(db.pool(), query, |r| {
            Ok(((r.try_get::<Vec<u8>, _>(0)?, r.try_get::<i64, _>(1)?), (r.try_get(2)?, r.try_get(3)?)))
        });
        for (seat, now) in all.await? {
            if let Some((fence, order)) = self.claims.get(&seat) {
                let (new_fence, new_order): &LastClaim = &now;
                if new_fence < fence {
                    return Err(format!("the fence of seat {} fell from {fence} to {new_fence}", seat.1));
                }
                if new_order.is_some() && new_order != order && new_fence <= fence {
                    return Err(format!("seat {} was claimed anew with its old fence {fence}", seat.1));
                }
                if new_order.is_some() && order.is_some() && new_order != order {
                    return Err(format!("seat {} went from one order to another", seat.1));
                }
            }
            self.claims.insert(seat, now);
        }
        let query = "SELECT seat FROM tickets WHERE live = 1 GROUP BY performance_id, seat HAVING COUNT(*) > 1";
        if let Some(seat) = rows(db.pool(), query, |r| r.try_get::<i64, _>(0)).await?.first() {
            return Err(format!("seat {seat} has two live tickets"));
        }
        self.limits(db).await?;
        let query = "SELECT t.seat FROM tickets t LEFT JOIN seat_claims c ON c.performance_id = t.performance_id \
            AND c.seat = t.seat AND c.order_id = t.order_id AND c.sold = 1 WHERE t.live = 1 AND c.seat IS NULL";
        match rows(db.pool(), query, |r| r.try_get::<i64, _>(0)).await?.first() {
            Some(seat) => Err(format!("seat {seat} is not its ticket's any more, and the money is not on its way")),
            None => Ok(()),
        }
    }

    /// No buyer has ordered and bought more than the limits, and the counts are of what there is.
    async fn limits(&self, db: &Db) -> Checked {
        let query = "SELECT COUNT(*) FROM seat_claims c JOIN orders o ON o.id = c.order_id GROUP BY o.user_id, o.performance_id";
        let of_performance = rows(db.pool(), query, |r| r.try_get::<i64, _>(0)).await?.into_iter().max();
        let query = "SELECT COUNT(*) FROM seat_claims c JOIN orders o ON o.id = c.order_id GROUP BY o.user_id";
        let of_event = rows(db.pool(), query, |r| r.try_get::<i64, _>(0)).await?.into_iter().max();
        if of_performance > Some(SEATS_MAX.0) || of_event > Some(SEATS_MAX.1) {
            return Err(format!("a buyer has {of_performance:?} seats of a performance, {of_event:?} of the event"));
        }
        let query = "SELECT b.seats, (SELECT COUNT(*) FROM seat_claims c JOIN orders o ON o.id = c.order_id \
            JOIN performances p ON p.id = c.performance_id \
            WHERE o.user_id = b.user_id AND b.scope IN (p.id, p.event_id)) FROM buyer_seats b";
        let counts = rows(db.pool(), query, |r| Ok((r.try_get::<i64, _>(0)?, r.try_get::<i64, _>(1)?))).await?;
        match counts.into_iter().find(|(counted, has)| counted != has) {
            Some((counted, has)) => Err(format!("{counted} seats are counted for a buyer who has {has}")),
            None => Ok(()),
        }
    }

    /// When everything has come to rest.
    pub async fn rest(&mut self, stores: &Stores, ground: &Ground) -> Checked {
        self.step(&stores.seats).await?;
        self.claims(&stores.coordinator).await?;
        let pool = stores.coordinator.pool();

        let owed = rows(pool, "SELECT body FROM outbox WHERE done_at IS NULL", |r| r.try_get::<String, _>(0)).await?;
        if let Some(message) = owed.first() {
            return Err(format!("a message was never delivered: {message}"));
        }
        let offset = rows(pool, "SELECT last_offset FROM inbox", |r| r.try_get::<i64, _>(0)).await?;
        let newest = nugul_payment::outbox::newest(&stores.payment).await.map_err(|e| sql(&e))?;
        if offset != [newest] {
            return Err(format!("results up to {newest} were told, those up to {offset:?} are known"));
        }
        let open = "SELECT order_id FROM payments WHERE state IN (2, 5)";
        if !rows(stores.payment.pool(), open, |r| r.try_get::<Vec<u8>, _>(0)).await?.is_empty() {
            return Err("a payment's outcome stays open".into());
        }
        let kinds = "SELECT state || CASE WHEN fee_krw > 0 THEN ', with a fee' ELSE '' END FROM refunds";
        for kind in rows(pool, kinds, |r| r.try_get::<String, _>(0)).await? {
            reach(format!("refund ends {kind}"));
        }
        for _ in rows(pool, "SELECT seat FROM seat_corrections", |r| r.try_get::<i64, _>(0)).await? {
            reach("a seat was put right".into());
        }
        self.money(stores).await?;
        self.seats(stores, ground).await
    }

    /// Orders, tickets and money agree.
    async fn money(&self, stores: &Stores) -> Checked {
        let pool = stores.coordinator.pool();
        let query = "SELECT o.id, o.state, o.total_krw, \
            (SELECT COUNT(*) FROM order_lines l WHERE l.order_id = o.id), \
            (SELECT COUNT(*) FROM tickets t WHERE t.order_id = o.id AND t.live = 1), \
            (SELECT COUNT(*) FROM tickets t WHERE t.order_id = o.id), \
            (SELECT COUNT(*) FROM seat_claims c WHERE c.order_id = o.id), \
            (SELECT COALESCE(SUM(t.price_krw), 0) FROM tickets t WHERE t.order_id = o.id AND t.live = 1), \
            (SELECT COUNT(*) FROM refunds r WHERE r.order_id = o.id AND r.state = 'refunded'), \
            (SELECT COALESCE(SUM(r.fee_krw), 0) FROM refunds r WHERE r.order_id = o.id AND r.state = 'refunded'), \
            (SELECT COUNT(*) FROM refunds r WHERE r.order_id = o.id AND r.state = 'refunding') FROM orders o";
        let orders = rows(pool, query, |r| {
            let id: Vec<u8> = r.try_get(0)?;
            let mut counts = [0i64; 9];
            for (n, count) in counts.iter_mut().enumerate() {
                *count = r.try_get(n + 2)?;
            }
            Ok((Uuid::from_slice(&id).unwrap_or_default(), r.try_get::<String, _>(1)?, counts))
        });
        let payments: Vec<toss::Payment> = with(|w| w.toss.payments.clone());
        let mut worth = 0;
        for (id, state, [total, lines, live, ever, claimed, live_price, refunded, fees, refunding]) in orders.await? {
            let of_order = || payments.iter().filter(|p| p.order == id);
            let charges: u32 = of_order().map(|p| p.charges).sum();
            let kept: i64 = of_order().map(toss::Payment::left_krw).sum();
            let about = format!(
                "order {id} ({state}, {total} won, {lines} seats) has {live} live tickets of {ever} worth {live_price} won, \
                 {refunded} refunds with {fees} won kept, {claimed} seats, {charges} charges and {kept} won at Toss"
            );
            let is_right = match state.as_str() {
                "pending" | "confirming" => return Err(format!("for ever {state}: {about}")),
                "paid" => live > 0 && live + refunded == lines && ever == lines,
                "refunded" => live == 0 && refunded == ever && ever <= lines,
                _ => live == 0 && ever == 0 && refunded == 0,
            };
            if !is_right || charges > 1 || claimed != live || refunding != 0 || kept != live_price + fees {
                return Err(about);
            }
            worth += live_price + fees;
            reach(format!("order ends {state}, charged {charges}, refunded {}", refunded > 0));
        }
        let (sum, held) = nugul_payment::ledger::totals(&stores.payment).await.map_err(|e| sql(&e))?;
        let at_toss: i64 = payments.iter().map(toss::Payment::left_krw).sum();
        if sum != 0 || held != worth || at_toss != worth {
            return Err(format!(
                "the books sum to {sum}, hold {held} won, Toss holds {at_toss} won, live tickets and fees are worth {worth} won"
            ));
        }
        Ok(())
    }

    /// The live state agrees with SQL: a seat is sold where it has a live ticket, and free where not.
    async fn seats(&self, stores: &Stores, ground: &Ground) -> Checked {
        let query = "SELECT performance_id, seat FROM tickets WHERE live = 1";
        let sold =
            rows(stores.coordinator.pool(), query, |r| Ok((r.try_get::<Vec<u8>, _>(0)?, r.try_get::<i64, _>(1)?)));
        let sold = sold.await?;
        let query = "SELECT id FROM performances WHERE cancelled_at IS NOT NULL";
        let cancelled = rows(stores.coordinator.pool(), query, |r| r.try_get::<Vec<u8>, _>(0)).await?;
        if !cancelled.is_empty() {
            reach("a performance was cancelled".into());
        }
        let query = "SELECT reason FROM cancellations WHERE finished_at IS NULL";
        if !rows(stores.coordinator.pool(), query, |r| r.try_get::<String, _>(0)).await?.is_empty() {
            return Err("a cancellation is never finished".into());
        }
        for reader in &self.readers {
            let Some((_, seats)) = &reader.seen else { continue };
            if seats.len() != ground.prices.len() {
                return Err("seats are missing in the live state".into());
            }
            for (n, state) in (0i64..).zip(seats) {
                let is_sold = sold.contains(&(reader.performance.to_bytes(), n));
                let expected = match (is_sold, cancelled.contains(&reader.performance.to_bytes())) {
                    (true, _) => SeatState::Sold,
                    (false, true) => SeatState::Blocked,
                    (false, false) => SeatState::Available,
                };
                if *state != expected {
                    return Err(format!(
                        "seat {n} of {} is {state:?} in the live state and {expected:?} in SQL",
                        reader.performance
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Reader {
    /// Reads on, and compares what it has with a new snapshot.
    async fn follow(&mut self, seats: &Seats) -> Checked {
        let truth = match seats.snapshot(self.performance).await {
            Ok(snapshot) => snapshot,
            Err(Error::NotLoaded) => return Ok(()),
            Err(e) => return Err(e.to_string()),
        };
        let Some((version, have)) = &mut self.seen else {
            self.seen = Some((truth.version, truth.seats));
            return Ok(());
        };
        match seats.changes_after(self.performance, *version).await.map_err(|e| e.to_string())? {
            Some(changes) => {
                for change in changes {
                    if change.version != *version + 1 {
                        return Err(format!("after version {version} came version {}", change.version));
                    }
                    *version = change.version;
                    for (seat, state) in change.seats {
                        let Some(known) = have.get_mut(seat as usize) else {
                            return Err(format!("version {version} changes seat {seat}, which is not there"));
                        };
                        if std::mem::replace(known, state) == state {
                            return Err(format!("version {version} tells again that seat {seat} is {state:?}"));
                        }
                    }
                }
            }
            None if self.lost && truth.version > *version => {
                (*version, *have) = (truth.version, truth.seats.clone());
            }
            None => return Err(format!("the changes after {version} are gone, the version is {}", truth.version)),
        }
        self.lost = false;
        if (*version, &*have) != (truth.version, &truth.seats) {
            return Err(format!(
                "the snapshot at {} says {:?}, the changes up to {version} say {have:?}",
                truth.version, truth.seats
            ));
        }
        Ok(())
    }
}
