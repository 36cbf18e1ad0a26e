//! What every request can reach.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, RwLock, atomic::AtomicU64},
    time::Duration,
};

use nugul_coordination::{Seats, memory::Clock, rankings::Rankings};
use nugul_domain::{OrderId, PerformanceId, Timestamp, id::RANDOM_BYTES};
use nugul_program::News;
use nugul_token::{AccessVerifier, KnownTokens, StreamVerifier};
use tokio::sync::{Notify, watch};

use crate::{
    catalogue::{CatalogueFile, RefusedWords, service::Known},
    config::Config,
    db::Db,
    keys::Keys,
    mail::Mailer,
    orders::{approving::Committed, looking::Looks},
    outbox::Outbox,
    overload::Gates,
    payments::PaymentClient,
    rankings::{BlockedWords, service::Bookings},
    region_keys::RegionKeys,
    search::Search,
    seats::RecentSeats,
    streams::Streams,
};

/// The parts, shared by reference.
pub type App = Arc<Parts>;

/// Fills bytes with chance.
pub type Random = Box<dyn Fn(&mut [u8]) + Send + Sync>;

/// How long a confirmation waits for its outcome where people wait for it.
const OUTCOME_WAIT: Duration = Duration::from_secs(10);

/// Where the time and chance come from.
pub struct World {
    /// The time of day.
    pub clock: Clock,
    /// Bytes that nobody can guess.
    pub random: Random,
    /// How long a confirmation waits for its outcome before it answers "confirming".
    pub outcome_wait: Duration,
}

impl World {
    /// The system's clock and its secure source.
    pub fn system() -> Self {
        Self { clock: Arc::new(now), random: Box::new(fill_random), outcome_wait: OUTCOME_WAIT }
    }
}

/// The parts of a running coordinator.
pub struct Parts {
    /// The settings.
    pub config: Config,
    /// Where the time and chance come from.
    pub world: World,
    /// The durable truth.
    pub db: Db,
    /// The live state of seats.
    pub seats: Seats,
    /// The payment service.
    pub payments: PaymentClient,
    /// What people search for and look at most.
    pub rankings: Rankings,
    /// Bookings that the rankings are told of.
    pub bookings: Bookings,
    /// Words that no ranking shows.
    pub blocked_words: BlockedWords,
    /// The signing key.
    pub keys: Keys,
    /// Checks access tokens of this region.
    pub tokens: KnownTokens,
    /// Checks those of other regions.
    pub regions: RegionKeys,
    /// Checks stream tickets, which are of this region alone.
    pub stream_tickets: StreamVerifier,
    /// Sends mail.
    pub mailer: Mailer,
    /// The search index in use, with its version.
    pub catalogue: watch::Sender<Arc<CatalogueFile>>,
    /// The administrator's edit of the words that is not taken, while there is one.
    pub refused_words: Mutex<Option<RefusedWords>>,
    /// The full-text engine, and the catalogue engine that stands in for it.
    pub search: Search,
    /// Performances looked up before.
    pub performances: RwLock<HashMap<PerformanceId, Known>>,
    /// Turns on the seats of each performance.
    pub gates: Gates,
    /// Seats as they were a moment ago.
    pub recent: RecentSeats,
    /// The seat streams of this process.
    pub streams: Streams,
    /// Orders that are looked up.
    pub looks: Looks,
    /// What the outbox's worker is told.
    pub outbox: Outbox,
    /// Raised when a performance was cancelled.
    pub cancellations_begun: Notify,
    /// Seats the comparison of live seats with SQL has corrected since the process began.
    pub corrected: AtomicU64,
    /// Orders it has undone or settled.
    pub undone: AtomicU64,
    /// Tells waiting requests that their order changed.
    pub news: News<OrderId, Arc<Committed>>,
    /// Turns true when the process is to end; streams and workers then stop.
    pub stopping: watch::Receiver<bool>,
}

/// What a coordinator is put together from; it makes the rest of its parts itself.
pub struct Outer {
    /// Where the time and chance come from.
    pub world: World,
    /// The durable truth.
    pub db: Db,
    /// The live state of seats.
    pub seats: Seats,
    /// What people search for and look at most.
    pub rankings: Rankings,
    /// The way to the payment service.
    pub payments: PaymentClient,
    /// The signing key.
    pub keys: Keys,
    /// The search index to begin with.
    pub catalogue: CatalogueFile,
    /// Turns true when the process is to end.
    pub stopping: watch::Receiver<bool>,
}

impl Parts {
    /// Puts them together; the error says which setting cannot be used.
    pub fn new(config: Config, outer: Outer) -> Result<Self, String> {
        let Outer { world, db, seats, rankings, payments, keys, catalogue, stopping } = outer;
        let tokens = KnownTokens::new(AccessVerifier::of(keys.signing()));
        let stream_tickets = StreamVerifier::of(keys.signing());
        Ok(Self {
            world,
            db,
            seats,
            payments,
            rankings,
            bookings: Bookings::default(),
            blocked_words: BlockedWords::load(config.blocked_words_file.as_deref())?,
            keys,
            tokens,
            stream_tickets,
            regions: RegionKeys::default(),
            mailer: Mailer::new(&config.smtp_url, config.mail_from.as_deref())?,
            catalogue: watch::Sender::new(Arc::new(catalogue)),
            search: Search::new(&config)?,
            refused_words: Mutex::new(None),
            performances: RwLock::new(HashMap::new()),
            looks: Looks::default(),
            outbox: Outbox::default(),
            cancellations_begun: Notify::new(),
            corrected: AtomicU64::new(0),
            undone: AtomicU64::new(0),
            gates: Gates::default(),
            recent: RecentSeats::default(),
            streams: Streams::new(config.stream_limits),
            news: News::default(),
            stopping,
            config,
        })
    }

    /// The time. Everything that decides by it is told it as an argument.
    pub fn now(&self) -> Timestamp {
        (self.world.clock)()
    }

    /// Random bytes for an identifier.
    pub fn random_id(&self) -> [u8; RANDOM_BYTES] {
        let mut bytes = [0; RANDOM_BYTES];
        (self.world.random)(&mut bytes);
        bytes
    }
}

/// The system's clock.
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Fills from the system's secure source. A machine without one cannot make tokens or ids: the process ends.
pub fn fill_random(bytes: &mut [u8]) {
    if let Err(e) = getrandom::fill(bytes) {
        tracing::error!("the system's random source failed: {e}");
        std::process::abort();
    }
}

/// Bytes as lower-case hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |four_bits: u8| char::from(DIGITS[usize::from(four_bits)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 0x0f)]).collect()
}
