//! What every destination is and does.

use std::ops::Range;
use std::path::Path;

use machine::error::Result;
use machine::process::Launcher;
use machine::tool::Tool;
use machine::worker::Progress;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::name::ObjectName;
use crate::content::Content;
use crate::settings::SettingDoc;

/// A place for objects. Its settings are the fields of the type that implements it; none of them is a secret.
///
/// Every operation is repeated within bounds where that can help, checks the launcher's request to stop, and uses
/// bounded memory. Every failure is one sentence with the place, the cause, and what to do where that is known.
pub trait Destination: Send + Sync {
    /// The place in messages and records, such as `s3://bucket/prefix`. Contains no secret.
    fn place(&self) -> String;

    /// The commands on this machine that it needs.
    fn tools(&self) -> &'static [&'static Tool] {
        &[]
    }

    /// Stores a file under a name. It appears under the name only when it is complete. When an earlier upload of the
    /// same content under the same name was interrupted, it is continued where the destination allows that.
    ///
    /// # Errors
    /// [`machine::error::Error::Environment`] when an object of this name exists, which is not changed; when the file
    /// cannot be read or the destination not be written.
    fn put(&self, upload: &Upload, operation: &mut Operation) -> Result<Moved>;

    /// All complete objects, in the order of their names.
    ///
    /// # Errors
    /// [`machine::error::Error::Environment`] when the destination cannot be read.
    fn list(&self, operation: &mut Operation) -> Result<Listing>;

    /// Fetches an object into the new file `to`, which is removed on failure.
    ///
    /// # Errors
    /// [`machine::error::Error::Environment`] when there is no such object, it is truncated meanwhile, or cannot be
    /// read; when `to` cannot be written.
    fn get(&self, name: &ObjectName, to: &Path, operation: &mut Operation) -> Result<Moved>;

    /// Fetches a part of an object: fewer bytes, or none, when it ends before. The range must fit into memory.
    ///
    /// # Errors
    /// [`machine::error::Error::Environment`] when there is no such object or it cannot be read.
    fn get_range(
        &self,
        name: &ObjectName,
        range: Range<u64>,
        operation: &mut Operation,
    ) -> Result<(Vec<u8>, Moved)>;

    /// Removes an object. It is no error when there is none of this name.
    ///
    /// # Errors
    /// [`machine::error::Error::Environment`] when it cannot be removed.
    fn delete(&self, name: &ObjectName, operation: &mut Operation) -> Result<Moved>;
}

/// What a destination's file declares in addition.
pub trait Definition: Destination + Serialize + DeserializeOwned + 'static {
    /// The name in scenarios and records.
    const NAME: &'static str;
    /// What it is, in one sentence.
    const SUMMARY: &'static str;
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

/// What is uploaded.
#[derive(Clone, Copy, Debug)]
pub struct Upload<'a> {
    /// The local file.
    pub file: &'a Path,
    /// The name that it gets.
    pub name: &'a ObjectName,
    /// Its content, by which an interrupted upload is recognised.
    pub content: &'a Content,
}

/// What an operation needs from its caller.
pub struct Operation<'a> {
    /// Starts commands; its request to stop ends the operation.
    pub launcher: &'a Launcher,
    /// Receives progress.
    pub report: &'a mut dyn FnMut(Progress),
}

/// What an operation moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Bytes of content that were transferred, those of repeated requests included. An upload that was continued
    /// transfers less than the file; `rsync` counts the bytes of its own protocol as well.
    pub bytes: u64,
    /// Requests to the server; `None` where they cannot be counted or there is no server.
    pub requests: Option<u64>,
}

impl Moved {
    /// Adds what another operation at the same destination moved.
    pub fn add(&mut self, other: Moved) {
        self.bytes += other.bytes;
        self.requests = match (self.requests, other.requests) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0) + other.unwrap_or(0)),
        };
    }
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub name: ObjectName,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The complete objects of a destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// In the order of their names.
    pub objects: Vec<Listed>,
    /// What listing them took; bytes are 0.
    pub moved: Moved,
}

impl Listing {
    /// A listing of names as a destination has them. Names that no object can have are left out: other files, and
    /// uploads that are not complete.
    pub(crate) fn of(found: impl IntoIterator<Item = (String, u64)>, requests: Option<u64>) -> Listing {
        let objects = found.into_iter().filter_map(|(name, bytes)| {
            let name = name.parse().ok()?;
            Some(Listed { name, bytes })
        });
        let mut objects: Vec<Listed> = objects.collect();
        objects.sort_by(|one, other| one.name.cmp(&other.name));
        Listing { objects, moved: Moved { bytes: 0, requests } }
    }

    /// The object of this name.
    pub fn named(&self, name: &ObjectName) -> Option<&Listed> {
        self.objects.iter().find(|object| object.name == *name)
    }
}

/// The name of an upload that is not complete. It depends on the content, so that only the same content is continued.
pub(crate) fn partial_name(upload: &Upload) -> String {
    format!(".{}.{}.partial", upload.name, upload.content.blake3.short())
}

/// The error of an upload to a name that exists.
pub(crate) fn exists(name: &ObjectName, place: &str) -> machine::error::Error {
    machine::error::Error::Environment(format!(
        "'{name}' already exists at {place} and is not overwritten: delete it first, or choose another name"
    ))
}

/// The error of an object that is not there.
pub(crate) fn absent(name: &ObjectName, place: &str) -> machine::error::Error {
    machine::error::Error::Environment(format!("there is no object '{name}' at {place}"))
}

/// The error of a local file that is no longer what was to be uploaded.
pub(crate) fn changed(upload: &Upload) -> machine::error::Error {
    machine::error::Error::Environment(format!(
        "{} changed after its digest was made: pack it again",
        upload.file.display()
    ))
}
