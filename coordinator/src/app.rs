//! What every request can reach.

use std::{collections::HashMap, sync::Arc};

use nugul_coordination::Seats;
use nugul_domain::{PerformanceId, Timestamp, id::RANDOM_BYTES};
use nugul_token::AccessVerifier;
use tokio::sync::{Notify, RwLock, watch};

use crate::{catalogue::store::PerformanceInfo, config::Config, db::Db, keys::Keys, mail::Mailer};

/// The parts, shared by reference.
pub type App = Arc<Parts>;

/// The parts of a running coordinator.
pub struct Parts {
    /// The settings.
    pub config: Config,
    /// The durable truth.
    pub db: Db,
    /// The live state of seats.
    pub seats: Seats,
    /// The signing key.
    pub keys: Keys,
    /// Checks access tokens of this region.
    pub verifier: AccessVerifier,
    /// Sends mail.
    pub mailer: Mailer,
    /// The search index in use, with its version.
    pub catalogue: watch::Sender<Arc<crate::catalogue::CatalogueFile>>,
    /// Performances looked up before; they do not change once made.
    pub performances: RwLock<HashMap<PerformanceId, Arc<PerformanceInfo>>>,
    /// Raised when a row was put into the outbox.
    pub outbox_filled: Notify,
    /// Raised when an order changed.
    pub orders_changed: watch::Sender<u64>,
    /// Turns true when the process is to end; streams and workers then stop.
    pub stopping: watch::Receiver<bool>,
}

impl Parts {
    /// The time. Everything that decides by it is told it as an argument.
    pub fn now(&self) -> Timestamp {
        now()
    }

    /// Random bytes for an identifier.
    pub fn random_id(&self) -> [u8; RANDOM_BYTES] {
        let mut bytes = [0; RANDOM_BYTES];
        fill_random(&mut bytes);
        bytes
    }

    /// Tells waiting requests that an order changed.
    pub fn announce_order(&self) {
        self.orders_changed.send_modify(|n| *n = n.wrapping_add(1));
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
