//! The contract of rankings: each scenario runs in memory, on one Redis, behind sentinels and on a cluster.

use nugul_coordination::{Error, rankings::Rankings};
use nugul_domain::{
    EventId, Region, Timestamp,
    ranking::{
        BOOKING_WEIGHT, Batch, Deed, KEPT_AFTER_TRIM, KEPT_MAX, Keyword, Kind, Movement, NOTED_MAX, PLACES_MAX, Place,
        Source, Taken, UNKNOWN_PEOPLE_MIN, Vote, Voter, Window,
    },
};
use nugul_platform::Redis;
use proptest::{
    prelude::Strategy,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use crate::server::Server;

/// Within one step of every window.
const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);
/// Longer than any step but the week's.
const HOUR_MS: i64 = 60 * 60 * 1000;

macro_rules! everywhere {
    (@$module:ident, $kind:ident, $($name:ident),+) => {
        mod $module {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let server = super::Server::shared(super::Redis::$kind).await;
                super::$name(super::Rankings::redis(&server.set.url()).await.unwrap()).await;
            }
        )+}
    };
    ($($name:ident),+ $(,)?) => {
        mod in_memory {$(
            #[tokio::test]
            async fn $name() {
                super::$name(super::Rankings::memory()).await;
            }
        )+}
        everywhere!(@in_redis, Single, $($name),+);
        everywhere!(@behind_sentinels, Sentinel, $($name),+);
        everywhere!(@in_a_cluster, Cluster, $($name),+);
    };
}

everywhere! {
    nothing_is_ranked_before_votes,
    a_batch_counts_once,
    one_person_has_one_vote_in_each_window,
    a_word_that_no_event_has_needs_people,
    places_move_from_step_to_step,
    a_booking_weighs_more_than_a_look,
    only_the_highest_are_kept,
    a_crowd_of_replicas_counts_everyone_once,
}

fn searched(word: &str, known: bool, by: u64) -> Vote {
    Vote { deed: Deed::Searched { keyword: Keyword::of(word).unwrap(), known }, voter: Voter(by) }
}

fn event(n: u8) -> EventId {
    EventId::new(Region(0), START, [n; 9])
}

fn batch(seq: u64, votes: Vec<Vote>) -> Batch {
    Batch { source: Source(0xABCD), seq, votes }
}

async fn count(rankings: &Rankings, batch: &Batch, at: Timestamp) -> Result<Taken, Error> {
    Ok(rankings.count(std::slice::from_ref(batch), at).await?[0])
}

async fn places(rankings: &Rankings, kind: Kind, window: Window, at: Timestamp) -> Vec<Place> {
    rankings.standing(kind, window, at).await.unwrap().places(window, at, PLACES_MAX, |_| true)
}

/// Words with their scores to the hundredth.
async fn words(rankings: &Rankings, window: Window, at: Timestamp) -> Vec<(String, f64)> {
    let places = places(rankings, Kind::Keywords, window, at).await;
    places.into_iter().map(|p| (p.subject, (p.score * 100.0).round() / 100.0)).collect()
}

async fn nothing_is_ranked_before_votes(rankings: Rankings) {
    for (kind, window) in Kind::ALL.into_iter().zip(Window::ALL) {
        assert_eq!(places(&rankings, kind, window, START).await, []);
    }
    assert_eq!(count(&rankings, &batch(1, Vec::new()), START).await, Ok(Taken::Counted(0)));
    assert_eq!(places(&rankings, Kind::Events, Window::Hour, START).await, []);
}

async fn a_batch_counts_once(rankings: Rankings) {
    let votes = |by| vec![searched("캣츠", true, by)];
    assert_eq!(count(&rankings, &batch(1, votes(1)), START).await, Ok(Taken::Counted(1)));
    assert_eq!(count(&rankings, &batch(1, votes(2)), START).await, Ok(Taken::Repeated));
    assert_eq!(count(&rankings, &batch(9, votes(3)), START).await, Ok(Taken::Counted(1)));
    assert_eq!(count(&rankings, &batch(2, votes(4)), START).await, Ok(Taken::Repeated));
    let other = Batch { source: Source(7), ..batch(1, votes(5)) };
    assert_eq!(count(&rankings, &other, START).await, Ok(Taken::Counted(1)));
    assert_eq!(words(&rankings, Window::Hour, START).await, [("캣츠".to_owned(), 3.0)]);
}

async fn one_person_has_one_vote_in_each_window(rankings: Rankings) {
    let twice = vec![searched("캣츠", true, 1), searched("캣츠", true, 1), searched("빨래", true, 1)];
    assert_eq!(count(&rankings, &batch(1, twice.clone()), START).await, Ok(Taken::Counted(2)));
    let next_hour = START.plus_ms(HOUR_MS);
    assert_eq!(count(&rankings, &batch(2, twice), next_hour).await, Ok(Taken::Counted(2)));
    let hour = words(&rankings, Window::Hour, next_hour).await;
    assert_eq!(hour, [("캣츠".to_owned(), 1.37), ("빨래".to_owned(), 1.37)]);
    let day = words(&rankings, Window::Day, next_hour).await;
    assert_eq!(day, [("캣츠".to_owned(), 0.96), ("빨래".to_owned(), 0.96)]);
}

async fn a_word_that_no_event_has_needs_people(rankings: Rankings) {
    for n in 1..u64::from(UNKNOWN_PEOPLE_MIN) {
        assert_eq!(
            count(&rankings, &batch(n, vec![searched("나만의 말", false, n)]), START).await,
            Ok(Taken::Counted(0))
        );
    }
    assert_eq!(words(&rankings, Window::Day, START).await, []);
    let one_more = batch(100, vec![searched("나만의 말", false, 100), searched("나만의 말", false, 101)]);
    assert_eq!(count(&rankings, &one_more, START).await, Ok(Taken::Counted(2)));
    assert_eq!(words(&rankings, Window::Day, START).await, [("나만의 말".to_owned(), 2.0)]);
}

async fn places_move_from_step_to_step(rankings: Rankings) {
    let votes = |word: &'static str, from: u64, many: u64| (from..from + many).map(move |n| searched(word, true, n));
    let first = votes("캣츠", 0, 3).chain(votes("빨래", 0, 2)).chain(votes("렌트", 0, 1)).collect();
    count(&rankings, &batch(1, first), START).await.unwrap();
    let moved = async |at| {
        let places = places(&rankings, Kind::Keywords, Window::Day, at).await;
        places.into_iter().map(|p| (p.rank, p.subject, p.movement)).collect::<Vec<_>>()
    };
    assert_eq!(moved(START).await[0], (1, "캣츠".to_owned(), Movement::New));
    let later = START.plus_ms(HOUR_MS);
    assert!(moved(later).await.iter().all(|(_, _, m)| *m == Movement::By(0)));
    count(&rankings, &batch(2, votes("렌트", 50, 5).chain(votes("위키드", 0, 1)).collect()), later).await.unwrap();
    let expected = [
        (1, "렌트".to_owned(), Movement::By(2)),
        (2, "캣츠".to_owned(), Movement::By(-1)),
        (3, "빨래".to_owned(), Movement::By(-1)),
        (4, "위키드".to_owned(), Movement::New),
    ];
    assert_eq!(moved(later).await, expected);
}

async fn a_booking_weighs_more_than_a_look(rankings: Rankings) {
    let by = |deed, n| Vote { deed, voter: Voter(n) };
    let mut votes: Vec<Vote> = (0..9).map(|n| by(Deed::Looked(event(1)), n)).collect();
    votes.push(by(Deed::Booked(event(2)), 50));
    assert_eq!(count(&rankings, &batch(1, votes), START).await, Ok(Taken::Counted(10)));
    let places = places(&rankings, Kind::Events, Window::Week, START).await;
    let subjects: Vec<_> = places.iter().map(|p| p.subject.clone()).collect();
    assert_eq!(subjects, [event(2).to_string(), event(1).to_string()]);
    assert!((places[0].score - f64::from(BOOKING_WEIGHT)).abs() < 1e-6, "{}", places[0].score);
}

async fn only_the_highest_are_kept(rankings: Rankings) {
    let mut seq = 0;
    let mut votes: Vec<Vote> = (0..3).map(|n| searched("모두의 말", true, n)).collect();
    votes.extend((0..=KEPT_MAX).map(|n| searched(&format!("말 {n}"), true, 1)));
    // Unknown words wait within the same bound.
    votes.extend((0..=KEPT_MAX).map(|n| searched(&format!("모를 {n}"), false, 1)));
    for some in votes.chunks(200) {
        seq += 1;
        count(&rankings, &batch(seq, some.to_vec()), START).await.unwrap();
    }
    let standing = rankings.standing(Kind::Keywords, Window::Hour, START).await.unwrap();
    assert_eq!(standing.now.len(), NOTED_MAX);
    assert_eq!(standing.now[0].0, "모두의 말");
    // Of equal ones the lowest in the alphabet went: as many as a trim takes.
    let mut left: Vec<String> = (0..=KEPT_MAX).map(|n| format!("말 {n}")).collect();
    left.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(standing.now[1].0, left[0]);
    let gone = left.last().unwrap();
    count(&rankings, &batch(seq + 1, vec![searched(gone, true, 2), searched(gone, true, 3)]), START).await.unwrap();
    let now = rankings.standing(Kind::Keywords, Window::Hour, START).await.unwrap().now;
    // Two votes: the one from before went with it.
    assert_eq!(now[1].0, *gone);
    assert!((now[1].1.worth(Window::Hour, START) - 2.0).abs() < 1e-6);
    const { assert!(KEPT_AFTER_TRIM < KEPT_MAX) };
}

async fn a_crowd_of_replicas_counts_everyone_once(rankings: Rankings) {
    let mut running = tokio::task::JoinSet::new();
    for source in 0..8_u128 {
        let rankings = rankings.clone();
        running.spawn(async move {
            for seq in 1..=5 {
                let votes = (0..20).map(|n| searched("캣츠", true, seq * 20 + n)).collect();
                let batch = Batch { source: Source(source), seq, votes };
                count(&rankings, &batch, START).await.unwrap();
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    assert_eq!(words(&rankings, Window::Week, START).await, [("캣츠".to_owned(), 100.0)]);
}

/// Random batches, late ones and repeated ones, are taken alike by memory and by Redis.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_redis_agree() {
    let server = Server::shared(Redis::Single).await;
    let mut runner = TestRunner::new(Config::default());
    let vote = (0u8..3, 0usize..8, 0u64..12, proptest::bool::ANY).prop_map(|(deed, subject, by, known)| {
        let word = ["캣츠", "빨래", "렌트", "영웅", "시카고", "없는 말", "모를 말", "헛말"][subject];
        match deed {
            0 => searched(word, known && subject < 5, by),
            1 => Vote { deed: Deed::Looked(event(u8::try_from(subject).unwrap())), voter: Voter(by) },
            _ => Vote { deed: Deed::Booked(event(u8::try_from(subject).unwrap())), voter: Voter(by) },
        }
    });
    let batches = proptest::collection::vec((0u64..6, proptest::collection::vec(vote, 0..12)), 1..4);
    let steps = proptest::collection::vec((0i64..3 * HOUR_MS, batches), 1..10);
    for _ in 0..12 {
        server.set.flush().unwrap();
        let (memory, redis) = (Rankings::memory(), Rankings::redis(&server.set.url()).await.unwrap());
        let mut at = START;
        for (later, batches) in steps.new_tree(&mut runner).unwrap().current() {
            at = at.plus_ms(later);
            let batches: Vec<_> = batches.into_iter().map(|(seq, votes)| batch(seq, votes)).collect();
            assert_eq!(memory.count(&batches, at).await, redis.count(&batches, at).await);
            for (kind, window) in Kind::ALL.into_iter().flat_map(|k| Window::ALL.map(|w| (k, w))) {
                let (ours, theirs) = (places(&memory, kind, window, at).await, places(&redis, kind, window, at).await);
                assert_eq!(ours.len(), theirs.len());
                for (a, b) in ours.iter().zip(&theirs) {
                    assert!((a.score - b.score).abs() < 1e-6, "{a:?} {b:?}");
                    // What differs by less than a double tells may be in either order, now and when it was noted.
                    let tied = ours.iter().filter(|c| (c.score - a.score).abs() < 1e-6).count() > 1;
                    let is_new = |place: &Place| place.movement == Movement::New;
                    assert!(tied || (&a.subject, is_new(a)) == (&b.subject, is_new(b)), "{a:?} {b:?}");
                }
            }
        }
    }
}
