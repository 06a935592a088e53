//! The top of the report: the answer, and what was run.

use super::best;
use super::text::{code, paragraph, plain};
use crate::compare::{Group, Outcome, groups, is_cut_short, noise};
use crate::record::{Results, Trial, Verdict};
use crate::render::conditions::{self, Conditions};
use crate::render::number;
use crate::render::words::{counted, each_once, in_a_row, verdict};

/// More names than this are counted instead of listed.
const NAMES_SHOWN: usize = 6;

/// Fewer repetitions do not show how much a result varies.
pub(super) const REPETITIONS_MIN: usize = 3;

/// The unfavourable verdicts, the worst first.
const IN_ORDER_OF_WEIGHT: [Verdict; 7] = [
    Verdict::Corrupt,
    Verdict::Lossy,
    Verdict::Failed,
    Verdict::Stalled,
    Verdict::TimedOut,
    Verdict::Unverified,
    Verdict::Unavailable,
];

/// Title, warning, answer, and what was run. The answer is about `good_days`, the trials without faults.
pub(super) fn blocks(results: &Results, good_days: Option<&Results>) -> Vec<String> {
    let run = &results.run;
    let mut blocks = vec![format!("# Backup drill: {}", plain(&run.scenario))];
    if is_cut_short(results) {
        blocks.push(format!(
            "> **This run is incomplete.** {} of {} planned trials have a record. Nothing is known about the others.",
            results.trials.len(),
            run.planned_trials
        ));
    }
    if let Some(results) = good_days.filter(|results| !results.trials.is_empty()) {
        blocks.push(answer(results));
        blocks.extend(best::by_place(results));
    }
    blocks.push(outcome(results));
    if !run.description.trim().is_empty() {
        blocks.push(paragraph(&run.description));
    }
    blocks.push(format!(
        "Run {}, started {}, seed {}, harness {}.",
        code(&run.id),
        run.started_at.strftime("%Y-%m-%d %H:%M UTC"),
        run.seed,
        plain(&run.harness_version)
    ));
    blocks
}

/// The answer: which strategies restored the database, the best ones, and the limits of the numbers.
fn answer(results: &Results) -> String {
    let sentences = [Some(restored(&results.trials)), best::in_a_sentence(results), Some(limits(results))];
    sentences.into_iter().flatten().map(|sentence| format!("- {sentence}")).collect::<Vec<_>>().join("\n")
}

/// How many strategies restored the database, and how the others ended. Negative controls are not counted, because
/// they promise nothing.
fn restored(trials: &[Trial]) -> String {
    let all: Vec<&Trial> = trials.iter().collect();
    let conditions = Conditions::of(&all);
    let groups: Vec<Group<'_>> = groups(trials).into_iter().filter(|group| !group.first.control).collect();
    let of_verdict = |verdict: Verdict| {
        let those = groups.iter().filter(move |group| group.verdict() == verdict);
        those.map(|group| plain(&conditions.row_name(group.first))).collect::<Vec<_>>()
    };
    let restored = of_verdict(Verdict::Restorable).len();
    let strategies = each_once(groups.iter().map(|group| conditions::label(group.first))).len();
    let tried = if strategies == groups.len() {
        counted(groups.len(), "strategy", "strategies")
    } else {
        counted(groups.len(), "combination", "combinations") + " of strategy and conditions"
    };
    let mut text = format!("**{restored} of {tried} restored the database with all promised writes**");
    for verdict in IN_ORDER_OF_WEIGHT {
        let those = of_verdict(verdict);
        if !those.is_empty() {
            text += &format!("; {} {}", names(&those), became(verdict));
        }
    }
    text + "."
}

/// A list of names; of many, the first ones and the number of the others.
fn names(all: &[String]) -> String {
    if all.len() <= NAMES_SHOWN {
        return in_a_row(all);
    }
    let mut shown = all[..NAMES_SHOWN - 1].to_vec();
    shown.push(format!("{} more", all.len() - shown.len()));
    in_a_row(&shown)
}

fn became(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Restorable => "restored the database",
        Verdict::Unavailable => "could not run on this machine (`unavailable`)",
        Verdict::Unverified => "proved nothing (inconclusive)",
        Verdict::TimedOut => "did not complete before the deadline (`timed_out`)",
        Verdict::Stalled => "stopped making progress (`stalled`)",
        Verdict::Failed => "failed with an error (`failed`)",
        Verdict::Lossy => "lost promised writes (`lossy`)",
        Verdict::Corrupt => "reported success and restored a wrong database (`corrupt`)",
    }
}

/// What cannot be concluded: differences within the noise, rows with too few trials, verdicts without a challenge.
fn limits(results: &Results) -> String {
    let groups = groups(&results.trials);
    let mut parts = vec![match noise(results) {
        Some(noise) => format!(
            "the time of the same plain copy varied by a factor of up to {}, so smaller differences in time mean \
             nothing",
            number::ratio(noise)
        ),
        None => "the variation of times on this machine was not measured".to_owned(),
    }];
    let few = groups.iter().filter(|group| group.trials.len() < REPETITIONS_MIN).count();
    if few > 0 {
        let rows = match few {
            1 => "1 row is based".to_owned(),
            few if few == groups.len() => "all rows are based".to_owned(),
            few => format!("{few} rows are based"),
        };
        parts.push(format!("{rows} on fewer than {REPETITIONS_MIN} trials"));
    }
    let lucky = groups.iter().filter(|group| group.is_right_by_luck()).count();
    if lucky > 0 {
        parts.push(format!(
            "{} not challenged: nothing happened during the backup that makes an unsafe backup wrong",
            counted(lucky, "restorable verdict was", "restorable verdicts were")
        ));
    }
    format!("**Limits of these numbers**: {}.", parts.join("; "))
}

/// Whether the run ended as promised, in the wording of its exit code, and how the negative controls ended.
fn outcome(results: &Results) -> String {
    let fell_short: Vec<&Trial> =
        results.trials.iter().filter(|trial| Outcome::of_trial(trial) == Outcome::FellShort).collect();
    let outcome = match Outcome::of_run(results) {
        Outcome::AsPromised => "All trials ended as promised, or as the scenario expects.".to_string(),
        Outcome::FellShort => {
            let text = |trial: &&Trial| {
                let fault = trial.fault.as_ref();
                let fault = fault.map_or(String::new(), |fault| format!(" under {}", plain(&fault.label)));
                format!("{} ({}{fault})", plain(&conditions::strategy(trial)), verdict(trial.verdict))
            };
            format!(
                "{} did not end as promised or expected: {}.",
                counted(fell_short.len(), "trial", "trials"),
                each_once(fell_short.iter().map(text)).join(", ")
            )
        }
        Outcome::Unverified => {
            "No trial broke a promise, but some trials are missing or inconclusive.".to_string()
        }
        Outcome::Unavailable => {
            "No trial broke a promise, but some could not run on this machine.".to_string()
        }
    };
    [Some(outcome), controls(&results.trials)].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The verdicts of the negative controls.
fn controls(trials: &[Trial]) -> Option<String> {
    let verdicts: Vec<Verdict> =
        trials.iter().filter(|trial| trial.control).map(|trial| trial.verdict).collect();
    let counts: Vec<String> = std::iter::once(Verdict::Restorable)
        .chain(IN_ORDER_OF_WEIGHT)
        .map(|verdict| (verdict, verdicts.iter().filter(|one| **one == verdict).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(one, count)| format!("{count} {}", verdict(one)))
        .collect();
    (!verdicts.is_empty()).then(|| {
        format!(
            "Not counted above: {} of negative controls, which are unsafe on purpose: {}.",
            counted(verdicts.len(), "trial", "trials"),
            counts.join(", ")
        )
    })
}
