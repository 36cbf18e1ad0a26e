//! A connection that begins as HTTP and may pass to a hub.
//!
//! An answer that is a stream ends the connection's use for HTTP. Once its head is written, the machinery of HTTP, with
//! its buffers, is let go, and the hub writes to the socket itself.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use rustix::net::{Shutdown, shutdown, sockopt};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use super::{
    hub::Listening,
    limits::Permit,
    piece::Framing,
    reader::{Line, Reader, Start, lock},
};

/// What the system keeps for a reader that does not take it, in bytes; the kernel doubles it for its own needs. Two
/// snapshots of the largest hall.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// How long sent bytes may go without an acknowledgement before the connection is taken for dead.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);
/// What a reader says is of no interest; it is read to see it leave.
const READ_BYTES: usize = 256;

/// A connection. Clones share it; a request finds its own among its extensions.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    stream: TcpStream,
    peer: SocketAddr,
    /// Whether HTTP has bytes that the socket did not take.
    unwritten: AtomicBool,
    /// Whether HTTP waits for the stream's body: its head is written, but for what is unwritten.
    waits: AtomicBool,
    claim: Mutex<Option<Box<Claim>>>,
}

/// A stream that is to take its connection over.
pub(super) struct Claim {
    pub(super) listening: Listening,
    pub(super) permit: Permit,
    pub(super) framing: Framing,
    pub(super) start: Start,
    pub(super) until: Instant,
}

impl Connection {
    /// A connection that was accepted from `peer`.
    pub fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        // A hint; where it cannot be set, small frames come a little later.
        let _ = stream.set_nodelay(true);
        let (unwritten, waits) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(Inner { stream, peer, unwritten, waits, claim: Mutex::new(None) }))
    }

    /// The client's address.
    pub(super) fn address(&self) -> IpAddr {
        self.0.peer.ip().to_canonical()
    }

    /// The body of an answer that hands the connection over to `claim`.
    pub(super) fn hand_over(self, claim: Claim) -> Body {
        *lock(&self.0.claim) = Some(Box::new(claim));
        Body::new(Handover(self))
    }

    /// Runs HTTP until it ends, or until the connection is handed over: then gives what it is handed to.
    pub async fn run(&self, http: &mut (impl Future + Unpin)) -> Option<Takeover> {
        std::future::poll_fn(|context| {
            if Pin::new(&mut *http).poll(context).is_ready() {
                return Poll::Ready(None);
            }
            if !self.0.waits.load(Ordering::Relaxed) || self.0.unwritten.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            lock(&self.0.claim).take().map_or(Poll::Pending, |claim| Poll::Ready(Some(Takeover(claim))))
        })
        .await
    }

    /// The stream of bytes, as HTTP uses it.
    pub fn bytes(&self) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static {
        Bytestream(self.clone())
    }

    /// Serves a stream to its end, with the connection to itself.
    pub async fn attend(self, Takeover(claim): Takeover) {
        let Claim { listening, permit, framing, start, until } = *claim;
        // Hints as well: without them a dead reader is noticed later.
        let _ = sockopt::set_socket_send_buffer_size(&self.0.stream, SEND_BUFFER_BYTES);
        let patience = u32::try_from(UNACKNOWLEDGED_MAX.as_millis()).unwrap_or(u32::MAX);
        let _ = sockopt::set_tcp_user_timeout(&self.0.stream, patience);
        let line: Arc<dyn Line> = self.0.clone();
        let place = listening.hub().join(Reader::new(line, framing, &start, until));
        while self.0.stream.readable().await.is_ok() {
            match self.0.stream.try_read(&mut [0; READ_BYTES]) {
                Ok(1..) => {}
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Ok(0) | Err(_) => break,
            }
        }
        drop((place, permit));
    }
}

/// A stream with the connection it takes over.
pub struct Takeover(Box<Claim>);

impl Line for Inner {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.try_write(bytes)
    }

    fn writable(&self) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + '_>> {
        Box::pin(self.stream.writable())
    }

    fn finish(&self) {
        // One that is broken already needs no more said.
        let _ = shutdown(&self.stream, Shutdown::Write);
    }

    fn hang_up(&self) {
        let _ = shutdown(&self.stream, Shutdown::Both);
    }
}

/// A body that never brings anything: it tells that the head was written.
struct Handover(Connection);

impl http_body::Body for Handover {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        // Whoever runs HTTP on this connection looks at this as soon as HTTP rests; nobody needs to be woken.
        self.0.0.waits.store(true, Ordering::Relaxed);
        Poll::Pending
    }
}

struct Bytestream(Connection);

impl AsyncRead for Bytestream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = &self.0.0.stream;
        loop {
            ready!(stream.poll_read_ready(context))?;
            match stream.try_read(to.initialize_unfilled()) {
                Ok(read) => {
                    to.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}

impl AsyncWrite for Bytestream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let inner = &self.0.0;
        inner.unwritten.store(true, Ordering::Relaxed);
        loop {
            ready!(inner.stream.poll_write_ready(context))?;
            match inner.stream.try_write(from) {
                Ok(written) => {
                    inner.unwritten.store(written < from.len(), Ordering::Relaxed);
                    return Poll::Ready(Ok(written));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = shutdown(&self.0.0.stream, Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}
