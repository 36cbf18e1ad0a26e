//! Any text as the administrator's files, and as a catalogue file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nugul_catalog::words::{Files, Words};

fuzz_target!(|text: &str| {
    let files = Files { synonyms: text, names: text, stop: text, dictionary: text, places: text };
    if let Ok(words) = Words::parse(&files) {
        words.region_of(text);
    }
    let _ = nugul_catalog::parse_jsonl(text);
});
