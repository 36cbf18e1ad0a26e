//! What the end-to-end tests and the benches share: a running platform, people who use it, and readers of its streams.
//!
//! - `world`: the platform under test. `http`: requests and answers. `sse`: the seat stream, checked as it is read.
//! - `checker`: a crowd of readers that proves what they see; `raw`: their socket.
//! - `people`: buyers, the seller, and the person at the payment page. `browser`: Chromium through WebDriver.
//!
//! Everything here panics with a sentence where the platform does not do what it should: that is a failed test.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a test fails")]

pub mod browser;
pub mod checker;
pub mod http;
pub mod people;
pub mod raw;
pub mod sse;
pub mod wait;
pub mod world;

pub use http::{Answer, Api, new_key};
pub use people::{Buyer, Decision, Toss};
pub use sse::{SeatLog, SeatStream};
pub use wait::eventually;
pub use world::World;
