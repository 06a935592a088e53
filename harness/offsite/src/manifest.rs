//! The manifest of a published backup: what it is, and how to check and restore it.
//!
//! It is a JSON file beside the object, published last: an object without a manifest is not a backup. Everything in it
//! is meant for other programs as well:
//!
//! - `schema` is `backup-drill-manifest`, and `version` is 1. A later version may add fields; another meaning of a field
//!   raises the version.
//! - `backup` says what was backed up, as plain values.
//! - `transforms` are in the order in which they were applied: to restore, reverse the last one first. Each is a command
//!   on most systems as well (`age -d`, `zstd -d`, `gzip -d`); the result is a tar file.
//! - `object` is the published file, `packed` the tar file before all transforms, and `files` are all regular files in
//!   it. Each has its size in bytes and its BLAKE3, as `b3sum` prints it.
//!
//! The names of object and manifest begin with the moment in UTC, `20250131T235959.123Z-`, so their order is that of
//! their moments.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use machine::error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::content::Content;
use crate::destination::ObjectName;
use crate::pack::PackedFile;
use crate::transform::TransformChoice;

/// Tells a manifest from other JSON files.
pub const SCHEMA: &str = "backup-drill-manifest";

/// The version that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// How the name of a manifest ends.
const SUFFIX: &str = ".manifest.json";

/// What is backed up, as the caller knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// What was backed up: any value, such as the name of a database and its size.
    pub source: Value,
    /// The strategy that made the artifact.
    pub strategy: String,
    /// What the strategy promises of its artifact.
    pub promise: String,
    /// Versions of the programs that made it, by program.
    pub versions: BTreeMap<String, String>,
    /// The moment that the artifact shows, or at which it was complete.
    pub moment: Timestamp,
}

/// The published file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Its name at the destination.
    pub name: ObjectName,
    /// Its size and digest.
    #[serde(flatten)]
    pub content: Content,
}

/// A manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// What was backed up.
    pub backup: Backup,
    /// In the order in which they were applied, with all settings that reversing them needs.
    pub transforms: Vec<TransformChoice>,
    /// The published file.
    pub object: Object,
    /// The tar file before all transforms.
    pub packed: Content,
    /// All regular files in the tar file.
    pub files: Vec<PackedFile>,
}

/// The names of a backup's two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The published file.
    pub object: ObjectName,
    /// Its manifest.
    pub manifest: ObjectName,
}

/// The names of a backup of a moment whose published file has this content. `suffixes` are those of its transforms, in
/// the order in which they were applied.
pub fn names(moment: Timestamp, content: &Content, suffixes: &[&str]) -> Names {
    let moment = moment.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%S.%3fZ");
    let base = format!("{moment}-{}", content.blake3.short());
    let mut object = format!("{base}.tar");
    for suffix in suffixes {
        object = format!("{object}.{suffix}");
    }
    let name = |text: String| text.parse().expect("it consists of digits, letters, dots and hyphens");
    Names { object: name(object), manifest: name(format!("{base}{SUFFIX}")) }
}

/// True for the name of a manifest.
pub fn is_manifest(name: &ObjectName) -> bool {
    name.as_str().ends_with(SUFFIX)
}

impl Manifest {
    /// The manifest as the JSON text that is published.
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("a manifest is plain data");
        text.push(b'\n');
        text
    }

    /// Reads a manifest. `name` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Environment`] when it is no manifest, damaged, or of a later version.
    pub fn from_json(text: &[u8], name: &str) -> Result<Manifest> {
        let damaged = |cause: String| {
            Error::Environment(format!("the manifest '{name}' is damaged: {cause}; use another backup"))
        };
        let value: Value = serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
        if value.get("schema").and_then(Value::as_str) != Some(SCHEMA) {
            return Err(damaged(format!("its schema is not {SCHEMA}")));
        }
        match value.get("version").and_then(Value::as_u64) {
            Some(version) if version > u64::from(VERSION) => Err(Error::Environment(format!(
                "the manifest '{name}' has version {version}, this program reads up to {VERSION}: use a newer one"
            ))),
            _ => serde_json::from_value(value).map_err(|error| damaged(error.to_string())),
        }
    }
}
