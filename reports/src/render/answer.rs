//! Answers one question, from repeated trials of one strategy: can this backup be restored?

use super::number;
use super::table::{Cell, Column, Rank, Table};
use super::words;
use crate::compare::{is_cut_short, worst_verdict};
use crate::printable;
use crate::record::{Results, Trial, Verdict};

/// An answer in one sentence, and the table that it is based on.
pub struct Answer {
    /// The sentence.
    pub sentence: String,
    /// One row per repetition.
    pub table: Table,
    /// False when every restore was correct and nothing disturbed any backup: that proves little.
    pub is_proven: bool,
}

/// The answer from a run of one strategy.
pub fn answer(results: &Results) -> Answer {
    let trials = &results.trials;
    let challenged = trials.iter().filter(|trial| is_challenged(trial) == Some(true)).count();
    // Nothing can disturb a backup while the application is stopped.
    let could_be = trials.iter().any(|trial| is_challenged(trial).is_some());
    let is_right = worst_verdict(trials) == Some(Verdict::Restorable);
    let is_proven = !(is_right && could_be && challenged == 0);
    let sentence = match worst_verdict(trials) {
        None => "Inconclusive: no trial ran.".to_owned(),
        Some(_) if is_cut_short(results) => {
            "Inconclusive: the check was interrupted before its last trial.".to_owned()
        }
        Some(Verdict::Restorable) if is_proven => {
            let disturbed = if could_be {
                format!("; writes disturbed {challenged} of {} backups while they were made", trials.len())
            } else {
                String::new()
            };
            format!(
                "This backup can be restored: {} correct, with every write that it promises to keep{disturbed}.",
                all_restores_were(trials.len())
            )
        }
        Some(Verdict::Restorable) => format!(
            "Not challenged: {} correct, but nothing disturbed any backup while it was made, so this proves little; \
             try a larger --size, a higher --rate or more --repetitions.",
            all_restores_were(trials.len())
        ),
        Some(worst) => unfavourable(trials, worst),
    };
    Answer { sentence, table: table(trials), is_proven }
}

fn all_restores_were(count: usize) -> String {
    if count == 1 { "the only restore was".to_owned() } else { format!("all {count} restores were") }
}

/// The sentence for the worst verdict.
fn unfavourable(trials: &[Trial], worst: Verdict) -> String {
    let of_worst: Vec<&Trial> = trials.iter().filter(|trial| trial.verdict == worst).collect();
    let times = format!("in {} of {} trials", of_worst.len(), trials.len());
    let reason = of_worst.first().map_or(String::new(), |trial| first_line(&trial.reason));
    match worst {
        Verdict::Corrupt => {
            format!("Do not rely on this backup: the restored database was wrong {times}: {reason}")
        }
        Verdict::Lossy => {
            format!("Do not rely on this backup: it lost writes that it promises to keep {times}: {reason}")
        }
        Verdict::Failed => format!("This backup cannot be relied on: its commands failed {times}: {reason}"),
        Verdict::Stalled => format!("This backup may never finish: it made no progress {times}: {reason}"),
        Verdict::TimedOut => {
            format!("This backup is too slow: it was incomplete at the deadline {times}: {reason}")
        }
        Verdict::Unavailable => format!("This backup could not be tested on this machine: {reason}"),
        Verdict::Unverified | Verdict::Restorable => format!("Inconclusive {times}: {reason}"),
    }
}

fn first_line(reason: &str) -> String {
    printable(reason.lines().next().unwrap_or_default())
}

fn is_challenged(trial: &Trial) -> Option<bool> {
    Some(trial.backup.as_ref()?.challenge.as_ref()?.challenged)
}

fn table(trials: &[Trial]) -> Table {
    let mut table = Table::new(vec![
        Column::number("Trial", "repetition", Rank::Always),
        Column::text("Verdict", "verdict", Rank::Always),
        Column::number("Backup", "backup_seconds", Rank::Always),
        Column::number("Blocked", "blocked_seconds", Rank::Main(1)),
        Column::number("Loss at completion", "lost_seconds_at_completion", Rank::Main(2)),
        Column::number("Recovery", "recovery_seconds", Rank::Always),
        Column::number("Size", "artifact_bytes", Rank::Main(3)),
        Column::text("Disturbed", "challenged", Rank::Main(4)),
    ]);
    for trial in trials {
        let (backup, impact) = (trial.backup.as_ref(), trial.impact.as_ref());
        let (restore, point) = (trial.restore.as_ref(), trial.recovery_point.as_ref());
        table.push(vec![
            Cell::count(trial.repetition.into()),
            Cell::text(words::verdict(trial.verdict)),
            Cell::measured(backup.and_then(|backup| backup.seconds), number::seconds),
            Cell::measured(impact.and_then(|impact| impact.blocked_seconds), number::seconds),
            Cell::measured(point.and_then(|point| point.lost_seconds_at_completion), number::seconds),
            Cell::measured(restore.and_then(|restore| restore.recovery_seconds), number::seconds),
            Cell::measured(backup.and_then(|backup| Some(backup.artifact_bytes? as f64)), number::bytes),
            Cell::yes_or_no(is_challenged(trial)),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::record::Challenge;

    fn trials(verdicts: &[(Verdict, Option<bool>)]) -> Results {
        let trial = |(verdict, challenged): &(Verdict, Option<bool>)| {
            let mut trial = example::trial("script", *verdict);
            let challenge = challenged.map(|challenged| Challenge { challenged, ..Challenge::default() });
            if let Some(backup) = &mut trial.backup {
                backup.challenge = challenge;
            }
            trial
        };
        example::results(verdicts.iter().map(trial).collect())
    }

    #[test]
    fn each_outcome_has_its_sentence() {
        use Verdict::*;
        let cases: [&[(Verdict, Option<bool>)]; 10] = [
            &[],
            &[(Restorable, Some(true)), (Restorable, Some(false))],
            &[(Restorable, None)],
            &[(Restorable, Some(false)), (Restorable, Some(false))],
            &[(Restorable, Some(true)), (Corrupt, Some(true)), (Corrupt, Some(true))],
            &[(Lossy, Some(true)), (Failed, None)],
            &[(Failed, None)],
            &[(Stalled, None)],
            &[(TimedOut, None), (Unverified, None)],
            &[(Unverified, None), (Unavailable, None)],
        ];
        let mut shown: Vec<String> = Vec::new();
        for case in cases {
            let Answer { sentence, is_proven, .. } = answer(&trials(case));
            shown.push(format!("{}{sentence}", if is_proven { "" } else { "(not proven) " }));
        }
        let mut cut_short = trials(cases[2]);
        cut_short.run.planned_trials = 5;
        shown.push(answer(&cut_short).sentence);
        insta::assert_snapshot!(shown.join("\n"), @r"
        Inconclusive: no trial ran.
        This backup can be restored: all 2 restores were correct, with every write that it promises to keep; writes disturbed 1 of 2 backups while they were made.
        This backup can be restored: the only restore was correct, with every write that it promises to keep.
        (not proven) Not challenged: all 2 restores were correct, but nothing disturbed any backup while it was made, so this proves little; try a larger --size, a higher --rate or more --repetitions.
        Do not rely on this backup: the restored database was wrong in 2 of 3 trials: the restored database is wrong: 2 of 6 checks failed
        Do not rely on this backup: it lost writes that it promises to keep in 1 of 2 trials: 3 writes are missing that the strategy promised to keep
        This backup cannot be relied on: its commands failed in 1 of 1 trials: no progress for 12 s
        This backup may never finish: it made no progress in 1 of 1 trials: no progress for 12 s
        This backup is too slow: it was incomplete at the deadline in 1 of 2 trials: no progress for 12 s
        Inconclusive in 1 of 2 trials: no write was acknowledged
        Inconclusive: the check was interrupted before its last trial.
        ");
    }

    #[test]
    fn the_table_has_one_row_per_trial() {
        let answer = answer(&trials(&[(Verdict::Restorable, Some(true)), (Verdict::Failed, None)]));
        insta::assert_snapshot!(answer.table.fit(100).text, @r"
                                               Loss at
        Trial  Verdict     Backup  Blocked  completion  Recovery     Size  Disturbed
        ────────────────────────────────────────────────────────────────────────────
            1  restorable  1.25 s      0 s     10.0 ms    1.40 s  300 MiB  yes
            1  failed           –      0 s           –         –        –  –
        ");
    }
}
