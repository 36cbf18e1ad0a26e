//! How soon a change is found: an organiser's new event, from the coordinator's answer until the edge finds it.

use std::time::{Duration, Instant};

use nugul_api::catalogue::Event;
use nugul_tests::{new_key, people::event_body};
use serde::Deserialize;
use serde_json::json;

use super::quantile;
use crate::{
    ground::{Ground, post},
    peer::search_path,
    report::Figure,
    wire::{Ask, Wire},
};

/// New events, one after another.
const CHANGES: u32 = 15;
/// One that takes longer counts as lost.
const FOUND_LIMIT: Duration = Duration::from_mins(1);
/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is looked at of an answer.
#[derive(Deserialize)]
struct Found {
    items: Vec<Titled>,
}

#[derive(Deserialize)]
struct Titled {
    title: String,
}

/// Its figures.
pub(super) async fn figures(ground: &Ground, label: &str) -> Result<Vec<Figure>, String> {
    let (mut origin, mut edge) = (Wire::open(&ground.origin).await, Wire::open(&ground.edge).await);
    let mut taken = Vec::new();
    for n in 0..CHANGES {
        // Words that no title of the catalogue has.
        let title = format!("붸쯍{n}번째 {label}");
        let mut body = event_body(2, 2);
        body["title"] = json!(title);
        let path = search_path(&title, 1);
        let _: Event =
            origin.send(post("/api/v1/events", ground.seller(), &new_key(), &body.to_string())).await.expect(201);
        let begun = Instant::now();
        loop {
            let found: Found = edge.send(Ask { method: "GET", path: &path, ..Ask::default() }).await.expect(200);
            if found.items.first().is_some_and(|first| first.title == title) {
                break;
            }
            if begun.elapsed() > FOUND_LIMIT {
                return Err(format!("{title} is not found at the edge"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        taken.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    taken.sort_unstable_by(f64::total_cmp);
    let of = |what: &str, hundredths| {
        Figure::new(format!("change_to_edge_{label}_{what}"), "ms", quantile(&taken, hundredths))
    };
    Ok(vec![of("p50", 50), of("max", 100)])
}
