//! What a process used of the processors: figures that a busy machine spoils least.

use std::{
    fs,
    ops::{Add, Sub},
};

/// The kernel's ticks a second in `/proc` (`USER_HZ`, 100 on every Linux we run on).
const TICKS_PER_S: f64 = 100.0;
/// Microseconds of a second.
const US_PER_S: f64 = 1_000_000.0;

/// Processor time used so far, of the kernel's too; nothing where the system does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu(u32);

impl Cpu {
    /// Of a process by its id.
    pub(crate) fn of(id: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        Self(ticks(&text).unwrap_or(0))
    }

    /// Of this program.
    pub(crate) fn own() -> Self {
        Self::of(std::process::id())
    }

    /// Microseconds for each of so many operations.
    pub(crate) fn us_per(self, operations: f64) -> f64 {
        f64::from(self.0) / TICKS_PER_S * US_PER_S / operations
    }
}

impl Add for Cpu {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

/// proc(5): user and system time are fields 14 and 15; the name, field 2, is in brackets and may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let mut after_name = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(after_name.next()?.parse::<u32>().ok()? + after_name.next()?.parse::<u32>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 1 0 9";
        assert_eq!(ticks(stat), Some(200));
        assert!((Cpu(200).us_per(1000.0) - 2000.0).abs() < f64::EPSILON);
    }
}
