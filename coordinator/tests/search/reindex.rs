//! A new version of the index, built and switched to while people search and sellers write.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use nugul_api::search::{Engine, SearchIndex, SearchJobState, SearchPage, SearchState, SearchVersionState, SearchWork};
use nugul_catalog::CatalogEvent;
use nugul_coordinator::search::{jobs, keeper};

use crate::{
    server::{folder, new_name, running},
    world::{BOUND, Coordinator, PAUSE, encoded, expect},
};

/// Searchers at once.
const SEARCHERS: usize = 3;
/// Events before the first rebuild: more than a batch of the copy.
const EVENTS: usize = 600;
/// Rebuilds under load.
const REBUILDS: usize = 3;

async fn fill(coordinator: &Coordinator, from: usize, to: usize) -> BTreeSet<String> {
    let mut titles = BTreeSet::new();
    for n in from..to {
        let title = format!("너굴 {n}번째 밤");
        coordinator.event(&title, "콘서트", "너굴홀").await;
        titles.insert(title);
    }
    titles
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_see_no_error_and_no_event_missing_while_versions_change() {
    let server = running().await;
    let coordinator = Arc::new(Coordinator::new(&server).await.at_work());
    let known: Vec<String> = fill(&coordinator, 0, EVENTS).await.into_iter().collect();
    coordinator.settled().await;
    let known = Arc::new(Mutex::new(known));
    let stop = Arc::new(AtomicBool::new(false));
    let searches = Arc::new(AtomicUsize::new(0));

    let mut tasks = Vec::new();
    for searcher in 0..SEARCHERS {
        let (coordinator, known, stop, searches) = (coordinator.clone(), known.clone(), stop.clone(), searches.clone());
        tasks.push(tokio::spawn(async move {
            let mut n = searcher;
            while !stop.load(Ordering::Relaxed) {
                let title = {
                    let known = known.lock().unwrap();
                    known[n * 7919 % known.len()].clone()
                };
                let answer = coordinator.get(&format!("search/events?{}", encoded(&[("q", &title)]))).await;
                let page: SearchPage<CatalogEvent> = expect(200, answer);
                assert_eq!(page.engine, Engine::Opensearch, "{title}");
                assert!(page.items.iter().any(|e| e.title == title), "{title} is missing");
                searches.fetch_add(1, Ordering::Relaxed);
                n += SEARCHERS;
            }
        }));
    }
    let writer = {
        let (coordinator, known, stop) = (coordinator.clone(), known.clone(), stop.clone());
        tokio::spawn(async move {
            let mut n = EVENTS;
            while !stop.load(Ordering::Relaxed) {
                let title = format!("너굴 {n}번째 밤");
                coordinator.event(&title, "콘서트", "너굴홀").await;
                // From the moment it is found it stays so.
                let end = Instant::now() + BOUND;
                while !coordinator.search(&[("q", &title)]).await.items.iter().any(|e| e.title == title) {
                    assert!(Instant::now() < end, "{title} is never found");
                    tokio::time::sleep(PAUSE).await;
                }
                known.lock().unwrap().push(title);
                n += 1;
            }
            n
        })
    };
    for _ in 0..REBUILDS {
        let before = searches.load(Ordering::Relaxed);
        let job = coordinator.begin(SearchWork::Reindex, SearchIndex::Events).await;
        let job = coordinator.ended(&job).await;
        assert_eq!((job.state, job.reason), (SearchJobState::Done, None));
        assert!(job.done >= i64::try_from(EVENTS).unwrap() && job.done <= job.total);
        assert!(searches.load(Ordering::Relaxed) > before, "nobody searched meanwhile");
    }
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    let made = writer.await.unwrap();
    assert!(made > EVENTS, "nobody wrote meanwhile");

    let state: SearchState = expect(200, coordinator.get("admin/search").await);
    let events: Vec<_> = state.versions.iter().filter(|v| v.index == SearchIndex::Events).collect();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[1].state, SearchVersionState::Live);
    let live = coordinator.client().index(SearchIndex::Events, events[1].version);
    assert_eq!(coordinator.client().behind_alias(SearchIndex::Events).await.unwrap(), Some(live));

    // The way back: the version before was told of everything made since.
    let title = "되돌아간 밤";
    coordinator.event(title, "콘서트", "너굴홀").await;
    let back = coordinator.ended(&coordinator.begin(SearchWork::WayBack, SearchIndex::Events).await).await;
    assert_eq!((back.state, back.version), (SearchJobState::Done, Some(events[0].version)));
    let former = coordinator.client().index(SearchIndex::Events, events[0].version);
    assert_eq!(coordinator.client().behind_alias(SearchIndex::Events).await.unwrap(), Some(former.clone()));
    assert_eq!(coordinator.titles(title).await[0], title);
    assert_eq!(coordinator.client().count(&former).await.unwrap(), i64::try_from(made + 1).unwrap());
}

#[tokio::test]
async fn a_rebuild_that_was_interrupted_goes_on_where_it_was() {
    let server = running().await;
    let coordinator = Coordinator::new(&server).await;
    fill(&coordinator, 0, 3).await;
    let (app, client) = (&coordinator.app, coordinator.client());
    let job = coordinator.begin(SearchWork::Reindex, SearchIndex::Events).await;
    // Dropped after every so many polls: as if the process died there.
    let mut interrupted = 0;
    loop {
        let pass = keeper::pass(app, client);
        let steps = std::time::Duration::from_millis(20 + 15 * interrupted);
        if let Ok(worked) = tokio::time::timeout(steps, pass).await {
            // Nothing is left to do where the one before was interrupted in its very last step.
            assert!(worked.unwrap() || interrupted > 0);
            break;
        }
        interrupted += 1;
        coordinator.later(jobs::LEASE_MS + 1);
        assert!(interrupted < 200, "it never gets further");
        // The feed is another worker.
        nugul_coordinator::search::feed::pass(app, client).await.unwrap();
    }
    let job = jobs::find(&app.db, job.id).await.unwrap().unwrap();
    assert_eq!((job.state, job.reason, job.done), (SearchJobState::Done, None, 3));
    assert_eq!(client.count(&client.alias(SearchIndex::Events)).await.unwrap(), 3);
}

#[tokio::test]
async fn edited_words_are_live_after_a_reindex_and_bad_ones_change_nothing() {
    let server = running().await;
    let name = new_name();
    let words = folder(&format!("{name}-words"));
    std::fs::create_dir_all(&words).unwrap();
    let write = |user: &str, same: &str| {
        std::fs::write(words.join("user_words.txt"), user).unwrap();
        std::fs::write(words.join("synonyms.txt"), same).unwrap();
    };
    write("", "");
    let settings = [("NUGUL_SEARCH_WORDS", Path::new(&words).to_str().unwrap())];
    let coordinator = Coordinator::over(&server, &name, folder(&name), &settings).await;
    coordinator.event("한강 불꽃축제", "콘서트", "한강공원").await;
    let coordinator = coordinator.at_work();
    coordinator.settled().await;
    assert!(coordinator.titles("불꽃페스티벌").await.is_empty());

    write("불꽃축제 불꽃 축제\n불꽃페스티벌 불꽃 페스티벌", "축제, 페스티벌");
    let job = coordinator.ended(&coordinator.begin(SearchWork::Reindex, SearchIndex::Events).await).await;
    assert_eq!((job.state, job.reason), (SearchJobState::Done, None));
    assert_eq!(coordinator.titles("불꽃 페스티벌").await, ["한강 불꽃축제"]);

    write("불꽃축제 불꽃", "");
    let job = coordinator.ended(&coordinator.begin(SearchWork::Reindex, SearchIndex::Events).await).await;
    assert_eq!(job.state, SearchJobState::Failed);
    assert!(job.reason.unwrap().starts_with("user_words.txt, line 1: "));
    assert_eq!(coordinator.titles("불꽃 페스티벌").await, ["한강 불꽃축제"]);
    std::fs::remove_dir_all(&words).unwrap();
}
