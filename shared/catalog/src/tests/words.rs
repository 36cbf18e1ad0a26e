//! The administrator's files.

use proptest::prelude::*;

use super::catalog;
use crate::words::{Files, SHIPPED, Words};
use crate::{Index, Query, build_with};

const EMPTY: Files<'static> = Files { synonyms: "", names: "", stop: "", dictionary: "", places: "" };

#[test]
fn the_shipped_files_are_well_formed() {
    let words = Words::parse(&SHIPPED).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(Words::shipped(), words);
    for venue in crate::demo::venues() {
        assert_eq!(words.region_of(venue.name), Some(venue.city), "{}", venue.name);
    }
}

#[test]
fn a_bad_line_is_refused_with_its_file_number_and_reason() {
    for (files, told) in [
        (Files { synonyms: "# a\n\n축제 페스티벌", ..EMPTY }, "synonyms.txt, line 3: expected WORD, WORD"),
        (Files { synonyms: "축제, ", ..EMPTY }, "synonyms.txt, line 1: “” has neither"),
        (Files { synonyms: "축제 => 축 제", ..EMPTY }, "synonyms.txt, line 1: “축제” finds itself"),
        (Files { names: "a,b\n!!!, c", ..EMPTY }, "names.txt, line 2: “!!!” has neither a letter nor a digit"),
        (Files { stop: "예매\n…", ..EMPTY }, "stop.txt, line 2: “…” has neither"),
        (Files { dictionary: "가나 가", ..EMPTY }, "user_words.txt, line 1: a word has no part or at least two"),
        (Files { dictionary: "가나 가 나\n가나", ..EMPTY }, "user_words.txt, line 2: “가나” is listed twice"),
        (Files { places: "예술의전당 서울", ..EMPTY }, "places.txt, line 1: expected PLACE = REGION"),
    ] {
        let error = Words::parse(&files).unwrap_err().to_string();
        assert!(error.starts_with(told), "{error:?} should say {told:?}");
    }
    let long = format!("{}, b", "가".repeat(61));
    let error = Words::parse(&Files { names: &long, ..EMPTY }).unwrap_err();
    assert_eq!(error.reason, "a word is longer than 60 characters");
    let many = (0..40).map(|n| format!("w{n}")).collect::<Vec<_>>().join(", ");
    assert!(Words::parse(&Files { names: &many, ..EMPTY }).is_err());
}

#[test]
fn an_edited_file_is_live_with_the_next_build() {
    let events = catalog(None);
    let total = |words: &Words, q: &str| Index::open(build_with(&events, words)).unwrap().search(&Query::text(q)).total;
    let before = Words::parse(&EMPTY).unwrap();
    assert_eq!(total(&before, "불란서여인숙"), 0);
    let synonyms = Words::parse(&Files { synonyms: "불란서여인숙 => 레미제라블", ..EMPTY }).unwrap();
    assert_eq!(total(&synonyms, "불란서여인숙"), 1);
    // One way only.
    assert_eq!(total(&synonyms, "레미제라블"), total(&before, "레미제라블"));
    let stop = Words::parse(&Files { stop: "불란서여인숙", ..EMPTY }).unwrap();
    assert_eq!(total(&stop, "레미제라블 불란서여인숙"), total(&before, "레미제라블"));
    let dictionary = Words::parse(&Files { dictionary: "불란서여인숙 레미제라블 블루스퀘어", ..EMPTY }).unwrap();
    assert_eq!(total(&dictionary, "불란서여인숙"), 1);
}

proptest! {
    #[test]
    fn any_files_are_read_or_refused(a in any::<String>(), b in "[가-힣a-z=>,# \n]{0,80}") {
        for text in [&a, &b] {
            let files = Files { synonyms: text, names: text, stop: text, dictionary: text, places: text };
            if let Ok(words) = Words::parse(&files) {
                words.region_of(text);
                crate::Index::open(build_with(&catalog(Some(3)), &words)).unwrap();
            }
        }
    }
}
