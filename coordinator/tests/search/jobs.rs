//! Who may ask for jobs, one at a time, and who works on them.

use nugul_api::{
    Code,
    search::{Engine, NewSearchJob, SearchIndex, SearchJobState, SearchState, SearchStep, SearchWork},
};
use nugul_coordinator::search::jobs::{self, LEASE_MS};
use nugul_domain::account::Role;
use serde_json::json;

use crate::{
    server::running,
    world::{Coordinator, expect, refused},
};

#[tokio::test]
async fn only_an_operator_asks_for_jobs_one_at_a_time() {
    let server = running().await;
    let coordinator = Coordinator::new(&server).await;
    let body = json!({ "work": "reindex", "index": "events" });
    let path = "admin/search/jobs";
    for role in [Role::User, Role::Seller] {
        refused(Code::Forbidden, coordinator.post(role, path, &body).await);
    }
    for bad in [json!({ "work": "burn", "index": "events" }), json!({ "work": "reindex" })] {
        refused(Code::InvalidField, coordinator.post(Role::Admin, path, &bad).await);
    }
    let back = json!({ "work": "way_back", "index": "events" });
    refused(Code::NoWayBack, coordinator.post(Role::Admin, path, &back).await);
    let job = coordinator.begin(SearchWork::Reindex, SearchIndex::Events).await;
    assert_eq!((job.state, job.step), (SearchJobState::Running, SearchStep::Create));
    refused(Code::SearchJobRunning, coordinator.post(Role::Admin, path, &body).await);
    let state: SearchState = expect(200, coordinator.get("admin/search").await);
    assert_eq!((state.engine, state.jobs, state.versions), (Engine::Catalogue, vec![job], vec![]));
    refused(Code::NotFound, coordinator.get("admin/search/jobs/0198aaaa-0000-7000-8000-000000000000").await);
}

#[tokio::test]
async fn a_job_is_one_replicas_until_its_lease_ends() {
    let server = running().await;
    let coordinator = Coordinator::new(&server).await;
    let app = &coordinator.app;
    assert!(jobs::take(app).await.unwrap().is_none());
    let mut tx = app.db.begin_write().await.unwrap();
    let new = NewSearchJob { work: SearchWork::Reindex, index: SearchIndex::Events };
    let job = jobs::insert(app, &mut tx, new).await.unwrap();
    tx.commit().await.unwrap();

    let mut first = jobs::take(app).await.unwrap().unwrap();
    assert!(jobs::take(app).await.unwrap().is_none());
    first.job.job.done = 7;
    first.keep(app).await.unwrap();
    // A replica that says nothing for so long is dead, or as good as dead.
    coordinator.later(LEASE_MS + 1);
    let second = jobs::take(app).await.unwrap().unwrap();
    assert_eq!(second.job.job.done, 7);
    first.job.job.done = 9;
    assert!(first.keep(app).await.is_err());
    second.finish(app, None).await.unwrap();
    let kept = jobs::find(&app.db, job.id).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.done), (SearchJobState::Done, 7));
    assert!(jobs::take(app).await.unwrap().is_none());
}
