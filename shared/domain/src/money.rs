//! Money in whole won, with checked arithmetic.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount in Korean won (ISO 4217 KRW has no minor unit).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Krw(pub i64);

impl Krw {
    /// The sum, or `None` where it cannot be represented.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Krw>) -> Option<Krw> {
        amounts.into_iter().try_fold(0i64, |sum, a| sum.checked_add(a.0)).map(Krw)
    }
}

/// Written as people read it: `150,000원`.
impl fmt::Display for Krw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.unsigned_abs().to_string();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        for (i, c) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("원")
    }
}

#[cfg(test)]
mod tests {
    use super::Krw;

    #[test]
    fn shown_in_groups_of_three() {
        assert_eq!(Krw(0).to_string(), "0원");
        assert_eq!(Krw(150_000).to_string(), "150,000원");
        assert_eq!(Krw(-1_234_567).to_string(), "-1,234,567원");
    }

    #[test]
    fn a_sum_that_does_not_fit_is_none() {
        assert_eq!(Krw::checked_sum([Krw(i64::MAX), Krw(1)]), None);
        assert_eq!(Krw::checked_sum([Krw(1), Krw(2)]), Some(Krw(3)));
    }
}
