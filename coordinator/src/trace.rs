//! The trace id of the request that is answered, known wherever its work goes on this task.

use std::sync::Arc;

tokio::task_local! {
    static TRACE: Arc<str>;
}

/// Does work under a trace id; an empty one is none.
pub async fn with<T>(id: Arc<str>, work: impl Future<Output = T>) -> T {
    TRACE.scope(id, work).await
}

/// The trace id of the work this task does; empty where it is nobody's request.
pub fn current() -> Arc<str> {
    TRACE.try_with(Clone::clone).unwrap_or_else(|_| "".into())
}
