//! The states of a payment and the only ways between them: pure, without clock or store.

/// Where a payment stands. The numbers are stored and on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The amount is known; the provider was asked nothing.
    Prepared = 1,
    /// The provider was, or is about to be, asked to take the money.
    Confirming = 2,
    /// The money was taken. Parts of it may have been given back.
    Approved = 3,
    /// No money was taken and none will be.
    Declined = 4,
    /// A refund was, or is about to be, asked for.
    Refunding = 5,
    /// All of the money was given back.
    Refunded = 6,
}

/// What happens to a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The provider is about to be asked for the money.
    ConfirmAsked,
    /// The provider took it.
    Taken,
    /// Nothing was taken and nothing will be.
    NotTaken,
    /// The provider is about to be asked to give it back.
    RefundAsked,
    /// The provider gave a part of it back; some is left.
    PartGivenBack,
    /// The provider gave all that was left back.
    GivenBack,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Prepared, Self::Confirming, Self::Approved, Self::Declined, Self::Refunding, Self::Refunded];

    /// The state with this number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i64 == number)
    }

    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Confirming => "confirming",
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
        }
    }

    /// The state after an event, or nothing where the event cannot happen.
    pub fn after(self, event: Event) -> Option<Self> {
        match (self, event) {
            (Self::Prepared, Event::ConfirmAsked) => Some(Self::Confirming),
            (Self::Prepared | Self::Confirming, Event::NotTaken) => Some(Self::Declined),
            (Self::Confirming, Event::Taken) | (Self::Refunding, Event::PartGivenBack) => Some(Self::Approved),
            (Self::Approved, Event::RefundAsked) => Some(Self::Refunding),
            // The provider may have given it back of its own accord, before the taking was even known here.
            (Self::Confirming | Self::Refunding, Event::GivenBack) => Some(Self::Refunded),
            _ => None,
        }
    }

    /// True while the provider has to be asked what became of it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Confirming | Self::Refunding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_states_stay() {
        let events = [
            Event::ConfirmAsked,
            Event::Taken,
            Event::NotTaken,
            Event::RefundAsked,
            Event::PartGivenBack,
            Event::GivenBack,
        ];
        for state in [State::Declined, State::Refunded] {
            for event in events {
                assert_eq!(state.after(event), None, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn money_is_taken_only_after_asking_and_declined_only_before_taking() {
        for state in State::ALL {
            assert_eq!(state.after(Event::Taken).is_some(), state == State::Confirming, "{state:?}");
            let may_decline = matches!(state, State::Prepared | State::Confirming);
            assert_eq!(state.after(Event::NotTaken).is_some(), may_decline, "{state:?}");
            assert_eq!(State::from_number(state as i64), Some(state));
        }
        assert_eq!(State::from_number(0), None);
    }
}
