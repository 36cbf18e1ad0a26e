//! The edge on Cloudflare Workers: the platform's fetch, clock, randomness and bindings for the core. `rooms` has the
//! Durable Objects that share one upstream among all who watch a performance's seats.

// What `durable_object` writes has no documentation.
#![allow(missing_docs)]

mod rooms;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};

use futures_util::{
    StreamExt,
    future::{Either, select},
};
use nugul_edge_core::{
    App,
    fanout::rooms::Rooms,
    handle,
    host::{FETCH_TIMEOUT_MS, Host, HostError, Outgoing, Task},
    http::{self, Body, ByteStream},
};
use worker::{
    AbortController, Context, Date, Delay, Env, Fetch, Headers, Method, Request, RequestInit, RequestRedirect,
    Response, ResponseBody, Result, event,
    js_sys::{Array, Uint8Array},
    wasm_bindgen::JsValue,
    web_sys,
};

/// Requests that are answered before workerd looks again for what comes over the network. It looks when nothing else is left
/// to do, and a connection whose next request is there already goes on at once: some clients that are quick could keep it from
/// all others for seconds, until they are taken for idle and closed.
const REQUESTS_PER_LOOK: u32 = 16;

thread_local! {
    static SINCE_LOOK: Cell<u32> = const { Cell::new(0) };
    /// Settings that were looked up; they stay as they are while an isolate lives.
    static SETTINGS: RefCell<HashMap<String, Option<String>>> = RefCell::default();
}

/// Waits until workerd has looked, where it is time for that: timers are due only then.
async fn look_in_time() {
    if SINCE_LOOK.get() >= REQUESTS_PER_LOOK {
        Delay::from(Duration::ZERO).await;
        SINCE_LOOK.set(0);
    }
    SINCE_LOOK.set(SINCE_LOOK.get().saturating_add(1));
}

/// Answers a request.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    look_in_time().await;
    let host = Worker { env, context: Some(Rc::new(context)), root: None };
    let request = incoming(request)?;
    answer(handle(&host, &App::shared(), request).await)
}

/// The platform.
#[derive(Clone)]
struct Worker {
    env: Env,
    /// Absent in a Durable Object, whose tasks live as long as it does.
    context: Option<Rc<Context>>,
    /// In a shard of a performance's readers: whose root is asked instead of the coordinator.
    root: Option<String>,
}

impl Host for Worker {
    async fn fetch(&self, request: Outgoing) -> Result<http::Response, HostError> {
        if let Some(root) = &self.root {
            return rooms::feed(&self.env, root, request).await;
        }
        let abort = AbortController::default();
        let signal = abort.signal();
        let exchange = Box::pin(async {
            let mut response = Fetch::Request(outgoing(request)?).send_with_signal(&signal).await?;
            let stream = is_stream(&response);
            let body = if stream { None } else { Some(response.bytes().await?) };
            Ok::<_, worker::Error>((response, body))
        });
        let time = Delay::from(Duration::from_millis(FETCH_TIMEOUT_MS));
        let (mut response, body) = match select(exchange, Box::pin(time)).await {
            Either::Left((done, _)) => done.map_err(failed)?,
            Either::Right(_) => {
                abort.abort();
                return Err(HostError::TimedOut);
            }
        };
        let body = match body {
            Some(bytes) => Body::Bytes(bytes),
            None => Body::Stream(pieces(response.stream().map_err(failed)?, Some(abort))),
        };
        Ok(http::Response { status: response.status_code(), headers: response.headers().entries().collect(), body })
    }

    async fn seat_stream(&self, _: &Rooms, performance: &str, upstream: Outgoing) -> Result<http::Response, HostError> {
        let stream = rooms::join(&self.env, performance, &upstream, self.now_ms()).await?;
        let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
        // Passed on as it is: no frame of it goes through this isolate's memory.
        Ok(http::Response { status: 200, headers, body: Body::Native(Box::new(stream)) })
    }

    fn client_address(&self, request: &http::Request) -> Option<String> {
        // Cloudflare sets it, whatever the client sends.
        request.header("cf-connecting-ip").map(str::to_owned)
    }

    fn spawn(&self, task: Task) {
        match &self.context {
            Some(context) => context.wait_until(task),
            None => wasm_bindgen_futures::spawn_local(task),
        }
    }

    async fn sleep(&self, ms: u64) {
        Delay::from(Duration::from_millis(ms)).await;
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(Date::now().as_millis()).unwrap_or(0)
    }

    fn random(&self, bytes: &mut [u8]) {
        // Web Crypto is always there; where it is not, the isolate cannot serve.
        let _ = getrandom::fill(bytes);
    }

    fn setting(&self, name: &str) -> Option<String> {
        SETTINGS.with_borrow_mut(|known| {
            if let Some(value) = known.get(name) {
                return value.clone();
            }
            let value = self.env.var(name).ok().map(|value| value.to_string()).filter(|value| !value.is_empty());
            known.insert(name.to_owned(), value.clone());
            value
        })
    }
}

#[allow(clippy::needless_pass_by_value)]
fn failed(error: worker::Error) -> HostError {
    HostError::Failed(error.to_string())
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get("content-type").ok().flatten();
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

/// Ends the exchange with a coordinator once nobody reads it any more.
struct AbortOnDrop(Option<AbortController>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(abort) = self.0.take() {
            abort.abort();
        }
    }
}

/// The pieces of a body; what cannot be read ends it.
fn pieces(stream: worker::ByteStream, abort: Option<AbortController>) -> ByteStream {
    let guard = AbortOnDrop(abort);
    Box::pin(stream.take_while(|piece| std::future::ready(piece.is_ok())).filter_map(move |piece| {
        let _ = &guard;
        std::future::ready(piece.ok())
    }))
}

/// All at once: a call for each costs more than the rest of a small answer.
fn headers(all: &[(String, String)]) -> Result<Headers> {
    let pair = |(name, value): &(String, String)| Array::of2(&JsValue::from_str(name), &JsValue::from_str(value));
    let all: Array = all.iter().map(pair).collect();
    Ok(Headers(web_sys::Headers::new_with_str_sequence_sequence(&all)?))
}

fn outgoing(request: Outgoing) -> Result<Request> {
    let mut init = RequestInit::new();
    init.with_method(Method::from(request.method.as_str().to_owned()))
        .with_headers(headers(&request.headers)?)
        .with_redirect(RequestRedirect::Manual);
    if !request.body.is_empty() {
        init.with_body(Some(Uint8Array::from(request.body.as_slice()).into()));
    }
    Request::new_with_init(&request.url, &init)
}

fn incoming(mut request: Request) -> Result<http::Request> {
    let url = request.url()?;
    let method = http::Method::from_name(request.inner().method().as_str());
    let mut headers: Vec<(String, String)> = request.headers().entries().collect();
    if http::header(&headers, "host").is_none() {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        headers.push(("host".into(), format!("{}{port}", url.host_str().unwrap_or_default())));
    }
    let body = if method.is_read() {
        Body::Empty
    } else {
        request.stream().map_or(Body::Empty, |stream| Body::Stream(pieces(stream, None)))
    };
    Ok(http::Request {
        method,
        path: url.path().to_owned(),
        query: url.query().unwrap_or_default().to_owned(),
        https: url.scheme() == "https",
        headers,
        body,
    })
}

fn answer(response: http::Response) -> Result<Response> {
    let headers = headers(&response.headers)?;
    let built = match (response.status, response.body) {
        (204 | 304, _) | (_, Body::Empty) => Response::empty()?,
        (_, Body::Bytes(bytes)) => Response::from_bytes(bytes)?,
        (_, Body::Stream(stream)) => Response::from_stream(stream.map(Ok::<_, worker::Error>))?,
        (_, Body::Native(stream)) => match stream.downcast::<ResponseBody>() {
            Ok(body) => Response::from_body(*body)?,
            Err(_) => return Response::error("a body of another platform", 500),
        },
    };
    Ok(built.with_status(response.status).with_headers(headers))
}
