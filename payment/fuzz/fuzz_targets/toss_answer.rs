//! Answers of Toss, by status and body: the first byte chooses the status.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((choice, body)) = data.split_first() {
        let statuses = invariants::STATUSES;
        invariants::toss_answer(statuses[usize::from(*choice) % statuses.len()], body);
    }
});
