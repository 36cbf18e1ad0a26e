//! Work on the store, all of it by one thread: what waits meanwhile shares the next write to the disk.
use std::io::{Error, ErrorKind, Result};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::now_ms;
use crate::store::Store;

/// Work that waits; what comes when there is more waits for room.
const WAITING_MAX: usize = 1_024;
/// Work that shares a write.
const TOGETHER: usize = 64;

/// Work that was done and waits for the disk.
type Done = Box<dyn FnOnce(Result<()>) + Send>;
type Work = Box<dyn FnOnce(&mut Store, i64) -> Done + Send>;

/// The way to the thread that has the store. The thread ends with the last one.
#[derive(Clone, Debug)]
pub(crate) struct Writer(mpsc::Sender<Work>);

impl Writer {
    /// Gives a store to a thread of its own.
    pub(crate) fn start(store: Store) -> Result<Self> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        thread::Builder::new().name("store".into()).spawn(move || serve(store, receiver))?;
        Ok(Self(sender))
    }

    /// Works on the store, and gives what came of it when the disk has it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store, i64) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (told, tells) = oneshot::channel();
        let work: Work = Box::new(move |store, now| {
            let result = work(store, now);
            Box::new(move |written| {
                // Whoever left needs no answer.
                let _ = told.send(written.and(result));
            })
        });
        self.0.send(work).await.map_err(|_| ended())?;
        tells.await.map_err(|_| ended())?
    }
}

fn ended() -> Error {
    Error::other("the store has ended")
}

fn serve(mut store: Store, mut waiting: mpsc::Receiver<Work>) {
    let mut some = Vec::with_capacity(TOGETHER);
    while waiting.blocking_recv_many(&mut some, TOGETHER) > 0 {
        let now = now_ms();
        let done: Vec<Done> = some.drain(..).map(|work| work(&mut store, now)).collect();
        let written = store.flush().map_err(|error| (error.kind(), error.to_string()));
        for tell in done {
            tell(written.clone().map_err(|(kind, why): (ErrorKind, String)| Error::new(kind, why)));
        }
        // What the disk does not have has not happened.
        if written.is_err()
            && let Err(error) = store.reload()
        {
            tracing::error!(%error, "state file; nothing is answered any more");
            return;
        }
    }
}
