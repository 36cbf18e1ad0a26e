//! Takes connections and speaks HTTP/1.1 on them, until one passes to a seat stream or the process is to end.

use std::{convert::Infallible, future::Future, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::task::TaskTracker;
use tower_service::Service;

use crate::streams::line::Connection;

/// The pause after a connection could not be taken: usually there are too many.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// A connection that sent no whole head of a request for so long is closed, whether it is slow or has nothing to ask: longer
/// than clients keep idle connections (90 seconds are common), so that none is closed as a request comes.
const HEAD_WITHIN: Duration = Duration::from_mins(2);
/// The largest head of a request, in bytes. Cookies and tokens take a few thousand.
const HEAD_BYTES_MAX: usize = 64 * 1024;

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
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(io, service);
    let mut http = Box::pin(http.with_upgrades());
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::Instant,
    };

    use super::*;

    async fn serving() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "너굴" }));
        tokio::spawn(serve(listener, router, std::future::pending()));
        address
    }

    async fn answer_to(stream: &mut TcpStream, sent: &[u8]) -> String {
        stream.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    // The clock stands still while anything is to do, and goes on to the next timer where nothing is.
    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_end_their_head_is_let_go() {
        let address = serving().await;
        for head in ["", "GET / HTTP/1.1\r\nHost: nugul\r\nX-Slow: "] {
            let begun = Instant::now();
            let mut stream = TcpStream::connect(address).await.unwrap();
            assert!(!answer_to(&mut stream, head.as_bytes()).await.contains(" 200 "), "{head}");
            assert!(begun.elapsed() >= HEAD_WITHIN, "{head}: {:?}", begun.elapsed());
        }
    }

    #[tokio::test]
    async fn an_endless_head_is_refused() {
        let mut stream = TcpStream::connect(serving().await).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nHost: nugul\r\nX-Long: {}", "x".repeat(HEAD_BYTES_MAX));
        let answer = answer_to(&mut stream, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}
