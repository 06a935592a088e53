//! `sftp`: a directory on a host, over the SFTP protocol.

use std::ops::Range;
use std::path::Path;

use machine::error::Result;
use machine::tool::Tool;
use serde::{Deserialize, Serialize};

use crate::destination::configured::DestinationEntry;
use crate::destination::contract::{Definition, Destination, Listing, Moved, Operation, Upload};
use crate::destination::name::ObjectName;
use crate::destination::ssh::files::Files;
use crate::destination::ssh::host::{self, Host, SSH};
use crate::settings::SettingDoc;

inventory::submit! { DestinationEntry::of::<Sftp>() }

static TOOLS: [&Tool; 1] = [&SSH];

/// Its settings are those of the host.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Sftp(Host);

impl Definition for Sftp {
    const NAME: &'static str = "sftp";
    const SUMMARY: &'static str =
        "a directory on a host over SFTP, by the command ssh with its agent and configuration";
    const SETTINGS: &'static [SettingDoc] = host::SETTINGS;

    fn validate(&self) -> Result<(), String> {
        self.0.validate()
    }
}

impl Sftp {
    fn files(&self) -> Files<'_> {
        Files { host: &self.0, place: self.place() }
    }
}

impl Destination for Sftp {
    fn place(&self) -> String {
        self.0.place("sftp")
    }

    fn tools(&self) -> &'static [&'static Tool] {
        &TOOLS
    }

    fn put(&self, upload: &Upload, operation: &mut Operation) -> Result<Moved> {
        self.files().put(upload, operation)
    }

    fn list(&self, operation: &mut Operation) -> Result<Listing> {
        self.files().list(operation)
    }

    fn get(&self, name: &ObjectName, to: &Path, operation: &mut Operation) -> Result<Moved> {
        self.files().get(name, to, operation)
    }

    fn get_range(
        &self,
        name: &ObjectName,
        range: Range<u64>,
        operation: &mut Operation,
    ) -> Result<(Vec<u8>, Moved)> {
        self.files().get_range(name, range, operation)
    }

    fn delete(&self, name: &ObjectName, operation: &mut Operation) -> Result<Moved> {
        self.files().delete(name, operation)
    }
}
