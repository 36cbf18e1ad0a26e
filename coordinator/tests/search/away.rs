//! The server dies, hangs, comes back: searches are answered all the while, and it catches up.

use std::time::{Duration, Instant};

use nugul_api::search::{Engine, SearchIndex};
use nugul_coordinator::search::feed;

use crate::{
    server::alone,
    world::{BOUND, Coordinator, eventually},
};

/// No search waits longer for a server that hangs, by far.
const SEARCH_MAX: Duration = Duration::from_secs(5);

#[tokio::test]
async fn searches_go_on_without_the_server_and_it_catches_up() {
    let mut server = alone().await;
    let coordinator = Coordinator::new(&server).await.at_work();
    coordinator.event("레미제라블", "뮤지컬", "블루스퀘어").await;
    coordinator.settled().await;
    assert_eq!(coordinator.search(&[("q", "레미제라블")]).await.engine, Engine::Opensearch);

    server.kill();
    coordinator.event("오페라의 유령", "뮤지컬", "샤롯데씨어터").await;
    // The stand-in has what is new too.
    for title in ["레미제라블", "오페라의 유령"] {
        eventually("the catalogue has the event", async || {
            let page = coordinator.search(&[("q", title)]).await;
            assert_eq!(page.engine, Engine::Catalogue);
            (page.total == 1).then_some(())
        })
        .await;
    }
    assert_eq!(feed::pending(&coordinator.app.db).await.unwrap(), 1);

    server.restart().unwrap();
    eventually("the server has the event made without it", async || {
        let page = coordinator.search(&[("q", "오페라의 유령")]).await;
        (page.engine == Engine::Opensearch && page.total == 1).then_some(())
    })
    .await;
    assert_eq!(feed::pending(&coordinator.app.db).await.unwrap(), 0);

    server.pause();
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(coordinator.search(&[("q", "유령")]).await.engine, Engine::Catalogue);
    }
    assert!(begun.elapsed() < SEARCH_MAX, "{:?}", begun.elapsed());
    server.resume();
    eventually("the server is asked again", async || {
        (coordinator.search(&[("q", "유령")]).await.engine == Engine::Opensearch).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_lost_everything_is_filled_again() {
    let server = alone().await;
    let coordinator = Coordinator::new(&server).await.at_work();
    coordinator.event("레미제라블", "뮤지컬", "블루스퀘어").await;
    coordinator.settled().await;
    let before = coordinator.client().behind_alias(SearchIndex::Events).await.unwrap().unwrap();
    server.forget(&coordinator.client().alias(SearchIndex::Events)).unwrap();
    assert_eq!(coordinator.search(&[("q", "레미제라블")]).await.engine, Engine::Catalogue);
    let end = Instant::now() + BOUND;
    while coordinator.search(&[("q", "레미제라블")]).await.engine != Engine::Opensearch {
        assert!(Instant::now() < end, "not filled again");
        // A build of its own accord waits a while after the one before.
        coordinator.later(1_000);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(coordinator.titles("레미제라블").await, ["레미제라블"]);
    assert_ne!(coordinator.client().behind_alias(SearchIndex::Events).await.unwrap(), Some(before));
}
