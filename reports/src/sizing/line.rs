//! A straight line with a floor and multiplicative noise: how a time grows with a size, and how certain that is.
//!
//! The model is `y + shift = (floor + per_unit x) e^ε` with `floor >= 0`, `per_unit >= 0` and normal `ε`. It is
//! fitted by least squares on logarithms: an error of 10 % counts the same for a copy of 64 MiB as for one of 16 GiB.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::range::Range;

/// Weight of the noise of all contenders in the noise of one, in degrees of freedom: three runs of one strategy are
/// not enough to estimate its noise, and all strategies share a machine.
const PRIOR_DEGREES: f64 = 4.0;
/// The smallest standard deviation that is assumed for repeated measurements.
const SIGMA_MIN: f64 = 0.01;
/// With measurements at a single place, floor and slope cannot be distinguished, so the error elsewhere is larger by
/// this factor.
const GROWTH_FROM_ONE_PLACE: f64 = 3.0;
/// Rounding error of a 0 after taking its logarithm and undoing it.
const ROUNDING: f64 = 1e-9;
/// Places within this factor count as one.
const SAME_PLACE: f64 = 1.05;

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The place: bytes, or writes per second.
    pub x: f64,
    /// The measured value: seconds or bytes.
    pub y: f64,
}

/// A fitted line, as plain coefficients. [`Line::predict`] evaluates it.
///
/// With `f = floor + per_unit x`, `z = (max_x - x) / f`, `q = sigma_log sqrt(1/n + (z - mean_z)²/sxx_z)` (without the
/// second term where `sxx_z` is null) and `e` the extrapolation factor, the 90 % interval reaches from `f e^-h -
/// shift` to `f e^h - shift`, where `h² = (t90 sigma_log)² + ln(1 + t90 q)² + (t90 growth_sigma ln e)²`: the noise of
/// one run, the uncertainty of the line, and the additional uncertainty outside the measured range.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The value at `x = 0`, `shift` included.
    pub floor: f64,
    /// The increase per unit of `x`: seconds or bytes per byte, or seconds per (write per second).
    pub per_unit: f64,
    /// The value that was added to each measurement before the fit, because a measured 0 has no logarithm.
    pub shift: f64,
    /// Standard deviation of the noise of the natural logarithm.
    pub sigma_log: f64,
    /// Quantile of Student's t distribution that leaves 5 % on either side.
    pub t90: f64,
    /// Number of measurements.
    pub n: usize,
    /// Mean of `z` over the measurements.
    pub mean_z: f64,
    /// Sum of the squared deviations of `z` from its mean; null where all measurements were made at one place.
    pub sxx_z: Option<f64>,
    /// Standard deviation of the logarithm that is added for each e-fold outside the measured range.
    pub growth_sigma: f64,
    /// The smallest measured `x`.
    pub min_x: f64,
    /// The largest measured `x`.
    pub max_x: f64,
}

impl Line {
    /// The value at `x` with its 90 % interval; `None` where the value is not above 0.
    pub fn predict(&self, x: f64) -> Option<Range> {
        let f = self.floor + self.per_unit * x;
        if !(f > 0.0 && f.is_finite()) {
            return None;
        }
        let leverage = self.sxx_z.map_or(0.0, |sxx| ((self.max_x - x) / f - self.mean_z).powi(2) / sxx);
        let of_line = self.sigma_log * (1.0 / self.n as f64 + leverage).sqrt();
        let beyond = self.growth_sigma * self.extrapolation(x).ln();
        let half = (self.t90 * self.sigma_log).hypot((self.t90 * of_line).ln_1p()).hypot(self.t90 * beyond);
        let at = |factor: f64| Some(f * factor - self.shift).filter(|value| *value > ROUNDING).unwrap_or(0.0);
        Some(Range { point: at(1.0), low: at((-half).exp()), high: at(half.exp()) })
    }

    /// The factor by which `x` is outside the measured range; 1 within it.
    pub fn extrapolation(&self, x: f64) -> f64 {
        beyond(x, self.min_x, self.max_x)
    }
}

/// The factor by which `x` is above `max` or below `min`; 1 between them.
pub(super) fn beyond(x: f64, min: f64, max: f64) -> f64 {
    if x > max {
        x / max
    } else if x < min {
        min / x
    } else {
        1.0
    }
}

/// A line without its uncertainty: the result of least squares, and the deviations of the points.
pub(super) struct Estimate {
    floor: f64,
    per_unit: f64,
    shift: f64,
    points: Vec<Point>,
    /// Sum of squared deviations of the logarithms.
    pub squares: f64,
    /// Degrees of freedom: measurements in excess of the parameters of the line.
    pub degrees: f64,
}

impl Estimate {
    /// The best line through these points; `None` without a usable point. Measurements at one place cannot
    /// distinguish floor and slope: the line is then constant with `flat_from_one_place`, else proportional.
    pub fn of(points: &[Point], shift: f64, flat_from_one_place: bool) -> Option<Estimate> {
        let usable = |point: &Point| {
            point.x >= 0.0 && point.x.is_finite() && point.y + shift > 0.0 && point.y.is_finite()
        };
        let points: Vec<Point> =
            points.iter().copied().filter(usable).map(|Point { x, y }| Point { x, y: y + shift }).collect();
        let first = points.first()?;
        let max_x = points.iter().map(|point| point.x).fold(0.0, f64::max);
        // With rates of 0 only, there is no slope to fit.
        let places =
            if max_x == 0.0 || points.iter().all(|point| same_place(point.x, first.x)) { 1 } else { 2 };
        let share = match places {
            1 => f64::from(u8::from(flat_from_one_place || max_x == 0.0)),
            _ => best_floor_share(&points, max_x),
        };
        let (scale, squares) = scaled(&points, share, max_x);
        let per_unit = if max_x == 0.0 { 0.0 } else { scale * (1.0 - share) / max_x };
        let degrees = points.len().saturating_sub(places) as f64;
        Some(Estimate { floor: scale * share, per_unit, shift, points, squares, degrees })
    }

    /// The line with its uncertainty, where the noise of all contenders together has this variance. `growth_sigma` is
    /// the additional error for each e-fold of distance from the measured range, as a standard deviation of the
    /// logarithm.
    pub fn with_noise(&self, shared_variance: f64, growth_sigma: f64) -> Line {
        let degrees = self.degrees + PRIOR_DEGREES;
        let variance = (self.squares + PRIOR_DEGREES * shared_variance) / degrees;
        let x = || self.points.iter().map(|point| point.x);
        let (min_x, max_x) = (x().fold(f64::INFINITY, f64::min), x().fold(0.0, f64::max));
        let n = self.points.len();
        let z = || x().map(|x| (max_x - x) / (self.floor + self.per_unit * x));
        let mean_z = z().sum::<f64>() / n as f64;
        let several_places = !same_place(min_x, max_x);
        Line {
            floor: self.floor,
            per_unit: self.per_unit,
            shift: self.shift,
            sigma_log: variance.sqrt().max(SIGMA_MIN),
            t90: student_95(degrees),
            n,
            mean_z,
            sxx_z: several_places.then(|| z().map(|z| (z - mean_z).powi(2)).sum()),
            growth_sigma: growth_sigma * if several_places { 1.0 } else { GROWTH_FROM_ONE_PLACE },
            min_x,
            max_x,
        }
    }
}

fn same_place(a: f64, b: f64) -> bool {
    a.max(b) <= a.min(b) * SAME_PLACE
}

/// The scale that fits best where the floor has this share of the value at `max_x`, and the remaining sum of squares.
fn scaled(points: &[Point], share: f64, max_x: f64) -> (f64, f64) {
    let shape = |x: f64| share + if max_x == 0.0 { 0.0 } else { (1.0 - share) * x / max_x };
    let logs: Vec<f64> = points.iter().map(|point| (point.y / shape(point.x)).ln()).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    (mean.exp(), logs.iter().map(|log| (log - mean).powi(2)).sum())
}

/// The share of the floor with the smallest sum of squares, by a search in one dimension.
fn best_floor_share(points: &[Point], max_x: f64) -> f64 {
    // The line at 0 consists of the floor alone. Without a floor, its logarithm there would be that of 0.
    let least = if points.iter().any(|point| point.x == 0.0) { 1e-9 } else { 0.0 };
    let squares = |share: f64| scaled(points, share, max_x).1;
    // Even steps of the logarithm, because even a floor of 0.1 % is visible at small sizes.
    let grid: Vec<f64> =
        [least].into_iter().chain((0..=160).map(|step| 10f64.powf(f64::from(step) / 20.0 - 8.0))).collect();
    let best = (0..grid.len()).min_by(|&a, &b| squares(grid[a]).total_cmp(&squares(grid[b]))).unwrap_or(0);
    let (mut low, mut high) = (grid[best.saturating_sub(1)], grid[(best + 1).min(grid.len() - 1)]);
    for _ in 0..60 {
        let (a, b) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if squares(a) <= squares(b) { high = b } else { low = a }
    }
    let found = (low + high) / 2.0;
    if squares(grid[best]) <= squares(found) { grid[best] } else { found }
}

/// The 95th percentile of Student's distribution.
fn student_95(degrees: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees).expect("there are more than 0 degrees of freedom").inverse_cdf(0.95)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use statrs::distribution::Normal;

    use super::*;

    const MIB: f64 = (1u64 << 20) as f64;

    fn points(values: &[(f64, f64)]) -> Vec<Point> {
        values.iter().map(|&(x, y)| Point { x, y }).collect()
    }

    fn line(values: &[(f64, f64)]) -> Line {
        Estimate::of(&points(values), 0.0, false).unwrap().with_noise(0.01, 0.1)
    }

    /// Normal noise from a seed.
    struct Noise(fastrand::Rng);

    impl Noise {
        fn of_seed(seed: u64) -> Noise {
            Noise(fastrand::Rng::with_seed(seed))
        }

        fn next(&mut self) -> f64 {
            Normal::standard().inverse_cdf(self.0.f64())
        }
    }

    /// Three runs at each of three sizes, on a line with a floor of 0.2 s and 2 ms per MiB.
    fn noisy(noise: &mut Noise, sigma: f64) -> Vec<Point> {
        let truth = |x: f64| 0.2 + 0.002 / MIB * x;
        let sizes = [64.0, 256.0, 1024.0].into_iter().flat_map(|mib| [mib * MIB; 3]);
        sizes.map(|x| Point { x, y: truth(x) * (sigma * noise.next()).exp() }).collect()
    }

    #[test]
    fn exact_points_give_their_line() {
        let line = line(&[(64.0, 0.328), (256.0, 0.712), (1024.0, 2.248)]);
        assert!((line.floor - 0.2).abs() < 1e-6, "{line:?}");
        assert!((line.per_unit - 0.002).abs() < 1e-8, "{line:?}");
    }

    #[test]
    fn neither_floor_nor_slope_is_negative() {
        let faster_than_linear = line(&[(1.0, 1.0), (10.0, 20.0)]);
        assert_eq!(faster_than_linear.floor, 0.0);
        let falling = line(&[(1.0, 2.0), (10.0, 1.0)]);
        assert_eq!(falling.per_unit, 0.0);
        assert_eq!(line(&[(0.0, 0.5), (50.0, 0.5)]).predict(50.0).unwrap().point, 0.5);
    }

    #[test]
    fn one_place_is_proportional_and_less_certain_elsewhere() {
        let line = line(&[(100.0, 1.0), (100.0, 1.1)]);
        assert_eq!(line.floor, 0.0);
        assert_eq!(line.sxx_z, None);
        let flat = Estimate::of(&points(&[(100.0, 1.0), (100.0, 1.0)]), 0.0, true).unwrap();
        assert_eq!(flat.with_noise(0.01, 0.1).predict(1000.0).unwrap().point, 1.0);
        let (near, far) = (line.predict(100.0).unwrap(), line.predict(1000.0).unwrap());
        assert!((far.point / near.point - 10.0).abs() < 1e-9);
        assert!(far.high / far.point > 1.5 * near.high / near.point);
        assert_eq!(
            Estimate::of(&points(&[(0.0, 0.4)]), 0.0, false)
                .unwrap()
                .with_noise(0.01, 0.1)
                .predict(9.0)
                .unwrap()
                .point,
            0.4
        );
    }

    #[test]
    fn values_that_are_not_measurements_are_left_out_and_no_values_give_no_line() {
        assert!(Estimate::of(&[], 0.0, false).is_none());
        assert!(
            Estimate::of(&points(&[(f64::NAN, 1.0), (1.0, f64::INFINITY), (1.0, 0.0)]), 0.0, false).is_none()
        );
        let shifted =
            Estimate::of(&points(&[(1.0, 0.0), (2.0, 0.0)]), 0.1, false).unwrap().with_noise(0.01, 0.1);
        let none = shifted.predict(4.0).unwrap();
        assert_eq!((none.point, none.low), (0.0, 0.0));
        assert!(none.high > 0.0 && none.high < 0.1);
    }

    #[test]
    fn the_interval_contains_nine_of_ten_and_is_not_wider_than_necessary() {
        let mut noise = Noise::of_seed(7);
        let (mut inside, mut narrow, rounds) = (0, 0, 2000);
        for _ in 0..rounds {
            let line =
                Estimate::of(&noisy(&mut noise, 0.15), 0.0, false).unwrap().with_noise(0.15f64.powi(2), 0.1);
            let (x, truth) = (512.0 * MIB, 1.224 * (0.15 * noise.next()).exp());
            let range = line.predict(x).unwrap();
            inside += u32::from((range.low..=range.high).contains(&truth));
            narrow += u32::from(range.high / range.low < (2.0 * 1.645 * 0.15 * 1.5f64).exp());
        }
        let (inside, narrow) = (f64::from(inside) / 2000.0, f64::from(narrow) / f64::from(rounds));
        assert!((0.87..=0.94).contains(&inside), "{inside}");
        assert!(narrow > 0.9, "{narrow}");
    }

    #[test]
    fn a_line_is_found_again_beneath_noise() {
        let mut noise = Noise::of_seed(11);
        let found: Vec<Line> = (0..200)
            .map(|_| Estimate::of(&noisy(&mut noise, 0.1), 0.0, false).unwrap().with_noise(0.01, 0.1))
            .collect();
        let mean = |of: fn(&Line) -> f64| found.iter().map(of).sum::<f64>() / found.len() as f64;
        assert!((mean(|line| line.floor) / 0.2 - 1.0).abs() < 0.05);
        assert!((mean(|line| line.per_unit) / (0.002 / MIB) - 1.0).abs() < 0.02);
    }

    proptest! {
        #[test]
        fn more_is_never_predicted_to_take_less_and_the_interval_contains_the_point(
            values in prop::collection::vec((0.0..1e6f64, 0.0..1e4f64), 1..12),
            x in 0.0..1e7f64, more in 0.0..1e7f64, shift in prop::sample::select(vec![0.0, 0.1]),
        ) {
            let Some(estimate) = Estimate::of(&points(&values), shift, false) else { return Ok(()) };
            let line = estimate.with_noise(0.04, 0.1);
            prop_assert!(line.floor >= 0.0 && line.per_unit >= 0.0);
            let (Some(small), Some(large)) = (line.predict(x), line.predict(x + more)) else { return Ok(()) };
            prop_assert!(small.point <= large.point * (1.0 + 1e-12));
            for range in [small, large] {
                prop_assert!(range.low <= range.point && range.point <= range.high, "{range:?}");
            }
        }
    }
}
