//! Decides which strategies meet given objectives, in order, and what excludes the others.

use serde::Serialize;

use super::contender::{Contender, Model, TrialOutcome};
use super::predict::{Load, Prediction, predict};
use super::range::Range;

/// The size of a generated file can differ from the requested size by a few pages.
const SIZE_TOLERANCE: f64 = 1.01;

/// The objectives that a strategy must meet. An absent objective excludes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Objectives {
    /// Largest tolerable data loss in seconds, whenever the disaster happens (RPO).
    pub rpo_seconds: Option<f64>,
    /// Longest tolerable recovery time in seconds (RTO).
    pub rto_seconds: Option<f64>,
    /// Longest tolerable blocked time in seconds.
    pub blocked_seconds: Option<f64>,
    /// Whether the backup must survive the loss of the database's disk.
    pub survive_disk_loss: bool,
}

/// An objective that is a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Data loss if the disaster happens at the worst moment.
    Rpo,
    /// Recovery time.
    Rto,
    /// Blocked time.
    Blocked,
}

impl Objective {
    const ALL: [Objective; 3] = [Objective::Rpo, Objective::Rto, Objective::Blocked];

    fn limit(self, objectives: &Objectives) -> Option<f64> {
        match self {
            Objective::Rpo => objectives.rpo_seconds,
            Objective::Rto => objectives.rto_seconds,
            Objective::Blocked => objectives.blocked_seconds,
        }
    }

    fn predicted(self, prediction: &Prediction) -> Option<Range> {
        match self {
            Objective::Rpo => prediction.loss_worst,
            Objective::Rto => prediction.recovery,
            Objective::Blocked => prediction.blocked,
        }
    }
}

/// Why a strategy is excluded.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exclusion {
    /// This trial failed at a load that is not larger than the given one.
    Failed(TrialOutcome),
    /// The backup takes longer than a year.
    NeverCompletes,
    /// The predicted value is above the objective.
    Exceeds {
        /// Which objective.
        objective: Objective,
        /// The prediction in seconds.
        predicted_seconds: f64,
        /// The objective in seconds.
        limit_seconds: f64,
    },
    /// There is no measurement that the objective could be compared with.
    NotMeasured(Objective),
    /// The backup does not survive the loss of the database's disk.
    LostWithDisk,
    /// It is not known whether the backup survives the loss of the database's disk.
    DiskLossUnknown,
}

/// A caution about a strategy that meets the objectives.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Caution {
    /// The upper end of the 90 % interval exceeds this objective.
    MayExceed(Objective),
    /// It failed in this trial at a larger load; at which load between the two it starts to fail is not known.
    FailedBeyond(TrialOutcome),
    /// The size is outside the measured range by this factor.
    SizeBeyond(f64),
    /// The rate is outside the measured range by this factor.
    RateBeyond(f64),
}

/// One strategy with its prediction, and the conclusions from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement<'a> {
    /// The strategy.
    pub contender: &'a Contender,
    /// The prediction.
    pub prediction: Prediction,
    /// The reasons that exclude it; empty when it meets the objectives.
    pub exclusions: Vec<Exclusion>,
    /// Cautions about it.
    pub cautions: Vec<Caution>,
    /// The largest share of an objective that it uses up; null without objectives.
    pub used_share: Option<f64>,
    /// The longest interval between backups that meets the RPO in 19 of 20 cases; null without an RPO, for continuous
    /// replication, and where no interval meets it.
    pub longest_interval_seconds: Option<f64>,
}

impl Judgement<'_> {
    /// Whether it meets the objectives.
    pub fn meets(&self) -> bool {
        self.exclusions.is_empty()
    }

    /// Whether the whole interval meets the objectives, and no failure is near.
    pub fn is_certain(&self) -> bool {
        let uncertain =
            |caution: &Caution| matches!(caution, Caution::MayExceed(_) | Caution::FailedBeyond(_));
        self.meets() && !self.cautions.iter().any(uncertain)
    }
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice<'a> {
    /// The load that the advice is for.
    pub load: Load,
    /// The objectives.
    pub objectives: Objectives,
    /// The machines that were measured.
    pub machines: &'a [String],
    /// Those that meet the objectives come first: certain ones before likely ones, then by the largest share of an
    /// objective that they use, then by backup time.
    pub judgements: Vec<Judgement<'a>>,
}

/// Compares all strategies of a model with the objectives; only those of one engine where one is given.
pub fn decide<'a>(
    model: &'a Model,
    load: &Load,
    objectives: &Objectives,
    engine: Option<&str>,
) -> Advice<'a> {
    let asked = model.contenders.iter().filter(|one| engine.is_none_or(|engine| one.engine == engine));
    let mut judgements: Vec<Judgement<'_>> = asked.map(|one| judge(one, load, objectives)).collect();
    judgements.sort_by(|a, b| {
        let place = |one: &Judgement<'_>| (!one.meets(), !one.is_certain());
        let backup = |one: &Judgement<'_>| one.prediction.backup.map_or(f64::INFINITY, |backup| backup.point);
        let share = |one: &Judgement<'_>| one.used_share.unwrap_or(0.0);
        place(a).cmp(&place(b)).then(share(a).total_cmp(&share(b))).then(backup(a).total_cmp(&backup(b)))
    });
    Advice { load: *load, objectives: *objectives, machines: &model.machines, judgements }
}

fn judge<'a>(contender: &'a Contender, load: &Load, objectives: &Objectives) -> Judgement<'a> {
    let prediction = predict(contender, load);
    let limits = || Objective::ALL.into_iter().filter_map(|one| Some((one, one.limit(objectives)?)));
    let used = limits().filter_map(|(one, limit)| Some(one.predicted(&prediction)?.point / limit));
    Judgement {
        contender,
        prediction,
        exclusions: exclusions(contender, &prediction, load, objectives),
        cautions: cautions(contender, &prediction, load, objectives),
        used_share: used.reduce(f64::max),
        longest_interval_seconds: longest_interval(contender, &prediction, load, objectives),
    }
}

fn exclusions(
    contender: &Contender,
    prediction: &Prediction,
    load: &Load,
    objectives: &Objectives,
) -> Vec<Exclusion> {
    let mut exclusions: Vec<Exclusion> =
        proof_of_failure(contender, load).cloned().map(Exclusion::Failed).into_iter().collect();
    if prediction.backup.is_some_and(|backup| backup.point == f64::INFINITY) {
        exclusions.push(Exclusion::NeverCompletes);
        return exclusions;
    }
    for objective in Objective::ALL {
        let Some(limit_seconds) = objective.limit(objectives) else { continue };
        match objective.predicted(prediction) {
            None => exclusions.push(Exclusion::NotMeasured(objective)),
            Some(range) if range.point > limit_seconds => {
                exclusions.push(Exclusion::Exceeds {
                    objective,
                    predicted_seconds: range.point,
                    limit_seconds,
                });
            }
            Some(_) => {}
        }
    }
    if objectives.survive_disk_loss {
        match contender.survives_disk_loss {
            Some(true) => {}
            Some(false) => exclusions.push(Exclusion::LostWithDisk),
            None => exclusions.push(Exclusion::DiskLossUnknown),
        }
    }
    exclusions
}

/// The failed trial that is nearest to the given load, among those whose load is not larger.
fn proof_of_failure<'a>(contender: &'a Contender, load: &Load) -> Option<&'a TrialOutcome> {
    let proofs = contender.outcomes.iter().filter(|one| one.failed && is_within(one, load));
    proofs.max_by(|a, b| a.bytes.total_cmp(&b.bytes).then(a.rate.total_cmp(&b.rate)))
}

fn is_within(outcome: &TrialOutcome, load: &Load) -> bool {
    outcome.bytes <= load.bytes * SIZE_TOLERANCE && outcome.rate <= load.rate
}

fn is_beyond(outcome: &TrialOutcome, load: &Load) -> bool {
    outcome.bytes * SIZE_TOLERANCE >= load.bytes && outcome.rate >= load.rate
}

fn cautions(
    contender: &Contender,
    prediction: &Prediction,
    load: &Load,
    objectives: &Objectives,
) -> Vec<Caution> {
    let mut cautions = Vec::new();
    for objective in Objective::ALL {
        let limit = objective.limit(objectives);
        let predicted = objective.predicted(prediction);
        if limit.zip(predicted).is_some_and(|(limit, range)| range.point <= limit && range.high > limit) {
            cautions.push(Caution::MayExceed(objective));
        }
    }
    let beyond = || contender.outcomes.iter().filter(|one| is_beyond(one, load));
    if beyond().all(|one| one.failed) {
        let nearest = beyond().min_by(|a, b| a.bytes.total_cmp(&b.bytes).then(a.rate.total_cmp(&b.rate)));
        cautions.extend(nearest.filter(|one| !is_within(one, load)).cloned().map(Caution::FailedBeyond));
    }
    if prediction.bytes_factor > SIZE_TOLERANCE {
        cautions.push(Caution::SizeBeyond(prediction.bytes_factor));
    }
    if prediction.rate_factor > 1.0 {
        cautions.push(Caution::RateBeyond(prediction.rate_factor));
    }
    cautions
}

fn longest_interval(
    contender: &Contender,
    prediction: &Prediction,
    load: &Load,
    objectives: &Objectives,
) -> Option<f64> {
    let rpo_seconds = objectives.rpo_seconds.filter(|_| !contender.continuous)?;
    let floor = contender.floor.as_ref()?.predict(load.bytes)?;
    let longest = rpo_seconds - floor.high;
    (longest >= prediction.backup?.high).then_some(longest)
}
