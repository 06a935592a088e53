//! A complete write log, with what is needed to replay it.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::Context;

use super::super::FileSystem;
use super::daemon::DeviceFiles;
use super::log::{Entry, parse};
use super::states::{CrashPlan, CrashStates};
use crate::error::{Error, Result};

/// All requests that a file system made to its device, and the content before the first one. Dropping it removes its
/// files.
pub struct WriteLog {
    pub(super) kind: FileSystem,
    pub(super) device_bytes: u64,
    pub(super) files: DeviceFiles,
    pub(super) entries: Vec<Entry>,
}

impl WriteLog {
    /// Reads the log that a daemon wrote in a directory.
    pub(super) fn read(kind: FileSystem, files: DeviceFiles) -> Result<WriteLog> {
        let initial = files.initial();
        let device_bytes = initial.metadata().context("the image of a write log is gone")?.len();
        let log = File::open(files.log()).context("cannot open the write log")?;
        let entries = parse(&mut BufReader::new(log), device_bytes)
            .map_err(|error| Error::Environment(format!("cannot read {}: {error}", files.log().display())))?;
        Ok(WriteLog { kind, device_bytes, files, entries })
    }

    /// The requests, in the order in which they were complete.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The crash states of this log, in the order of their flushes. They can be collected, sampled and divided among
    /// several replays.
    pub fn crash_states(&self, plan: CrashPlan) -> CrashStates<'_> {
        CrashStates::new(&self.entries, plan)
    }

    /// Where the log is, in the format of dm-log-writes.
    pub fn path(&self) -> PathBuf {
        self.files.log()
    }
}
