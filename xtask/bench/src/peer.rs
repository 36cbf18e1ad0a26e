//! OpenSearch with nori to compare with: a whole platform of the distributed profile with the bench's events, asked through
//! its coordinator.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use nugul_api::search::{Engine, SearchPage};
use nugul_catalog::import::{ImportEvent, to_jsonl};
use nugul_platform::{Options, Profile, SearchServer};
use serde::Deserialize;

use crate::{
    ground::Ground,
    wire::{Ask, Wire},
};

/// How long filling OpenSearch may take.
const FILL_LIMIT: Duration = Duration::from_mins(10);
/// The pause between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A platform whose coordinator has OpenSearch.
pub(crate) struct FullText {
    /// The platform.
    pub(crate) ground: Ground,
}

#[derive(Deserialize)]
struct Found {
    title: String,
}

impl FullText {
    /// Starts it and waits until OpenSearch has every event.
    pub(crate) async fn start(name: &str, events: &[ImportEvent]) -> Result<Self, String> {
        let file = CatalogueFile::write(name, events)?;
        let options = Options {
            profile: Profile::Distributed,
            opensearch: SearchServer::Private,
            catalogue: Some(file.0.clone()),
            ..Options::default()
        };
        let full_text = Self { ground: Ground::start_with(name, options).await };
        let end = Instant::now() + FILL_LIMIT;
        loop {
            let page: SearchPage<Found> = full_text.ask("", 1).await;
            if page.engine == Engine::Opensearch && page.total == events.len() {
                return Ok(full_text);
            }
            if Instant::now() >= end {
                return Err(format!("OpenSearch has {} of {} events: {:?}", page.total, events.len(), page.engine));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The titles found, the best first.
    pub(crate) async fn titles(&self, q: &str, limit: usize) -> Vec<String> {
        let page = self.ask(q, limit).await;
        assert_eq!(page.engine, Engine::Opensearch, "{q}: another engine answered");
        page.items.into_iter().map(|found| found.title).collect()
    }

    async fn ask(&self, q: &str, limit: usize) -> SearchPage<Found> {
        let mut wire = Wire::open(&self.ground.origin).await;
        let path = search_path(q, limit);
        wire.send(Ask { method: "GET", path: &path, ..Ask::default() }).await.expect(200)
    }
}

/// The address of a search.
pub(crate) fn search_path(q: &str, limit: usize) -> String {
    let q: String = q.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("/api/v1/search/events?q={q}&limit={limit}")
}

/// Events as a file for a platform to be filled from; gone with its value.
pub(crate) struct CatalogueFile(pub(crate) PathBuf);

impl CatalogueFile {
    /// Writes it.
    pub(crate) fn write(name: &str, events: &[ImportEvent]) -> Result<Self, String> {
        let file = std::env::temp_dir().join(format!("nugul-bench-{}-{name}.jsonl", std::process::id()));
        let text = to_jsonl(events).map_err(|e| e.to_string())?;
        std::fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
        Ok(Self(file))
    }
}

impl Drop for CatalogueFile {
    fn drop(&mut self) {
        // What stays is in the system's folder for passing things.
        let _ = std::fs::remove_file(&self.0);
    }
}
