//! Advice in words: tables and sentences for the terminal and for Markdown.

use crate::render::number::{self, MISSING};
use crate::render::table::{Cell, Column, Rank, Table};

use super::decide::{Advice, Caution, Exclusion, Judgement, Objective};
use super::range::Range;

/// The question in one sentence: `17.0 GiB of data, writes at 50 /s, a backup every 1 h; objectives: ...`.
pub fn question(advice: &Advice<'_>) -> String {
    let load = &advice.load;
    let interval = match load.interval_seconds {
        Some(interval) => format!("a backup every {}", number::duration(interval)),
        None => "backups directly one after another".to_owned(),
    };
    let asked = [
        ("loss", advice.objectives.rpo_seconds),
        ("recovery", advice.objectives.rto_seconds),
        ("blocked time", advice.objectives.blocked_seconds),
    ];
    let mut objectives: Vec<String> = asked
        .into_iter()
        .filter_map(|(name, limit)| Some(format!("{name} at most {}", limit_text(limit?))))
        .collect();
    if advice.objectives.survive_disk_loss {
        objectives.push("the backup survives the loss of the disk".to_owned());
    }
    let objectives = if objectives.is_empty() { "no objectives".to_owned() } else { objectives.join(", ") };
    let (size, rate) = (number::chosen_bytes(load.bytes), number::rate(load.rate));
    format!("{size} of data, writes at {rate}, {interval}; objectives: {objectives}.")
}

/// The answer in one sentence.
pub fn answer(advice: &Advice<'_>) -> String {
    let meeting = advice.judgements.iter().filter(|one| one.meets()).count();
    let certain = advice.judgements.iter().filter(|one| one.is_certain()).count();
    let all = advice.judgements.len();
    match (all, meeting) {
        (0, _) => "The runs contain no strategy that can be judged.".to_owned(),
        (_, 0) => format!("None of {all} strategies meets the objectives."),
        _ => format!(
            "{meeting} of {all} strategies meet the objectives, {certain} of them with their whole 90 % interval."
        ),
    }
}

/// The strategies that meet the objectives, best first. Values are predictions with their 90 % interval.
pub fn meeting(advice: &Advice<'_>) -> Table {
    let kept: Vec<&Judgement<'_>> = advice.judgements.iter().filter(|one| one.meets()).collect();
    let mut table = Table::new(vec![
        Column::text("Meets", "meets", Rank::Always),
        Column::text("Strategy", "strategy", Rank::Always),
        Column::number("Backup", "backup", Rank::Main(3)),
        Column::number("Blocked", "blocked", Rank::Main(2)),
        Column::number("Worst loss", "loss_worst", Rank::Main(1)),
        Column::number("Recovery", "recovery", Rank::Main(1)),
        Column::number("Artifact", "artifact", Rank::Main(5)),
        Column::number("Longest interval", "longest_interval", Rank::Main(4)),
    ]);
    for one in &kept {
        let predicted = &one.prediction;
        table.push(vec![
            meets(one).into(),
            one.contender.label.as_str().into(),
            range(predicted.backup, number::seconds).into(),
            range(predicted.blocked, number::seconds).into(),
            range(predicted.loss_worst, number::seconds).into(),
            range(predicted.recovery, number::seconds).into(),
            range(predicted.artifact, number::bytes).into(),
            Cell::measured(one.longest_interval_seconds, number::seconds),
        ]);
    }
    let any_interval = kept.iter().any(|one| one.longest_interval_seconds.is_some());
    table.select(|column| any_interval || column.key != "longest_interval")
}

fn meets(one: &Judgement<'_>) -> &'static str {
    match (one.meets(), one.is_certain()) {
        (false, _) => "no",
        (true, false) => "likely",
        (true, true) => "yes",
    }
}

/// The strategies that are excluded, each with all reasons.
pub fn excluded(advice: &Advice<'_>) -> Table {
    let row = |one: &Judgement<'_>| vec![one.contender.label.clone(), reasons(one)];
    let excluded = advice.judgements.iter().filter(|one| !one.meets());
    Table::of_texts(["Excluded", "Why"], excluded.map(row).collect())
}

fn reasons(one: &Judgement<'_>) -> String {
    one.exclusions.iter().map(exclusion).collect::<Vec<_>>().join("; ")
}

/// All strategies for programs: raw numbers, each value with the ends of its 90 % interval.
pub fn raw(advice: &Advice<'_>) -> Table {
    let texts = ["strategy", "engine", "family", "meets", "excluded_by"];
    let values = [
        "backup_seconds",
        "blocked_seconds",
        "recovery_seconds",
        "loss_expected_seconds",
        "loss_worst_seconds",
        "artifact_bytes",
    ];
    let others = ["longest_interval_seconds", "size_factor", "rate_factor"];
    let mut keys: Vec<String> = texts.map(str::to_owned).into();
    keys.extend(values.iter().flat_map(|key| [key.to_string(), format!("{key}_low"), format!("{key}_high")]));
    keys.extend(others.map(str::to_owned));
    let mut table = Table::new(keys.iter().map(|key| Column::text(key, key, Rank::Always)).collect());
    for one in &advice.judgements {
        let (contender, predicted) = (one.contender, &one.prediction);
        let texts =
            [&contender.label, &contender.engine, &contender.family].map(|text| Cell::text(text.as_str()));
        let mut row: Vec<Cell> = texts.into();
        row.extend([Cell::text(meets(one)), Cell::text(reasons(one))]);
        let ranges = [
            predicted.backup,
            predicted.blocked,
            predicted.recovery,
            predicted.loss_expected,
            predicted.loss_worst,
            predicted.artifact,
        ];
        let ends = |range: Option<Range>| {
            [range.map(|range| range.point), range.map(|range| range.low), range.map(|range| range.high)]
        };
        let others =
            [one.longest_interval_seconds, Some(predicted.bytes_factor), Some(predicted.rate_factor)];
        let numbers = ranges.into_iter().flat_map(ends).chain(others);
        row.extend(numbers.map(|value| Cell::measured(value, number::ratio)));
        table.push(row);
    }
    table
}

/// Notes on the strategies that meet the objectives, and on the runs. Each sentence appears once.
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
            all if all == number_kept && all > 1 => {
                format!("All strategies that meet the objectives: {text}.")
            }
            _ => format!("{}: {text}.", labels.join(", ")),
        })
        .collect();
    notes.extend(interval_alone(advice));
    if kept().count() == 0 {
        notes.push("Only strategies in the given runs are judged: add other runs with --from.".into());
    }
    match advice.machines {
        [] => {}
        [machine] => notes.push(format!("Measured on: {machine}. Times differ on other machines.")),
        machines => notes.push(format!(
            "Measured on {} machines ({}): their times are combined, although they differ by more than chance.",
            machines.len(),
            machines.join("; ")
        )),
    }
    notes
}

/// The note for an interval that is longer than the RPO: no strategy that backs up at this interval can meet it.
fn interval_alone(advice: &Advice<'_>) -> Option<String> {
    let interval = advice.load.interval_seconds?;
    let rpo = advice.objectives.rpo_seconds.filter(|rpo| interval > *rpo)?;
    Some(format!(
        "A backup every {} can lose up to that much data, which exceeds the objective of {}: choose a shorter \
         interval, or continuous replication.",
        number::seconds(interval),
        number::seconds(rpo)
    ))
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
        Exclusion::NeverCompletes => {
            "the backup never completes (predicted to take more than a year)".to_owned()
        }
        Exclusion::Exceeds { objective, predicted_seconds, limit_seconds } => {
            let (predicted, limit) = (number::seconds(*predicted_seconds), limit_text(*limit_seconds));
            let factor = predicted_seconds / limit_seconds;
            // A prediction far from what was measured can be larger than any number.
            let factor = if factor.is_finite() {
                format!(" ({} times)", number::ratio(factor))
            } else {
                String::new()
            };
            format!("{} {predicted} > {limit}{factor}", name(*objective))
        }
        Exclusion::NotMeasured(objective) => format!("{} was not measured", name(*objective)),
        Exclusion::LostWithDisk => "does not survive the loss of the database's disk".to_owned(),
        Exclusion::DiskLossUnknown => "whether it survives the loss of the disk is not known".to_owned(),
    }
}

fn caution(caution: &Caution, of: &Judgement<'_>) -> String {
    let contender = of.contender;
    match caution {
        Caution::MayExceed(objective) => format!("the {} may exceed the objective", name(*objective)),
        Caution::FailedBeyond(outcome) => format!(
            "{} at {} and {} in trial {}; at which smaller load it starts to fail was not measured",
            outcome.verdict,
            number::bytes(outcome.bytes),
            number::rate(outcome.rate),
            outcome.trial
        ),
        Caution::SizeBeyond(factor) => {
            let sizes = || contender.outcomes.iter().map(|outcome| outcome.bytes);
            let (least, most) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
            format!(
                "the size is {}outside the measured range ({})",
                beyond(*factor),
                between(least, most, number::bytes)
            )
        }
        Caution::RateBeyond(factor) => {
            let (least, most) = (contender.rates.first(), contender.rates.last());
            let (least, most) = (least.copied().unwrap_or(0.0), most.copied().unwrap_or(0.0));
            let measured = between(least, most, number::rate);
            format!("the rate is {}outside the measured range ({measured})", beyond(*factor))
        }
    }
}

/// How far, where that can be said: nothing is a multiple of 0.
fn beyond(factor: f64) -> String {
    if factor.is_finite() { format!("{} ", times(factor)) } else { String::new() }
}

/// A limit as a user would type it: whole seconds in units of a clock, fractions of a second in one unit.
fn limit_text(seconds: f64) -> String {
    if seconds.fract() == 0.0 { number::duration(seconds) } else { number::seconds(seconds) }
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
