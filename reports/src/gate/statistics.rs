//! Statistics of paired differences only: intervals, tests, corrections, and the number of pairs that is needed.
//!
//! All differences are differences of logarithms, candidate minus baseline: 0 is no change, and ln 1.25 is 25 % more.

use fastrand::Rng;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A sign-flip test enumerates all signs up to this many pairs, and draws random signs for more.
const ENUMERATED_PAIRS_MAX: usize = 16;
/// The number of random draws. The p-value is exact to about 0.001.
const DRAWN_FLIPS: u64 = 1 << 16;
/// More pairs than this are not practical.
pub(super) const PAIRS_MAX: usize = 1000;

/// Paired differences of one measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Differences(Vec<f64>);

impl Differences {
    /// Keeps only finite values; the others were not measured.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Differences {
        Differences(values.into_iter().filter(|value| value.is_finite()).collect())
    }

    /// The number of pairs.
    pub fn pairs(&self) -> usize {
        self.0.len()
    }

    /// The mean difference; `None` without a pair.
    pub fn mean(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.iter().sum::<f64>() / self.0.len() as f64)
    }

    /// The standard deviation of single differences; `None` for fewer than two pairs.
    pub fn deviation(&self) -> Option<f64> {
        let (mean, count) = (self.mean()?, self.0.len());
        let squares: f64 = self.0.iter().map(|value| (value - mean).powi(2)).sum();
        (count > 1).then(|| (squares / (count - 1) as f64).sqrt())
    }

    /// The confidence interval of the mean (`confidence` is 0.9 for 90 %), by Student's t distribution; `None` for
    /// fewer than two pairs.
    pub fn interval(&self, confidence: f64) -> Option<(f64, f64)> {
        let (mean, half) = (self.mean()?, half_width(self.deviation()?, self.pairs(), confidence));
        Some((mean - half, mean + half))
    }

    /// The two-sided p-value of Student's paired t-test against no change; `None` for fewer than two pairs.
    pub fn t_test(&self) -> Option<f64> {
        let (mean, deviation) = (self.mean()?, self.deviation()?);
        if mean == 0.0 {
            return Some(1.0);
        }
        // Without any spread, t is infinite.
        let t = mean.abs() / (deviation / (self.pairs() as f64).sqrt());
        Some(2.0 * students_t(self.pairs()).sf(t))
    }

    /// The two-sided p-value of the sign-flip test: the share of all ways to swap baseline and candidate within the pairs
    /// that give a mean as far from 0 as the one that was measured. It assumes nothing about how the differences are
    /// distributed. 1 without a pair.
    pub fn sign_flip_test(&self) -> f64 {
        let sum = |is_flipped: &dyn Fn(usize) -> bool| -> f64 {
            self.0.iter().enumerate().map(|(at, value)| if is_flipped(at) { -value } else { *value }).sum()
        };
        let measured = sum(&|_| false).abs();
        // The same numbers in another order can have a slightly smaller sum.
        let limit = measured * (1.0 - 1e-9);
        if self.pairs() <= ENUMERATED_PAIRS_MAX {
            let all = 1u64 << self.pairs();
            let extreme = (0..all).filter(|flips| sum(&|at| flips >> at & 1 == 1).abs() >= limit).count();
            return extreme as f64 / all as f64;
        }
        let mut random = Rng::with_seed(self.pairs() as u64);
        let drawn = (0..DRAWN_FLIPS).filter(|_| {
            let flips: Vec<bool> = self.0.iter().map(|_| random.bool()).collect();
            sum(&|at| flips[at]).abs() >= limit
        });
        // The measured signs are one of the possible ways, so they are counted, too.
        (drawn.count() + 1) as f64 / (DRAWN_FLIPS + 1) as f64
    }
}

/// The smallest p-value that a two-sided sign-flip test of this many pairs can give.
pub fn sign_flip_floor(pairs: usize) -> f64 {
    0.5f64.powi(pairs as i32 - 1).min(1.0)
}

fn students_t(pairs: usize) -> StudentsT {
    StudentsT::new(0.0, 1.0, (pairs - 1) as f64).expect("there are two pairs or more")
}

/// Half of the interval of a mean of `pairs` differences with this standard deviation.
fn half_width(deviation: f64, pairs: usize, confidence: f64) -> f64 {
    students_t(pairs).inverse_cdf(f64::midpoint(1.0, confidence)) * deviation / (pairs as f64).sqrt()
}

/// Holm's correction: the p-values of a family of tests, each adjusted so that it can be compared with the level of
/// the whole family, in the order given.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest = 0.0f64;
    for (rank, at) in order.into_iter().enumerate() {
        let remaining = (p_values.len() - rank) as f64;
        largest = largest.max(p_values[at] * remaining).min(1.0);
        adjusted[at] = largest;
    }
    adjusted
}

/// The number of pairs that would give an answer if mean difference and standard deviation remained the same: for a
/// mean below `margin`, an interval of this confidence inside the margin; for a larger mean, a significant difference
/// from 0 at `level` in both tests. `None` when even [`PAIRS_MAX`] pairs would not be enough.
pub fn pairs_needed(mean: f64, deviation: f64, margin: f64, confidence: f64, level: f64) -> Option<usize> {
    (2..=PAIRS_MAX).find(|&pairs| {
        if mean.abs() < margin {
            return mean.abs() + half_width(deviation, pairs, confidence) < margin;
        }
        sign_flip_floor(pairs) <= level && mean.abs() > half_width(deviation, pairs, 1.0 - level)
    })
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use proptest::prelude::{prop, prop_assert, proptest};

    use super::*;

    fn differences(values: &[f64]) -> Differences {
        Differences::new(values.iter().copied())
    }

    #[test]
    fn interval_and_t_test_match_published_tables() {
        // t = mean / (sd / sqrt(n)) = 3 / (1.5811 / 2.2361) = 4.2426; at 4 degrees of freedom p = 0.01324.
        let found = differences(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!((found.t_test().unwrap() - 0.013_236).abs() < 1e-5);
        // 3 ± 2.1318 * 0.7071
        let (low, high) = found.interval(0.9).unwrap();
        assert!((low - 1.492_56).abs() < 1e-4 && (high - 4.507_44).abs() < 1e-4, "{low} {high}");
    }

    #[test]
    fn fewer_than_two_pairs_have_no_interval_and_equal_differences_are_certain() {
        assert_eq!(differences(&[0.3]).interval(0.9), None);
        assert_eq!(differences(&[0.3, f64::NAN]).t_test(), None);
        assert_eq!(differences(&[]).mean(), None);
        assert_eq!(differences(&[]).sign_flip_test(), 1.0);
        assert_eq!(differences(&[0.5; 3]).t_test(), Some(0.0));
        assert_eq!(differences(&[0.0; 3]).t_test(), Some(1.0));
        assert_eq!(differences(&[0.5; 3]).interval(0.9), Some((0.5, 0.5)));
    }

    #[test]
    fn a_sign_flip_test_needs_six_pairs_for_five_percent() {
        assert_eq!(differences(&[0.2; 5]).sign_flip_test(), 2.0 / 32.0);
        assert_eq!(differences(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).sign_flip_test(), 2.0 / 64.0);
        assert_eq!((sign_flip_floor(5), sign_flip_floor(6)), (2.0 / 32.0, 2.0 / 64.0));
        // 0.1 - 0.2 lies as far from 0 as it, and -(0.1 - 0.2); the two sums of 0.3 lie further.
        assert_eq!(differences(&[0.1, -0.2]).sign_flip_test(), 1.0);
        assert!(differences(&[0.1; 17]).sign_flip_test() < 0.001);
    }

    #[test]
    fn holm_multiplies_the_smallest_most_and_keeps_the_order() {
        let adjusted = holm(&[0.03, 0.01, 0.04]);
        let expected = [0.06, 0.03, 0.06];
        adjusted.iter().zip(expected).for_each(|(found, expected)| assert!((found - expected).abs() < 1e-12));
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert_eq!(holm(&[]), Vec::<f64>::new());
    }

    #[test]
    fn the_number_of_pairs_needed_gives_the_answer() {
        let margin = 1.1f64.ln();
        let equivalence = pairs_needed(0.02, 0.1, margin, 0.9, 0.05).unwrap();
        assert!(0.02 + half_width(0.1, equivalence, 0.9) < margin);
        assert!(0.02 + half_width(0.1, equivalence - 1, 0.9) >= margin);
        assert_eq!(pairs_needed(0.5, 0.01, margin, 0.9, 0.05), Some(6), "the sign-flip test needs six");
        assert_eq!(pairs_needed(margin, 0.0, margin, 0.9, 0.05), Some(6));
        assert_eq!(pairs_needed(0.0953, 30.0, margin, 0.9, 0.05), None);
    }

    /// A normally distributed number (Box and Muller).
    fn normal(random: &mut Rng) -> f64 {
        (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
    }

    #[test]
    fn the_tests_keep_their_level_and_have_the_power_that_is_computed() {
        let mut random = Rng::with_seed(7);
        let mut shares = |shift: f64| {
            let (mut by_t, mut by_flips) = (0, 0);
            for _ in 0..4000 {
                let drawn = Differences::new((0..6).map(|_| shift + normal(&mut random)));
                by_t += usize::from(drawn.t_test().unwrap() <= 0.05);
                by_flips += usize::from(drawn.sign_flip_test() <= 0.05);
            }
            (by_t as f64 / 4000.0, by_flips as f64 / 4000.0)
        };
        // Three standard errors of 4,000 draws are 0.0103 at 5 %, and 0.0083 at 3.125 %.
        let (by_t, by_flips) = shares(0.0);
        assert!((by_t - 0.05).abs() < 0.0103 && (by_flips - 0.031_25).abs() < 0.0083, "{by_t} {by_flips}");
        // The power of a two-sided t-test at 5 % with six pairs and a shift of 1.5 standard deviations is 0.832 (from the
        // noncentral t distribution), and all six of a sign-flip test agree with probability 0.9332^6 = 0.660.
        let (by_t, by_flips) = shares(1.5);
        assert!((by_t - 0.832).abs() < 0.02 && (by_flips - 0.660).abs() < 0.025, "{by_t} {by_flips}");
    }

    proptest! {
        #[test]
        fn holm_never_lowers_a_p_value_and_keeps_their_order(
            p_values in prop::collection::vec(0.0..=1.0f64, 0..12)
        ) {
            let adjusted = holm(&p_values);
            for (at, p) in p_values.iter().enumerate() {
                prop_assert!(adjusted[at] >= *p && adjusted[at] <= 1.0);
                for (other, q) in p_values.iter().enumerate() {
                    prop_assert!(p > q || adjusted[at] <= adjusted[other]);
                }
            }
        }

        #[test]
        fn the_tests_do_not_depend_on_sign_order_or_unit(
            values in prop::collection::vec(-2.0..2.0f64, 2..9), scale in 0.01..50.0f64
        ) {
            let (there, back) = (differences(&values), Differences::new(values.iter().rev().map(|v| -v * scale)));
            prop_assert!((there.sign_flip_test() - back.sign_flip_test()).abs() < 1e-12);
            prop_assert!((there.t_test().unwrap() - back.t_test().unwrap()).abs() < 1e-9);
            prop_assert!(there.sign_flip_test() >= sign_flip_floor(values.len()));
        }

        #[test]
        fn a_wider_confidence_is_a_wider_interval(values in prop::collection::vec(-2.0..2.0f64, 2..9)) {
            let (narrow, wide) = (differences(&values).interval(0.8).unwrap(), differences(&values).interval(0.99).unwrap());
            prop_assert!(wide.0 <= narrow.0 && narrow.1 <= wide.1);
        }
    }
}
