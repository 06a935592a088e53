//! The evidence for each verdict.

use super::outputs::without_stack_traces;
use super::restart_model::{self, discarded_bytes};
use super::text::{code, code_block, plain, sentence};
use super::{kept, remarks};
use crate::compare::{Group, groups};
use crate::record::{Backup, Check, Level, RecoveryPoint, Results, Trial, Verdict, Verification};
use crate::render::conditions::{self, Conditions};
use crate::render::number;
use crate::render::words::{self, in_a_row};

/// The number of findings shown per trial: enough to see the kind of damage. The record has them all.
const FINDINGS_SHOWN: usize = 5;

/// The section on evidence.
pub(super) fn blocks(results: &Results) -> Vec<String> {
    if results.trials.is_empty() {
        return Vec::new();
    }
    let mut blocks = vec!["## Evidence".to_string(), passed(&results.trials) + &levels(&results.trials)];
    let all: Vec<&Trial> = results.trials.iter().collect();
    let conditions = Conditions::of(&all);
    for group in groups(&results.trials) {
        if !matches!(group.verdict(), Verdict::Restorable | Verdict::Unavailable) {
            blocks.extend(group_blocks(&group, &conditions));
        }
    }
    blocks.extend(remarks::blocks(&results.trials));
    blocks.extend(unavailable(&results.trials));
    blocks.extend(acknowledged_too_early(&results.trials));
    blocks.extend(restart_model::blocks(results));
    blocks.extend(kept::blocks(&results.trials));
    blocks
}

/// Whether the application had written everything that it acknowledged, where this was examined.
fn acknowledged_too_early(trials: &[Trial]) -> Vec<String> {
    let mut subjects: Vec<(String, Vec<&RecoveryPoint>)> = Vec::new();
    for trial in trials {
        let examined = trial.recovery_point.as_ref().filter(|point| point.never_written.is_some());
        let Some(point) = examined else { continue };
        let subject = conditions::subject(trial);
        match subjects.iter_mut().find(|(known, _)| *known == subject) {
            Some((_, points)) => points.push(point),
            None => subjects.push((subject, vec![point])),
        }
    }
    if subjects.is_empty() {
        return Vec::new();
    }
    let item = |(subject, points): &(String, Vec<&RecoveryPoint>)| {
        let lacked: u64 = points.iter().filter_map(|point| point.never_written).sum();
        let written: u64 = points.iter().map(|point| point.acknowledged_writes).sum();
        let affected = points.iter().filter(|point| point.never_written > Some(0)).count();
        format!(
            "- {}: of {} acknowledged writes, {} were not in its database, in {affected} of {} trials.",
            plain(subject),
            written + lacked,
            lacked,
            points.len()
        )
    };
    vec![
        "### Writes acknowledged but not written".to_string(),
        "After the SIGKILL and before any restore, the application's own data was compared with the ledger. Writes that \
         are missing there were lost by the application, and are not counted against a strategy."
            .to_string(),
        subjects.iter().map(item).collect::<Vec<_>>().join("\n"),
    ]
}

/// The evidence of one group of repetitions: a heading, the promise, and each trial that did not keep it.
fn group_blocks(group: &Group<'_>, conditions: &Conditions) -> Vec<String> {
    let name = conditions::strategy(group.first) + &conditions.difference(group.first);
    let mut blocks = vec![format!("### {}: {}", words::verdict(group.verdict()), plain(&name))];
    if !group.first.control {
        blocks.push(format!("Promise: {}", sentence(&group.first.promise)));
    }
    // Repetitions with the same result for the same reasons are one item.
    let mut items: Vec<(Vec<String>, String)> = Vec::new();
    for trial in group.trials.iter().filter(|trial| trial.verdict != Verdict::Restorable) {
        let text = trial_text(trial);
        match items.iter_mut().find(|(_, known)| *known == text) {
            Some((ids, _)) => ids.push(code(&trial.id)),
            None => items.push((vec![code(&trial.id)], text)),
        }
    }
    let items = items.iter().map(|(ids, text)| format!("- {} {text}", ids.join(", ")));
    blocks.push(items.collect::<Vec<_>>().join("\n"));
    blocks
}

/// Strategies that could not run: each reason once, because it is the same at every size and rate.
fn unavailable(trials: &[Trial]) -> Vec<String> {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for trial in trials.iter().filter(|trial| trial.verdict == Verdict::Unavailable) {
        let text = format!("{}: {}", plain(&conditions::strategy(trial)), sentence(&trial.reason));
        match counted.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += 1,
            None => counted.push((text, 1)),
        }
    }
    if counted.is_empty() {
        return Vec::new();
    }
    let item = |(text, count): &(String, usize)| match count {
        1 => format!("- {text}"),
        count => format!("- {text} ({count} trials)"),
    };
    let items = counted.iter().map(item).collect::<Vec<_>>().join("\n");
    vec!["### Unavailable on this machine".to_string(), items]
}

/// The checks of the restorable trials, and which of them were not checked completely.
fn passed(trials: &[Trial]) -> String {
    let restorable: Vec<&Trial> =
        trials.iter().filter(|trial| trial.verdict == Verdict::Restorable).collect();
    if restorable.is_empty() {
        return "No trial was restorable.".to_string();
    }
    let all_passed = |trial: &Trial| {
        let checks = trial.verification.as_ref().map(checks);
        checks.is_some_and(|checks| checks.iter().all(|(_, check)| *check == Some(Check::Pass)))
    };
    let (full, partial): (Vec<&Trial>, Vec<&Trial>) =
        restorable.iter().copied().partition(|trial| all_passed(trial));
    let mut text = format!(
        "{} of {} restorable trials passed all six checks: integrity, prefix, order, transactions, content, loss.",
        full.len(),
        restorable.len()
    );
    let beside = |trial: &&&Trial| {
        trial.verification.as_ref().is_some_and(|checks| checks.configuration == Some(Check::Pass))
    };
    match restorable.iter().filter(beside).count() {
        0 => {}
        count => {
            text += &format!(" In {count} of them the configuration files were restored unchanged, too.")
        }
    }
    for trial in partial {
        text += &format!(" {}: {}.", code(&trial.id), plain(&checks_in_words(trial.verification.as_ref())));
    }
    text
}

/// How many trials were verified at which level; nothing for records that do not say so.
fn levels(trials: &[Trial]) -> String {
    let at = |level: Level| {
        let verified = trials.iter().filter_map(|trial| trial.verification.as_ref());
        match verified.filter(|verification| verification.level == Some(level)).count() {
            0 => None,
            1 => Some(format!("1 trial at level `{}`", level.name())),
            count => Some(format!("{count} trials at level `{}`", level.name())),
        }
    };
    let counted: Vec<String> = [Level::Full, Level::Fast].into_iter().filter_map(at).collect();
    if counted.is_empty() { String::new() } else { format!(" Verified: {}.", in_a_row(&counted)) }
}

/// Why one trial is not restorable, as the text of an item of a list, without its id.
fn trial_text(trial: &Trial) -> String {
    let mut lines = vec![format!("{}: {}", words::verdict(trial.verdict), sentence(&reason(trial)))];
    if let Some(backup) = &trial.backup {
        // A backup that finished without a restart needs no explanation.
        let eventful = backup.seconds.is_none() || backup.restarts > Some(0);
        lines.extend(eventful.then(|| how_far(backup)).flatten().map(|sentence| format!("  - {sentence}")));
        let estimate = backup.eta_seconds.filter(|seconds| seconds.is_finite());
        lines.extend(
            estimate.map(|seconds| format!("  - Estimated total backup time: {}.", number::seconds(seconds))),
        );
    }
    if let Some(verification) = &trial.verification {
        lines.push(format!("  - Checks: {}.", plain(&checks_in_words(Some(verification)))));
        lines.extend(findings(verification));
    }
    let restored = trial.restore.as_ref().and_then(|restore| restore.output.as_deref());
    let backed_up = trial.backup.as_ref().and_then(|backup| backup.output.as_deref());
    for (whose, output) in [("backup", backed_up), ("restore", restored)] {
        let Some(output) = output else { continue };
        lines.push(format!("  - Last output of the {whose}:"));
        lines.push(format!("\n{}", code_block(&without_stack_traces(output), "text", "    ")));
    }
    lines.join("\n")
}

/// The reason without the findings that are listed below it.
fn reason(trial: &Trial) -> String {
    let mut reason = without_stack_traces(&trial.reason);
    for finding in trial.verification.iter().flat_map(|verification| &verification.findings) {
        reason = reason.replace(&format!("; {finding}"), "");
    }
    reason
}

/// How far a backup got, how often it restarted, and how many writes it discarded.
fn how_far(backup: &Backup) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(progress) = backup.progress.filter(|progress| (0.0..=1.0).contains(progress)) {
        let elapsed = number::or_missing(Some(backup.elapsed_seconds), number::seconds);
        parts.push(format!("reached at most {} in {elapsed}", number::percent(progress)));
    }
    match backup.restarts {
        None => {}
        Some(0) => parts.push("never restarted".to_string()),
        Some(1) => parts.push("restarted once".to_string()),
        Some(restarts) => parts.push(format!("restarted {} times", number::count(restarts as f64))),
    }
    if let Some(bytes) = discarded_bytes(backup) {
        parts.push(format!("discarded {} of logical writes", number::bytes(bytes)));
    }
    if let Some(pass) = backup.pass_seconds.filter(|pass| pass.is_finite()) {
        parts.push(format!("needs {} for one undisturbed pass", number::seconds(pass)));
    }
    if let Some(rate) = backup.commits_per_second.filter(|rate| rate.is_finite()) {
        parts.push(format!("ran at {} commits per second", number::rate(rate).trim_end_matches(" /s")));
    }
    if parts.is_empty() { None } else { Some(format!("The backup {}.", in_a_row(&parts))) }
}

fn findings(verification: &Verification) -> Vec<String> {
    let shown = verification.findings.iter().take(FINDINGS_SHOWN);
    let mut lines: Vec<String> = shown.map(|finding| format!("  - Finding: {}", plain(finding))).collect();
    let hidden = verification.findings.len().saturating_sub(FINDINGS_SHOWN);
    if hidden > 0 {
        lines.push(format!("  - {hidden} more findings: see the record."));
    }
    lines
}

fn checks(verification: &Verification) -> [(&'static str, Option<Check>); 6] {
    [
        ("integrity", verification.integrity),
        ("prefix", verification.prefix),
        ("order", verification.order),
        ("transactions", verification.transactions),
        ("content", verification.content),
        ("loss", verification.loss),
    ]
}

fn checks_in_words(verification: Option<&Verification>) -> String {
    let Some(verification) = verification else {
        return "the record has no checks".to_string();
    };
    let beside = verification.configuration.map(|check| ("configuration", Some(check)));
    let that = |wanted: Option<Check>| {
        let names = checks(verification).into_iter().chain(beside).filter(|(_, check)| *check == wanted);
        names.map(|(name, _)| name).collect::<Vec<_>>()
    };
    let outcomes = [
        (that(Some(Check::Fail)), "failed"),
        (that(Some(Check::Pass)), "passed"),
        (that(None), "could not be completed"),
    ];
    let filled = outcomes.iter().filter(|(names, _)| !names.is_empty());
    filled.map(|(names, what)| format!("{} {what}", names.join(", "))).collect::<Vec<_>>().join("; ")
}
