//! The states of an order, and the only ways from one to the next.

use serde::{Deserialize, Serialize};

/// How long an order waits for the buyer to pay, in milliseconds. Toss allows ten minutes from authentication to
/// confirmation, so the buyer is stopped before Toss would be.
pub const PAY_WINDOW_MS: i64 = 10 * 60 * 1000;

/// How long after its end an order may wait for the outcome of its payment, in milliseconds. Then its seats are free
/// again, and what was or will be taken goes back.
pub const DECISION_WINDOW_MS: i64 = 30 * 60 * 1000;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// The seats are kept; the buyer has not paid yet.
    Pending,
    /// The buyer has paid at Toss; the approval is asked for and its outcome not known yet.
    Confirming,
    /// Paid and ticketed.
    Paid,
    /// The payment was declined; the seats are free again.
    Declined,
    /// Not paid in time; the seats are free again.
    Expired,
    /// Given up by the buyer before paying; the seats are free again.
    Cancelled,
    /// The money was given back.
    Refunded,
}

/// What can happen to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderEvent {
    /// The buyer came back from Toss.
    ConfirmRequested,
    /// The payment service took the money.
    Approved,
    /// The payment service was refused the money.
    Declined,
    /// The time to pay is over.
    TimedOut,
    /// No outcome within [`DECISION_WINDOW_MS`].
    Undecided,
    /// The buyer gave up.
    Cancelled,
    /// The payment service gave the money back.
    Refunded,
}

impl OrderState {
    /// The state after `event`; `None` where the event cannot happen here. A repeated event leaves the state as it is.
    pub const fn after(self, event: OrderEvent) -> Option<OrderState> {
        use OrderState::{Cancelled, Confirming, Declined, Expired, Paid, Pending, Refunded};
        match (self, event) {
            (Pending | Confirming, OrderEvent::ConfirmRequested) => Some(Confirming),
            (Confirming | Paid, OrderEvent::Approved) => Some(Paid),
            (Confirming | Declined, OrderEvent::Declined) => Some(Declined),
            (Pending | Expired, OrderEvent::TimedOut) | (Confirming | Expired, OrderEvent::Undecided) => Some(Expired),
            (Pending | Cancelled, OrderEvent::Cancelled) => Some(Cancelled),
            (Confirming | Paid | Refunded, OrderEvent::Refunded) => Some(Refunded),
            _ => None,
        }
    }

    /// Whether the order keeps its seats from everyone else.
    pub const fn keeps_seats(self) -> bool {
        matches!(self, Self::Pending | Self::Confirming | Self::Paid)
    }

    /// The name stored in SQL and shown on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirming => "confirming",
            Self::Paid => "paid",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Refunded => "refunded",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        ALL.into_iter().find(|s| s.as_str() == text)
    }
}

const ALL: [OrderState; 7] = [
    OrderState::Pending,
    OrderState::Confirming,
    OrderState::Paid,
    OrderState::Declined,
    OrderState::Expired,
    OrderState::Cancelled,
    OrderState::Refunded,
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, sample::select};

    const EVENTS: [OrderEvent; 7] = [
        OrderEvent::ConfirmRequested,
        OrderEvent::Approved,
        OrderEvent::Declined,
        OrderEvent::TimedOut,
        OrderEvent::Undecided,
        OrderEvent::Cancelled,
        OrderEvent::Refunded,
    ];

    proptest! {
        #[test]
        fn money_taken_never_ends_as_expired_or_cancelled(events in prop::collection::vec(select(&EVENTS[..]), 0..20)) {
            let mut state = OrderState::Pending;
            let mut was_approved = false;
            for event in events {
                if let Some(next) = state.after(event) {
                    was_approved |= event == OrderEvent::Approved;
                    // What gave its seats back never gets them again.
                    prop_assert!(state.keeps_seats() || !next.keeps_seats());
                    state = next;
                }
            }
            if was_approved {
                prop_assert!(matches!(state, OrderState::Paid | OrderState::Refunded));
            }
        }

        #[test]
        fn a_repeated_event_changes_nothing(state in select(&ALL[..]), event in select(&EVENTS[..])) {
            if let Some(next) = state.after(event) {
                prop_assert_eq!(next.after(event), Some(next));
            }
        }
    }

    #[test]
    fn names_read_back() {
        for state in ALL {
            assert_eq!(OrderState::parse(state.as_str()), Some(state));
        }
        assert_eq!(OrderState::parse("lost"), None);
    }
}
