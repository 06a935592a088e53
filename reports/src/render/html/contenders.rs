//! The data for the script of the page: the measurements of each contender at each load, and the sizing model.

use serde::Serialize;

use super::figures::{floor_seconds, lag_seconds, max_latency_ms};
use super::label;
use crate::compare::{Group, groups, same_contender, same_load_shape};
use crate::record::{Results, Trial, Verdict};
use crate::render::family::Family;
use crate::render::{conditions, words};
use crate::sizing::{self, Model};

/// All data that the script needs.
#[derive(Serialize)]
pub(super) struct Decision<'a> {
    /// The load that most contenders were tested at.
    load: Option<Load>,
    contenders: Vec<Contender<'a>>,
    /// The model for loads that were not tested.
    sizing: Model,
}

#[derive(Clone, Copy, PartialEq, Serialize)]
struct Load {
    bytes: u64,
    rate: f64,
}

/// A strategy with its settings on one kind of subject.
#[derive(Serialize)]
struct Contender<'a> {
    strategy: &'a str,
    variant: String,
    subject: String,
    engine: &'a str,
    family: &'static str,
    survives: &'static str,
    measured: Vec<Measured<'a>>,
}

/// The measurements at one load.
#[derive(Serialize)]
struct Measured<'a> {
    #[serde(flatten)]
    load: Load,
    /// True where an unsafe backup would have been restorable as well.
    unchallenged: bool,
    trials: Vec<Point<'a>>,
}

/// The measurements of one trial. Times are in seconds.
#[derive(Serialize)]
struct Point<'a> {
    id: &'a str,
    /// Its position in the run, counted from 1.
    number: usize,
    verdict: &'static str,
    restorable: bool,
    /// True for verdicts that prove nothing about the strategy: inconclusive, unavailable.
    untried: bool,
    elapsed: Option<f64>,
    backup: Option<f64>,
    blocked: Option<f64>,
    latency: Option<f64>,
    recovery: Option<f64>,
    /// Loss at backup completion; null for continuous replication.
    floor: Option<f64>,
    /// Loss at the disaster.
    lag: Option<f64>,
    size: Option<u64>,
}

/// The data on the contenders of a run. Closed loops are left out, because they have no rate. `all` are the trials that the
/// page shows: the run of the contenders is without those with faults.
pub(super) fn of<'a>(results: &'a Results, all: &[Trial]) -> Decision<'a> {
    let mut found: Vec<(&Trial, Contender<'_>)> = Vec::new();
    let mut loads: Vec<(Load, usize)> = Vec::new();
    for group in groups(&results.trials) {
        let Some(measured) = measured(&group, all) else { continue };
        match loads.iter_mut().find(|(load, _)| *load == measured.load) {
            Some((_, count)) => *count += 1,
            None => loads.push((measured.load, 1)),
        }
        let is_same = |(first, _): &&mut (&Trial, Contender<'_>)| {
            same_contender(first, group.first)
                && same_load_shape(first, group.first)
                && first.dataset.profile == group.first.dataset.profile
        };
        match found.iter_mut().find(is_same) {
            Some((_, contender)) => contender.measured.push(measured),
            None => found.push((group.first, contender(&group, measured))),
        }
    }
    Decision {
        load: loads.iter().max_by_key(|(load, count)| (*count, load.bytes)).map(|(load, _)| *load),
        contenders: found.into_iter().map(|(_, contender)| contender).collect(),
        sizing: sizing::fit(&[results]),
    }
}

fn contender<'a>(group: &Group<'a>, measured: Measured<'a>) -> Contender<'a> {
    let first = group.first;
    let file_system = first.file_system.as_deref().filter(|kind| kind.contains("loop device"));
    let mut subject = conditions::subject(first);
    subject += &file_system.map_or(String::new(), |kind| format!(", {kind}"));
    Contender {
        strategy: &first.strategy,
        variant: label::variant(first),
        subject,
        engine: &first.engine,
        family: Family::of(group).key(),
        survives: words::survives_disk_loss(first.survives_disk_loss),
        measured: vec![measured],
    }
}

fn measured<'a>(group: &Group<'a>, all: &[Trial]) -> Option<Measured<'a>> {
    let rate = group.first.workload.writes_per_second?;
    let load = Load { bytes: group.first.dataset.target_bytes, rate };
    let number = |trial: &Trial| all.iter().take_while(|other| other.id != trial.id).count() + 1;
    Some(Measured {
        load,
        unchallenged: group.is_right_by_luck(),
        trials: group.trials.iter().map(|trial| point(trial, number(trial))).collect(),
    })
}

fn point(trial: &Trial, number: usize) -> Point<'_> {
    let backup = trial.backup.as_ref();
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    Point {
        id: &trial.id,
        number,
        verdict: words::verdict(trial.verdict),
        restorable: trial.verdict == Verdict::Restorable,
        untried: matches!(trial.verdict, Verdict::Unavailable | Verdict::Unverified),
        elapsed: finite(backup.map(|backup| backup.elapsed_seconds)),
        backup: finite(backup.and_then(|backup| backup.seconds)),
        blocked: finite(trial.impact.as_ref().and_then(|impact| impact.blocked_seconds)),
        latency: finite(max_latency_ms(trial).map(|milliseconds| milliseconds / 1000.0)),
        recovery: finite(trial.restore.as_ref().and_then(|restore| restore.recovery_seconds)),
        floor: finite(floor_seconds(trial)),
        lag: finite(lag_seconds(trial)),
        size: backup.and_then(|backup| backup.artifact_bytes),
    }
}
