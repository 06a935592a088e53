//! What happened during the backups, which decides how much a restorable backup proves.

use crate::compare::{Group, groups};
use crate::record::{Challenge, Trial};
use crate::render::{conditions::Conditions, number, table::Table};

const HOW: &str = "A backup that nothing disturbed proves little: an unsafe strategy can be lucky. This table counts what \
                   happened from the first to the last byte of the artifact. **Writes**: sent, waiting or acknowledged \
                   in that time. **Checkpoints** and **log resets**: observed from outside, so there may have been more; \
                   both change the bytes that a copy of the files reads. **Growth**: of the database file and its log. \
                   **Challenged**: trials in which something happened that makes an unsafe backup wrong: a checkpoint \
                   or log reset for scripts, snapshots and negative controls in WAL mode, a write for all others. \
                   Larger databases, higher rates, a lower `wal_autocheckpoint` and more repetitions make it more likely.";

/// The section on challenges, where a record has any.
pub(super) fn blocks(trials: &[Trial]) -> Vec<String> {
    let groups: Vec<Group<'_>> = groups(trials).into_iter().filter(|group| !of(group).is_empty()).collect();
    if groups.is_empty() {
        return Vec::new();
    }
    let all: Vec<&Trial> = groups.iter().flat_map(|group| group.trials.iter().copied()).collect();
    let conditions = Conditions::of(&all);
    let header =
        ["Strategy", "Copy time", "Writes", "Commits", "Checkpoints", "Log resets", "Growth", "Challenged"];
    let rows = groups.iter().map(|group| {
        let mut row = vec![conditions.row_name(group.first)];
        row.extend(counts(group));
        row
    });
    let challenges = Table::of_texts(header, rows.collect());
    vec!["## What happened during the backups".to_string(), HOW.to_string(), challenges.markdown()]
}

/// The challenges in the records of a group's trials.
fn of<'a>(group: &Group<'a>) -> Vec<&'a Challenge> {
    group.trials.iter().filter_map(|trial| trial.backup.as_ref()?.challenge.as_ref()).collect()
}

fn counts(group: &Group<'_>) -> Vec<String> {
    let all = of(group);
    let cell = |format: fn(f64) -> String, value: fn(&Challenge) -> Option<f64>| {
        let spread = group.spread(|trial| value(trial.backup.as_ref()?.challenge.as_ref()?));
        number::spread(spread, all.len(), format)
    };
    let challenged = all.iter().filter(|challenge| challenge.challenged).count();
    vec![
        cell(number::seconds, |challenge| Some(challenge.seconds)),
        cell(number::count, |challenge| Some(challenge.writes as f64)),
        cell(number::count, |challenge| Some(challenge.commits as f64)),
        cell(number::count, |challenge| challenge.checkpoints.map(|count| count as f64)),
        cell(number::count, |challenge| challenge.log_resets.map(|count| count as f64)),
        cell(number::bytes, |challenge| challenge.growth_bytes.map(|bytes| bytes as f64)),
        format!("{challenged} of {}", all.len()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::record::Verdict::Restorable;

    fn challenged(strategy: &str, commits: u64, checkpoints: Option<u64>, challenged: bool) -> Trial {
        let mut trial = example::trial(strategy, Restorable);
        let challenge = Challenge {
            seconds: 0.009,
            writes: commits + 1,
            commits,
            checkpoints,
            log_resets: checkpoints,
            growth_bytes: checkpoints.map(|_| 8192),
            challenged,
        };
        trial.backup.as_mut().unwrap().challenge = Some(challenge);
        trial
    }

    #[test]
    fn events_during_each_backup_are_counted() {
        assert!(blocks(&[example::trial("cold-copy", Restorable)]).is_empty(), "nothing is known of it");
        let trials = [
            challenged("lucky", 2, Some(0), false),
            challenged("lucky", 4, Some(1), true),
            challenged("server", 7, None, true),
            example::trial("cold-copy", Restorable),
        ];
        insta::assert_snapshot!(blocks(&trials)[2], @"
        | Strategy | Copy time | Writes | Commits | Checkpoints | Log resets | Growth | Challenged |
        | --- | --- | --- | --- | --- | --- | --- | --- |
        | lucky | 9.00 ms | 4 (3 to 5) | 3 (2 to 4) | 0.5 (0 to 1) | 0.5 (0 to 1) | 8.00 KiB | 1 of 2 |
        | server | 9.00 ms | 8 | 7 | – | – | – | 1 of 1 |
        ");
    }
}
