//! The index follows the database: changes in order, differences found and put right.

use nugul_api::search::{SearchIndex, SearchJobState, SearchWork};
use nugul_coordinator::search::{client::Write, document, feed};
use nugul_domain::{EventId, Region, account::Role, id::RANDOM_BYTES};
use serde_json::{Value, json};

use crate::{
    server::running,
    world::{Coordinator, eventually, expect},
};

async fn entry(coordinator: &Coordinator, title: &str) -> Option<nugul_catalog::CatalogEvent> {
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
