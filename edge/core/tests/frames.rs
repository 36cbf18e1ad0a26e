//! Frames are read without harm, whatever an upstream sends: the invariants the fuzz target checks, over made-up streams.

#[allow(unreachable_pub, reason = "the fuzz target uses it as a library")]
#[path = "../fuzz/invariants.rs"]
mod invariants;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn streams_of_frames_say_the_same_wherever_they_are_cut(
        text in "(event: [a-z]{1,6}(\n|\r\n)|data:[ -~]{0,9}\r|id: [0-9\0]{1,3}\n|:[a-z]*\n|\n){0,30}",
        cuts in prop::collection::vec(1_usize..9, 1..40),
    ) {
        invariants::frames(text.as_bytes(), &cuts);
    }

    #[test]
    fn hostile_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2_000), piece in 1_usize..99) {
        invariants::frames(&bytes, &[piece]);
    }
}

#[test]
fn seeds_are_streams_of_frames() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/frames");
    let seeds: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert_eq!(seeds.len(), 2);
    for seed in seeds {
        let bytes = std::fs::read(seed.unwrap().path()).unwrap();
        invariants::frames(&bytes[1..], &[usize::from(bytes[0])]);
    }
}
