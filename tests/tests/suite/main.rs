//! The end-to-end suite: one program, so that one platform serves every test that does not kill it.
#![allow(missing_docs, reason = "a test's name says what it is about")]

mod accounts;
mod bad_input;
mod browser;
mod machines;
mod money;
mod purchase;
mod resilience;
mod rush;
