//! Faults to come: scripted ones, each so many times, and random ones that a seed repeats.
use serde::{Deserialize, Serialize};

/// No script is longer.
pub const MAX_RULES: usize = 100;

/// Where a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// `POST /v1/payments/confirm`.
    Confirm,
    /// `GET /v1/payments/…`, by key or by order.
    Lookup,
    /// `POST /v1/payments/{paymentKey}/cancel`.
    Cancel,
    /// `GET /v1/settlements`.
    Settlements,
}

/// What goes wrong. "Before" means that the request takes no effect, "after" that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Everything goes well, after `ms` milliseconds.
    Delay,
    /// Everything goes well, and the answer comes `ms` milliseconds after the effect.
    LateAfter,
    /// The connection is lost before.
    DropBefore,
    /// The connection is lost after.
    DropAfter,
    /// No answer, ever, before.
    HangBefore,
    /// No answer, ever, after.
    HangAfter,
    /// 500 before.
    ErrorBefore,
    /// 500 after.
    ErrorAfter,
    /// 429 before.
    TooMany,
    /// 404 before, whatever is there.
    NotFound,
    /// 200 after, with a body that is no JSON.
    NoJson,
    /// 200 after, with JSON that is something else.
    WrongBody,
    /// 200 after, with another amount in it: of the payment, or of the first row of a settlement.
    WrongAmount,
    /// A settlement without its first row.
    MissingRow,
    /// A settlement with a row nobody paid.
    ExtraRow,
}

impl Fault {
    /// Those a random fault is chosen from when none are named: all that answer in the end.
    const RANDOM: [Self; 8] = [
        Self::Delay,
        Self::LateAfter,
        Self::DropBefore,
        Self::DropAfter,
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::TooMany,
        Self::WrongBody,
    ];

    /// True where the request is to take no effect.
    pub(crate) fn is_before(self) -> bool {
        matches!(self, Self::DropBefore | Self::HangBefore | Self::ErrorBefore | Self::TooMany | Self::NotFound)
    }
}

/// One scripted fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Where.
    pub at: Point,
    /// What.
    pub fault: Fault,
    /// How many requests it spoils.
    #[serde(default = "once")]
    pub times: u32,
    /// Of a delay or a late answer: how long, in milliseconds.
    #[serde(default)]
    pub ms: u64,
}

fn once() -> u32 {
    1
}

/// Random faults at every point but settlements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Random {
    /// How many of a hundred requests are spoiled.
    pub percent: u32,
    /// The same seed and the same requests give the same faults.
    pub seed: u64,
    /// What may happen; empty: everything that answers in the end.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Longest delay, in milliseconds.
    #[serde(default)]
    pub ms: u64,
}

/// What happens to webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// How often each is delivered; 0: never.
    pub copies: u32,
    /// How late, in milliseconds.
    pub delay_ms: u64,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self { copies: 1, delay_ms: 0 }
    }
}

/// All faults to come. Scripted ones come first, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Scripted faults.
    pub script: Vec<Rule>,
    /// Random faults.
    pub random: Option<Random>,
    /// What happens to webhooks.
    pub webhooks: Webhooks,
}

impl Faults {
    /// The fault of the next request at a point, with its delay in milliseconds.
    pub fn next(&mut self, at: Point) -> Option<(Fault, u64)> {
        if let Some(rule) = self.script.iter_mut().find(|rule| rule.at == at && rule.times > 0) {
            rule.times -= 1;
            return Some((rule.fault, rule.ms));
        }
        let random = self.random.as_mut().filter(|_| at != Point::Settlements)?;
        if draw(&mut random.seed) % 100 >= u64::from(random.percent) {
            return None;
        }
        let choice = if random.faults.is_empty() { &Fault::RANDOM[..] } else { &random.faults };
        let index = draw(&mut random.seed) % choice.len() as u64;
        let fault = usize::try_from(index).ok().and_then(|index| choice.get(index)).copied()?;
        Some((fault, draw(&mut random.seed) % random.ms.saturating_add(1)))
    }
}

/// The next number of a seed: `SplitMix64`.
fn draw(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_comes_first_and_runs_out() {
        let rule = |at, fault, times| Rule { at, fault, times, ms: 0 };
        let script = vec![rule(Point::Confirm, Fault::DropAfter, 2), rule(Point::Confirm, Fault::TooMany, 1)];
        let mut faults = Faults { script, ..Faults::default() };
        assert_eq!(faults.next(Point::Cancel), None);
        let seen: Vec<_> = (0..4).map(|_| faults.next(Point::Confirm).map(|(fault, _)| fault)).collect();
        assert_eq!(seen, [Some(Fault::DropAfter), Some(Fault::DropAfter), Some(Fault::TooMany), None]);
    }

    #[test]
    fn a_seed_repeats_itself_and_keeps_its_share() {
        let run = |seed| {
            let random = Some(Random { percent: 20, seed, faults: Vec::new(), ms: 50 });
            let mut faults = Faults { random, ..Faults::default() };
            (0..10_000).map(|_| faults.next(Point::Confirm)).collect::<Vec<_>>()
        };
        let one = run(7);
        assert_eq!(one, run(7));
        assert_ne!(one, run(8));
        let spoiled = one.iter().flatten().count();
        assert!((1_800..2_200).contains(&spoiled), "{spoiled}");
        assert!(one.iter().flatten().all(|(_, ms)| *ms <= 50));
    }
}
