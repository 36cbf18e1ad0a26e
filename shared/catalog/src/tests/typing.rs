//! Every way of typing the same thing: one table a kind of query.

use proptest::prelude::*;

use super::{catalog, demo_index, open, titles};
use crate::query::{Matched, Query};
use crate::text;
use crate::text::typo::Typo;

/// Each query's first result is the title, for the reason given by the kind of its match.
fn first(table: &[(&str, &str)], matched: Matched) {
    let index = demo_index();
    for (q, title) in table {
        let page = index.search(&Query::text(*q));
        let found: Vec<&str> = page.items.iter().map(|item| item.event.title.as_str()).take(3).collect();
        assert_eq!(found.first(), Some(title), "{q}: {found:?}");
        assert_eq!(page.matched, matched, "{q}");
    }
}

#[test]
fn titles_as_written_spaced_and_begun() {
    first(
        &[
            ("레미제라블", "레미제라블"),
            ("레 미제라블", "레미제라블"),
            ("미 제라블", "레미제라블"),
            ("레미", "레미제라블"),
            ("오페라의유령", "오페라의 유령"),
            ("오페라 유령", "오페라의 유령"),
            ("지킬 앤 하이드", "지킬앤하이드"),
            ("bts", "BTS 콘서트 〈ARIRANG〉"),
            ("ＢＴＳ", "BTS 콘서트 〈ARIRANG〉"),
            ("캣츠", "캣츠"),
            ("아트", "아트"),
            ("빨래", "빨래"),
        ],
        Matched::All,
    );
}

#[test]
fn initials_alone_and_mixed() {
    first(
        &[
            ("ㄹㅁㅈㄹㅂ", "레미제라블"),
            ("ㅁㅅㅎㅎ", "명성황후"),
            ("ㄹㅁ제라블", "레미제라블"),
            ("레ㅁㅈ라블", "레미제라블"),
            // Tense consonants by their plain ones.
            ("ㅂㄹ", "빨래"),
            ("ㅎㄷㄱㄱ 인ㅎ 국립", "국립발레단 호두까기 인형"),
            ("ㅎㄷㄲㄱ 인형 국립", "국립발레단 호두까기 인형"),
        ],
        Matched::All,
    );
}

#[test]
fn half_typed() {
    first(
        &[
            ("레미제ㄹ", "레미제라블"),
            ("레미젤", "레미제라블"),
            ("레미제라브", "레미제라블"),
            ("명성화", "명성황후"),
            ("오페라의 유려", "오페라의 유령"),
        ],
        Matched::All,
    );
}

#[test]
fn the_other_keyboard_layout() {
    first(
        &[
            ("fpalwpfkqmf", "레미제라블"),
            ("FPALWPFKQMF", "레미제라블"),
            ("fpalwp", "레미제라블"),
            ("zotcm", "캣츠"),
            ("ㅠㅅㄴ", "BTS 콘서트 〈ARIRANG〉"),
        ],
        Matched::Corrected,
    );
}

#[test]
fn typing_mistakes() {
    first(
        &[
            ("레미제라불", "레미제라블"),
            ("래미제라블", "레미제라블"),
            ("레미재라불", "레미제라블"),
            ("맘마미야", "맘마미아!"),
            ("오패라의 유령", "오페라의 유령"),
            ("지킬앤하이두", "지킬앤하이드"),
            ("뮤지컬 레베까", "레베카"),
        ],
        Matched::Corrected,
    );
    let page = demo_index().search(&Query::text("뮤지컬 레미제라불"));
    assert_eq!(page.did_you_mean.as_deref(), Some("뮤지컬 레미제라블"));
}

#[test]
fn other_letters_and_other_names() {
    first(
        &[
            ("lesmiserables", "레미제라블"),
            ("les misérables", "레미제라블"),
            ("Les Mis", "레미제라블"),
            ("phantom of the opera", "오페라의 유령"),
            ("chicago", "시카고"),
            ("방탄소년단", "BTS 콘서트 〈ARIRANG〉"),
            ("노틀담 드 파리", "노트르담 드 파리"),
            ("nutcracker 국립", "국립발레단 호두까기 인형"),
            ("브로드웨이 사십이번가", "브로드웨이 42번가"),
        ],
        Matched::All,
    );
    first(&[("myeongseonghwanghu", "명성황후"), ("sikago", "시카고"), ("ppallae", "빨래")], Matched::Corrected);
}

#[test]
fn particles_stop_words_and_words_run_together() {
    first(
        &[
            ("명성황후를", "명성황후"),
            ("레미제라블 예매", "레미제라블"),
            ("레미제라블 티켓 가격", "레미제라블"),
            ("뮤지컬레미제라블", "레미제라블"),
            ("뮤지컬 레미제라블", "레미제라블"),
            ("블루스퀘어 레미", "레미제라블"),
            ("블루스퀘어에서 레미제라블", "레미제라블"),
            ("레미제라블 2027", "레미제라블"),
        ],
        Matched::All,
    );
    // A query of stop words alone is still a query.
    assert!(!titles(&demo_index(), "공연").is_empty());
}

#[test]
fn most_words_are_enough_where_no_event_has_all() {
    let index = demo_index();
    let page = index.search(&Query::text("레미제라블 없는낱말뭉치"));
    assert_eq!((page.items[0].event.title.as_str(), page.matched), ("레미제라블", Matched::Most));
    assert_eq!(index.search(&Query::text("없는낱말뭉치 그런거없음")).total, 0);
    assert_eq!(index.search(&Query::text("!!!")).total, 0);
}

#[test]
fn what_a_buyer_types_at_christmas() {
    let index = demo_index();
    let page = index.search(&Query::text("크리스마스 발레 예술의전당"));
    let first = &page.items[0].event;
    assert!(first.title.contains("호두까기") && first.place.contains("예술의전당"), "{first:?}");
    let festivals = titles(&index, "페스티벌");
    assert!(festivals.iter().any(|title| title == "예술의전당 교향악축제"), "{festivals:?}");
}

#[test]
fn categories_are_found_half_typed_and_mistyped() {
    let index = demo_index();
    let musicals = index.events().filter(|event| event.category == "뮤지컬").count();
    for q in ["뮤지컬", "뮤ㅈ", "뮤지커", "abwlzjf", "ABWLZJF", "musical"] {
        let page = index.search(&Query { limit: 100, ..Query::text(q) });
        assert!(page.total >= musicals, "{q}: {} of {musicals}", page.total);
        assert_eq!(page.items[0].event.category, "뮤지컬", "{q}");
    }
}

#[test]
fn short_words_forgive_nothing_and_long_ones_two() {
    let best = |word: &str, text: &str| Typo::new(word).and_then(|typo| typo.best(&text::letters(text)));
    let mistakes = |word, text| best(word, text).map(|near| near.mistakes);
    assert_eq!(mistakes("그라", "그리"), None);
    assert_eq!(mistakes("시카거", "시카고"), Some(1));
    assert_eq!(mistakes("사카거", "시카고"), None);
    assert_eq!(mistakes("레미재라불", "뮤지컬 레미제라블"), Some(2));
    assert_eq!(mistakes("래미재라불", "레미제라블"), None);
    // Two swapped keys are one mistake.
    assert_eq!(mistakes("hmalet", "hamlet"), Some(1));
    // The first letters of a word, not its middle.
    assert_eq!(mistakes("제라불", "레미제라블"), None);
}

proptest! {
    /// The bit-parallel distance is the plain one.
    #[test]
    fn distances_are_right(word in "[ㄱㄴㅏㅓ]{5,20}", edits in prop::collection::vec((0_u8..4, any::<prop::sample::Index>(), prop::sample::select(vec!['ㄱ', 'ㄴ', 'ㅏ', 'ㅓ'])), 0..3)) {
        let mut text: Vec<char> = word.chars().collect();
        for (kind, at, c) in edits {
            let at = at.index(text.len());
            match kind {
                0 => text[at] = c,
                1 => text.insert(at, c),
                2 => { text.remove(at); }
                _ => if at + 1 < text.len() { text.swap(at, at + 1) },
            }
        }
        let typo = Typo::new(&word).unwrap();
        let written: String = text.iter().collect();
        let plain = (1..=text.len()).map(|to| distance(&word.chars().collect::<Vec<_>>(), &text[..to])).min().unwrap_or(usize::MAX);
        let near = typo.best(&text::letters(&written)).map(|near| near.mistakes);
        prop_assert_eq!(near, Some(plain).filter(|plain| *plain <= typo.forgiven()));
    }

    #[test]
    fn a_title_is_found_by_itself_its_initials_and_any_unfinished_typing(pick in any::<prop::sample::Index>(), keys in 1_usize..40) {
        let all = catalog(None);
        let event = &all[pick.index(all.len())];
        let index = open(std::slice::from_ref(event));
        prop_assert_eq!(index.search(&Query::text(&event.title)).total, 1);
        prop_assert_eq!(index.search(&Query::text(text::initials(&event.title))).total, 1);
        let typed: String = text::to_qwerty(&text::normalise(&event.title)).chars().take(keys).collect();
        if text::normalise(&event.title).chars().all(|c| ('가'..='힣').contains(&c)) {
            let shown = text::from_qwerty(&typed);
            prop_assert_eq!(index.search(&Query::text(&shown)).total, 1, "{}", shown);
        }
    }
}

/// The optimal string alignment distance by its definition.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let kept = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = kept.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len()][b.len()]
}
