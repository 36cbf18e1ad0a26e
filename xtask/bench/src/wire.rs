//! A client that costs little: one kept connection, one request at a time, HTTP/1.1 as our servers speak it.

use std::{io::Write as _, time::Duration};

use nugul_api::headers::EDGE_KEY;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// No request takes longer: the coordinator ends its own at thirty seconds.
const REQUEST_LIMIT: Duration = Duration::from_secs(40);
/// No answer is longer, in bytes.
const ANSWER_MAX: usize = 256 * 1024;
/// What is read at once, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// What a request carries.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ask<'a> {
    /// `GET`, `POST` or `DELETE`.
    pub(crate) method: &'a str,
    /// The path with its slash.
    pub(crate) path: &'a str,
    /// An access token; none where empty.
    pub(crate) token: &'a str,
    /// The idempotency key; none where empty.
    pub(crate) key: &'a str,
    /// The key of our edges; none where empty.
    pub(crate) edge_key: &'a str,
    /// What kind of body; none where empty.
    pub(crate) kind: &'a str,
    /// The body.
    pub(crate) body: &'a [u8],
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    host: String,
    out: Vec<u8>,
    inbox: Vec<u8>,
}

/// An answer, until the next request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    /// The status.
    pub(crate) status: u16,
    head: &'a [u8],
    /// The body.
    pub(crate) body: &'a [u8],
}

impl<'a> Reply<'a> {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        header(self.head, name)
    }

    /// The body as JSON, where the status is this one.
    #[track_caller]
    pub(crate) fn expect<T: serde::de::DeserializeOwned>(&self, status: u16) -> T {
        self.expect_status(status);
        serde_json::from_slice(self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(self.body)))
    }

    /// Where the status is this one and nothing else matters.
    #[track_caller]
    pub(crate) fn expect_status(&self, status: u16) {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(self.body));
    }
}

impl Wire {
    /// Connects to `http://HOST:PORT`.
    pub(crate) async fn open(origin: &str) -> Self {
        let host = origin.strip_prefix("http://").expect("a plain origin").to_owned();
        let stream = TcpStream::connect(&host).await.unwrap_or_else(|e| panic!("{host}: {e}"));
        stream.set_nodelay(true).expect("a TCP option");
        Self { stream, host, out: Vec::new(), inbox: Vec::new() }
    }

    /// Sends and waits for the answer; panics where none comes.
    pub(crate) async fn send(&mut self, ask: Ask<'_>) -> Reply<'_> {
        self.write_head(ask);
        self.out.extend_from_slice(ask.body);
        let (head, end) = timeout(REQUEST_LIMIT, self.exchange())
            .await
            .unwrap_or_else(|_| panic!("{} {}: no answer in time", ask.method, ask.path))
            .unwrap_or_else(|e| panic!("{} {}: {e}", ask.method, ask.path));
        Reply { status: status(&self.inbox), head: &self.inbox[..head], body: &self.inbox[head..end] }
    }

    fn write_head(&mut self, ask: Ask<'_>) {
        let out = &mut self.out;
        out.clear();
        let mut line = |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("memory takes everything");
        line(format_args!("{} {} HTTP/1.1\r\nhost: {}\r\n", ask.method, ask.path, self.host));
        if !ask.token.is_empty() {
            line(format_args!("authorization: Bearer {}\r\n", ask.token));
        }
        if !ask.key.is_empty() {
            line(format_args!("idempotency-key: {}\r\n", ask.key));
        }
        if !ask.edge_key.is_empty() {
            line(format_args!("{EDGE_KEY}: {}\r\n", ask.edge_key));
        }
        if !ask.kind.is_empty() {
            line(format_args!("content-type: {}\r\ncontent-length: {}\r\n", ask.kind, ask.body.len()));
        }
        line(format_args!("\r\n"));
    }

    /// Where the answer's head ends, and its body.
    async fn exchange(&mut self) -> std::io::Result<(usize, usize)> {
        self.stream.write_all(&self.out).await?;
        self.inbox.clear();
        let mut ends = None;
        loop {
            if ends.is_none() {
                ends = measure(&self.inbox);
            }
            match ends {
                Some((head, Length::Bytes(length))) if self.inbox.len() >= head + length => {
                    return Ok((head, head + length));
                }
                Some((head, Length::Chunks)) => {
                    if let Some(body) = joined(&self.inbox[head..]) {
                        self.inbox.truncate(head);
                        self.inbox.extend(body);
                        return Ok((head, self.inbox.len()));
                    }
                }
                _ => {}
            }
            if self.inbox.len() > ANSWER_MAX {
                return Err(std::io::Error::other("the answer is too long"));
            }
            self.inbox.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(std::io::Error::other("the connection ended"));
            }
        }
    }
}

/// How long a body is (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Bytes(usize),
    Chunks,
}

/// Where the head ends and how long the body is, once the head is there whole.
fn measure(text: &[u8]) -> Option<(usize, Length)> {
    let head = text.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    if header(&text[..head], "transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return Some((head, Length::Chunks));
    }
    let length = header(&text[..head], "content-length").and_then(|v| v.parse::<usize>().ok()).unwrap_or(0);
    Some((head, Length::Bytes(length)))
}

/// The chunks of a body (RFC 9112, 7.1) as one, once the last is there; what follows the body is left aside.
fn joined(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let line = text.windows(2).position(|w| w == b"\r\n")?;
        let size = std::str::from_utf8(&text[..line]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        let chunk = text.get(line + 2..)?;
        if size == 0 {
            return chunk.starts_with(b"\r\n").then_some(all);
        }
        all.extend_from_slice(chunk.get(..size)?);
        text = chunk.get(size + 2..)?;
    }
}

/// The three digits after `HTTP/1.1 `.
fn status(text: &[u8]) -> u16 {
    let digits = text.get(9..12).and_then(|d| std::str::from_utf8(d).ok());
    digits.and_then(|d| d.parse().ok()).unwrap_or(0)
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let head = std::str::from_utf8(head).ok()?;
    head.split("\r\n").find_map(|line| {
        let (n, value) = line.split_once(':')?;
        n.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_measured_once_its_head_is_whole() {
        let text = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nlocation: /a:b\r\n\r\n{}";
        assert_eq!(measure(&text[..30]), None);
        assert_eq!(measure(text), Some((text.len() - 2, Length::Bytes(2))));
        assert_eq!((status(text), header(text, "Location")), (201, Some("/a:b")));
        let empty = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(measure(empty), Some((empty.len(), Length::Bytes(0))));
    }

    #[test]
    fn chunks_are_joined_once_the_last_is_there() {
        let text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n";
        let (head, length) = measure(text).unwrap();
        assert_eq!(length, Length::Chunks);
        assert_eq!(joined(&text[head..]), Some(b"abc0123456789".to_vec()));
        for cut in head..text.len() {
            assert_eq!(joined(&text[head..cut]), None, "{cut}");
        }
    }
}
