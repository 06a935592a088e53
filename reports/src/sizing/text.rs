//! Advice in words: tables and sentences for the terminal and for Markdown.

use crate::render::number::{self, MISSING};
use crate::render::table::Table;

use super::Range;
use super::decide::{Advice, Caution, Exclusion, Judgement, Objective};

/// The question in one sentence: `For 17.0 GiB at 50 /s, with a backup every 60.0 min: ...`.
pub fn question(advice: &Advice<'_>) -> String {
    let load = &advice.load;
    let interval = match load.interval_seconds {
        Some(interval) => format!("a backup every {}", number::seconds(interval)),
        None => "backups one right after the other".to_owned(),
    };
    let asked = [
        ("loss", advice.objectives.rpo_seconds),
        ("recovery", advice.objectives.rto_seconds),
        ("blocked time", advice.objectives.blocked_seconds),
    ];
    let mut objectives: Vec<String> = asked
        .into_iter()
        .filter_map(|(name, limit)| Some(format!("{name} at most {}", number::seconds(limit?))))
        .collect();
    if advice.objectives.survive_disk_loss {
        objectives.push("the backup survives the loss of the disk".to_owned());
    }
    let objectives = if objectives.is_empty() { "no objectives".to_owned() } else { objectives.join(", ") };
    let (size, rate) = (number::bytes(load.bytes), number::rate(load.rate));
    format!("{size}, {rate} writes, {interval}; objectives: {objectives}.")
}

/// The answer in one sentence.
pub fn answer(advice: &Advice<'_>) -> String {
    let meeting = advice.judgements.iter().filter(|one| one.meets()).count();
    let certain = advice.judgements.iter().filter(|one| one.is_certain()).count();
    let all = advice.judgements.len();
    match (all, meeting) {
        (0, _) => "The runs hold no strategy to judge.".to_owned(),
        (_, 0) => format!("None of {all} strategies meets the objectives."),
        _ => format!(
            "{meeting} of {all} strategies meet the objectives, {certain} of them with the whole 90 % interval."
        ),
    }
}

/// The strategies that meet the objectives, best first. Values are predictions with their 90 % interval.
pub fn meeting(advice: &Advice<'_>) -> Table {
    let kept: Vec<&Judgement<'_>> = advice.judgements.iter().filter(|one| one.meets()).collect();
    let intervals = kept.iter().any(|one| one.longest_interval_seconds.is_some());
    let mut header =
        vec!["Meets", "Strategy", "Subject", "Backup", "Blocked", "Worst loss", "Recovery", "Artifact"];
    if intervals {
        header.push("Longest interval");
    }
    let row = |one: &&Judgement<'_>| {
        let predicted = &one.prediction;
        let mut cells = vec![
            if one.is_certain() { "yes" } else { "likely" }.to_owned(),
            one.contender.label.clone(),
            one.contender.subject.clone(),
            seconds(predicted.backup),
            seconds(predicted.blocked),
            seconds(predicted.loss_worst),
            seconds(predicted.recovery),
            range(predicted.artifact, number::bytes),
        ];
        if intervals {
            cells.push(number::or_missing(one.longest_interval_seconds, number::seconds));
        }
        cells
    };
    table(&header, kept.iter().map(row).collect())
}

/// The strategies that are excluded, each with all that excludes it.
pub fn excluded(advice: &Advice<'_>) -> Table {
    let row = |one: &Judgement<'_>| {
        let reasons: Vec<String> = one.exclusions.iter().map(exclusion).collect();
        vec![one.contender.label.clone(), one.contender.subject.clone(), reasons.join("; ")]
    };
    table(
        &["Excluded", "Subject", "Why"],
        advice.judgements.iter().filter(|one| !one.meets()).map(row).collect(),
    )
}

/// A table of texts.
pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>) -> Table {
    Table::of_texts(header.iter().copied(), rows)
}

/// What is to be known of the strategies that meet the objectives, and of the runs. Each sentence once.
pub fn notes(advice: &Advice<'_>) -> Vec<String> {
    let mut said: Vec<(String, Vec<&str>)> = Vec::new();
    let kept = || advice.judgements.iter().filter(|one| one.meets());
    for one in kept() {
        for text in one.cautions.iter().map(|caution| self::caution(caution, one)) {
            let label = one.contender.label.as_str();
            match said.iter_mut().find(|(known, _)| *known == text) {
                Some((_, labels)) => labels.push(label),
                None => said.push((text, vec![label])),
            }
        }
    }
    let number_kept = kept().count();
    let mut notes: Vec<String> = said
        .into_iter()
        .map(|(text, labels)| match labels.len() {
            all if all == number_kept && all > 1 => format!("All of them: {text}."),
            _ => format!("{}: {text}.", labels.join(", ")),
        })
        .collect();
    match advice.machines {
        [] => {}
        [machine] => notes.push(format!("Measured on: {machine}. Another machine has other times.")),
        machines => notes.push(format!(
            "Measured on {} machines ({}): their times are mixed, and differ by more than chance.",
            machines.len(),
            machines.join("; ")
        )),
    }
    notes
}

fn exclusion(exclusion: &Exclusion) -> String {
    match exclusion {
        Exclusion::Failed(outcome) => format!(
            "{} at {} and {} in trial {}",
            outcome.verdict,
            number::bytes(outcome.bytes),
            number::rate(outcome.rate),
            outcome.trial
        ),
        Exclusion::NeverCompletes => "the backup never completes (more than a year expected)".to_owned(),
        Exclusion::Exceeds { objective, predicted_seconds, limit_seconds } => format!(
            "{} {} > {} ({} times)",
            name(*objective),
            number::seconds(*predicted_seconds),
            number::seconds(*limit_seconds),
            number::ratio(predicted_seconds / limit_seconds)
        ),
        Exclusion::NotMeasured(objective) => format!("{} was not measured", name(*objective)),
        Exclusion::LostWithDisk => "lost together with the database's disk".to_owned(),
        Exclusion::DiskLossUnknown => "whether it survives the loss of the disk is not known".to_owned(),
    }
}

fn caution(caution: &Caution, of: &Judgement<'_>) -> String {
    let contender = of.contender;
    match caution {
        Caution::MayExceed(objective) => format!("the {} may exceed the objective", name(*objective)),
        Caution::FailedBeyond(outcome) => format!(
            "{} at {} and {} in trial {}; where below that it begins to fail was not measured",
            outcome.verdict,
            number::bytes(outcome.bytes),
            number::rate(outcome.rate),
            outcome.trial
        ),
        Caution::SizeBeyond(factor) => {
            let sizes = || contender.outcomes.iter().map(|outcome| outcome.bytes);
            let (least, most) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
            format!(
                "the size is {} beyond what was measured ({})",
                times(*factor),
                between(least, most, number::bytes)
            )
        }
        Caution::RateBeyond(factor) => {
            let (least, most) = (contender.rates.first(), contender.rates.last());
            let (least, most) = (least.copied().unwrap_or(0.0), most.copied().unwrap_or(0.0));
            let measured = between(least, most, number::rate);
            let beyond = if factor.is_finite() { format!("{} ", times(*factor)) } else { String::new() };
            format!("the rate is {beyond}beyond what was measured ({measured})")
        }
    }
}

fn times(factor: f64) -> String {
    format!("{} times", number::ratio(factor))
}

fn between(least: f64, most: f64, format: fn(f64) -> String) -> String {
    let (least, most) = (format(least), format(most));
    if least == most { format!("{least} only") } else { format!("{least} to {most}") }
}

fn name(objective: Objective) -> &'static str {
    match objective {
        Objective::Rpo => "worst loss",
        Objective::Rto => "recovery time",
        Objective::Blocked => "blocked time",
    }
}

fn seconds(of: Option<Range>) -> String {
    range(of, number::seconds)
}

/// A value with its interval: `17.2 s (12.1 to 24.4)`, with units where they differ.
pub(super) fn range(of: Option<Range>, format: fn(f64) -> String) -> String {
    let Some(of) = of else { return MISSING.to_owned() };
    let shown = |value: f64| if value.is_finite() { format(value) } else { "never".to_owned() };
    let (point, low, high) = (shown(of.point), shown(of.low), shown(of.high));
    if point == low && point == high {
        return point;
    }
    let unit = |text: &str| text.split_once(' ').map(|(_, unit)| unit.to_owned());
    let number = |text: &str| text.split_once(' ').map_or(text.to_owned(), |(number, _)| number.to_owned());
    if unit(&point).is_some() && unit(&point) == unit(&low) && unit(&point) == unit(&high) {
        format!("{point} ({} to {})", number(&low), number(&high))
    } else {
        format!("{point} ({low} to {high})")
    }
}

/// A table as GitHub-flavoured Markdown.
pub fn markdown(table: &Table) -> String {
    crate::render::markdown::text::table(table)
}
