//! The error rates of the gate: false alarms where nothing changed, and slowdowns that it does not find.
//!
//! Both are counted. Pairs are drawn with replacement from recorded runs, with copy and backup time of a trial
//! together, so that their ratio remains that of the machine. Live runs are counted by the same rules.

use fastrand::Rng;

use super::{Answer, Comparison, Settings, compare, compare_flagged, subject};
use crate::record::{Results, Trial, Verdict};
use crate::render::number;

/// The slowdowns that are tested, as shares: 0 is an A/A comparison.
pub const SLOWDOWNS: [f64; 4] = [0.0, 0.1, 0.25, 0.5];

/// The results of many comparisons with the same slowdown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    /// By how much the strategy was slowed down, as a share.
    pub slowdown: f64,
    /// How many comparisons were made.
    pub comparisons: u32,
    /// In how many the slower strategy was reported as regressed; without a slowdown, in how many anything was.
    pub regressed: u32,
    /// In how many it was reported as regressed again after a second measurement; null without a second measurement.
    pub confirmed: Option<u32>,
    /// In how many the backup time was reported as equivalent or improved.
    pub passed: u32,
}

/// The metric that is slowed down.
const SLOWED: &str = "backup time";

impl Rates {
    /// Rates without any comparison yet.
    pub fn new(slowdown: f64) -> Rates {
        Rates { slowdown, ..Rates::default() }
    }

    /// Counts a comparison in which `slowed` was slowed down, and its confirmation if there was one.
    pub fn count(&mut self, first: &Comparison, confirmed: Option<&Comparison>, slowed: &str) {
        self.comparisons += 1;
        let is_found = |comparison: &Comparison| {
            comparison.rows.iter().any(|row| {
                row.answer == Answer::Regressed
                    && (self.slowdown == 0.0 || (row.subject == slowed && row.metric == SLOWED))
            })
        };
        let (found, found_again) = (is_found(first), confirmed.map(is_found));
        let row = first.rows.iter().find(|row| row.subject == slowed && row.metric == SLOWED);
        let passed = row.is_some_and(|row| matches!(row.answer, Answer::Equivalent | Answer::Improved));
        self.regressed += u32::from(found);
        self.passed += u32::from(passed);
        if let Some(again) = found_again {
            *self.confirmed.get_or_insert(0) += u32::from(again);
        }
    }
}

/// Error rates from recorded runs: for each of [`SLOWDOWNS`], `comparisons` comparisons of two runs with `pairs`
/// repetitions drawn from the records. Each comparison slows down another subject. `None` when no strategy was
/// measured three times.
pub fn recorded(
    runs: &[Results],
    pairs: u32,
    comparisons: u32,
    seed: u64,
    settings: &Settings,
) -> Option<Vec<Rates>> {
    let source = Source::of(runs)?;
    let mut random = Rng::with_seed(seed);
    let rates = SLOWDOWNS.map(|slowdown| {
        let mut rates = Rates::new(slowdown);
        for number in 0..comparisons {
            let slowed = &source.subjects[number as usize % source.subjects.len()].0;
            let mut compared = |flagged: Option<&Comparison>| {
                let baseline = source.draw(pairs, &mut random, None);
                let candidate = source.draw(pairs, &mut random, Some((slowed, slowdown)));
                let compared = match flagged {
                    None => compare(&baseline, &candidate, &[], settings),
                    Some(first) => compare_flagged(first, &baseline, &candidate, settings),
                };
                compared.expect("both were drawn from the same trials")
            };
            let first = compared(None);
            let again = first.flagged().next().is_some().then(|| compared(Some(&first)));
            let confirmed = again.map_or(first.clone(), |again| first.clone().confirmed_by(&again));
            rates.count(&first, Some(&confirmed), slowed);
        }
        rates
    });
    Some(rates.into())
}

/// The records that repetitions are drawn from.
struct Source<'a> {
    run: &'a Results,
    subjects: Vec<(String, Vec<&'a Trial>)>,
}

/// Fewer repetitions are not enough to estimate the noise.
const REPETITIONS_MIN: usize = 3;

impl<'a> Source<'a> {
    /// The strategies with enough repetitions.
    fn of(runs: &'a [Results]) -> Option<Source<'a>> {
        let mut subjects: Vec<(String, Vec<&Trial>)> = Vec::new();
        for (number, trial) in
            runs.iter().enumerate().flat_map(|(at, run)| run.trials.iter().map(move |t| (at, t)))
        {
            if trial.verdict != Verdict::Restorable || trial.control {
                continue;
            }
            // Repetitions of different runs are not mixed, because differences between runs are another kind of
            // noise.
            let name = format!("run-{}/{}", number + 1, subject(trial));
            match subjects.iter_mut().find(|(known, _)| *known == name) {
                Some((_, trials)) => trials.push(trial),
                None => subjects.push((name, vec![trial])),
            }
        }
        subjects.retain(|(_, trials)| trials.len() >= REPETITIONS_MIN);
        let run = runs.first().filter(|_| !subjects.is_empty())?;
        Some(Source { run, subjects })
    }

    /// A run with `pairs` repetitions of each subject, one of them slowed down by a share.
    fn draw(&self, pairs: u32, random: &mut Rng, slowed: Option<(&str, f64)>) -> Results {
        let mut trials = Vec::new();
        for (name, recorded) in &self.subjects {
            for repetition in 1..=pairs {
                let mut trial = recorded[random.usize(..recorded.len())].clone();
                (trial.id, trial.repetition) = (format!("{name}/{repetition}"), repetition);
                // The samples use most of the memory, and the comparison does not need them.
                trial.samples.clear();
                let share = slowed.filter(|(slowed, _)| slowed == name).map_or(0.0, |(_, share)| share);
                if let Some(seconds) = trial.backup.as_mut().and_then(|backup| backup.seconds.as_mut()) {
                    *seconds *= 1.0 + share;
                }
                trials.push(trial);
            }
        }
        Results { schema: self.run.schema.clone(), run: self.run.run.clone(), trials }
    }
}

/// The error rates as a Markdown table.
pub fn markdown(rates: &[Rates]) -> String {
    let mut text = String::from(
        "| Slowdown | Comparisons | Reported as regressed | Confirmed with --confirm | Reported as equivalent or improved |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for one in rates {
        let slowdown = if one.slowdown == 0.0 { "none (A/A)".into() } else { number::percent(one.slowdown) };
        let confirmed = one.confirmed.map_or_else(|| number::MISSING.to_owned(), |count| count.to_string());
        let (comparisons, regressed, passed) = (one.comparisons, one.regressed, one.passed);
        text += &format!("| {slowdown} | {comparisons} | {regressed} | {confirmed} | {passed} |\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    /// A run of one strategy. Its backups take these multiples of the copy time.
    fn run(multiples: &[f64]) -> Results {
        let trials = multiples.iter().zip(1..).map(|(multiple, repetition)| {
            let mut trial = example::trial("one-step", Verdict::Restorable);
            (trial.id, trial.repetition) = (format!("one-step/wal/{repetition}"), repetition);
            trial.backup.as_mut().unwrap().seconds = Some(*multiple);
            trial
        });
        example::results(trials.collect())
    }

    #[test]
    fn a_quiet_machine_gives_no_false_alarm_and_detects_a_slowdown_of_25_percent() {
        let quiet = run(&[1.0, 1.02, 0.97, 1.05, 0.96, 1.01]);
        let rates = recorded(&[quiet], 6, 100, 1, &Settings::default()).unwrap();
        let (same, quarter, half) = (&rates[0], &rates[2], &rates[3]);
        assert_eq!((same.comparisons, same.regressed, same.confirmed), (100, 0, Some(0)));
        assert!(quarter.regressed >= 90 && quarter.confirmed >= Some(90), "{rates:?}");
        assert!(half.regressed >= 99, "{rates:?}");
        assert_eq!(half.passed, 0);
    }

    #[test]
    fn the_noise_of_a_busy_machine_is_rarely_reported_as_regression_and_even_less_when_confirmed() {
        let busy = run(&[1.0, 1.6, 0.7, 1.3, 0.8, 2.0, 1.1, 0.9]);
        let rates = recorded(&[busy], 6, 400, 1, &Settings::default()).unwrap();
        // One direction of 5 %, and both tests must agree: fewer than 2.5 % and three standard errors.
        assert!(rates[0].regressed <= 20, "{rates:?}");
        assert!(rates[0].confirmed <= Some(2), "{rates:?}");
    }

    #[test]
    fn too_few_repetitions_give_no_rates_and_the_seed_decides_the_result() {
        assert_eq!(recorded(&[run(&[1.0, 1.1])], 6, 10, 1, &Settings::default()), None);
        assert_eq!(recorded(&[], 6, 10, 1, &Settings::default()), None);
        let busy = [run(&[1.0, 1.6, 0.7, 1.3])];
        let counted = |seed| recorded(&busy, 6, 50, seed, &Settings::default());
        assert_eq!(counted(3), counted(3));
    }

    #[test]
    fn the_table_shows_counts_and_a_dash_for_what_was_not_confirmed() {
        let rates = [
            Rates { slowdown: 0.25, comparisons: 10, regressed: 9, confirmed: None, passed: 0 },
            Rates::new(0.0),
        ];
        insta::assert_snapshot!(markdown(&rates), @r"
        | Slowdown | Comparisons | Reported as regressed | Confirmed with --confirm | Reported as equivalent or improved |
        | --- | --- | --- | --- | --- |
        | 25 % | 10 | 9 | – | 0 |
        | none (A/A) | 0 | 0 | – | 0 |
        ");
    }
}
