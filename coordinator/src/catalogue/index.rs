//! The search index that edges keep in memory: built here when the catalogue or the administrator's words changed, named by
//! its content.

use std::{
    io::Write,
    sync::{Arc, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use nugul_catalog::{Index, build_with, index::MAX_EVENTS};
use nugul_domain::Timestamp;

use super::{
    store,
    words::{self, Known, Stamp},
};
use crate::{app::App, app::Parts, db::Db, error::ApiError, rounds};

/// How often a change is looked for. Every edge has it within seconds of the change.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the index is built although nothing changed: sales end by the clock, in milliseconds.
const REBUILD_EVERY_MS: i64 = 600_000;

/// An index file, open.
#[derive(Debug, Default)]
pub struct CatalogueFile {
    /// Its content hash.
    pub version: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// Its bytes, packed for the way.
    pub gzip: Bytes,
    /// The file, open, to answer here too.
    pub index: Arc<Index>,
    /// The administrator's words it was built with.
    pub words: Arc<Known>,
    /// The count of changes it was built at.
    changes: i64,
    built_at: Option<Timestamp>,
}

/// The index's file as bytes that live as long as it does.
struct FileOf(Arc<Index>);

impl AsRef<[u8]> for FileOf {
    fn as_ref(&self) -> &[u8] {
        self.0.file()
    }
}

impl CatalogueFile {
    /// Builds from what SQL has now.
    pub async fn build(db: &Db, now: Timestamp, words: Arc<Known>) -> Result<Self, ApiError> {
        let changes = store::changes(db).await?;
        let entries = store::index_entries(db, now).await?;
        if entries.len() > MAX_EVENTS {
            tracing::warn!(
                events = entries.len(),
                "an index has no more than {MAX_EVENTS} events: the newest are not found"
            );
        }
        let known = words.clone();
        let built = tokio::task::spawn_blocking(move || -> Result<(Index, Vec<u8>), ApiError> {
            let file = build_with(&entries, &known.words);
            let mut packer = GzEncoder::new(Vec::new(), Compression::default());
            packer.write_all(&file).map_err(ApiError::internal)?;
            let gzip = packer.finish().map_err(ApiError::internal)?;
            let index = Index::open(file).map_err(|e| ApiError::internal(format_args!("index: {e}")))?;
            Ok((index, gzip))
        });
        let (index, gzip) = built.await.map_err(ApiError::internal)??;
        let index = Arc::new(index);
        let bytes = Bytes::from_owner(FileOf(index.clone()));
        Ok(Self { version: index.version(), bytes, gzip: gzip.into(), index, words, changes, built_at: Some(now) })
    }
}

/// Rebuilds the index whenever the catalogue or the words changed, until the process stops.
pub async fn keep_fresh(app: App) {
    let failed = "the search index could not be rebuilt; the old one serves on";
    rounds::every(app, LOOK_EVERY, failed, |app| async move { refresh(&app).await }).await;
}

/// One look.
async fn refresh(app: &Parts) -> Result<(), ApiError> {
    let file = app.catalogue.borrow().clone();
    let words = edited(app, file.words.stamp()).map_or_else(|| file.words.clone(), Arc::new);
    let now = app.now();
    let old = file.built_at.is_none_or(|at| now >= at.plus_ms(REBUILD_EVERY_MS));
    if old || !Arc::ptr_eq(&words, &file.words) || store::changes(&app.db).await? != file.changes {
        app.catalogue.send_replace(Arc::new(CatalogueFile::build(&app.db, now, words).await?));
    }
    Ok(())
}

/// An edition of the administrator's words that is not taken.
#[derive(Debug)]
pub struct RefusedWords {
    stamp: Stamp,
    /// The file, the line and what is wrong with it.
    pub why: String,
}

/// The words, if they were edited since the edition that is used. An edition with a bad line is told once, and kept for
/// operators to see until another is there.
fn edited(app: &Parts, used: &Stamp) -> Option<Known> {
    let folder = app.config.search_words.as_deref();
    let stamp = words::stamp(folder);
    let mut refused = app.refused_words.lock().unwrap_or_else(PoisonError::into_inner);
    if refused.as_ref().is_some_and(|refused| refused.stamp == stamp) {
        return None;
    }
    *refused = None;
    if stamp == *used {
        return None;
    }
    match Known::read(folder) {
        Ok(known) => Some(known),
        Err(why) => {
            tracing::warn!("the edited search words are not taken, those before stay: {why}");
            *refused = Some(RefusedWords { stamp, why });
            None
        }
    }
}
