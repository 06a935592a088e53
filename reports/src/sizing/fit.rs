//! From records to a model: which trials belong together, which figures are fitted, and how large the noise is.

use crate::compare::{same_contender, same_load_shape};
use crate::record::{Results, Trial, Verdict};
use crate::render::conditions::Conditions;
use crate::render::family::Family;
use crate::render::number;

use super::contender::{Contender, Model, TrialOutcome};
use super::line::{Estimate, Line, Point};

/// Shorter times cannot be distinguished from 0: blocked time counts from 0.1 s on. It is added before the logarithm
/// is taken.
const RESOLUTION_SECONDS: f64 = 0.1;
/// The additional error of a line for each e-fold of distance from the measured range, as a standard deviation of the
/// logarithm: at larger sizes memory is exhausted, caches are full, and trees have another level.
const TIMES: f64 = 0.1;
/// The same for sizes, where only the compression ratio changes a little.
const SIZES: f64 = 0.02;
/// With fewer degrees of freedom from repeated measurements, the noise is taken from another source.
const DEGREES_MIN: f64 = 4.0;
/// The variance that is assumed where nothing was repeated: about a third up or down.
const ASSUMED_VARIANCE: f64 = 0.3 * 0.3;

/// One figure that grows with size or rate.
pub(super) struct Figure {
    /// Its name.
    pub name: &'static str,
    /// The value that is added before the logarithm is taken.
    pub shift: f64,
    /// The additional error outside the measured range: see [`Estimate::with_noise`].
    growth_sigma: f64,
    /// Whether measurements at a single place are assumed to apply everywhere: a lag depends mostly on configured
    /// intervals. All other figures are assumed to be proportional, which does not predict too little for larger
    /// values.
    flat_from_one_place: bool,
    /// The variable that it grows with.
    pub x: fn(&Trial) -> f64,
    /// The measurements of one trial.
    pub values: fn(&Trial) -> Vec<f64>,
    /// The field for its line.
    pub line: fn(&mut Contender) -> &mut Option<Line>,
}

pub(super) const FIGURES: [Figure; 7] = [
    Figure {
        name: "backup time",
        shift: 0.0,
        growth_sigma: TIMES,
        flat_from_one_place: false,
        x: bytes,
        values: backup,
        line: |contender| &mut contender.backup,
    },
    Figure {
        name: "time of a pass",
        shift: 0.0,
        growth_sigma: TIMES,
        flat_from_one_place: false,
        x: bytes,
        values: pass,
        line: |contender| &mut contender.pass,
    },
    Figure {
        name: "blocked time",
        shift: RESOLUTION_SECONDS,
        growth_sigma: TIMES,
        flat_from_one_place: false,
        x: bytes,
        values: blocked,
        line: |contender| &mut contender.blocked,
    },
    Figure {
        name: "recovery time",
        shift: 0.0,
        growth_sigma: TIMES,
        flat_from_one_place: false,
        x: bytes,
        values: recovery,
        line: |contender| &mut contender.recovery,
    },
    Figure {
        name: "artifact",
        shift: 0.0,
        growth_sigma: SIZES,
        flat_from_one_place: false,
        x: bytes,
        values: artifact,
        line: |contender| &mut contender.artifact,
    },
    Figure {
        name: "loss at completion",
        shift: RESOLUTION_SECONDS,
        growth_sigma: TIMES,
        flat_from_one_place: false,
        x: bytes,
        values: floor,
        line: |contender| &mut contender.floor,
    },
    Figure {
        name: "lag",
        shift: RESOLUTION_SECONDS,
        growth_sigma: TIMES,
        flat_from_one_place: true,
        x: rate,
        values: lag,
        line: |contender| &mut contender.lag,
    },
];

/// Fits a model to runs. It leaves out negative controls, trials with a fault, closed loops (which have no declared
/// rate), and strategies without a conclusive trial.
pub fn fit(runs: &[&Results]) -> Model {
    Model { machines: machines(runs), contenders: fit_groups(&gather(runs), copies(runs)) }
}

/// Fits one contender to each group of trials. `copies` is the noise of the plain copies.
pub(super) fn fit_groups(groups: &[Vec<&Trial>], copies: Noise) -> Vec<Contender> {
    let firsts: Vec<&Trial> = groups.iter().map(|trials| trials[0]).collect();
    let conditions = Conditions::of(&firsts).without("size").without("writes");
    let mut contenders: Vec<Contender> =
        groups.iter().map(|trials| described(trials, conditions.row_name(trials[0]))).collect();
    tell_apart(&mut contenders);
    for figure in FIGURES {
        let estimates: Vec<Option<Estimate>> = groups.iter().map(|trials| figure.estimate(trials)).collect();
        let variance = shared_variance(&estimates, copies);
        for (contender, estimate) in contenders.iter_mut().zip(&estimates) {
            *(figure.line)(contender) =
                estimate.as_ref().map(|estimate| estimate.with_noise(variance, figure.growth_sigma));
        }
    }
    for contender in &mut contenders {
        // Where commits restart a backup, its total time depends on luck; the time of a pass grows with the size.
        if contender.pass.is_some() {
            contender.backup = None;
        }
        if contender.continuous { contender.floor = None } else { contender.lag = None }
    }
    contenders
}

impl Figure {
    fn estimate(&self, trials: &[&Trial]) -> Option<Estimate> {
        let of_trial = |trial: &&Trial| {
            let x = (self.x)(trial);
            (self.values)(trial).into_iter().map(move |y| Point { x, y })
        };
        Estimate::of(
            &trials.iter().flat_map(of_trial).collect::<Vec<_>>(),
            self.shift,
            self.flat_from_one_place,
        )
    }
}

/// The trials of each contender, in the order in which they ran.
pub(super) fn gather<'a>(runs: &[&'a Results]) -> Vec<Vec<&'a Trial>> {
    let mut gathered: Vec<Vec<&Trial>> = Vec::new();
    for trial in runs.iter().flat_map(|run| &run.trials).filter(|trial| is_usable(trial)) {
        let same = |trials: &&mut Vec<&Trial>| {
            let first = trials[0];
            same_contender(first, trial)
                && same_load_shape(first, trial)
                && first.dataset.profile == trial.dataset.profile
        };
        match gathered.iter_mut().find(same) {
            Some(trials) => trials.push(trial),
            None => gathered.push(vec![trial]),
        }
    }
    gathered
}

fn is_usable(trial: &Trial) -> bool {
    !trial.control
        && trial.fault.is_none()
        // Its recovery depends on the line to the destination.
        && trial.offsite.is_none()
        && trial.workload.writes_per_second.is_some_and(|rate| rate >= 0.0 && rate.is_finite())
        && !matches!(trial.verdict, Verdict::Unavailable | Verdict::Unverified)
}

/// A contender without its lines.
fn described(trials: &[&Trial], label: String) -> Contender {
    let first = trials[0];
    let mut rates: Vec<f64> = trials.iter().map(|trial| rate(trial)).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    Contender {
        label,
        engine: first.engine.clone(),
        app: first.app.clone(),
        journal_mode: first.workload.journal_mode.clone(),
        strategy: first.strategy.clone(),
        variant: first.variant.clone(),
        survives_disk_loss: trials.iter().find_map(|trial| trial.survives_disk_loss),
        family: trials.iter().map(|trial| Family::of_trial(trial)).min().map_or("", Family::key).to_owned(),
        continuous: trials.iter().any(|trial| is_continuous(trial)),
        trials: trials.iter().map(|trial| trial.id.clone()).collect(),
        rates,
        backup: None,
        pass: None,
        blocked: None,
        recovery: None,
        artifact: None,
        floor: None,
        lag: None,
        outcomes: trials.iter().map(|trial| outcome(trial)).collect(),
    }
}

fn outcome(trial: &Trial) -> TrialOutcome {
    TrialOutcome {
        trial: trial.id.clone(),
        verdict: trial.verdict,
        bytes: bytes(trial),
        rate: rate(trial),
        reason: trial.reason.clone(),
        failed: trial.verdict != Verdict::Restorable,
    }
}

/// Numbers contenders with the same label: they differ in a setting that the label does not name.
fn tell_apart(contenders: &mut [Contender]) {
    for at in 1..contenders.len() {
        let (before, rest) = contenders.split_at_mut(at);
        let this = &mut rest[0];
        let is_other_form = |other: &&Contender| {
            other.label == this.label || other.label.starts_with(&format!("{} (", this.label))
        };
        let forms = before.iter().filter(is_other_form).count();
        if forms > 0 {
            this.label += &format!(" ({})", forms + 1);
        }
    }
}

/// Whether the data loss is independent of the time of the last backup. In a record without a kind, this follows from
/// restored writes that were acknowledged after the backup was complete. A strategy with its own interval is not
/// continuous: it may have made its next backup by then.
fn is_continuous(trial: &Trial) -> bool {
    if trial.settings.contains_key("interval_seconds") {
        return false;
    }
    if let Some(kind) = &trial.kind {
        return kind == "continuous";
    }
    let began =
        |name: &str| trial.phases.iter().find(|phase| phase.phase == name).map(|phase| phase.at_seconds);
    let tail_seconds = began("tail").zip(began("disaster")).map(|(tail, disaster)| disaster - tail);
    let lost_seconds = trial.recovery_point.as_ref().and_then(|point| point.lost_seconds);
    lost_seconds.zip(tail_seconds).is_some_and(|(lost, tail)| lost < tail)
}

fn machines(runs: &[&Results]) -> Vec<String> {
    let mut machines: Vec<String> = Vec::new();
    for run in runs {
        let host = &run.run.host;
        let memory = number::bytes(host.memory_bytes as f64);
        let machine = format!("{}, {} processors, {memory} memory, {}", host.cpu, host.cpus, host.filesystem);
        if !machines.contains(&machine) {
            machines.push(machine);
        }
    }
    machines
}

/// Sum of the squared deviations of logarithms, with its degrees of freedom.
#[derive(Clone, Copy, Default)]
pub(super) struct Noise {
    squares: f64,
    degrees: f64,
}

impl Noise {
    fn and(self, squares: f64, degrees: f64) -> Noise {
        Noise { squares: self.squares + squares, degrees: self.degrees + degrees }
    }
}

/// The variance of the logarithms of a figure, over all contenders. Without enough repetitions, the variance of the
/// plain copies made right before each backup is used.
fn shared_variance(estimates: &[Option<Estimate>], copies: Noise) -> f64 {
    let known = estimates.iter().flatten();
    let own = known.fold(Noise::default(), |noise, one| noise.and(one.squares, one.degrees));
    let enough = [own, copies].into_iter().find(|noise| noise.degrees >= DEGREES_MIN);
    enough.map_or(ASSUMED_VARIANCE, |noise| noise.squares / noise.degrees)
}

/// The noise of the plain copies: their deviations from the mean of their dataset.
pub(super) fn copies(runs: &[&Results]) -> Noise {
    let datasets = runs.iter().flat_map(|run| &run.run.calibration);
    datasets.fold(Noise::default(), |noise, dataset| {
        let usable = dataset.copy_seconds.iter().filter(|seconds| **seconds > 0.0 && seconds.is_finite());
        let logs: Vec<f64> = usable.map(|seconds| seconds.ln()).collect();
        let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
        noise.and(logs.iter().map(|log| (log - mean).powi(2)).sum(), logs.len().saturating_sub(1) as f64)
    })
}

pub(super) fn bytes(trial: &Trial) -> f64 {
    trial.dataset.bytes as f64
}

fn rate(trial: &Trial) -> f64 {
    trial.workload.writes_per_second.unwrap_or(0.0)
}

fn backup(trial: &Trial) -> Vec<f64> {
    of_restorable(trial, |trial| trial.backup.as_ref()?.seconds)
}

/// The pass time is also known for a backup that never finished.
fn pass(trial: &Trial) -> Vec<f64> {
    trial.backup.iter().filter_map(|backup| backup.pass_seconds).collect()
}

fn blocked(trial: &Trial) -> Vec<f64> {
    of_restorable(trial, |trial| trial.impact.as_ref()?.blocked_seconds)
}

fn recovery(trial: &Trial) -> Vec<f64> {
    of_restorable(trial, |trial| trial.restore.as_ref()?.recovery_seconds)
}

fn artifact(trial: &Trial) -> Vec<f64> {
    of_restorable(trial, |trial| Some(trial.backup.as_ref()?.artifact_bytes? as f64))
}

fn floor(trial: &Trial) -> Vec<f64> {
    of_restorable(trial, |trial| {
        let point = trial.recovery_point.as_ref()?;
        point.lost_seconds_at_completion.or(point.staleness_at_completion_seconds)
    })
}

fn lag(trial: &Trial) -> Vec<f64> {
    let at_disaster = of_restorable(trial, |trial| trial.recovery_point.as_ref()?.lost_seconds);
    let live = trial.live_restores.iter().filter_map(|restore| restore.recovery_point.as_ref()?.lost_seconds);
    at_disaster.into_iter().chain(live).collect()
}

fn of_restorable(trial: &Trial, value: fn(&Trial) -> Option<f64>) -> Vec<f64> {
    (trial.verdict == Verdict::Restorable).then(|| value(trial)).flatten().into_iter().collect()
}
