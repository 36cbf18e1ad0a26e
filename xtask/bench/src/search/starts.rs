//! What a start costs: an edge that has just been started and has no index yet, until it answers a search from one.

use std::time::Instant;

use nugul_platform::Service;

use crate::{
    ground::Ground,
    load::median,
    report::Figure,
    wire::{Ask, Wire},
};

/// Starts, one after another.
const STARTS: usize = 7;

/// The middle of the times: from the kill until the process answers that it lives, of the first search after that, and of the
/// same search once more.
pub(super) async fn figures(ground: &mut Ground, name: &str, paths: &[String]) -> Vec<Figure> {
    let (mut started, mut first, mut second) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths.iter().take(STARTS) {
        let begun = Instant::now();
        ground.restart(Service::Edge);
        started.push(since(begun));
        let mut wire = Wire::open(&ground.edge).await;
        for times in [&mut first, &mut second] {
            let begun = Instant::now();
            wire.send(Ask { method: "GET", path, ..Ask::default() }).await.expect_status(200);
            times.push(since(begun));
        }
    }
    let figure = |what: &str, times| Figure::new(format!("{name}_{what}"), "ms", median(times));
    vec![figure("restart", started), figure("first_search", first), figure("second_search", second)]
}

fn since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1_000.0
}
