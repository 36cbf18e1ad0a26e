//! Seat rooms as Durable Objects: a root for each performance, and shards below it once it is hot.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use futures_util::{
    StreamExt,
    future::{Either, select},
};
use nugul_edge_core::{
    fanout::{
        self, Joined, Shared,
        shards::{ROOM_READERS, Recent, Shards, TRIES_MAX, pick},
    },
    host::{FETCH_TIMEOUT_MS, Host, HostError, Outgoing, settings},
    http::{self, Body, header},
};
use worker::{Delay, DurableObject, Env, Request, Response, ResponseBody, Result, State, durable_object};

use crate::{Worker, failed, outgoing, pieces};

/// The binding of the Durable Object class.
const SEAT_ROOM: &str = "SEAT_ROOM";
/// Says that the one who joins is a shard of this performance's root: it is always taken.
const FEED: &str = "x-nugul-feed";
/// Says to a shard whose it is.
const ROOT: &str = "x-nugul-root";
/// Says to a root that one of so many shards was full.
const FULL_OF: &str = "x-nugul-full-of";
/// Says how many shards there are, in the answer of a root that has enough readers.
const SHARDS: &str = "x-nugul-shards";
/// Join a shard.
const ELSEWHERE: u16 = 421;
/// The room has all the readers it can serve.
const FULL: u16 = 503;
/// The client has as many streams as one may.
const TOO_MANY: u16 = 429;

/// Readers of the seats of one performance, in this part of the world.
#[durable_object]
pub struct SeatRoom {
    env: Env,
    shared: Rc<RefCell<Shared>>,
    shards: Cell<Shards>,
}

impl DurableObject for SeatRoom {
    fn new(_state: State, env: Env) -> Self {
        Self { env, shared: Rc::default(), shards: Cell::default() }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let headers: Vec<(String, String)> = request.headers().entries().collect();
        let root = header(&headers, ROOT).map(str::to_owned);
        let host = Worker { env: self.env.clone(), context: None, root: root.clone() };
        let enough = host.setting(settings::ROOM_READERS).and_then(|n| n.parse().ok()).unwrap_or(ROOM_READERS);
        if header(&headers, FEED).is_none() && self.shared.borrow().readers() >= enough {
            if root.is_some() {
                return Response::error("full", FULL);
            }
            let mut shards = self.shards.get();
            if let Some(of) = header(&headers, FULL_OF).and_then(|of| of.parse().ok()) {
                shards.full(of);
                self.shards.set(shards);
            }
            let answer = Response::error("elsewhere", ELSEWHERE)?;
            answer.headers().set(SHARDS, &shards.open().to_string())?;
            return Ok(answer);
        }
        let url = request.url()?.to_string();
        let own = [FEED, ROOT, FULL_OF];
        let headers = headers.into_iter().filter(|(name, _)| !own.contains(&name.as_str())).collect();
        let upstream = Outgoing { method: http::Method::Get, url, headers, body: Vec::new() };
        match fanout::join(&host, &self.shared, upstream) {
            Joined::Reader(reader) => {
                let response = Response::from_stream(reader.map(|bytes| Ok::<_, worker::Error>(bytes.to_vec())))?;
                response.headers().set("content-type", "text/event-stream")?;
                Ok(response)
            }
            Joined::Full => Response::error("full", FULL),
            Joined::TooMany => Response::error("too many", TOO_MANY),
        }
    }
}

thread_local! {
    static RECENT: RefCell<Recent> = RefCell::default();
}

/// Joins the room of a performance that has a place: its root, or one of its shards.
pub(crate) async fn join(
    env: &Env,
    performance: &str,
    upstream: &Outgoing,
    chance: u32,
    now_ms: i64,
) -> std::result::Result<ResponseBody, HostError> {
    if let Some(shard) = RECENT.with_borrow(|recent| recent.shard(performance, now_ms)) {
        let answer = ask_shard(env, performance, shard, upstream).await?;
        if answer.status_code() != FULL {
            return taken(answer);
        }
        RECENT.with_borrow_mut(|recent| recent.full(performance));
    }
    let mut answer = ask(env, performance, upstream, &[]).await?;
    let mut after_full = false;
    for _ in 0..TRIES_MAX {
        if answer.status_code() != ELSEWHERE {
            return taken(answer);
        }
        let open = answer.headers().get(SHARDS).ok().flatten().and_then(|n| n.parse().ok()).unwrap_or(1);
        let shard = pick(open, chance, after_full);
        answer = ask_shard(env, performance, shard, upstream).await?;
        match answer.status_code() {
            200 => RECENT.with_borrow_mut(|recent| recent.took(performance, shard, now_ms)),
            FULL => {
                after_full = true;
                answer = ask(env, performance, upstream, &[(FULL_OF, &open.to_string())]).await?;
            }
            _ => {}
        }
    }
    taken(answer)
}

/// The stream that a room gave.
fn taken(answer: Response) -> std::result::Result<ResponseBody, HostError> {
    match answer.status_code() {
        200 => Ok(answer.into_parts().1),
        TOO_MANY => Err(HostError::TooMany),
        status => Err(HostError::Failed(format!("room answered {status}"))),
    }
}

/// The stream of a performance's root, for one of its shards.
pub(crate) async fn feed(env: &Env, root: &str, request: Outgoing) -> std::result::Result<http::Response, HostError> {
    let asked = Box::pin(ask(env, root, &request, &[(FEED, "1")]));
    let time = Box::pin(Delay::from(Duration::from_millis(FETCH_TIMEOUT_MS)));
    let mut answer = match select(asked, time).await {
        Either::Left((answer, _)) => answer?,
        Either::Right(_) => return Err(HostError::TimedOut),
    };
    let body = Body::Stream(pieces(answer.stream().map_err(failed)?, None));
    Ok(http::Response { status: answer.status_code(), headers: Vec::new(), body })
}

async fn ask_shard(
    env: &Env,
    performance: &str,
    shard: u32,
    upstream: &Outgoing,
) -> std::result::Result<Response, HostError> {
    ask(env, &format!("{performance}/{shard}"), upstream, &[(ROOT, performance)]).await
}

async fn ask(
    env: &Env,
    room: &str,
    upstream: &Outgoing,
    more: &[(&str, &str)],
) -> std::result::Result<Response, HostError> {
    let mut request = upstream.clone();
    request.headers.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let asked = async {
        let room = env.durable_object(SEAT_ROOM)?.id_from_name(room)?.get_stub()?;
        room.fetch_with_request(outgoing(request)?).await
    };
    asked.await.map_err(failed)
}
