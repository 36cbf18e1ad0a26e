//! The edge as a WASI 0.3 component, for Spin and for wasmtime: WASI's http, clocks, random and environment for the core.
//!
//! The readers of a performance who meet in an instance share one upstream. What follows it runs in the request that opened the
//! room, which lasts as long, after its own reader has left, too. One request cannot wake another (wit-bindgen's feature for it
//! traps on wasmtime 48), so a reader's own request writes what there is, and the follower's writes what comes.

use std::{
    cell::RefCell,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures_util::{
    FutureExt, StreamExt,
    future::{Either, select},
};
use http_body::Frame;
use nugul_edge_core::{
    App,
    fanout::{
        Reader, Shared,
        readers::STALLED_MAX_MS,
        rooms::{Entered, Rooms},
    },
    handle,
    host::{FETCH_TIMEOUT_MS, Host, HostError, Outgoing, Task},
    http::{self, Body, ByteStream},
};
use spin_sdk::{
    http::{HeaderMap, IntoResponse, Request, Response, StatusCode, body::IncomingBodyExt, send},
    http_service, time,
    wasip3::{
        self,
        http::types::{ErrorCode, Response as WasiResponse},
        http_compat::{BodyWriter, http_into_wasi_response},
    },
};

/// Answers a request.
#[http_service]
async fn serve(request: Request) -> impl IntoResponse {
    answer(handle(&Wasi, &App::shared(), incoming(request)).await)
}

/// The platform.
#[derive(Clone)]
struct Wasi;

impl Host for Wasi {
    async fn fetch(&self, request: Outgoing) -> Result<http::Response, HostError> {
        let exchange = Box::pin(async {
            let response: Response = send(outgoing(request)?).await.map_err(failed)?;
            Ok(response)
        });
        let time = Box::pin(time::sleep(Duration::from_millis(FETCH_TIMEOUT_MS)));
        let response = match select(exchange, time).await {
            Either::Left((done, _)) => done?,
            Either::Right(_) => return Err(HostError::TimedOut),
        };
        let (head, body) = response.into_parts();
        let pieces = body.stream();
        let pieces: ByteStream = Box::pin(
            pieces
                .take_while(|piece| std::future::ready(piece.is_ok()))
                .filter_map(|piece| std::future::ready(piece.ok().map(|piece: Bytes| piece.to_vec()))),
        );
        Ok(http::Response { status: head.status.as_u16(), headers: pairs(&head.headers), body: Body::Stream(pieces) })
    }

    async fn seat_stream(
        &self,
        rooms: &Rooms,
        performance: &str,
        upstream: Outgoing,
    ) -> Result<http::Response, HostError> {
        let entered = match rooms.join(self, performance, upstream).await? {
            Ok(entered) => entered,
            Err(answer) => return Ok(answer),
        };
        let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
        Ok(http::Response { status: 200, headers, body: Body::Native(Box::new(entered)) })
    }

    fn client_address(&self, request: &http::Request) -> Option<String> {
        // Spin sets it, whatever the client sends. Under wasmtime alone, which is for development, a client may.
        let from: SocketAddr = request.header("spin-client-addr")?.parse().ok()?;
        Some(from.ip().to_string())
    }

    fn spawn(&self, task: Task) {
        wasip3::spawn(task);
    }

    async fn sleep(&self, ms: u64) {
        time::sleep(Duration::from_millis(ms)).await;
    }

    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(0)
    }

    fn random(&self, bytes: &mut [u8]) {
        let count = u64::try_from(bytes.len()).unwrap_or(0);
        for (to, from) in bytes.iter_mut().zip(wasip3::random::random::get_random_bytes(count)) {
            *to = from;
        }
    }

    fn setting(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }
}

fn failed(error: impl std::fmt::Display) -> HostError {
    HostError::Failed(error.to_string())
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let pair = |(name, value): (&spin_sdk::http::HeaderName, &spin_sdk::http::HeaderValue)| {
        Some((name.as_str().to_owned(), std::str::from_utf8(value.as_bytes()).ok()?.to_owned()))
    };
    headers.iter().filter_map(pair).collect()
}

fn outgoing(request: Outgoing) -> Result<Request<Out>, HostError> {
    let mut builder = Request::<()>::builder().method(request.method.as_str()).uri(request.url);
    for (name, value) in request.headers {
        builder = builder.header(name, value);
    }
    let body = if request.body.is_empty() { Body::Empty } else { Body::Bytes(request.body) };
    builder.body(Out(body)).map_err(failed)
}

fn incoming(request: Request) -> http::Request {
    let (head, body) = request.into_parts();
    let method = http::Method::from_name(head.method.as_str());
    let mut headers = pairs(&head.headers);
    if let (None, Some(authority)) = (http::header(&headers, "host"), head.uri.authority()) {
        headers.push(("host".into(), authority.as_str().to_owned()));
    }
    let body = if method.is_read() {
        Body::Empty
    } else {
        Body::Stream(Box::pin(
            body.stream()
                .take_while(|piece| std::future::ready(piece.is_ok()))
                .filter_map(|piece| std::future::ready(piece.ok().map(|piece: Bytes| piece.to_vec()))),
        ))
    };
    http::Request {
        method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        https: head.uri.scheme_str() == Some("https"),
        headers,
        body,
    }
}

fn answer(response: http::Response) -> Result<WasiResponse, ErrorCode> {
    let mut builder = Response::<()>::builder().status(StatusCode::from_u16(response.status).unwrap_or_default());
    for (name, value) in response.headers {
        builder = builder.header(name, value);
    }
    let (head, ()) = builder.body(()).map_err(|e| refused(&e))?.into_parts();
    match response.body {
        Body::Native(entered) => {
            let entered = *entered.downcast::<Entered>().map_err(|_| refused(&"a body of another platform"))?;
            let headers = head.headers.try_into().map_err(|e| refused(&e))?;
            let (writer, body, result) = BodyWriter::new();
            let (answer, _) = WasiResponse::new(headers, Some(body), result);
            wasip3::spawn(write_to_a_reader(entered, writer));
            Ok(answer)
        }
        body => http_into_wasi_response(Response::from_parts(head, Out(body))),
    }
}

fn refused(error: &dyn std::fmt::Display) -> ErrorCode {
    ErrorCode::InternalError(Some(error.to_string()))
}

async fn write_to_a_reader(entered: Entered, mut writer: BodyWriter) {
    let mut behind = match entered {
        Entered::Here(reader, room) => return write_what_there_is(reader, room, writer).await,
        Entered::Behind(behind) => behind,
    };
    while let Some(piece) = behind.next(&Wasi).await {
        if !is_taken(&mut writer, piece).await {
            return;
        }
        if behind.is_caught_up() {
            let (reader, room) = behind.into_place();
            return write_what_there_is(reader, room, writer).await;
        }
    }
    end(writer).await;
}

/// Writes what a reader finds, and leaves the rest to the request in which its room is followed.
async fn write_what_there_is(mut reader: Reader, room: Rc<RefCell<Shared>>, mut writer: BodyWriter) {
    while let Some(piece) = reader.next().now_or_never() {
        let Some(piece) = piece else { return end(writer).await };
        if !is_taken(&mut writer, piece.to_vec()).await {
            return;
        }
    }
    room.borrow_mut().run_beside(Box::pin(write_what_comes(reader, writer)));
}

async fn write_what_comes(mut reader: Reader, mut writer: BodyWriter) {
    while let Some(piece) = reader.next().await {
        if !is_taken(&mut writer, piece.to_vec()).await {
            return;
        }
    }
    end(writer).await;
}

/// Writes a piece; false where nobody takes it any more, or not as soon as a reader has to.
async fn is_taken(writer: &mut BodyWriter, piece: Vec<u8>) -> bool {
    let written = Box::pin(writer.stream_writer.write_all(piece));
    let time = Box::pin(Wasi.sleep(STALLED_MAX_MS.unsigned_abs()));
    matches!(select(written, time).await, Either::Left((left, _)) if left.is_empty())
}

/// Ends a body as one that is whole.
async fn end(writer: BodyWriter) {
    drop(writer.stream_writer);
    // Nobody waits for it where the client has left.
    let _ = writer.result_writer.write(Ok(None)).await;
}

/// A body on its way out.
struct Out(Body);

impl http_body::Body for Out {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = |bytes: Vec<u8>| Some(Ok(Frame::data(Bytes::from(bytes))));
        match std::mem::replace(&mut self.0, Body::Empty) {
            Body::Empty | Body::Native(_) => Poll::Ready(None),
            Body::Bytes(bytes) => Poll::Ready(frame(bytes)),
            Body::Stream(mut stream) => {
                let next = stream.poll_next_unpin(context);
                if !matches!(next, Poll::Ready(None)) {
                    self.0 = Body::Stream(stream);
                }
                next.map(|piece| piece.and_then(frame))
            }
        }
    }
}
