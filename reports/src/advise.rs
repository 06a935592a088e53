//! Conclusions from a run for other loads: the restart model, and the limits up to which each strategy worked.

use crate::compare::{same_contender, same_load_shape};
use crate::record::{Backup, Results, Trial, Verdict};

/// The restart model: the average time in seconds of a backup that every commit restarts, with passes of
/// `pass_seconds` and commits that arrive as a Poisson process at `commits_per_second`. It is (e^(rT) - 1) / r, which
/// approaches T as r approaches 0. `None` when the result is not finite, or when an argument is negative or not a
/// finite number.
pub fn expected_seconds(pass_seconds: f64, commits_per_second: f64) -> Option<f64> {
    let in_range = |value: f64| value >= 0.0 && value.is_finite();
    if !in_range(pass_seconds) || !in_range(commits_per_second) {
        return None;
    }
    let commits_per_pass = commits_per_second * pass_seconds;
    if commits_per_pass == 0.0 {
        return Some(pass_seconds);
    }
    // Computed as a multiple of the pass, because a division by a tiny rate would lose all digits.
    Some(pass_seconds * (commits_per_pass.exp_m1() / commits_per_pass)).filter(|seconds| seconds.is_finite())
}

/// The prediction of the restart model for a backup that every commit restarts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expectation {
    /// Poisson arrivals: the average in seconds. A single backup can take far less or far more.
    Average(f64),
    /// Evenly spaced commits, with an interval that is longer than a pass: the maximum in seconds.
    AtMost(f64),
    /// Evenly spaced commits, with an interval that is too short for a pass, or an average that is not finite.
    Never,
    /// Arrivals for which there is no model: bursts, waves, a closed loop.
    NoLaw,
}

/// A backup that every commit restarts, with the prediction of the restart model.
#[derive(Clone, Copy, Debug)]
pub struct Restarting<'a> {
    /// The trial.
    pub trial: &'a Trial,
    /// Its backup.
    pub backup: &'a Backup,
    /// Seconds of one undisturbed pass.
    pub pass_seconds: f64,
    /// Commits per second during the backup.
    pub commits_per_second: f64,
    /// The prediction.
    pub expectation: Expectation,
}

/// The backups of a run that every commit restarts, where pass time and commit rate are known; only such backups have
/// a pass time in their record. Backups that were lucky and never restarted are included: without them the observed
/// times would be biased.
pub fn restarting(trials: &[Trial]) -> Vec<Restarting<'_>> {
    trials
        .iter()
        .filter_map(|trial| {
            let backup = trial.backup.as_ref()?;
            let (pass_seconds, commits_per_second) = (backup.pass_seconds?, backup.commits_per_second?);
            let expectation = expectation(trial, pass_seconds, commits_per_second);
            Some(Restarting { trial, backup, pass_seconds, commits_per_second, expectation })
        })
        .collect()
}

fn expectation(trial: &Trial, pass_seconds: f64, commits_per_second: f64) -> Expectation {
    let workload = &trial.workload;
    match (workload.pattern.as_str(), workload.arrivals.as_str()) {
        ("constant", "poisson") => expected_seconds(pass_seconds, commits_per_second)
            .map_or(Expectation::Never, Expectation::Average),
        // A restart happens at a commit, so the next pass begins with a whole interval ahead of it.
        ("constant", "constant") if commits_per_second * pass_seconds < 1.0 => {
            Expectation::AtMost(pass_seconds + 1.0 / commits_per_second)
        }
        ("constant", "constant") => Expectation::Never,
        _ => Expectation::NoLaw,
    }
}

/// The variable that was changed to find the limit up to which a strategy works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// The requested size of the dataset, in bytes.
    Size,
    /// The declared rate, in writes per second.
    Rate,
}

impl Axis {
    /// The position of a trial on the axis; `None` when it has none (a closed loop has no rate).
    fn value(self, trial: &Trial) -> Option<f64> {
        match self {
            Axis::Size => Some(trial.dataset.target_bytes as f64),
            Axis::Rate => trial.workload.writes_per_second.filter(|rate| rate.is_finite()),
        }
    }

    /// True when two trials differ at most in their position on this axis.
    fn same_series(self, a: &Trial, b: &Trial) -> bool {
        let same_elsewhere = match self {
            Axis::Size => a.workload.writes_per_second == b.workload.writes_per_second,
            Axis::Rate => a.dataset.target_bytes == b.dataset.target_bytes,
        };
        same_elsewhere
            && same_contender(a, b)
            && same_load_shape(a, b)
            && a.dataset.profile == b.dataset.profile
    }
}

/// The result of the trials at one position on an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Bytes or writes per second.
    pub value: f64,
    /// The worst verdict there.
    pub verdict: Verdict,
}

impl Point {
    fn is_viable(&self) -> bool {
        self.verdict == Verdict::Restorable
    }

    /// False where the trials were inconclusive or could not run.
    pub(crate) fn is_proof(&self) -> bool {
        !matches!(self.verdict, Verdict::Unavailable | Verdict::Unverified)
    }
}

/// The limit up to which one strategy worked in the run. Nothing is extrapolated.
#[derive(Clone, Debug)]
pub struct Viability<'a> {
    /// The variable that was changed.
    pub axis: Axis,
    /// A trial with the conditions that all points share.
    pub first: &'a Trial,
    /// The points that were tested, in ascending order. Never empty.
    pub points: Vec<Point>,
}

impl Viability<'_> {
    /// The largest point at which all trials were restorable.
    pub fn viable_up_to(&self) -> Option<Point> {
        self.points.iter().rev().copied().find(Point::is_viable)
    }

    /// The smallest point at which a trial was not restorable. Trials that were inconclusive or could not run do not
    /// count.
    pub fn not_viable_from(&self) -> Option<Point> {
        self.points.iter().copied().find(|point| point.is_proof() && !point.is_viable())
    }

    /// The largest point that was tested.
    pub fn largest_tried(&self) -> Option<Point> {
        self.points.last().copied()
    }
}

/// The size and the rate up to which each strategy worked, for the one of the two that the run varies, or for both;
/// by size when it varies neither. Negative controls promise nothing and are left out.
pub fn viability(results: &Results) -> Vec<Viability<'_>> {
    let by_size = along(Axis::Size, &results.trials);
    let by_rate = along(Axis::Rate, &results.trials);
    let varies = |series: &[Viability<'_>]| series.iter().any(|one| one.points.len() > 1);
    match (varies(&by_size), varies(&by_rate)) {
        (true, true) => by_size.into_iter().chain(by_rate).collect(),
        (false, true) => by_rate,
        _ => by_size,
    }
}

fn along(axis: Axis, trials: &[Trial]) -> Vec<Viability<'_>> {
    let mut all: Vec<Viability<'_>> = Vec::new();
    for trial in trials.iter().filter(|trial| !trial.control) {
        let Some(value) = axis.value(trial) else { continue };
        let point = Point { value, verdict: trial.verdict };
        match all.iter_mut().find(|series| axis.same_series(series.first, trial)) {
            None => all.push(Viability { axis, first: trial, points: vec![point] }),
            Some(series) => match series.points.iter_mut().find(|known| known.value == value) {
                Some(known) => known.verdict = known.verdict.max(trial.verdict),
                None => series.points.push(point),
            },
        }
    }
    for series in &mut all {
        series.points.sort_by(|a, b| a.value.total_cmp(&b.value));
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Axis, Expectation, expected_seconds, restarting, viability};
    use crate::example;
    use crate::record::Trial;
    use crate::record::Verdict::{self, *};

    const MIB: u64 = 1 << 20;

    fn sized(strategy: &str, mib: u64, verdict: Verdict) -> Trial {
        let mut trial = example::trial(strategy, verdict);
        trial.dataset.target_bytes = mib * MIB;
        trial
    }

    #[test]
    fn the_restart_model_gives_one_pass_without_commits_and_nothing_where_it_is_not_finite() {
        assert_eq!(expected_seconds(72.0, 0.0), Some(72.0));
        assert_eq!(expected_seconds(72.0, f64::MIN_POSITIVE), Some(72.0));
        assert_eq!(expected_seconds(0.0, 5.0), Some(0.0));
        // (e^2 - 1) / 4
        assert!((expected_seconds(0.5, 4.0).unwrap() - 1.597_264).abs() < 1e-6);
        assert_eq!(expected_seconds(72.0, 50.0), None);
        for (pass, rate) in [(-1.0, 1.0), (1.0, -1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
            assert_eq!(expected_seconds(pass, rate), None);
        }
    }

    #[test]
    fn the_restart_model_is_compared_with_lucky_backups_too_but_not_with_those_that_never_restart() {
        let mut trials =
            vec![example::restarting("shell", Stalled, 240), example::trial("one-step", Restorable)];
        trials.push(example::restarting("shell", Restorable, 0));
        let found = restarting(&trials);
        let strategies: Vec<&str> = found.iter().map(|one| one.trial.strategy.as_str()).collect();
        assert_eq!(strategies, ["shell", "shell"]);
        assert_eq!(found[0].expectation, Expectation::Average(expected_seconds(0.5, 20.0).unwrap()));
    }

    #[test]
    fn evenly_spaced_commits_leave_time_for_a_pass_or_do_not() {
        let mut trials = vec![example::restarting("shell", Stalled, 240)];
        trials[0].workload.arrivals = "constant".into();
        assert_eq!(restarting(&trials)[0].expectation, Expectation::Never);
        trials[0].backup.as_mut().unwrap().commits_per_second = Some(1.0);
        assert_eq!(restarting(&trials)[0].expectation, Expectation::AtMost(1.5));
        trials[0].workload.pattern = "burst".into();
        assert_eq!(restarting(&trials)[0].expectation, Expectation::NoLaw);
    }

    #[test]
    fn viability_by_size_names_the_largest_good_and_the_smallest_bad_size() {
        let mut control = sized("hot-copy", 100, Corrupt);
        control.control = true;
        let results = example::results(vec![
            sized("shell", 1000, Stalled),
            sized("shell", 100, Restorable),
            sized("shell", 300, Restorable),
            sized("shell", 300, TimedOut),
            sized("one-step", 100, Restorable),
            sized("one-step", 1000, Unverified),
            control,
        ]);
        let found = viability(&results);
        assert_eq!(found.len(), 2);
        let (shell, one_step) = (&found[0], &found[1]);
        assert_eq!(shell.axis, Axis::Size);
        assert_eq!(shell.viable_up_to().unwrap().value, (100 * MIB) as f64);
        assert_eq!(shell.not_viable_from().unwrap().verdict, TimedOut);
        assert_eq!(one_step.viable_up_to().unwrap().value, (100 * MIB) as f64);
        assert_eq!(one_step.not_viable_from(), None);
        assert_eq!(one_step.largest_tried().unwrap().verdict, Unverified);
    }

    #[test]
    fn viability_by_rate_where_the_run_varies_the_rate() {
        let mut slow = sized("shell", 300, Restorable);
        slow.workload.writes_per_second = Some(1.0);
        let mut closed = sized("shell", 300, Stalled);
        closed.workload.writes_per_second = None;
        let results = example::results(vec![sized("shell", 300, Stalled), slow, closed]);
        let found = viability(&results);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].axis, Axis::Rate);
        assert_eq!(found[0].viable_up_to().unwrap().value, 1.0);
        assert_eq!(found[0].not_viable_from().unwrap().value, 20.0);
    }

    proptest! {
        #[test]
        fn the_restart_model_never_falls_with_size_or_rate_and_is_never_shorter_than_a_pass(
            pass in 0.0..1e4f64, longer in 0.0..1e4f64, rate in 0.0..1e3f64, faster in 0.0..1e3f64
        ) {
            let seconds = |pass, rate| expected_seconds(pass, rate).unwrap_or(f64::INFINITY);
            // Rounding can change the last few bits.
            let at_least = |large: f64, small: f64| large >= small * (1.0 - 1e-12);
            prop_assert!(at_least(seconds(pass + longer, rate), seconds(pass, rate)));
            prop_assert!(at_least(seconds(pass, rate + faster), seconds(pass, rate)));
            prop_assert!(at_least(seconds(pass, rate), pass));
        }
    }
}
