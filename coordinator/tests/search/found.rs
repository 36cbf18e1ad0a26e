//! What clients find: the kinds of searches people type, filters, order, pages.

use std::collections::BTreeSet;

use nugul_api::{
    Code,
    search::{Engine, FoundListing, SearchPage},
};
use nugul_catalog::CatalogEvent;
use serde_json::{Value, json};

use crate::{
    server::running,
    world::{Coordinator, encoded, event_body, expect, refused},
};

const EVENTS: [(&str, &str, &str, &str, &str); 9] = [
    ("레미제라블", "뮤지컬", "블루스퀘어 신한카드홀", "2027-01-05", "2027-03-01"),
    ("오페라의 유령", "뮤지컬", "샤롯데씨어터", "2027-02-01", "2027-05-01"),
    ("호두까기 인형 크리스마스 발레", "무용", "예술의전당 오페라극장", "2026-12-18", "2026-12-27"),
    ("서울 재즈 페스티벌", "콘서트", "올림픽공원", "2027-05-22", "2027-05-24"),
    ("한강 불꽃축제", "콘서트", "여의도 한강공원", "2027-10-02", "2027-10-02"),
    ("IU 콘서트 The Golden Hour", "콘서트", "잠실종합운동장", "2027-09-17", "2027-09-18"),
    ("너굴 교향악단 정기연주회", "클래식", "세종문화회관 대극장", "2027-03-03", "2027-03-03"),
    ("라이온 킹", "뮤지컬", "예술의전당 오페라극장", "2027-04-01", "2027-06-01"),
    ("몬테크리스토", "뮤지컬", "충무아트센터 대극장", "2027-07-01", "2027-09-01"),
];

async fn filled() -> Coordinator {
    let server = running().await;
    let coordinator = Coordinator::new(&server).await;
    for (title, category, place, first, last) in EVENTS {
        coordinator.event_on(title, category, place, first, last).await;
    }
    let coordinator = coordinator.at_work();
    coordinator.settled().await;
    coordinator
}

#[tokio::test]
async fn what_people_type_finds_what_they_mean() {
    let coordinator = filled().await;
    let mut with_cast = event_body("너굴의 숲", "연극", "대학로 예술극장");
    with_cast["title_en"] = json!("The Raccoon Dog’s Forest");
    with_cast["cast"] = json!(["김너굴", "Rosa Lind"]);
    coordinator.event_of(&with_cast).await;
    coordinator.settled().await;
    for (kind, q, first) in [
        ("title", "레미제라블", "레미제라블"),
        ("other spaces", "레 미제 라블", "레미제라블"),
        ("no spaces", "오페라의유령", "오페라의 유령"),
        ("a word within", "유령", "오페라의 유령"),
        ("inside a word", "크리스토", "몬테크리스토"),
        ("beginning", "레미제", "레미제라블"),
        ("half-typed", "레밎", "레미제라블"),
        ("half-typed", "오펠", "오페라의 유령"),
        ("half-typed", "뮤ㅈ 레", "레미제라블"),
        ("initials", "ㄹㅁㅈㄹㅂ", "레미제라블"),
        ("initials of a later word", "ㅇㄹ", "오페라의 유령"),
        ("initials beside a word", "뮤지컬 ㄹㅁㅈ", "레미제라블"),
        ("wrong layout", "fpalwpfkqmf", "레미제라블"),
        ("wrong layout", "ㅑㅕ", "IU 콘서트 The Golden Hour"),
        ("typing error", "레미제라불", "레미제라블"),
        ("typing error", "몬태크리스토", "몬테크리스토"),
        ("particle", "세종문화회관에서", "너굴 교향악단 정기연주회"),
        ("part of a compound", "세종", "너굴 교향악단 정기연주회"),
        ("synonym", "재즈 축제", "서울 재즈 페스티벌"),
        ("synonym", "성탄절 발레", "호두까기 인형 크리스마스 발레"),
        ("season, category, place", "크리스마스 발레 예술의전당", "호두까기 인형 크리스마스 발레"),
        ("place and category", "예술의전당 뮤지컬", "라이온 킹"),
        ("small letters", "golden hour", "IU 콘서트 The Golden Hour"),
        ("English title", "raccoon forest", "너굴의 숲"),
        ("beginning of the English title", "the raccoon do", "너굴의 숲"),
        ("who performs", "김너굴", "너굴의 숲"),
        ("who performs, in the other layout", "rlasjrnf", "너굴의 숲"),
        ("initials of who performs", "ㄱㄴㄱ", "너굴의 숲"),
        ("who performs, and what", "rosa lind 연극", "너굴의 숲"),
        ("full width", "ＩＵ", "IU 콘서트 The Golden Hour"),
    ] {
        let titles = coordinator.titles(q).await;
        assert_eq!(titles.first().map(String::as_str), Some(first), "{kind}: {q}: {titles:?}");
    }
    let musicals: BTreeSet<String> = coordinator.titles("abwlzjf").await.into_iter().collect();
    assert_eq!(musicals, ["레미제라블", "오페라의 유령", "라이온 킹", "몬테크리스토"].map(String::from).into());
    let festivals: BTreeSet<String> = coordinator.titles("페스티벌").await.into_iter().collect();
    assert_eq!(festivals, ["서울 재즈 페스티벌", "한강 불꽃축제"].map(String::from).into());
    for nothing in ["zzzz", "!?", "쀍뙑"] {
        assert_eq!(coordinator.titles(nothing).await, Vec::<String>::new(), "{nothing}");
    }
}

#[tokio::test]
async fn filters_order_and_pages() {
    let coordinator = filled().await;
    let titles = async |parameters: &[(&str, &str)]| -> Vec<String> {
        let page = coordinator.search(parameters).await;
        assert_eq!((page.engine, page.total), (Engine::Opensearch, page.items.len()));
        page.items.into_iter().map(|e| e.title).collect()
    };
    assert_eq!(titles(&[("date", "2026-12-24")]).await, ["호두까기 인형 크리스마스 발레"]);
    assert_eq!(titles(&[("date_from", "2027-10-02")]).await, ["한강 불꽃축제"]);
    assert_eq!(titles(&[("date_to", "2027-01-05"), ("category", "뮤지컬")]).await, ["레미제라블"]);
    assert_eq!(
        titles(&[("place", "예술의 전당"), ("sort", "date")]).await,
        ["호두까기 인형 크리스마스 발레", "라이온 킹"]
    );
    assert_eq!(titles(&[("q", "오페라"), ("category", "뮤지컬"), ("place", "샤롯데")]).await, ["오페라의 유령"]);
    assert_eq!(titles(&[("place", "*")]).await.len(), EVENTS.len());

    let mut walked = Vec::new();
    let mut cursor = None::<String>;
    loop {
        let mut parameters = vec![("sort", "date"), ("limit", "2")];
        parameters.extend(cursor.as_deref().map(|c| ("cursor", c)));
        let page = coordinator.search(&parameters).await;
        assert_eq!(page.total, EVENTS.len());
        walked.extend(page.items.into_iter().map(|e| (e.starts_on, e.title)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let mut all: Vec<(String, String)> = EVENTS.iter().map(|e| (e.3.to_owned(), e.0.to_owned())).collect();
    all.sort();
    assert_eq!(walked, all);
    for bad in ["limit=0", "limit=101", "cursor=nonsense", "date=yesterday", "sort=luck"] {
        refused(Code::InvalidParameter, coordinator.get(&format!("search/events?{bad}")).await);
        refused(Code::InvalidParameter, coordinator.get(&format!("search/listings?{bad}")).await);
    }
}

#[tokio::test]
async fn the_answer_says_how_it_read_what_matched_and_what_else_there_is() {
    let coordinator = filled().await;
    let asked = async |parameters: &[(&str, &str)]| -> Value {
        expect(200, coordinator.get(&format!("search/events?{}", encoded(parameters))).await)
    };
    let typed = asked(&[("q", "미제라")]).await;
    assert_eq!(
        (&typed["matched"], &typed["did_you_mean"], &typed["facets"]),
        (&json!("all"), &Value::Null, &Value::Null)
    );
    assert_eq!(typed["items"][0]["highlights"], json!([{ "field": "title", "from": 1, "to": 4 }]));
    let layout = asked(&[("q", "fpalwpfkqmf")]).await;
    assert_eq!((&layout["matched"], &layout["did_you_mean"]), (&json!("corrected"), &json!("레미제라블")));
    assert_eq!(layout["items"][0]["highlights"], json!([{ "field": "title", "from": 0, "to": 5 }]));
    let typo = asked(&[("q", "레미제라불")]).await;
    assert_eq!((&typo["matched"], &typo["did_you_mean"]), (&json!("corrected"), &json!("레미제라블")));
    assert_eq!(typo["items"][0]["highlights"][0]["field"], "title");
    let most = asked(&[("q", "레미제라블 예술의전당")]).await;
    assert_eq!((&most["matched"], &most["total"]), (&json!("most"), &json!(3)));
    // A stop word says nothing beside another.
    assert_eq!(asked(&[("q", "레미제라블 예매")]).await["matched"], "all");

    let all = asked(&[("q", "뮤지컬"), ("category", "뮤지컬"), ("region", "서울"), ("facets", "true")]).await;
    let facets = &all["facets"];
    assert_eq!((&all["total"], &facets["category"]), (&json!(4), &json!([{ "value": "뮤지컬", "count": 4 }])));
    assert_eq!(facets["region"], json!([{ "value": "서울", "count": 4 }]));
    assert_eq!(facets["place"].as_array().map(Vec::len), Some(4));
    assert_eq!(facets["price"][1], json!({ "min_krw": 30_000, "max_krw": 60_000, "count": 4 }));
    assert_eq!((&facets["on_sale"], &facets["transferable"]), (&json!(0), &json!(0)));
    // A choice does not narrow its own counts.
    let none = asked(&[("category", "연극"), ("facets", "true")]).await;
    assert_eq!((&none["total"], &none["facets"]["category"][0]["value"]), (&json!(0), &json!("뮤지컬")));
    for (filter, total) in [
        (("price_min", "55001"), 0),
        (("price_min", "55000"), EVENTS.len()),
        (("price_max", "54999"), 0),
        (("price_max", "55000"), EVENTS.len()),
        (("on_sale", "true"), 0),
        (("transferable", "true"), 0),
        (("region", "부산"), 0),
    ] {
        assert_eq!(asked(&[filter]).await["total"], total, "{filter:?}");
    }
}

#[tokio::test]
async fn every_order_is_walked_by_cursors_without_a_gap() {
    let coordinator = filled().await;
    for sort in ["relevance", "popularity", "date", "price"] {
        // With a text that all match, and scores that differ.
        for q in ["", "ㅅ"] {
            let whole: Vec<String> = ids(&coordinator.search(&[("q", q), ("sort", sort)]).await);
            let mut walked = Vec::new();
            let mut cursor = None::<String>;
            while walked.len() <= whole.len() {
                let mut parameters = vec![("q", q), ("sort", sort), ("limit", "1")];
                parameters.extend(cursor.as_deref().map(|c| ("cursor", c)));
                let page = coordinator.search(&parameters).await;
                walked.extend(ids(&page));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(walked, whole, "{sort} {q:?}");
        }
    }
}

fn ids(page: &SearchPage<CatalogEvent>) -> Vec<String> {
    page.items.iter().map(|event| event.id.clone()).collect()
}

#[tokio::test]
async fn no_listing_is_found_before_there_are_any() {
    let coordinator = filled().await;
    let path = format!("search/listings?{}", encoded(&[("q", "레미제라블")]));
    let page: SearchPage<FoundListing> = expect(200, coordinator.get(&path).await);
    assert_eq!(page, SearchPage { items: vec![], next_cursor: None, total: 0, engine: Engine::Opensearch });
}

#[tokio::test]
async fn whatever_is_typed_is_searched_and_never_taken_for_a_command() {
    let coordinator = filled().await;
    for hostile in [
        "*",
        "?",
        "레미*",
        "\"",
        "\\",
        "{\"match_all\":{}}",
        "title:레미제라블",
        "레미제라블~9",
        "_exists_:id",
        "AND OR NOT",
        "(((((",
        "/.*/",
        "\u{0}",
        "\u{202e}레미",
        "가\n나",
        "ㄳㄵㄶ",
        "ᄅ",
        "💸💸",
        &"ㅁ".repeat(100),
        &"가 ".repeat(50),
        &"a".repeat(100),
        "<em>",
    ] {
        let page = coordinator.search(&[("q", hostile), ("place", hostile), ("category", hostile)]).await;
        assert_eq!((page.engine, page.total), (Engine::Opensearch, 0), "{hostile:?}");
        let page = coordinator.search(&[("q", hostile)]).await;
        assert_eq!(page.engine, Engine::Opensearch, "{hostile:?}");
        assert!(page.total < EVENTS.len(), "{hostile:?} finds everything");
    }
}
