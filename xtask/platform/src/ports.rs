//! Free loopback ports, remembered in the data directory so that addresses stay the same from run to run.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Error;
use crate::options::Redis;
use crate::redis::{RedisPorts, SENTINELS_MAX, SERVERS_MAX};

/// Below the range from which the kernel takes ports for outgoing connections: a restarted service finds its port free.
const FIRST: u16 = 10_240;
const COUNT: u16 = 20_000;

/// One port for each name: the remembered one where it is still free.
pub(crate) fn pick(names: &[&'static str], data_dir: &Path) -> Result<BTreeMap<&'static str, u16>, Error> {
    let file = data_dir.join("ports.json");
    let remembered: BTreeMap<String, u16> =
        fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let mut taken = PICKED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut offset = start();
    let mut picked = BTreeMap::new();
    let mut held = Vec::new();
    for &name in names {
        let (port, listener) = remembered
            .get(name)
            .and_then(|&port| Some((port, TcpListener::bind(("127.0.0.1", port)).ok()?)))
            .or_else(|| next_free(&mut offset, &taken))
            .ok_or_else(|| Error::new("no free port on 127.0.0.1"))?;
        picked.insert(name, port);
        taken.insert(port);
        held.push(listener);
    }
    let text = serde_json::to_string_pretty(&picked).map_err(|error| Error::new(error.to_string()))?;
    fs::write(&file, text).map_err(|error| Error::io("cannot write", &file, &error))?;
    Ok(picked)
}

const REDIS_SERVERS: [&str; SERVERS_MAX] = ["redis", "redis_1", "redis_2", "redis_3", "redis_4", "redis_5"];
const REDIS_BUSES: [&str; SERVERS_MAX] =
    ["redis_bus", "redis_bus_1", "redis_bus_2", "redis_bus_3", "redis_bus_4", "redis_bus_5"];
const SENTINELS: [&str; SENTINELS_MAX] = ["sentinel", "sentinel_1", "sentinel_2"];

/// The names of the ports that a Redis of this kind needs.
pub(crate) fn redis_names(kind: Redis) -> Vec<&'static str> {
    let buses = if kind == Redis::Cluster { kind.servers() } else { 0 };
    [&REDIS_SERVERS[..kind.servers()], &REDIS_BUSES[..buses], &SENTINELS[..kind.sentinels()]].concat()
}

/// Those ports out of all that were picked.
pub(crate) fn redis_of(picked: &BTreeMap<&'static str, u16>) -> RedisPorts {
    let of = |names: &[&str]| names.iter().filter_map(|&name| picked.get(name).copied()).collect();
    RedisPorts { servers: of(&REDIS_SERVERS), buses: of(&REDIS_BUSES), sentinels: of(&SENTINELS) }
}

/// Ports for a Redis alone.
pub(crate) fn redis(kind: Redis, data_dir: &Path) -> Result<RedisPorts, Error> {
    Ok(redis_of(&pick(&redis_names(kind), data_dir)?))
}

/// Ports that this program has picked: whoever picks next must not take one before it is listened on.
static PICKED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

fn next_free(offset: &mut u16, taken: &BTreeSet<u16>) -> Option<(u16, TcpListener)> {
    (0..COUNT).find_map(|_| {
        *offset = (*offset + 1) % COUNT;
        let port = FIRST + *offset;
        (!taken.contains(&port)).then_some(())?;
        Some((port, TcpListener::bind(("127.0.0.1", port)).ok()?))
    })
}

/// Two programs at the same moment should not look at the same ports first.
fn start() -> u16 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    u16::try_from((nanos / 1_000).wrapping_add(process::id().wrapping_mul(977)) % u32::from(COUNT)).unwrap_or(0)
}
