//! Free loopback ports, remembered in the data directory so that addresses stay the same from run to run.
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Error;

/// Below the range from which the kernel takes ports for outgoing connections: a restarted service finds its port free.
const FIRST: u16 = 10_240;
const COUNT: u16 = 20_000;

/// One port for each name: the remembered one where it is still free.
pub(crate) fn pick(names: &[&'static str], data_dir: &Path) -> Result<BTreeMap<&'static str, u16>, Error> {
    let file = data_dir.join("ports.json");
    let remembered: BTreeMap<String, u16> =
        fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let mut offset = start();
    let mut picked = BTreeMap::new();
    let mut held = Vec::new();
    for &name in names {
        let (port, listener) = remembered
            .get(name)
            .and_then(|&port| Some((port, TcpListener::bind(("127.0.0.1", port)).ok()?)))
            .or_else(|| next_free(&mut offset))
            .ok_or_else(|| Error::new("no free port on 127.0.0.1"))?;
        picked.insert(name, port);
        held.push(listener);
    }
    let text = serde_json::to_string_pretty(&picked).map_err(|error| Error::new(error.to_string()))?;
    fs::write(&file, text).map_err(|error| Error::io("cannot write", &file, &error))?;
    Ok(picked)
}

fn next_free(offset: &mut u16) -> Option<(u16, TcpListener)> {
    (0..COUNT).find_map(|_| {
        *offset = (*offset + 1) % COUNT;
        let port = FIRST + *offset;
        Some((port, TcpListener::bind(("127.0.0.1", port)).ok()?))
    })
}

/// Two runs at the same moment should not look at the same ports first.
fn start() -> u16 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    u16::try_from((nanos / 1_000).wrapping_add(process::id().wrapping_mul(977)) % u32::from(COUNT)).unwrap_or(0)
}
