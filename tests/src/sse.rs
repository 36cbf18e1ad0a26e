//! The seat stream, read as a browser reads it (HTML Standard, 9.2) and checked for gaps and duplicates on the way.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use nugul_api::seats::{EVENT_CHANGES, EVENT_LINK, EVENT_SNAPSHOT, EVENT_STATUS, SeatChanges, SeatSnapshot};
use nugul_domain::{SeatIndex, SeatState};

/// A frame of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its name.
    pub event: String,
    /// Its id, the version after it.
    pub id: String,
    /// What it carries.
    pub data: String,
}

/// An open stream.
pub struct SeatStream {
    bytes: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    buffer: Vec<u8>,
}

impl SeatStream {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        assert_eq!(response.status().as_u16(), 200, "a seat stream");
        let kind = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        Self { bytes: Box::pin(response.bytes_stream()), buffer: Vec::new() }
    }

    /// The next frame; comments and bare settings are passed over. Panics where none comes in time.
    pub async fn next(&mut self, limit: Duration) -> Frame {
        tokio::time::timeout(limit, self.read())
            .await
            .unwrap_or_else(|_| panic!("no frame within {} s", limit.as_secs()))
            .expect("the stream goes on")
    }

    async fn read(&mut self) -> Option<Frame> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let frame = parse(std::str::from_utf8(&block).expect("UTF-8"));
                if !frame.data.is_empty() {
                    return Some(frame);
                }
            }
            let bytes = self.bytes.next().await?.expect("a stream that is not cut");
            self.buffer.extend_from_slice(&bytes);
        }
    }
}

fn parse(block: &str) -> Frame {
    let mut frame = Frame::default();
    for line in block.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut frame.event),
            "id" => value.clone_into(&mut frame.id),
            "data" => frame.data.push_str(value),
            _ => {}
        }
    }
    frame
}

/// What a reader of the stream knows: the seats now, and every change in order.
pub struct SeatLog {
    stream: SeatStream,
    /// The version known.
    pub version: i64,
    /// Each seat now.
    pub seats: Vec<SeatState>,
    /// Every change seen, with the version it made.
    pub changes: Vec<(i64, Vec<(SeatIndex, SeatState)>)>,
}

impl SeatLog {
    /// Reads the snapshot a new stream begins with.
    pub async fn begin(mut stream: SeatStream, limit: Duration) -> Self {
        let frame = stream.next(limit).await;
        assert_eq!(frame.event, EVENT_SNAPSHOT);
        let snapshot: SeatSnapshot = serde_json::from_str(&frame.data).expect("a snapshot");
        assert_eq!(frame.id, snapshot.version.to_string());
        let seats = snapshot.unpack().expect("whole");
        Self { stream, version: snapshot.version, seats, changes: Vec::new() }
    }

    /// Goes on after what was seen at `version`, with the seats as they were then. No snapshot may come.
    pub fn resume(stream: SeatStream, version: i64, seats: Vec<SeatState>) -> Self {
        Self { stream, version, seats, changes: Vec::new() }
    }

    /// Reads the next frame of seats, which must follow what is known without a gap or a duplicate.
    pub async fn step(&mut self, limit: Duration) {
        let frame = loop {
            let frame = self.stream.next(limit).await;
            if ![EVENT_STATUS, EVENT_LINK].contains(&frame.event.as_str()) {
                break frame;
            }
        };
        assert_eq!(frame.event, EVENT_CHANGES, "{frame:?}");
        let changes: SeatChanges = serde_json::from_str(&frame.data).expect("changes");
        assert_eq!(changes.from, self.version, "the changes follow what is known: {frame:?}");
        assert_eq!(frame.id, changes.to.to_string());
        assert_eq!(changes.to - changes.from, i64::try_from(changes.changes.len()).expect("few"), "{frame:?}");
        for seats in changes.changes {
            self.version += 1;
            let seats: Vec<_> = seats.into_iter().map(|(i, bits)| (i, SeatState::from_bits(bits))).collect();
            for &(i, state) in &seats {
                self.seats[i as usize] = state;
            }
            self.changes.push((self.version, seats));
        }
    }

    /// Reads until the condition holds; each frame may take `limit`.
    pub async fn until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) {
        while !done(self) {
            self.step(limit).await;
        }
    }

    /// Whether all of these seats are in this state.
    pub fn all(&self, seats: &[SeatIndex], state: SeatState) -> bool {
        seats.iter().all(|&i| self.seats.get(i as usize) == Some(&state))
    }
}
