//! The section of one trial: its verdict, the evidence, its figures, and the command that repeats it.

use super::figures::{FIRST, MORE, Unit};
use super::{label, trial_fault};
use crate::printable;
use crate::record::{Check, Level, LiveRestore, Offsite, Results, Stage, Trial, Verification};
use crate::render::offsite::title;
use crate::render::{conditions, number, plot, words};

/// The content of a trial's section.
pub(super) struct Section {
    pub id: String,
    /// The fragment of the page's address that shows the section.
    pub anchor: String,
    pub strategy: String,
    pub variant: String,
    /// Subject, size, rate.
    pub place: String,
    pub verdict: &'static str,
    pub verdict_text: &'static str,
    pub reason: String,
    pub promise: String,
    /// What the fault did and what came through it, as name and text.
    pub fault: Vec<(&'static str, String)>,
    /// Name, value with its unit, meaning.
    pub figures: Vec<(&'static str, String, &'static str)>,
    pub checks: Vec<CheckRow>,
    /// The level of the verification, where it is known.
    pub level: Option<&'static str>,
    /// Findings that belong to no check, and harmless differences.
    pub remarks: Vec<String>,
    /// The command (backup or restore), and its output.
    pub outputs: Vec<(&'static str, String)>,
    pub command: String,
    /// What happened during the backup, as name and value.
    pub challenge: Vec<(&'static str, String)>,
    /// Restores while the application ran: when, how long, what was lost, what the checks found.
    pub live_restores: Vec<[String; 4]>,
    pub settings: Vec<(String, String)>,
    pub versions: Vec<(String, String)>,
    /// Directory of the evidence, relative to the results.
    pub kept: Option<String>,
    /// The stages off the machine and back: name, time, bytes in and out.
    pub stages: Vec<[String; 4]>,
    /// Phase, start, and duration.
    pub phases: Vec<(String, String, String)>,
    /// The timeline as SVG.
    pub timeline: Option<String>,
}

/// One of the checks of a restored database.
pub(super) struct CheckRow {
    pub name: &'static str,
    pub question: &'static str,
    /// `pass`, `fail` or `none`, and in words.
    pub result: &'static str,
    pub result_text: &'static str,
    pub evidence: Vec<String>,
}

const CHECKS: [(&str, &str); 7] = [
    ("integrity", "Do the engine's integrity checks pass, with no damaged files and no leftover journal?"),
    ("prefix", "Does the database contain exactly the first n writes of every writer?"),
    (
        "order",
        "Does the database contain every write that was acknowledged before a contained write was sent?",
    ),
    ("transactions", "Do rows that change in the same transaction agree?"),
    ("content", "Are the rows unchanged that the workload does not write?"),
    ("loss", "Does the database contain every write that the strategy promised to keep?"),
    ("configuration", "Are the configuration files beside the database unchanged?"),
];

/// The fragment of the page's address that shows the section of a trial.
pub(super) fn anchor(id: &str) -> String {
    format!("trial={}", askama::filters::urlencode_strict(id).expect("writing to a string does not fail"))
}

/// The sections of all trials of a run.
pub(super) fn sections(results: &Results) -> Vec<Section> {
    (1..).zip(&results.trials).map(|(number, trial)| section(trial, number, &results.run.command)).collect()
}

fn section(trial: &Trial, number: usize, command: &str) -> Section {
    let verification = trial.verification.as_ref();
    Section {
        id: trial.id.clone(),
        anchor: anchor(&trial.id),
        strategy: trial.strategy.clone(),
        variant: label::variant(trial),
        place: place(trial),
        verdict: trial.verdict.name(),
        verdict_text: words::verdict(trial.verdict),
        reason: printable(&trial.reason),
        promise: if trial.control { String::new() } else { trial.promise.clone() },
        fault: trial.fault.as_ref().map(|fault| trial_fault::of_trial(trial, fault)).unwrap_or_default(),
        figures: figures(trial),
        checks: verification.map(checks).unwrap_or_default(),
        level: verification.and_then(|verification| verification.level).map(Level::name),
        remarks: verification.map(remarks).unwrap_or_default(),
        outputs: outputs(trial),
        command: conditions::repeat(trial, command),
        challenge: challenge(trial),
        live_restores: live_restores(trial),
        settings: label::settings(trial),
        versions: trial.versions.clone().into_iter().collect(),
        kept: trial.kept.as_ref().and_then(|kept| kept.path.clone()),
        stages: trial.offsite.as_ref().map(stages).unwrap_or_default(),
        phases: phases(trial),
        timeline: plot::timeline(trial, &format!("trial-{number}")),
    }
}

/// The conditions of a trial: subject, size, rate, and the repetition where there are several.
fn place(trial: &Trial) -> String {
    let mut parts = vec![
        conditions::subject(trial),
        conditions::size(trial),
        format!("{} writes", conditions::rate(trial)),
    ];
    parts.extend(trial.file_system.clone());
    parts.extend(trial.fault.as_ref().map(|fault| format!("fault {}", fault.label)));
    parts.extend(trial.offsite.as_ref().map(|offsite| format!("stages {}", offsite.label)));
    parts.extend((trial.repetition > 1).then(|| format!("repetition {}", trial.repetition)));
    parts.join(" · ")
}

fn figures(trial: &Trial) -> Vec<(&'static str, String, &'static str)> {
    let measured = FIRST.iter().chain(&MORE).filter_map(|figure| {
        let value = (figure.value)(trial).filter(|value| value.is_finite())?;
        let unit = Unit::of(figure.quantity, &[value]);
        Some((figure.label, format!("{} {}", unit.show(value), unit.name), figure.meaning))
    });
    let disk = (
        "Survives loss of the disk",
        words::survives_disk_loss(trial.survives_disk_loss).to_string(),
        "Whether the backup can be kept on another disk than the database.",
    );
    measured.chain([disk]).collect()
}

fn checks(verification: &Verification) -> Vec<CheckRow> {
    let results = [
        verification.integrity,
        verification.prefix,
        verification.order,
        verification.transactions,
        verification.content,
        verification.loss,
        verification.configuration,
    ];
    let rows = CHECKS.iter().zip(results).map(|((name, question), result)| {
        let (result, result_text) = match result {
            Some(Check::Pass) => ("pass", "passed"),
            Some(Check::Fail) => ("fail", "failed"),
            None => ("none", "not checked"),
        };
        let mine = verification.findings.iter().filter_map(|finding| of_check(finding, name));
        CheckRow { name, question, result, result_text, evidence: mine.map(printable).collect() }
    });
    // A strategy that does not back up configuration has nothing to check there.
    rows.filter(|row| row.name != "configuration" || row.result != "none").collect()
}

/// The text of a finding, if it belongs to this check.
fn of_check<'a>(finding: &'a str, check: &str) -> Option<&'a str> {
    finding.strip_prefix(check)?.strip_prefix(": ")
}

fn remarks(verification: &Verification) -> Vec<String> {
    let is_of_none = |finding: &&String| CHECKS.iter().all(|(name, _)| of_check(finding, name).is_none());
    let others = verification.findings.iter().filter(is_of_none);
    others.chain(&verification.remarks).map(|text| printable(text)).collect()
}

fn stages(offsite: &Offsite) -> Vec<[String; 4]> {
    let bytes = |bytes: u64| number::bytes(bytes as f64);
    let row = |stage: &Stage| {
        let seconds = number::or_missing(Some(stage.seconds), number::seconds);
        [printable(&title(stage)), seconds, bytes(stage.bytes_in), bytes(stage.bytes_out)]
    };
    offsite.stages.iter().map(row).collect()
}

fn outputs(trial: &Trial) -> Vec<(&'static str, String)> {
    let backup = trial.backup.as_ref().and_then(|backup| backup.output.as_deref());
    let restore = trial.restore.as_ref().and_then(|restore| restore.output.as_deref());
    let given = [("Backup", backup), ("Restore", restore)];
    given.into_iter().filter_map(|(whose, output)| Some((whose, printable(output?)))).collect()
}

fn challenge(trial: &Trial) -> Vec<(&'static str, String)> {
    let Some(challenge) = trial.backup.as_ref().and_then(|backup| backup.challenge.as_ref()) else {
        return Vec::new();
    };
    let count = |count: Option<u64>| number::or_missing(count.map(|count| count as f64), number::count);
    let growth = challenge.growth_bytes.map(|bytes| bytes as f64);
    vec![
        ("Challenged", if challenge.challenged { "yes" } else { "no" }.to_string()),
        ("Copy time", number::or_missing(Some(challenge.seconds), number::seconds)),
        ("Writes", count(Some(challenge.writes))),
        ("Commits", count(Some(challenge.commits))),
        ("Checkpoints", count(challenge.checkpoints)),
        ("Log resets", count(challenge.log_resets)),
        ("Growth", number::or_missing(growth, number::bytes)),
    ]
}

fn live_restores(trial: &Trial) -> Vec<[String; 4]> {
    let row = |live: &LiveRestore| {
        let lost = live.recovery_point.as_ref().and_then(|point| point.lost_seconds);
        let checks = checks(&live.verification);
        let failed: Vec<&str> =
            checks.iter().filter(|row| row.result == "fail").map(|row| row.name).collect();
        [
            number::or_missing(Some(live.at_seconds), number::seconds),
            number::or_missing(Some(live.seconds), number::seconds),
            number::or_missing(lost, number::seconds),
            if failed.is_empty() {
                "no check failed".to_string()
            } else {
                format!("failed: {}", failed.join(", "))
            },
        ]
    };
    trial.live_restores.iter().map(row).collect()
}

fn phases(trial: &Trial) -> Vec<(String, String, String)> {
    let ends = trial.phases.iter().skip(1).map(|next| Some(next.at_seconds)).chain([None]);
    let rows = trial.phases.iter().zip(ends).map(|(phase, end)| {
        let duration = end.map(|end| (end - phase.at_seconds).max(0.0));
        (
            phase.phase.clone(),
            number::or_missing(Some(phase.at_seconds), number::seconds),
            number::or_missing(duration, number::seconds),
        )
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::{anchor, section};
    use crate::example;
    use crate::record::Verdict::{Corrupt, Restorable};

    #[test]
    fn an_anchor_has_no_white_space_and_no_markup() {
        assert_eq!(anchor("dump in a \"pipe\"&<1>"), "trial=dump%20in%20a%20%22pipe%22%26%3C1%3E");
    }

    #[test]
    fn findings_are_shown_with_their_check() {
        let mut trial = example::trial("wrong", Corrupt);
        let verification = trial.verification.as_mut().unwrap();
        verification.findings = vec!["integrity: page 3 is torn".into(), "row 1 is torn".into()];
        let section = section(&trial, 1, "run");
        assert_eq!(section.checks.len(), 6);
        assert_eq!(
            (section.checks[0].result, &section.checks[0].evidence[0][..]),
            ("fail", "page 3 is torn")
        );
        assert_eq!(section.remarks, ["row 1 is torn"]);
    }

    #[test]
    fn the_command_repeats_this_trial_alone() {
        let trial = example::trial("one-step", Restorable);
        assert_eq!(
            section(&trial, 1, "cargo xtask run quick --seed 7").command,
            "cargo xtask run quick --seed 7 --only one-step-1"
        );
    }
}
