//! What is owed to others: to the payment service, to the live seats, to people.

use nugul_domain::{HoldId, Krw, OrderId, PerformanceId, RefundId, SeatIndex, SeatState, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::notices::Notice;

/// A message to one of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Message {
    /// The payment service is to know the order and its amount.
    Prepare {
        /// The buyer.
        user_id: UserId,
        /// What it costs.
        amount_krw: Krw,
        /// What the payment page calls it.
        order_name: String,
        /// Until when it can be paid.
        expires_at: Timestamp,
    },
    /// The payment service is to take the money.
    Confirm {
        /// Toss's key.
        payment_key: String,
        /// What it costs.
        amount_krw: Krw,
    },
    /// The payment service is to give the money back.
    Cancel {
        /// Why.
        reason: String,
    },
    /// The payment service is to give a part of the money back.
    Refund {
        /// The refund; also the name of the command.
        refund: RefundId,
        /// How much.
        amount_krw: Krw,
        /// Why.
        reason: String,
    },
    /// The live state is to show what became of the seats.
    Settle {
        /// Of which performance.
        performance: PerformanceId,
        /// The order they were of.
        order: OrderId,
        /// The hold they came from.
        hold: HoldId,
        /// Whose they were.
        user: UserId,
        /// Which.
        seats: Vec<SeatIndex>,
        /// Sold, or available again.
        state: SeatState,
    },
    /// A person is to be told by mail.
    Tell {
        /// Whom.
        user: UserId,
        /// What.
        notice: Notice,
    },
}

/// A receiver of messages. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The payment service.
    Payment = 1,
    /// The live seats.
    Seats = 2,
    /// The mail server.
    Mail = 3,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 3] = [Self::Payment, Self::Seats, Self::Mail];

    /// Every lane as a list in SQL: for who looks for messages of any.
    pub fn all_in_sql() -> String {
        Self::ALL.map(|lane| (lane as i64).to_string()).join(", ")
    }

    /// Messages on their way at once. A payment may wait for its provider, a mail server for nobody in a hurry.
    pub const fn at_once(self) -> usize {
        match self {
            Self::Payment => 128,
            Self::Seats => 64,
            Self::Mail => 16,
        }
    }
}

impl Message {
    /// Whom it goes to.
    pub const fn lane(&self) -> Lane {
        match self {
            Self::Settle { .. } => Lane::Seats,
            Self::Tell { .. } => Lane::Mail,
            Self::Prepare { .. } | Self::Confirm { .. } | Self::Cancel { .. } | Self::Refund { .. } => Lane::Payment,
        }
    }
}
