//! What the index makes of Korean text.

use nugul_api::search::SearchIndex;
use nugul_catalog::{
    Words,
    words::{Files, SHIPPED},
};
use nugul_coordinator::search::{mapping, words::IndexWords};

use crate::{server::running, world::Coordinator};

/// An index of these words.
async fn index(coordinator: &Coordinator, words: &IndexWords) -> String {
    let client = coordinator.client();
    let index = client.index(SearchIndex::Events, 1);
    client.put_template(SearchIndex::Events, &mapping::template(words)).await.unwrap();
    client.create(&index).await.unwrap();
    index
}

#[tokio::test]
async fn compounds_are_found_whole_and_by_their_parts_and_particles_say_nothing() {
    let server = running().await;
    let coordinator = Coordinator::new(&server).await;
    let index = index(&coordinator, &IndexWords::new(&Words::shipped())).await;
    let tokens = async |text| coordinator.client().tokens(&index, "korean", text).await.unwrap();
    // decompound_mode mixed: the whole and the parts.
    assert_eq!(tokens("세종문화회관에서").await, ["세종문화회관", "세종", "문화", "회관"]);
    assert_eq!(tokens("국립극장에서는").await, ["국립극장", "국립", "극장"]);
    // Numbers and foreign words stay, in small letters.
    assert_eq!(tokens("Rock 2026!").await, ["rock", "2026"]);
}

#[tokio::test]
async fn the_user_dictionary_keeps_words_whole() {
    let server = running().await;
    let coordinator = Coordinator::new(&server).await;
    let plain = index(&coordinator, &IndexWords::default()).await;
    let split = coordinator.client().tokens(&plain, "korean", "킹키부츠").await.unwrap();
    assert!(split.len() > 1, "{split:?}");
    let coordinator = Coordinator::new(&server).await;
    let ours = index(&coordinator, &IndexWords::new(&Words::shipped())).await;
    assert_eq!(coordinator.client().tokens(&ours, "korean", "킹키부츠").await.unwrap(), ["킹키부츠"]);
}

#[tokio::test]
async fn synonyms_are_added_to_what_is_searched_and_beginnings_are_indexed() {
    let server = running().await;
    let coordinator = Coordinator::new(&server).await;
    let files = Files { dictionary: "", names: "", synonyms: "축제, 페스티벌, 잔치", ..SHIPPED };
    let index = index(&coordinator, &IndexWords::new(&Words::parse(&files).unwrap())).await;
    let tokens = async |analyzer, text| {
        let mut tokens = coordinator.client().tokens(&index, analyzer, text).await.unwrap();
        tokens.sort();
        tokens
    };
    assert_eq!(tokens("korean_search", "축제").await, ["잔치", "축제", "페스티벌"]);
    assert_eq!(tokens("korean", "축제").await, ["축제"]);
    // What is given to it are keystrokes, or initial consonants.
    assert_eq!(tokens("beginning", "ㅁㅠㅈ").await, ["ㅁ", "ㅁㅠ", "ㅁㅠㅈ"]);
    assert_eq!(tokens("pairs", "레미제").await, ["레미", "미제"]);
}
