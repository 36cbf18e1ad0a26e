//! Takes connections and speaks HTTP/1.1 on them, until one passes to a seat stream or the process is to end.

use std::{convert::Infallible, future::Future, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::task::TaskTracker;
use tower_service::Service;

use crate::streams::line::Connection;

/// The pause after a connection could not be taken: usually there are too many.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Serves until `stop` resolves, and then until every connection has ended: idle ones at once, others after their
/// answer, streams when they have been told.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let (stopping, stopped) = watch::channel(false);
    let connections = TaskTracker::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = Connection::new(stream, peer);
                connections.spawn(run(connection, router.clone(), stopped.clone(), connections.clone()));
            }
            Err(e) => {
                tracing::warn!("a connection could not be taken: {e}");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
    drop(listener);
    stopping.send_replace(true);
    connections.close();
    connections.wait().await;
}

async fn run(connection: Connection, router: Router, mut stopped: watch::Receiver<bool>, connections: TaskTracker) {
    let own = connection.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(own.clone());
        let answer = router.clone().call(request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let io = TokioIo::new(connection.bytes());
    let mut http = Box::pin(http1::Builder::new().serve_connection(io, service).with_upgrades());
    let takeover = tokio::select! {
        takeover = connection.run(&mut http) => takeover,
        () = async { drop(stopped.wait_for(|stop| *stop).await) } => {
            http.as_mut().graceful_shutdown();
            connection.run(&mut http).await
        }
    };
    drop(http);
    if let Some(takeover) = takeover {
        // A task of its own: this one is as large as HTTP needs it.
        connections.spawn(connection.attend(takeover));
    }
}
