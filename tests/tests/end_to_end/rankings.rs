//! Rankings from outside: what people search for, look at and book shows up, once a person; nobody but an edge may vote.

use std::time::Duration;

use nugul_api::{
    Code, Page,
    catalogue::EventSummary,
    headers::EDGE_KEY,
    rankings::{EventRanking, KeywordRanking, VotesTaken},
};
use nugul_platform::EDGE_KEY as KEY;
use nugul_tests::{
    Buyer, World, eventually,
    http::Method,
    people::{DEMO_SELLER, crowd, new_event, performance_of},
};
use serde_json::{Value, json};

/// Votes are gathered for seconds, a ranking is kept for seconds more.
const LIMIT: Duration = Duration::from_secs(30);
/// People who search for the same.
const PEOPLE: usize = 6;

fn score_of(ranking: &KeywordRanking, keyword: &str) -> Option<f64> {
    ranking.items.iter().find(|item| item.keyword == keyword).map(|item| item.score)
}

#[tokio::test]
async fn what_people_search_for_is_ranked_once_a_person() {
    let world = World::own("rankings");
    let api = world.api();
    let people = crowd(&world, &api, PEOPLE);
    let title = "오페라의 유령";
    for (_, person) in &people {
        for _ in 0..3 {
            person.get(&format!("search/events?q={title}")).await.expect_status(200);
        }
    }
    // Another's word that no event has, and half a word.
    people[0].1.get("search/events?q=하늘을나는너구리").await.expect_status(200);
    people[0].1.get("search/events?q=ㅇㅍㄹ").await.expect_status(200);
    let count = f64::from(u32::try_from(PEOPLE).unwrap());
    let ranking = eventually("a ranked keyword", LIMIT, async || {
        let ranking: KeywordRanking = api.get("rankings/keywords?window=hour").await.expect(200);
        score_of(&ranking, title).is_some_and(|score| score > count - 0.5).then_some(ranking)
    })
    .await;
    assert!(score_of(&ranking, title).is_some_and(|score| score < count + 0.1), "{ranking:?}");
    assert_eq!((ranking.items.len(), ranking.items[0].rank), (1, 1), "{ranking:?}");
    let home = eventually("the first page", LIMIT, async || {
        let page = api.get("/").await.text();
        page.contains("top-keywords").then_some(page)
    })
    .await;
    assert!(home.contains(title) && home.contains("NEW"), "{home}");
}

#[tokio::test]
async fn a_booking_lifts_an_event_above_one_that_is_looked_at() {
    let world = World::shared();
    let api = world.api();
    let seller = Buyer::log_in(&api, DEMO_SELLER).await;
    let (looked, booked) = (new_event(&seller, 2, 10).await, new_event(&seller, 2, 10).await);
    let buyer = Buyer::sign_up(world, &api).await;
    buyer.api.get(&format!("events/{}", looked.summary.id)).await.expect_status(200);
    let performance = performance_of(&seller, &booked).await;
    buyer.buy(world, performance, &[0]).await;
    let rank = |ranking: &EventRanking, event: &EventSummary| {
        ranking.items.iter().find(|item| item.event == *event).map(|item| item.rank)
    };
    let (first, second) = eventually("both events ranked", LIMIT, async || {
        let ranking: EventRanking = api.get("rankings/events?window=hour&limit=50").await.expect(200);
        rank(&ranking, &booked.summary).zip(rank(&ranking, &looked.summary))
    })
    .await;
    assert!(first < second, "{first} {second}");
}

#[tokio::test]
async fn only_an_edge_votes_and_a_batch_counts_once() {
    let world = World::shared();
    let events: Page<EventSummary> = world.api().get("search/events?limit=1").await.expect(200);
    let vote = |voter: &str| json!({ "deed": "looked", "event_id": events.items[0].id, "voter": voter });
    let batch = |seq: u64, votes: Vec<Value>| json!({ "source": "00112233445566778899aabbccddeeff", "seq": seq, "votes": votes });
    let good = batch(7, vec![vote("00000000000000aa"), vote("00000000000000ab"), vote("00000000000000aa")]);
    let send = async |api: &nugul_tests::Api, key: &str, body: &Value| {
        let headers = [(EDGE_KEY, key), ("content-type", "application/json")];
        api.send(Method::POST, "rankings/votes", &headers, Some(body.to_string().into_bytes())).await
    };
    let coordinator = world.coordinator();
    // The edge forwards no key, and the coordinator takes no other.
    send(&world.api(), KEY, &good).await.refused(Code::Forbidden);
    send(&coordinator, "another-key-of-an-edge", &good).await.refused(Code::Forbidden);
    let taken: VotesTaken = send(&coordinator, KEY, &good).await.expect(200);
    assert_eq!(taken, VotesTaken { repeated: false, counted: 2 });
    for seq in [7, 6] {
        let again: VotesTaken = send(&coordinator, KEY, &batch(seq, vec![vote("00000000000000ac")])).await.expect(200);
        assert_eq!(again, VotesTaken { repeated: true, counted: 0 });
    }
    let bad = send(&coordinator, KEY, &batch(8, vec![vote("00000000000000ad"), vote("nobody")])).await;
    assert_eq!(bad.refused(Code::InvalidField).errors[0].pointer, "/votes/1/voter");
    // Nothing of the bad batch was taken, not even its number.
    let good: VotesTaken = send(&coordinator, KEY, &batch(8, vec![vote("00000000000000ad")])).await.expect(200);
    assert_eq!(good, VotesTaken { repeated: false, counted: 1 });
}
