//! The way to Redis: one server, the master that sentinels name, or a cluster; found again when it breaks.
//!
//! Every call has one time limit for all its tries. What came back as an error of the way (a connection that broke, a
//! server that is no master any more, a slot that moved) is tried again, a few times, on a way that was mended meanwhile.
//! That is safe even where the first try did its work and only its answer was lost, because every call here may be made
//! twice:
//!
//! - reads and `load` change nothing that is there; `expire` frees what has ended either way;
//! - `hold`, `swap`, `extend` and `release` are remembered for their idempotency keys, `order` for its order, and all give the
//!   same answer again; a `count` names its hold;
//! - `undo_order` and `settle` name the order or the state, and leave alone what others have since;
//! - what is written beside functions is the same text at the same key.
//!
//! Silence is not tried again, because its time is up; the next call finds a new way.

use std::{
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError,
    RedisResult, Script, ServerErrorKind, ToRedisArgs, Value,
    aio::MultiplexedConnection,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use tokio::time::Instant;

use crate::Error;

/// How long any call to Redis may take, all its tries together.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// How long finding a way may take: asking sentinels or nodes, connecting, greeting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connecting to one server may take; one that hangs must not use up the time for the others.
const SERVER_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Tries of one call.
const TRIES_MAX: u32 = 4;
/// The pause before a second try, doubled with each further one.
const TRY_PAUSE: Duration = Duration::from_millis(50);
/// The pause between two attempts at finding a way, however many calls want one.
const MEND_PAUSE: Duration = Duration::from_millis(200);
/// Redirections a cluster's call follows by itself within one try.
const CLUSTER_RETRIES: u32 = 3;
/// The longest pause between those, in milliseconds.
const CLUSTER_RETRY_WAIT_MAX_MS: u64 = 100;
/// The shortest, in milliseconds.
const CLUSTER_RETRY_WAIT_MIN_MS: u64 = 10;

const SENTINEL: &str = "redis+sentinel://";
const CLUSTER: &str = "redis+cluster://";

/// Where Redis is.
enum Place {
    Server(Client),
    // Asks one sentinel after another and remembers their connections, so it needs to be alone.
    Sentinels(tokio::sync::Mutex<SentinelClient>),
    Cluster(ClusterClient),
}

/// What is wrong with a URL; `None` where it can be used. Says nothing of the password in it.
pub fn url_error(url: &str) -> Option<String> {
    Place::parse(url).err()
}

impl Place {
    fn parse(url: &str) -> Result<Self, String> {
        let config = |e: RedisError| e.to_string();
        if let Some(rest) = url.strip_prefix(SENTINEL) {
            let form = || format!("it must be {SENTINEL}host:port,host:port/MASTER_NAME");
            let (servers, master) = rest.rsplit_once('/').filter(|(_, name)| !name.is_empty()).ok_or_else(form)?;
            let (login, urls) = servers_of(servers, form)?;
            let mut addresses = Vec::new();
            let mut account = None;
            for url in &urls {
                let info = url.as_str().into_connection_info().map_err(config)?;
                addresses.push(info.addr().clone());
                account = Some(info.redis_settings().clone());
            }
            let mut builder =
                SentinelClientBuilder::new(addresses, master, SentinelServerType::Master).map_err(config)?;
            if let Some(account) = account.filter(|_| login) {
                if let Some(user) = account.username() {
                    builder = builder.set_client_to_redis_username(user);
                }
                if let Some(password) = account.password() {
                    builder = builder.set_client_to_redis_password(password);
                }
            }
            return Ok(Self::Sentinels(tokio::sync::Mutex::new(builder.build().map_err(config)?)));
        }
        if let Some(rest) = url.strip_prefix(CLUSTER) {
            let form = || format!("it must be {CLUSTER}host:port,host:port");
            let (_, urls) = servers_of(rest.strip_suffix('/').unwrap_or(rest), form)?;
            let client = ClusterClient::builder(urls)
                .retries(CLUSTER_RETRIES)
                .max_retry_wait(CLUSTER_RETRY_WAIT_MAX_MS)
                .min_retry_wait(CLUSTER_RETRY_WAIT_MIN_MS)
                .connection_timeout(SERVER_CONNECT_TIMEOUT)
                .response_timeout(CALL_TIMEOUT)
                .build()
                .map_err(config)?;
            return Ok(Self::Cluster(client));
        }
        let info = url
            .into_connection_info()
            .map_err(|_| format!("it must be redis://host:port, {SENTINEL}host:port,…/NAME or {CLUSTER}host:port,…"))?;
        Client::open(info).map(Self::Server).map_err(config)
    }

    async fn connect(&self) -> Result<Link, Error> {
        // A call has its own time limit, and one timer is enough for each.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(SERVER_CONNECT_TIMEOUT))
            .set_response_timeout(None);
        let connecting = async {
            match self {
                Self::Server(client) => {
                    client.get_multiplexed_async_connection_with_config(&config).await.map(Link::Server)
                }
                Self::Sentinels(client) => {
                    client.lock().await.get_async_connection_with_config(&config).await.map(Link::Server)
                }
                Self::Cluster(client) => client.get_async_connection().await.map(Link::Cluster),
            }
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(answer) => answer.map_err(unavailable),
            Err(late) => Err(unavailable(late)),
        }
    }
}

/// A URL for each of `[user:password@]host:port,host:port`, and whether they carry a login.
fn servers_of(list: &str, form: impl Fn() -> String) -> Result<(bool, Vec<String>), String> {
    let (login, servers) = list.rsplit_once('@').map_or((None, list), |(login, servers)| (Some(login), servers));
    let mut urls = Vec::new();
    for server in servers.split(',') {
        let port = server.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains('/')).map(|(_, p)| p);
        port.and_then(|p| p.parse::<u16>().ok()).filter(|p| *p > 0).ok_or_else(|| format!("{}: {server:?}", form()))?;
        urls.push(login.map_or_else(|| format!("redis://{server}"), |login| format!("redis://{login}@{server}")));
    }
    Ok((login.is_some(), urls))
}

/// A connection that carries concurrent calls; clones share it.
#[derive(Clone)]
enum Link {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    async fn send<T: FromRedisValue>(&mut self, cmd: &Cmd) -> RedisResult<T> {
        match self {
            Self::Server(c) => cmd.query_async(c).await,
            Self::Cluster(c) => cmd.query_async(c).await,
        }
    }

    /// Sends a call and what goes with it as one piece, and gives the call's answer when all are done. In a cluster all must be
    /// of one slot; its client refuses others.
    async fn call<T: FromRedisValue>(&mut self, call: &Call<'_>, with: &[Cmd]) -> RedisResult<T> {
        if with.is_empty() {
            return self.send(&call.cmd()).await;
        }
        let mut all = Pipeline::with_capacity(1 + with.len());
        all.add_command(call.cmd());
        for cmd in with {
            all.add_command(cmd.clone());
        }
        // Errors are looked at one by one: together they would not say what they are.
        all.ignore_errors();
        let answers: Vec<Value> = match self {
            Self::Server(c) => all.query_async(c).await?,
            Self::Cluster(c) => all.query_async(c).await?,
        };
        let answers: Vec<Value> = answers.into_iter().map(Value::extract_error).collect::<RedisResult<_>>()?;
        Ok(T::from_redis_value(answers.into_iter().next().unwrap_or(Value::Nil))?)
    }

    /// Gives the server that this call goes to its library. In a cluster to no other: the client would send it to all, also to one
    /// that is away.
    async fn load(&mut self, call: &Call<'_>) -> RedisResult<()> {
        let mut load = redis::cmd("FUNCTION");
        load.arg("LOAD").arg(&call.library.code);
        let loaded = match (self, call.keys.first()) {
            (Self::Cluster(c), Some(key)) => {
                let to = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
                c.route_command(load, RoutingInfo::SingleNode(to)).await.map(drop)
            }
            (link, _) => link.send(&load).await,
        };
        match loaded {
            // Another call, or another replica, was faster.
            Err(e) if is_known_library(&e) => Ok(()),
            loaded => loaded,
        }
    }

    async fn ping(&mut self) -> RedisResult<()> {
        let ping = redis::cmd("PING");
        match self {
            Self::Server(c) => ping.query_async(c).await,
            // Any node: with one master away the others still serve their performances.
            Self::Cluster(c) => {
                c.route_command(ping, RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random)).await.map(drop)
            }
        }
    }
}

/// A function as a library has it: its body reads `KEYS` and `ARGV` and returns texts.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) body: &'static str,
    /// Those that write nothing answer also while a server takes no writes.
    pub(crate) writes: bool,
}

/// Characters of a library's mark.
const MARK_CHARS: usize = 12;

/// Functions that Redis keeps (7.0, `FUNCTION LOAD`): their code is read once, not with each call as a script's is.
///
/// All names carry a mark of what the library says. So a new version stands beside the one that other replicas still call; what
/// stays behind of an old one is its code, some 20 KB.
pub(crate) struct Library {
    mark: String,
    code: String,
}

impl Library {
    /// `head` is what all the functions share.
    pub(crate) fn new(head: &str, functions: &[Function]) -> Self {
        let mut body = head.to_owned();
        for Function { name, body: does, writes } in functions {
            let flags = if *writes { "" } else { "flags = {'no-writes'}, " };
            body += &format!(
                "\nregister{{{flags}function_name = prefix .. '{name}', callback = function(KEYS, ARGV)\n{does}\nend}}\n"
            );
        }
        let mark: String = Script::new(&body).get_hash().chars().take(MARK_CHARS).collect();
        let code = format!(
            "#!lua name=nugul_{mark}\nlocal register, prefix = redis.register_function, 'nugul_{mark}_'\n{body}",
        );
        Self { mark, code }
    }

    pub(crate) fn call(&self, function: &str) -> Call<'_> {
        let name = format!("nugul_{}_{function}", self.mark);
        Call { library: self, name, keys: Vec::new(), args: Vec::new() }
    }
}

/// One call of a function.
pub(crate) struct Call<'a> {
    library: &'a Library,
    name: String,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

impl Call<'_> {
    pub(crate) fn key(&mut self, key: String) -> &mut Self {
        self.keys.push(key);
        self
    }

    pub(crate) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        arg.write_redis_args(&mut self.args);
        self
    }

    fn cmd(&self) -> Cmd {
        let mut cmd = redis::cmd("FCALL");
        cmd.arg(&self.name).arg(self.keys.len()).arg(&self.keys).arg(&self.args);
        cmd
    }
}

/// The way to Redis. Clones share it.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Shared>);

struct Shared {
    place: Place,
    way: Mutex<Way>,
    /// When the last attempt at finding a way ended; locked while one is under way.
    mending: tokio::sync::Mutex<Instant>,
}

/// A link, and how many there were before.
#[derive(Clone)]
struct Way {
    link: Link,
    number: u64,
}

/// What a try sends.
enum Asked<'a> {
    Ping,
    Cmd(&'a Cmd),
    /// A call, and what goes with it.
    Call(&'a Call<'a>, &'a [Cmd]),
}

impl Connection {
    pub(crate) async fn open(url: &str) -> Result<Self, Error> {
        let place = Place::parse(url).map_err(Error::Url)?;
        let way = Mutex::new(Way { link: place.connect().await?, number: 0 });
        Ok(Self(Arc::new(Shared { place, way, mending: tokio::sync::Mutex::new(Instant::now()) })))
    }

    /// Whether keys of different slots are on different servers.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.0.place, Place::Cluster(_))
    }

    pub(crate) async fn ask<T: FromRedisValue>(&self, cmd: &Cmd) -> Result<T, Error> {
        self.asked(&Asked::Cmd(cmd)).await
    }

    pub(crate) async fn run(&self, call: &Call<'_>) -> Result<Vec<String>, Error> {
        self.run_with(call, &[]).await
    }

    /// The same with other commands that go along. In a cluster all must be of one slot.
    pub(crate) async fn run_with(&self, call: &Call<'_>, with: &[Cmd]) -> Result<Vec<String>, Error> {
        self.asked(&Asked::Call(call, with)).await
    }

    pub(crate) async fn ping(&self) -> Result<(), Error> {
        self.asked(&Asked::Ping).await
    }

    async fn asked<T: FromRedisValue>(&self, asked: &Asked<'_>) -> Result<T, Error> {
        let number = self.0.way().number;
        let answer = tokio::time::timeout(CALL_TIMEOUT, self.tries(asked)).await;
        if answer.as_ref().map_or(true, |a| a.as_ref().is_err_and(RedisError::is_timeout)) {
            // A server that hangs keeps its connection; the next call shall not wait for it again.
            drop(self.mend(number));
        }
        answer.map_err(unavailable)?.map_err(unavailable)
    }

    async fn tries<T: FromRedisValue>(&self, asked: &Asked<'_>) -> RedisResult<T> {
        let mut pause = TRY_PAUSE;
        for _ in 1..TRIES_MAX {
            let way = self.0.way();
            match sent(way.link, asked).await {
                Err(e) if is_of_the_way(&e) => {
                    let mended = self.mend(way.number);
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    // Only a panic while connecting could make it fail, and then the next try tells.
                    let _ = mended.await;
                }
                answer => return answer,
            }
        }
        sent(self.0.way().link, asked).await
    }

    /// Finds a new way in place of the one with this number, at its own pace: a call that gives up does not end it.
    fn mend(&self, broken: u64) -> tokio::task::JoinHandle<()> {
        let (shared, wanted) = (Arc::clone(&self.0), Instant::now());
        tokio::spawn(async move {
            let mut last = shared.mending.lock().await;
            // While this one waited, another found a way, or found that there is none.
            if *last > wanted || shared.way().number != broken {
                return;
            }
            tokio::time::sleep_until(*last + MEND_PAUSE).await;
            if let Ok(link) = shared.place.connect().await {
                *shared.lock() = Way { link, number: broken + 1 };
            }
            *last = Instant::now();
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn way(&self) -> Way {
        self.lock().clone()
    }
}

/// One try: one round trip; three where the server does not have the function yet.
async fn sent<T: FromRedisValue>(mut link: Link, asked: &Asked<'_>) -> RedisResult<T> {
    match asked {
        Asked::Ping => link.ping().await.and_then(|()| Ok(T::from_redis_value(Value::Nil)?)),
        Asked::Cmd(cmd) => link.send(cmd).await,
        Asked::Call(call, with) => match link.call(call, with).await {
            Err(e) if is_unknown_function(&e) => {
                link.load(call).await?;
                link.call(call, with).await
            }
            answer => answer,
        },
    }
}

/// The server does not have the function: an error that has no code of its own.
fn is_unknown_function(e: &RedisError) -> bool {
    e.detail().is_some_and(|detail| detail.contains("Function not found"))
}

/// The server has the library already; the same.
fn is_known_library(e: &RedisError) -> bool {
    e.detail().is_some_and(|detail| detail.contains("already exists"))
}

/// Whether the way is at fault, not the call: another try on another way may succeed.
fn is_of_the_way(e: &RedisError) -> bool {
    // A cluster that moves a slot may have sent a call and its library to two servers.
    if is_unknown_function(e) {
        return true;
    }
    !e.is_timeout()
        && match e.kind() {
            ErrorKind::Io | ErrorKind::Parse | ErrorKind::ClusterConnectionNotFound => true,
            ErrorKind::Server(kind) => matches!(
                kind,
                ServerErrorKind::ReadOnly
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::BusyLoading
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::Moved
                    | ServerErrorKind::Ask
            ),
            _ => false,
        }
}

fn unavailable(why: impl Display) -> Error {
    Error::Unavailable(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_url() {
        for good in [
            "redis://127.0.0.1:6379",
            "redis://user:secret@redis/",
            "redis+sentinel://a:1,b:2,c:3/nugul",
            "redis+sentinel://:secret@a:1/nugul",
            "redis+cluster://a:1,b:2,c:3",
            "redis+cluster://user:secret@[::1]:1,b:2/",
        ] {
            assert_eq!(url_error(good), None, "{good}");
        }
        for (bad, why) in [
            ("", "redis://host:port"),
            ("127.0.0.1:6379", "redis://host:port"),
            ("http://a:1", "redis://host:port"),
            ("rediss://a:1", "redis://host:port"),
            ("redis+sentinel://a:1,b:2", "MASTER_NAME"),
            ("redis+sentinel://a:1,b:2/", "MASTER_NAME"),
            ("redis+sentinel://a:1,b/nugul", "\"b\""),
            ("redis+sentinel://:secret@a:1,b/nugul", "\"b\""),
            ("redis+cluster://", "\"\""),
            ("redis+cluster://a:1,b:x", "\"b:x\""),
            ("redis+cluster://a:1,b:0", "\"b:0\""),
            ("redis+cluster://a:1/2", "\"a:1/2\""),
        ] {
            let said = url_error(bad).unwrap_or_default();
            assert!(said.contains(why) && !said.contains("secret"), "{bad}: {said}");
        }
    }
}
