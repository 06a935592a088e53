//! Artifacts that left the machine: what each stage took on the way out and back.

use super::conditions::Conditions;
use super::number;
use super::table::{Cell, Column, Rank, Table};
use crate::compare::{Spread, groups};
use crate::record::{Offsite, Stage, Trial};

/// The part of a report on artifacts that left the machine.
pub struct OffsiteTables {
    /// One row for each strategy with its stages: how long publishing and recovering took.
    pub summary: Table,
    /// One row for each stage of each of them. Where there are several repetitions: the medians.
    pub stages: Table,
}

/// What the columns mean.
pub const LEGEND: &str = "Publish: from the local artifact to an object at the destination; fetch: from the object to \
                          the artifact in an empty place. Recovery is counted from the disaster until the application \
                          answers, with fetch and restore in it; everything on the machine was lost but the keys.";

/// The part of a report on artifacts that left the machine; `None` when none did.
pub fn offsite(trials: &[Trial]) -> Option<OffsiteTables> {
    let away: Vec<&Trial> = trials.iter().filter(|trial| trial.offsite.is_some()).collect();
    if away.is_empty() {
        return None;
    }
    let conditions = Conditions::of(&away).without("stages");
    let mut tables =
        OffsiteTables { summary: Table::new(summary_columns()), stages: Table::new(stage_columns()) };
    for group in groups(trials).into_iter().filter(|group| group.first.offsite.is_some()) {
        let records: Vec<(&Trial, &Offsite)> =
            group.trials.iter().filter_map(|trial| Some((*trial, trial.offsite.as_ref()?))).collect();
        let (name, label) = (conditions.row_name(group.first), records[0].1.label.clone());
        tables.summary.push(summary_row(&name, &label, &records));
        for number in 0..records.iter().map(|(_, record)| record.stages.len()).max().unwrap_or(0) {
            let repetitions: Vec<&Stage> =
                records.iter().filter_map(|(_, record)| record.stages.get(number)).collect();
            tables.stages.push(stage_row(&name, &label, &repetitions));
        }
    }
    Some(tables)
}

fn summary_columns() -> Vec<Column> {
    vec![
        Column::text("Strategy", "strategy", Rank::Always),
        Column::text("Stages", "stages", Rank::Always),
        Column::number("Backup", "backup_seconds", Rank::Main(2)),
        Column::number("Publish", "publish_seconds", Rank::Main(1)),
        Column::number("Object", "object_bytes", Rank::Main(3)),
        Column::number("Fetch", "fetch_seconds", Rank::Main(1)),
        Column::number("Restore", "restore_seconds", Rank::Main(2)),
        Column::number("Recovery", "recovery_seconds", Rank::Main(0)),
    ]
}

fn summary_row(name: &str, label: &str, records: &[(&Trial, &Offsite)]) -> Vec<Cell> {
    let median = |value: fn(&Trial, &Offsite) -> Option<f64>| {
        median(records.iter().filter_map(|(trial, record)| value(trial, record)))
    };
    vec![
        name.into(),
        label.into(),
        Cell::measured(median(|trial, _| trial.backup.as_ref()?.seconds), number::seconds),
        Cell::measured(median(|_, record| record.seconds(false)), number::seconds),
        Cell::measured(median(|_, record| record.object_bytes.map(|bytes| bytes as f64)), number::bytes),
        Cell::measured(median(|_, record| record.seconds(true)), number::seconds),
        Cell::measured(median(|trial, _| trial.restore.as_ref()?.seconds), number::seconds),
        Cell::measured(median(|trial, _| trial.restore.as_ref()?.recovery_seconds), number::seconds),
    ]
}

fn stage_columns() -> Vec<Column> {
    vec![
        Column::text("Strategy", "strategy", Rank::Always),
        Column::text("Stages", "stages", Rank::Main(3)),
        Column::text("Stage", "stage", Rank::Always),
        Column::number("Time", "seconds", Rank::Main(0)),
        Column::number("Bytes in", "bytes_in", Rank::Main(1)),
        Column::number("Bytes out", "bytes_out", Rank::Main(1)),
        Column::number("CPU", "cpu_seconds", Rank::Main(2)),
        Column::number("Memory", "memory_bytes_max", Rank::Detail(0)),
        Column::number("Requests", "requests", Rank::Detail(1)),
    ]
}

fn stage_row(name: &str, label: &str, repetitions: &[&Stage]) -> Vec<Cell> {
    let median =
        |value: fn(&Stage) -> Option<f64>| median(repetitions.iter().filter_map(|stage| value(stage)));
    vec![
        name.into(),
        label.into(),
        title(repetitions[0]).into(),
        Cell::measured(median(|stage| Some(stage.seconds)), number::seconds),
        Cell::measured(median(|stage| Some(stage.bytes_in as f64)), number::bytes),
        Cell::measured(median(|stage| Some(stage.bytes_out as f64)), number::bytes),
        Cell::measured(median(|stage| stage.cpu_seconds), number::seconds),
        Cell::measured(median(|stage| Some(stage.memory_bytes_max? as f64)), number::bytes),
        Cell::measured(median(|stage| Some(stage.requests? as f64)), number::count),
    ]
}

/// The name of a stage with its direction.
pub fn title(stage: &Stage) -> String {
    if stage.is_back { format!("{}, back", stage.name) } else { stage.name.clone() }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    Spread::of(values).map(|spread| spread.median)
}

/// A small run with artifacts that left the machine, for tests.
#[cfg(test)]
pub(crate) mod example_run {
    use crate::example;
    use crate::record::Verdict::{self, *};
    use crate::record::{Offsite, Stage, Trial};

    /// One strategy with two repetitions, one that failed to publish, and one whose artifact stayed on the machine.
    pub(crate) fn trials() -> Vec<Trial> {
        let mut trials = vec![example::trial("local", Restorable)];
        trials.push(away("dump", Restorable, 1, &["pack", "zstd", "s3"], &["s3", "zstd", "pack"]));
        trials.push(away("dump", Restorable, 2, &["pack", "zstd", "s3"], &["s3", "zstd", "pack"]));
        let mut failed = away("copy", Failed, 1, &["pack", "zstd"], &[]);
        (failed.restore, failed.recovery_point, failed.verification) = (None, None, None);
        failed.offsite.as_mut().unwrap().object_bytes = None;
        trials.push(failed);
        trials
    }

    fn away(strategy: &str, verdict: Verdict, repetition: u32, out: &[&str], back: &[&str]) -> Trial {
        let mut trial = example::trial(strategy, verdict);
        trial.repetition = repetition;
        trial.id = format!("{strategy}/wal/300MiB/50/zstd+s3/{repetition}");
        let stage = |name: &&str, is_back| Stage {
            name: (*name).into(),
            is_back,
            seconds: f64::from(repetition) * name.len() as f64 / 10.0,
            bytes_in: 300 << 20,
            bytes_out: 100 << 20,
            cpu_seconds: Some(0.25),
            memory_bytes_max: (*name != "pack").then_some(8 << 20),
            requests: (*name == "s3").then_some(14),
        };
        let (out, back) =
            (out.iter().map(|name| stage(name, false)), back.iter().map(|name| stage(name, true)));
        trial.offsite = Some(Offsite {
            label: "zstd+s3".into(),
            settings: Vec::new(),
            object_bytes: Some(100 << 20),
            stages: out.chain(back).collect(),
        });
        trial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_that_stays_on_the_machine_has_no_such_part() {
        assert!(offsite(&example_run::trials()[..1]).is_none());
    }

    #[test]
    fn repetitions_are_one_row_with_medians() {
        let tables = offsite(&example_run::trials()).unwrap();
        let rows = |table: &Table| -> Vec<String> {
            let row =
                |row: &[Cell]| row.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>().join(" | ");
            table.rows().map(row).collect()
        };
        insta::assert_snapshot!(rows(&tables.summary).join("\n"));
        insta::assert_snapshot!(rows(&tables.stages).join("\n"));
    }
}
