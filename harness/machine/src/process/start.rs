//! Why a program cannot be started, in cases where the kernel's error does not tell the user enough.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{getpid, getppid};
use which::which_in_global;

use crate::error::Error;

/// Why a program could not be started.
#[derive(Debug)]
pub struct StartError {
    program: PathBuf,
    name: String,
    error: io::Error,
}

impl StartError {
    /// `name` is what messages call the program.
    pub(super) fn new(program: PathBuf, name: String, error: io::Error) -> StartError {
        StartError { program, name, error }
    }

    /// True when the program itself is the cause (missing or not executable), and not the state of the machine.
    pub fn is_the_programs(&self) -> bool {
        matches!(self.error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied)
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot start '{}': {}", self.name, why_not_started(&self.program, &self.error))
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Error {
        Error::Environment(error.to_string())
    }
}

/// The command gets SIGKILL when this process ends, however that happens.
pub(super) fn die_with_this_process(command: &mut Command) {
    let parent = getpid();
    // SAFETY: only async-signal-safe calls (prctl, getppid) between fork and exec.
    unsafe {
        command.pre_exec(move || {
            set_pdeathsig(Signal::SIGKILL)?;
            // The parent may have died before the line above took effect.
            if getppid() == parent { Ok(()) } else { Err(ErrorKind::Interrupted.into()) }
        });
    }
}

/// The command adds itself to control groups before it begins, so that it has no child outside of them.
pub(super) fn enter_groups(command: &mut Command, entrances: Vec<File>) {
    if entrances.is_empty() {
        return;
    }
    // SAFETY: only an async-signal-safe call (write) between fork and exec.
    unsafe {
        command.pre_exec(move || {
            for entrance in &entrances {
                nix::unistd::write(entrance, b"0")?;
            }
            Ok(())
        });
    }
}

/// Where a command is on PATH: the file that is executed when it is started by its name, or else a file with its name
/// that cannot be executed, so that [`why_not_started`] can explain that.
pub fn on_path(command: &str) -> Option<PathBuf> {
    find(command, &std::env::var_os("PATH")?)
}

fn find(command: &str, directories: &OsStr) -> Option<PathBuf> {
    let executable = which_in_global(command, Some(directories)).ok().and_then(|mut files| files.next());
    executable.or_else(|| {
        std::env::split_paths(directories)
            .map(|directory| directory.join(command))
            .find(|file| file.is_file())
    })
}

/// True when the file system of `path` does not allow programs to be executed.
pub fn is_mounted_noexec(path: &Path) -> bool {
    statvfs(path).is_ok_and(|file_system| file_system.flags().contains(FsFlags::ST_NOEXEC))
}

/// Explains the error of an attempt to start `program`, which is a path or a command on PATH.
pub fn why_not_started(program: &Path, error: &io::Error) -> String {
    let is_path = program.components().count() > 1;
    let file = if is_path { Some(program.to_owned()) } else { on_path(&program.to_string_lossy()) };
    let Some(file) = file.filter(|file| file.is_file()) else { return error.to_string() };
    let mode = file.metadata().map_or(0, |metadata| metadata.permissions().mode());
    match error.kind() {
        ErrorKind::PermissionDenied if is_mounted_noexec(&file) => {
            format!("permission denied: the file system of {} is mounted noexec", file.display())
        }
        ErrorKind::PermissionDenied if mode & 0o111 == 0 => {
            format!("permission denied: {0} is not executable, try 'chmod +x {0}'", file.display())
        }
        ErrorKind::NotFound => {
            format!("the interpreter or loader of {} is not on this machine", file.display())
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_where_it_is_executed_from() {
        let place = tempfile::tempdir().unwrap();
        let make = |directory: &str, mode: u32| {
            let file = place.path().join(directory).join("tool");
            std::fs::create_dir(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
            file
        };
        let (plain, executable) = (make("a", 0o644), make("b", 0o755));
        let found = |directories: &[&str]| {
            let directories = directories.iter().map(|directory| place.path().join(directory));
            find("tool", &std::env::join_paths(directories).unwrap())
        };
        assert_eq!(found(&["none", "a", "b"]), Some(executable));
        assert_eq!(found(&["none", "a"]), Some(plain), "its error is to be explained");
        assert_eq!(found(&["none"]), None);
    }

    #[test]
    fn the_message_names_the_cause_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let cause = |name: &str, text: &str, mode: u32| {
            let file = directory.path().join(name);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
            let error = Command::new(&file).spawn().unwrap_err();
            why_not_started(&file, &error).replace(&directory.path().display().to_string(), "DIRECTORY")
        };
        let absent = directory.path().join("absent");
        let error = Command::new(&absent).spawn().unwrap_err();
        let causes = [
            cause("plain", "#!/bin/sh\n", 0o644),
            cause("foreign", "#!/no/such/interpreter\n", 0o755),
            why_not_started(&absent, &error),
        ];
        insta::assert_snapshot!(causes.join("\n"), @r"
        permission denied: DIRECTORY/plain is not executable, try 'chmod +x DIRECTORY/plain'
        the interpreter or loader of DIRECTORY/foreign is not on this machine
        No such file or directory (os error 2)
        ");
    }
}
