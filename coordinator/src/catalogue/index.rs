//! The search index that edges keep in memory: built here when the catalogue changed, named by its content.

use std::{sync::Arc, time::Duration};

use nugul_catalog::index;
use tokio::sync::watch;

use super::store;
use crate::{app::App, app::Parts, db::Db, error::ApiError};

/// How often a change is looked for. Every edge has it within seconds of the change.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// An index file.
#[derive(Debug, Default)]
pub struct CatalogueFile {
    /// Its content hash.
    pub version: String,
    /// Its bytes.
    pub bytes: bytes::Bytes,
    /// The count of changes it was built at.
    changes: i64,
}

impl CatalogueFile {
    /// Builds from what SQL has now.
    pub async fn build(db: &Db, now: nugul_domain::Timestamp) -> Result<Self, ApiError> {
        let changes = store::changes(db).await?;
        let entries = store::index_entries(db, now).await?;
        let bytes = tokio::task::spawn_blocking(move || index::build(&entries)).await.map_err(ApiError::internal)?;
        Ok(Self { version: index::version(&bytes), bytes: bytes.into(), changes })
    }
}

/// Rebuilds the index whenever the catalogue changed, until the process stops.
pub async fn keep_fresh(app: App) {
    let mut stopping = app.stopping.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stopping.changed() => return,
        }
        if let Err(e) = refresh(&app, &app.catalogue).await {
            tracing::warn!(context = e.context, "the search index could not be rebuilt; the old one serves on");
        }
    }
}

async fn refresh(app: &Parts, catalogue: &watch::Sender<Arc<CatalogueFile>>) -> Result<(), ApiError> {
    if store::changes(&app.db).await? != catalogue.borrow().changes {
        catalogue.send_replace(Arc::new(CatalogueFile::build(&app.db, app.now()).await?));
    }
    Ok(())
}
