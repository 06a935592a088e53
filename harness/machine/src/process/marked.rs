//! The mark by which the next start finds processes that a killed harness left behind.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

/// Environment variable that every child carries; its value is the working directory of the run.
pub(super) const MARK: &str = "BACKUP_DRILL_WORK";

/// Kills every process that carries the mark of `work_directory` or of a directory in it. Returns their number.
pub fn kill_marked(work_directory: &Path) -> usize {
    let mark = format!("{MARK}={}", work_directory.display());
    let Ok(processes) = procfs::process::all_processes() else {
        return 0;
    };
    let mut killed = 0;
    for process in processes.flatten().filter(|process| process.pid() != getpid().as_raw()) {
        let environment = std::fs::read(format!("/proc/{}/environ", process.pid())).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|entry| is_marked(entry, mark.as_bytes())) {
            // It may have ended meanwhile.
            killed += usize::from(kill(Pid::from_raw(process.pid()), Signal::SIGKILL).is_ok());
        }
    }
    killed
}

fn is_marked(entry: &[u8], mark: &[u8]) -> bool {
    entry.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
