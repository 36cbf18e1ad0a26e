//! Bounds of what an organiser may say of an event.

/// The longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 120;
/// The longest category or place, in characters.
pub const LABEL_CHARS_MAX: usize = 80;
/// The longest description, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 5_000;
/// The longest running time, in minutes.
pub const RUNTIME_MIN_MAX: u32 = 24 * 60;
/// The most performances of one event.
pub const PERFORMANCES_MAX: usize = 400;
/// The seats one buyer may hold in one go.
pub const HOLD_SEATS_MAX: usize = 4;
