//! Asking a process whether it is ready, and waiting with a bound.
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const ASK_TIMEOUT: Duration = Duration::from_secs(2);
const POLL_EVERY: Duration = Duration::from_millis(25);
/// No readiness answer is longer.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// How a process shows that it is ready.
#[derive(Clone, Debug)]
pub(crate) enum Probe {
    /// Answers 200 on this path.
    Http(u16, &'static str),
    /// Greets a client, which it does once its tables are open.
    MariaDb(u16),
}

impl Probe {
    pub(crate) fn ready(&self) -> bool {
        match *self {
            Self::Http(port, path) => get(loopback(port), path).is_ok_and(|(status, _)| status == 200),
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
    ask(address, "GET", path)
}

/// The same for a DELETE.
pub(crate) fn delete(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    ask(address, "DELETE", path)
}

fn ask(address: SocketAddr, method: &str, path: &str) -> io::Result<(u16, String)> {
    let mut stream = connect(address)?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    // Not every server closes the connection when asked to: the answer's own length decides.
    while !whole(&answer) && answer.len() < ANSWER_MAX_BYTES {
        match stream.read(&mut part)? {
            0 => break,
            length => answer.extend_from_slice(&part[..length]),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = if chunked(head) { unchunked(body) } else { body.to_owned() };
    status.map(|status| (status, body)).ok_or_else(|| io::Error::other("not an HTTP answer"))
}

/// Whether all of an answer that says where it ends is there.
fn whole(answer: &[u8]) -> bool {
    let answer = String::from_utf8_lossy(answer);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = header(head, "content-length").and_then(|length| length.parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length) || (chunked(head) && body.ends_with("0\r\n\r\n"))
}

fn chunked(head: &str) -> bool {
    header(head, "transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let Some(chunk) =
            usize::from_str_radix(size.trim(), 16).ok().filter(|&size| size > 0).and_then(|size| rest.get(..size))
        else {
            break;
        };
        text += chunk;
        body = rest[chunk.len()..].trim_start_matches("\r\n");
    }
    text
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
