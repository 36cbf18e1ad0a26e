//! How votes become places.

use proptest::prelude::*;

use super::*;
use crate::Region;

const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn searched(word: &str, known: bool, by: u64) -> Vote {
    Vote { deed: Deed::Searched { keyword: Keyword::of(word).unwrap(), known }, voter: Voter(by) }
}

fn event(n: u8) -> EventId {
    EventId::new(Region(0), START, [n; 9])
}

fn count(board: &mut Board, votes: Vec<Vote>, at: Timestamp) -> Taken {
    thread_local!(static NEXT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) });
    let seq = NEXT.with(|n| n.replace(n.get() + 1) + 1);
    board.count(&Batch { source: Source(1), seq, votes }, at)
}

fn words(board: &Board, window: Window, at: Timestamp) -> Vec<String> {
    let places = board.standing(Kind::Keywords, window, at).places(window, at, PLACES_MAX, |_| true);
    places.into_iter().map(|p| p.subject).collect()
}

#[test]
fn half_lives_are_as_said() {
    for window in Window::ALL {
        let exact = std::f64::consts::LN_2 * f64::from(i32::try_from(window.length_ms()).unwrap());
        let stated = f64::from(i32::try_from(window.half_life_ms()).unwrap());
        assert!((stated - exact).abs() <= 0.5, "{window:?}");
        assert_eq!(Window::parse(window.as_str()), Some(window));
        let later = START.plus_ms(window.half_life_ms());
        let score = Score::NONE.with(window, START, 8);
        assert!((score.worth(window, later) - 4.0).abs() < 1e-6);
    }
}

#[test]
fn demand_rises_by_two_steps_with_each_doubling_and_ends_where_nothing_is_shown() {
    let window = Window::Week;
    let of = |weight| Score::NONE.with(window, START, weight).demand(window, START);
    assert_eq!([1, 2, 3, 4, 8, 1_000_000].map(of), [3, 5, 6, 7, 9, 42]);
    let later = |ms| Score::NONE.with(window, START, 1).demand(window, START.plus_ms(ms));
    assert_eq!((later(window.half_life_ms() - 1_000), later(window.half_life_ms() + 1_000)), (1, 0));
    assert_eq!(Score::NONE.demand(window, START), 0);
}

#[test]
fn votes_that_come_evenly_are_worth_their_number_in_the_window() {
    let every_ms = Window::Hour.length_ms() / 100;
    let mut score = Score::NONE;
    let mut at = START;
    for _ in 0..2_000 {
        at = at.plus_ms(every_ms);
        score = score.with(Window::Hour, at, 1);
    }
    let worth = score.worth(Window::Hour, at);
    assert!((99.0..102.0).contains(&worth), "{worth}");
}

#[test]
fn one_person_has_one_vote_in_a_window() {
    let mut board = Board::default();
    assert_eq!(count(&mut board, vec![searched("캣츠", true, 1), searched("캣츠", true, 1)], START), Taken::Counted(1));
    assert_eq!(count(&mut board, vec![searched(" 캣츠 ", true, 1)], START), Taken::Counted(0));
    assert_eq!(count(&mut board, vec![searched("캣츠", true, 2)], START), Taken::Counted(1));
    // The next hour is another vote there, and none for the day.
    let next_hour = START.plus_ms(HOUR_MS);
    let day_before = board.standing(Kind::Keywords, Window::Day, next_hour).now;
    assert_eq!(count(&mut board, vec![searched("캣츠", true, 1)], next_hour), Taken::Counted(1));
    assert_eq!(board.standing(Kind::Keywords, Window::Day, next_hour).now, day_before);
    let hour = board.standing(Kind::Keywords, Window::Hour, next_hour).now;
    assert!((hour[0].1.worth(Window::Hour, next_hour) - (1.0 + 2.0 * (-1.0_f64).exp())).abs() < 1e-3);
}

#[test]
fn a_look_and_a_booking_are_two_votes() {
    let mut board = Board::default();
    let by = |deed, n| Vote { deed, voter: Voter(n) };
    let votes = vec![by(Deed::Looked(event(1)), 1), by(Deed::Booked(event(1)), 1), by(Deed::Looked(event(2)), 2)];
    assert_eq!(count(&mut board, votes, START), Taken::Counted(3));
    let standing = board.standing(Kind::Events, Window::Week, START);
    let places = standing.places(Window::Week, START, 10, |_| true);
    let scores: Vec<(String, u32)> = places.iter().map(|p| (p.subject.clone(), p.rank)).collect();
    assert_eq!(scores, [(event(1).to_string(), 1), (event(2).to_string(), 2)]);
    assert!((places[0].score - f64::from(LOOK_WEIGHT + BOOKING_WEIGHT)).abs() < 1e-6);
}

#[test]
fn a_batch_counts_once() {
    let mut board = Board::default();
    let batch = |seq, by| Batch { source: Source(7), seq, votes: vec![searched("캣츠", true, by)] };
    assert_eq!(board.count(&batch(5, 1), START), Taken::Counted(1));
    assert_eq!(board.count(&batch(5, 2), START), Taken::Repeated);
    assert_eq!(board.count(&batch(4, 3), START), Taken::Repeated);
    assert_eq!(board.count(&Batch { source: Source(8), ..batch(5, 4) }, START), Taken::Counted(1));
    assert!((board.standing(Kind::Keywords, Window::Day, START).now[0].1.worth(Window::Day, START) - 2.0).abs() < 1e-6);
}

#[test]
fn a_word_that_no_event_has_needs_people() {
    let mut board = Board::default();
    for n in 0..u64::from(UNKNOWN_PEOPLE_MIN) - 1 {
        assert_eq!(count(&mut board, vec![searched("나만의 말", false, n)], START), Taken::Counted(0));
        // The same person in the next hour is not another.
        assert_eq!(count(&mut board, vec![searched("나만의 말", false, n)], START), Taken::Counted(0));
    }
    assert!(words(&board, Window::Day, START).is_empty());
    assert_eq!(count(&mut board, vec![searched("나만의 말", false, 99)], START), Taken::Counted(1));
    assert_eq!(words(&board, Window::Day, START), ["나만의 말"]);
    // Another day, but the week remembers that people know it.
    let tomorrow = START.plus_ms(DAY_MS);
    assert_eq!(count(&mut board, vec![searched("나만의 말", false, 100)], tomorrow), Taken::Counted(1));
}

#[test]
fn places_move() {
    let mut board = Board::default();
    let votes = |word: &'static str, from: u64, many: u64| (from..from + many).map(move |n| searched(word, true, n));
    count(&mut board, votes("캣츠", 0, 3).chain(votes("빨래", 0, 2)).chain(votes("렌트", 0, 1)).collect(), START);
    let shown = |board: &Board, at| {
        let places = board.standing(Kind::Keywords, Window::Day, at).places(Window::Day, at, 10, |_| true);
        places.into_iter().map(|p| (p.subject, p.movement)).collect::<Vec<_>>()
    };
    let first = shown(&board, START);
    assert_eq!(first[0], ("캣츠".into(), Movement::New));
    let later = START.plus_ms(Window::Day.step_ms());
    assert!(shown(&board, later).iter().all(|(_, m)| *m == Movement::By(0)));
    count(&mut board, votes("렌트", 50, 5).chain(votes("위키드", 0, 1)).collect(), later);
    assert_eq!(
        shown(&board, later),
        [
            ("렌트".into(), Movement::By(2)),
            ("캣츠".into(), Movement::By(-1)),
            ("빨래".into(), Movement::By(-1)),
            ("위키드".into(), Movement::New)
        ]
    );
    // What is hidden has no place, now or before.
    let standing = board.standing(Kind::Keywords, Window::Day, later);
    let places = standing.places(Window::Day, later, 1, |s| s != "캣츠");
    assert_eq!((places[0].rank, places[0].movement), (1, Movement::By(1)));
    assert_eq!(places.len(), 1);
}

#[test]
fn what_faded_is_not_shown() {
    let mut board = Board::default();
    count(&mut board, vec![searched("캣츠", true, 1)], START);
    let standing = |at| board.standing(Kind::Keywords, Window::Hour, at).places(Window::Hour, at, 10, |_| true).len();
    assert_eq!(standing(START.plus_ms(Window::Hour.half_life_ms() - 1_000)), 1);
    assert_eq!(standing(START.plus_ms(Window::Hour.half_life_ms() + 1_000)), 0);
}

#[test]
fn rankings_are_bounded_and_keep_the_highest() {
    let mut board = Board::default();
    for voter in 0..3 {
        count(&mut board, vec![searched("모두의 말", true, voter)], START);
    }
    for n in 0..KEPT_MAX as u64 + 10 {
        count(&mut board, vec![searched(&format!("말 {n}"), true, 1)], START);
    }
    let kept = board.kept(Kind::Keywords, Window::Hour);
    assert!((KEPT_AFTER_TRIM..=KEPT_MAX).contains(&kept), "{kept}");
    assert_eq!(words(&board, Window::Hour, START)[0], "모두의 말");
}

#[test]
fn what_is_a_keyword() {
    let of = |text: &str| Keyword::of(text).map(|k| k.as_str().to_owned());
    assert_eq!(of("  레미제라블   뮤지컬 "), Some("레미제라블 뮤지컬".into()));
    assert_eq!(of("BTS"), Some("bts".into()));
    assert_eq!(of("앤"), Some("앤".into()));
    assert_eq!(of("브로드웨이 42번가"), Some("브로드웨이 42번가".into()));
    for not in ["", " ", "!!", "뮤ㅈ", "ㄹㅁㅈ", "a@b.kr", "010-1234-5678", "a\u{7}b", &"가".repeat(31)] {
        assert_eq!(of(not), None, "{not}");
    }
}

proptest! {
    #[test]
    fn the_kept_order_is_the_order_of_exact_scores(
        votes in prop::collection::vec((0usize..4, 0i64..40 * HOUR_MS), 1..60), later in 0i64..HOUR_MS,
    ) {
        let window = Window::Hour;
        let mut votes = votes;
        votes.sort_by_key(|(_, at)| *at);
        let end = START.plus_ms(40 * HOUR_MS + later);
        let (mut kept, mut exact) = ([Score::NONE; 4], [0.0_f64; 4]);
        for (subject, at) in votes {
            let at = START.plus_ms(at);
            kept[subject] = kept[subject].with(window, at, 1);
            exact[subject] += (window.age(at) - window.age(end)).exp2();
        }
        for a in 0..4 {
            let worth = kept[a].worth(window, end);
            prop_assert!((worth - exact[a]).abs() <= exact[a] * 1e-6, "{worth} {}", exact[a]);
            for b in 0..4 {
                if exact[a] > exact[b] * (1.0 + 1e-6) {
                    prop_assert!(kept[a] > kept[b]);
                }
            }
        }
    }

    #[test]
    fn any_text_is_a_keyword_once_or_none(text in ".{0,40}") {
        if let Some(keyword) = Keyword::of(&text) {
            prop_assert_eq!(Keyword::of(keyword.as_str()), Some(keyword));
        }
    }

    #[test]
    fn no_vote_counts_twice_in_an_hour(voters in prop::collection::vec(0u64..20, 1..60)) {
        let mut board = Board::default();
        let mut distinct = std::collections::BTreeSet::new();
        for chunk in voters.chunks(7) {
            count(&mut board, chunk.iter().map(|n| searched("캣츠", true, *n)).collect(), START);
            distinct.extend(chunk.iter().copied());
        }
        let worth = board.standing(Kind::Keywords, Window::Hour, START).now[0].1.worth(Window::Hour, START);
        let people = f64::from(u32::try_from(distinct.len()).unwrap());
        prop_assert!((worth - people).abs() < 1e-3, "{worth} {people}");
    }
}
