//! What a platform gives to the edge. An adapter implements [`Host`] and does nothing else.

use std::{future::Future, pin::Pin};

use crate::{
    fanout::rooms::Rooms,
    http::{Method, Request, Response},
};

/// Settings by name. Cloudflare: text bindings; Spin: the environment.
pub mod settings {
    /// `region number=coordinator origin`, separated by commas: `0=http://127.0.0.1:8080`.
    pub const REGIONS: &str = "NUGUL_REGIONS";
    /// The script of the payment window.
    pub const TOSS_SDK_URL: &str = "NUGUL_TOSS_SDK_URL";
    /// Where people find the site, as in `https://tickets.example`. Where set it counts instead of the request's host, and says
    /// whether cookies are for TLS alone. Needed where the platform does not tell the host.
    pub const PUBLIC_ORIGIN: &str = "NUGUL_PUBLIC_ORIGIN";
    /// Readers of a seat room before more are sent to others; a number.
    pub const ROOM_READERS: &str = "NUGUL_ROOM_READERS";
    /// What we show our coordinators to have votes counted and to follow members-only seats, and what visitors' marks are keyed
    /// with. No votes without it, and members-only streams have the newest reader's ticket for their way in.
    pub const EDGE_KEY: &str = "NUGUL_EDGE_KEY";
    /// The public key of the payment window.
    pub const TOSS_CLIENT_KEY: &str = "NUGUL_TOSS_CLIENT_KEY";
}

/// How long a coordinator may take to answer, in milliseconds. Streams have this long to begin.
pub const FETCH_TIMEOUT_MS: u64 = 15_000;

/// A request to a coordinator.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// The whole address.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

/// Why a fetch gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostError {
    /// No answer within [`FETCH_TIMEOUT_MS`].
    TimedOut,
    /// The client has as many streams as one may.
    TooMany,
    /// Anything else, in the platform's words.
    Failed(String),
}

/// A future that runs beside the request.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The platform. Cheap to clone: it is a handle.
pub trait Host: Clone + 'static {
    /// Asks a coordinator; resolves once the head of the answer is there. Redirects are not followed.
    fn fetch(&self, request: Outgoing) -> impl Future<Output = Result<Response, HostError>>;

    /// Joins the seat stream of a performance. `upstream` is the coordinator's stream; `rooms` are those of this instance,
    /// for a platform that has no better place for them.
    fn seat_stream(
        &self,
        rooms: &Rooms,
        performance: &str,
        upstream: Outgoing,
    ) -> impl Future<Output = Result<Response, HostError>>;

    /// The network address that the request came from, where the platform tells it and nobody else can.
    fn client_address(&self, request: &Request) -> Option<String> {
        let _ = request;
        None
    }

    /// Runs a task that may outlive the answer.
    fn spawn(&self, task: Task);

    /// Waits.
    fn sleep(&self, ms: u64) -> impl Future<Output = ()>;

    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;

    /// Fills `bytes` from a secure source.
    fn random(&self, bytes: &mut [u8]);

    /// A setting, where it is there and not empty.
    fn setting(&self, name: &str) -> Option<String>;
}
