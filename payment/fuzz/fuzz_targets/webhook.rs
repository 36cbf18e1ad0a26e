//! Bodies of webhooks: anyone may send any.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| invariants::webhook(body));
