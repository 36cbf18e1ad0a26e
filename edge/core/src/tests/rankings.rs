//! Votes: gathered, sent once, never in anyone's name; and rankings from a copy.

use nugul_api::rankings::{Vote, VoteBatch};

use super::*;

const KEY: &str = "an edge's secret key";
const MIREJE: &str = "%EB%A0%88%EB%AF%B8%EC%A0%9C%EB%9D%BC%EB%B8%94";

fn counting() -> Fake {
    let fake = Fake::new();
    *fake.edge_key.borrow_mut() = Some(KEY.into());
    fake.on("POST", "/api/v1/rankings/votes", |_| json_answer(&json!({ "repeated": false, "counted": 1 })));
    let event = performance().event;
    fake.on("GET", &format!("/api/v1/events/{}", event_id()), move |_| json_answer(&event));
    fake
}

/// The batches sent since the last call.
fn batches(fake: &Fake) -> Vec<VoteBatch> {
    fake.run_tasks();
    let sent = fake.taken("/rankings/votes");
    for request in &sent {
        assert_eq!(header(&request.headers, "x-nugul-edge-key"), Some(KEY));
        assert_eq!(header(&request.headers, "content-type"), Some("application/json"));
    }
    sent.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

fn search(fake: &Fake, q: &str, headers: &[(&str, &str)]) {
    assert_eq!(fake.get(&format!("/api/v1/search/events?q={q}"), headers).status, 200);
}

fn words(batch: &VoteBatch) -> Vec<(&str, bool)> {
    batch
        .votes
        .iter()
        .filter_map(|vote| match vote {
            Vote::Searched { keyword, known, .. } => Some((keyword.as_str(), *known)),
            Vote::Looked { .. } => None,
        })
        .collect()
}

fn voter(vote: &Vote) -> &str {
    match vote {
        Vote::Searched { voter, .. } | Vote::Looked { voter, .. } => voter,
    }
}

#[test]
fn votes_are_gathered_into_one_batch() {
    let fake = counting();
    search(&fake, MIREJE, &[]);
    search(&fake, MIREJE, &[]);
    // A later page: a place in the order, as the page before named it.
    let further = format!("{MIREJE}&cursor={}", "0".repeat(49));
    search(&fake, &further, &[("x-test-address", "192.0.2.9")]);
    search(&fake, MIREJE, &[("x-test-address", "192.0.2.1")]);
    search(&fake, "%EC%97%86%EB%8A%94%EB%A7%90", &[]);
    search(&fake, "%E3%84%B9%E3%85%81%E3%85%88", &[]);
    search(&fake, MIREJE, &[("x-test-address", "192.0.2.7"), ("sec-purpose", "prefetch")]);
    assert_eq!(fake.get(&format!("/api/v1/events/{}", event_id()), &[]).status, 200);
    let sent = batches(&fake);
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].seq, sent[0].source.len()), (1, 32));
    assert_eq!(words(&sent[0]), [("레미제라블", true), ("레미제라블", true), ("없는말", false)]);
    assert!(matches!(&sent[0].votes[3], Vote::Looked { event_id: id, .. } if *id == event_id()));
    assert_ne!(voter(&sent[0].votes[0]), voter(&sent[0].votes[1]));
    // The next gathering is another batch of the same instance.
    search(&fake, MIREJE, &[("x-test-address", "192.0.2.2")]);
    let next = batches(&fake);
    assert_eq!((next.len(), next[0].seq, &next[0].source), (1, 2, &sent[0].source));
}

#[test]
fn a_buyer_is_one_voter_wherever_they_are_and_named_nowhere() {
    let fake = counting();
    let bearer = format!("Bearer {}", token(900));
    let cookie = format!("nugul_access={}", token(900));
    search(&fake, MIREJE, &[("authorization", &bearer), ("x-test-address", "192.0.2.1")]);
    search(&fake, MIREJE, &[("cookie", &cookie), ("x-test-address", "192.0.2.2")]);
    let page = fake.get(&format!("/search?q={MIREJE}"), &[("cookie", &cookie), ("user-agent", "another")]);
    assert_eq!(page.status, 200);
    fake.run_tasks();
    let sent = fake.taken("/rankings/votes");
    assert_eq!(sent.len(), 1);
    let text = String::from_utf8(sent[0].body.clone()).unwrap();
    assert_eq!(serde_json::from_str::<VoteBatch>(&text).unwrap().votes.len(), 1);
    assert!(!text.contains(&user().to_string()) && !text.contains("192.0.2"));
    assert_eq!(header(&sent[0].headers, "authorization"), None);
}

#[test]
fn a_batch_that_is_not_taken_is_sent_again_as_it_was_and_then_given_up() {
    let fake = counting();
    search(&fake, MIREJE, &[]);
    *fake.down.borrow_mut() = true;
    let sent = batches(&fake);
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|batch| *batch == sent[0]));
    *fake.down.borrow_mut() = false;
    assert!(batches(&fake).is_empty());
    search(&fake, "abc", &[]);
    assert_eq!(batches(&fake).iter().map(|batch| batch.seq).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_crowd_fills_batches_within_their_bounds() {
    let fake = counting();
    search(&fake, MIREJE, &[]);
    fake.taken("");
    for n in 0..5_000 {
        search(&fake, MIREJE, &[("x-test-address", &format!("10.0.{}.{}", n / 250, n % 250))]);
    }
    // Those of a task, and then those of the next.
    let mut votes = 0;
    for _ in 0..3 {
        for batch in batches(&fake) {
            assert!(batch.votes.len() <= 256);
            votes += batch.votes.len();
        }
        search(&fake, &format!("word{votes}"), &[]);
    }
    assert!((4_000..5_000).contains(&votes), "{votes}");
}

#[test]
fn without_a_key_nothing_is_counted() {
    let fake = counting();
    *fake.edge_key.borrow_mut() = None;
    search(&fake, MIREJE, &[]);
    assert!(batches(&fake).is_empty());
    assert!(fake.tasks.borrow().is_empty());
}

#[test]
fn rankings_come_from_a_copy_of_a_moment_ago() {
    let fake = counting();
    let ranking = json!({ "window": "day", "half_life_s": 59887, "as_of": "2026-09-21T22:13:20+09:00", "items": [
        { "rank": 1, "keyword": "레미제라블", "movement": { "kind": "up", "places": 2 }, "score": 12.5 } ] });
    let answer = ranking.clone();
    fake.on("GET", "/api/v1/rankings/keywords", move |_| json_answer(&answer));
    let got: Value = serde_json::from_str(&text(fake.get("/api/v1/rankings/keywords", &[]))).unwrap();
    assert_eq!(got, ranking);
    fake.get("/api/v1/rankings/keywords?limit=10&x=1&window=day", &[]);
    let asked = fake.taken("/rankings/keywords");
    assert_eq!(asked.len(), 1);
    assert!(asked[0].url.ends_with("/rankings/keywords?window=day&limit=10"), "{}", asked[0].url);
    for bad in ["window=year", "limit=0", "limit=51", "limit=x"] {
        assert_eq!(code_of(fake.get(&format!("/api/v1/rankings/events?{bad}"), &[])), Code::InvalidParameter);
    }
    // The first page has them, and is there without them.
    let home = text(fake.get("/", &[]));
    assert!(home.contains("▲2") && home.contains("/search?q=%EB%A0%88"), "{home}");
    *fake.down.borrow_mut() = true;
    *fake.now.borrow_mut() += 120_000;
    let without = fake.get("/", &[]);
    assert_eq!(without.status, 200);
    assert!(!text(without).contains("▲2"));
}
