//! Giving a ticket back: what it costs, who decides, and the states on the way.

use serde::{Deserialize, Serialize};

use crate::{Krw, Timestamp};

/// From so many days before the performance, the fee in percent of the price. The shares are those of the consumer
/// dispute resolution standards for performances (Korea Fair Trade Commission, 소비자분쟁해결기준, 공연업).
pub const FEE_STEPS: [(i64, i64); 5] = [(10, 0), (7, 10), (3, 20), (1, 30), (0, 90)];
/// Within this time of buying nothing is charged, in milliseconds, if the performance is at least
/// [`FREE_DAYS_BEFORE_MIN`] days away. Our own rule, kinder than the table.
pub const FREE_AFTER_BUYING_MS: i64 = 24 * 60 * 60 * 1000;
/// See [`FREE_AFTER_BUYING_MS`].
pub const FREE_DAYS_BEFORE_MIN: i64 = 3;
/// From so many days before, the rule accepts; on the day itself the organiser decides.
pub const BY_RULE_DAYS_BEFORE_MIN: i64 = 1;

/// What giving a ticket back means at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Kept.
    pub fee: Krw,
    /// Given back.
    pub amount: Krw,
    /// Accepted at once; otherwise the organiser decides.
    pub by_rule: bool,
}

/// The terms of giving back a ticket bought for `price` at `bought_at`, asked for at `now`; `None` once the performance
/// has begun. Days are Seoul's calendar days; a fee is rounded down to the won.
pub fn terms(price: Krw, bought_at: Timestamp, starts_at: Timestamp, now: Timestamp) -> Option<Terms> {
    if now >= starts_at {
        return None;
    }
    let days = (starts_at.seoul().date() - now.seoul().date()).whole_days();
    let is_fresh = now < bought_at.plus_ms(FREE_AFTER_BUYING_MS) && days >= FREE_DAYS_BEFORE_MIN;
    let percent = FEE_STEPS.iter().find(|(from, _)| days >= *from).map_or(100, |(_, percent)| *percent);
    let fee = if is_fresh { 0 } else { price.0.saturating_mul(percent) / 100 };
    Some(Terms { fee: Krw(fee), amount: Krw(price.0 - fee), by_rule: days >= BY_RULE_DAYS_BEFORE_MIN })
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    /// The organiser has to decide.
    Requested,
    /// Accepted: the money is asked back; the ticket opens no gate any more.
    Refunding,
    /// The money is on its way and the seat is free.
    Refunded,
    /// Refused by the organiser; the ticket is as it was.
    Declined,
}

impl RefundState {
    /// The name stored in SQL and shown on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
            Self::Declined => "declined",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Requested, Self::Refunding, Self::Refunded, Self::Declined].into_iter().find(|s| s.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY_MS: i64 = 24 * 60 * 60 * 1000;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn the_table_goes_by_seoul_days() {
        let (bought, starts) = (at("2026-10-01T00:00:00+09:00"), at("2026-12-24T19:30:00+09:00"));
        for (now, fee, by_rule) in [
            ("2026-12-14T23:59:59+09:00", 0, true),
            ("2026-12-15T00:00:00+09:00", 10_000, true),
            ("2026-12-17T23:59:59+09:00", 10_000, true),
            ("2026-12-18T00:00:00+09:00", 20_000, true),
            ("2026-12-22T00:00:00+09:00", 30_000, true),
            ("2026-12-23T23:59:59+09:00", 30_000, true),
            ("2026-12-24T00:00:00+09:00", 90_000, false),
            ("2026-12-24T19:29:59+09:00", 90_000, false),
        ] {
            let terms = terms(Krw(100_000), bought, starts, at(now)).unwrap();
            assert_eq!((terms.fee.0, terms.by_rule), (fee, by_rule), "{now}");
        }
        assert_eq!(terms(Krw(100_000), bought, starts, starts), None);
    }

    #[test]
    fn a_fresh_purchase_costs_nothing_while_others_can_still_buy() {
        let starts = at("2026-12-24T19:30:00+09:00");
        let bought = at("2026-12-20T12:00:00+09:00");
        assert_eq!(terms(Krw(100_000), bought, starts, bought.plus_ms(1)).unwrap().fee, Krw(0));
        assert_eq!(terms(Krw(100_000), bought, starts, bought.plus_ms(DAY_MS)).unwrap().fee, Krw(20_000));
        let late = at("2026-12-22T12:00:00+09:00");
        assert_eq!(terms(Krw(100_000), late, starts, late.plus_ms(1)).unwrap().fee, Krw(30_000));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_waiting_is_never_cheaper(
            price in 0i64..10_000_001, bought in 0i64..100 * DAY_MS, first in 0i64..100 * DAY_MS, wait in 0i64..30 * DAY_MS,
        ) {
            let (bought, starts) = (Timestamp::from_millis(bought), Timestamp::from_millis(100 * DAY_MS));
            let (now, later) = (Timestamp::from_millis(first), Timestamp::from_millis(first + wait));
            let known = terms(Krw(price), bought, starts, now);
            if let Some(t) = known {
                prop_assert_eq!(t.fee.0 + t.amount.0, price);
                prop_assert!(t.fee.0 >= 0 && t.amount.0 >= 0);
            }
            if let Some(t) = terms(Krw(price), bought, starts, later) {
                prop_assert!(known.is_some_and(|k| k.fee <= t.fee && (k.by_rule || !t.by_rule)));
            }
        }
    }

    #[test]
    fn names_read_back() {
        for state in [RefundState::Requested, RefundState::Refunding, RefundState::Refunded, RefundState::Declined] {
            assert_eq!(RefundState::parse(state.as_str()), Some(state));
        }
    }
}
