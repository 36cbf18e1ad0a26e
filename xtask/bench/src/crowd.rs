//! Thousands of readers of an event stream on one thread: sockets, `epoll`, and the moment each frame came.
//!
//! A frame is known by the versions in it, `"from":…,"to":…`; what else is in it is not looked at. So the same client
//! reads every server the same way.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use memchr::memmem;
use nugul_platform::wait_until;
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};

/// Events taken from the kernel at once.
const EVENTS_AT_ONCE: usize = 1_024;
/// Read at once.
const READ_BYTES: usize = 64 * 1024;
/// How long all readers may take to be there.
const READY_WITHIN: Duration = Duration::from_mins(2);
/// How often the thread looks whether it is to end.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// A frame that a reader got.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// The version before it.
    pub(crate) from: i64,
    /// The version after it.
    pub(crate) to: i64,
    /// When it came.
    pub(crate) at: Instant,
}

/// What a crowd got.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Every frame of every reader.
    pub(crate) frames: Vec<Frame>,
    /// Readers whose stream ended before it was over.
    pub(crate) ended: usize,
}

/// Readers that read.
#[derive(Debug)]
pub(crate) struct Crowd {
    over: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    thread: JoinHandle<Heard>,
}

struct Listener {
    socket: TcpStream,
    heard: bool,
    tail: Vec<u8>,
}

impl Crowd {
    /// Connects so many readers to `path` of `origin` and returns when each has got something.
    pub(crate) fn gather(origin: &str, path: &str, count: usize) -> Self {
        let host = origin.trim_start_matches("http://").to_owned();
        let address: SocketAddr = host.parse().expect("an address");
        let ask = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: text/event-stream\r\n\r\n");
        let (over, ready, bytes) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
        let mut listeners = Vec::with_capacity(count);
        for number in 0..count {
            let mut socket = TcpStream::connect(address).unwrap_or_else(|e| panic!("reader {number}: {e}"));
            socket.write_all(ask.as_bytes()).expect("a request is taken");
            socket.set_nonblocking(true).expect("a socket option");
            epoll::add(&epoll, &socket, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)
                .expect("a socket to watch");
            listeners.push(Listener { socket, heard: false, tail: Vec::new() });
        }
        let thread = {
            let (over, ready, bytes) = (Arc::clone(&over), Arc::clone(&ready), Arc::clone(&bytes));
            thread::spawn(move || read(&epoll, &mut listeners, &over, &ready, &bytes))
        };
        let here = || ready.load(Ordering::Relaxed);
        assert!(wait_until(READY_WITHIN, || here() >= count), "{} of {count} readers are there", here());
        Self { over, bytes, thread }
    }

    /// Bytes that came so far, of all readers.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Lets everyone go.
    pub(crate) fn dismiss(self) -> Heard {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("readers that end well")
    }
}

fn read(
    epoll: &impl rustix::fd::AsFd,
    listeners: &mut [Listener],
    over: &AtomicBool,
    ready: &AtomicUsize,
    bytes: &AtomicU64,
) -> Heard {
    let mut heard = Heard::default();
    let mut events = Vec::with_capacity(EVENTS_AT_ONCE);
    let mut buffer = vec![0; READ_BYTES];
    while !over.load(Ordering::Relaxed) {
        match epoll::wait(epoll, spare_capacity(&mut events), Some(&LOOK_EVERY)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => panic!("epoll: {e}"),
        }
        for event in events.drain(..) {
            let number = usize::try_from(event.data.u64()).expect("a reader's number");
            let listener = &mut listeners[number];
            let got = match listener.socket.read(&mut buffer) {
                Ok(got @ 1..) => got,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
                Ok(_) | Err(_) => {
                    heard.ended += 1;
                    epoll::delete(epoll, &listener.socket).expect("a watched socket");
                    continue;
                }
            };
            let at = Instant::now();
            bytes.fetch_add(got as u64, Ordering::Relaxed);
            if !std::mem::replace(&mut listener.heard, true) {
                ready.fetch_add(1, Ordering::Relaxed);
            }
            listener.take(&buffer[..got], at, &mut heard.frames);
        }
    }
    heard
}

impl Listener {
    fn take(&mut self, bytes: &[u8], at: Instant, frames: &mut Vec<Frame>) {
        let joined;
        let text = if self.tail.is_empty() {
            bytes
        } else {
            self.tail.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.tail);
            &joined
        };
        let mut rest = text;
        while let Some((from, after)) = number_after(rest, b"\"from\":") {
            let Some((to, after)) = number_after(after, b"\"to\":") else { break };
            frames.push(Frame { from, to, at });
            rest = after;
        }
        // What may be the beginning of the next frame.
        let end = memmem::rfind(rest, b"\n\n").map_or(0, |at| at + 2);
        let tail = &rest[end..];
        if [b"event", b"data:"].iter().any(|name| memmem::find(tail, *name).is_some()) {
            self.tail = tail.to_vec();
        }
    }
}

/// The number after a name, once it is there whole, and what follows it.
fn number_after<'a>(text: &'a [u8], name: &[u8]) -> Option<(i64, &'a [u8])> {
    let at = memmem::find(text, name)? + name.len();
    let digits = text[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    let rest = text.get(at + digits..).filter(|rest| !rest.is_empty())?;
    Some((std::str::from_utf8(&text[at..at + digits]).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let text = b"a2\r\nevent: changes\nid: 12\ndata: {\"from\":10,\"to\":12,\"changes\":[[],[]]}\n\n\r\n9\r\n: alive\n\n\r\n".repeat(3);
        for cut in 1..text.len() {
            let listener =
                TcpStream::connect(std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
            let mut listener = Listener { socket: listener.unwrap(), heard: false, tail: Vec::new() };
            let mut frames = Vec::new();
            for piece in [&text[..cut], &text[cut..]] {
                listener.take(piece, Instant::now(), &mut frames);
            }
            let found: Vec<_> = frames.iter().map(|f| (f.from, f.to)).collect();
            assert_eq!(found, [(10, 12); 3], "cut at {cut}");
        }
    }
}
