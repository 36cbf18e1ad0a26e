//! An event stream over a socket, with as little between as can be: for thousands of readers in one program.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How long an answer's head may take.
const HEAD_LIMIT: Duration = Duration::from_secs(15);
/// The longest head.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Read at once.
const READ_BYTES: usize = 16 * 1024;

/// One thing that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sse {
    /// A comment.
    Alive,
    /// How long to wait before coming back, in milliseconds.
    Retry(u64),
    /// An event.
    Event {
        /// Its name.
        event: String,
        /// Its own id.
        id: Option<String>,
        /// Its data.
        data: String,
    },
}

/// An open stream.
pub struct RawStream {
    socket: TcpStream,
    chunked: bool,
    raw: Vec<u8>,
    text: Vec<u8>,
    ended: bool,
}

impl RawStream {
    /// Opens the stream at `path` of `origin` (`host:port`), after an event already seen. Any answer but 200 is an error.
    pub async fn open(origin: &str, path: &str, last_event_id: Option<i64>) -> io::Result<Self> {
        tokio::time::timeout(HEAD_LIMIT, async {
            let mut socket = TcpStream::connect(origin).await?;
            let last = last_event_id.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
            let ask = format!("GET {path} HTTP/1.1\r\nhost: {origin}\r\naccept: text/event-stream\r\n{last}\r\n");
            socket.write_all(ask.as_bytes()).await?;
            let mut raw = Vec::new();
            let end = loop {
                if let Some(at) = raw.windows(4).position(|four| four == b"\r\n\r\n") {
                    break at + 4;
                }
                if raw.len() > HEAD_BYTES_MAX || socket.read_buf(&mut raw).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            };
            let head = String::from_utf8_lossy(&raw[..end]).to_ascii_lowercase();
            if !head.starts_with("http/1.1 200") {
                return Err(io::Error::other(head.lines().next().unwrap_or_default().to_owned()));
            }
            raw.drain(..end);
            let chunked = head.contains("transfer-encoding: chunked");
            Ok(Self { socket, chunked, raw, text: Vec::new(), ended: false })
        })
        .await?
    }

    /// The next things that come; `None` where the stream was ended in good order.
    pub async fn next(&mut self) -> io::Result<Option<Vec<Sse>>> {
        loop {
            self.unpack()?;
            let mut items = Vec::new();
            while let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                items.extend(item(&String::from_utf8_lossy(&block)));
            }
            if !items.is_empty() {
                return Ok(Some(items));
            }
            if self.ended {
                return Ok(None);
            }
            self.raw.reserve(READ_BYTES);
            if self.socket.read_buf(&mut self.raw).await? == 0 {
                return if self.chunked { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(None) };
            }
        }
    }

    /// Takes whole chunks out of what was read.
    fn unpack(&mut self) -> io::Result<()> {
        if !self.chunked {
            self.text.append(&mut self.raw);
            return Ok(());
        }
        let bad = || io::Error::other("a damaged chunk");
        let mut at = 0;
        while let Some(line) = self.raw[at..].windows(2).position(|two| two == b"\r\n") {
            let size = std::str::from_utf8(&self.raw[at..at + line]).map_err(|_| bad())?;
            let size =
                usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).map_err(|_| bad())?;
            let (from, to) = (at + line + 2, at + line + 2 + size);
            if self.raw.len() < to + 2 {
                break;
            }
            if &self.raw[to..to + 2] != b"\r\n" {
                return Err(bad());
            }
            self.text.extend_from_slice(&self.raw[from..to]);
            at = to + 2;
            if size == 0 {
                self.ended = true;
                break;
            }
        }
        self.raw.drain(..at);
        Ok(())
    }
}

fn item(block: &str) -> Option<Sse> {
    let (mut event, mut id, mut data, mut retry) = (String::new(), None, None::<String>, None);
    let mut alive = false;
    for line in block.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => alive |= line.starts_with(':'),
            "event" => value.clone_into(&mut event),
            "id" => id = Some(value.to_owned()),
            "data" => data.get_or_insert_default().push_str(value),
            "retry" => retry = value.parse().ok(),
            _ => {}
        }
    }
    match (data, retry) {
        (Some(data), _) => Some(Sse::Event { event, id, data }),
        (None, Some(ms)) => Some(Sse::Retry(ms)),
        (None, None) => alive.then_some(Sse::Alive),
    }
}
