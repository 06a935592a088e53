//! What a trial is given to run in.

use std::collections::HashMap;
use std::path::Path;

use engines::engine::Engine;
use engines::images::{Image, ImageKind};
use engines::source::Source;
use machine::event::Observer;
use machine::process::Cancel;
use reports::compare::Outcome;
use reports::record::{Trial, Verdict};

/// The images of a run, as far as its trials need them.
#[derive(Default)]
pub struct Images {
    /// The images of subjects: servers of engines, and applications.
    pub subjects: HashMap<&'static ImageKind, Image>,
    /// The images of strategies' containers, or why an image is not available. A missing image only affects the
    /// strategies that need it.
    pub tools: HashMap<&'static ImageKind, Result<Image, String>>,
}

impl Images {
    /// The image of an engine's server; `None` for an engine without one.
    pub fn of(&self, engine: &dyn Engine) -> Option<&Image> {
        self.subjects.get(engine.image()?)
    }
}

/// The environment that a trial runs in.
pub struct TrialEnvironment<'a> {
    /// The dataset.
    pub source: &'a Source,
    /// The images of its containers.
    pub images: &'a Images,
    /// The directory of the trial, empty at first.
    pub directory: &'a Path,
    /// The cache of the workspace, on the same file system.
    pub cache: &'a Path,
    /// Whether its evidence is kept.
    pub keep: Keep,
    /// The user's request to stop.
    pub cancel: &'a Cancel,
    /// Receives the events of the trial.
    pub observer: Observer<'a>,
}

/// Which trials are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Trials whose result is not as promised or expected.
    #[default]
    Failed,
    /// All trials that were run.
    All,
    /// No trials.
    None,
}

impl Keep {
    /// True if the evidence of a trial with this record is kept. A trial that was not run has no evidence.
    pub(super) fn wants(self, trial: &Trial) -> bool {
        trial.verdict != Verdict::Unavailable
            && match self {
                Keep::Failed => Outcome::of_trial(trial) != Outcome::AsPromised,
                Keep::All => true,
                Keep::None => false,
            }
    }
}
