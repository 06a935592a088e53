//! What came of the faults of a run: how each strategy reacted to each fault, and what came to harm.

use super::conditions::Conditions;
use super::number;
use super::table::{Cell, Column, Rank, Table};
use super::words::{self, counted, each_once};
use crate::compare::{Outcome, groups};
use crate::reaction::Reaction;
use crate::record::{Aftermath, Fault, Trial};

/// The part of a report on faults.
pub struct Faults<'a> {
    /// How often each reaction occurred.
    pub summary: String,
    /// Trials in which a wrong or missing result was reported as a success, with the reason: the worst that there is.
    pub silent: Vec<(&'a Trial, String)>,
    /// Trials after which the previous backup, the source or the next backup was not as it should be, with the reason.
    pub harmed: Vec<(&'a Trial, String)>,
    /// Trials in which the fault did not show anything, with the reason.
    pub inconclusive: Vec<(&'a Trial, String)>,
    /// One row for each strategy on each subject.
    pub matrix: Matrix<'a>,
    /// One row for each strategy, subject and fault.
    pub details: Table,
}

/// Strategies by faults.
pub struct Matrix<'a> {
    /// The faults, in the order in which they were tried.
    pub faults: Vec<String>,
    /// The name of each row, and a cell for each fault: `None` where it was not tried.
    pub rows: Vec<(String, Vec<Option<MatrixCell<'a>>>)>,
}

/// One cell of the matrix.
pub struct MatrixCell<'a> {
    /// A trial with the worst result of its repetitions.
    pub trial: &'a Trial,
    /// How the strategy reacted; `None` when no repetition showed that.
    pub reaction: Option<Reaction>,
    /// The reaction in words, and what came to harm.
    pub text: String,
}

/// What the words mean.
pub const LEGEND: [(&str, &str); 4] = [
    ("survived", "the strategy reported success, and the restored database is right"),
    ("detected", "the strategy reported a failure"),
    ("hung", "the strategy neither succeeded nor failed in time"),
    ("silent", "the strategy reported success, and the restored database is wrong or missing"),
];

/// The part of a report on faults; `None` when no trial had one.
pub fn faults(trials: &[Trial]) -> Option<Faults<'_>> {
    let faulted: Vec<(&Trial, &Fault)> =
        trials.iter().filter_map(|trial| Some((trial, trial.fault.as_ref()?))).collect();
    if faulted.is_empty() {
        return None;
    }
    let all: Vec<&Trial> = faulted.iter().map(|(trial, _)| *trial).collect();
    let with = |wanted: fn(&Trial) -> bool| {
        let those = all.iter().filter(|trial| wanted(trial));
        those.map(|trial| (*trial, trial.reason.clone())).collect::<Vec<_>>()
    };
    let harm = |fault: &Fault| {
        let parts: Vec<String> = fault.harm().map(|(part, reason)| format!("{part}: {reason}")).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    };
    let harmed = faulted.iter().filter_map(|(trial, fault)| Some((*trial, harm(fault)?)));
    Some(Faults {
        summary: summary(&all),
        silent: with(|trial| Reaction::of(trial) == Some(Reaction::Silent)),
        harmed: harmed.collect(),
        inconclusive: with(|trial| Reaction::of(trial).is_none()),
        matrix: matrix(trials, &all),
        details: details(&faulted),
    })
}

fn summary(all: &[&Trial]) -> String {
    let count = |reaction| all.iter().filter(|trial| Reaction::of(trial) == reaction).count();
    let reactions = [Reaction::Survived, Reaction::Detected, Reaction::Hung, Reaction::Silent];
    let mut parts: Vec<String> = reactions
        .into_iter()
        .map(|reaction| (reaction.name(), count(Some(reaction))))
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let nothing = count(None);
    if nothing > 0 {
        parts.push(format!("{nothing} inconclusive or unavailable"));
    }
    let short = all.iter().filter(|trial| Outcome::of_trial(trial) == Outcome::FellShort).count();
    let fell_short = match short {
        0 => "No strategy fell short".to_owned(),
        short => format!("In {} a strategy fell short", counted(short, "of them", "of them")),
    };
    format!(
        "{}: {}. {fell_short}.",
        counted(all.len(), "trial with a fault", "trials with faults"),
        parts.join(", ")
    )
}

/// The conditions by which rows are named: all but the fault.
fn conditions(all: &[&Trial]) -> Conditions {
    // The file system follows from the fault.
    Conditions::of(all).without("fault").without("file system")
}

fn label(trial: &Trial) -> String {
    trial.fault.as_ref().map_or(String::new(), |fault| fault.label.clone())
}

fn matrix<'a>(trials: &'a [Trial], all: &[&'a Trial]) -> Matrix<'a> {
    let conditions = conditions(all);
    let faults = each_once(all.iter().map(|trial| label(trial)));
    let names = each_once(all.iter().map(|trial| conditions.row_name(trial)));
    let mut rows: Vec<(String, Vec<Option<MatrixCell<'a>>>)> =
        names.into_iter().map(|name| (name, faults.iter().map(|_| None).collect())).collect();
    for group in groups(trials).into_iter().filter(|group| group.first.fault.is_some()) {
        let name = conditions.row_name(group.first);
        let row = rows.iter_mut().find(|(known, _)| *known == name);
        let column = faults.iter().position(|fault| *fault == label(group.first));
        if let (Some((_, cells)), Some(column)) = (row, column) {
            cells[column] = cell(&group.trials);
        }
    }
    Matrix { faults, rows }
}

/// The worst of the repetitions.
fn cell<'a>(repetitions: &[&'a Trial]) -> Option<MatrixCell<'a>> {
    let rank = |trial: &&&Trial| (Reaction::of(trial), Outcome::of_trial(trial));
    let trial = *repetitions.iter().max_by_key(rank)?;
    let reaction = Reaction::of(trial);
    let mut text = reaction.map_or(words::verdict(trial.verdict), Reaction::name).to_owned();
    let same = repetitions.iter().filter(|other| Reaction::of(other) == reaction).count();
    if same < repetitions.len() {
        text += &format!(" ({same} of {})", repetitions.len());
    }
    let harmed = repetitions.iter().filter_map(|trial| trial.fault.as_ref()).flat_map(Fault::harm);
    let harmed = each_once(harmed.map(|(part, _)| part.to_owned()));
    if !harmed.is_empty() {
        text += &format!("; {} harmed", harmed.join(", "));
    }
    Some(MatrixCell { trial, reaction, text })
}

fn details(faulted: &[(&Trial, &Fault)]) -> Table {
    let conditions = conditions(&faulted.iter().map(|(trial, _)| *trial).collect::<Vec<_>>());
    let mut table = Table::new(vec![
        Column::text("Strategy", "strategy", Rank::Always),
        Column::text("Fault", "fault", Rank::Always),
        Column::text("Reaction", "reaction", Rank::Always),
        Column::number("Reported after", "reported_seconds", Rank::Main(3)),
        Column::text("Previous backup", "previous_backup_ok", Rank::Main(0)),
        Column::text("Source", "source_ok", Rank::Main(1)),
        Column::text("Next backup", "next_backup_ok", Rank::Main(2)),
        Column::text("Left behind", "leftovers", Rank::Main(4)),
    ]);
    for (trial, fault) in faulted {
        let reaction = Reaction::of(trial).map_or(words::verdict(trial.verdict), Reaction::name);
        let left =
            if fault.leftovers.is_empty() { number::MISSING.to_owned() } else { fault.leftovers.join("; ") };
        table.push(vec![
            conditions.row_name(trial).into(),
            fault.label.as_str().into(),
            reaction.into(),
            Cell::measured(fault.reported_seconds, number::seconds),
            came_through(fault.previous_backup.as_ref()),
            came_through(fault.source.as_ref()),
            came_through(fault.next_backup.as_ref()),
            left.into(),
        ]);
    }
    table
}

fn came_through(part: Option<&Aftermath>) -> Cell {
    let text = part.map_or(number::MISSING, |part| if part.ok { "right" } else { "harmed" });
    Cell { text: text.to_owned(), value: part.map_or(serde_json::Value::Null, |part| part.ok.into()) }
}

/// A small run with faults, for tests.
#[cfg(test)]
pub(crate) mod example_run {
    use super::*;
    use crate::example;
    use crate::record::Verdict::{self, *};

    /// Two strategies under two faults.
    pub(crate) fn trials() -> Vec<Trial> {
        let trial = |strategy: &str, fault: &str, verdict: Verdict, next_ok: bool| {
            let mut trial = example::trial(strategy, verdict);
            let part = |ok: bool| {
                let reason = if ok { "all checks passed" } else { "the destination is locked" };
                Some(Aftermath { ok, reason: reason.into() })
            };
            trial.id = format!("{strategy}/wal/8MiB/50/{fault}/1");
            trial.fault = Some(Fault {
                name: fault.into(),
                label: fault.into(),
                proof: Some("it struck".into()),
                struck_at_seconds: Some(3.0),
                reported_seconds: (verdict == Failed).then_some(0.25),
                previous_backup: part(true),
                source: part(true),
                next_backup: part(next_ok),
                leftovers: if verdict == Failed { vec!["1 file with 2.0 MiB".into()] } else { Vec::new() },
                ..Fault::default()
            });
            trial
        };
        vec![
            trial("cold-copy", "kill-strategy", Failed, true),
            trial("vacuum-into", "kill-strategy", Failed, false),
            trial("cold-copy", "bit-flip", Corrupt, true),
            trial("vacuum-into", "bit-flip", Restorable, true),
            trial("vacuum-into", "truncated", Unverified, true),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::record::Verdict::*;

    #[test]
    fn a_run_without_faults_has_no_such_part() {
        assert!(faults(&[example::trial("one-step", Restorable)]).is_none());
    }

    #[test]
    fn each_fault_has_a_column_and_each_strategy_a_row() {
        let trials = example_run::trials();
        let found = faults(&trials).unwrap();
        assert_eq!(found.matrix.faults, ["kill-strategy", "bit-flip", "truncated"]);
        let rows: Vec<String> = found
            .matrix
            .rows
            .iter()
            .map(|(name, cells)| {
                let texts = cells.iter().map(|cell| cell.as_ref().map_or("-", |cell| &cell.text));
                format!("{name}: {}", texts.collect::<Vec<_>>().join(" | "))
            })
            .collect();
        insta::assert_snapshot!(rows.join("\n"), @r"
        cold-copy: detected | silent | -
        vacuum-into: detected; next backup harmed | survived | inconclusive
        ");
        assert_eq!((found.silent.len(), found.harmed.len(), found.inconclusive.len()), (1, 1, 1));
        assert_eq!(
            found.summary,
            "5 trials with faults: 1 survived, 2 detected, 1 silent, 1 inconclusive or unavailable. In 2 of them a strategy fell short."
        );
    }

    #[test]
    fn a_cell_is_the_worst_of_its_repetitions() {
        let mut trials = vec![example_run::trials().remove(3); 3];
        trials[1].verdict = Corrupt;
        let found = faults(&trials).unwrap();
        let cell = found.matrix.rows[0].1[0].as_ref().unwrap();
        assert_eq!((cell.text.as_str(), cell.trial.verdict), ("silent (1 of 3)", Corrupt));
    }
}
