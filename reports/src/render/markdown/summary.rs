//! The top of the report: what was asked, and what came of it.

use super::text::{code, paragraph, plain};
use crate::compare::{Outcome, is_cut_short};
use crate::record::{Results, Trial, Verdict};
use crate::render::{conditions, number};

/// What the reader wants to know first comes first: after restorable, from worst to best.
const IN_ORDER_OF_WEIGHT: [Verdict; 7] = [
    Verdict::Corrupt,
    Verdict::Lossy,
    Verdict::Failed,
    Verdict::Stalled,
    Verdict::TimedOut,
    Verdict::Unverified,
    Verdict::Unavailable,
];

/// Title, warning, description, counts of verdicts.
pub(super) fn blocks(results: &Results) -> Vec<String> {
    let run = &results.run;
    let mut blocks = vec![format!("# Backup drill: {}", plain(&run.scenario))];
    if is_cut_short(results) {
        blocks.push(format!(
            "> **This run was cut short.** {} of {} planned trials have a record. Nothing is known of the others.",
            results.trials.len(),
            run.planned_trials
        ));
    }
    if !run.description.trim().is_empty() {
        blocks.push(paragraph(&run.description));
    }
    blocks.push(counts(&results.trials));
    blocks.push(outcome(results));
    blocks.push(format!(
        "Run {}, started {}, seed {}, harness {}.",
        code(&run.id),
        run.started_at.strftime("%Y-%m-%d %H:%M UTC"),
        run.seed,
        plain(&run.harness_version)
    ));
    blocks
}

/// How many trials came to each verdict. Controls are counted apart: they promise nothing.
fn counts(trials: &[Trial]) -> String {
    let (controls, tried): (Vec<&Trial>, Vec<&Trial>) = trials.iter().partition(|trial| trial.control);
    let restorable = of_verdict(&tried, Verdict::Restorable).len();
    let mut text = format!(
        "**{restorable} of {} brought the database back as promised** ({}).",
        trials_in_words(tried.len()),
        code(Verdict::Restorable.name())
    );
    for verdict in IN_ORDER_OF_WEIGHT {
        let those = of_verdict(&tried, verdict);
        if !those.is_empty() {
            text += &format!(
                " {} {} ({}): {}.",
                number::count(those.len() as f64),
                in_words(verdict),
                code(verdict.name()),
                strategies(&those)
            );
        }
    }
    if !controls.is_empty() {
        let counted: Vec<String> = std::iter::once(Verdict::Restorable)
            .chain(IN_ORDER_OF_WEIGHT)
            .map(|verdict| (verdict, of_verdict(&controls, verdict).len()))
            .filter(|(_, count)| *count > 0)
            .map(|(verdict, count)| format!("{count} {}", code(verdict.name())))
            .collect();
        text += &format!(
            " Not counted: {} of a control, which promises nothing and shows that the verifier finds damage: {}.",
            trials_in_words(controls.len()),
            counted.join(", ")
        );
    }
    text
}

/// How the run stands to what was promised, in the words of its exit code.
fn outcome(results: &Results) -> String {
    let fell_short: Vec<&Trial> =
        results.trials.iter().filter(|trial| Outcome::of_trial(trial) == Outcome::FellShort).collect();
    match Outcome::of_run(results) {
        Outcome::AsPromised => "Every trial came to what was promised or expected of it.".to_string(),
        Outcome::FellShort => format!(
            "{} fell short of what was promised or expected: {}.",
            trials_in_words(fell_short.len()),
            each_once(fell_short.iter().map(|trial| {
                format!("{} ({})", plain(&conditions::strategy(trial)), code(trial.verdict.name()))
            }))
        ),
        Outcome::Unverified => {
            "Nothing that was shown fell short, but not everything that was planned was shown.".to_string()
        }
        Outcome::Unavailable => {
            "Nothing that ran fell short, but not everything could run on this machine.".to_string()
        }
    }
}

fn of_verdict<'a>(trials: &[&'a Trial], verdict: Verdict) -> Vec<&'a Trial> {
    trials.iter().copied().filter(|trial| trial.verdict == verdict).collect()
}

/// The strategies of these trials, each once.
fn strategies(trials: &[&Trial]) -> String {
    each_once(trials.iter().map(|trial| plain(&conditions::strategy(trial))))
}

fn each_once(texts: impl Iterator<Item = String>) -> String {
    let mut once: Vec<String> = Vec::new();
    for text in texts {
        if !once.contains(&text) {
            once.push(text);
        }
    }
    once.join(", ")
}

fn in_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Restorable => "came back",
        Verdict::Unavailable => "could not run here",
        Verdict::Unverified => "proved nothing",
        Verdict::TimedOut => "did not finish by the deadline",
        Verdict::Stalled => "stopped converging",
        Verdict::Failed => "ended with an error",
        Verdict::Lossy => "lost writes that the strategy promises to keep",
        Verdict::Corrupt => "reported success and restored a wrong database",
    }
}

fn trials_in_words(count: usize) -> String {
    format!("{} {}", number::count(count as f64), if count == 1 { "trial" } else { "trials" })
}
