//! What to correct where the live state of seats and SQL say different things.

use std::collections::HashMap;

use super::{Audit, Claim, Correction, Load, SeatState};
use crate::SeatIndex;

/// The corrections that make the live state what SQL says. Seats that are held are left to their holds. A difference may
/// be a message that is still on its way, so act on what two comparisons in a row agree on.
pub fn differences(audit: &Audit, sql: &Load) -> Vec<Correction> {
    let claims: HashMap<SeatIndex, &Claim> = sql.claims.iter().map(|c| (c.seat, c)).collect();
    let mut wanted = vec![None; audit.seats.len()];
    for &seat in &sql.blocked {
        if let Some(slot) = wanted.get_mut(seat as usize) {
            *slot = Some(Correction::Block(seat));
        }
    }
    for (&seat, &claim) in &claims {
        if let Some(slot) = wanted.get_mut(seat as usize) {
            *slot = Some(Correction::Claim(*claim));
        }
    }
    let mut out = Vec::new();
    for (seat, (wanted, is)) in (0..).zip(wanted.into_iter().zip(&audit.seats)) {
        let right = match (&wanted, is) {
            (_, SeatState::Held) | (None, SeatState::Available) | (Some(Correction::Block(_)), SeatState::Blocked) => {
                true
            }
            (Some(Correction::Claim(claim)), SeatState::Sold) => claim.sold,
            _ => false,
        };
        if !right {
            out.push(wanted.unwrap_or(Correction::Free(seat)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HoldId, OrderId, Region, Timestamp, UserId, seat_book::SeatBook};
    use proptest::prelude::*;

    fn claim(seat: SeatIndex, sold: bool) -> Claim {
        let (now, random) = (Timestamp::from_millis(1), [u8::try_from(seat).unwrap(); 9]);
        Claim {
            seat,
            sold,
            order: OrderId::new(Region(0), now, random),
            hold: HoldId::new(Region(0), now, random),
            user: UserId::new(Region(0), now, random),
            fence: 1,
        }
    }

    fn load(kinds: &[u8]) -> Load {
        let of = |kind: u8| (0..).zip(kinds).filter(move |(_, k)| **k == kind).map(|(i, _): (u32, _)| i);
        let claims = of(1).map(|i| claim(i, false)).chain(of(2).map(|i| claim(i, true))).collect();
        Load { seat_count: u32::try_from(kinds.len()).unwrap(), claims, blocked: of(3).collect(), fence_floor: 0 }
    }

    proptest! {
        #[test]
        fn corrected_once_nothing_differs_but_what_is_held(
            live in prop::collection::vec(0u8..4, 8), sql in prop::collection::vec(0u8..4, 8),
        ) {
            let now = Timestamp::from_millis(10);
            let mut book = SeatBook::load(&load(&live), now);
            let before = book.snapshot().seats;
            let found = differences(&book.audit(), &load(&sql));
            book.correct(None, &found, now);
            prop_assert_eq!(differences(&book.audit(), &load(&sql)), Vec::new());
            let after = book.snapshot().seats;
            let truth = SeatBook::load(&load(&sql), now).snapshot().seats;
            for i in 0..8 {
                let right = if before[i] == SeatState::Held { SeatState::Held } else { truth[i] };
                prop_assert_eq!(after[i], right);
            }
        }
    }
}
