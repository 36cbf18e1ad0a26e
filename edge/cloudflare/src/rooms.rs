//! Seat rooms as Durable Objects: a root for each performance, and shards below it once it is hot.

use std::{cell::RefCell, rc::Rc, time::Duration};

use futures_util::{
    StreamExt,
    future::{Either, select},
};
use nugul_api::headers::EDGE_KEY;
use nugul_edge_core::{
    fanout::{
        self, Joined, Shared,
        shards::{Followed, Place, ROOM_READERS, Shards, TRIES_MAX},
    },
    host::{FETCH_TIMEOUT_MS, Host, HostError, Outgoing, settings},
    http::{self, Body, decode, encode, header},
};
use serde::{Deserialize, Serialize};
use worker::{Delay, DurableObject, Env, Request, Response, ResponseBody, Result, State, durable_object};

use crate::{Worker, failed, pieces};

/// The binding of the Durable Object class.
const SEAT_ROOM: &str = "SEAT_ROOM";
/// Where a room is asked; what follows is a [`Visit`]. No name is looked up: whose room it is says the object's id.
const DOOR: &str = "https://room/?";
/// Says where, in the answer of a root that has enough readers.
const PLACE: &str = "x-nugul-place";
/// Join a shard, which the answer names.
const ELSEWHERE: u16 = 421;
/// The room has all the readers it can serve.
const FULL: u16 = 503;
/// The client has as many streams as one may.
const TOO_MANY: u16 = 429;

/// What a room is asked. It stands in the address: with headers instead, the request would cost the platform several calls for
/// each on either side, and who comes back together with thousands waits for all of theirs.
#[derive(Default, Serialize, Deserialize)]
struct Visit {
    /// The address of the coordinator's stream.
    url: String,
    /// What the coordinator is told, but for the edge's key.
    headers: Vec<(String, String)>,
    /// Whether the edge's key opens the coordinator's stream. An object has it from its settings; no address shows it.
    has_key: bool,
    /// Whether the one who joins is a shard of this performance's root: it is always taken.
    feeds_shard: bool,
    /// To a shard: whose it is.
    root: Option<String>,
    /// To a root: its shard that had no place.
    full: Option<u32>,
}

impl Visit {
    fn new(upstream: &Outgoing) -> Self {
        let mut headers = upstream.headers.clone();
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case(EDGE_KEY));
        Self {
            url: upstream.url.clone(),
            headers,
            has_key: header(&upstream.headers, EDGE_KEY).is_some(),
            ..Self::default()
        }
    }

    fn address(&self) -> Result<String> {
        Ok(format!("{DOOR}{}", encode(&serde_json::to_string(self)?)))
    }

    fn read(address: &str) -> Result<Self> {
        let visit = address.strip_prefix(DOOR).unwrap_or_default();
        Ok(serde_json::from_str(&decode(visit, false))?)
    }

    fn upstream(mut self, host: &Worker) -> Outgoing {
        let key = self.has_key.then(|| host.setting(settings::EDGE_KEY)).flatten();
        self.headers.extend(key.map(|key| (EDGE_KEY.to_owned(), key)));
        Outgoing { method: http::Method::Get, url: self.url, headers: self.headers, body: Vec::new() }
    }
}

/// Readers of the seats of one performance, in this part of the world.
#[durable_object]
pub struct SeatRoom {
    env: Env,
    shared: Rc<RefCell<Shared>>,
    shards: RefCell<Shards>,
}

impl DurableObject for SeatRoom {
    fn new(_state: State, env: Env) -> Self {
        Self { env, shared: Rc::default(), shards: RefCell::default() }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let visit = Visit::read(&request.inner().url())?;
        let host = Worker { env: self.env.clone(), context: None, root: visit.root.clone() };
        let enough = host.setting(settings::ROOM_READERS).and_then(|n| n.parse().ok()).unwrap_or(ROOM_READERS);
        if !visit.feeds_shard && self.shared.borrow().readers() >= enough {
            if visit.root.is_some() {
                return Response::error("full", FULL);
            }
            let place = self.shards.borrow_mut().send(enough, visit.full, fanout::chance(&host).into(), host.now_ms());
            let answer = Response::error("elsewhere", ELSEWHERE)?;
            answer.headers().set(PLACE, &place.to_string())?;
            return Ok(answer);
        }
        match fanout::join(&host, &self.shared, visit.upstream(&host)) {
            Joined::Reader(reader) => Response::from_stream(reader.map(|bytes| Ok::<_, worker::Error>(bytes.to_vec()))),
            Joined::Full => Response::error("full", FULL),
            Joined::TooMany => Response::error("too many", TOO_MANY),
        }
    }
}

thread_local! {
    static FOLLOWED: RefCell<Followed> = RefCell::default();
}

/// Joins the room of a performance that has a place: its root, or one of its shards.
pub(crate) async fn join(
    env: &Env,
    performance: &str,
    upstream: &Outgoing,
    now_ms: i64,
) -> std::result::Result<ResponseBody, HostError> {
    let mut full = None;
    for _ in 0..TRIES_MAX {
        let followed = FOLLOWED.with_borrow_mut(|followed| followed.follow(performance, now_ms));
        let shard = if let Some(shard) = followed {
            shard
        } else {
            let answer = ask(env, performance, Visit { full, ..Visit::new(upstream) }).await?;
            if answer.status_code() != ELSEWHERE {
                return taken(answer);
            }
            let place = answer.headers().get(PLACE).ok().flatten().and_then(|place| place.parse::<Place>().ok());
            let place = place.ok_or_else(|| HostError::Failed("no place told".to_owned()))?;
            FOLLOWED.with_borrow_mut(|followed| followed.sent(performance, place, now_ms));
            place.shard
        };
        let answer = ask_shard(env, performance, shard, upstream).await?;
        if answer.status_code() != FULL {
            return taken(answer);
        }
        FOLLOWED.with_borrow_mut(|followed| followed.full(performance, shard));
        full = Some(shard);
    }
    Err(HostError::Failed("no room has a place".to_owned()))
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
    let asked = Box::pin(ask(env, root, Visit { feeds_shard: true, ..Visit::new(&request) }));
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
    let visit = Visit { root: Some(performance.to_owned()), ..Visit::new(upstream) };
    ask(env, &format!("{performance}/{shard}"), visit).await
}

async fn ask(env: &Env, room: &str, visit: Visit) -> std::result::Result<Response, HostError> {
    let asked = async {
        let room = env.durable_object(SEAT_ROOM)?.id_from_name(room)?.get_stub()?;
        room.fetch_with_str(&visit.address()?).await
    };
    asked.await.map_err(failed)
}
