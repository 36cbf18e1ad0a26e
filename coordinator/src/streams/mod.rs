//! Seat streams of the coordinator: one reader of a performance's changes, however many listen.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `log` | the frames of a performance, encoded once, and where a reader goes on |
//! | `piece` | an encoded frame, as it lies on the wire |
//! | `reader` | one listener: how far it is, what waits for its socket |
//! | `hub` | the listeners of a performance, told together |
//! | `feed` | what follows the live state for a hub, while someone listens |
//! | `line` | a connection that passes from HTTP to a hub |
//! | `limits` | how many may listen |
//! | `counters` | what happened, for `/metrics` |
//! | `tickets` | who may see the seats of a members-only event |
//! | `routes` | the paths |
//!
//! A listener costs its socket, a small task that sees it leave, and a place in a list. Frames are written by whoever
//! tells them, straight to each socket that takes them; what a socket does not take stays where all find it, in the log.

mod counters;
mod feed;
mod hub;
mod limits;
pub mod line;
mod log;
mod piece;
mod reader;
pub(crate) mod routes;
pub(crate) mod tickets;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nugul_domain::PerformanceId;
use tokio::sync::OnceCell;

pub use counters::Counters;
pub use limits::StreamLimits;
pub use routes::router;

use crate::{app::App, error::ApiError};
use hub::{Hub, Listening};
use limits::Limits;

/// Tries at joining a hub while it is being given up.
const JOIN_TRIES_MAX: usize = 3;

/// The streams of this process.
#[derive(Debug)]
pub struct Streams {
    hubs: Mutex<HashMap<PerformanceId, Arc<OnceCell<Arc<Hub>>>>>,
    limits: Limits,
    /// What happened.
    pub counters: Arc<Counters>,
}

impl Streams {
    /// None yet.
    pub fn new(limits: StreamLimits) -> Self {
        Self { hubs: Mutex::default(), limits: Limits::new(limits), counters: Arc::default() }
    }

    /// The hub of a performance, begun where nobody listened before. It goes on at least while what is given is kept.
    async fn listen(&self, app: &App, id: PerformanceId) -> Result<Listening, ApiError> {
        for _ in 0..JOIN_TRIES_MAX {
            let cell = Arc::clone(self.hubs().entry(id).or_default());
            let begun = cell.get_or_try_init(|| feed::begin(app, id)).await;
            let hub = match begun {
                Ok(hub) => Arc::clone(hub),
                Err(e) => {
                    let mut hubs = self.hubs();
                    if hubs.get(&id).is_some_and(|now| Arc::ptr_eq(now, &cell) && !now.initialized()) {
                        hubs.remove(&id);
                    }
                    return Err(e);
                }
            };
            let hubs = self.hubs();
            if hubs.get(&id).is_some_and(|now| Arc::ptr_eq(now, &cell)) {
                return Ok(Listening::to(&hub));
            }
        }
        Err(ApiError::unavailable("a seat stream ended as often as it was begun"))
    }

    /// Gives a hub up that nobody listens to; `false` where somebody does.
    fn give_up(&self, hub: &Hub) -> bool {
        let mut hubs = self.hubs();
        if hub.is_listened_to() {
            return false;
        }
        hubs.remove(&hub.id());
        true
    }

    fn hubs(&self) -> std::sync::MutexGuard<'_, HashMap<PerformanceId, Arc<OnceCell<Arc<Hub>>>>> {
        self.hubs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long streams last, and when a reader is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// The longest a stream is open; each ends up to a tenth earlier, by chance.
    pub open_max: Duration,
    /// How long a reader may take nothing while something waits for it.
    pub stalled_max: Duration,
}
