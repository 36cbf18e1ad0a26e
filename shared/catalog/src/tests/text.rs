//! Text analysis: ways of writing that compare equal.

use proptest::prelude::*;

use crate::text;

#[test]
fn normalisation_drops_case_width_accents_space_and_punctuation() {
    for (written, compared) in [
        (" 레 미-제라블! ", "레미제라블"),
        ("ＢＴＳ　Live", "btslive"),
        ("ﾱﾡ", "ㅁㄱ"),
        ("\u{1112}\u{1161}\u{11AB}\u{1100}\u{1173}\u{11AF}", "한글"),
        ("Les Misérables", "lesmiserables"),
        ("Les Mise\u{301}rables", "lesmiserables"),
        ("DVOŘÁK", "dvorak"),
        ("시즌 Ⅱ, 제②부 10² ①⑩", "시즌2제2부102110"),
        ("İSTANBUL", "istanbul"),
        ("〈…〉", ""),
    ] {
        assert_eq!(text::normalise(written), compared, "{written}");
    }
    assert_eq!(text::normalise_words("넬 〈Christmas in NELL's〉"), ["넬", "christmas", "in", "nell", "s"]);
}

#[test]
fn all_nineteen_initials() {
    assert_eq!(text::initials("가까나다따라마바빠사싸아자짜차카타파하"), "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ");
    assert_eq!(text::initials("명성황후 A"), "ㅁㅅㅎㅎ A");
}

#[test]
fn jamo_are_keystrokes() {
    assert_eq!(text::decompose("값과 뮤지컬"), "ㄱㅏㅂㅅㄱㅗㅏ ㅁㅠㅈㅣㅋㅓㄹ");
}

#[test]
fn the_other_keyboard_layout() {
    assert_eq!(text::from_qwerty("abwlzjf"), "뮤지컬");
    assert_eq!(text::from_qwerty("fpalwpfkqmf"), "레미제라블");
    assert_eq!(text::from_qwerty("rkqtdl Tkek"), "값이 싸다");
    assert_eq!(text::to_qwerty("ㅑㅕ"), "iu");
}

#[test]
fn latin_letters_are_read_as_hangul() {
    for (latin, hangul) in [
        ("myeongseonghwanghu", "명성황후"),
        ("sikago", "시카고"),
        ("hangang", "한강"),
        ("rebeka", "레베카"),
        ("moojigae", "무지개"),
    ] {
        assert_eq!(text::to_hangul(latin).as_deref(), Some(hangul), "{latin}");
    }
    for none in ["", "2ne1", "bcd", "레베카", "Sikago"] {
        assert_eq!(text::to_hangul(none), None, "{none}");
    }
}

#[test]
fn numbers_are_read_out() {
    use crate::text::number::read_out;
    for (written, read) in [
        ("42번가", Some("사십이번가")),
        ("2026", Some("이천이십육")),
        ("10cm", Some("십cm")),
        ("1001", Some("천일")),
        ("0시", Some("영시")),
        ("번가", None),
        ("12345", None),
    ] {
        assert_eq!(read_out(written).as_deref(), read, "{written}");
    }
}

proptest! {
    #[test]
    fn typing_with_the_other_layout_loses_nothing(word in "[가-힣]{0,12}") {
        prop_assert_eq!(text::from_qwerty(&text::to_qwerty(&word)), word);
    }

    #[test]
    fn normalising_twice_changes_nothing(word in ".{0,40}") {
        let once = text::normalise(&word);
        prop_assert_eq!(text::normalise(&once), once);
    }

    #[test]
    fn text_analysis_takes_any_text(word in any::<String>()) {
        text::decompose(&word);
        text::initials(&word);
        text::from_qwerty(&word);
        text::to_qwerty(&word);
        text::to_hangul(&word);
        crate::text::number::read_out(&word);
    }

    #[test]
    fn any_latin_word_is_read_to_its_end(word in "[a-z]{0,60}") {
        let read = text::to_hangul(&word).unwrap_or_default();
        prop_assert!(read.chars().all(|c| ('가'..='힣').contains(&c)));
    }
}
