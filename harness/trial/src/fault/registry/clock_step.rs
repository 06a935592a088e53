//! `clock-step`: the wall clock that the strategy sees is set to another time while the backup runs, as by an administrator
//! or by a time service that corrects a wrong clock.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use machine::error::{Error, Result};
use machine::how_to_install::HowToInstall;
use machine::process::Account;
use machine::tool::Tool;
use serde::{Deserialize, Serialize};
use strategies::contract::ConfiguredStrategy;

use crate::deployment::Deployment;
use crate::fault::{Definition, Fault, FaultEntry, Injected, Moment, Prepared, Scene};

inventory::submit! { FaultEntry::of::<ClockStep>() }

/// Its library answers the calls for the time. The command itself is not used.
static FAKETIME: Tool = Tool {
    command: "faketime",
    version_argument: "--version",
    install: HowToInstall::packages(&["faketime"]),
};
/// The library for programs with several threads, in the directory of an architecture.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
/// The file that says how far the clock is off, in the working directory of the trial.
const OFFSET: &str = "clock-offset";

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ClockStep {
    seconds: i64,
}

impl Default for ClockStep {
    fn default() -> Self {
        ClockStep { seconds: 3600 }
    }
}

impl Definition for ClockStep {
    const NAME: &'static str = "clock-step";
    const SUMMARY: &'static str =
        "the wall clock that the strategy sees steps forwards or backwards at a random moment of the backup";
    const SETTINGS: &'static [(&'static str, &'static str)] =
        &[("seconds", "by how many seconds: negative for backwards, not 0")];

    fn validate(&self) -> std::result::Result<(), String> {
        if self.seconds == 0 { Err("seconds is 0: the clock would not step".into()) } else { Ok(()) }
    }
}

impl Fault for ClockStep {
    fn moment(&self) -> Moment {
        Moment::DuringBackup
    }

    fn unsuited(&self, strategy: &ConfiguredStrategy, deployment: &Deployment) -> Option<String> {
        let image = strategy.card().image(deployment.engine);
        image.map(|_| "the clock can only be changed for programs outside of containers".into())
    }

    fn tools(&self) -> &'static [&'static Tool] {
        const TOOLS: &[&Tool] = &[&FAKETIME];
        TOOLS
    }

    fn prepare<'a>(&self, scene: &'a Scene<'a>) -> Result<Prepared<'a>> {
        let library = library().ok_or_else(|| {
            let install = &FAKETIME.install;
            Error::Environment(format!(
                "the library {LIBRARY} is neither in /usr/lib nor in /usr/lib64: {install}"
            ))
        })?;
        let offset = offset_file(scene);
        write_offset(&offset, 0)?;
        let variables = [
            ("LD_PRELOAD", library.into_os_string()),
            ("FAKETIME_TIMESTAMP_FILE", offset.into_os_string()),
            // The file is read again for each question, so that a running program sees the step.
            ("FAKETIME_NO_CACHE", "1".into()),
            // Neither timeouts nor the times of files change when a wall clock is set.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("NO_FAKE_STAT", "1".into()),
        ];
        let variables: Vec<(String, OsString)> =
            variables.map(|(name, value)| (name.to_owned(), value)).into();
        scene.launcher.processes().set_environment(Account::Strategy, variables);
        Ok(Box::new(OwnClock(scene)))
    }

    fn inject<'a>(&self, scene: &'a Scene<'a>) -> Result<Option<Injected<'a>>> {
        let running = scene.launcher.processes().running(Account::Strategy);
        // A program without the C library asks the kernel itself.
        let affected = running.into_iter().filter(|pid| has_library(*pid)).count();
        if affected == 0 {
            return Ok(None);
        }
        write_offset(&offset_file(scene), self.seconds)?;
        let proof = format!(
            "the wall clock of the strategy's running processes ({affected}) stepped by {:+} s",
            self.seconds
        );
        Ok(Injected::over(proof))
    }
}

/// The clock of the strategy. Processes that are started after it was dropped have the machine's clock again.
struct OwnClock<'a>(&'a Scene<'a>);

impl Drop for OwnClock<'_> {
    fn drop(&mut self) {
        self.0.launcher.processes().set_environment(Account::Strategy, Vec::new());
    }
}

fn offset_file(scene: &Scene<'_>) -> PathBuf {
    scene.launcher.work_directory().join(OFFSET)
}

/// Sets the clock, in one step: a reader sees the old file or the new one.
fn write_offset(file: &Path, seconds: i64) -> Result<()> {
    let written = file.with_extension("new");
    std::fs::write(&written, format!("{seconds:+}"))
        .and_then(|()| std::fs::rename(&written, file))
        .map_err(|error| Error::Environment(format!("cannot write {}: {error}", file.display())))
}

fn library() -> Option<PathBuf> {
    ["/usr/lib64", "/usr/lib"].into_iter().find_map(|root| {
        let of_architectures = std::fs::read_dir(root).ok()?.flatten().map(|entry| entry.path());
        let mut directories = std::iter::once(PathBuf::from(root)).chain(of_architectures);
        directories.find_map(|directory| Some(directory.join(LIBRARY)).filter(|file| file.is_file()))
    })
}

fn has_library(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/maps")).is_ok_and(|maps| maps.contains("libfaketime"))
}
