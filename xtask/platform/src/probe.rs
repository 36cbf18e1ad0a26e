//! Asking a process whether it is ready, and waiting with a bound.
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const ASK_TIMEOUT: Duration = Duration::from_secs(2);
const POLL_EVERY: Duration = Duration::from_millis(25);
/// No readiness answer is longer.
const ANSWER_MAX_BYTES: u64 = 64 * 1024;

/// How a process shows that it is ready.
#[derive(Clone, Debug)]
pub(crate) enum Probe {
    /// Answers 200 on this path.
    Http(u16, &'static str),
    /// Answers PING.
    Redis(u16),
    /// Greets a client, which it does once its tables are open.
    MariaDb(u16),
}

impl Probe {
    pub(crate) fn ready(&self) -> bool {
        match *self {
            Self::Http(port, path) => get(loopback(port), path).is_ok_and(|(status, _)| status == 200),
            Self::Redis(port) => redis_answers(port).unwrap_or(false),
            Self::MariaDb(port) => mariadb_greets(port).unwrap_or(false),
        }
    }
}

/// Looks until the condition holds; false when it does not within the limit.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::park_timeout(POLL_EVERY);
    }
}

/// A small plain-HTTP GET: status and body (of at most 64 KB).
pub fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.map(|status| (status, body.to_owned())).ok_or_else(|| io::Error::other("not an HTTP answer"))
}

fn redis_answers(port: u16) -> io::Result<bool> {
    let mut stream = connect(loopback(port))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"+PONG")
}

fn mariadb_greets(port: u16) -> io::Result<bool> {
    let mut stream = connect(loopback(port))?;
    let mut greeting = [0; 5];
    stream.read_exact(&mut greeting)?;
    Ok(greeting[4] == 10)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, ASK_TIMEOUT)?;
    stream.set_read_timeout(Some(ASK_TIMEOUT))?;
    stream.set_write_timeout(Some(ASK_TIMEOUT))?;
    Ok(stream)
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
