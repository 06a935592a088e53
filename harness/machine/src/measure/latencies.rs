//! Quantiles of write latencies.

use hdrhistogram::Histogram;

/// Latencies, with a precision of three digits.
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies(Histogram::new(3).expect("three digits are a valid precision"))
    }
}

impl Latencies {
    /// Adds the latency of one write, in nanoseconds.
    pub fn record(&mut self, latency_ns: u64) {
        // The histogram resizes itself, so every value fits.
        let _ = self.0.record(latency_ns);
    }

    /// Number of latencies.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency in milliseconds that this share of the writes did not exceed; `None` without any write.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(share) as f64 / 1e6)
    }

    /// Removes all latencies.
    pub fn clear(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_exist_only_if_there_are_latencies() {
        let mut latencies = Latencies::default();
        assert_eq!((latencies.count(), latencies.quantile_ms(0.5)), (0, None));
        (1..=100).for_each(|ms| latencies.record(ms * 1_000_000));
        let rounded = |share| latencies.quantile_ms(share).unwrap().round();
        assert_eq!((rounded(0.5), rounded(0.99), rounded(1.0)), (50.0, 99.0, 100.0));
        latencies.clear();
        assert_eq!(latencies.quantile_ms(1.0), None);
    }
}
