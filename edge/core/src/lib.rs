//! What an edge does, whichever platform runs it: answers reads from memory, renders the pages, forwards the rest.
//!
//! | file | what it is for |
//! | --- | --- |
//! | [`host`] | what a platform gives: fetch, time, randomness, settings |
//! | [`http`] | requests, answers, queries, forms and cookies |
//! | [`app`] | what an instance remembers; never a truth |
//! | [`router`] | which address is answered by whom |
//! | [`api`] | `/api/v1`: answered from memory or forwarded |
//! | `everywhere` | lists of a person that every region has a part of |
//! | [`catalogue`] | the index of events in memory |
//! | [`rankings`] | votes gathered and sent, rankings shown |
//! | [`session`] | who asks: tokens, cookies, other sites' requests |
//! | [`site`] | the addresses of the pages |
//! | [`pages`] | the pages as HTML |
//! | [`fanout`] | one stream of seat changes to many readers |

pub mod api;
pub mod app;
pub mod catalogue;
mod everywhere;
pub mod fanout;
pub mod host;
pub mod http;
pub mod pages;
pub mod rankings;
pub mod router;
pub mod session;
pub mod site;
mod upstream;

#[cfg(test)]
mod tests;

pub use app::App;
pub use router::handle;
