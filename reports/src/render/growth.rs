//! How times and memory grow with the size of the database: the exponent of a power law.

use super::conditions;
use super::number;
use super::table::Table;
use crate::compare::{same_contender, same_load_shape};
use crate::record::{Trial, Verdict};

/// With fewer sizes, an exponent is a ratio of two noisy measurements.
const SIZES_MIN: usize = 3;
/// Above this exponent, a time grows faster than the database.
const LINEAR_MAX: f64 = 1.1;

/// A figure that may grow: its heading, and how it is read from a trial.
struct Figure {
    label: &'static str,
    value: fn(&Trial) -> Option<f64>,
}

const FIGURES: [Figure; 6] = [
    Figure { label: "Backup", value: |trial| trial.backup.as_ref()?.seconds },
    Figure { label: "Recovery", value: |trial| trial.restore.as_ref()?.recovery_seconds },
    Figure {
        label: "Strategy's memory",
        value: |trial| trial.resources.strategy.memory_bytes_max.map(|bytes| bytes as f64),
    },
    Figure { label: "Plain copy", value: |trial| trial.backup.as_ref()?.copy_seconds },
    Figure {
        label: "Verification",
        value: |trial| trial.verification.as_ref().map(|verification| verification.seconds),
    },
    Figure {
        label: "Harness's memory",
        value: |trial| trial.resources.harness.memory_bytes_max.map(|bytes| bytes as f64),
    },
];

/// The exponents of all strategies that were tried at three sizes or more.
pub struct Growth {
    /// One row for each strategy, subject and load.
    pub table: Table,
    /// The figures that grow faster than the database: strategy, figure and exponent.
    pub faster: Vec<String>,
}

/// The growth of the figures of a run; `None` where no strategy was tried at three sizes.
pub fn growth(trials: &[Trial]) -> Option<Growth> {
    let mut series: Vec<Vec<&Trial>> = Vec::new();
    for trial in trials.iter().filter(|trial| trial.verdict == Verdict::Restorable) {
        match series.iter_mut().find(|one| differs_in_size_only(one[0], trial)) {
            Some(one) => one.push(trial),
            None => series.push(vec![trial]),
        }
    }
    series.retain(|one| sizes(one).len() >= SIZES_MIN);
    if series.is_empty() {
        return None;
    }
    let mut faster = Vec::new();
    let header = ["Strategy", "Sizes"].into_iter().chain(FIGURES.iter().map(|figure| figure.label));
    let rows = series.iter().map(|one| {
        let name = conditions::strategy(one[0]);
        let exponents = FIGURES.iter().map(|figure| {
            let exponent = exponent(one, figure.value);
            if let Some(exponent) = exponent.filter(|exponent| *exponent > LINEAR_MAX) {
                faster.push(format!("{name}, {}: {exponent:.2}", figure.label.to_lowercase()));
            }
            number::or_missing(exponent, |exponent| format!("{exponent:.2}"))
        });
        let exponents: Vec<String> = exponents.collect();
        [name, range(&sizes(one))].into_iter().chain(exponents).collect()
    });
    Some(Growth { table: Table::of_texts(header, rows.collect()), faster })
}

fn differs_in_size_only(a: &Trial, b: &Trial) -> bool {
    same_contender(a, b)
        && same_load_shape(a, b)
        && a.dataset.profile == b.dataset.profile
        && a.workload.writes_per_second == b.workload.writes_per_second
}

/// The different sizes of these trials in bytes, the smallest first.
fn sizes(trials: &[&Trial]) -> Vec<u64> {
    let mut sizes: Vec<u64> = trials.iter().map(|trial| trial.dataset.target_bytes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

fn range(sizes: &[u64]) -> String {
    let text =
        |bytes: Option<&u64>| number::or_missing(bytes.map(|bytes| *bytes as f64), number::chosen_bytes);
    format!("{} to {} ({})", text(sizes.first()), text(sizes.last()), sizes.len())
}

/// The exponent `b` of `value = a bytes^b`, by least squares on logarithms: 1 for what grows as the database does, 0 for
/// what does not grow. `None` with values at fewer than three sizes.
fn exponent(trials: &[&Trial], value: fn(&Trial) -> Option<f64>) -> Option<f64> {
    let measured = trials.iter().filter_map(|trial| {
        let value = value(trial).filter(|value| *value > 0.0 && value.is_finite())?;
        Some((trial.dataset.target_bytes, (trial.dataset.bytes as f64).ln(), value.ln()))
    });
    let points: Vec<(u64, f64, f64)> = measured.collect();
    let mut sizes: Vec<u64> = points.iter().map(|(size, ..)| *size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    if sizes.len() < SIZES_MIN {
        return None;
    }
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(_, x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, _, y)| y).sum::<f64>() / count;
    let covariance: f64 = points.iter().map(|(_, x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points.iter().map(|(_, x, _)| (x - mean_x).powi(2)).sum();
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::record::Verdict::*;

    fn at(mebibytes: u64, seconds: f64) -> Trial {
        let mut trial = example::trial("one-step", Restorable);
        trial.dataset.target_bytes = mebibytes << 20;
        trial.dataset.bytes = mebibytes << 20;
        trial.backup.as_mut().unwrap().seconds = Some(seconds);
        trial
    }

    #[test]
    fn the_exponent_of_a_power_law_is_found() {
        for (power, text) in [(1.0, "1.00"), (0.5, "0.50"), (1.5, "1.50")] {
            let trials: Vec<Trial> =
                [1, 4, 16, 64].map(|size| at(size, 0.1 * (size as f64).powf(power))).to_vec();
            let growth = growth(&trials).unwrap();
            assert!(growth.table.csv().contains(text), "{}", growth.table.csv());
            assert_eq!(growth.faster.len(), usize::from(power > 1.1), "{:?}", growth.faster);
        }
    }

    #[test]
    fn two_sizes_and_failed_trials_show_no_growth() {
        assert!(growth(&[at(1, 0.1), at(4, 0.4), at(4, 0.5)]).is_none());
        let mut failed = at(16, 1.6);
        failed.verdict = Failed;
        assert!(growth(&[at(1, 0.1), at(4, 0.4), failed]).is_none());
    }
}
