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

    /// Three figures: how many a second, and the times of the middle and of the slowest hundredth.
    pub(crate) fn figures(&self, name: &str) -> Vec<Figure> {
        vec![
            Figure::new(format!("{name}_rps"), "1/s", self.per_second()),
            Figure::new(format!("{name}_p50"), "ms", self.quantile_ms(50)),
            Figure::new(format!("{name}_p99"), "ms", self.quantile_ms(99)),
        ]
    }
}

/// A count as a figure; counts here are far below where that loses a digit.
fn count(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_hundred() {
        let taken = (1..=100).map(Duration::from_millis).collect();
        let measured = Measured { taken, whole: Duration::from_secs(2) };
        let values: Vec<f64> = measured.figures("x").iter().map(|f| f.value).collect();
        assert_eq!(values, [50.0, 50.0, 99.0]);
    }
}
