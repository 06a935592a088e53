//! A heavy-tailed distribution of counts: most are small and a few are very large, as with downloads.

/// The exponent is in units of 2^-16, which makes the mean accurate to about 0.01 %.
const FRACTION_BITS: u32 = 16;
/// Exponents are below 2.
const EXPONENT_MAX: u32 = (2 << FRACTION_BITS) - 1;

/// A fixed multiset of counts, listed from the largest to the smallest: the `n`-th (from 0) is
/// (count / (n + offset)) ^ exponent, rounded down and at least 1.
///
/// The values are computed instead of drawn at random, because the mean of a heavy-tailed sample depends on its few
/// largest values. So share, mean and maximum are the same for every seed.
#[derive(Clone, Debug)]
pub(crate) struct HeavyTail {
    count: u64,
    offset: f64,
    exponent: u32,
}

impl HeavyTail {
    /// `count` values with the mean `mean`, or as close to it as `count` values allow. A larger `offset` lowers the
    /// largest value.
    pub(crate) fn new(count: u64, mean: f64, offset: f64) -> HeavyTail {
        let wanted = (mean * count as f64) as u64;
        let (mut low, mut high) = (0, EXPONENT_MAX);
        while low < high {
            let exponent = (low + high) / 2;
            if (HeavyTail { count, offset, exponent }).total() < wanted {
                low = exponent + 1;
            } else {
                high = exponent;
            }
        }
        HeavyTail { count, offset, exponent: low }
    }

    /// Number of values.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The `nth` largest value, counted from 0.
    pub(crate) fn value(&self, nth: u64) -> i64 {
        let power = power(self.count as f64 / (nth as f64 + self.offset), self.exponent);
        (power as i64).max(1)
    }

    /// The sum of all values.
    pub(crate) fn total(&self) -> u64 {
        let (mut sum, mut first) = (0, 0);
        while first < self.count {
            let value = self.value(first);
            let end = self.end_of_run(first, value);
            sum += value as u64 * (end - first);
            first = end;
        }
        sum
    }

    /// The end of the run of values that equal the one at `first`. Values never increase, so doubling steps followed by
    /// a binary search finds it.
    fn end_of_run(&self, first: u64, value: i64) -> u64 {
        let (mut inside, mut step) = (first, 1);
        while inside + step < self.count && self.value(inside + step) == value {
            inside += step;
            step *= 2;
        }
        let mut outside = (inside + step).min(self.count);
        while outside - inside > 1 {
            let middle = inside + (outside - inside) / 2;
            if self.value(middle) == value {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        outside
    }
}

/// `base` to the power of `exponent` / 2^16. Computed from square roots, which are the same on every machine, unlike
/// the power function of the system's library: a dataset must have the same bytes everywhere.
fn power(base: f64, exponent: u32) -> f64 {
    let mut product = if exponent >> FRACTION_BITS == 1 { base } else { 1.0 };
    let mut root = base;
    for bit in (0..FRACTION_BITS).rev() {
        root = root.sqrt();
        if (exponent >> bit) & 1 == 1 {
            product *= root;
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn powers_are_right(base in 0.1..1e7f64, exponent in 0..=EXPONENT_MAX) {
            let right = base.powf(f64::from(exponent) / 65_536.0);
            prop_assert!((power(base, exponent) / right - 1.0).abs() < 1e-9);
        }

        #[test]
        fn the_total_is_the_sum_and_values_never_rise(count in 1..5_000u64, mean in 1.0..8.0f64) {
            let tail = HeavyTail::new(count, mean, 5.0);
            let values: Vec<i64> = (0..count).map(|nth| tail.value(nth)).collect();
            prop_assert_eq!(values.iter().sum::<i64>() as u64, tail.total());
            prop_assert!(values.is_sorted_by(|a, b| a >= b));
            prop_assert!(values.into_iter().all(|value| value >= 1));
        }

        #[test]
        fn the_mean_is_reached(count in 200..1_000_000u64, mean in 3.0..7.0f64) {
            let tail = HeavyTail::new(count, mean, 5.0);
            let reached = tail.total() as f64 / count as f64;
            prop_assert!((reached / mean - 1.0).abs() < 0.01, "{}", reached);
        }
    }
}
