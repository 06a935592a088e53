//! Scales: from a measured value to a position, and the ticks of an axis.

use crate::render::number;

/// Pixels between the position of 0 and the smallest value that a logarithmic scale shows.
const BREAK: f64 = 34.0;
/// The maximum number of ticks of an axis besides 0.
const TICKS_MAX: usize = 7;

/// The quantity on an axis. It decides at which values ticks are expected, and how they are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Quantity {
    /// Seconds.
    Time,
    /// Bytes.
    Size,
    /// Per second.
    Rate,
}

impl Quantity {
    /// The values that a scale can show besides 0. Values outside are shown at the end of the scale.
    fn range(self) -> (f64, f64) {
        match self {
            Quantity::Time => (1e-6, 3.2e9),
            Quantity::Size => (1024.0, 1.2e18),
            Quantity::Rate => (0.001, 1e9),
        }
    }

    /// The values for ticks, from few to many.
    fn ladders(self) -> Vec<Vec<f64>> {
        let decades = |steps: &[f64], exponents: std::ops::Range<i32>| -> Vec<f64> {
            exponents.flat_map(|exponent| steps.iter().map(move |step| step * 10f64.powi(exponent))).collect()
        };
        let powers = |step: usize| (10..60).step_by(step).map(|power| 2f64.powi(power)).collect::<Vec<_>>();
        match self {
            Quantity::Time => {
                let long = [60.0, 600.0, 3600.0, 36e3, 86_400.0, 864e3, 864e4, 31_557_600.0, 3.155_76e9];
                let between = [
                    180.0,
                    1800.0,
                    10_800.0,
                    259_200.0,
                    2_592_000.0,
                    94_672_800.0,
                    3.155_76e8,
                    946_728_000.0,
                ];
                let few = [decades(&[1.0], -6..2), long.to_vec()].concat();
                let sparse: Vec<f64> = few.iter().copied().step_by(2).collect();
                let mut many = [decades(&[1.0, 3.0], -6..2), long.to_vec(), between.to_vec()].concat();
                many.sort_by(f64::total_cmp);
                vec![few.iter().copied().step_by(4).collect(), sparse, few, many]
            }
            Quantity::Size => vec![powers(10), powers(4), powers(2), powers(1)],
            Quantity::Rate => {
                vec![decades(&[1.0], -3..10), decades(&[1.0, 3.0], -3..10), decades(&[1.0, 2.0, 5.0], -3..10)]
            }
        }
    }

    /// The label of a tick, which has a round value.
    pub(super) fn tick(self, value: f64) -> String {
        match self {
            Quantity::Time => short_time(value),
            Quantity::Size => short_size(value),
            Quantity::Rate => number::rate(value).trim_end_matches(" /s").to_string(),
        }
    }

    /// The label of a value beside a point, with three digits.
    pub(super) fn value(self, value: f64) -> String {
        match self {
            Quantity::Time => number::seconds(value),
            Quantity::Size => number::bytes(value),
            Quantity::Rate => number::rate(value),
        }
    }
}

fn short_time(seconds: f64) -> String {
    let units = [
        (31_557_600.0, "year"),
        (86_400.0, "day"),
        (3600.0, "h"),
        (60.0, "min"),
        (1.0, "s"),
        (1e-3, "ms"),
        (0.0, "µs"),
    ];
    let (size, unit) =
        units.into_iter().find(|(size, _)| seconds >= size * 0.999).expect("the last takes all");
    let count = (seconds / if size > 0.0 { size } else { 1e-6 }).round();
    let plural = if count > 1.0 && matches!(unit, "year" | "day") { "s" } else { "" };
    format!("{count} {unit}{plural}")
}

fn short_size(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", (value * 10.0).round() / 10.0, units[unit])
}

/// A tick: position and label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// Its position in pixels.
    pub at: f64,
    /// Its label.
    pub label: String,
}

/// A logarithmic scale. If it has a 0, that has a separate position before a break of the axis.
#[derive(Clone, Debug)]
pub(super) struct LogScale {
    quantity: Quantity,
    low: f64,
    high: f64,
    /// The positions of the ends with small and with large values.
    pixels: (f64, f64),
    zero: bool,
}

impl LogScale {
    /// A scale for these values between two positions. It has a 0 if requested, or if 0 is among the values.
    pub(super) fn new(
        quantity: Quantity,
        values: impl IntoIterator<Item = f64>,
        pixels: (f64, f64),
        zero: bool,
    ) -> LogScale {
        let (floor, ceiling) = quantity.range();
        let (mut low, mut high, mut zero) = (f64::INFINITY, 0f64, zero);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            if value <= 0.0 {
                zero = true;
                continue;
            }
            low = low.min(value.clamp(floor, ceiling));
            high = high.max(value.clamp(floor, ceiling));
        }
        if low > high {
            (low, high) = match quantity {
                Quantity::Time => (0.1, 10.0),
                Quantity::Size => (1e6, 1e9),
                Quantity::Rate => (1.0, 100.0),
            };
        }
        // Space around the points, at least as much as two ticks need.
        let air = 1.35_f64.max((12.0 / (high / low)).sqrt());
        LogScale { quantity, low: low / air, high: high * air, pixels, zero }
    }

    /// The position of a value. A value outside the scale has the position of the nearest end.
    pub(super) fn place(&self, value: f64) -> f64 {
        if value <= 0.0 && self.zero {
            return self.pixels.0;
        }
        let start = self.start();
        let share = (value.clamp(self.low, self.high) / self.low).ln() / (self.high / self.low).ln();
        start + share.clamp(0.0, 1.0) * (self.pixels.1 - start)
    }

    /// The position of the smallest value besides 0.
    pub(super) fn start(&self) -> f64 {
        let direction = (self.pixels.1 - self.pixels.0).signum();
        if self.zero { self.pixels.0 + direction * BREAK } else { self.pixels.0 }
    }

    /// The middle of the break, where the axis has one.
    pub(super) fn axis_break(&self) -> Option<f64> {
        self.zero.then(|| (self.pixels.0 + self.start()) / 2.0)
    }

    /// The smallest and the largest value besides 0 that the scale shows.
    pub(super) fn range(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// The ticks, from small to large.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        let shown = |ladder: Vec<f64>| -> Vec<f64> {
            ladder.into_iter().filter(|value| (self.low..=self.high).contains(value)).collect()
        };
        let ladders: Vec<Vec<f64>> = self.quantity.ladders().into_iter().map(shown).collect();
        let values = ladders.iter().rev().find(|ladder| ladder.len() <= TICKS_MAX).unwrap_or(&ladders[0]);
        let zero = self.zero.then(|| Tick { at: self.pixels.0, label: "0".to_string() });
        let others =
            values.iter().map(|value| Tick { at: self.place(*value), label: self.quantity.tick(*value) });
        zero.into_iter().chain(others).collect()
    }
}

/// A linear scale from 0 to the largest value. Only its two ends are labelled.
#[derive(Clone, Debug)]
pub(super) struct LinearScale {
    high: f64,
    pixels: (f64, f64),
}

impl LinearScale {
    /// A scale from 0 to the largest of these values.
    pub(super) fn new(values: impl IntoIterator<Item = f64>, pixels: (f64, f64)) -> LinearScale {
        let high = values.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max).min(1e300);
        LinearScale { high: if high > 0.0 { high } else { 1.0 }, pixels }
    }

    /// The position of a value. A value outside the scale has the position of the nearest end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let share = (value / self.high).clamp(0.0, 1.0);
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// The largest value that it shows.
    pub(super) fn high(&self) -> f64 {
        self.high
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BREAK, LinearScale, LogScale, Quantity, short_size, short_time};

    fn quantity() -> impl Strategy<Value = Quantity> {
        prop::sample::select(vec![Quantity::Time, Quantity::Size, Quantity::Rate])
    }

    fn labels(scale: &LogScale) -> Vec<String> {
        scale.ticks().into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_values_that_people_count_by() {
        let time = |values: &[f64]| LogScale::new(Quantity::Time, values.to_vec(), (0.0, 400.0), false);
        assert_eq!(labels(&time(&[0.4, 130.0])), ["300 ms", "1 s", "3 s", "10 s", "30 s", "1 min"]);
        assert_eq!(labels(&time(&[0.4, 130.0, 20_000.0])), ["1 s", "10 s", "1 min", "10 min", "1 h"]);
        let size = LogScale::new(Quantity::Size, [64e6, 1.1e9], (0.0, 400.0), false);
        assert_eq!(labels(&size), ["64 MiB", "128 MiB", "256 MiB", "512 MiB", "1 GiB"]);
        let rate = LogScale::new(Quantity::Rate, [0.0, 1.0, 200.0], (0.0, 400.0), false);
        assert_eq!(labels(&rate), ["0", "1", "3", "10", "30", "100"]);
    }

    #[test]
    fn ticks_are_short() {
        let times = [1e-6, 3e-4, 0.001, 0.3, 1.0, 60.0, 3600.0, 86_400.0, 864e3, 31_557_600.0, 3.155_76e9];
        assert_eq!(
            times.map(short_time),
            [
                "1 µs",
                "300 µs",
                "1 ms",
                "300 ms",
                "1 s",
                "1 min",
                "1 h",
                "1 day",
                "10 days",
                "1 year",
                "100 years"
            ]
        );
        assert_eq!([512.0, 1024.0, 67_108_864.0].map(short_size), ["512 B", "1 KiB", "64 MiB"]);
    }

    proptest! {
        #[test]
        fn places_rise_with_the_value_and_stay_in_range(
            quantity in quantity(), values in prop::collection::vec(any::<f64>(), 0..6),
            a in any::<f64>(), b in any::<f64>(), zero in any::<bool>()
        ) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            let scale = LogScale::new(quantity, values.iter().copied(), (10.0, 400.0), zero);
            let (a, b) = (a.min(b), a.max(b));
            prop_assert!(scale.place(a) <= scale.place(b));
            for place in [scale.place(a), scale.place(b)] {
                prop_assert!((10.0..=400.0).contains(&place), "{}", place);
            }
            let upside_down = LogScale::new(quantity, values, (400.0, 10.0), zero);
            prop_assert!(upside_down.place(a) >= upside_down.place(b));
        }

        #[test]
        fn only_zero_is_in_the_band_of_zero(value in 1e-12..1e12f64, quantity in quantity()) {
            let scale = LogScale::new(quantity, [0.0, value], (10.0, 400.0), false);
            prop_assert_eq!(scale.place(0.0), 10.0);
            prop_assert!(scale.place(value) >= 10.0 + BREAK);
            prop_assert!(scale.place(f64::MIN_POSITIVE) >= 10.0 + BREAK);
        }

        #[test]
        fn every_axis_has_ticks_and_not_too_many(quantity in quantity(), a in 1e-9..1e12f64, b in 1e-9..1e12f64) {
            let scale = LogScale::new(quantity, [a, b], (10.0, 400.0), false);
            let ticks = scale.ticks();
            prop_assert!((1..=8).contains(&ticks.len()), "{:?}", ticks);
            prop_assert!(ticks.is_sorted_by(|a, b| a.at < b.at && a.label != b.label), "{:?}", ticks);
        }

        #[test]
        fn even_scales_begin_at_0_and_end_at_the_largest(values in prop::collection::vec(any::<f64>(), 0..6), value in any::<f64>()) {
            prop_assume!(!value.is_nan());
            let scale = LinearScale::new(values, (90.0, 10.0));
            prop_assert!((10.0..=90.0).contains(&scale.place(value)));
            prop_assert_eq!((scale.place(0.0), scale.place(scale.high())), (90.0, 10.0));
        }
    }
}
