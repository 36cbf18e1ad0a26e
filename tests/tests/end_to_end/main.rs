//! The end-to-end suite: one program, so that one platform serves every test that does not kill it.
#![allow(missing_docs, reason = "a test's name says what it is about")]

mod accounts;
mod bad_input;
mod browser;
mod checker;
mod deadlines;
mod hang_up;
mod live_state;
mod logs;
mod machines;
mod money;
mod purchase;
mod rankings;
mod refund_pages;
mod refunds;
mod regions;
mod resilience;
mod rush;
mod search;
mod seats_kept;
mod streams;
mod streams_browser;
mod up;
