//! One seed: who goes next, what goes wrong, and the way to rest at the end.
//!
//! Every actor runs until it ends or reaches a point; then the seed's chance decides who goes next. The database's own
//! threads do not disturb that: a step ends only when its actor does no more, and nobody else runs meanwhile.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use axum::http::Method;
use nugul_coordinator::{orders, outbox, payments, performances::cancellation};
use nugul_domain::{PerformanceId, account::Role};
use nugul_payment::{reconcile, store};
use nugul_points::{
    Planted,
    simulated::{self, Polled, Work},
};

use crate::{
    check::Checks,
    ground::{self, Folder, Ground},
    network::{self, Awaited, Home, Network},
    people::{News, Someone},
    process::{Coordinator, Payment, Stores, person, request},
    world::{self, note, reach, with},
};

/// Coordinators.
const COORDINATORS: usize = 2;
/// Buyers, at least and at most.
const BUYERS: (i64, i64) = (2, 4);
/// The organiser may cancel a performance in so many of a hundred seeds.
const CANCELLED_PERCENT: u64 = 15;
/// An answer is lost on its way to a person so many times in a hundred.
const LOST_PERCENT: u64 = 5;
/// Turns of a seed, at least and at most, before everything comes to rest.
const TURNS: (i64, i64) = (250, 450);
/// How long someone sleeps, in turns.
const SLEEP_TURNS: (i64, i64) = (10, 150);
/// While an order is on its way to SQL, its process stands still and the live state is lost, so many times in a hundred:
/// the one case that the fence is for.
const STALE_ORDER_PERCENT: u64 = 15;
/// How long such an order sleeps, in turns: others may buy its seats and give them back meanwhile.
const STALE_TURNS: (i64, i64) = (60, 200);
/// The clock jumps by up to so much, in milliseconds: past the end of a hold or an order; now and then past the time in which
/// a payment has to be decided.
const JUMPS_MS_MAX: [i64; 3] = [12 * 60 * 1000, 12 * 60 * 1000, 55 * 60 * 1000];
/// A step of one actor takes no longer of real time, or it is stuck.
const STEP_WITHIN: Duration = Duration::from_secs(20);
/// On the way to rest the clock moves on by these pauses, in milliseconds. Together they are longer than a hold, the window
/// to pay, Toss's window and the reconciler's longest pause, one after the other.
const PAUSES_MS: [i64; 10] = [1_000, 11_000, 60_000, 301_000, 301_000, 601_000, 601_000, 601_000, 1_801_000, 601_000];
/// Rounds of work between two of those pauses, at most.
const ROUNDS_MAX: usize = 60;
/// Steps on the way to rest, at most.
const REST_STEPS_MAX: u64 = 20_000;
/// Comparisons of live seats with SQL at the end: enough for one that looks at every seat, and the one that agrees with it.
const COMPARISONS: usize = 14;
/// Points that idle workers reach too.
const IDLE_POINTS: [&str; 5] = ["payment.turn", "net.watches", "seats.expire_due", "seats.audit", "seats.snapshot"];

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Steps taken.
    pub steps: u64,
    /// Faults injected.
    pub faults: u64,
    /// The digest of everything that happened.
    pub digest: u64,
    /// What was wrong, if anything.
    pub violation: Option<String>,
    /// What happened, where it was wanted.
    pub trace: Vec<String>,
    /// How often what was reached.
    pub reached: BTreeMap<String, u64>,
}

/// Runs one seed on this thread, with one bug planted or none; `lines` keeps the trace.
pub fn run_seed(seed: u64, bug: Option<Planted>, lines: bool) -> Outcome {
    world::begin(seed, lines);
    let simulation = simulated::begin(bug);
    let mut steps = 0;
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|e| e.to_string())?.block_on(whole(&mut steps))
    }));
    drop(simulation);
    let violation = match ended {
        Ok(Ok(())) => None,
        Ok(Err(what)) => Some(what),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Some(format!(
                "panicked: {}",
                text.or(panic.downcast_ref::<&str>().map(|t| (*t).to_owned())).unwrap_or_default()
            ))
        }
    };
    if let Some(what) = &violation {
        note(&format!("VIOLATION: {what}"));
    }
    let (digest, trace) = world::take_trace();
    Outcome {
        seed,
        steps,
        faults: with(|w| w.faults),
        digest,
        violation,
        trace,
        reached: with(|w| std::mem::take(&mut w.reached)),
    }
}

async fn whole(steps: &mut u64) -> Result<(), String> {
    let ground = Ground::get()?;
    let folder = Folder::new()?;
    ground.copy_to(folder.path())?;
    let stores = ground::open(folder.path()).await?;
    let mut run = Run::new(ground, stores)?;
    let ended = run.all().await;
    *steps = run.steps;
    let Run { stores, actors, coordinators, payment, .. } = run;
    drop((actors, coordinators, payment));
    stores.close().await;
    ended
}

/// What a request is answered.
type Reply = Arc<Mutex<Option<(u16, String)>>>;

/// Whom an actor answers.
struct Asker {
    person: usize,
    sent: usize,
    /// How often the live state had been lost when it was sent.
    then: u64,
    reply: Reply,
}

struct Actor {
    number: u64,
    home: Home,
    name: &'static str,
    work: Work,
    at: &'static str,
    awaits: Option<Arc<dyn Awaited>>,
    sleeps_until: u64,
    answers: Option<Asker>,
}

struct Run {
    ground: &'static Ground,
    stores: Stores,
    network: Network,
    coordinators: Vec<Option<Coordinator>>,
    payment: Option<Payment>,
    actors: Vec<Actor>,
    /// The organiser, then the buyers.
    people: Vec<Someone>,
    performances: Vec<PerformanceId>,
    checks: Checks,
    next_number: u64,
    turn: u64,
    steps: u64,
    /// How often the live state was lost.
    age: u64,
    /// Points reached that idle workers do not reach.
    busy: u64,
}

impl Run {
    fn new(ground: &'static Ground, stores: Stores) -> Result<Self, String> {
        let buyers = with(|w| w.chance.between(BUYERS.0, BUYERS.1));
        let mut performances: Vec<PerformanceId> = ground.performances.iter().map(|(id, _)| *id).collect();
        // Few seats for many buyers: one performance, or two.
        let wanted = with(|w| if w.chance.percent(60) { 1 } else { 2 });
        while performances.len() > wanted {
            performances.remove(with(|w| w.chance.index(performances.len())));
        }
        let mut run = Self {
            network: Network::default(),
            coordinators: (0..COORDINATORS).map(|_| None).collect(),
            payment: None,
            actors: Vec::new(),
            people: Vec::new(),
            checks: Checks::new(&performances),
            performances,
            next_number: 0,
            turn: 0,
            steps: 0,
            age: 0,
            busy: 0,
            ground,
            stores,
        };
        let mut organiser = Someone::new(0, ground.seller.token(&ground.keys)?, true);
        organiser.may_cancel = with(|w| w.chance.percent(CANCELLED_PERCENT));
        run.people.push(organiser);
        for number in 1..=u8::try_from(buyers).unwrap_or(1) {
            let token = person(number, Role::User).token(&ground.keys)?;
            run.people.push(Someone::new(usize::from(number), token, false));
        }
        run.start_all()?;
        Ok(run)
    }

    /// Starts every process that is down.
    fn start_all(&mut self) -> Result<(), String> {
        for n in 0..self.coordinators.len() {
            if self.coordinators.get(n).is_some_and(Option::is_none) {
                self.start_coordinator(n)?;
            }
        }
        if self.payment.is_none() {
            self.start_payment();
        }
        Ok(())
    }

    fn start_coordinator(&mut self, n: usize) -> Result<(), String> {
        note(&format!("coordinator {n} starts"));
        let started = Coordinator::start(&self.stores, &self.ground.keys, &self.network)?;
        if let Some(place) = self.coordinators.get_mut(n) {
            *place = Some(started);
        }
        Ok(())
    }

    fn start_payment(&mut self) {
        note("payment starts");
        let started = Payment::start(&self.stores, &self.network);
        let payments = started.payments.clone();
        self.payment = Some(started);
        // As at every start of the service: with SQLite, nothing has to wait for a lease.
        self.add(
            Home::Payment,
            "payment starts",
            None,
            Box::pin(async move {
                // A database that refuses is the simulation's own failure; the checks at rest would tell.
                let _ = store::look_at_all_open(&payments.db, 0, (payments.now)()).await;
            }),
        );
    }

    fn add(&mut self, home: Home, name: &'static str, answers: Option<Asker>, work: Work) {
        self.next_number += 1;
        let number = self.next_number;
        self.actors.push(Actor { number, home, name, work, at: "start", awaits: None, sleeps_until: 0, answers });
    }

    async fn all(&mut self) -> Result<(), String> {
        let turns = with(|w| w.chance.between(TURNS.0, TURNS.1));
        for turn in 0..u64::try_from(turns).unwrap_or(0) {
            self.turn = turn;
            with(|w| w.now_ms += w.chance.between(0, 3));
            let awake: Vec<usize> = (0..self.actors.len()).filter(|&n| self.is_awake(n)).collect();
            let roll = with(|w| w.chance.below(100));
            match roll {
                0..70 if !awake.is_empty() => {
                    let n = with(|w| w.chance.index(awake.len()));
                    self.step(awake.get(n).copied().unwrap_or(0)).await?;
                }
                0..82 => self.person_acts()?,
                82..94 => self.worker_begins(),
                94..97 => with(|w| w.now_ms += w.chance.between(1, 5_000)),
                _ => self.goes_wrong()?,
            }
        }
        self.come_to_rest().await
    }

    fn is_awake(&self, n: usize) -> bool {
        self.actors
            .get(n)
            .is_some_and(|a| a.sleeps_until <= self.turn && a.awaits.as_ref().is_none_or(|awaited| awaited.has_come()))
    }

    /// Lets one actor run to its next point, and checks what must hold after every step.
    async fn step(&mut self, n: usize) -> Result<(), String> {
        let Some(actor) = self.actors.get_mut(n) else { return Ok(()) };
        self.steps += 1;
        let from = actor.at;
        let mut adopted = Vec::new();
        let polled =
            std::future::poll_fn(|context| match simulated::poll(actor.work.as_mut(), context, &mut adopted) {
                Polled::Ended(()) => Poll::Ready(None),
                Polled::At(name) => Poll::Ready(Some(name)),
                Polled::Waits => Poll::Pending,
            });
        let Ok(polled) = tokio::time::timeout(STEP_WITHIN, polled).await else {
            return Err(format!("{} is stuck after {from}", actor.name));
        };
        let (number, name, home) = (actor.number, actor.name, actor.home);
        actor.awaits = network::take_awaited();
        let (mut told, mut heard) = (String::new(), None);
        if let Some(at) = polled {
            actor.at = at;
            self.busy += u64::from(!IDLE_POINTS.contains(&at));
            told += at;
        } else {
            let ended = self.actors.remove(n);
            told += "ended";
            if let Some(asker) = ended.answers {
                let reply = asker.reply.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some((status, text)) = &reply {
                    told += &format!(" {status} {}", code_of(text));
                    reach(format!("{name} {status} {}", code_of(text)));
                }
                heard = Some((asker, reply));
            }
        }
        note(&format!("{name} #{number} {home:?}: {from} -> {told}"));
        if let Some((asker, reply)) = heard {
            self.hear(&asker, reply)?;
        }
        for work in adopted {
            self.add(home, "goes on", None, work);
        }
        for begun in network::take_begun() {
            self.add(begun.home, begun.name, None, begun.work);
            if begun.late {
                self.put_to_sleep(self.actors.len() - 1, SLEEP_TURNS);
            }
        }
        self.checks.step(&self.stores.seats).await?;
        if from == "sql.begin" {
            self.checks.claims(&self.stores.coordinator).await?;
        }
        if name == "order" && polled == Some("sql.begin") && with(|w| w.fault(STALE_ORDER_PERCENT)) {
            note(&format!("{name} #{number} sleeps on its way to SQL"));
            self.put_to_sleep(n, STALE_TURNS);
            self.lose_seats();
        }
        Ok(())
    }

    fn hear(&mut self, asker: &Asker, reply: Option<(u16, String)>) -> Result<(), String> {
        let lost = with(|w| w.fault(LOST_PERCENT));
        let Some(person) = self.people.get_mut(asker.person) else { return Ok(()) };
        person.under_way = person.under_way.saturating_sub(1);
        let reply = reply.filter(|_| !lost);
        let answer = reply.as_ref().map(|(status, text)| (*status, text.as_str()));
        match person.hear(asker.sent, answer, asker.then, self.age, self.ground)? {
            News::Hold(hold) => self.checks.held(hold),
            News::Asked(refund) => self.people.iter_mut().take(1).for_each(|organiser| {
                organiser.asked.push(refund.clone());
            }),
            News::None => {}
        }
        Ok(())
    }

    fn put_to_sleep(&mut self, n: usize, (least, most): (i64, i64)) {
        let turns = with(|w| w.chance.between(least, most));
        if let Some(actor) = self.actors.get_mut(n) {
            actor.sleeps_until = self.turn + u64::try_from(turns).unwrap_or(0);
        }
    }

    fn person_acts(&mut self) -> Result<(), String> {
        let n = with(|w| w.chance.index(self.people.len()));
        let Some(person) = self.people.get_mut(n) else { return Ok(()) };
        let Some(sent) = person.act(self.ground, &self.performances) else { return Ok(()) };
        let Some(what) = person.sent.get(sent).cloned() else { return Ok(()) };
        let to = with(|w| w.chance.index(COORDINATORS));
        note(&format!("person {n} asks coordinator {to}: {} {} {}", what.method, what.path, what.key));
        let ask = request(&what.method, &what.path, &person.token, &what.key, what.body.as_deref())?;
        let Some(Some(coordinator)) = self.coordinators.get(to) else { return Ok(()) };
        person.under_way += 1;
        let reply = Reply::default();
        let (answer, slot) = (coordinator.answer(ask), reply.clone());
        let work = async move {
            let answer = answer.await;
            nugul_points::point("http.answers").await;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        };
        let asker = Asker { person: n, sent, then: self.age, reply };
        self.add(Home::Coordinator(to), what.name(), Some(asker), Box::pin(work));
        Ok(())
    }

    /// Someone looks at every performance, so that its live state is loaded.
    fn looks(&mut self) -> Result<(), String> {
        for performance in self.performances.clone() {
            let path = format!("/performances/{performance}/seats");
            let Some(token) = self.people.first().map(|p| p.token.clone()) else { return Ok(()) };
            let ask = request(&Method::GET, &path, &token, "look", None)?;
            let Some(Some(coordinator)) = self.coordinators.first() else { return Ok(()) };
            let answer = coordinator.answer(ask);
            self.add(Home::Coordinator(0), "looks", None, Box::pin(async move { drop(answer.await) }));
        }
        Ok(())
    }

    fn worker_begins(&mut self) {
        let which = with(|w| w.chance.below(12));
        let to = with(|w| w.chance.index(COORDINATORS));
        match which {
            0..3 => self.delivers(to),
            3..6 => self.watches(to),
            6 => self.ends_orders(to),
            7 => self.ends_holds(to),
            8 => self.compares(to),
            9 => self.cancels(to),
            _ => self.reconciles(),
        }
    }

    fn is_at_work(&self, home: Home, names: &[&str]) -> bool {
        self.actors.iter().any(|a| a.home == home && names.contains(&a.name))
    }

    fn delivers(&mut self, n: usize) {
        let Some(Some(c)) = self.coordinators.get(n) else { return };
        let home = Home::Coordinator(n);
        if self.is_at_work(home, &["outbox", "message"]) {
            return;
        }
        let app = c.app.clone();
        let work = async move {
            for owed in outbox::due(&app).await.unwrap_or_default() {
                let app = app.clone();
                network::start(home, "message", false, async move {
                    // What fails is noted in the outbox, or due again.
                    let _ = outbox::deliver_one(&app, owed).await;
                });
            }
        };
        self.add(home, "outbox", None, Box::pin(work));
    }

    fn watches(&mut self, n: usize) {
        let Some(Some(c)) = self.coordinators.get(n) else { return };
        let home = Home::Coordinator(n);
        if self.is_at_work(home, &["results"]) {
            return;
        }
        let app = c.app.clone();
        let work = async move {
            // What breaks is asked for again.
            let _ = payments::watch_once(&app).await;
        };
        self.add(home, "results", None, Box::pin(work));
    }

    fn ends_orders(&mut self, n: usize) {
        let Some(Some(c)) = self.coordinators.get(n) else { return };
        let home = Home::Coordinator(n);
        if self.is_at_work(home, &["overdue"]) {
            return;
        }
        let app = c.app.clone();
        self.add(home, "overdue", None, Box::pin(async move { drop(orders::service::expire_batch(&app).await) }));
    }

    fn ends_holds(&mut self, n: usize) {
        let Some(Some(c)) = self.coordinators.get(n) else { return };
        let app = c.app.clone();
        self.add(Home::Coordinator(n), "holds end", None, Box::pin(async move { drop(app.seats.expire_due().await) }));
    }

    fn compares(&mut self, n: usize) {
        let Some(Some(c)) = self.coordinators.get(n) else { return };
        let home = Home::Coordinator(n);
        if self.is_at_work(home, &["compares"]) {
            return;
        }
        let (app, reconciler) = (c.app.clone(), c.reconciler.clone());
        self.add(home, "compares", None, Box::pin(async move { drop(reconciler.lock().await.pass(&app).await) }));
    }

    fn cancels(&mut self, n: usize) {
        let Some(Some(c)) = self.coordinators.get(n) else { return };
        let home = Home::Coordinator(n);
        if self.is_at_work(home, &["cancellation"]) {
            return;
        }
        let app = c.app.clone();
        self.add(home, "cancellation", None, Box::pin(async move { drop(cancellation::pass(&app).await) }));
    }

    fn reconciles(&mut self) {
        let Some(payment) = &self.payment else { return };
        if self.is_at_work(Home::Payment, &["reconciler", "look"]) {
            return;
        }
        let payments = payment.payments.clone();
        let work = async move {
            let due = store::due(&payments.db, (payments.now)(), reconcile::BATCH).await;
            for payment in due.unwrap_or_default() {
                let payments = payments.clone();
                network::start(Home::Payment, "look", false, async move { reconcile::look(&payments, payment).await });
            }
        };
        self.add(Home::Payment, "reconciler", None, Box::pin(work));
    }

    fn goes_wrong(&mut self) -> Result<(), String> {
        with(|w| w.faults += 1);
        match with(|w| w.chance.below(100)) {
            0..35 if !self.actors.is_empty() => {
                let n = with(|w| w.chance.index(self.actors.len()));
                self.put_to_sleep(n, SLEEP_TURNS);
                if let Some(actor) = self.actors.get(n) {
                    note(&format!("{} #{} sleeps", actor.name, actor.number));
                }
            }
            0..55 => {
                let n = with(|w| w.chance.index(COORDINATORS));
                self.crash(Home::Coordinator(n))?;
                self.start_coordinator(n)?;
            }
            55..70 => {
                self.crash(Home::Payment)?;
                self.start_payment();
            }
            70..80 => {
                self.lose_seats();
            }
            _ => {
                let most = with(|w| w.chance.index(JUMPS_MS_MAX.len()));
                let most = JUMPS_MS_MAX.get(most).copied().unwrap_or_default();
                let ms = with(|w| w.chance.between(30_000, most));
                note(&format!("the clock jumps by {ms}"));
                with(|w| w.now_ms += ms);
            }
        }
        Ok(())
    }

    /// The live state of all seats is lost, as when Redis was emptied.
    fn lose_seats(&mut self) {
        note("the live state is lost");
        reach("the live state is lost".into());
        self.stores.seats.lose_all();
        self.checks.lost();
        self.age += 1;
        with(|w| w.now_ms += 1_000);
    }

    /// Ends a process between two steps, with everything it was at.
    fn crash(&mut self, home: Home) -> Result<(), String> {
        note(&format!("{home:?} crashes"));
        let kind = if home == Home::Payment { "payment crashes" } else { "coordinator crashes" };
        reach(kind.into());
        match home {
            Home::Coordinator(n) => {
                if let Some(place) = self.coordinators.get_mut(n) {
                    *place = None;
                }
            }
            Home::Payment => {
                self.network.disconnect();
                self.payment = None;
            }
        }
        let (dead, alive): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.actors).into_iter().partition(|a| a.home == home);
        self.actors = alive;
        for asker in dead.into_iter().filter_map(|a| a.answers) {
            self.hear(&asker, None)?;
        }
        Ok(())
    }

    /// Faults stop, buyers leave, time passes: everything owed is done, and then it is all counted.
    async fn come_to_rest(&mut self) -> Result<(), String> {
        note("everything comes to rest");
        with(|w| w.faulty = false);
        self.turn = u64::MAX;
        self.start_all()?;
        let limit = self.steps + REST_STEPS_MAX;
        for pause in PAUSES_MS {
            self.work_off(limit).await?;
            with(|w| w.now_ms += pause);
        }
        self.looks()?;
        self.run_out(limit).await?;
        for _ in 0..COMPARISONS {
            self.compares(0);
            self.run_out(limit).await?;
        }
        // What the comparison put right may let a cancellation go on.
        self.work_off(limit).await?;
        self.checks.rest(&self.stores, self.ground).await
    }

    /// Does everything that is due now.
    async fn work_off(&mut self, limit: u64) -> Result<(), String> {
        for _ in 0..ROUNDS_MAX {
            let before = self.busy;
            self.run_out(limit).await?;
            self.delivers(0);
            self.watches(1);
            self.ends_orders(0);
            self.ends_holds(1);
            self.cancels(0);
            self.reconciles();
            self.run_out(limit).await?;
            if self.busy == before {
                return Ok(());
            }
        }
        Err("it does not come to rest".into())
    }

    /// Lets everyone run to their end.
    async fn run_out(&mut self, limit: u64) -> Result<(), String> {
        while !self.actors.is_empty() {
            if self.steps >= limit {
                return Err("it does not come to rest".into());
            }
            let awake: Vec<usize> = (0..self.actors.len()).filter(|&n| self.is_awake(n)).collect();
            let Some(&n) = awake.get(with(|w| w.chance.index(awake.len()))) else {
                return Err("everyone waits for someone else".into());
            };
            self.step(n).await?;
        }
        Ok(())
    }
}

/// The code of a problem, for the trace.
fn code_of(text: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    value["code"].as_str().unwrap_or_default().to_owned()
}
