//! An engine's database in one place of a trial.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use machine::error::Result;
use machine::process::TICK;
use model::verify::{self, Report};

use crate::access::Access;

/// How long a server may take from closing its connections to its end.
const CRASH_TIMEOUT: Duration = Duration::from_secs(15);

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

    /// How it ended, if it exited unexpectedly, or does so within some seconds: a server that crashes closes its
    /// connections first, and writes where it was, before it has ended.
    fn ended_soon(&self) -> Option<String> {
        let began = Instant::now();
        loop {
            let ended = self.ended();
            if ended.is_some() || self.is_in_application() || began.elapsed() > CRASH_TIMEOUT {
                return ended;
            }
            std::thread::sleep(TICK);
        }
    }

    /// What a verification found: the verifier's report, or the error with which it failed, unless the engine did not
    /// survive being read: then it has found its data damaged.
    fn report_or_crash(
        &self,
        report: std::result::Result<Report, String>,
    ) -> std::result::Result<Report, String> {
        let ended = match &report {
            Ok(report) if report.is_complete() => self.ended(),
            _ => self.ended_soon(),
        };
        ended.map_or(report, |ended| Ok(verify::refused_by_the_engine(&ended)))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that ends some time after it was made.
    struct Crashing {
        made: Instant,
        is_in_application: bool,
    }

    impl Instance for Crashing {
        fn ended(&self) -> Option<String> {
            (self.made.elapsed() > 3 * TICK).then(|| "signal 11".to_owned())
        }

        fn is_in_application(&self) -> bool {
            self.is_in_application
        }

        fn recover(&mut self) -> Result<()> {
            unreachable!("it is only asked how it ended")
        }

        fn data(&self) -> &Path {
            unreachable!("it is only asked how it ended")
        }

        fn access(&self) -> Arc<dyn Access> {
            unreachable!("it is only asked how it ended")
        }

        fn for_tracker(&self) -> TrackerDatabase {
            unreachable!("it is only asked how it ended")
        }
    }

    #[test]
    fn a_server_that_crashes_is_waited_for() {
        let crashing = |is_in_application| Crashing { made: Instant::now(), is_in_application };
        assert_eq!(crashing(false).ended(), None);
        assert_eq!(crashing(false).ended_soon().as_deref(), Some("signal 11"));
        assert_eq!(crashing(true).ended_soon(), None, "there is no server");
        let verifier_lost_its_connection = || Err("the connection was closed".to_owned());
        let found = crashing(false).report_or_crash(verifier_lost_its_connection());
        assert_eq!(found, Ok(verify::refused_by_the_engine("signal 11")));
        assert_eq!(
            crashing(true).report_or_crash(verifier_lost_its_connection()),
            verifier_lost_its_connection()
        );
    }
}
