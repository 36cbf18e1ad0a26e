//! What follows the live state of one performance for its hub, while someone listens.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use nugul_api::seats::{CloseReason, HEARTBEAT_MS, SaleStatus};
use nugul_coordination::Error;
use nugul_domain::{
    PerformanceId,
    seat_book::{Change, Snapshot},
};
use tokio::{sync::watch, time::Instant};

use super::{Lifetimes, counters::Counters, hub::Hub, reader::lock};
use crate::{
    app::{App, Parts},
    catalogue::{service::performance, store::PerformanceInfo},
    error::ApiError,
    on_seats,
    seats::current,
};

/// Changes come out at most this often; what comes in between goes out as one frame.
const TICK: Duration = Duration::from_millis(25);
/// How long a look at the live state waits for a change.
const LOOK: Duration = Duration::from_secs(1);
/// How often streams are tended: lifetimes, the status, heartbeats.
const TEND_EVERY: Duration = Duration::from_secs(1);
/// How often the status is told at most, but for what the organiser changes.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// The live state is taken for lost when it has not answered for this long. Readers are told.
const LOST_AFTER: Duration = Duration::from_millis(2_500);
/// The pause before a live state that failed is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// How long a hub is kept that nobody listens to: those who come back find what they missed.
const LINGER: Duration = Duration::from_secs(5);

/// Begins a hub with the seats as they are, and what follows them.
pub(super) async fn begin(app: &App, id: PerformanceId) -> Result<Arc<Hub>, ApiError> {
    let info = performance(app, id).await?;
    let now = current(app, &info).await?;
    let lifetimes = Lifetimes { open_max: app.config.stream_lifetime, stalled_max: app.config.stream_stalled_max };
    let hub = Arc::new(Hub::new(id, now, lifetimes, Arc::clone(&app.streams.counters)));
    set_status(&hub, &info);
    tokio::spawn(follow(Arc::clone(app), Arc::clone(&hub), info));
    Ok(hub)
}

/// How things stand between looks.
struct Feed {
    hub: Arc<Hub>,
    info: Arc<PerformanceInfo>,
    status_at: Instant,
    told_at: Instant,
    tend_at: Instant,
    contact_at: Instant,
    deserted_since: Option<Instant>,
}

/// What a look brought.
enum News {
    /// These changes; perhaps none.
    Changes(Vec<Change>),
    /// Changes are missing: the seats as they are.
    Anew(Snapshot),
}

async fn follow(app: App, hub: Arc<Hub>, info: Arc<PerformanceInfo>) {
    let now = Instant::now();
    let mut feed = Feed {
        hub: Arc::clone(&hub),
        info,
        status_at: now,
        told_at: now,
        tend_at: now + TEND_EVERY,
        contact_at: now,
        deserted_since: None,
    };
    app.streams.counters.feeds.fetch_add(1, Ordering::Relaxed);
    let mut stopping = app.stopping.clone();
    let mut looking = Box::pin(look(&app, &hub, feed.told_at));
    loop {
        tokio::select! {
            news = &mut looking => {
                match news {
                    Ok(news) => feed.take(news).await,
                    Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
                }
                looking.set(look(&app, &hub, feed.told_at));
            }
            () = tokio::time::sleep_until(feed.tend_at) => {}
            () = ends(&mut stopping) => {
                hub.close_all(CloseReason::Shutdown);
                break;
            }
        }
        if Instant::now() >= feed.tend_at && feed.tend(&app).await {
            break;
        }
    }
    app.streams.counters.feeds.fetch_sub(1, Ordering::Relaxed);
}

async fn ends(stopping: &mut watch::Receiver<bool>) {
    // A sender that is gone is the end as well.
    drop(stopping.wait_for(|stop| *stop).await);
}

/// Waits for changes, at most for [`LOOK`], and reads them. A change after a quiet time is read at once, later ones no
/// sooner than [`TICK`] after what was told last.
async fn look(app: &Parts, hub: &Hub, told_at: Instant) -> Result<News, ApiError> {
    let (id, version) = (hub.id(), lock(hub.log()).version());
    match app.seats.wait_change(id, version, LOOK).await {
        Ok(()) | Err(Error::NotLoaded) => {}
        Err(e) => return Err(e.into()),
    }
    tokio::time::sleep_until(told_at + TICK).await;
    Ok(match on_seats!(app, id, app.seats.changes_after(id, version))? {
        Some(changes) => News::Changes(changes),
        None => News::Anew(seats_now(app, id).await?),
    })
}

async fn seats_now(app: &Parts, id: PerformanceId) -> Result<Snapshot, ApiError> {
    let info = performance(app, id).await?;
    current(app, &info).await
}

impl Feed {
    /// Tells what a look brought.
    async fn take(&mut self, news: News) {
        self.contact_at = Instant::now();
        {
            let mut log = lock(self.hub.log());
            let before = log.end();
            match news {
                // What does not follow is looked at again, and then there is no such thing.
                News::Changes(changes) => {
                    log.push(&changes);
                }
                News::Anew(seats) => log.replace(seats),
            }
            if log.end() == before {
                return;
            }
        }
        // Written with the changes: while much changes, a round of its own would only delay them.
        if self.contact_at.duration_since(self.status_at) >= STATUS_EVERY {
            self.status_at = self.contact_at;
            set_status(&self.hub, &self.info);
        }
        self.tell().await;
    }

    async fn tell(&mut self) {
        self.told_at = Instant::now();
        Counters::add(&self.hub.counters().frames, 1);
        self.hub.tell().await;
    }

    /// What is due every second; true where nobody listens any more and the hub was given up.
    async fn tend(&mut self, app: &Parts) -> bool {
        let now = Instant::now();
        self.tend_at = now + TEND_EVERY;
        if self.hub.is_listened_to() {
            self.deserted_since = None;
        } else if now.duration_since(*self.deserted_since.get_or_insert(now)) >= LINGER
            && app.streams.give_up(&self.hub)
        {
            return true;
        }
        self.hub.tend(now);
        let lost = now.duration_since(self.contact_at) >= LOST_AFTER;
        let mut news = lock(self.hub.log()).set_live(!lost);
        // What SQL does not tell just now is told as it was.
        let known = tokio::time::timeout(TEND_EVERY, performance(app, self.hub.id())).await;
        let mut due = now.duration_since(self.told_at) >= STATUS_EVERY;
        if let Ok(Ok(info)) = known {
            due |= info.summary != self.info.summary;
            self.info = info;
        }
        if due {
            news |= set_status(&self.hub, &self.info);
        }
        if !news && now.duration_since(self.told_at) >= Duration::from_millis(HEARTBEAT_MS) {
            lock(self.hub.log()).heartbeat();
            news = true;
        }
        if news {
            self.tell().await;
        }
        false
    }
}

fn set_status(hub: &Hub, info: &PerformanceInfo) -> bool {
    let seats = |rows: u32, per_row: u32| usize::try_from(rows * per_row).unwrap_or(usize::MAX);
    let counts: Vec<_> = info.map.grades().iter().map(|g| (g.grade.clone(), seats(g.rows, g.seats_per_row))).collect();
    let about = SaleStatus {
        remaining: Vec::new(),
        sales_open_at: info.summary.sales_open_at,
        sales_close_at: info.summary.sales_close_at,
        cancelled: info.summary.cancelled,
    };
    lock(hub.log()).set_status(&counts, &about)
}
