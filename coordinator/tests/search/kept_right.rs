//! The index follows the database: changes in order, differences found and put right.

use nugul_api::search::{SearchIndex, SearchJobState, SearchPage, SearchWork};
use nugul_catalog::{CatalogEvent, Query, Sort, Weights};
use nugul_coordinator::{
    rankings::demand,
    search::{client::Write, document, feed},
};
use nugul_domain::{
    EventId, Region,
    account::Role,
    id::RANDOM_BYTES,
    ranking::{Batch, Deed, Source, Vote, Voter},
};
use serde_json::{Value, json};

use crate::{
    server::running,
    world::{Coordinator, eventually, expect},
};

async fn entry(coordinator: &Coordinator, title: &str) -> Option<CatalogEvent> {
    coordinator.search(&[("q", title)]).await.items.into_iter().find(|e| e.title == title)
}

#[tokio::test]
async fn a_change_is_found_and_an_older_state_never_comes_back() {
    let server = running().await;
    let coordinator = Coordinator::new(&server).await.at_work();
    coordinator.settled().await;
    let event = coordinator.event("너굴의 밤", "콘서트", "너굴홀").await;
    eventually("the new event is found", async || entry(&coordinator, "너굴의 밤").await).await;
    let id = event.summary.id;
    let old = document::of(&coordinator.app, &[id]).await.unwrap().remove(0);

    let path = format!("events/{id}/performances");
    let body = json!({ "starts_at": "2027-01-10T19:30:00+09:00" });
    let made: Value = expect(201, coordinator.post(Role::Seller, &path, &body).await);
    let next = made["id"].as_str().unwrap().to_owned();
    let has_next = async || {
        let entry = entry(&coordinator, "너굴의 밤").await?;
        (entry.performances == 1).then_some(())
    };
    eventually("its performance is found", has_next).await;

    // A delivery that was under way for long, with what it read then.
    let index = coordinator.client().behind_alias(SearchIndex::Events).await.unwrap().unwrap();
    let late = Write { index, id, version: old.version, document: old.json };
    assert_eq!(coordinator.client().bulk(&[late]).await.unwrap(), [None]);
    coordinator.client().refresh(&coordinator.client().alias(SearchIndex::Events)).await.unwrap();
    assert_eq!(has_next().await, Some(()));

    let path = format!("performances/{next}/cancellation");
    let body = json!({ "reason": "비가 와요." });
    let _: Value = expect(202, coordinator.post(Role::Seller, &path, &body).await);
    eventually("its cancellation is found", async || {
        entry(&coordinator, "너굴의 밤").await.filter(|e| e.performances == 0)
    })
    .await;
}

#[tokio::test]
async fn what_people_book_is_wanted_most_and_fades() {
    const FORTY_DAYS_MS: i64 = 40 * 24 * 60 * 60 * 1000;
    let server = running().await;
    let coordinator = Coordinator::new(&server).await.at_work();
    coordinator.settled().await;
    let mut ids = Vec::new();
    for title in ["하나의 밤", "둘의 밤", "셋의 밤"] {
        ids.push(coordinator.event(title, "콘서트", "너굴홀").await.summary.id);
    }
    let (app, most) = (&coordinator.app, ids[1]);
    let voted = |deed, voter| Vote { deed, voter: Voter(voter) };
    let mut votes: Vec<_> = (0..8).map(|voter| voted(Deed::Booked(most), voter)).collect();
    votes.push(voted(Deed::Looked(ids[2]), 1));
    // One that is no event any more.
    votes.push(voted(Deed::Looked(EventId::new(Region(0), app.now(), [9; RANDOM_BYTES])), 1));
    let batch = Batch { source: Source(1), seq: 1, votes };
    app.rankings.count(&[batch], app.now()).await.unwrap();
    assert_eq!(demand::pass(app).await.unwrap(), 2);
    // Nothing has changed since, so nothing is told.
    assert_eq!(demand::pass(app).await.unwrap(), 0);
    let told = |page: SearchPage<CatalogEvent>| {
        page.items.into_iter().map(|e| (e.title, e.popularity)).collect::<Vec<(String, u32)>>()
    };
    let by_demand = [("q", "밤"), ("sort", "popularity")];
    eventually("the booked event comes first", async || {
        let page = told(coordinator.search(&by_demand).await);
        let wanted: Vec<&str> = page.iter().map(|(title, _)| title.as_str()).collect();
        (wanted == ["둘의 밤", "셋의 밤", "하나의 밤"] && page[0].1 > page[1].1 && page[1].1 > page[2].1).then_some(())
    })
    .await;
    eventually("the catalogue's own index says the same", async || {
        let index = app.catalogue.borrow().index.clone();
        let query = Query { sort: Sort::Popularity, ..Query::text("밤") };
        let page = nugul_catalog::search(&[&index], &query, &Weights::default());
        (page.items.first()?.event.title == "둘의 밤").then_some(())
    })
    .await;
    coordinator.later(FORTY_DAYS_MS);
    assert_eq!(demand::pass(app).await.unwrap(), 2);
    eventually("the faded one is like the others", async || {
        coordinator.search(&by_demand).await.items.iter().all(|e| e.popularity <= 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_drifted_is_found_and_put_right() {
    let server = running().await;
    let coordinator = Coordinator::new(&server).await.at_work();
    let titles = ["하나의 밤", "둘의 밤", "셋의 밤", "넷의 밤"];
    let mut ids = Vec::new();
    for title in titles {
        ids.push(coordinator.event(title, "콘서트", "너굴홀").await.summary.id);
    }
    coordinator.settled().await;
    let client = coordinator.client();
    let index = client.behind_alias(SearchIndex::Events).await.unwrap().unwrap();
    let clean = coordinator.ended(&coordinator.begin(SearchWork::Compare, SearchIndex::Events).await).await;
    assert_eq!((clean.done, clean.missing, clean.outdated, clean.surplus), (4, 0, 0, 0));

    // One is lost, one has other words and a version far ahead, one is of no event.
    let body = json!({ "query": { "ids": { "values": [ids[0].to_string()] } }, "seq_no_primary_term": true });
    let hit = client.look(&index, &body).await.unwrap()["hits"]["hits"][0].clone();
    let seen = (ids[0].to_string(), hit["_seq_no"].as_i64().unwrap(), hit["_primary_term"].as_i64().unwrap());
    assert_eq!(client.remove(&index, &[seen]).await.unwrap(), [None]);
    let other = json!({ "id": ids[1], "title": "다른 밤", "digest": "0", "entry": {} }).to_string();
    let stranger = EventId::new(Region(0), coordinator.app.now(), [9; RANDOM_BYTES]);
    let unknown = json!({ "id": stranger, "title": "없는 밤", "digest": "0", "entry": {} }).to_string();
    let writes = [(ids[1], 1_000, other), (stranger, 5, unknown)].map(|(id, version, document)| Write {
        index: index.clone(),
        id,
        version,
        document,
    });
    assert_eq!(client.bulk(&writes).await.unwrap(), [None, None]);

    let found = coordinator.ended(&coordinator.begin(SearchWork::Compare, SearchIndex::Events).await).await;
    assert_eq!((found.state, found.done), (SearchJobState::Done, 4));
    assert_eq!((found.missing, found.outdated, found.surplus), (1, 1, 1));
    eventually("every change was told of", async || {
        (feed::pending(&coordinator.app.db).await.unwrap() == 0).then_some(())
    })
    .await;
    let again = coordinator.ended(&coordinator.begin(SearchWork::Compare, SearchIndex::Events).await).await;
    assert_eq!((again.done, again.missing, again.outdated, again.surplus), (4, 0, 0, 0));
    for title in titles {
        assert!(entry(&coordinator, title).await.is_some(), "{title}");
    }
    assert_eq!(client.count(&index).await.unwrap(), 4);
}
