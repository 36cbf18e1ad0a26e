//! The files pages link to, embedded, and their addresses with a hash of what is in them.

use super::Asset;

/// FNV-1a, 64 bits: names a version of a file; not a defence.
pub(super) const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        hash = (hash ^ *first as u64).wrapping_mul(0x0000_0100_0000_01b3);
        rest = tail;
    }
    hash
}

macro_rules! assets {
    ($($name:literal: $kind:literal,)+) => {
        const ASSETS: &[(&str, Asset)] = &[$(($name, Asset {
            bytes: include_bytes!(concat!("../../../web/", $name)),
            content_type: $kind,
        }),)+];
    };
}

assets! {
    "site.css": "text/css; charset=utf-8",
    "seats.css": "text/css; charset=utf-8",
    "suggest.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "seats.js": "text/javascript; charset=utf-8",
    "news.js": "text/javascript; charset=utf-8",
    "countdown.js": "text/javascript; charset=utf-8",
    "pay.js": "text/javascript; charset=utf-8",
    "sw.js": "text/javascript; charset=utf-8",
    "offline.js": "text/javascript; charset=utf-8",
    "mark.svg": "image/svg+xml",
}

/// The file at a path below `/assets/`, such as `site.css`.
pub fn asset(path: &str) -> Option<Asset> {
    ASSETS.iter().find(|(name, _)| *name == path).map(|(_, asset)| *asset)
}

/// Where a page finds the file; another content has another address, so it may be cached for ever.
pub(super) fn url(name: &str) -> String {
    let hash = asset(name).map_or(0, |a| fnv1a(a.bytes));
    format!("/assets/{name}?v={hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_the_table() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../web");
        for file in std::fs::read_dir(folder).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            assert!(asset(&name).is_some_and(|a| !a.bytes.is_empty()), "{name}");
        }
        assert!(asset("../Cargo.toml").is_none());
    }
}
