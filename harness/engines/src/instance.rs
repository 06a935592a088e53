//! An engine's database in one place of a trial.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine::error::Result;

use crate::access::Access;

/// An engine's database in one place of a trial: live, restored, or what a disaster left. What runs for it ends when it
/// is dropped.
///
/// An engine that runs inside the application's process has nothing to start, stop or kill.
pub trait Instance: Any {
    /// Starts it and waits until it accepts connections; does nothing if it is running.
    ///
    /// # Errors
    /// When it does not start, with its last output.
    fn start(&mut self) -> Result<()> {
        Ok(())
    }

    /// Shuts it down cleanly; does nothing if it is not running.
    ///
    /// # Errors
    /// When it does not stop in time.
    fn stop(&mut self) -> Result<()> {
        Ok(())
    }

    /// Kills it with SIGKILL.
    fn kill(&mut self) {}

    /// Reads the resources that it has used, shortly before its end: afterwards they cannot be read any more.
    fn note(&mut self) {}

    /// How it ended, if it exited unexpectedly.
    fn ended(&self) -> Option<String> {
        None
    }

    /// True if it runs inside the application's process, so that stopping the application stops it.
    fn is_in_application(&self) -> bool;

    /// Brings what a disaster left into a state that the verifier can read.
    ///
    /// # Errors
    /// When the engine cannot recover it.
    fn recover(&mut self) -> Result<()>;

    /// Where its data is: a file or a data directory.
    fn data(&self) -> &Path;

    /// How it is reached. Nothing writes to it while it is verified.
    fn access(&self) -> Arc<dyn Access>;

    /// How a tracker is told to use it.
    fn for_tracker(&self) -> TrackerDatabase;
}

/// The database of a tracker, in the terms of the tracker's configuration.
pub struct TrackerDatabase {
    /// The name of the driver.
    pub driver: &'static str,
    /// A path in the tracker's container, or a URL. It may contain a password.
    pub path: String,
    /// The directory to mount at [`TRACKER_DATA`]; `None` for a server.
    pub directory: Option<PathBuf>,
}

/// Where a tracker's container has the directory of its database.
pub const TRACKER_DATA: &str = "/var/lib/torrust";
