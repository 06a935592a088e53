//! What each verdict rests on, and the law of restarts beside what happened.

use super::remarks;
use super::text::{code, code_block, plain, sentence, table};
use crate::advise::{Expectation, Restarting, restarting};
use crate::compare::{Group, groups};
use crate::record::{Backup, Check, RecoveryPoint, Results, Trial, Verdict, Verification};
use crate::render::conditions::{self, Conditions};
use crate::render::{number, table::Table, words};

/// Findings shown of one trial: enough to see the kind of damage. The record has them all.
const FINDINGS_SHOWN: usize = 5;

/// The section on evidence.
pub(super) fn blocks(results: &Results) -> Vec<String> {
    let mut blocks = vec!["## What the verdicts rest on".to_string()];
    blocks.extend(restorable(&results.trials));
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
    blocks.extend(law(results));
    blocks.extend(super::kept::blocks(&results.trials));
    blocks
}

/// Whether the application had written what it acknowledged, where somebody looked.
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
            "- {}: of {} acknowledged writes its own database lacked {}, in {affected} of {} trials.",
            plain(subject),
            written + lacked,
            lacked,
            points.len()
        )
    };
    vec![
        "### Does the application write before it acknowledges?".to_string(),
        "After the SIGKILL, what the application itself had left was held against the ledger, before any restore. \
         What is missing there is the application's loss, and is not counted against a strategy."
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
    let others = group.trials.iter().filter(|trial| trial.verdict != Verdict::Restorable);
    blocks.push(others.map(|trial| trial_item(trial)).collect::<Vec<_>>().join("\n"));
    blocks
}

/// What could not run and why: once for each reason, since it is the same at every size and rate.
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
    vec![format!("### {}", Verdict::Unavailable), items]
}

/// What stands behind the trials that came back, and which of them were not checked in full.
fn restorable(trials: &[Trial]) -> Option<String> {
    let restorable: Vec<&Trial> =
        trials.iter().filter(|trial| trial.verdict == Verdict::Restorable).collect();
    if restorable.is_empty() {
        return None;
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
        count => text += &format!(" In {count} of them configuration files came back as they were, too."),
    }
    for trial in partial {
        text += &format!(" {}: {}.", code(&trial.id), plain(&checks_in_words(trial.verification.as_ref())));
    }
    Some(text)
}

/// One trial that is not restorable, as an item of a list.
fn trial_item(trial: &Trial) -> String {
    let mut lines = vec![format!("- {} {}: {}", code(&trial.id), trial.verdict, sentence(&trial.reason))];
    if let Some(backup) = &trial.backup {
        // A backup that finished in one go has nothing to explain here.
        let eventful = backup.seconds.is_none() || backup.restarts > Some(0);
        lines.extend(eventful.then(|| how_far(backup)).flatten().map(|sentence| format!("  - {sentence}")));
        lines.extend(backup.eta_seconds.map(|_| {
            let eta = number::or_missing(backup.eta_seconds, number::seconds);
            format!("  - Estimate for the whole backup: {eta}.")
        }));
    }
    if let Some(verification) = &trial.verification {
        lines.push(format!("  - Checks: {}.", plain(&checks_in_words(Some(verification)))));
        lines.extend(findings(verification));
    }
    let restored = trial.restore.as_ref().and_then(|restore| restore.output.as_deref());
    let backed_up = trial.backup.as_ref().and_then(|backup| backup.output.as_deref());
    for (whose, output) in [("command", backed_up), ("restore's command", restored)] {
        let Some(output) = output else { continue };
        lines.push(format!("  - Last output of the {whose}:"));
        lines.push(format!("\n{}", code_block(output, "text", "    ")));
    }
    lines.join("\n")
}

/// How far a backup got, how often it began again, and what it wrote for nothing.
fn how_far(backup: &Backup) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(progress) = backup.progress.filter(|progress| (0.0..=1.0).contains(progress)) {
        let elapsed = number::or_missing(Some(backup.elapsed_seconds), number::seconds);
        parts.push(format!("got {} of the way at best in {elapsed}", number::percent(progress)));
    }
    match backup.restarts {
        None => {}
        Some(0) => parts.push("never began again".to_string()),
        Some(1) => parts.push("began again once".to_string()),
        Some(restarts) => parts.push(format!("began again {} times", number::count(restarts as f64))),
    }
    if let Some(wasted) = written_for_nothing(backup) {
        parts.push(format!("wrote {} for nothing", number::bytes(wasted)));
    }
    if let Some(pass) = backup.pass_seconds.filter(|pass| pass.is_finite()) {
        parts.push(format!("would need {} for one undisturbed pass", number::seconds(pass)));
    }
    if let Some(rate) = backup.commits_per_second.filter(|rate| rate.is_finite()) {
        parts.push(format!("met {} commits a second", number::rate(rate).trim_end_matches(" /s")));
    }
    if parts.is_empty() { None } else { Some(format!("It {}.", in_a_row(&parts))) }
}

/// Bytes that a backup wrote beyond its artifact: all of them where there is none.
fn written_for_nothing(backup: &Backup) -> Option<f64> {
    Some(backup.bytes_written?.saturating_sub(backup.artifact_bytes.unwrap_or(0)) as f64)
}

fn findings(verification: &Verification) -> Vec<String> {
    let shown = verification.findings.iter().take(FINDINGS_SHOWN);
    let mut lines: Vec<String> = shown.map(|finding| format!("  - Finding: {}", plain(finding))).collect();
    let hidden = verification.findings.len().saturating_sub(FINDINGS_SHOWN);
    if hidden > 0 {
        lines.push(format!("  - {hidden} more findings are in the record."));
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
        return "no check is in the record".to_string();
    };
    let beside = verification.configuration.map(|check| ("configuration", Some(check)));
    let that = |wanted: Option<Check>| {
        let names = checks(verification).into_iter().chain(beside).filter(|(_, check)| *check == wanted);
        names.map(|(name, _)| name).collect::<Vec<_>>()
    };
    let outcomes = [
        (that(Some(Check::Fail)), "failed"),
        (that(Some(Check::Pass)), "passed"),
        (that(None), "could not be made"),
    ];
    let filled = outcomes.iter().filter(|(names, _)| !names.is_empty());
    filled.map(|(names, what)| format!("{} {what}", names.join(", "))).collect::<Vec<_>>().join("; ")
}

/// The law of restarts beside what happened, for backups that finished and for those that did not.
fn law(results: &Results) -> Vec<String> {
    let found = restarting(&results.trials);
    if found.is_empty() {
        return Vec::new();
    }
    let header = [
        "Trial",
        "Pass",
        "Commits",
        "Commits a pass",
        "By the law",
        "What happened",
        "Restarts",
        "Written for nothing",
    ];
    let row = |one: &Restarting<'_>| {
        vec![
            one.trial.id.clone(),
            number::or_missing(Some(one.pass_seconds), number::seconds),
            number::or_missing(Some(one.commits_per_second), number::rate),
            number::or_missing(Some(one.pass_seconds * one.commits_per_second), number::ratio),
            by_the_law(one.expectation),
            match one.backup.seconds {
                Some(seconds) => {
                    format!("finished in {}", number::or_missing(Some(seconds), number::seconds))
                }
                None => format!(
                    "not in {}",
                    number::or_missing(Some(one.backup.elapsed_seconds), number::seconds)
                ),
            },
            number::or_missing(one.backup.restarts.map(|restarts| restarts as f64), number::count),
            number::or_missing(written_for_nothing(one.backup), number::bytes),
        ]
    };
    let table_of_law = Table::of_texts(header, found.iter().map(row).collect());
    let mut text = "A pass that begins again with every commit finishes only when no commit falls into it. With \
                    Poisson arrivals at rate r and a pass of T seconds that takes (e^(rT) - 1) / r seconds on \
                    average. It is an average: a single backup can take far less or far more."
        .to_string();
    if found.iter().any(|one| one.trial.workload.arrivals == "constant") {
        text += " With evenly spaced commits there is no luck: a pass longer than the time between two commits \
                 never fits, a shorter one fits after one restart at most.";
    }
    vec!["### The law of restarts".to_string(), text, table(&table_of_law)]
}

fn by_the_law(expectation: Expectation) -> String {
    match expectation {
        Expectation::Average(seconds) => format!("{} on average", number::seconds(seconds)),
        Expectation::AtMost(seconds) => match number::or_missing(Some(seconds), number::seconds) {
            missing if missing == number::MISSING => missing,
            shown => format!("at most {shown}"),
        },
        Expectation::Never => "never in practice".to_string(),
        Expectation::NoLaw => "no law for these arrivals".to_string(),
    }
}

/// `a, b and c`.
fn in_a_row(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
