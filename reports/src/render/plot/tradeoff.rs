//! Trade-offs between strategies: data loss against recovery time, backup time against write latency.

use super::naming::{name, place, systems};
use super::scale::Quantity;
use super::scatter::{Absent, Axis, Panel, Point, Scatter};
use crate::compare::{Group, groups, same_contender, same_load_shape};
use crate::record::{Results, Trial, Verdict};
use crate::render::number;

/// A figure of a trial that an axis shows; `None` where it was not measured.
type Measurement = fn(&Trial) -> Option<f64>;

/// Data loss against recovery time: the loss at backup completion, or at the disaster for older records.
pub(super) fn loss_against_recovery(results: &Results, id: &str) -> Option<String> {
    let measured_at_completion = results.trials.iter().any(|trial| at_completion(trial).is_some());
    let (label, loss): (&str, Measurement) = if measured_at_completion {
        ("Data loss at backup completion", at_completion)
    } else {
        ("Data loss at disaster", |trial| trial.recovery_point.as_ref()?.lost_seconds)
    };
    let scatter = Scatter {
        title: "How much data is lost, and how long is recovery?".to_string(),
        subtitle: subtitle(results),
        x: Axis { label: "Recovery time".to_string(), quantity: Quantity::Time, zero: false },
        y: Axis { label: label.to_string(), quantity: Quantity::Time, zero: true },
        panels: panels(results, |trial| trial.restore.as_ref()?.recovery_seconds, loss),
    };
    scatter.draw(id)
}

fn at_completion(trial: &Trial) -> Option<f64> {
    trial.recovery_point.as_ref()?.lost_seconds_at_completion
}

/// Backup time against max write latency during the backup.
pub(super) fn backup_against_latency(results: &Results, id: &str) -> Option<String> {
    let latency = |trial: &Trial| Some(trial.impact.as_ref()?.during.as_ref()?.max_ms? / 1000.0);
    let scatter = Scatter {
        title: "How long is a backup, and how long do writes wait?".to_string(),
        subtitle: subtitle(results),
        x: Axis { label: "Backup time".to_string(), quantity: Quantity::Time, zero: false },
        y: Axis {
            label: "Max write latency during the backup".to_string(),
            quantity: Quantity::Time,
            zero: false,
        },
        panels: panels(results, |trial| trial.backup.as_ref()?.seconds, latency),
    };
    scatter.draw(id)
}

/// A panel for each system under test and dataset profile, in the order in which they first ran.
fn panels(results: &Results, x: Measurement, y: Measurement) -> Vec<Panel> {
    let groups = largest(groups(&results.trials));
    let systems = systems(&groups);
    systems.iter().map(|system| panel(system, systems.len() > 1, x, y)).collect()
}

fn panel(system: &[Group<'_>], titled: bool, x: Measurement, y: Measurement) -> Panel {
    let mut panel = Panel {
        heading: if titled { place(system) } else { String::new() },
        points: Vec::new(),
        absent: Vec::new(),
    };
    for group in system {
        let (name, detail) = name(group, system);
        let place = group.spread(x).zip(group.spread(y));
        if let Some(why) = why_absent(group, place.is_some()) {
            let verdict = group.verdict();
            let name = format!("{name} {detail}").trim().to_string() + &how_it_ended(group);
            panel.absent.push(Absent { why, name, verdict });
        }
        if let Some((x, y)) = place {
            let blocked = group.spread(|trial| trial.impact.as_ref()?.blocked_seconds);
            let blocked = blocked.map(|spread| spread.median);
            panel.points.push(Point { name, detail, x, y, blocked, verdict: group.verdict() });
        }
    }
    panel
}

/// Each contender at its largest tested size, and there at its highest tested rate. Other plots show the rest.
fn largest(groups: Vec<Group<'_>>) -> Vec<Group<'_>> {
    let load = |group: &Group<'_>| {
        let rate = group.first.workload.writes_per_second.unwrap_or(f64::INFINITY);
        (group.first.dataset.target_bytes, rate)
    };
    let same = |a: &Trial, b: &Trial| {
        same_contender(a, b) && same_load_shape(a, b) && a.dataset.profile == b.dataset.profile
    };
    let mut kept: Vec<Group<'_>> = Vec::new();
    for group in groups {
        match kept.iter_mut().find(|known| same(known.first, group.first)) {
            Some(known) if load(&group) > load(known) => *known = group,
            Some(_) => {}
            None => kept.push(group),
        }
    }
    kept
}

/// Why a group is named below the plot; `None` where its mark is enough.
fn why_absent(group: &Group<'_>, has_place: bool) -> Option<&'static str> {
    match group.verdict() {
        Verdict::Stalled | Verdict::TimedOut | Verdict::Failed => Some("Never finished"),
        _ if has_place => None,
        Verdict::Corrupt => Some("Restored a wrong database"),
        Verdict::Lossy => Some("Lost writes that it promised to keep"),
        Verdict::Unverified => Some("Inconclusive"),
        Verdict::Unavailable => Some("Could not run here"),
        Verdict::Restorable => Some("Restored, but not measured on both axes"),
    }
}

/// How the unfinished backups of a group ended: ` (no progress after 26.0 s in 2 of 3 trials)`.
fn how_it_ended(group: &Group<'_>) -> String {
    let verdict = group.verdict();
    let word = match verdict {
        Verdict::Stalled => "no progress",
        Verdict::TimedOut => "incomplete",
        Verdict::Failed => "error",
        _ => return String::new(),
    };
    let ended: Vec<&Trial> = group.trials.iter().copied().filter(|trial| trial.verdict == verdict).collect();
    let longest = ended.iter().filter_map(|trial| Some(trial.backup.as_ref()?.elapsed_seconds));
    let after = longest.filter(|seconds| seconds.is_finite()).fold(0.0, f64::max);
    let after = if after > 0.0 { format!(" after {}", number::seconds(after)) } else { String::new() };
    let share = if ended.len() < group.trials.len() {
        format!(" in {} of {} trials", ended.len(), group.trials.len())
    } else {
        String::new()
    };
    format!(" ({word}{after}{share})")
}

/// The conditions, and what a mark represents.
fn subtitle(results: &Results) -> String {
    let all = groups(&results.trials);
    let shown = largest(all.clone());
    let systems = systems(&shown);
    let mut sentences = Vec::new();
    if let [system] = systems.as_slice() {
        sentences.push(place(system) + ".");
    } else {
        sentences.push("One panel for each application and engine, on the same scales.".to_string());
    }
    if all.len() > shown.len() {
        sentences.push("Each strategy at its largest size and highest write rate.".to_string());
    }
    let repetitions = shown.iter().map(|group| group.trials.len()).max().unwrap_or(0);
    sentences.push(match repetitions {
        0 | 1 => "One trial each.".to_string(),
        most => format!("Median of up to {most} trials each; lines show the range."),
    });
    sentences.join(" ")
}
