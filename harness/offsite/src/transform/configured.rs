//! A transform with settings, which are parsed once, and how it is applied to files.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use machine::error::{Error, Result};
use machine::worker::Progress;
use serde::{Deserialize, Serialize};

use super::contract::{Definition, Keys, Transform};
use super::writer::{piece_writer, write_pieces};
use crate::content::{Content, cannot};
use crate::output_file::OutputFile;
use crate::progress::Meter;
use crate::settings::{self, SettingDoc, Settings};

/// Parses settings: all of them with defaults filled in, and the transform.
type Configure = fn(&Settings) -> Result<(Settings, Arc<dyn Transform>), String>;

/// A transform of the registry. Its file submits it to the list of all transforms.
pub struct TransformEntry {
    /// The name in scenarios, records and manifests.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// What it appends to a file's name, without the dot.
    pub suffix: &'static str,
    /// Each setting.
    pub settings: &'static [SettingDoc],
    configure: Configure,
}

inventory::collect!(TransformEntry);

impl TransformEntry {
    /// The entry of a transform.
    pub const fn of<T: Definition>() -> TransformEntry {
        TransformEntry {
            name: T::NAME,
            summary: T::SUMMARY,
            suffix: T::SUFFIX,
            settings: T::SETTINGS,
            configure: |given| {
                let transform: T = settings::parse(given)?;
                transform.validate()?;
                Ok((settings::complete(&transform), Arc::new(transform)))
            },
        }
    }

    /// The transform with given settings; the others have their defaults.
    ///
    /// # Errors
    /// [`Error::Input`]: what is wrong with the settings.
    pub fn configure(&'static self, given: &Settings) -> Result<ConfiguredTransform> {
        let (settings, transform) = (self.configure)(given)
            .map_err(|error| Error::Input(format!("settings of the transform '{}': {error}", self.name)))?;
        Ok(ConfiguredTransform { entry: self, label: settings::label(self.name, given), settings, transform })
    }
}

/// A transform by its name, with the settings that are given: as a job and a manifest hold it. It contains no secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformChoice {
    /// The name in the registry.
    pub name: String,
    /// The given settings.
    #[serde(default)]
    pub settings: Settings,
}

/// A transform with valid settings.
#[derive(Clone)]
pub struct ConfiguredTransform {
    entry: &'static TransformEntry,
    settings: Settings,
    label: String,
    transform: Arc<dyn Transform>,
}

impl fmt::Debug for ConfiguredTransform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

/// The two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Before a backup is published.
    Apply,
    /// After it was fetched.
    Revert,
}

impl ConfiguredTransform {
    /// The entry of the registry.
    pub fn entry(&self) -> &'static TransformEntry {
        self.entry
    }

    /// Its name, with the settings that were given.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// All settings, with defaults filled in.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The name with all settings, for jobs and manifests.
    pub fn choice(&self) -> TransformChoice {
        TransformChoice { name: self.entry.name.to_owned(), settings: self.settings.clone() }
    }

    /// Checks before any effect that the keys that the settings name can be read.
    ///
    /// # Errors
    /// [`Error::Environment`] with the file that cannot be read.
    pub fn check(&self) -> Result<()> {
        self.transform.check()
    }

    /// Transforms the file `from` into the new file `to`, and returns the content of `to`.
    ///
    /// # Errors
    /// [`Error::Environment`] when `from` cannot be read or `to` not be written; `to` is then removed.
    pub fn apply(
        &self,
        keys: Keys,
        from: &Path,
        to: &Path,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Content> {
        self.run(Direction::Apply, keys, from, to, report)
    }

    /// Writes what was transformed into `from` to the new file `to`, and returns the content of `to`.
    ///
    /// # Errors
    /// [`Error::Environment`] when `from` is truncated, changed, or encrypted for another key; when `from` cannot be
    /// read or `to` not be written. `to` is then removed.
    pub fn revert(
        &self,
        keys: Keys,
        from: &Path,
        to: &Path,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Content> {
        self.run(Direction::Revert, keys, from, to, report)
    }

    /// Either [`ConfiguredTransform::apply`] or [`ConfiguredTransform::revert`].
    ///
    /// # Errors
    /// Those of either.
    pub fn run(
        &self,
        direction: Direction,
        keys: Keys,
        from: &Path,
        to: &Path,
        report: &mut dyn FnMut(Progress),
    ) -> Result<Content> {
        let source = File::open(from).map_err(|error| cannot("read", from, &error))?;
        let bytes = source.metadata().map_err(|error| cannot("read", from, &error))?.len();
        let output = OutputFile::create(to)?;
        let (mut writer, pieces) = piece_writer();
        let mut input = Input { file: source, meter: Meter::new(bytes, report), failed: None };
        let (done, written) = std::thread::scope(|scope| {
            // It owns the receiver, so that the transform does not wait for a thread that has failed.
            let thread = scope.spawn(|| write_pieces(&{ pieces }, output.file()));
            let done = match direction {
                // An empty file is no output of any transform, but some decoders accept it.
                Direction::Revert if bytes == 0 => Err(anyhow::anyhow!("it is empty")),
                Direction::Revert => self.transform.revert(keys, &mut input, &mut writer),
                Direction::Apply => self.transform.apply(keys, &mut input, &mut writer),
            };
            let done = done.and_then(|()| Ok(writer.flush()?));
            drop(writer);
            (done, thread.join().expect("writing does not panic"))
        });
        if let Some(error) = input.failed {
            return Err(cannot("read", from, &error));
        }
        let content = written.map_err(|error| output.cannot("write", &error))?;
        done.map_err(|error| self.explained(direction, from, error))?;
        output.keep();
        Ok(content)
    }

    fn explained(&self, direction: Direction, from: &Path, error: anyhow::Error) -> Error {
        let name = self.entry.name;
        match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) if direction == Direction::Revert => Error::Environment(format!(
                "{} is damaged: {name} cannot read it: {error:#}; use another backup",
                from.display()
            )),
            Err(error) => {
                Error::Environment(format!("{name} cannot transform {}: {error:#}", from.display()))
            }
        }
    }
}

/// The file that is read. Its errors are kept, because a transform changes them.
struct Input<'a> {
    file: File,
    meter: Meter<'a>,
    failed: Option<io::Error>,
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer);
        match &read {
            Ok(read) => self.meter.add(*read as u64),
            Err(error) => self.failed = error.raw_os_error().map(io::Error::from_raw_os_error),
        }
        read
    }
}
