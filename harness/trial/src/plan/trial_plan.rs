//! One trial of a plan: what it needs and how long it takes.

use std::collections::BTreeMap;

use engines::applications::App;
use engines::images::ImageKind;
use machine::file_system::FileSystem;
use model::dataset::DatasetSpec;
use model::ledger::RESERVED_BYTES;
use model::schedule::Load;
use model::verify::Level;
use model::writes::Model;
use reports::record::Verdict;
use strategies::contract::ConfiguredStrategy;

use super::limits::stall_seconds;
use crate::deployment::Deployment;
use crate::fault::{ConfiguredFault, Moment, Separates};
use crate::scenario::Scenario;
use crate::stages::ConfiguredStages;

/// One trial.
#[derive(Clone, Debug)]
pub struct TrialPlan {
    /// Unique in the plan, and the same each time that the scenario is planned.
    pub id: String,
    /// The strategy with its settings.
    pub strategy: ConfiguredStrategy,
    /// The variant's name, or the settings that the scenario names, as text.
    pub variant: String,
    /// Verdicts that the scenario expects; empty: those that follow from the strategy's promise.
    pub expected: Vec<Verdict>,
    /// Limits on its measurements, as written in the scenario.
    pub thresholds: BTreeMap<String, String>,
    /// The database.
    pub dataset: DatasetSpec,
    /// Expected size of the database: exact or estimated.
    pub dataset_bytes: u64,
    /// The system under test.
    pub deployment: Deployment,
    /// The offered load.
    pub load: Load,
    /// Which writes are made.
    pub model: Model,
    /// How the artifact leaves the machine; `None` when it stays.
    pub stages: Option<ConfiguredStages>,
    /// What goes wrong on purpose; `None` for nothing but the disaster.
    pub fault: Option<ConfiguredFault>,
    /// The level of the verification.
    pub level: Level,
    /// Counts from 1.
    pub repetition: u32,
}

/// Speed that plans assume for a plain durable copy.
pub const ASSUMED_COPY_BYTES_PER_SECOND: f64 = 200e6;
/// Speeds that plans assume for the verification: at level `full`, and at level `fast`.
const ASSUMED_VERIFY_BYTES_PER_SECOND: (f64, f64) = (60e6, 300e6);
/// Time that plans assume for starting and stopping processes in a trial.
pub(super) const ASSUMED_OVERHEAD_SECONDS: f64 = 1.0;

/// Time of a plain durable copy at [`ASSUMED_COPY_BYTES_PER_SECOND`].
pub(super) fn copy_seconds(bytes: u64) -> f64 {
    bytes as f64 / ASSUMED_COPY_BYTES_PER_SECOND
}

impl TrialPlan {
    /// The image of its strategy's containers.
    pub fn image(&self) -> Option<&'static ImageKind> {
        self.strategy.card().image(self.deployment.engine)
    }

    /// Whether the database that the disaster left is examined for writes that the application acknowledged but never
    /// made. The embedded application acknowledges a write only after its commit.
    pub fn examines_the_lost(&self) -> bool {
        self.deployment.app != App::Embedded
    }

    /// Whether the database that the disaster left is verified as a source that a fault may have harmed.
    pub fn verifies_the_source(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.moment().is_of_backup())
    }

    /// The fault that strikes the publication at a destination.
    pub fn fault_of_publication(&self) -> Option<&ConfiguredFault> {
        self.fault.as_ref().filter(|fault| fault.moment() == Moment::DuringPublication)
    }

    /// Whether a fault needs the database that the disaster left.
    pub fn keeps_the_lost(&self) -> bool {
        self.fault.is_some()
    }

    /// Size of the separate file system for the artifacts; `None` without one.
    pub fn destination(&self) -> Option<(FileSystem, u64)> {
        match self.fault.as_ref()?.separates() {
            Separates::Destination(kind) => Some((kind, kind.disk_bytes(3 * self.artifact_bytes_max()))),
            Separates::Everything(_) | Separates::Nothing => None,
        }
    }

    /// Maximum size of an artifact.
    pub fn artifact_bytes_max(&self) -> u64 {
        (self.dataset_bytes as f64 * self.strategy.card().cost.artifact.max(1.0)) as u64 + (64 << 20)
    }

    /// Whether the artifact leaves the machine, by stages or by the strategy itself.
    fn is_published(&self) -> bool {
        self.stages.is_some() || self.strategy.abilities().publishes
    }

    /// Peak disk space of the trial: beside the live database there is first the plain copy, then the artifact and the
    /// databases that are restored while the application runs. Later, the restored database takes the place of the live
    /// one, unless that is still needed. The file system that contains them has an overhead.
    pub fn disk_bytes(&self) -> u64 {
        let live_restores = f64::from(self.strategy.abilities().live_restores);
        let lost = if self.examines_the_lost() || self.keeps_the_lost() { 1.0 } else { 0.0 };
        // There are backups before and after a fault of a backup; each of them is restored by itself.
        let around = if self.verifies_the_source() { 2.0 } else { 0.0 };
        let artifact = self.strategy.card().cost.artifact.max(1.0);
        let databases = 1.0 + lost + artifact * (1.0 + around) + around / 2.0 + live_restores;
        // A margin for journals and logs.
        let data_bytes = (self.dataset_bytes as f64 * (databases + 0.2)) as u64 + (64 << 20);
        let ledger_bytes = u64::from(self.model.writers) * RESERVED_BYTES;
        // The object at a provided place, and what a stage reads and writes.
        let stages_bytes = if self.is_published() { 4 * self.artifact_bytes_max() } else { 0 };
        let destination_bytes = self.destination().map_or(0, |(_, bytes)| bytes);
        self.deployment.file_system.disk_bytes(data_bytes) + destination_bytes + stages_bytes + ledger_bytes
    }

    /// Estimated duration of the trial in seconds.
    pub fn seconds(&self, scenario: &Scenario) -> f64 {
        let times = &scenario.trial;
        let copy = copy_seconds(self.dataset_bytes);
        let cost = self.strategy.card().cost;
        let begin = ASSUMED_OVERHEAD_SECONDS + copy + times.reference_seconds;
        if self.expected.iter().any(|verdict| matches!(verdict, Verdict::Stalled | Verdict::TimedOut)) {
            // A stall is detected after one stall time without progress; some progress before that is allowed for.
            return begin + (2.0 * stall_seconds(scenario, copy)).min(times.deadline_seconds);
        }
        let (backup, restore) = (copy * cost.backup, copy * cost.restore);
        if backup >= times.deadline_seconds {
            // The backup is not completed, so that nothing is restored.
            return begin + times.deadline_seconds;
        }
        let verify = match self.level {
            Level::Full => ASSUMED_VERIFY_BYTES_PER_SECOND.0,
            Level::Fast => ASSUMED_VERIFY_BYTES_PER_SECOND.1,
        };
        let verify = self.dataset_bytes as f64 / verify;
        if restore >= times.deadline_seconds {
            return begin + backup + times.tail_seconds + times.deadline_seconds;
        }
        // Around a fault of a backup, there is a backup before and after it, and the source is verified as well.
        let around = if self.verifies_the_source() { 2.0 } else { 0.0 };
        // Packing, each transform and each transfer read and write it once, in both directions.
        let transforms = self.stages.as_ref().map_or(0, |stages| stages.transforms.len());
        let stages = if self.is_published() { 2.0 * (2 + transforms) as f64 } else { 0.0 };
        let stages = stages * copy * cost.artifact;
        begin
            + stages
            + (1.0 + around) * (backup + restore + verify)
            + times.tail_seconds
            + around / 2.0 * verify
    }
}
