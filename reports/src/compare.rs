//! Combines trials: repetitions as one group, the worst verdict, the outcome of a run.

use std::borrow::Cow;

use crate::reaction::Reaction;
use crate::record::{Results, Trial, Verdict};

/// Repetitions: trials that differ only by chance. Never empty.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// The first trial that ran; its conditions are those of the group.
    pub first: &'a Trial,
    /// All trials of the group, the first included, in the order in which they ran.
    pub trials: Vec<&'a Trial>,
}

impl<'a> Group<'a> {
    /// The worst verdict of the repetitions.
    pub fn verdict(&self) -> Verdict {
        worst_verdict(self.trials.iter().copied()).unwrap_or(self.first.verdict)
    }

    /// Whether something happened during any of the backups that makes an unsafe backup wrong; `None` when this is
    /// not known.
    pub fn challenged(&self) -> Option<bool> {
        let challenges = self.trials.iter().filter_map(|trial| trial.backup.as_ref()?.challenge.as_ref());
        challenges.map(|challenge| challenge.challenged).reduce(|one, other| one || other)
    }

    /// True for a group that is restorable although nothing in its trials could have revealed an unsafe backup.
    pub fn is_right_by_luck(&self) -> bool {
        self.verdict() == Verdict::Restorable && self.challenged() == Some(false)
    }

    /// Median and range of one measurement over the repetitions that have it; `None` when none has.
    pub fn spread(&self, measurement: impl Fn(&Trial) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.trials.iter().filter_map(|trial| measurement(trial)))
    }
}

/// Groups the repetitions of a run, in the order in which the first trial of each group ran.
pub fn groups(trials: &[Trial]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for trial in trials {
        match groups.iter_mut().find(|group| same_conditions(group.first, trial)) {
            Some(group) => group.trials.push(trial),
            None => groups.push(Group { first: trial, trials: vec![trial] }),
        }
    }
    groups
}

/// True when two trials differ only by chance: in their measurements, and in the seed of the repetition.
fn same_conditions(a: &Trial, b: &Trial) -> bool {
    same_contender(a, b)
        && a.dataset.profile == b.dataset.profile
        && a.dataset.target_bytes == b.dataset.target_bytes
        && a.workload.writes_per_second == b.workload.writes_per_second
        && same_load_shape(a, b)
}

/// True when two trials test the same strategy with the same settings on the same kind of subject.
pub(crate) fn same_contender(a: &Trial, b: &Trial) -> bool {
    a.engine == b.engine
        && a.app == b.app
        && a.strategy == b.strategy
        && a.settings == b.settings
        && a.variant == b.variant
        && fault_label(a) == fault_label(b)
        && stages(a) == stages(b)
        && a.file_system == b.file_system
        && a.workload.journal_mode == b.workload.journal_mode
}

/// The label of the fault of a trial; `None` without one.
fn stages(trial: &Trial) -> Option<&str> {
    trial.offsite.as_ref().map(|offsite| offsite.label.as_str())
}

fn fault_label(trial: &Trial) -> Option<&str> {
    trial.fault.as_ref().map(|fault| fault.label.as_str())
}

/// The run without its trials with faults: their figures say nothing about a strategy on a good day. `None` where all
/// trials have faults.
pub fn without_faults(results: &Results) -> Option<Cow<'_, Results>> {
    let faulted = results.trials.iter().filter(|trial| trial.fault.is_some()).count();
    if faulted == 0 {
        return Some(Cow::Borrowed(results));
    }
    if faulted == results.trials.len() {
        return None;
    }
    let mut plain = results.clone();
    plain.trials.retain(|trial| trial.fault.is_none());
    plain.run.planned_trials = plain.run.planned_trials.saturating_sub(faulted as u32);
    Some(Cow::Owned(plain))
}

/// True when two workloads differ in nothing but their rate.
pub(crate) fn same_load_shape(a: &Trial, b: &Trial) -> bool {
    let (a, b) = (&a.workload, &b.workload);
    a.pattern == b.pattern
        && a.arrivals == b.arrivals
        && a.writers == b.writers
        && a.rows_per_transaction == b.rows_per_transaction
        && a.multi_row_share == b.multi_row_share
        && a.synchronous == b.synchronous
        && a.busy_timeout_ms == b.busy_timeout_ms
        && a.wal_autocheckpoint == b.wal_autocheckpoint
        && a.journal_size_limit == b.journal_size_limit
        && a.checkpoints == b.checkpoints
        && a.announces == b.announces
        && a.server_options == b.server_options
        && a.cache == b.cache
}

/// Median and range of some measurements, in the unit of the measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median: the middle value, or the mean of the two middle values.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The number of measurements.
    pub count: usize,
}

impl Spread {
    /// Median and range of the finite values; `None` when there is none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            // Each is halved before the addition, because the sum of two finite numbers can be infinite.
            (sorted[middle - 1] / 2.0 + sorted[middle] / 2.0).clamp(min, max)
        };
        Some(Spread { median, min, max, count: sorted.len() })
    }
}

/// The worst verdict of a set of trials; `None` for an empty set.
pub fn worst_verdict<'a>(trials: impl IntoIterator<Item = &'a Trial>) -> Option<Verdict> {
    trials.into_iter().map(|trial| trial.verdict).max()
}

/// Whether a trial or a run ended as promised or expected, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Everything ended as promised or expected.
    AsPromised,
    /// Something that a strategy needs is missing on this machine.
    Unavailable,
    /// At least one result is inconclusive.
    Unverified,
    /// A strategy did not keep its promise, or did not do what the scenario expects.
    FellShort,
}

impl Outcome {
    /// The outcome of one trial. The scenario's expectation has priority, also for a negative control. Without an
    /// expectation, a control promises nothing, and every other strategy promises to be restorable. Under a fault, it
    /// may also report its failure, but neither the source nor any other backup may come to harm.
    pub fn of_trial(trial: &Trial) -> Outcome {
        let as_promised = match (trial.expected.as_slice(), &trial.fault) {
            ([], _) if trial.control => true,
            ([], None) => trial.verdict == Verdict::Restorable,
            ([], Some(fault)) => {
                let reaction = Reaction::of(trial);
                matches!(reaction, Some(Reaction::Survived | Reaction::Detected))
                    && fault.harm().next().is_none()
            }
            (expected, _) => expected.contains(&trial.verdict),
        };
        match trial.verdict {
            // An inconclusive control did not show that verification finds damage.
            Verdict::Unverified if !trial.expected.contains(&Verdict::Unverified) => Outcome::Unverified,
            Verdict::Unavailable if !trial.expected.contains(&Verdict::Unavailable) => Outcome::Unavailable,
            _ if as_promised => Outcome::AsPromised,
            _ => Outcome::FellShort,
        }
    }

    /// The outcome of a run: the worst of its trials. A run without trials, or with fewer records than planned
    /// trials, is inconclusive at best.
    pub fn of_run(results: &Results) -> Outcome {
        let cut_short = is_cut_short(results) || results.trials.is_empty();
        let floor = if cut_short { Outcome::Unverified } else { Outcome::AsPromised };
        results.trials.iter().map(Outcome::of_trial).fold(floor, Outcome::max)
    }
}

/// The noise of a run: the slowest plain copy of a dataset divided by the fastest one. A difference between two
/// strategies means something only if it is larger. `None` when no dataset was copied twice.
pub fn noise(results: &Results) -> Option<f64> {
    let range = |copies: &Vec<f64>| {
        let spread =
            Spread::of(copies.iter().copied()).filter(|spread| spread.count > 1 && spread.min > 0.0)?;
        Some(spread.max / spread.min).filter(|range| range.is_finite())
    };
    results.run.calibration.iter().filter_map(|one| range(&one.copy_seconds)).max_by(f64::total_cmp)
}

/// True when the run has fewer records than its plan has trials.
pub fn is_cut_short(results: &Results) -> bool {
    results.trials.len() < results.run.planned_trials as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Outcome, Spread, groups, without_faults, worst_verdict};
    use crate::example;
    use crate::record::Verdict::{self, *};
    use crate::record::{Aftermath, Fault};

    const ALL: [Verdict; 8] =
        [Restorable, Unavailable, Unverified, TimedOut, Stalled, Failed, Lossy, Corrupt];

    #[test]
    fn repetitions_are_one_group_and_another_rate_or_setting_is_not() {
        let mut trials = vec![example::trial("one-step", Restorable); 4];
        trials[1].repetition = 2;
        trials[1].verdict = Stalled;
        trials[2].workload.writes_per_second = Some(5.0);
        trials[3].settings.insert("step_pages".into(), 100.into());
        let groups = groups(&trials);
        let sizes: Vec<usize> = groups.iter().map(|group| group.trials.len()).collect();
        assert_eq!(sizes, [2, 1, 1]);
        assert_eq!(groups[0].verdict(), Stalled);
    }

    #[test]
    fn the_spread_leaves_out_what_was_not_measured() {
        let mut trials = vec![example::trial("one-step", Restorable); 3];
        trials[0].backup.as_mut().unwrap().seconds = None;
        trials[1].backup.as_mut().unwrap().seconds = Some(4.0);
        trials[2].backup.as_mut().unwrap().seconds = Some(1.0);
        let group = &groups(&trials)[0];
        let spread = group.spread(|trial| trial.backup.as_ref()?.seconds).unwrap();
        assert_eq!(spread, Spread { median: 2.5, min: 1.0, max: 4.0, count: 2 });
        assert_eq!(group.spread(|_| None), None);
    }

    #[test]
    fn a_trial_is_judged_by_its_expectation_else_by_its_promise() {
        for verdict in ALL {
            let mut trial = example::trial("one-step", verdict);
            let without = match verdict {
                Restorable => Outcome::AsPromised,
                Unverified => Outcome::Unverified,
                Unavailable => Outcome::Unavailable,
                _ => Outcome::FellShort,
            };
            assert_eq!(Outcome::of_trial(&trial), without, "{verdict}");

            trial.expected = vec![verdict];
            assert_eq!(Outcome::of_trial(&trial), Outcome::AsPromised, "{verdict} expected");

            trial.expected = vec![if verdict == Stalled { Failed } else { Stalled }];
            let other = if verdict == Restorable { Outcome::FellShort } else { without };
            assert_eq!(Outcome::of_trial(&trial), other, "{verdict} instead of the expected one");
        }
    }

    #[test]
    fn a_control_promises_nothing_but_must_not_be_inconclusive() {
        for verdict in ALL {
            let mut trial = example::trial("hot-copy", verdict);
            trial.control = true;
            let expected = match verdict {
                Unverified => Outcome::Unverified,
                Unavailable => Outcome::Unavailable,
                _ => Outcome::AsPromised,
            };
            assert_eq!(Outcome::of_trial(&trial), expected, "{verdict}");
        }
        let mut lucky = example::trial("hot-copy", Restorable);
        lucky.control = true;
        lucky.expected = vec![Corrupt];
        assert_eq!(Outcome::of_trial(&lucky), Outcome::FellShort);
    }

    #[test]
    fn under_a_fault_a_strategy_may_report_failure_but_not_harm_anything() {
        let outcome = |verdict, next_ok| {
            let mut trial = example::trial("one-step", verdict);
            let next_backup = Some(Aftermath { ok: next_ok, reason: String::new() });
            trial.fault = Some(Fault { proof: Some("killed".into()), next_backup, ..Fault::default() });
            Outcome::of_trial(&trial)
        };
        assert_eq!(outcome(Failed, true), Outcome::AsPromised);
        assert_eq!(outcome(Restorable, true), Outcome::AsPromised);
        assert_eq!(outcome(Failed, false), Outcome::FellShort);
        assert_eq!(outcome(Corrupt, true), Outcome::FellShort);
        assert_eq!(outcome(Stalled, true), Outcome::FellShort);
        assert_eq!(outcome(Unverified, true), Outcome::Unverified);
    }

    #[test]
    fn trials_with_faults_say_nothing_about_a_good_day() {
        let mut results = example::results(vec![example::trial("one-step", Restorable); 2]);
        let left = |results: &_| without_faults(results).map(|plain| plain.trials.len());
        assert_eq!(left(&results), Some(2));
        results.trials[1].fault = Some(Fault::default());
        assert_eq!(left(&results), Some(1));
        results.trials.remove(0);
        assert_eq!(left(&results), None);
    }

    #[test]
    fn a_run_that_was_cut_short_is_unverified_at_best() {
        let mut results = example::results(vec![example::trial("one-step", Restorable)]);
        assert_eq!(Outcome::of_run(&results), Outcome::AsPromised);
        results.run.planned_trials = 2;
        assert_eq!(Outcome::of_run(&results), Outcome::Unverified);
        results.trials[0].verdict = Lossy;
        assert_eq!(Outcome::of_run(&results), Outcome::FellShort);
        assert_eq!(Outcome::of_run(&example::results(Vec::new())), Outcome::Unverified);
    }

    proptest! {
        #[test]
        fn the_median_lies_within_the_range(values in prop::collection::vec(any::<f64>(), 0..20)) {
            let finite = values.iter().filter(|value| value.is_finite()).count();
            match Spread::of(values) {
                None => prop_assert_eq!(finite, 0),
                Some(spread) => {
                    prop_assert_eq!(spread.count, finite);
                    prop_assert!(spread.min <= spread.median && spread.median <= spread.max);
                }
            }
        }

        #[test]
        fn nothing_in_a_set_is_worse_than_its_worst_verdict(
            verdicts in prop::collection::vec(prop::sample::select(ALL.to_vec()), 0..8)
        ) {
            let trials: Vec<_> =
                verdicts.iter().map(|verdict| example::trial("one-step", *verdict)).collect();
            match worst_verdict(&trials) {
                None => prop_assert!(verdicts.is_empty()),
                Some(worst) => {
                    prop_assert!(verdicts.contains(&worst));
                    prop_assert!(verdicts.iter().all(|verdict| *verdict <= worst));
                }
            }
            let outcomes = trials.iter().map(Outcome::of_trial).max();
            prop_assert_eq!(Outcome::of_run(&example::results(trials)), outcomes.unwrap_or(Outcome::Unverified));
        }
    }
}
