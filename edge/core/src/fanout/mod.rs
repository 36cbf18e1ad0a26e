//! One stream of seat changes to many readers.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `parser` | cuts a stream of bytes into frames |
//! | [`room`] | the seats as they are, what was missed, and the frames that say so |
//! | [`readers`] | those who listen, each behind a bounded queue |
//! | `follow` | keeps a room up to date from its one upstream, while someone listens |
//! | [`shards`] | how the readers of a performance are spread over several rooms |
//! | [`rooms`] | the rooms of one instance, where a platform has no place of their own for them |

mod follow;
mod parser;
pub mod readers;
pub mod room;
pub mod rooms;
pub mod shards;

pub use follow::{CLIENT_ADDRESS, Joined, Shared, chance, join};
pub use parser::{FRAME_BYTES_MAX, Frame, FrameTooLong, Item, Parser};
pub use readers::Reader;

/// An upstream silent for this long is taken for dead, in milliseconds: a heartbeat, and time for it to come.
pub const SILENCE_MS: u64 = nugul_api::seats::HEARTBEAT_MS + 3_000;
/// When an upstream that does not answer is said to be lost, in milliseconds. It is still waited for.
pub const LOST_MS: u64 = 2_000;
