//! So many clients, so many requests each, each client waiting for its answer: how many a second, and how long each took.

use std::time::{Duration, Instant};

use crate::report::Figure;

/// What a load came to.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    taken: Vec<Duration>,
    whole: Duration,
}

impl Measured {
    /// Runs every client at once; each gives the time of each of its operations.
    pub(crate) async fn of<F>(clients: Vec<F>) -> Self
    where
        F: Future<Output = Vec<Duration>> + Send + 'static,
    {
        let begun = Instant::now();
        let running: Vec<_> = clients.into_iter().map(tokio::spawn).collect();
        let mut taken = Vec::new();
        for client in running {
            taken.extend(client.await.expect("a client that ends well"));
        }
        let whole = begun.elapsed();
        taken.sort_unstable();
        Self { taken, whole }
    }

    /// Operations a second.
    pub(crate) fn per_second(&self) -> f64 {
        count(self.taken.len()) / self.whole.as_secs_f64()
    }

    /// The time that this share of the operations did not exceed, in milliseconds.
    fn quantile_ms(&self, hundredths: usize) -> f64 {
        let at = (self.taken.len() * hundredths).div_ceil(100).saturating_sub(1);
        self.taken.get(at).map_or(0.0, |taken| taken.as_secs_f64() * 1000.0)
    }

    /// The middle of the operations' times, in milliseconds.
    pub(crate) fn p50_ms(&self) -> f64 {
        self.quantile_ms(50)
    }

    /// What 99 of 100 operations did not exceed, in milliseconds.
    pub(crate) fn p99_ms(&self) -> f64 {
        self.quantile_ms(99)
    }

    /// From the first client's start to the last one's end.
    pub(crate) const fn whole(&self) -> Duration {
        self.whole
    }

    /// How many operations there were.
    pub(crate) fn operations(&self) -> f64 {
        count(self.taken.len())
    }

    /// Three figures: how many a second, and the times of the middle and of the slowest hundredth.
    pub(crate) fn figures(&self, name: &str) -> Vec<Figure> {
        vec![
            Figure::new(format!("{name}_rps"), "1/s", self.per_second()),
            Figure::new(format!("{name}_p50"), "ms", self.quantile_ms(50)),
            Figure::new(format!("{name}_p99"), "ms", self.quantile_ms(99)),
        ]
    }
}

/// The middle one; of an even number, the higher of the two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// A count as a figure; counts here are far below where that loses a digit.
pub(crate) fn count(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]).to_bits(), 2f64.to_bits());
        assert_eq!(median(Vec::new()).to_bits(), 0f64.to_bits());
    }

    #[test]
    fn quantiles_of_a_hundred() {
        let taken = (1..=100).map(Duration::from_millis).collect();
        let measured = Measured { taken, whole: Duration::from_secs(2) };
        let values: Vec<f64> = measured.figures("x").iter().map(|f| f.value).collect();
        assert_eq!(values, [50.0, 50.0, 99.0]);
    }
}
