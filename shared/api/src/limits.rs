//! Bounds of what may be sent.

/// The largest body of a write, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// The longest idempotency key, in characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 100;
/// The most items of a page of a list.
pub const PAGE_ITEMS_MAX: u32 = 100;
/// Items of a page where the client does not say.
pub const PAGE_ITEMS_DEFAULT: u32 = 20;
/// The longest reason of a refund or a cancellation, in characters.
pub const REASON_CHARS_MAX: usize = 200;
/// The longest search text, in characters.
pub const QUERY_CHARS_MAX: usize = 100;
