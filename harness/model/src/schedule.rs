//! When each write is due.
//!
//! Arrivals are drawn on a time axis on which the rate is constant, and mapped back through the inverse of the
//! cumulative rate. So every pattern has exactly the declared mean, and the same seed results in the same arrivals.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The number of writes offered per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// Writes are due at this rate over all writers, whether or not earlier ones were answered.
    Open(f64),
    /// Each writer sends its next write when the last was answered.
    Closed,
}

impl Rate {
    /// The declared rate; `None` for a closed loop.
    pub fn writes_per_second(self) -> Option<f64> {
        match self {
            Rate::Open(rate) => Some(rate),
            Rate::Closed => None,
        }
    }
}

impl Serialize for Rate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Rate::Open(rate) => serializer.serialize_f64(*rate),
            Rate::Closed => serializer.serialize_str("closed"),
        }
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(f64),
            Word(String),
        }
        let message = "expected a number of writes per second from 0 to 100000, or \"closed\"";
        match Raw::deserialize(deserializer).map_err(|_| serde::de::Error::custom(message))? {
            Raw::Number(rate) if (0.0..=100_000.0).contains(&rate) => Ok(Rate::Open(rate)),
            Raw::Word(word) => word.parse().map_err(|_| serde::de::Error::custom(message)),
            Raw::Number(_) => Err(serde::de::Error::custom(message)),
        }
    }
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        match text.parse::<f64>() {
            Ok(rate) if (0.0..=100_000.0).contains(&rate) => Ok(Rate::Open(rate)),
            Err(_) if text == "closed" => Ok(Rate::Closed),
            _ => Err("expected a number of writes per second from 0 to 100000, or 'closed'".into()),
        }
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Rate::Open(rate) => write!(f, "{rate}/s"),
            Rate::Closed => f.write_str("closed"),
        }
    }
}

/// Distribution of arrivals over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Equal intervals.
    Constant,
    /// Independent of each other, like requests from the clients of a server.
    #[default]
    Poisson,
}

/// How the rate changes over time; its mean is always the declared rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pattern {
    /// A constant rate.
    #[default]
    Constant,
    /// Every period begins with a burst.
    Burst {
        /// The rate in the burst is this many times the mean.
        factor: f64,
        /// Length of a burst.
        burst_seconds: f64,
        /// Time from the start of one burst to the start of the next.
        period_seconds: f64,
    },
    /// A sine around the mean.
    Wave {
        /// The rate deviates from the mean by up to this share of it, from 0 to 1.
        amplitude: f64,
        /// Length of a period.
        period_seconds: f64,
    },
    /// Writers that pause: every period begins with work, and ends without any write. The only pattern that changes
    /// a closed loop, too.
    Pause {
        /// Length of the work.
        work_seconds: f64,
        /// Length of the pause.
        pause_seconds: f64,
    },
}

impl Pattern {
    /// The name in records.
    pub fn name(&self) -> &'static str {
        match self {
            Pattern::Constant => "constant",
            Pattern::Burst { .. } => "burst",
            Pattern::Wave { .. } => "wave",
            Pattern::Pause { .. } => "pause",
        }
    }

    /// # Errors
    /// Why the pattern is invalid.
    pub fn validate(&self) -> Result<(), String> {
        match *self {
            Pattern::Constant => Ok(()),
            Pattern::Burst { factor, burst_seconds, period_seconds } => {
                if !(burst_seconds > 0.0 && period_seconds > burst_seconds && factor >= 1.0) {
                    return Err("a burst needs factor >= 1 and 0 < burst_seconds < period_seconds".into());
                }
                if factor * burst_seconds > period_seconds {
                    let most = period_seconds / burst_seconds;
                    return Err(format!(
                        "the mean rate cannot be kept: with this period, factor must be at most {most:.3}"
                    ));
                }
                Ok(())
            }
            Pattern::Wave { amplitude, period_seconds } => {
                if (0.0..=1.0).contains(&amplitude) && period_seconds > 0.0 {
                    Ok(())
                } else {
                    Err("a wave needs amplitude from 0 to 1 and period_seconds above 0".into())
                }
            }
            Pattern::Pause { work_seconds, pause_seconds } => {
                if work_seconds > 0.0 && pause_seconds > 0.0 {
                    Ok(())
                } else {
                    Err("a pause needs work_seconds and pause_seconds above 0".into())
                }
            }
        }
    }

    /// Mean-rate seconds that have passed after `time` seconds: the integral of rate / mean.
    fn passed(&self, time: f64) -> f64 {
        match *self {
            Pattern::Constant => time,
            Pattern::Burst { factor, burst_seconds, period_seconds } => {
                let within = time % period_seconds;
                let calm = (period_seconds - factor * burst_seconds) / (period_seconds - burst_seconds);
                let in_burst = within.min(burst_seconds) * factor;
                (time - within) + in_burst + (within - burst_seconds).max(0.0) * calm
            }
            Pattern::Wave { amplitude, period_seconds } => {
                let angle = TAU * time / period_seconds;
                time + amplitude * period_seconds / TAU * (1.0 - angle.cos())
            }
            Pattern::Pause { work_seconds, pause_seconds } => {
                let period_seconds = work_seconds + pause_seconds;
                let within = time % period_seconds;
                (time - within) + within.min(work_seconds) * period_seconds / work_seconds
            }
        }
    }

    /// The first moment, at `time` seconds or later, that is not in a pause.
    fn after_pause(&self, time: f64) -> f64 {
        match *self {
            Pattern::Pause { work_seconds, pause_seconds } => {
                let period_seconds = work_seconds + pause_seconds;
                let within = time % period_seconds;
                if within < work_seconds { time } else { time - within + period_seconds }
            }
            Pattern::Constant | Pattern::Burst { .. } | Pattern::Wave { .. } => time,
        }
    }

    /// The time at which `passed` mean-rate seconds have passed, to a microsecond.
    fn time_of(&self, passed: f64) -> f64 {
        let (mut low, mut high) = match *self {
            Pattern::Constant => return passed,
            Pattern::Burst { period_seconds, .. } | Pattern::Wave { period_seconds, .. } => {
                around(passed, period_seconds)
            }
            Pattern::Pause { work_seconds, pause_seconds } => around(passed, work_seconds + pause_seconds),
        };
        while high - low > 1e-6 {
            let middle = (low + high) / 2.0;
            if self.passed(middle) < passed {
                low = middle;
            } else {
                high = middle;
            }
        }
        (low + high) / 2.0
    }
}

/// The bounds of the time at which a number of mean-rate seconds have passed.
fn around(passed: f64, period_seconds: f64) -> (f64, f64) {
    ((passed - period_seconds).max(0.0), passed + period_seconds)
}

/// The offered load, as a scenario declares it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Writes per second.
    pub rate: Rate,
    /// Distribution of the arrival times.
    pub arrivals: Arrivals,
    /// How the rate changes over time.
    pub pattern: Pattern,
}

impl Load {
    /// True when commits arrive as a Poisson process with a constant rate.
    pub fn is_poisson(&self) -> bool {
        matches!(self.rate, Rate::Open(_))
            && self.arrivals == Arrivals::Poisson
            && self.pattern == Pattern::Constant
    }

    /// The name of the arrivals in records.
    pub fn arrivals_name(&self) -> &'static str {
        match (self.rate, self.arrivals) {
            (Rate::Closed, _) => "closed",
            (Rate::Open(_), Arrivals::Constant) => "constant",
            (Rate::Open(_), Arrivals::Poisson) => "poisson",
        }
    }
}

/// The due times of one writer's writes.
pub struct Schedule {
    load: Load,
    seed: u64,
    writer: u32,
    writers: u32,
    next: u64,
    passed: f64,
}

impl Schedule {
    /// The schedule of one of `writers` writers, starting with its first write.
    pub fn new(load: Load, seed: u64, writer: u32, writers: u32) -> Schedule {
        Schedule { load, seed, writer, writers, next: 0, passed: 0.0 }
    }

    /// Due time of the next write, in nanoseconds after the beginning; `None` when there is no next write, or when it
    /// is due as soon as the last one is answered (a closed loop).
    ///
    /// Every writer's first write is due immediately: even at a low rate, it shows that writes arrive.
    pub fn next_due_ns(&mut self) -> Option<u64> {
        let index = self.next;
        self.next += 1;
        if index == 0 {
            return Some(0);
        }
        let rate = self.load.rate.writes_per_second().filter(|rate| *rate > 0.0)?;
        let mean_interval = f64::from(self.writers) / rate;
        self.passed += match self.load.arrivals {
            // Writers are staggered, so that all writes together are evenly spaced.
            Arrivals::Constant if index == 1 => f64::from(self.writer + 1) / rate,
            Arrivals::Constant => mean_interval,
            Arrivals::Poisson => self.exponential(index) * mean_interval,
        };
        Some((self.load.pattern.time_of(self.passed) * 1e9) as u64)
    }

    /// When the next write of a closed loop is due, in nanoseconds after the beginning: now, or after the pause.
    pub fn next_in_loop_ns(&self, now_ns: u64) -> u64 {
        let due_seconds = self.load.pattern.after_pause(now_ns as f64 / 1e9);
        now_ns.max((due_seconds * 1e9) as u64)
    }

    /// True when a write is due as soon as the last one is answered, unless the writers pause.
    pub fn is_closed(&self) -> bool {
        self.load.rate == Rate::Closed
    }

    /// An exponential variate with mean 1.
    fn exponential(&self, index: u64) -> f64 {
        let mut input = [0; 12];
        input[..8].copy_from_slice(&index.to_le_bytes());
        input[8..].copy_from_slice(&self.writer.to_le_bytes());
        let uniform = (xxh3_64_with_seed(&input, self.seed) >> 11) as f64 / (1u64 << 53) as f64;
        -(1.0 - uniform).ln()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn due_seconds(load: Load, writers: u32, seconds: f64) -> Vec<f64> {
        let mut due = Vec::new();
        for writer in 0..writers {
            let mut schedule = Schedule::new(load, 7, writer, writers);
            schedule.next_due_ns();
            let times = std::iter::from_fn(|| schedule.next_due_ns().map(|ns| ns as f64 / 1e9));
            due.extend(times.take_while(|time| *time < seconds));
        }
        due
    }

    fn patterns() -> impl Strategy<Value = Pattern> {
        let burst = (1.0..5.0, 0.1..1.0).prop_map(|(factor, burst_seconds)| Pattern::Burst {
            factor,
            burst_seconds,
            period_seconds: 5.0,
        });
        let wave = (0.0..=1.0).prop_map(|amplitude| Pattern::Wave { amplitude, period_seconds: 5.0 });
        let pause = (0.5..4.5)
            .prop_map(|work_seconds| Pattern::Pause { work_seconds, pause_seconds: 5.0 - work_seconds });
        prop_oneof![Just(Pattern::Constant), burst, wave, pause]
    }

    proptest! {
        #[test]
        fn every_pattern_keeps_its_mean(
            pattern in patterns(), writers in 1..5u32, constant: bool, rate in 20.0..200.0f64,
        ) {
            let arrivals = if constant { Arrivals::Constant } else { Arrivals::Poisson };
            let load = Load { rate: Rate::Open(rate), arrivals, pattern };
            let count = due_seconds(load, writers, 100.0).len() as f64;
            let expected = rate * 100.0;
            // Five standard deviations of a Poisson count.
            let tolerance = if constant { f64::from(writers) + 1.0 } else { 5.0 * expected.sqrt() };
            prop_assert!((count - expected).abs() <= tolerance, "{count} instead of {expected}");
        }

        #[test]
        fn due_times_never_go_back(pattern in patterns(), rate in 1.0..1000.0f64) {
            let load = Load { rate: Rate::Open(rate), arrivals: Arrivals::Poisson, pattern };
            let mut schedule = Schedule::new(load, 1, 0, 1);
            let times: Vec<u64> = (0..200).filter_map(|_| schedule.next_due_ns()).collect();
            prop_assert!(times.is_sorted());
        }
    }

    #[test]
    fn a_burst_exceeds_the_mean_by_its_factor() {
        let pattern = Pattern::Burst { factor: 4.0, burst_seconds: 1.0, period_seconds: 10.0 };
        let load = Load { rate: Rate::Open(100.0), arrivals: Arrivals::Constant, pattern };
        let due = due_seconds(load, 1, 10.0);
        let in_burst = due.iter().filter(|time| **time < 1.0).count();
        assert!((399..=401).contains(&in_burst), "{in_burst}");
        assert!((999..=1001).contains(&due.len()), "{}", due.len());
    }

    #[test]
    fn no_write_is_due_in_a_pause_in_an_open_or_a_closed_loop() {
        let pattern = Pattern::Pause { work_seconds: 1.0, pause_seconds: 3.0 };
        let load = Load { rate: Rate::Open(100.0), arrivals: Arrivals::Poisson, pattern };
        let due = due_seconds(load, 2, 40.0);
        assert!(!due.is_empty() && due.iter().all(|time| time % 4.0 <= 1.001), "{due:?}");
        let schedule = Schedule::new(Load { rate: Rate::Closed, ..load }, 1, 0, 1);
        let next = [0, 999_000_000, 1_000_000_000, 3_999_000_000, 4_500_000_000]
            .map(|now| schedule.next_in_loop_ns(now));
        assert_eq!(next, [0, 999_000_000, 4_000_000_000, 4_000_000_000, 4_500_000_000]);
    }

    #[test]
    fn a_burst_that_breaks_the_mean_is_refused() {
        let pattern = Pattern::Burst { factor: 20.0, burst_seconds: 1.0, period_seconds: 10.0 };
        insta::assert_snapshot!(
            pattern.validate().unwrap_err(),
            @"the mean rate cannot be kept: with this period, factor must be at most 10.000"
        );
    }

    #[test]
    fn at_rate_0_there_is_one_write() {
        let load = Load { rate: Rate::Open(0.0), arrivals: Arrivals::Poisson, pattern: Pattern::Constant };
        let mut schedule = Schedule::new(load, 1, 0, 1);
        assert_eq!((schedule.next_due_ns(), schedule.next_due_ns()), (Some(0), None));
    }
}
