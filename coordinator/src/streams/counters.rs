//! What happened to the streams of this process, in Prometheus's text format.

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use nugul_api::seats::CloseReason;

/// Counts since the process began, but for `open` and `feeds`, which are of now.
#[derive(Debug, Default)]
pub struct Counters {
    /// Streams that are open.
    pub open: AtomicU64,
    /// Performances whose changes are followed.
    pub feeds: AtomicU64,
    /// Streams that were begun.
    pub begun: AtomicU64,
    /// Of these, with the changes since `Last-Event-ID` and no snapshot.
    pub resumed: AtomicU64,
    /// Frames that were encoded.
    pub frames: AtomicU64,
    /// Frames and heartbeats that a reader was given, each counted for each reader.
    pub delivered: AtomicU64,
    /// Readers that were brought up to date by a snapshot because they were too far behind.
    pub collapsed: AtomicU64,
    /// Streams closed on purpose, in the order of [`CloseReason::ALL`].
    closed: [AtomicU64; CloseReason::ALL.len()],
    /// Streams refused by a limit.
    pub refused: AtomicU64,
}

impl Counters {
    /// As `/metrics` tells them.
    pub fn write(&self, text: &mut String) {
        let one = |text: &mut String, name: &str, kind: &str, help: &str, value: &AtomicU64| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {}", value.load(Relaxed));
        };
        one(text, "nugul_streams", "gauge", "Seat streams that are open.", &self.open);
        one(text, "nugul_stream_feeds", "gauge", "Performances whose changes are followed.", &self.feeds);
        one(text, "nugul_streams_begun_total", "counter", "Seat streams that were begun.", &self.begun);
        one(text, "nugul_streams_resumed_total", "counter", "Those begun without a snapshot.", &self.resumed);
        one(text, "nugul_stream_frames_total", "counter", "Frames that were encoded.", &self.frames);
        one(text, "nugul_stream_deliveries_total", "counter", "Frames given to readers.", &self.delivered);
        one(text, "nugul_streams_collapsed_total", "counter", "Readers behind that got a snapshot.", &self.collapsed);
        one(text, "nugul_streams_refused_total", "counter", "Seat streams refused by a limit.", &self.refused);
        let name = "nugul_streams_closed_total";
        let _ = writeln!(text, "# HELP {name} Streams closed on purpose.\n# TYPE {name} counter");
        for reason in CloseReason::ALL {
            let value = self.closed(reason).load(Relaxed);
            let _ = writeln!(text, "{name}{{reason=\"{}\"}} {value}", reason.as_str());
        }
    }

    /// Streams closed for this reason.
    pub fn closed(&self, reason: CloseReason) -> &AtomicU64 {
        &self.closed[reason as usize]
    }

    pub(super) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Relaxed);
    }
}
