//! What a run says about other loads: the restart model, and up to where each strategy was viable.

use crate::compare::{same_contender, same_load_shape};
use crate::record::{Backup, Results, Trial, Verdict};

/// The restart model: the seconds that a backup takes on average when a pass of `pass_seconds` must see no
/// commit and commits arrive as a Poisson process at `commits_per_second`. That is (e^(rT) - 1) / r, which
/// goes to T as r goes to 0. `None` when it is larger than any number, or when an argument is negative or no
/// number.
pub fn expected_seconds(pass_seconds: f64, commits_per_second: f64) -> Option<f64> {
    let in_range = |value: f64| value >= 0.0 && value.is_finite();
    if !in_range(pass_seconds) || !in_range(commits_per_second) {
        return None;
    }
    let commits_per_pass = commits_per_second * pass_seconds;
    if commits_per_pass == 0.0 {
        return Some(pass_seconds);
    }
    // Written as a multiple of the pass: dividing by a tiny rate would lose all digits.
    Some(pass_seconds * (commits_per_pass.exp_m1() / commits_per_pass)).filter(|seconds| seconds.is_finite())
}

/// What theory says of a backup that begins again with every commit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expectation {
    /// Poisson arrivals: this many seconds on average. A single backup can take far less or far more.
    Average(f64),
    /// Evenly spaced commits with room for a pass between them: at most this many seconds.
    AtMost(f64),
    /// Evenly spaced commits without room for a pass, or an average larger than any number.
    Never,
    /// Arrivals that no law is known for: bursts, waves, a closed loop.
    NoLaw,
}

/// A backup whose passes begin again with every commit, and what theory says of it.
#[derive(Clone, Copy, Debug)]
pub struct Restarting<'a> {
    /// The trial.
    pub trial: &'a Trial,
    /// Its backup.
    pub backup: &'a Backup,
    /// Seconds of one undisturbed pass.
    pub pass_seconds: f64,
    /// Commits per second while it ran.
    pub commits_per_second: f64,
    /// What theory says.
    pub expectation: Expectation,
}

/// The backups of a run that begin again with every commit, where pass time and commit rate are known: a record
/// has a pass time for no others. Lucky ones without a restart count too: leaving them out would flatter the law.
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
        // The restart comes with a commit, so the pass after it has a whole interval to itself.
        ("constant", "constant") if commits_per_second * pass_seconds < 1.0 => {
            Expectation::AtMost(pass_seconds + 1.0 / commits_per_second)
        }
        ("constant", "constant") => Expectation::Never,
        _ => Expectation::NoLaw,
    }
}

/// What was varied to find where a strategy stops being viable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// The size of the dataset that was asked for, in bytes.
    Size,
    /// The declared rate, in writes per second.
    Rate,
}

impl Axis {
    /// Where a trial stands on the axis; `None` when it has no place there (a closed loop has no rate).
    fn value(self, trial: &Trial) -> Option<f64> {
        match self {
            Axis::Size => Some(trial.dataset.target_bytes as f64),
            Axis::Rate => trial.workload.writes_per_second.filter(|rate| rate.is_finite()),
        }
    }

    /// True when two trials differ in their place on this axis at most.
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

/// What the trials at one place of an axis came to.
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

    /// False where nothing was shown either way.
    pub(crate) fn is_proof(&self) -> bool {
        !matches!(self.verdict, Verdict::Unavailable | Verdict::Unverified)
    }
}

/// Up to where one strategy was viable, as far as the run shows. Nothing is extrapolated.
#[derive(Clone, Debug)]
pub struct Viability<'a> {
    /// What was varied.
    pub axis: Axis,
    /// A trial to read the conditions from that all points share.
    pub first: &'a Trial,
    /// What was tried, in ascending order. Never empty.
    pub points: Vec<Point>,
}

impl Viability<'_> {
    /// The largest point at which all trials were restorable.
    pub fn viable_up_to(&self) -> Option<Point> {
        self.points.iter().rev().copied().find(Point::is_viable)
    }

    /// The smallest point at which a trial was not restorable. A trial that proved nothing or could not run
    /// says neither.
    pub fn not_viable_from(&self) -> Option<Point> {
        self.points.iter().copied().find(|point| point.is_proof() && !point.is_viable())
    }

    /// The largest point that was tried.
    pub fn largest_tried(&self) -> Option<Point> {
        self.points.last().copied()
    }
}

/// Up to which size each strategy was viable, and up to which rate, for whichever of the two the run varies;
/// by size when it varies neither. Controls promise nothing and are left out.
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
    fn the_law_gives_the_pass_alone_without_commits_and_nothing_beyond_numbers() {
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
    fn the_law_is_held_against_lucky_backups_too_but_not_against_those_that_never_restart() {
        let mut trials =
            vec![example::restarting("shell", Stalled, 240), example::trial("one-step", Restorable)];
        trials.push(example::restarting("shell", Restorable, 0));
        let found = restarting(&trials);
        let strategies: Vec<&str> = found.iter().map(|one| one.trial.strategy.as_str()).collect();
        assert_eq!(strategies, ["shell", "shell"]);
        assert_eq!(found[0].expectation, Expectation::Average(expected_seconds(0.5, 20.0).unwrap()));
    }

    #[test]
    fn evenly_spaced_commits_leave_room_for_a_pass_or_do_not() {
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
        fn the_law_never_falls_with_size_or_rate_and_never_beats_a_pass(
            pass in 0.0..1e4f64, longer in 0.0..1e4f64, rate in 0.0..1e3f64, faster in 0.0..1e3f64
        ) {
            let seconds = |pass, rate| expected_seconds(pass, rate).unwrap_or(f64::INFINITY);
            // Rounding may take back a few of the last bits.
            let at_least = |large: f64, small: f64| large >= small * (1.0 - 1e-12);
            prop_assert!(at_least(seconds(pass + longer, rate), seconds(pass, rate)));
            prop_assert!(at_least(seconds(pass, rate + faster), seconds(pass, rate)));
            prop_assert!(at_least(seconds(pass, rate), pass));
        }
    }
}
