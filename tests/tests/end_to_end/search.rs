//! Search on every path: the edge in its own memory, the coordinator by its full-text engine or its catalogue.

use std::{fs, path::Path, time::Duration};

use nugul_api::{
    Code,
    catalogue::Event,
    search::{Engine, FoundListing, SearchJob, SearchJobState, SearchPage, SearchState},
};
use nugul_platform::Service;
use nugul_tests::{
    Api, Buyer, World, eventually,
    people::{DEMO_ADMIN, DEMO_SELLER, event_body},
};
use serde_json::{Value, json};

/// How soon a new event is found everywhere.
const FOUND_LIMIT: Duration = Duration::from_secs(20);
/// How long a job of a small index may take.
const JOB_LIMIT: Duration = Duration::from_mins(1);

/// The engine that answers at the coordinator of this run.
fn engine(world: &World) -> Engine {
    if world.opensearch_url().is_some() { Engine::Opensearch } else { Engine::Catalogue }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

async fn found(api: &Api, q: &str) -> Value {
    api.get(&format!("search/events?q={}", encoded(q))).await.expect(200)
}

async fn first_title(api: &Api, q: &str) -> Option<String> {
    found(api, q).await["items"][0]["title"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn what_people_begin_to_type_finds_what_they_mean() {
    let world = World::shared();
    let edge = world.api();
    for q in ["뮤ㅈ", "abwlzjf"] {
        let page = found(&edge, q).await;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        // 뮤지엄 begins so too, and comes after.
        let musicals = items.iter().take_while(|item| item["category"] == "뮤지컬").count();
        assert!(musicals >= 5 && items.iter().skip(musicals).all(|item| item["category"] != "뮤지컬"), "{q}: {page}");
    }
    assert_eq!(found(&edge, "abwlzjf").await["did_you_mean"], "뮤지컬");
    for (q, matched, first) in [
        ("ㄹㅁㅈㄹㅂ", "all", "레미제라블"),
        ("레미제라불", "corrected", "레미제라블"),
        ("크리스마스 발레 예술의전당", "all", "국립발레단 호두까기 인형"),
    ] {
        let page = found(&edge, q).await;
        assert_eq!((&page["matched"], &page["items"][0]["title"]), (&json!(matched), &json!(first)), "{q}: {page}");
        let suggested: Value = edge.get(&format!("search/suggest?q={}", encoded(q))).await.expect(200);
        assert_eq!(suggested["items"][0]["title"], first, "{q}: {suggested}");
    }
    let page = edge.get(&format!("/search?q={}", encoded("레미제라불"))).await.text();
    assert!(page.contains("‘레미제라블’ 검색 결과예요") && page.contains("<mark>레미제라블</mark>"), "{page}");
}

#[tokio::test]
async fn results_are_narrowed_counted_ordered_and_walked() {
    let world = World::shared();
    let edge = world.api();
    let page = async |query: &str| -> Value { edge.get(&format!("search/events?{query}")).await.expect(200) };
    let all = page("facets=true&limit=100").await;
    let of = |facet: &str, n: usize| all["facets"][facet][n].clone();
    for (facet, parameter) in [("category", "category"), ("region", "region"), ("place", "place")] {
        let (value, count) = (of(facet, 0)["value"].clone(), of(facet, 0)["count"].clone());
        assert!(count.as_u64() > Some(0), "{facet} {value}");
        let query = format!("{parameter}={}&limit=100", encoded(value.as_str().unwrap_or_default()));
        // Others add events meanwhile, and none is taken away; an instance of the edge may know of them a moment later than another.
        let narrowed = eventually("as many as were counted", FOUND_LIMIT, async || {
            let narrowed = page(&query).await;
            (narrowed["total"].as_u64() >= count.as_u64()).then_some(narrowed)
        })
        .await;
        for item in narrowed["items"].as_array().into_iter().flatten() {
            assert!(item[facet].as_str().is_some_and(|is| is.contains(value.as_str().unwrap_or_default())), "{item}");
        }
    }
    let cheap = page("price_max=40000&sort=price&limit=100").await;
    let prices: Vec<i64> =
        cheap["items"].as_array().into_iter().flatten().filter_map(|item| item["min_price_krw"].as_i64()).collect();
    assert!(!prices.is_empty() && prices.is_sorted() && prices.iter().all(|price| *price <= 40_000), "{prices:?}");
    assert_eq!(page("transferable=true").await["total"], 0);
    assert!(page("on_sale=true").await["total"].as_u64() > Some(0));

    let mut cursor = String::new();
    let mut days: Vec<String> = Vec::new();
    for _ in 0..100 {
        let walked = page(&format!("q={}&sort=date&limit=3&cursor={cursor}", encoded("뮤지컬"))).await;
        let items = walked["items"].as_array().cloned().unwrap_or_default();
        days.extend(items.iter().filter_map(|item| item["starts_on"].as_str().map(str::to_owned)));
        match walked["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert!(days.len() >= 5 && days.is_sorted(), "{days:?}");
    for bad in ["sort=luck", "cursor=next", "limit=0", "limit=101", "price_min=free", "date=yesterday"] {
        edge.get(&format!("search/events?{bad}")).await.refused(Code::InvalidParameter);
    }
}

#[tokio::test]
async fn words_that_an_administrator_edits_are_known_everywhere_without_a_restart() {
    let words = std::env::temp_dir().join(format!("nugul-test-{}-words", std::process::id()));
    fs::create_dir_all(&words).unwrap();
    let world = World::own_with("words", &[("NUGUL_SEARCH_WORDS", words.to_str().unwrap())]);
    let (edge, coordinator) = (world.api(), world.coordinator());
    assert_eq!(first_title(&edge, "달밤여인숙").await, None);
    write(&words, "달밤여인숙 => 레미제라블");
    known(&[&edge, &coordinator], "달밤여인숙").await;
    // A bad line changes nothing; it is told, and a good edit after it is taken.
    write(&words, "달밤여인숙 => 시카고\n혼자");
    let admin = Buyer::log_in(&coordinator, DEMO_ADMIN).await.api;
    let refused = async || admin.get("admin/search").await.expect::<SearchState>(200).words_refused;
    eventually("the bad line is told", FOUND_LIMIT, async || {
        refused().await.filter(|why| why.contains("synonyms.txt, line 2"))
    })
    .await;
    assert!(world.log(Service::Coordinator).contains("synonyms.txt, line 2"));
    known(&[&edge, &coordinator], "달밤여인숙").await;
    write(&words, "호랑이굴 => 레미제라블");
    known(&[&edge, &coordinator], "호랑이굴").await;
    assert_eq!(refused().await, None);
    assert_eq!(first_title(&edge, "달밤여인숙").await, None);
    fs::remove_dir_all(&words).unwrap();
}

/// Puts a file of synonyms in the place of the one before, in one step.
fn write(folder: &Path, synonyms: &str) {
    let new = folder.join("synonyms.txt.new");
    fs::write(&new, synonyms).expect("a file of words");
    fs::rename(new, folder.join("synonyms.txt")).expect("a file of words");
}

/// Waits until a word finds 레미제라블 at each of these.
async fn known(apis: &[&Api], word: &str) {
    for api in apis {
        eventually(word, FOUND_LIMIT, async || {
            (first_title(api, word).await.as_deref() == Some("레미제라블")).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn the_same_question_finds_the_same_at_the_edge_and_at_the_coordinator() {
    let world = World::shared();
    let (edge, coordinator) = (world.api(), world.coordinator());
    let seller = Buyer::log_in(&edge, DEMO_SELLER).await;
    let title = "수달왈츠 갈라콘서트";
    let mut body = event_body(2, 2);
    body["title"] = json!(title);
    let _: Value = seller.api.post("events", &body).await.expect(201);
    for (path, api) in [("edge", &edge), ("coordinator", &coordinator)] {
        for q in ["수달왈츠", "수달 왈츠", "수달왈ㅊ", "ㅅㄷㅇㅊ", "tnekfdhkfcm", "너굴홀 수달"] {
            eventually(&format!("{q} at the {path}"), FOUND_LIMIT, async || {
                (first_title(api, q).await.as_deref() == Some(title)).then_some(())
            })
            .await;
        }
    }
    eventually("the engine of this run answers", FOUND_LIMIT, async || {
        let page: SearchPage<Value> = coordinator.get("search/events?q=&limit=1").await.expect(200);
        (page.engine == engine(world) && page.total > 1).then_some(())
    })
    .await;
    let none: SearchPage<FoundListing> = edge.get("search/listings").await.expect(200);
    assert_eq!((none.items, none.total), (Vec::new(), 0));
}

#[tokio::test]
async fn an_event_is_found_by_its_english_title_and_by_who_performs() {
    let world = World::shared();
    let (edge, coordinator) = (world.api(), world.coordinator());
    let seller = Buyer::log_in(&edge, DEMO_SELLER).await;
    let mut body = event_body(2, 2);
    body["title"] = json!("숲속의 하룻밤");
    body["title_en"] = json!("A Night Among Spruces");
    body["cast"] = json!(["갈매나무", "Odalys Verne"]);
    let event: Event = seller.api.post("events", &body).await.expect(201);
    assert_eq!(event.title_en.as_deref(), Some("A Night Among Spruces"));
    assert_eq!(event.cast, ["갈매나무", "Odalys Verne"]);
    let read: Event = edge.get(&format!("events/{}", event.summary.id)).await.expect(200);
    assert_eq!(read, event);
    for (path, api) in [("edge", &edge), ("coordinator", &coordinator)] {
        for q in ["among spruces", "갈매나무", "ㄱㅁㄴㅁ", "odalys verne"] {
            eventually(&format!("{q} at the {path}"), FOUND_LIMIT, async || {
                (first_title(api, q).await.as_deref() == Some("숲속의 하룻밤")).then_some(())
            })
            .await;
        }
    }
    let page = edge.get(&format!("/events/{}", event.summary.id)).await.text();
    assert!(page.contains("A Night Among Spruces") && page.contains("갈매나무, Odalys Verne"), "{page}");
}

#[tokio::test]
async fn an_operator_has_the_index_built_anew() {
    let world = World::shared();
    let api = world.api();
    let admin = Buyer::log_in(&api, DEMO_ADMIN).await.api;
    let body = json!({ "work": "reindex", "index": "events" });
    api.post("admin/search/jobs", &body).await.refused(Code::NotLoggedIn);
    Buyer::log_in(&api, DEMO_SELLER).await.api.get("admin/search").await.refused(Code::Forbidden);
    if engine(world) == Engine::Catalogue {
        admin.post("admin/search/jobs", &body).await.refused(Code::NoSearchServer);
        let state: SearchState = admin.get("admin/search").await.expect(200);
        assert_eq!((state.engine, state.pending, state.jobs), (Engine::Catalogue, 0, vec![]));
        return;
    }
    // The first version may still be built.
    let job: SearchJob = eventually("no other job runs", JOB_LIMIT, async || {
        let answer = admin.post("admin/search/jobs", &body).await;
        (answer.status != 409).then(|| answer.expect(202))
    })
    .await;
    let ended = eventually("the job ends", JOB_LIMIT, async || {
        let now: SearchJob = admin.get(&format!("admin/search/jobs/{}", job.id)).await.expect(200);
        now.finished_at.is_some().then_some(now)
    })
    .await;
    assert_eq!((ended.state, ended.reason), (SearchJobState::Done, None));
    assert!(ended.done >= 40, "{}", ended.done);
}
