//! Datasets that are ready for trials.

use std::path::{Path, PathBuf};

use machine::event::{Event, Observer};
use machine::process::Launcher;
use model::dataset::DatasetSpec;
use model::verify::ContentDigest;

use crate::images::Image;
use crate::settings::EngineSettings;

/// A dataset that is ready for trials, on one engine.
pub struct Source {
    /// The database, which is never written to: a file or a data directory.
    pub database: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Rows of all its tables.
    pub rows: u64,
    /// Digest of the rows that no workload changes.
    pub content: ContentDigest,
    /// Irregularities of the database, and what cannot be checked in it.
    pub remarks: Vec<String>,
}

/// What an engine has for making a dataset ready.
pub struct Preparation<'a> {
    /// Starts processes, and names the directory for working copies.
    pub launcher: &'a Launcher,
    /// The cache of generated databases.
    pub cache: &'a Path,
    /// The settings of the scenario.
    pub settings: &'a EngineSettings,
    /// The image of the engine, if it has one.
    pub image: Option<&'a Image>,
    /// Receives events.
    pub observer: Observer<'a>,
}

impl Preparation<'_> {
    /// Reports that this many bytes of a dataset are made.
    pub(crate) fn tell_generated(&self, spec: &DatasetSpec, bytes: u64) {
        let (profile, target_bytes) = (spec.profile.as_str(), spec.target_bytes);
        (self.observer)(Event::Generating { profile, target_bytes, bytes });
    }

    /// Reports that a step begins.
    pub(crate) fn tell(&self, step: impl Into<String>) {
        (self.observer)(Event::Preparing(step.into()));
    }
}
