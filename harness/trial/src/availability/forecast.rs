//! Predicts whether this machine can meet a trial's needs. This fetches, pulls and builds nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use engines::images::{self, ImageKind, Stock};
use machine::docker;
use machine::error::{Error, Result};
use machine::file_system::{FileSystem, TemporaryFileSystem};
use machine::process::{Cancel, Launcher};
use machine::program_cache::{Fetch, ProgramCache};
use machine::workspace::{CACHE, WorkDirectory, Workspace};

use super::needs::{Needs, Supplier, supply};

/// The forecast for a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Everything is present.
    Ready,
    /// Something would be fetched, pulled or built first, which was not tried: what, and how.
    ToGet(String),
    /// The trial would be `unavailable`: what is missing, and how to get it.
    Unavailable(String),
}

/// Checks what trials need, each thing once.
pub struct Forecast<'a> {
    root: &'a Path,
    cancel: &'a Cancel,
    /// Whether Docker is available, or why not; checked once, when first needed.
    docker: Option<Result<(), String>>,
    /// What would be fetched, pulled or built for the needs that are being checked.
    to_get: Vec<String>,
    /// What is missing for a strategy with settings on an engine, whose commands run in a directory.
    missing: HashMap<(&'static str, String, &'static str, PathBuf), Option<String>>,
    images: HashMap<(&'static ImageKind, Option<String>), Prospect>,
    /// The file systems that were requested. Declared before `work`, so that they are unmounted before their directory
    /// is removed.
    file_systems: Vec<(FileSystem, Result<Made, String>)>,
    work: Option<WorkDirectory>,
}

/// How an image would be pulled or built, `None` when it is present; or why it can be neither.
type Prospect = Result<Option<String>, String>;

/// A file system that was created for a trial.
struct Made {
    /// The directory for live data on it.
    live: PathBuf,
    _mounted: TemporaryFileSystem,
}

impl<'a> Forecast<'a> {
    /// A forecast for trials in the workspace `root`, which need not exist yet.
    pub fn new(root: &'a Path, cancel: &'a Cancel) -> Forecast<'a> {
        Forecast {
            root,
            cancel,
            docker: None,
            to_get: Vec::new(),
            missing: HashMap::new(),
            images: HashMap::new(),
            file_systems: Vec::new(),
            work: None,
        }
    }

    /// Treats Docker as unavailable, for the given reason.
    pub fn without_docker(mut self, why: &str) -> Forecast<'a> {
        self.docker = Some(Err(why.to_owned()));
        self
    }

    /// The forecast for a trial with these needs.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; [`Error::Input`] when the workspace cannot be used.
    pub fn of(&mut self, needs: &Needs<'_>) -> Result<Outlook> {
        self.to_get.clear();
        match supply(needs, self) {
            Ok(()) if self.to_get.is_empty() => Ok(Outlook::Ready),
            Ok(()) => Ok(Outlook::ToGet(self.to_get.join(", and "))),
            Err(Error::Environment(missing)) => Ok(Outlook::Unavailable(missing)),
            Err(error) => Err(error),
        }
    }

    /// Checks the images of the subject. Without them, a run with such a trial cannot begin.
    ///
    /// # Errors
    /// [`Error::Environment`] with the cause.
    pub fn subject(&mut self, needs: &Needs<'_>) -> Result<()> {
        needs.subject_images().into_iter().try_for_each(|(kind, named)| self.image(kind, named))
    }

    /// Why this file system cannot be created, and what to do about it; `None` if it can. Creates it at the first call.
    ///
    /// # Errors
    /// As [`Forecast::of`].
    pub fn file_system(&mut self, kind: FileSystem) -> Result<Option<String>> {
        match self.live_directory(kind) {
            Ok(_) => Ok(None),
            Err(Error::Environment(obstacle)) => Ok(Some(obstacle)),
            Err(error) => Err(error),
        }
    }

    /// How this image would be pulled or built; `None` when it is present.
    ///
    /// # Errors
    /// [`Error::Environment`] when it can be neither pulled nor built.
    pub fn look_for(&mut self, kind: &'static ImageKind, named: Option<&str>) -> Result<Option<String>> {
        let docker = self
            .docker
            .get_or_insert_with(|| docker::server_version().map(|_| ()).map_err(|error| error.to_string()));
        docker.clone().map_err(Error::Environment)?;
        let known =
            self.images.entry((kind, named.map(str::to_owned))).or_insert_with(|| {
                match images::look(kind, named) {
                    Ok(Stock::Here(_)) => Ok(None),
                    Ok(Stock::Obtainable(how)) => Ok(Some(how)),
                    Err(error) => Err(error.to_string()),
                }
            });
        known.clone().map_err(Error::Environment)
    }

    fn make(&mut self, kind: FileSystem) -> Result<Made> {
        if self.work.is_none() {
            self.work = Some(Workspace::open(self.root)?.work_directory("look")?);
        }
        let work = self.work.as_ref().context("it was just created")?;
        let launcher = Launcher::new(work.path(), self.cancel);
        let mounted = TemporaryFileSystem::make(kind, &launcher, kind.name(), kind.disk_bytes(0))?;
        let live = mounted.point().join("live");
        kind.create_directory(&launcher, &live)?;
        Ok(Made { live, _mounted: mounted })
    }
}

impl Supplier for Forecast<'_> {
    /// Asking tools for their versions takes up to a second for each, and repetitions have the same answer.
    fn missing(&mut self, needs: &Needs<'_>) -> Option<String> {
        let Needs { strategy, engine, directory, .. } = *needs;
        let settings = serde_json::to_string(strategy.settings()).expect("settings are plain values");
        let known = self.missing.entry((strategy.card().name, settings, engine.name(), directory.to_owned()));
        known.or_insert_with(|| strategy.missing(engine, directory)).clone()
    }

    fn image(&mut self, kind: &'static ImageKind, named: Option<&str>) -> Result<()> {
        let how = self.look_for(kind, named)?;
        self.to_get.extend(how.map(|how| format!("the {} image would be {how}", kind.name)));
        Ok(())
    }

    fn program(&mut self, needs: &Needs<'_>) -> Result<()> {
        let fetched = RefCell::default();
        let cache = self.root.join(CACHE);
        let programs =
            ProgramCache { directory: &cache, relative_to: needs.directory, fetch: Fetch::Noted(&fetched) };
        let located = needs.strategy.abilities().program.map(|program| program.locate(&programs));
        let fetched: Vec<String> = fetched.into_inner();
        if fetched.is_empty() {
            return located.transpose().map(|_| ());
        }
        self.to_get.extend(fetched);
        Ok(())
    }

    fn destination(&mut self, kind: FileSystem) -> Result<()> {
        self.live_directory(kind).map(|_| ())
    }

    fn live_directory(&mut self, kind: FileSystem) -> Result<PathBuf> {
        if kind == FileSystem::Disk {
            // The nearest directory that exists is on the same disk.
            let existing = self.root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
            return Ok(existing.to_owned());
        }
        if !self.file_systems.iter().any(|(known, _)| *known == kind) {
            let made = match self.make(kind) {
                Ok(made) => Ok(made),
                Err(Error::Environment(obstacle)) => Err(obstacle),
                Err(error) => return Err(error),
            };
            self.file_systems.push((kind, made));
        }
        let known = self.file_systems.iter().find(|(known, _)| *known == kind);
        let (_, made) = known.context("it was just created")?;
        made.as_ref().map(|made| made.live.clone()).map_err(|cause| Error::Environment(cause.clone()))
    }
}

#[cfg(test)]
mod tests {
    use strategies::contract::Settings;

    use super::*;

    #[test]
    fn what_a_strategy_lacks_is_looked_for_once_with_the_same_settings() {
        let directory = tempfile::tempdir().unwrap();
        let external = strategies::registry::named("external").unwrap();
        let with = |restore: &str| {
            let command = |text: &str| serde_json::Value::from(text);
            let settings = [
                ("backup", command("true")),
                ("restore", command(restore)),
                ("requires", command("echo asked >> asked; exit 1")),
            ];
            external
                .configure(&Settings::from_iter(settings.map(|(key, value)| (key.into(), value))))
                .unwrap()
        };
        let engine = engines::registry::DEFAULT;
        let cancel = Cancel::default();
        let mut forecast = Forecast::new(directory.path(), &cancel);
        for (strategy, asked) in [(with("true"), 1), (with("true"), 1), (with("false"), 2)] {
            let needs = Needs {
                directory: directory.path(),
                ..Needs::of_strategy(&strategy, engine, FileSystem::Disk)
            };
            assert!(matches!(forecast.of(&needs).unwrap(), Outlook::Unavailable(_)));
            let noted = std::fs::read_to_string(directory.path().join("asked")).unwrap();
            assert_eq!(noted.lines().count(), asked);
        }
    }
}
