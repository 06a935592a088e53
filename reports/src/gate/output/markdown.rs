//! The summary that a CI service shows with a run.

use super::findings::Findings;
use super::table::{summary, table};
use crate::compare::Outcome;
use crate::gate::{Answer, Comparison, thresholds};
use crate::record::Trial;
use crate::render::markdown::text::plain;
use crate::render::table::Table;

/// The findings of a gate in Markdown: the answer first, then everything that is not as expected.
pub fn markdown(findings: &Findings<'_>) -> String {
    let results = findings.results;
    let mut text = format!("## Backup Drill: {}\n\n", results.run.scenario);
    text += &format!("{}\n", sentence(findings));
    let short: Vec<_> =
        results.trials.iter().filter(|trial| Outcome::of_trial(trial) != Outcome::AsPromised).collect();
    if !short.is_empty() {
        text += "\n### Trials with unexpected verdicts\n\n";
        let row = |trial: &&Trial| {
            let reason = trial.reason.lines().next().unwrap_or_default();
            vec![trial.verdict.to_string(), trial.id.clone(), reason.to_owned()]
        };
        let rows = short.iter().map(row).collect();
        text += &(Table::of_texts(["Verdict", "Trial", "Reason"], rows).markdown() + "\n");
    }
    let broken: Vec<String> = thresholds::judge(results)
        .iter()
        .filter(|finding| finding.holds != Some(true))
        .map(|finding| format!("- {}\n", plain(&finding.sentence())))
        .collect();
    if !broken.is_empty() {
        text += &format!("\n### Thresholds\n\n{}", broken.concat());
    }
    findings.comparisons.iter().for_each(|comparison| text += &section(comparison));
    text
}

fn sentence(findings: &Findings<'_>) -> String {
    let trials = &findings.results.trials;
    let expected = trials.iter().filter(|trial| Outcome::of_trial(trial) == Outcome::AsPromised).count();
    let worst = findings.comparisons.iter().map(Comparison::answer).max();
    let compared = match worst {
        None => String::new(),
        Some(Answer::Regressed) => " **Something regressed.**".into(),
        Some(Answer::Inconclusive) => {
            " Nothing is known to have regressed, but some results are inconclusive.".into()
        }
        Some(Answer::Improved | Answer::Equivalent) => " Nothing regressed.".into(),
    };
    format!("{expected} of {} trials ended as expected.{compared}", trials.len())
}

fn section(comparison: &Comparison) -> String {
    let title = if comparison.baseline == comparison.candidate {
        format!("Pairs within {}", comparison.candidate)
    } else {
        format!("{} against the baseline {}", comparison.candidate, comparison.baseline)
    };
    let mut text = format!("\n### {title}\n\n{}.\n", summary(comparison));
    comparison.notes.iter().for_each(|note| text += &format!("\n> {}\n", plain(note)));
    let table = table(comparison, false);
    if !table.is_empty() {
        text += &format!("\n{}\n", table.markdown());
    }
    text
}
