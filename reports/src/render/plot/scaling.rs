//! How times grow with database size and commit rate: measurements, and predictions of the model in `sizing`.

use super::lines::{Chart, Line, Panel};
use super::naming::{self, name, systems};
use super::scale::Quantity;
use crate::compare::{Group, groups, same_contender, same_load_shape};
use crate::record::{Results, Trial, Verdict};
use crate::render::conditions;
use crate::sizing::{self, Contender, Load, Model, Prediction, Range};

/// A figure: how it is read from a trial and from a prediction.
struct Figure {
    label: &'static str,
    measured: fn(&Trial) -> Option<f64>,
    predicted: fn(&Prediction) -> Option<Range>,
}

const BACKUP: Figure = Figure {
    label: "Backup time",
    measured: |trial| trial.backup.as_ref()?.seconds,
    predicted: |prediction| prediction.backup,
};
const RECOVERY: Figure = Figure {
    label: "Recovery time",
    measured: |trial| trial.restore.as_ref()?.recovery_seconds,
    predicted: |prediction| prediction.recovery,
};

/// The variable on the horizontal axis.
#[derive(Clone, Copy, PartialEq)]
enum Along {
    Size,
    Rate,
}

impl Along {
    /// The position of a trial on the axis; `None` for a closed loop, which has no rate.
    fn place(self, trial: &Trial) -> Option<f64> {
        match self {
            Along::Size => Some(trial.dataset.bytes as f64),
            Along::Rate => trial.workload.writes_per_second.filter(|rate| rate.is_finite() && *rate >= 0.0),
        }
    }

    /// The load at a position on the axis, with everything else as in a trial.
    fn load(self, place: f64, trial: &Trial) -> Load {
        let (bytes, rate) = match self {
            Along::Size => (place, trial.workload.writes_per_second.unwrap_or(0.0)),
            Along::Rate => (trial.dataset.bytes as f64, place),
        };
        Load { bytes, rate, interval_seconds: None }
    }

    /// True when two trials differ at most in their position on the axis.
    fn same_line(self, a: &Trial, b: &Trial) -> bool {
        let same_elsewhere = match self {
            Along::Size => a.workload.writes_per_second == b.workload.writes_per_second,
            Along::Rate => a.dataset.target_bytes == b.dataset.target_bytes,
        };
        same_elsewhere
            && same_contender(a, b)
            && same_load_shape(a, b)
            && a.dataset.profile == b.dataset.profile
    }
}

/// Backup and recovery time against the size; `None` where no strategy was tested at two sizes.
pub(super) fn by_size(results: &Results, id: &str) -> Option<String> {
    let model = sizing::fit(&[results]);
    let chart = Chart {
        title: "How do backup and recovery time grow with size?".to_string(),
        subtitle: subtitle(results),
        x_label: "Size of the database",
        x: Quantity::Size,
        beyond: 4.0,
        panels: panels(results, &model, Along::Size, &[BACKUP, RECOVERY])?,
    };
    chart.draw(id)
}

/// Backup time against commits per second; `None` where no strategy was tested at two rates.
pub(super) fn by_rate(results: &Results, id: &str) -> Option<String> {
    let model = sizing::fit(&[results]);
    let restarts = model.contenders.iter().any(|contender| contender.pass.is_some());
    let law = " A backup that every commit restarts takes (e^(rT) − 1) / r seconds on average: \
               T is the time of one undisturbed pass, r the commits per second.";
    let chart = Chart {
        title: "How does backup time depend on commits per second?".to_string(),
        subtitle: subtitle(results) + if restarts { law } else { "" },
        x_label: "Commits per second",
        x: Quantity::Rate,
        beyond: 1.0,
        panels: panels(results, &model, Along::Rate, &[BACKUP])?,
    };
    chart.draw(id)
}

/// The conditions, and what the dots and lines mean.
fn subtitle(results: &Results) -> String {
    let all = groups(&results.trials);
    let place = match systems(&all).as_slice() {
        [system] => naming::place(system) + ". ",
        _ => String::new(),
    };
    place + "Dots: measured. Lines: the sizing model, dashed beyond what was measured."
}

/// A panel for each figure of each system under test; `None` where nothing varies along the axis.
fn panels<'a>(
    results: &'a Results,
    model: &'a Model,
    along: Along,
    figures: &[Figure],
) -> Option<Vec<Panel<'a>>> {
    let all: Vec<Group<'a>> =
        groups(&results.trials).into_iter().filter(|group| along.place(group.first).is_some()).collect();
    let systems: Vec<Vec<Vec<Group<'a>>>> = systems(&all)
        .iter()
        .map(|system| series(system, along))
        .filter(|series| series.iter().any(|one| one.len() > 1))
        .collect();
    if systems.is_empty() {
        return None;
    }
    let mut panels = Vec::new();
    for series in &systems {
        for (at, figure) in figures.iter().enumerate() {
            let titled = systems.len() > 1 && at == 0;
            let subject = conditions::subject(series[0][0].first);
            panels.push(Panel {
                heading: if titled { naming::capitalised(&subject) } else { String::new() },
                y_label: figure.label,
                lines: series.iter().map(|one| line(one, series, model, along, figure)).collect(),
            });
        }
    }
    Some(panels)
}

/// The groups of each line, sorted by position. Negative controls are left out: they are not used in production.
fn series<'a>(system: &[Group<'a>], along: Along) -> Vec<Vec<Group<'a>>> {
    let mut series: Vec<Vec<Group<'a>>> = Vec::new();
    for group in system.iter().filter(|group| !group.first.control) {
        match series.iter_mut().find(|one| along.same_line(one[0].first, group.first)) {
            Some(one) => one.push(group.clone()),
            None => series.push(vec![group.clone()]),
        }
    }
    for one in &mut series {
        one.sort_by(|a, b| {
            along.place(a.first).partial_cmp(&along.place(b.first)).expect("places are numbers")
        });
    }
    series
}

fn line<'a>(
    one: &[Group<'a>],
    all: &[Vec<Group<'a>>],
    model: &'a Model,
    along: Along,
    figure: &Figure,
) -> Line<'a> {
    let first = one[0].first;
    let firsts: Vec<Group<'a>> = all.iter().map(|other| other[0].clone()).collect();
    let (name, detail) = name(&one[0], &firsts);
    let place = |group: &Group<'_>| along.place(group.first).unwrap_or_default();
    let ended = |group: &&Group<'_>| {
        matches!(group.verdict(), Verdict::Stalled | Verdict::TimedOut | Verdict::Failed)
    };
    let contender: Option<&'a Contender> =
        model.contenders.iter().find(|contender| contender.trials.contains(&first.id));
    let predicted = figure.predicted;
    Line {
        name,
        detail,
        points: one.iter().filter_map(|group| Some((place(group), group.spread(figure.measured)?))).collect(),
        never: if figure.label == BACKUP.label {
            one.iter().filter(ended).map(place).collect()
        } else {
            Vec::new()
        },
        model: Box::new(move |place| {
            Some(predicted(&sizing::predict(contender?, &along.load(place, first)))?.point)
        }),
    }
}
