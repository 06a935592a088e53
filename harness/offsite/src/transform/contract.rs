//! What every transform is and does.

use std::io::{Read, Write};
use std::path::Path;

use machine::error::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::settings::SettingDoc;

/// Where a transform finds the keys that its settings do not name.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a> {
    /// A file for the secret key that is generated when the settings give none. It is created when it is needed, and
    /// only its owner can read it. A restore needs it.
    pub identity_file: &'a Path,
}

/// A change of a stream of bytes that can be reversed. Its settings are the fields of the type that implements it. Uses
/// bounded memory.
pub trait Transform: Send + Sync {
    /// Writes the transformed `input` to `output`.
    ///
    /// # Errors
    /// Errors of the streams as they are; bad settings or keys as [`machine::error::Error`].
    fn apply(&self, keys: Keys, input: &mut dyn Read, output: &mut dyn Write) -> anyhow::Result<()>;

    /// Writes what was transformed to `output`.
    ///
    /// # Errors
    /// As [`Transform::apply`]; also when `input` is truncated, changed, or no output of this transform.
    fn revert(&self, keys: Keys, input: &mut dyn Read, output: &mut dyn Write) -> anyhow::Result<()>;

    /// Checks before any effect that [`Transform::apply`] and [`Transform::revert`] will find their keys.
    ///
    /// # Errors
    /// [`machine::error::Error`] with the file that cannot be read.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// What a transform's file declares in addition. Without settings, the defaults of the type are used.
pub trait Definition: Transform + Serialize + DeserializeOwned + 'static {
    /// The name in scenarios, records and manifests.
    const NAME: &'static str;
    /// What it does, in one sentence.
    const SUMMARY: &'static str;
    /// What it appends to a file's name, without the dot.
    const SUFFIX: &'static str;
    /// Each setting. The names are those of the type's fields.
    const SETTINGS: &'static [SettingDoc];

    /// Checks the values of the settings.
    ///
    /// # Errors
    /// The impossible value.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}
