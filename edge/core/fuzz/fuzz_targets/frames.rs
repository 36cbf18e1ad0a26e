//! Streams of bytes, and where they are cut on the way: the first byte says how long the pieces are.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((piece, stream)) = data.split_first() {
        invariants::frames(stream, &[usize::from(*piece)]);
    }
});
